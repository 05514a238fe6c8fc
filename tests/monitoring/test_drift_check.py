"""Whether the live model's recent predictions still look like its golden."""

import json
import re

import msgspec
import numpy as np
import pytest

from pytest_modelgates.drift import save_golden_predictions
from pytest_modelgates.errors import FormatError, StatisticsError
from pytest_modelgates.monitoring.drift_check import Asked, check_log, limits_of, record
from pytest_modelgates.monitoring.drift_words import by_day, days_in_words, in_words, picture
from pytest_modelgates.policy.load import load_policy
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


def words_of(registry: Registry) -> list[str]:
    return in_words(check_log(registry.artifacts, registry.policy), limits_of(registry.policy)).splitlines()


def test_calm_predictions_do_not_drift(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    check = check_log(registry.artifacts, registry.policy)
    assert (check.model_id, check.rows, check.report["overall_drift"]) == (registry.live, 600, False)
    words = words_of(registry)
    assert words[0] == f"{registry.live}: no drift over 600 live predictions of 30 days"
    assert words[1].startswith("  PSI 0.0")
    assert "(no significant change); chance alone: up to 0.0" in words[1]
    assert words[-1].endswith("below 0.05: no drift")


def test_rows_that_two_processes_scored_are_said(registry: Registry, calm: list[float]) -> None:
    for _ in range(2):
        log(registry, calm)
    for _ in range(2):  # read, and then from what was kept
        assert words_of(registry)[:2] == [
            f"{registry.live}: no drift over 1200 live predictions of 30 days",
            "  50.0% of them are of rows that another process scored too",
        ]


def test_moved_predictions_drift(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm])
    check = check_log(registry.artifacts, registry.policy)
    assert check.report["overall_drift"]
    said = in_words(check, limits_of(registry.policy))
    assert said.startswith(f"{registry.live}: DRIFT over 600 live predictions of 30 days\n  PSI ")
    assert " is above 0.25\n  KS distance 1.000 is at least 0.05, and p " in said
    assert "(a significant change); chance alone: up to 0.0" in said


def test_only_the_newest_rows_count_if_asked(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm])
    log(registry, calm[:200])  # the same rows, scored again by another process
    assert check_log(registry.artifacts, registry.policy, Asked(last=200)).report["overall_drift"] is False
    assert check_log(registry.artifacts, registry.policy, Asked(last=400)).report["overall_drift"] is True


def test_rows_without_a_time_are_taken_as_independent_and_it_is_said(registry: Registry, calm: list[float]) -> None:
    records = predictions(live_change(registry.artifacts).digest, calm, arm="live")
    nameless = [msgspec.structs.replace(each, row_key=f"x|{place}") for place, each in enumerate(records)]
    log_predictions(registry.artifacts, nameless)
    words = words_of(registry)
    assert words[0] == f"{registry.live}: no drift over 600 live predictions"
    assert words[-2] == "  rows are taken as independent: their days are not known"
    assert by_day(check_log(registry.artifacts, registry.policy)) == []
    assert days_in_words([], limits_of(registry.policy)) == "  rows are of no known day"


@pytest.mark.parametrize("asked", [Asked(), Asked(last=602)], ids=["all", "the-newest"])
def test_a_few_rows_without_a_time_leave_the_days_of_the_others(
    registry: Registry, calm: list[float], asked: Asked
) -> None:
    records = predictions(live_change(registry.artifacts).digest, [*calm, *calm[:2]], arm="live")
    nameless = [
        msgspec.structs.replace(each, row_key=f"content:{number:016x}", row_time=None)
        for number, each in enumerate(records[600:])
    ]
    log_predictions(registry.artifacts, records[:600] + nameless)
    check = check_log(registry.artifacts, registry.policy, asked)
    assert in_words(check, limits_of(registry.policy)).startswith(
        f"{registry.live}: no drift over 602 live predictions of 30 days"
    )
    assert check.report["dependence"] == "over 30 days (2 rows of no known day are taken to be of these)"
    assert len(by_day(check)) == 30


