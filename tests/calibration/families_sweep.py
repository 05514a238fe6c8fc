"""How often panels of the same market are told apart, and panels of different markets are not.

Prints the table of docs/statistics.md: ``python -m tests.calibration.families_sweep``. Every panel has a seed of its
own, so it prints the same again.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pytest_modelgates.stats.families import market_hashes, one_family

Rows = tuple[NDArray[np.datetime64], NDArray[np.int64], NDArray[np.float64]]
Random = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Returns by day and name, NaN where there is no row."""

    days: NDArray[np.datetime64]
    returns: NDArray[np.float64]


def invented(rng: Random, *, days: int, names: int, common: float = 0.0) -> Table:
    """Fat-tailed returns of 1 % a day; `common` is the size of the market's own beside that of a name."""
    own, market = rng.standard_t(5, (days, names)), rng.standard_t(5, (days, 1))
    beta = common * (1 + 0.3 * rng.standard_normal(names))
    size = 0.01 * np.sqrt(3 / 5) * np.exp(0.4 * rng.standard_normal(names))
    dates = pd.bdate_range("2015-01-01", periods=days).to_numpy()
    return Table(dates, _earned(_prices(np.clip(size * (own + beta * market), -0.5, 0.5))))


def by_rows(found: Table) -> Rows:
    """One row for each day and name."""
    day, name = np.nonzero(~np.isnan(found.returns))
    return found.days[day], name, found.returns[day, name]


def shared(one: Table, other: Table) -> float:
    """Share of the hashes of the smaller panel that are in the other."""
    found = [market_hashes(*by_rows(table)) for table in (one, other)]
    return float(np.intersect1d(*found).size / min(map(len, found)))


def same(one: Table, other: Table) -> bool:
    """Whether both count as one family."""
    return one_family(*(market_hashes(*by_rows(table)) for table in (one, other)))


