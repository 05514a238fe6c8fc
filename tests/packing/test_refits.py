"""One model a fold: who scores which day, and what a model may know."""

import re
from datetime import date
from typing import Any

import numpy as np
import pytest

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.packing.refits import walk_models_forward
from pytest_modelgates.stats.holdings import simulate
from tests.support.panels import invented_panel, pack_ridge

Models = dict[str, tuple[bytes, date]]


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    """Two models of one panel, which covers 2020 and half of 2021: one with skill, one without."""
    artifacts = tmp_path_factory.mktemp("refits") / "artifacts"
    panel = invented_panel(days=400, ic=0.25)  # in half a year the skill must show
    return [Candidate(pack_ridge(artifacts, panel, weights=weights)) for weights in ((1, 0), (0, 1))]


@pytest.fixture
def panel(candidates: list[Candidate]) -> Panel:
    return candidates[0].panel


@pytest.fixture
def models(candidates: list[Candidate]) -> Models:
    skilled, idle = (candidate.onnx_bytes for candidate in candidates)
    return {"2020": (skilled, date(2019, 12, 31)), "2021": (idle, date(2020, 12, 31))}


def test_each_day_is_scored_by_the_model_of_its_fold(candidates: list[Candidate], panel: Panel, models: Models) -> None:
    walked = walk_models_forward(models, panel, cost_bps=2)
    early = panel.times < np.datetime64("2021-01-01")
    np.testing.assert_array_equal(walked.scores, np.where(early, candidates[0].scores, candidates[1].scores))
    np.testing.assert_array_equal(
        walked.holdings.ic_net, simulate(panel.by_day(walked.scores), panel.returns, horizon=1, cost_bps=2).ic_net
    )
    assert walked.folds.labels == ("2020", "2021")
    assert walked.folds.z[0] > 5 > walked.folds.z[1]


def test_what_a_model_keeps_of_its_skill_out_of_sample(candidates: list[Candidate], panel: Panel) -> None:
    # With one model everywhere, the fold before is as good as the model's own.
    same = candidates[0].onnx_bytes
    models = {"2020": (same, date(2019, 12, 31)), "2021": (same, date(2020, 12, 31))}
    walked = walk_models_forward(models, panel, cost_bps=0)
    year = panel.days.year.to_numpy()
    held = simulate(panel.by_day(candidates[0].scores), panel.returns, horizon=1, cost_bps=0)
    inside, outside = held.ic_net[year[1:] == 2020].mean(), held.ic_net[year[1:] == 2021].mean()
    assert walked.in_sample == pytest.approx(inside)
    assert walked.retained == pytest.approx(outside / inside)


def test_a_model_without_skill_in_sample_has_nothing_to_keep(panel: Panel, models: Models) -> None:
    walked = walk_models_forward(
        {"2020": models["2020"], "2021": (models["2021"][0], date(2020, 12, 31))}, panel, cost_bps=50
    )
    assert walked.in_sample < 0
    assert walked.retained is None


def test_folds_of_ones_own(panel: Panel, models: Models) -> None:
    labels = np.where(np.arange(len(panel.days)) < 200, "2020", "2021")
    models["2021"] = (models["2021"][0], date(2020, 10, 6))  # the last day of the first fold
    assert walk_models_forward(models, panel, cost_bps=0, labels=labels).folds.n.tolist() == [199, 199]


REFUSED: list[Any] = [
    pytest.param(
        {"2021": date(2021, 1, 4)},
        {},
        "fold 2021: its model's labels used prices until 2021-01-04, 2 of the 138 days of the fold are not after that: "
        "purge its training rows",
        id="a-label-in-the-fold",
    ),
    pytest.param(
        {"2020": date(2019, 12, 27), "2021": date(2020, 12, 30)},
        {"embargo": 2},
        "fold 2021: 1 weekdays between 2020-12-30, the last price that its model's labels used, and its first day, "
        "expected at least 2",
        id="embargo",
    ),
    pytest.param(
        {"2022": date(2019, 12, 31)},
        {},
        "models of folds 2020, 2021, 2022 for folds 2020, 2021: give one a fold",
        id="a-year-too-many",
    ),
    pytest.param(
        {"2021": date(2019, 12, 31)},
        {"labels": np.array(["2020", "2021"] * 200)},
        "fold 2020 comes in several pieces, expected one stretch: sort by day",
        id="pieces",
    ),
]


@pytest.mark.parametrize(("dates", "more", "message"), REFUSED)
def test_it_refuses_and_says_why(
    panel: Panel, models: Models, dates: dict[str, date], more: dict[str, Any], message: str
) -> None:
    changed = models | {name: (models["2020"][0], until) for name, until in dates.items()}
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}"):
        walk_models_forward(changed, panel, cost_bps=0, **more)
