"""Whether the live model's recent predictions still look like its golden."""

import re

import numpy as np
import pytest

from pytest_modelgates.errors import FormatError, StatisticsError
from pytest_modelgates.monitoring.drift_check import check_live, in_words, limits_of
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.predictions.counting import Tally
from pytest_modelgates.registry.store import live_change
from tests.support.handmade import Registry, golden_of, log_predictions, predictions


@pytest.fixture
def calm(registry: Registry) -> list[float]:
    """Predictions as the live model's own panel has them."""
    return np.random.default_rng(4).choice(golden_of(registry.artifacts.model(registry.live)), 600).tolist()


def log(registry: Registry, values: list[float], digest: str | None = None) -> None:
    log_predictions(
        registry.artifacts,
        predictions(digest or live_change(registry.artifacts).digest, values, arm="live"),
    )


def test_the_limits_are_those_of_the_gates() -> None:
    limits = limits_of(load_policy(None))
    assert (limits.psi_moderate, limits.psi, limits.ks_p, limits.ks_distance) == (0.10, 0.25, 0.05, 0.05)


def test_calm_predictions_do_not_drift(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    model_id, rows, report = check_live(registry.artifacts, registry.policy)
    assert (model_id, rows, report["overall_drift"]) == (registry.live, 600, False)
    assert in_words(model_id, rows, report).startswith(
        f"{registry.live}: no drift over 600 live predictions\n  PSI 0.0"
    )


def test_rows_that_two_processes_scored_are_said(registry: Registry, calm: list[float]) -> None:
    for _ in range(2):
        log(registry, calm)
    tally = Tally()
    model_id, rows, report = check_live(registry.artifacts, registry.policy, tally=tally)
    assert in_words(model_id, rows, report, repeated=tally.repeated).splitlines()[:2] == [
        f"{registry.live}: no drift over 1200 live predictions",
        "  50.0% of them are of rows that another process scored too",
    ]


def test_moved_predictions_drift(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm])
    model_id, rows, report = check_live(registry.artifacts, registry.policy)
    assert report["overall_drift"]
    said = in_words(model_id, rows, report)
    assert said.startswith(f"{registry.live}: DRIFT over 600 live predictions")
    assert "(significant)\n  KS  1.0000 (p 0)" in said


def test_only_the_newest_rows_count_if_asked(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm])
    log(registry, calm[:200])  # the same rows, scored again by another process
    assert check_live(registry.artifacts, registry.policy, last=200)[2]["overall_drift"] is False
    assert check_live(registry.artifacts, registry.policy, last=400)[2]["overall_drift"] is True


def test_records_of_other_models_do_not_count(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm], digest="1" * 64)
    message = (
        f"no prediction of {registry.live}, which is live, in {registry.artifacts.predictions / 'live'}; "
        f"run: modelgates serve --onnx {registry.artifacts.latest_onnx} "
        f"--csv {registry.artifacts.root / 'live_data.csv'}"
    )
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        check_live(registry.artifacts, registry.policy)


def test_too_few_rows_are_inconclusive(registry: Registry, calm: list[float]) -> None:
    log(registry, calm[100:160])
    model_id, rows, report = check_live(registry.artifacts, registry.policy)
    assert report["overall_drift"] is None
    assert in_words(model_id, rows, report).startswith(
        f"{registry.live}: INCONCLUSIVE over 60 live predictions\n  without drift, 60 values against "
    )


def test_a_lost_golden_says_how_to_set_it(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    (registry.artifacts.golden / "metadata.json").unlink()
    with pytest.raises(FormatError, match=f"no golden of {registry.live}; set one: modelgates golden set ID"):
        check_live(registry.artifacts, registry.policy)
