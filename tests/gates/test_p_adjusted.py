"""The gate that counts trials: what the best of many shows, and what no longer starts the count anew."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.evidence.report import Evidence
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.significance import mean_exceeds
from tests.gates.test_signal import measured
from tests.support.handmade import modelgates
from tests.support.panels import invented_panel, pack_ridge

GATE = "significance.p_adjusted"


def adjusted(pytester: pytest.Pytester, model: Path) -> Evidence:
    return measured(pytester, model, GATE)[GATE]


def noise(seed: int) -> pd.DataFrame:
    """A market, and features that know nothing of it: random walks, whose positions cost little."""
    frame = invented_panel(days=300, ic=0)
    walks = np.random.default_rng(seed).standard_normal((300, len(frame) // 300, 2)).cumsum(axis=0)
    features = walks.reshape(len(frame), 2).astype(np.float32)
    return frame.assign(momentum=features[:, 0], value=features[:, 1])


def p_of(frame: pd.DataFrame) -> float:
    scores, returns = (frame[name].to_numpy(float).reshape(300, -1) for name in ("momentum", "ret_next"))
    return mean_exceeds(simulate(scores, returns, horizon=1, cost_bps=2).ic_net, seed=1, n_resamples=999).p_against


@pytest.fixture(scope="session")
def best_of_27() -> pd.DataFrame:
    """The first of 27 models of noise that the p-value of one alone would let pass."""
    panels = map(noise, range(100, 127))
    return min(panels, key=p_of)


def test_the_best_of_27_models_of_noise_passes_alone_and_fails_among_them(
    pytester: pytest.Pytester, tmp_path: Path, best_of_27: pd.DataFrame
) -> None:
    model = pack_ridge(tmp_path / "artifacts", best_of_27, tried=27)
    alone = measured(pytester, model, "significance.p_against")["significance.p_against"]
    assert alone.value is not None
    assert alone.value < 0.10
    found = adjusted(pytester, model)
    assert found.value == pytest.approx(min(1, 27 * alone.value))
    assert found.value > 0.10
    assert (found.detail["tried"], found.detail["seen"], found.detail["at_hand"]) == (27, 1, 1)
    assert found.detail["by"] == f"p of {alone.value:.3g} times 27 trials, 1 of them at hand"


def test_all_that_were_packed_are_compared(pytester: pytest.Pytester, tmp_path: Path) -> None:
    weights = [(1, 0), (1, 0.5), (0, 1)]
    good, near, _ = (pack_ridge(tmp_path / "artifacts", weights=w, tried=1) for w in weights)
    found = adjusted(pytester, good)
    assert (found.detail["tried"], found.detail["at_hand"], found.detail["resamples"]) == (3, 3, 9999)
    assert found.detail["by"] == "the largest of StepM, Holm and p alone over 3 trials"
    alone = measured(pytester, good, "significance.p_against")["significance.p_against"]
    assert found.value == max(found.detail["p_step_down"], found.detail["p_holm"], alone.value)
    shutil.rmtree(near)
    assert adjusted(pytester, good) == found


def other_target(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(target=frame.groupby("asset")["ret_next"].shift(-2).fillna(0))


def a_day_less(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["time"] > frame["time"].iloc[0]].reset_index(drop=True)


@pytest.mark.parametrize(
    ("change", "more"),
    [
        pytest.param(lambda frame: frame, {"horizon": 2}, id="another-horizon"),
        pytest.param(other_target, {}, id="another-target"),
        pytest.param(a_day_less, {}, id="one-day-less"),
    ],
)
def test_nothing_starts_the_count_anew(
    pytester: pytest.Pytester,
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    more: dict[str, int],
) -> None:
    root = tmp_path / "artifacts"
    before = [pack_ridge(root, invented_panel(), weights=(1, weight)) for weight in (1, 2)]
    for model in before:
        shutil.rmtree(model)
    found = adjusted(pytester, pack_ridge(root, change(invented_panel()), **more))
    assert (found.detail["seen"], found.detail["at_hand"]) == (3, 3)


def test_the_same_bytes_packed_again_cost_nothing(pytester: pytest.Pytester, tmp_path: Path) -> None:
    first, second = (pack_ridge(tmp_path / "artifacts") for _ in range(2))
    assert [adjusted(pytester, model).detail["tried"] for model in (first, second)] == [1, 1]


def test_what_was_tried_elsewhere_counts(pytester: pytest.Pytester, tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    model = pack_ridge(root)
    assert main(["trials", "add", "2000", "--reason", "x", "--artifacts", str(root)]) == 0
    found = adjusted(pytester, model)
    assert (found.detail["seen"], found.detail["tried"], found.detail["resamples"]) == (2001, 2001, 0)
    assert found.detail["by"].endswith(", by cosines alone, as 2001 trials need more than 200,000 resamples")


def test_nobody_is_promoted_who_did_not_count(tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", invented_panel(days=300), tried=None)
    done = modelgates("promote", model, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{GATE} inconclusive: the sidecar does not say how many candidates were tried" in done.stderr


@pytest.mark.slow
def test_sixty_nightly_refits_of_one_recipe_cost_about_sixty_trials(pytester: pytest.Pytester, tmp_path: Path) -> None:
    # Each night the training window has one more day, and so has the panel; the weights hardly change.
    rng, whole = np.random.default_rng(60), invented_panel(days=1000)
    days = whole["time"].unique()
    weights = np.array([1.0, 0.05]) + np.cumsum(0.01 * rng.standard_normal((60, 2)), axis=0)
    first, last = None, None
    for night, pair in enumerate(weights):
        frame = whole[whole["time"] <= days[939 + night]]
        last = pack_ridge(tmp_path / "artifacts", frame, weights=tuple(pair), tried=1, trained_until=date(2019, 12, 31))
        first = first or last
    found = adjusted(pytester, last)
    alone = measured(pytester, last, "significance.p_against")["significance.p_against"]
    print(f"\nalone {alone.value:.3g}, after 60 nights {found.value:.3g}, {found.detail}")
    assert (found.detail["tried"], found.detail["at_hand"]) == (60, 60)
    assert found.detail["p_step_down"] < 5 * alone.value
    assert alone.value < found.value <= 60 * max(alone.value, 1e-12)
