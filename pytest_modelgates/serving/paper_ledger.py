"""The ledger of what was traded on paper: JSON lines, a day each, in whole cents that add up. Nothing is rewritten."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError, IntegrityError
from ..predictions.records import Arm
from ..storage.lines import append_atomic, lines_from_start
from ..storage.strict_json import Moment
from ..storage.text import first_line

NOT_A_LINE = (msgspec.DecodeError, UnicodeDecodeError)
CENTS = 100


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="line", tag="opening"):
    """The first line: whose predictions are followed, with which capital, since when."""

    format: Literal[1] = 1
    arm: Arm
    capital_cents: Annotated[int, msgspec.Meta(gt=0)]
    opened: Moment


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One name on one day.

    Parameters
    ----------
    asset : str
    price : float
        At which was traded; the last one known if `priced` is false.
    signal : float
        The weight that the newest scores alone ask for [share of capital].
    wanted : float
        The weight that all tranches together ask for, before any cap [share of capital].
    position_cents, trade_cents : int
        What is held after the trade, and the trade, below 0 if sold [cents].
    gross_cents, cost_cents : int
        What the position before earned since the day before, and what is paid today [cents].
    priced : bool
        Whether there is a price today. Without one, what is held is closed at the last.
    volume : float, optional
        What the whole market traded, if the prices say so [currency].
    """

    asset: str
    price: float
    signal: float = 0.0
    wanted: float = 0.0
    position_cents: int = 0
    trade_cents: int = 0
    gross_cents: int = 0
    cost_cents: int = 0
    priced: bool = True
    volume: float | None = None


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A cap that bound: its name and size, and what it was asked for [share of capital]."""

    cap: str
    limit: float
    asked: float

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.cap} cut from {self.asked:.4g} to {self.limit:.4g}"


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was charged on a day, as `stats.costs.Costs` has it."""

    per_turnover_bps: float
    borrow_bps_per_year: float
    impact_bps: float
    days_per_year: float


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The caps in force on a day [share of capital]."""

    weight: float
    gross: float
    net: float
    turnover: float


class Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="line", tag="day"):
    """What was traded at the prices of one day, and what it came to.

    Parameters
    ----------
    day : date
    booked : datetime
        When the line was written.
    model_id, horizon
        The model whose scores of the day before are `signal`, and for how many days it is held; None if there were
        none.
    names : tuple of Held
        Every name that is held, traded, or asked for.
    gross_cents, cost_cents, net_cents : int
        Sums over the names, and their difference [cents].
    cash_cents, value_cents : int
        What is not invested, and with all positions [cents].
    parts : tuple of str
        Parts of the prediction log that need not be read again.
    """

    day: date
    booked: Moment
    model_id: str | None
    horizon: int | None
    names: tuple[Held, ...]
    cuts: tuple[Cut, ...]
    rates: Rates
    limits: Limits
    gross_cents: int
    cost_cents: int
    net_cents: int
    cash_cents: int
    value_cents: int
    parts: tuple[str, ...] = ()

    @property
    def positions(self) -> dict[str, Held]:
        """What is held after the trades of the day."""
        return {each.asset: each for each in self.names if each.position_cents}

    @property
    def signal(self) -> dict[str, float]:
        """The weights that the newest scores ask for."""
        return {each.asset: each.signal for each in self.names if each.signal}


_decode = msgspec.json.Decoder(Opening | Day).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Ledger:
    """A ledger that was read: how it was opened, its days, oldest first, and the longest horizon among them."""

    opening: Opening
    days: list[Day] = field(default_factory=list)
    longest: int = 0

    def add(self, day: Day) -> None:
        """Take one more day.

        Raises
        ------
        IntegrityError
            If it does not follow from the day before, to the cent.
        """
        if why := why_not_next(self.opening, self.days[-1] if self.days else None, day):
            raise IntegrityError(why)
        self.days.append(day)
        self.longest = max(self.longest, day.horizon or 0)


def read_ledger(path: Path) -> Ledger | None:
    """Read a ledger; None if there is none. A last line without its end, which a crash leaves, is read over.

    Raises
    ------
    FormatError
        If a line is not one of a ledger.
    IntegrityError
        If the lines do not add up: then somebody changed them.
    """
    ledger: Ledger | None = None
    for number, line in enumerate(lines_from_start(path), 1):
        where = f"{path}, line {number}"
        try:
            found = _decode(line)
        except NOT_A_LINE as error:
            raise FormatError(f"{where}: not a line of a paper ledger ({first_line(error)}); put it back") from error
        if isinstance(found, Opening) == (ledger is not None):
            raise FormatError(f"{where}: expected {'a day' if ledger else 'the opening'}; put the ledger back")
        if isinstance(found, Opening):
            ledger = Ledger(found)
            continue
        assert ledger is not None
        try:
            ledger.add(found)
        except IntegrityError as error:
            raise IntegrityError(
                f"{where}: {error}: the ledger was changed; put it back, or move it away and begin another"
            ) from error
    return ledger


def write_line(path: Path, line: Opening | Day, *, mode: int) -> None:
    """Append a line durably: whole or not at all."""
    append_atomic(path, _encode(line) + b"\n", durable=True, mode=mode)


def why_not_next(opening: Opening, before: Day | None, day: Day) -> str | None:
    """Say what in a day does not follow from the day before; None if all adds up."""
    if before and day.day <= before.day:
        return f"{day.day} comes after {before.day}"
    held = before.positions if before else {}
    now = {each.asset: each for each in day.names}
    if len(now) < len(day.names):
        return "a name stands there twice"
    if lost := held.keys() - now.keys():
        return f"{min(lost)} was held, and is not there any more"
    for asset, each in now.items():
        was = held[asset].position_cents if asset in held else 0
        if each.position_cents != was + each.trade_cents:
            return f"{asset} has {each.position_cents} cents, expected {was} and the trade of {each.trade_cents}"
    cash, value = (before.cash_cents, before.value_cents) if before else (opening.capital_cents,) * 2
    gross, cost, traded, invested = (
        sum(getattr(each, name) for each in day.names)
        for name in ("gross_cents", "cost_cents", "trade_cents", "position_cents")
    )
    for name, expected in (
        ("gross_cents", gross),
        ("cost_cents", cost),
        ("net_cents", gross - cost),
        ("cash_cents", cash - traded - cost + gross),
        ("value_cents", value + gross - cost),
    ):
        if getattr(day, name) != expected:
            return f"{name} is {getattr(day, name)}, expected {expected}"
    if day.value_cents != day.cash_cents + invested:
        return f"value_cents is {day.value_cents}, expected cash and positions, {day.cash_cents + invested}"
    return None
