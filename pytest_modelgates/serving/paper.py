"""The paper broker: positions that follow logged predictions at given prices, as the gates hold them. Nothing trades.

A position is held as the gates hold it: tranches of rank weights, a day after their scores, on a constant capital, put
back at each close without a charge for the drift. What a name earned is settled in cash every day.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, RefusedError, StatisticsError
from ..policy.operations import PaperLimits
from ..predictions.counting import Tally, Window, asked_for, refuse_incomplete
from ..predictions.parts import parts
from ..predictions.reading import Reading
from ..predictions.records import Arm, Prediction
from ..stats.caps import Caps, slowed, within
from ..stats.costs import Costs, daily_cost
from ..stats.holdings import rank_weights
from ..storage.atomic import make_folder
from ..storage.lines import drop_torn_line
from ..storage.lock import locked_file
from ..storage.row_keys import canonical
from ..storage.text import counted, cut
from .guards import KillSwitch
from .paper_ledger import CENTS, Cut, Day, Held, Ledger, Limits, Opening, Rates, read_ledger, write_line
from .prices import Quotes

_ROUNDING = 1e-9  # a share of capital below which a cap did not bind
Series = NDArray[np.float64]
# In the order in which the gates keep them.
_SIZES: dict[str, Callable[[Series], float]] = {
    "weight": lambda position: float(np.abs(position).max(initial=0.0)),
    "net": lambda position: abs(float(position.sum())),
    "gross": lambda position: float(np.abs(position).sum()),
}


@dataclass(frozen=True, slots=True)
class Scored:
    """What the predictions of one day say: a score of each asset, and the model of the newest."""

    model_id: str
    scores: dict[str, float] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Scores:
    """The predictions of an arm by the day of their rows, from `since` on.

    `done` holds the parts that will not change any more, each with the newest day of its rows. `nameless` counts
    predictions of rows that name neither a time nor an asset, which no position can follow.
    """

    days: dict[date, Scored] = field(default_factory=dict)
    done: dict[str, date] = field(default_factory=dict)
    nameless: int = 0


def read_scores(artifacts: Artifacts, arm: Arm, *, since: date = date.min, read: Iterable[str] = ()) -> Scores:
    """Read the predictions of an arm; of each row, the last one counts.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    since : date, optional
        The first day of rows that is asked for.
    read : iterable of str, optional
        Parts that hold none, and are not read again.

    Raises
    ------
    InsufficientDataError
        If the log is not whole.
    StatisticsError
        If a row names a time or an asset alone, or two rows are of one date and asset.
    """
    found, tally, known = Scores(), Tally(), set(read)
    for part in parts(artifacts, arm):
        name = f"{part.day}/{part.name}"
        if name in known:
            continue
        reading, newest = Reading(), date.min
        for record in asked_for(part, Window(), tally, reading):
            if record.prediction is None:
                continue
            if record.nameless:
                found.nameless += 1
                continue
            newest = max(newest, record.day)
            if record.day >= since:
                _take(found.days, record, record.prediction)
        if reading.closing is not None:
            found.done[name] = newest
    refuse_incomplete(tally, arm)
    return found


def _take(days: dict[date, Scored], record: Prediction, score: float) -> None:
    _, mark, asset = record.row_key.partition("|")
    if not mark or record.goes_by_content:
        hidden = record.row_key.startswith("hashed:")
        why = "its key is hidden ([log] hash_keys)" if hidden else "serve rows with a time and an asset"
        raise StatisticsError(f"row {cut(record.row_key)!r} names no asset, so nothing can be traded by it: {why}")
    scored = days.setdefault(record.day, Scored(record.model_id))
    key = canonical(record.row_key)
    if scored.keys.setdefault(asset, key) != key:
        raise StatisticsError(
            f"two rows are of {record.day} and {cut(asset)}: positions are held from day to day; serve one row an "
            "asset and date"
        )
    days[record.day] = Scored(record.model_id, scored.scores, scored.keys)
    scored.scores[asset] = score


def signal_of(scores: Mapping[str, float]) -> dict[str, float]:
    """Turn the scores of a day into weights of gross 1 [share of capital]."""
    names = sorted(scores)
    weights = rank_weights([[scores[name] for name in names]])[0] if names else np.empty(0)
    return dict(zip(names, weights.tolist(), strict=True))


def next_day(
    ledger: Ledger,
    day: date,
    quotes: Quotes,
    *,
    signal: Mapping[str, float],
    model_id: str | None,
    horizon: int | None,
    costs: Costs,
    limits: Limits,
    done: Sequence[str] = (),
) -> Day:
    """Make the next day of a ledger: what is asked for, what the caps leave of it, what it costs and has earned.

    Parameters
    ----------
    ledger : Ledger
    day : date
    quotes : Quotes
        The prices of that day. A name that is held and has none is closed at its last price.
    signal : mapping of str to float
        The weights that the scores of the day before ask for [share of capital], of which a share of 1 / `horizon` is
        held for `horizon` days.
    model_id, horizon
        Whose scores these are; None if there are none.
    costs : Costs
        What is charged, by the code of the gates.
    limits : Limits
        The caps.
    done : sequence of str
        Parts of the prediction log that need not be read again.

    Returns
    -------
    Day
        It is neither written nor part of the ledger yet.

    Raises
    ------
    StatisticsError
        If impact is charged and a traded name has no volume.
    """
    before = ledger.days[-1] if ledger.days else None
    held, whole = before.positions if before else {}, ledger.opening.capital_cents
    asked = _asked(ledger, signal, horizon)
    names = sorted(held.keys() | asked.keys() | signal.keys())
    priced = np.array([name in quotes.prices for name in names], dtype=bool)
    wanted = np.array([asked.get(name, 0.0) for name in names])
    owned = np.array([held[name].position_cents if name in held else 0 for name in names], dtype=object)
    # Without a price nothing is bought, and what is held is closed.
    position, cuts = capped(np.where(priced, wanted, 0.0), (owned / whole).astype(float), limits, closing=~priced)
    cents = [round(share * whole) for share in position.tolist()]
    trades = [now - was for now, was in zip(cents, owned.tolist(), strict=True)]
    volumes = None
    if quotes.volumes is not None:
        # What is closed for want of a price moves none.
        volumes = [quotes.volumes.get(name, 0.0) if name in quotes.prices else math.inf for name in names]
    paid = paid_for(trades, cents, whole, costs, volumes)
    rows = []
    for place, name in enumerate(names):
        was = held.get(name)
        price = quotes.prices.get(name, was.price if was else 0.0)
        earned = round(was.position_cents * (price / was.price - 1)) if was else 0
        row = Held(
            asset=name,
            price=price,
            signal=signal.get(name, 0.0),
            wanted=float(wanted[place]),
            position_cents=cents[place],
            trade_cents=trades[place],
            gross_cents=earned,
            cost_cents=round(paid[place] * whole),
            priced=bool(priced[place]),
            volume=quotes.volumes.get(name) if quotes.volumes is not None else None,
        )
        rows.append(row)
    gross, cost = sum(row.gross_cents for row in rows), sum(row.cost_cents for row in rows)
    cash, value = (before.cash_cents, before.value_cents) if before else (whole, whole)
    return Day(
        day=day,
        booked=datetime.now(UTC),
        model_id=model_id,
        horizon=horizon,
        names=tuple(rows),
        cuts=cuts,
        rates=Rates(
            per_turnover_bps=costs.per_turnover_bps,
            borrow_bps_per_year=costs.borrow_bps_per_year,
            impact_bps=costs.impact_bps,
            days_per_year=costs.days_per_year,
        ),
        limits=limits,
        gross_cents=gross,
        cost_cents=cost,
        net_cents=gross - cost,
        cash_cents=cash - sum(trades) - cost + gross,
        value_cents=value + gross - cost,
        parts=tuple(done),
    )


def _asked(ledger: Ledger, signal: Mapping[str, float], horizon: int | None) -> dict[str, float]:
    """Add up the tranches that are held: each for its own horizon, of which it is an equal share."""
    recent = islice(reversed(ledger.days), ledger.longest)
    tranches = [(dict(signal), horizon), *((each.signal, each.horizon) for each in recent)]
    asked: dict[str, float] = {}
    for age, (weights, held_for) in enumerate(tranches, 1):
        if held_for is not None and age <= held_for:
            for name, weight in weights.items():
                asked[name] = asked.get(name, 0.0) + weight / held_for
    return asked


def capped(
    wanted: Series, before: Series, limits: Limits, *, closing: NDArray[np.bool_]
) -> tuple[Series, tuple[Cut, ...]]:
    """Keep the caps of a day: weight, net, gross, turnover, each of what those before left; say which of them bound."""
    cuts, position = [], wanted
    for name, size in _SIZES.items():
        limit, asked = getattr(limits, name), size(position)
        position = within(position[np.newaxis], Caps(**{name: limit}))[0]
        if asked > limit + _ROUNDING:
            cuts.append(Cut(cap=name, limit=limit, asked=asked))
    turnover = float(np.abs(position - before).sum())
    if turnover > limits.turnover + _ROUNDING:
        cuts.append(Cut(cap="turnover", limit=limits.turnover, asked=turnover))
        position = slowed(position, before, limits.turnover, closing=closing)
    return position, tuple(cuts)


def paid_for(
    trades: Sequence[int], positions: Sequence[int], capital: int, costs: Costs, volumes: Sequence[float] | None
) -> Series:
    """Charge the trade and the position of each name by itself, by the code that the gates charge a day by.

    Parameters
    ----------
    trades, positions : sequence of int
        Of each name [cents].
    capital : int
        What is invested [cents].
    costs : Costs
    volumes : sequence of float, optional
        What the whole market traded of each name [currency].

    Returns
    -------
    ndarray of float64, shape (n_names,)
        What is paid for each [share of capital].

    Raises
    ------
    StatisticsError
        If impact is charged and a traded name has no volume.
    """
    if not trades:
        return np.empty(0)
    # A name is a row here, so that the sums of that code are over one name each.
    traded, position = (np.array([[amount / capital] for amount in side]) for side in (trades, positions))
    volume = None if volumes is None else CENTS / capital * np.array(volumes)[:, np.newaxis]
    return daily_cost(np.abs(traded), position, costs, volume)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What a run of the broker did.

    `days` are new, `ledger` is all there is. `restated` counts prices that differ from those that were booked with,
    `unpriced` holds days with predictions and without prices, and `nameless` counts predictions that were read of rows
    that name neither a time nor an asset.
    """

    days: list[Day]
    ledger: Ledger
    restated: int
    unpriced: list[date]
    nameless: int