def test_the_picture_has_both_distributions_in_80_columns(registry: Registry, calm: list[float]) -> None:
    spread = float(np.std(calm))
    log(registry, [value + spread for value in calm])
    head, *lines = picture(check_log(registry.artifacts, registry.policy)).splitlines()
    assert " ".join(head.split()) == "score ▓ both ░ golden █ live golden live"
    assert len(lines) == 12
    assert max(map(len, [head, *lines])) <= 80
    shares = np.array([[float(each.rstrip("%")) for each in line.split()[-2:]] for line in lines])
    assert shares.sum(axis=0) == pytest.approx([100, 100], abs=0.7)
    assert "░" in lines[2]
    assert "█" in lines[-1]


def test_a_picture_of_few_values_has_a_line_for_each(registry: Registry) -> None:
    save_golden_predictions([0, 1] * 100, registry.live, folder=registry.artifacts.golden)
    log(registry, [0.0, 0.0, 0.0, 1.0] * 50)
    lines = picture(check_log(registry.artifacts, registry.policy)).splitlines()
    assert [line.split()[-2:] for line in lines[1:]] == [["50.0%", "75.0%"], ["50.0%", "25.0%"]]
    assert lines[1].strip().startswith("up to 0")


def test_each_day_has_its_index(registry: Registry, calm: list[float]) -> None:
    log(registry, [*calm[:300], *(value + 1 for value in calm[300:])])
    check = check_log(registry.artifacts, registry.policy)
    days = by_day(check)
    assert [each["rows"] for each in days] == [20] * 30
    assert days[0]["day"] == "2024-01-01"
    lines = days_in_words(days, limits_of(registry.policy)).splitlines()
    assert lines[1].endswith("too few rows to tell")
    assert lines[-1].endswith("significant")
    assert max(map(len, lines)) <= 80


def test_a_check_is_recorded(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    check = check_log(registry.artifacts, registry.policy)
    for _ in range(2):
        record(registry.artifacts, check)
    first, second = map(json.loads, registry.artifacts.drift_checks.read_text().splitlines())
    # When the counts were taken: what is acknowledged meanwhile was known then.
    assert first["time"] == second["time"] == check.time.isoformat().replace("+00:00", "Z")
    assert (first["model_id"], first["overall_drift"]) == (registry.live, False)
    assert first["digest"] == live_change(registry.artifacts).digest
    assert first["window"] == {
        "last": None,
        "since": None,
        "until": None,
        "first_day": "2024-01-01",
        "last_day": "2024-01-30",
    }
    assert (first["arm"], first["files"]) == ("live", None)
    assert first["psi"]["value"] == check.report["psi"]["value"]


def test_records_of_other_models_do_not_count(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm], digest="1" * 64)
    message = (
        f"no prediction of {registry.live}, which is live, in {registry.artifacts.predictions / 'live'}; "
        f"run: modelgates serve --onnx {registry.artifacts.latest_onnx} "
        f"--csv {registry.artifacts.root / 'live_data.csv'}"
    )
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        check_log(registry.artifacts, registry.policy)


def test_too_few_rows_are_inconclusive(registry: Registry, calm: list[float]) -> None:
    log(registry, calm[100:160])
    assert check_log(registry.artifacts, registry.policy).report["overall_drift"] is None
    words = words_of(registry)
    assert words[0] == f"{registry.live}: INCONCLUSIVE over 60 live predictions of 3 days"
    assert words[1].startswith("  without drift, 60 values against ")


def test_a_lost_golden_says_how_to_set_it(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    (registry.artifacts.golden / "metadata.json").unlink()
    with pytest.raises(FormatError, match=f"golden of {registry.live}; set one: modelgates golden set {registry.live}"):
        check_log(registry.artifacts, registry.policy)
