"""Triggers at their limits: what is a breach, what chance may explain, and what patience waits for."""

import msgspec
import pytest

from pytest_modelgates.monitoring import triggers
from pytest_modelgates.monitoring.lately import Sums
from pytest_modelgates.monitoring.rescored import Rescored, wrong_scores
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from tests.calibration.watch_sweep import AT_THE_LIMITS, DAYS_PER_ALARM, SHIFTED, delays, false_alarms

WATCH = load_operations(None, policy=None)[0].watch
POLICY = load_policy(None)
LIMIT = POLICY.limit("latency.serve_p95_ms")
A_MINUTE = 4.6e-6  # the level of a look after a minute


@pytest.mark.parametrize(("batches", "slow"), [(100, 19), (1000, 88)])
def test_so_many_slow_batches_are_a_breach_and_one_fewer_may_be_chance(batches: int, slow: int) -> None:
    def found(count: int) -> str:
        sums = Sums(batches=batches, slow=count)
        return triggers.latency(sums, LIMIT, WATCH.latency, "act", level=A_MINUTE).verdict

    assert (found(slow), found(slow - 1), found(batches // 20)) == ("breach", "inconclusive", "clean")


def test_where_nothing_is_left_to_spend_nothing_is_a_breach() -> None:
    found = triggers.share_of_rows("failed", 999, 1000, WATCH.failed, "act", level=0.0)
    assert found.verdict == "inconclusive"


def test_patience_counts_looks_with_something_new_and_a_clean_one_begins_anew() -> None:
    rules = msgspec.structs.replace(WATCH.failed, patience=2)
    bad = triggers.share_of_rows("failed", 500, 1000, rules, "act", level=A_MINUTE)
    good = triggers.share_of_rows("failed", 0, 1000, rules, "act", level=A_MINUTE)
    few = triggers.share_of_rows("failed", 5, 5, rules, "act", level=A_MINUTE)
    streak, verdicts = 0, []
    for look, fresh in ((bad, True), (bad, False), (few, True), (bad, True), (good, True), (bad, True)):
        found, streak = triggers.with_patience(look, rules, streak, fresh=fresh)
        verdicts.append(found.verdict)
    assert verdicts == ["inconclusive", "inconclusive", "inconclusive", "breach", "clean", "inconclusive"]


def test_a_few_hundred_looks_at_the_limits_give_no_more_false_alarms_than_promised() -> None:
    found, days = false_alarms(AT_THE_LIMITS["every minute, 20 rows in 20 batches"], looks=300, runs=1)
    assert days < DAYS_PER_ALARM
    assert sum(found.values()) == 0


def test_what_is_wrong_is_found_within_a_few_looks() -> None:
    trigger, desk = SHIFTED["PSI 0.3; every minute, 500 rows"]
    assert max(delays(trigger, desk, runs=2, most=10)) <= 4


@pytest.mark.parametrize(
    ("difference", "ranks", "verdict"),
    [(0.0, None, "clean"), (0.0, 0.96, "clean"), (0.0, 0.94, "breach"), (2e-5, 0.99, "breach"), (None, None, "breach")],
)
def test_scores_that_differ_or_are_ranked_otherwise_indict_the_model(
    difference: float | None, ranks: float | None, verdict: str
) -> None:
    found = Rescored(model_id="1700000000", digest="0" * 64, rows=50, difference=difference, rank_corr=ranks)
    limits = POLICY.limit("parity.max_abs_diff"), POLICY.limit("shadow.rank_corr")
    finding = wrong_scores(found, "0" * 64, *limits, WATCH.scores, "act")
    assert (finding.verdict, finding.beyond) == (verdict, verdict == "breach")
