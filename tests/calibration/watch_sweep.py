"""How often the watch finds a breach where there is none, and how soon where there is one.

Run by itself it prints the tables of docs/statistics.md: ``python -m tests.calibration.watch_sweep``. Every run has a
seed of its own, so that the same versions print the same tables.
"""

import argparse
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from pytest_modelgates.drift.over_time import Next, Seen, look
from pytest_modelgates.drift.summary import Reference
from pytest_modelgates.monitoring import triggers
from pytest_modelgates.monitoring.judge import BY_CHANCE
from pytest_modelgates.monitoring.lately import Sums
from pytest_modelgates.monitoring.triggers import DRIFT_SHARE
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.stats.sequential import look_level

SEED = 34
POLICY, OPERATIONS = load_policy(None), load_operations(None, policy=None)[0]
WATCH, DAYS_PER_ALARM = OPERATIONS.watch, OPERATIONS.drift.days_per_false_alarm
START = datetime(2026, 1, 1, tzinfo=UTC)
GOLDEN = 15_000
# A shift of a normal score whose index is 0.3, in standard deviations.
SHIFT = 0.5477


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What comes between two looks: rows and batches, and the shares of them that are bad.

    Slow batches come one by one, or with `bursts` all those between two looks at once. `window` is how many of the last
    looks the triggers look back over.
    """

    looks_a_day: int
    rows: int
    batches: int
    window: int
    slow: float = triggers.SLOW
    failed: float = WATCH.failed.limit
    rejected: float = WATCH.rejected.limit
    shift: float = 0.0
    bursts: bool = False


# Everything is as bad as its limit just allows.
AT_THE_LIMITS = {
    "every minute, 500 rows in 10 batches": Desk(looks_a_day=1440, rows=500, batches=10, window=60),
    "every minute, 20 rows in 20 batches": Desk(looks_a_day=1440, rows=20, batches=20, window=60),
    "every hour, 500 rows in 50 batches": Desk(looks_a_day=24, rows=500, batches=50, window=1),
    "every night, 500 rows in 50 batches": Desk(looks_a_day=1, rows=500, batches=50, window=1),
}
BURSTS = {
    "every minute, 10 batches, one minute in 100 slow": Desk(
        looks_a_day=1440, rows=20, batches=10, window=60, slow=0.01, bursts=True
    ),
    "every minute, 10 batches, one minute in 20 slow": Desk(
        looks_a_day=1440, rows=20, batches=10, window=60, bursts=True
    ),
}


def breaches(desk: Desk, *, looks: int, run: int) -> Iterator[set[str]]:
    """Look so many times, with no patience; a drift is acknowledged at once."""
    rng = np.random.default_rng([SEED, run, desk.rows, desk.looks_a_day])
    reference = Reference.of(rng.standard_normal(GOLDEN))
    impatient = {name: msgspec.structs.replace(getattr(WATCH, name), patience=1) for name in (*BY_CHANCE, "drift")}
    level = look_level(1 / desk.looks_a_day, DAYS_PER_ALARM) * (1 - DRIFT_SHARE) / len(BY_CHANCE)
    lately = deque[Sums](maxlen=desk.window)
    none = reference.none()
    everything, window, mark, since, before = none, none, none, None, Next(spent=START)
    for number in range(looks):
        now = START + timedelta(days=(number + 1) / desk.looks_a_day)
        lately.append(_between(desk, rng))
        sums = Sums()
        for each in lately:
            sums.add(each)
        new = reference.count(rng.standard_normal(desk.rows) + desk.shift)
        everything, window, mark = everything + new, window + new, mark + new
        seen = Seen(records=everything.counts.rows, all=everything, window=window, mark=mark)
        least = POLICY.limit("drift.ks").upper
        days = DAYS_PER_ALARM / DRIFT_SHARE
        over_time = look(reference, seen, before, since=since, now=now, days_per_alarm=days, least=least)
        found = [
            triggers.latency(sums, POLICY.limit("latency.serve_p95_ms"), impatient["latency"], "act", level=level),
            triggers.share_of_rows("failed", sums.failed, sums.rows, impatient["failed"], "act", level=level),
            triggers.share_of_rows("rejected", sums.rejected, sums.rows, impatient["rejected"], "act", level=level),
            triggers.drift(over_time, POLICY.limit("drift.psi"), impatient["drift"], "act"),
        ]
        yield {each.trigger for each in found if each.beyond}
        if over_time["alarm"] and not desk.shift:  # a real one stays on until somebody acknowledges it
            everything, window, mark, since = none, none, none, now
            before = Next(spent=now, window=now, mark=now)
            continue
        if over_time["next"].mark != before.mark:
            window, mark = mark, none
        before = over_time["next"]


def _between(desk: Desk, rng: np.random.Generator) -> Sums:
    burst = desk.batches * int(rng.random() < desk.slow)
    return Sums(
        rows=desk.rows,
        failed=int(rng.binomial(desk.rows, desk.failed)),
        rejected=int(rng.binomial(desk.rows, desk.rejected)),
        batches=desk.batches,
        slow=burst if desk.bursts else int(rng.binomial(desk.batches, desk.slow)),
        times=Counter({0: desk.batches}),
    )


def false_alarms(desk: Desk, *, looks: int, runs: int) -> tuple[Counter[str], float]:
    """Count the looks that find a breach by its trigger, and give the days that were watched."""
    found = Counter[str]()
    for run in range(runs):
        for each in breaches(desk, looks=looks, run=run):
            found.update(each)
    return found, looks * runs / desk.looks_a_day


SHIFTED = {
    "PSI 0.3; every minute, 500 rows": ("drift", Desk(looks_a_day=1440, rows=500, batches=10, window=60, shift=SHIFT)),
    "PSI 0.3; every minute, 20 rows": ("drift", Desk(looks_a_day=1440, rows=20, batches=20, window=60, shift=SHIFT)),
    "3 % of rows fail; every minute, 500 rows": (
        "failed",
        Desk(looks_a_day=1440, rows=500, batches=10, window=60, failed=0.03),
    ),
    "3 % of rows fail; every minute, 20 rows": (
        "failed",
        Desk(looks_a_day=1440, rows=20, batches=20, window=60, failed=0.03),
    ),
    "20 % of batches are slow; every minute, 10 batches": (
        "latency",
        Desk(looks_a_day=1440, rows=500, batches=10, window=60, slow=0.2),
    ),
}


def delays(trigger: str, desk: Desk, *, runs: int, most: int = 3000) -> list[int]:
    """Say at which look each run finds a breach, from when it began on."""
    calm = {"slow": 0.0, "failed": 0.0, "rejected": 0.0, "shift": 0.0} | {
        name: getattr(desk, name) for name in ({"latency": "slow", "drift": "shift"}.get(trigger, trigger),)
    }
    bad = Desk(**{name: getattr(desk, name) for name in ("looks_a_day", "rows", "batches", "window")} | calm)
    waited = []
    for run in range(1000, 1000 + runs):
        found = (number for number, each in enumerate(breaches(bad, looks=most, run=run), 1) if trigger in each)
        waited.append(next(found, most))
    return waited


def wrong_twentieth(rows: int, features: float, *, runs: int) -> list[int]:
    """Say at which look one wrong score in twenty is among the rows whose features were kept."""
    rng = np.random.default_rng([SEED, rows])
    return [int(each) for each in rng.geometric(1 - (1 - 0.05 * features) ** rows, size=runs)]


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--looks", type=int, default=10_000)
    arguments.add_argument("--delays", type=int, default=20)
    given = arguments.parse_args()
    names = [*BY_CHANCE, "drift"]
    print(f"| looks | days | promised | {' | '.join(names)} |\n|{'---|' * (3 + len(names))}")
    for name, desk in (AT_THE_LIMITS | BURSTS).items():
        found, days = false_alarms(desk, looks=given.looks, runs=given.runs)
        counts = " | ".join(f"{found[each]:,}" for each in names)
        print(f"| {name} | {days:,.0f} | {days / DAYS_PER_ALARM:,.1f} | {counts} |", flush=True)
    print("\n| what is wrong | looks until it is found: median | 9 in 10 |\n|---|---|---|")
    waits = {name: delays(trigger, desk, runs=given.delays) for name, (trigger, desk) in SHIFTED.items()}
    for rows in (500, 20):
        what = f"a twentieth of the scores; every minute, {rows} rows, features of 5 %"
        waits[what] = wrong_twentieth(rows, 0.05, runs=1000)
    for name, waited in waits.items():
        middle, most = (np.quantile(waited, share, method="higher") for share in (0.5, 0.9))
        print(f"| {name} | {middle:g} | {most:g} |", flush=True)


if __name__ == "__main__":
    main()