def trade_on_paper(
    artifacts: Artifacts,
    arm: Arm,
    prices: Mapping[date, Quotes],
    *,
    horizon_of: Callable[[str], int],
    costs: Costs,
    capital: float,
    limits: PaperLimits,
    lock_timeout_s: float,
) -> Booked:
    """Book every day of a table of prices that the ledger of an arm lacks; a run that was cut short is continued.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    prices : mapping of date to Quotes
        Days that were booked before may be among them, and are left alone.
    horizon_of : callable
        Gives the horizon of a model by its id [days].
    costs : Costs
    capital : float
        What is invested [currency].
    limits : PaperLimits
    lock_timeout_s : float
        How long to wait for another run on the same ledger [s].

    Returns
    -------
    Booked

    Raises
    ------
    KilledError
        If the arm is stopped; days before were booked.
    RefusedError
        If the arm is shadow, or the ledger has another capital.
    InsufficientDataError
        If the prediction log is not whole, or has nothing that can be traded on.
    IntegrityError, FormatError
        If the ledger was changed.
    """
    if arm == "shadow":
        raise RefusedError(
            "shadow never trades, not even on paper; `modelgates compare` says what its predictions would have earned"
        )
    switch, path = KillSwitch(artifacts, arm), artifacts.paper(arm)
    switch.refuse()
    make_folder(path.parent, mode=artifacts.directory_mode)
    with locked_file(path.with_suffix(".lock"), timeout_s=lock_timeout_s, mode=artifacts.file_mode):
        drop_torn_line(path)
        ledger = read_ledger(path)
        whole = round(capital * CENTS)
        if ledger and ledger.opening.capital_cents != whole:
            raise RefusedError(
                f"{path}: began with a capital of {ledger.opening.capital_cents / CENTS:,.2f}, and the policy says "
                f"{capital:,.2f} ([costs] capital); put that back, or move the ledger away and begin another"
            )
        booked = ledger.days if ledger else []
        read = {name for each in booked for name in each.parts}
        found = read_scores(artifacts, arm, since=booked[-1].day if booked else date.min, read=read)
        if not booked and not found.days:
            if found.nameless:
                raise InsufficientDataError(
                    f"{counted(found.nameless, 'prediction')} of {arm}, and all of rows that name neither a time nor "
                    "an asset, so there is nothing to trade on; send both with each row"
                )
            raise InsufficientDataError(f"nothing has predicted as {arm} yet, so there is nothing to trade on")
        begin = min(found.days) if not booked else None
        wanted = sorted(day for day in prices if (day > booked[-1].day if booked else begin and day >= begin))
        if not booked and not wanted:
            raise InsufficientDataError(
                f"the first predictions are of {begin}, and the newest prices of {max(prices)}; give the prices of "
                "that day and of later ones"
            )
        if ledger is None:
            ledger = Ledger(Opening(arm=arm, capital_cents=whole, opened=datetime.now(UTC)))
            write_line(path, ledger.opening, mode=artifacts.file_mode)
        new = []
        for day in wanted:
            switch.refuse()
            last = ledger.days[-1].day if ledger.days else None
            scored = found.days.get(last) if last else None
            done = [name for name, newest in found.done.items() if last and newest <= last]
            line = next_day(
                ledger,
                day,
                prices[day],
                signal=signal_of(scored.scores) if scored else {},
                model_id=scored.model_id if scored else None,
                horizon=horizon_of(scored.model_id) if scored else None,
                costs=costs,
                limits=Limits(weight=limits.weight, gross=limits.gross, net=limits.net, turnover=limits.turnover),
                done=done,
            )
            switch.refuse()
            ledger.add(line)
            write_line(path, line, mode=artifacts.file_mode)
            new.append(line)
            for name in done:
                del found.done[name]
    known = {each.day for each in ledger.days}
    return Booked(
        days=new,
        ledger=ledger,
        restated=_restated(booked[: len(ledger.days) - len(new)], prices),
        unpriced=sorted(day for day in found.days if day not in known and day <= max(known)),
        nameless=found.nameless,
    )


def _restated(days: Iterable[Day], prices: Mapping[date, Quotes]) -> int:
    """Count the prices of booked days that are others now."""
    return sum(
        prices[each.day].prices.get(held.asset, held.price) != held.price
        for each in days
        if each.day in prices
        for held in each.names
        if held.priced
    )