def _prices(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    start = np.zeros((1, returns.shape[1]))
    prices: NDArray[np.float64] = 50 * np.exp(np.cumsum(np.log1p(np.vstack([start, returns])), axis=0))
    return prices


def _earned(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    earned: NDArray[np.float64] = (prices[1:] / prices[:-1] - 1).astype(np.float64)
    return earned


def _of(change: Callable[[NDArray[np.float64], Random], NDArray[np.float64]]) -> Callable[[Table, Random], Table]:
    return lambda found, rng: Table(found.days, change(found.returns, rng))


def _later(offset: pd.DateOffset) -> Callable[[Table, Random], Table]:
    return lambda found, _: Table((pd.DatetimeIndex(found.days) + offset).to_numpy(), found.returns)


def _part(days: slice, names: slice = slice(None)) -> Callable[[Table, Random], Table]:
    def part(found: Table, _: Random) -> Table:
        n = len(found.days)
        cut = slice(*(None if share is None else int(share * n) for share in (days.start, days.stop)))
        return Table(found.days[cut], found.returns[cut, names])

    return part


def _adjusted_again(returns: NDArray[np.float64], rng: Random) -> NDArray[np.float64]:
    prices = _prices(returns)
    for end in range(63, len(prices), 63):
        prices[:end] *= 1 - 0.006 * rng.random(prices.shape[1])
    return _earned(np.maximum(np.round(prices, 2), 0.01))


def _first_days_left_out(found: Table, _: Random) -> Table:
    months = found.days.astype("datetime64[M]")
    kept = np.append(False, months[1:] == months[:-1])
    return Table(found.days[kept], found.returns[kept])


def _about_the_day(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    about: NDArray[np.float64] = returns - returns.mean(axis=1, keepdims=True)
    return about


def _bill(returns: NDArray[np.float64], rng: Random) -> NDArray[np.float64]:
    drift: NDArray[np.float64] = returns - (1e-4 + 1e-6 * np.cumsum(rng.standard_normal((len(returns), 1)), axis=0))
    return drift


def _everything(found: Table, rng: Random) -> Table:
    for name in ("logarithms", "in excess of a bill", "5 decimals", "a trading day later", "half of the names"):
        found = ALIKE[name](found, rng)
    return found


ALIKE: dict[str, Callable[[Table, Random], Table]] = {
    "from prices in float32": _of(lambda r, _: _earned(_prices(r).astype(np.float32))),
    "5 decimals": _of(lambda r, _: np.round(r, 5)),
    "logarithms": _of(lambda r, _: np.log1p(r)),
    "in excess of a bill": _of(_bill),
    "in excess of the mean of the day": _of(lambda r, _: _about_the_day(r)),
    "adjusted again, prices in cents": _of(_adjusted_again),
    "noise of 1e-5": _of(lambda r, rng: r + 1e-5 * rng.standard_normal(r.shape)),
    "in another currency": _of(lambda r, rng: (1 + r) * (1 + 0.005 * rng.standard_normal((len(r), 1))) - 1),
    "a calendar day later": _later(pd.DateOffset(days=1)),
    "a trading day later": _later(pd.offsets.BDay(1)),
    "without the first day of each month": _first_days_left_out,
    "one row in 50 missing": _of(lambda r, rng: np.where(rng.random(r.shape) < 0.02, np.nan, r)),
    "half of the names": _part(slice(None), slice(None, None, 2)),
    "half of the days": _part(slice(0.5, None)),
    "as many invented names added": _of(lambda r, rng: np.hstack([r, 0.01 * rng.standard_normal(r.shape)])),
    "logarithms in excess of a bill, 5 decimals, a trading day later, half of the names": _everything,
}


def _two(names_common: float) -> Callable[[Random, int], tuple[Table, Table]]:
    return lambda rng, names: tuple(invented(rng, days=750, names=names, common=names_common) for _ in range(2))  # type: ignore[return-value]


def _halves(common: float) -> Callable[[Random, int], tuple[Table, Table]]:
    def halves(rng: Random, names: int) -> tuple[Table, Table]:
        whole = invented(rng, days=750, names=2 * names, common=common)
        return tuple(Table(whole.days, whole.returns[:, part]) for part in (slice(names), slice(names, None)))  # type: ignore[return-value]

    return halves


def _one_after_the_other(rng: Random, names: int) -> tuple[Table, Table]:
    whole = invented(rng, days=1500, names=names, common=1)
    return Table(whole.days[:750], whole.returns[:750]), Table(whole.days[750:], whole.returns[750:])


APART: dict[str, Callable[[Random, int], tuple[Table, Table]]] = {
    "two markets": _two(0),
    "names of one market, correlation 0.2": _halves(0.5),
    "names of one market, correlation 0.5": _halves(1),
    "the same names, three years later": _one_after_the_other,
}


def _share(runs: int, one_family_found: Callable[[int], bool]) -> float:
    return sum(map(one_family_found, range(runs))) / runs


def lost(name: str, *, runs: int, seed: int = 0) -> float:
    """Share of panels of 20 names over two to three years that a change makes another family."""

    def found(run: int) -> bool:
        rng = np.random.default_rng([seed, run])
        one = invented(rng, days=int(rng.integers(500, 751)), names=20, common=float(rng.choice([0, 0.5, 1])))
        return not same(one, ALIKE[name](one, rng))

    return _share(runs, found)


def confused(name: str, *, names: int, runs: int, seed: int = 0) -> float:
    """Share of pairs of different panels, of so many names over three years each, that are called one family."""
    return _share(runs, lambda run: same(*APART[name](np.random.default_rng([seed, run]), names)))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    given = arguments.parse_args()
    for row in ALIKE:
        print(f"| {row} | {lost(row, runs=given.runs):.1%} |", flush=True)
    for row in APART:
        few, many = confused(row, names=20, runs=given.runs), confused(row, names=300, runs=max(1, given.runs // 20))
        print(f"| {row} | {few:.1%} | {many:.1%} |", flush=True)
