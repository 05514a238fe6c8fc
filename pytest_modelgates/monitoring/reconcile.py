"""The paper ledger against the gates' own simulation of the same days, by day and name: signal, fill and cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, NoReference
from ..policy.policy import Policy
from ..predictions.outcomes import Outcomes, read_outcomes
from ..predictions.records import Arm
from ..serving.paper import Scores, capped, paid_for, read_scores
from ..serving.paper_ledger import Held, Ledger, read_ledger
from ..stats.costs import Costs
from ..stats.holdings import evaluate_positions, rank_weights, tranche_weights

Cause = Literal["signal", "fill", "cost"]
CAUSES: tuple[Cause, ...] = ("signal", "fill", "cost")
Matrix = NDArray[np.float64]

_WEIGHT = 1e-9  # what rounding may change of a weight [share of capital]
_RETURN = 1e-5  # by which a return may differ: an outcome is often rounded [share]
_CENT = 1
_ENDLESS = 1e100  # the largest volume that a simulation takes [share of capital]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs of one name on one day, and how."""

    day: date
    asset: str
    cause: Cause
    text: str

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.day} {self.asset}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What holding the ledger against the simulation has found.

    `days` and `names` count the days, and the names on them, that were compared; `outcomes` counts those whose return
    is known apart from the prices. `booked` and `simulated` are what was earned after costs [share of capital], `cuts`
    is the number of days on which a cap bound.
    """

    first_day: date
    last_day: date
    days: int
    names: int
    outcomes: int
    cuts: int
    booked: float
    simulated: float
    differences: tuple[Difference, ...]

    @property
    def causes(self) -> list[Cause]:
        """Which of signal, fill and cost differ."""
        found = {each.cause for each in self.differences}
        return [cause for cause in CAUSES if cause in found]

    @property
    def differing_days(self) -> list[str]:
        """Name the days that differ, each with its causes."""
        days: dict[date, set[Cause]] = {}
        for each in self.differences:
            days.setdefault(each.day, set()).add(each.cause)
        return [
            f"{', '.join(cause for cause in CAUSES if cause in found)} on {day}" for day, found in sorted(days.items())
        ]

    def of(self, cause: Cause) -> list[Difference]:
        """List the differences of one cause."""
        return [each for each in self.differences if each.cause == cause]


def reconcile(artifacts: Artifacts, policy: Policy, arm: Arm, *, since: date = date.min) -> Reconciled:
    """Compare what was booked on paper with what the gates' own simulation makes of the same predictions and prices.

    Each cause is looked at by itself, so that one difference is not told as three: the signal against the predictions
    that the log holds now; the position, and what it earned, against the booked signals, caps and prices, and against
    outcomes where they are known; the cost of the booked trades against the policy.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
        Its costs are charged.
    arm : str
    since : date, optional
        The first day that is compared.

    Returns
    -------
    Reconciled

    Raises
    ------
    NoReference
        If nothing was booked.
    InsufficientDataError
        If there are fewer than two days, or the prediction log is not whole or holds none of them.
    IntegrityError, FormatError
        If the ledger was changed.
    """
    path = artifacts.paper(arm)
    ledger = read_ledger(path)
    if ledger is None or not ledger.days:
        raise NoReference(f"{path}: nothing was booked on paper yet; run: modelgates paper --prices FILE")
    compared = [number for number, day in enumerate(ledger.days) if number and day.day >= since]
    if not compared:
        raise InsufficientDataError(
            f"{path}: no day with one before it to compare, of {len(ledger.days)}; book more, or leave --since out",
            sample=0,
        )
    scores = read_scores(artifacts, arm)
    if not any(ledger.days[number - 1].day in scores.days for number in compared):
        raise InsufficientDataError(
            f"the log of {arm} predictions holds none of the days that were traded on, {ledger.days[0].day} to "
            f"{ledger.days[-1].day}, so nothing can be compared",
            sample=0,
        )
    table = _Table(ledger, scores, read_outcomes(artifacts))
    rates = {number: policy.costs.charged(days_per_year=ledger.days[number].rates.days_per_year) for number in compared}
    differences = [
        Difference(
            day, "*", "fill", f"{len(scores.days[day].scores)} names were predicted, and not traded at its prices"
        )
        for day in sorted(scores.days.keys() - {each.day for each in ledger.days})
        if max(since, ledger.days[0].day) < day < ledger.days[-1].day
    ]
    for number in compared:
        differences += table.signals(number)
        differences += table.fills(number)
        differences += table.costs(number, rates[number])
    return Reconciled(
        first_day=ledger.days[compared[0]].day,
        last_day=ledger.days[-1].day,
        days=len(compared),
        names=sum(len(ledger.days[number].names) for number in compared),
        outcomes=table.known,
        cuts=sum(bool(ledger.days[number].cuts) for number in compared),
        booked=sum(ledger.days[number].net_cents for number in compared) / ledger.opening.capital_cents,
        simulated=table.simulated(compared, rates[compared[-1]]),
        differences=tuple(differences),
    )


class _Table:
    """The days of a ledger and what the log says of them, as matrices of one row a day and one column a name."""

    def __init__(self, ledger: Ledger, scores: Scores, outcomes: Outcomes) -> None:
        self._ledger, self._scores, self._outcomes = ledger, scores, outcomes
        self._capital = ledger.opening.capital_cents
        self._rows: list[dict[str, Held]] = [{each.asset: each for each in day.names} for day in ledger.days]
        predicted = [scores.days[day.day].scores if day.day in scores.days else {} for day in ledger.days]
        self._names = sorted(set[str]().union(*self._rows, *predicted))
        said = np.array([[row.get(name, np.nan) for name in self._names] for row in predicted], dtype=np.float64)
        self._logged = rank_weights(said)
        nothing = Held(asset="", price=0.0, priced=False)
        cells = [[row.get(name, nothing) for name in self._names] for row in self._rows]
        self._priced = np.array([[each.priced for each in row] for row in cells], dtype=bool)
        self._prices = np.array([[each.price for each in row] for row in cells], dtype=np.float64)
        signal = np.array([[each.signal for each in row] for row in cells], dtype=np.float64)
        # A line holds the signal of the day before; that of the last day is not traded on yet.
        self._booked = np.vstack([signal[1:], np.zeros((1, len(self._names)))])
        self._wanted = self._held(self._booked)
        self.known = 0

    def signals(self, number: int) -> Iterator[Difference]:
        """Compare the signal of a day with the predictions of the day before."""
        day, row = self._ledger.days[number], self._rows[number]
        both = (self._logged[number - 1].tolist(), self._booked[number - 1].tolist())
        for name, logged, booked in zip(self._names, *both, strict=True):
            if abs(logged - booked) > _WEIGHT:
                before = self._ledger.days[number - 1].day
                scored = self._scores.days.get(before)
                now = f"{logged:.6g}" if scored and name in scored.scores else "none, as it has no prediction of it"
                was = f"{booked:.6g}" if name in row else "none"
                yield Difference(day.day, name, "signal", f"weight {was} by {before} was booked, the log says {now}")

    def fills(self, number: int) -> Iterator[Difference]:
        """Compare positions with what the booked signals ask for within the caps, and earnings with returns."""
        day, before = self._ledger.days[number], self._rows[number - 1]
        owned = self._shares(number - 1)
        position, _ = capped(
            np.where(self._priced[number], self._wanted[number], 0.0), owned, day.limits, closing=~self._priced[number]
        )
        for name, share in zip(self._names, position.tolist(), strict=True):
            each = self._rows[number].get(name)
            found = each.position_cents if each else 0
            if abs(found - share * self._capital) > _CENT + _WEIGHT * self._capital:
                yield Difference(
                    day.day,
                    name,
                    "fill",
                    f"{found / 100:,.2f} was booked, {share * self._capital / 100:,.2f} asked for",
                )
            if each and name in before and before[name].position_cents:
                yield from self._earned(number, each, before[name])

    def _earned(self, number: int, each: Held, was: Held) -> Iterator[Difference]:
        day, before = self._ledger.days[number].day, self._ledger.days[number - 1].day
        by_price = each.price / was.price - 1
        if abs(each.gross_cents - was.position_cents * by_price) > _CENT:
            expected = was.position_cents * by_price / 100
            yield Difference(
                day, each.asset, "fill", f"{each.gross_cents / 100:,.2f} earned, prices say {expected:,.2f}"
            )
        scored = self._scores.days.get(before)
        row_key = scored.keys.get(each.asset) if scored else None
        key = self._outcomes.key_of(row_key) if row_key else None
        if key is None:
            return
        self.known += 1
        if abs((outcome := self._outcomes.values[key]) - by_price) > _RETURN:
            yield Difference(
                day, each.asset, "fill", f"returned {by_price:.4%} by the prices, {outcome:.4%} by the outcome"
            )

    def costs(self, number: int, costs: Costs) -> Iterator[Difference]:
        """Compare what was paid with what the policy charges on the booked trades and positions."""
        day = self._ledger.days[number]
        volumes = [(each.volume or 0.0) if each.priced else math.inf for each in day.names]
        paid = paid_for(
            [each.trade_cents for each in day.names],
            [each.position_cents for each in day.names],
            self._capital,
            costs,
            volumes if any(volumes) else None,
        )
        for each, share in zip(day.names, paid.tolist(), strict=True):
            if abs(each.cost_cents - share * self._capital) > _CENT:
                expected = share * self._capital / 100
                yield Difference(
                    day.day, each.asset, "cost", f"{each.cost_cents / 100:,.2f} was paid, {expected:,.2f} is charged"
                )

    def simulated(self, compared: list[int], costs: Costs) -> float:
        """Simulate the days by the log alone, and sum up what would have been earned after costs [share of capital]."""
        wanted, before = self._held(self._logged), np.zeros(len(self._names))
        position = np.zeros_like(wanted)
        for number, day in enumerate(self._ledger.days):
            open_ = self._priced[number]
            position[number], _ = capped(np.where(open_, wanted[number], 0.0), before, day.limits, closing=~open_)
            position[number][~open_] = 0.0
            before = position[number]
        both = self._priced[:-1] & self._priced[1:]
        moved = np.divide(self._prices[1:], self._prices[:-1], out=np.ones_like(both, dtype=np.float64), where=both) - 1
        returns = np.vstack([moved, np.zeros((1, len(self._names)))])
        volumes = [[row[name].volume or 0.0 if name in row else 0.0 for name in self._names] for row in self._rows]
        volume = None
        if np.any(volumes):
            # What is closed for want of a price moves none.
            volume = np.where(self._priced, 100 / self._capital * np.array(volumes), _ENDLESS)
        found = evaluate_positions(position, returns, cost_bps=costs, volume=volume)
        rows = np.array(compared)
        # What a day's position earns is booked on the next.
        return float((found.gross[rows - 1] - (found.gross - found.net)[rows]).sum())

    def _held(self, weights: Matrix) -> Matrix:
        """Hold each day's weights for the horizon that was booked with them, as the gates do."""
        days = self._ledger.days
        horizons = np.array([*(day.horizon or 0 for day in days[1:]), 0])
        horizons[horizons == 0] = max(self._ledger.longest, 1)
        held = np.zeros_like(weights)
        for horizon in np.unique(horizons).tolist():
            held += tranche_weights(np.where((horizons == horizon)[:, np.newaxis], weights, 0.0), horizon=horizon)
        return held

    def _shares(self, number: int) -> Matrix:
        row = self._rows[number]
        return np.array([row[name].position_cents / self._capital if name in row else 0.0 for name in self._names])
