"""Looks at the live model over time: what checks.jsonl and the audit log keep of them, and what they cost."""

import json
import os
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from pytest_modelgates.drift import save_golden_predictions
from pytest_modelgates.drift.over_time import OverTime
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.monitoring import drift_check, looks
from pytest_modelgates.monitoring.drift_check import Asked, Check, check_log, last_look, record
from pytest_modelgates.monitoring.looks import over_time_in_words, to_acknowledge
from pytest_modelgates.policy.operations import DriftRules
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.parts import PartWriter, parts
from pytest_modelgates.registry.store import live_change
from tests.support.handmade import Registry, golden_of, log_predictions, operations_at, predictions

RULES = DriftRules(days_per_false_alarm=20)
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def live_for_days(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model be live for two days."""
    live = msgspec.structs.replace(live_change(registry.artifacts), time=NOW - timedelta(days=2))
    monkeypatch.setattr(drift_check, "live_change", lambda _: live)


@pytest.fixture
def calm(registry: Registry) -> list[float]:
    """Predictions as the live model's own panel has them."""
    return np.random.default_rng(4).choice(golden_of(registry.artifacts.model(registry.live)), 600).tolist()


def log(registry: Registry, values: list[float], *, end: datetime = NOW, hours: float = 0.1) -> None:
    digest = live_change(registry.artifacts).digest
    log_predictions(registry.artifacts, predictions(digest, values, arm="live", end=end, hours=hours))


def checked(registry: Registry, *, minutes: float = 0) -> Check:
    """Look once, some minutes from now, and keep it."""
    now = NOW + timedelta(minutes=minutes)
    check = check_log(registry.artifacts, registry.policy, rules=RULES, now=now)
    record(registry.artifacts, check)
    return check


def looked(registry: Registry, *, minutes: float = 0) -> OverTime:
    found = checked(registry, minutes=minutes).over_time
    assert found is not None
    return found


def acknowledge(registry: Registry) -> datetime:
    rules = operations_at(registry.artifacts).registry
    assert drift_check.acknowledge(registry.artifacts, rules, reason="seen") == registry.live
    found = last_look(registry.artifacts).since
    assert found is not None
    return found


def test_a_look_is_kept_in_its_line_and_the_next_goes_on_from_it(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    first = looked(registry, minutes=1)
    assert first["alarm"] is None
    (line,) = map(json.loads, registry.artifacts.drift_checks.read_text().splitlines())
    assert line["over_time"]["next"]["records"] == 600
    assert last_look(registry.artifacts).left == first["next"]
    again = looked(registry, minutes=2)
    assert (again["window"], again["next"].spent) == (None, first["next"].spent)


def test_the_newest_rows_are_those_that_were_scored_since(registry: Registry, calm: list[float]) -> None:
    log(registry, calm, end=NOW - timedelta(minutes=30))
    first = looked(registry, minutes=-20)
    # One part that holds rows of before and after the last look, and one that holds only newer ones.
    log(registry, calm[:100], end=NOW - timedelta(minutes=15), hours=1 / 6)
    log(registry, [value + 1 for value in calm[:250]], end=NOW - timedelta(minutes=5))
    found = looked(registry)
    assert first["next"].mark == NOW - timedelta(minutes=20)
    assert found["window"] is not None
    assert (found["window"]["since"], found["window"]["rows"]) == (None, 950)  # too few are newer to see a change
    log(registry, [value + 1 for value in calm], end=NOW)
    found = looked(registry, minutes=10)
    assert found["window"] is not None
    assert (found["window"]["since"], found["window"]["rows"]) == (NOW - timedelta(minutes=20), 50 + 250 + 600)
    assert found["alarm"] is not None
    assert (found["alarm"].by, found["alarm"].rows) == ("window", 950)


def test_an_alarm_stays_on_until_it_is_acknowledged(registry: Registry, calm: list[float]) -> None:
    log(registry, [value + 1 for value in calm], end=NOW - timedelta(minutes=10))
    alarm = looked(registry)["alarm"]
    assert alarm is not None
    log(registry, calm * 20, end=NOW)
    assert looked(registry, minutes=1)["alarm"] == alarm
    at = acknowledge(registry)
    after = check_log(registry.artifacts, registry.policy, rules=RULES, now=at)
    assert after.over_time is not None
    assert (after.over_time["alarm"], after.over_time["all"]["rows"], after.over_time["all"]["since"]) == (None, 0, at)
    message = f"{registry.live}: no alarm over time is on since it was acknowledged at {at:%Y-%m-%d %H:%M} UTC, so"
    with pytest.raises(RefusedError, match=f"^{message}"):
        to_acknowledge(last_look(registry.artifacts), registry.live)


def test_a_look_that_was_counted_before_an_acknowledgement_does_not_bring_the_alarm_back(
    registry: Registry, calm: list[float]
) -> None:
    log(registry, [value + 1 for value in calm], end=NOW - timedelta(minutes=10))
    looked(registry)
    late = check_log(registry.artifacts, registry.policy, rules=RULES)
    assert late.over_time
    assert late.over_time["alarm"]
    at = acknowledge(registry)
    record(registry.artifacts, late)
    after = check_log(registry.artifacts, registry.policy, rules=RULES, now=at + timedelta(seconds=1))
    assert after.over_time
    assert after.over_time["alarm"] is None


@pytest.mark.parametrize("packed", [False, True], ids=["lines", "parquet"])
def test_rows_from_before_an_acknowledgement_do_not_count(registry: Registry, calm: list[float], packed: bool) -> None:
    log(registry, [value + 1 for value in calm], end=NOW - timedelta(hours=1))
    looked(registry)
    at = acknowledge(registry)
    with PartWriter(registry.artifacts, "live", operations_at(registry.artifacts).registry) as part:
        for values, begin in (([value + 1 for value in calm], at - timedelta(minutes=2)), (calm[:200], at)):
            end = begin + timedelta(minutes=1)
            hours = (end - begin) / timedelta(hours=1)
            rows = predictions(live_change(registry.artifacts).digest, values, arm="live", end=end, hours=hours)
            part.write([msgspec.structs.replace(row, row_key=f"{row.row_key}-{begin}") for row in rows])
    straddling = parts(registry.artifacts, "live")[-1]
    log(registry, calm[:100], end=at + timedelta(minutes=2), hours=1 / 60)
    if packed:
        assert compact(registry.artifacts, straddling) is None
    now = at + timedelta(minutes=2)
    check = check_log(registry.artifacts, registry.policy, rules=RULES, now=now)
    assert check.report["rows"]["current"] == 1500
    assert check.over_time is not None
    assert (check.over_time["alarm"], check.over_time["all"]["rows"]) == (None, 300)


def test_an_old_part_that_was_copied_does_not_hold_new_rows(registry: Registry, calm: list[float]) -> None:
    log(registry, calm, end=NOW - timedelta(days=5))
    log(registry, calm, end=NOW - timedelta(minutes=9))
    (old, _) = parts(registry.artifacts, "live")
    assert compact(registry.artifacts, old) is None
    assert looked(registry, minutes=-8)["next"].mark is not None
    packed = old.path.with_suffix(".parquet")
    os.utime(packed, (NOW.timestamp(), NOW.timestamp()))
    log(registry, calm[:300])
    window = looked(registry, minutes=1)["window"]
    assert window is not None
    assert window["rows"] == 1500  # too few are newer, so all of them
    log(registry, calm)
    window = looked(registry, minutes=4)["window"]
    assert window is not None
    assert window["rows"] == 900


def test_another_model_another_golden_and_a_part_of_the_rows_are_other_looks(
    registry: Registry, calm: list[float]
) -> None:
    log(registry, [value + 1 for value in calm])
    assert looked(registry)["alarm"] is not None
    some = check_log(registry.artifacts, registry.policy, Asked(last=100), rules=RULES)
    assert (some.over_time, some.over_time_words) == (None, "")
    record(registry.artifacts, some)
    assert last_look(registry.artifacts).left is not None
    save_golden_predictions([value + 1 for value in calm], registry.live, folder=registry.artifacts.golden)
    assert last_look(registry.artifacts).left is None
    assert looked(registry)["alarm"] is None


DAMAGE = [
    pytest.param("", id="empty"),
    pytest.param("{}\n", id="no-check"),
    pytest.param('{"time":"2026-01-01T00:00:00Z","digest":"D","golden":"G"}\n', id="version-0.1"),
    pytest.param('{"time":"2026-01-01T00:00:00Z","digest":"D","golden":"G","over_time":null}\n', id="no-look"),
    pytest.param('{"time":"2026-01-01T00:00:00Z","digest":"D","golden":"G","over_time":{"next":{}}}\n', id="half"),
    pytest.param('{"time":"2026-01-01T00:00:00","digest":"D","golden":"G","over_time":{"next":{"spent":1}}}\n', id="x"),
    pytest.param("\0\0\0\0D\n", id="zeros"),
    pytest.param('{"time":"2026-01-01T00:00:00Z","digest":"D","golden":"G","over_time":{"next":{"sp', id="torn"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_lines_that_are_not_looks_are_read_over(registry: Registry, calm: list[float], damage: str) -> None:
    log(registry, calm)
    first = looked(registry)
    path = registry.artifacts.drift_checks
    golden = json.loads(path.read_text())["golden"]
    digest = live_change(registry.artifacts).digest
    with path.open("a") as file:
        file.write(damage.replace('"D"', f'"{digest}"').replace("D\n", f"{digest}\n").replace('"G"', f'"{golden}"'))
    assert last_look(registry.artifacts).left == first["next"]
    assert looked(registry, minutes=1)["window"] is None


@pytest.mark.parametrize("ahead", ["time", "spent", "mark", "window"])
def test_a_look_that_is_dated_after_now_does_not_make_the_next_ones_blind(
    registry: Registry, calm: list[float], ahead: str
) -> None:
    log(registry, [value + 1 for value in calm])
    record(registry.artifacts, check_log(registry.artifacts, registry.policy, rules=RULES, now=NOW))
    path = registry.artifacts.drift_checks
    line = json.loads(path.read_text())
    line["over_time"]["next"] |= {"alarm": None}
    (line if ahead == "time" else line["over_time"]["next"])[ahead] = "2999-01-01T00:00:00Z"
    path.write_text(json.dumps(line, separators=(",", ":")) + "\n")
    check = checked(registry)
    assert check.over_time is not None
    assert check.over_time["alarm"] is not None
    assert check.over_time_words.splitlines()[-1] == "    1 check dated after now: not counted, a clock was wrong"


def test_an_acknowledgement_of_a_time_to_come_ends_nothing(
    registry: Registry, calm: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    log(registry, [value + 1 for value in calm])
    alarm = looked(registry)["alarm"]
    acknowledge(registry)
    monkeypatch.setattr(looks, "CLOCKS", timedelta(hours=-1))  # as if it were an hour later than now
    assert looks._acknowledged(registry.artifacts, registry.live, now=NOW) is None
    assert alarm is not None


def test_a_list_of_checks_that_cannot_be_read_bars_no_check(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    registry.artifacts.drift_checks.parent.mkdir(exist_ok=True)
    registry.artifacts.drift_checks.symlink_to(registry.artifacts.root / "elsewhere")
    check = check_log(registry.artifacts, registry.policy, rules=RULES)
    assert (check.report["overall_drift"], check.over_time) == (False, None)
    assert check.over_time_words == (
        f"  over time: not judged, {registry.artifacts.drift_checks}: a link, expected the log itself; move it away, "
        "and looks begin anew"
    )


def test_the_last_look_is_found_at_the_end_of_a_long_list(
    registry: Registry, calm: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    log(registry, calm)
    looked(registry)
    path = registry.artifacts.drift_checks
    path.write_bytes(path.read_bytes() * 5_000)
    decoded = []
    monkeypatch.setattr(
        looks, "_line", type("Counting", (), {"decode": lambda _, line: decoded.append(line) or DECODE(line)})()
    )
    assert last_look(registry.artifacts).left is not None
    assert len(decoded) == 1


DECODE = looks._line.decode


def test_what_a_look_found_is_said_in_80_columns(registry: Registry, calm: list[float]) -> None:
    log(registry, calm)
    words = checked(registry).over_time_words.splitlines()
    assert words[0] == "  over time: no alarm; at most one false alarm in 20 days is promised"
    assert words[1].startswith("    newest 600 rows: distance 0.0")
    assert words[2].startswith("    all 600 rows: distance 0.0")
    assert ", an alarm beyond 0." in words[2]
    log(registry, [value + 1 for value in calm * 10])
    said = checked(registry, minutes=60).over_time_words.splitlines()
    assert said[0].startswith(f"  over time: ALARM since {NOW + timedelta(minutes=60):%Y-%m-%d %H:%M} UTC, by newest ")
    assert "; one false alarm in 20 days at most" in said[1]
    assert said[2] == '    to begin anew: modelgates drift-check --acknowledge --reason "…"'
    assert max(map(len, [*words, *said])) <= 80
    assert over_time_in_words(None, "why", 0) == "  over time: not judged, why"
