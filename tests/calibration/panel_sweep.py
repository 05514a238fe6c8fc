"""How often the gates of the panel and of look-aheads refuse an honest panel.

Run by itself it prints the table of docs/statistics.md: ``python tests/calibration/panel_sweep.py``. Every sample has a
seed of its own, so that the same versions print the same table.
"""

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.attendance import holes, share_of_survivors, why_nobody_left
from pytest_modelgates.stats.days import calendar
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.leakage import look_ahead, one_day_later, steadiness
from pytest_modelgates.stats.left_out import left_out
from pytest_modelgates.stats.plausible import return_sizes
from pytest_modelgates.stats.ranks import Matrix, centred_ranks
from pytest_modelgates.stats.repeats import repeated_days, repeated_names
from pytest_modelgates.stats.target import compounded, target_agreement

Random = np.random.Generator
LIMITS = load_policy(None)


@dataclass(frozen=True)
class Sample:
    """A panel as matrices of days and names, NaN where a name has no row."""

    times: NDArray[np.datetime64]
    returns: Matrix
    target: Matrix
    scores: Matrix
    features: dict[str, Matrix]
    horizon: int
    neutralised: bool = False


def autoregression(random: Random, shape: tuple[int, int], persistence: float) -> Matrix:
    """Draw series of variance 1 whose neighbours are correlated."""
    steps = random.standard_normal(shape) * np.sqrt(1 - persistence**2)
    steps[0] /= np.sqrt(1 - persistence**2)
    for day in range(1, shape[0]):
        steps[day] += persistence * steps[day - 1]
    return steps


def exchange_days(random: Random, days: int) -> NDArray[np.datetime64]:
    """Weekdays without some nine holidays a year, now and then two or three of them in a row."""
    all_days = pd.bdate_range("2010-01-01", periods=int(1.06 * days) + 20).to_numpy()
    closed = random.random(len(all_days)) < 7 / 261
    for start in np.flatnonzero(random.random(len(all_days)) < 1 / 261):
        closed[start : start + int(random.integers(2, 4))] = True
    return all_days[~closed][:days]


def honest(random: Random) -> Sample:
    """Draw a panel that an honest desk could have: a signal or none, fat tails, names that come, go and fail, holes."""
    horizon = int(random.choice([1, 1, 5, 5, 10, 21]))
    days, names = int(random.integers(150 + 10 * horizon, 1500)), int(random.choice([12, 20, 20, 50, 100]))
    times, scale = exchange_days(random, days), 0.015
    if (frequency := random.choice(["day", "day", "day", "week", "month"])) != "day" and horizon <= 5:
        rule, scale = ("W-FRI", 0.03) if frequency == "week" else ("ME", 0.06)
        days = min(days, 400)
        times = pd.date_range("1985-01-31", periods=days, freq=rule).to_numpy()
    days, shape = len(times), (len(times), names)
    # Volatility that lasts, a market with a beta for each name, and errors of a t distribution with 4 degrees.
    volatility = np.exp(0.4 * autoregression(random, (days, 1), 0.98))
    beta = 0.6 + 0.8 * random.random(names)
    market = random.standard_t(4, (days, 1)) * beta
    own = random.standard_t(4, shape) * (0.6 + 0.8 * random.random(names))
    returns = scale / np.sqrt(2) * volatility * (0.6 * market + 0.8 * own)
    # What is known ranks the horizon with an IC of up to 0.06, and earns a Sharpe ratio of up to some 3 a year.
    known = autoregression(random, shape, float(random.choice([0.9, 0.98, 0.995])))
    strength = min(random.choice([0.0, 0.02, 0.04, 0.06]) / np.sqrt(horizon), 3 / np.sqrt(252 * names))
    returns[1:] += strength * scale * volatility[1:] * known[:-1]
    if random.random() < 0.3:  # prices in coarse ticks, and names that hardly trade
        returns = np.where(random.random(shape) < 0.3, 0.0, np.round(returns, 3))
    returns = np.maximum(returns, -0.95)
    there = attendance(random, shape)
    close_and_halt(random, there, returns, scale, daily=frequency == "day")
    fail(random, there, returns, known, scale)
    past = np.vstack([np.zeros((1, names)), returns[:-1]])
    month = pd.DataFrame(past).rolling(21, min_periods=1)
    features = {
        "known": known,
        "noise": random.standard_normal(shape),
        "momentum": month.sum().to_numpy(),
        "reversal": -past,
        "volatility": month.std().to_numpy(),
        "beta": np.broadcast_to(beta, shape).copy(),
        "sector": np.broadcast_to(np.arange(names) % 4, shape).astype(float),
        "market": np.broadcast_to(past.mean(axis=1, keepdims=True), shape).copy(),
    }
    features["known"] = np.where(random.random(shape) < 0.05, np.nan, known)
    scores = known + 0.5 * random.standard_normal(shape) if horizon == 1 else known
    target = compounded(returns, horizon=horizon)
    kind, neutralised = random.choice(["plain", "plain", "excess", "rank", "neutral"]), False
    if kind == "excess":
        target = target - np.nanmean(np.where(np.isnan(target), 0, target), axis=1, keepdims=True)
    if kind == "rank":
        target = np.where(np.isnan(target), np.nan, centred_ranks(target))
    if kind == "neutral":
        forward = compounded(np.broadcast_to(market.mean(axis=1, keepdims=True) * scale, shape), horizon=horizon)
        target, neutralised = target - 0.4 * beta * forward, True
    # The panel's last days look beyond it, as a desk's own files do.
    target = np.where(np.isnan(target), 0.02 * random.standard_normal(shape), target)

    def ragged(values: Matrix) -> Matrix:
        return np.where(there, values, np.nan)

    return Sample(
        times=times,
        returns=ragged(returns),
        target=ragged(target),
        scores=ragged(scores),
        features={name: ragged(values) for name, values in features.items()},
        horizon=horizon,
        neutralised=neutralised,
    )


def attendance(random: Random, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Let a third of the names come late or leave early, some come back, and one row in 5,000 be missing."""
    there = np.ones(shape, dtype=bool)
    days, names = shape
    for name in range(names):
        kind = random.random()
        if kind < 0.15:
            there[: random.integers(days), name] = False
        elif kind < 0.4:
            there[random.integers(days // 4, days) :, name] = False
        elif kind < 0.42:
            start = random.integers(days)
            there[start : start + random.integers(5, 250), name] = False
    there &= random.random(shape) > 1 / 5000
    if not there.any(axis=1).all():
        there[:, 0] = True
    return there


def close_and_halt(random: Random, there: NDArray[np.bool_], returns: Matrix, scale: float, *, daily: bool) -> None:
    """Close two exchanges on different days, and halt names: a day at takeovers, or up to twenty days."""
    days, names = there.shape
    exchange = (np.arange(names) >= names // 2).astype(int)
    if daily and random.random() < 0.3:
        for place, holidays in enumerate((6, 8)):
            closed = np.ix_(random.random(days) < holidays / 252, exchange == place)
            there[closed], returns[closed] = False, 0.0
    if daily and random.random() < 0.5:
        for _ in range(random.poisson(days * names / 252 * 0.05)):
            start, name = int(random.integers(days)), int(random.integers(names))
            length = 1 if random.random() < 0.8 else int(random.integers(2, 20))
            end = min(days, start + length)
            there[start:end, name], returns[start:end, name] = False, 0.0
            returns[end - 1, name] = max(-0.95, 10 * scale * (1 + random.standard_normal()))
    if not there.any(axis=1).all():
        there[:, 0] = True


def fail(random: Random, there: NDArray[np.bool_], returns: Matrix, known: Matrix, scale: float) -> None:
    """Let half of the names that leave fall for a while and lose much on their last day; signals may like them or not.

    After a name has left, its money lies still.
    """
    liked = random.choice([-1.0, 0.0, 1.0])
    for name in np.flatnonzero(there.any(axis=0) & ~there[-1]):
        last = len(there) - 1 - int(there[::-1, name].argmax())
        returns[last + 1 :, name] = 0.0
        if random.random() < 0.5:
            falling = slice(max(0, last - 60), last)
            returns[falling, name] = np.maximum(-0.95, returns[falling, name] - 0.2 * scale)
            returns[last, name] = -random.uniform(0.1, 0.95)
            known[max(0, last - 60) :, name] += liked


def refusals(sample: Sample) -> set[str]:
    """Name the gates that refuse a panel, by the limits of the packaged policy."""
    found: set[str] = set()

    def hold(gate: str, value: float, slo: str | None = None) -> None:
        if not LIMITS.limit(slo or gate).contains(value):
            found.add(gate)

    returns, horizon = sample.returns, sample.horizon
    dates = calendar(sample.times)
    hold("data.calendar", dates.gap)
    hold("data.calendar", dates.irregularity, "data.frequency")
    cut = left_out(sample.target, sample.features, returns, horizon=horizon, gaps=dates.before_gaps)
    hold("data.calendar", len(cut.days), "data.days_left_out")
    hold("data.calendar", cut.p_value, "data.days_left_out_p")
    agreement = target_agreement(sample.target, returns, horizon=horizon)
    hold("data.target_agrees", agreement.rank_corr)
    hold("data.target_agrees", agreement.lead, "data.target_lead")
    hold("data.target_agrees", 0 if sample.neutralised else 1 - agreement.rank_corr, "data.target_differs")
    hold("data.target_agrees", 0 if sample.neutralised else agreement.broken, "data.target_breaks")
    sizes = return_sizes(returns, periods_per_year=dates.periods_per_year)
    hold("data.returns_plausible", len(sizes.impossible))
    hold("data.returns_plausible", sizes.median, "data.return_size")
    hold("data.returns_plausible", len(sizes.constant), "data.constant_names")
    hold("data.returns_plausible", len(sizes.odd), "data.odd_names")
    hold("data.returns_plausible", len(repeated_names(returns)), "data.repeated_names")
    hold("data.returns_plausible", sizes.clipped, "data.clipped_returns")
    missing = holes(sample.target, sample.scores, returns, horizon=horizon)
    hold("data.holes", missing.share)
    hold("data.holes", missing.p_value, "data.holes_p")
    hold("data.repeated_days", len(repeated_days(returns)))
    rows = int((~np.isnan(returns)).sum())
    if why_nobody_left(rows=rows, periods_per_year=dates.periods_per_year) is None:
        hold("data.survivors", share_of_survivors(returns))
    known = look_ahead(sample.scores, sample.features, returns, horizon=horizon)
    hold("leak.too_good", known.ic)
    held = simulate(sample.scores, returns, horizon=horizon, cost_bps=2)
    hold("leak.too_good", steadiness(held.net, periods_per_year=dates.periods_per_year), "leak.sharpe")
    hold("leak.too_good", known.name_ic, "leak.one_name")
    hold("leak.too_good", known.perfect_p, "leak.perfect_days_p")
    hold("leak.profile", known.excess)
    later = one_day_later(sample.scores, returns, horizon=horizon)
    if horizon > 1 and later.ic > LIMITS.leak.delay_ic:
        hold("leak.delay", min(later.bound, later.last_bound))
    return found


PANEL = ("target_agrees", "returns_plausible", "calendar", "holes", "repeated_days")
HARD = [*(f"data.{gate}" for gate in PANEL), "leak.too_good", "leak.delay"]
SOFT = ["data.survivors", "leak.profile"]


def refused(*, runs: int, seed: int) -> Counter[str]:
    """Count the honest panels that each gate refuses, and those that any hard one does."""
    found: Counter[str] = Counter()
    for run in range(runs):
        gates = refusals(honest(np.random.default_rng([run, seed])))
        found.update(gates)
        found["any hard gate"] += not gates.isdisjoint(HARD)
    return found


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=4711)
    given = arguments.parse_args()
    found = refused(runs=given.runs, seed=given.seed)
    print("| gate | honest panels refused [%] |\n|---|---|")
    for gate in [*HARD, "any hard gate", *SOFT]:
        print(f"| {gate} | {100 * found[gate] / given.runs:.1f} |")


if __name__ == "__main__":
    main()
