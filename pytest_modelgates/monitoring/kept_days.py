"""What following a signal has come to, day by day, in one file, so that a look reads what is new and what that changes.

A day's position follows the scores of a few days before. So where rows or outcomes of a day are new, changed or gone,
that day and those that follow closely are followed again, from the files that hold their rows. The file names every
part and every file of outcomes, with the days of their rows and how each lay on the disk. It may be deleted at any
time; then all is read again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..drift.kept import NOT_KEPT, Array
from ..errors import FormatError, InsufficientDataError
from ..model.sidecar import Sidecar
from ..policy.policy import Policy
from ..predictions.columns import UNDATED, day_of, days_of_keys
from ..predictions.counting import Tally, Window, asked_columns, refuse_incomplete
from ..predictions.outcomes import Outcomes, files_of, read_outcomes
from ..predictions.parts import parts
from ..predictions.reading import Reading, read_columns
from ..stats.costs import cost_of, sold_short
from ..stats.holdings import dispersion, moving, per_scale, simulate
from ..stats.portfolio import exposures
from ..storage.digests import sha256
from ..storage.strict_json import canonical, read_bytes
from ..storage.text import counted
from .older_parts import Stamp, name_of, stamp_of
from .realised import Market, costs_of
from .way_out import ARM

FILE = "days.counts"
_MOST_BYTES = 2**30
_NUMBERS = ("gross", "turnover", "short", "scale", "span", "gross_exposure", "net_exposure", "largest_weight")
_READ = partial(read_columns, keys=True)
_ROW = np.dtype([("day", "<i8"), *((name, "<f8") for name in _NUMBERS)])


class _Source(msgspec.Struct, frozen=True):
    """How a file lay on the disk, and the days that its rows are of [days since 1970]."""

    stamp: Stamp | None
    days: frozenset[int]

    def may_hold(self, days: frozenset[int]) -> bool:
        """Whether rows of these days may be in it."""
        return UNDATED in self.days or not days.isdisjoint(self.days)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of each day, NaN where no position is complete, and all files that they were found in."""

    of: str
    parts: dict[str, _Source]
    outcomes: dict[str, _Source]
    packed: Array
    format: int = 1

    @property
    def rows(self) -> NDArray[Any]:
        """The rows, in order of time."""
        return self.packed.unpacked().view(_ROW)


@dataclass(frozen=True, slots=True, eq=False)
class Daily:
    """What the positions of each day came to: IC and return after costs, and the exposures as `exposures` has them."""

    ic_net: NDArray[np.float64]
    net: NDArray[np.float64]
    exposures: NDArray[np.float64]


class _Read:
    """What is read of the log and of outcomes: which days changed since they were kept, and rows of some days."""

    def __init__(self, artifacts: Artifacts, sidecar: Sidecar, window: Window, before: _Kept) -> None:
        self._artifacts, self._sidecar, self._window, self._tally = artifacts, sidecar, window, Tally()
        self._told = dict[str, Outcomes]()
        self._files = {path.name: path for path in files_of(artifacts)}
        # The log may be long, and says nothing as long as nothing is known.
        log = parts(artifacts, ARM, since=window.first_day) if self._files else []
        self._log = {name_of(part): part for part in log}
        paths = {name: part.path for name, part in self._log.items()}
        self.parts, rows = _sources(paths, before.parts, self._days_of_part)
        refuse_incomplete(self._tally, ARM)
        self.outcomes, outcomes = _sources(self._files, before.outcomes, self._days_of_outcomes)
        self._known, scored = _days_in(self.outcomes.values()), _days_in(self.parts.values())
        # Of other days there is, and was, no row whose outcome is known.
        both = (self._known | _days_in(before.outcomes.values())) & (scored | _days_in(before.parts.values()))
        undated = UNDATED in self._known | scored  # it may be of any day
        self.changed = self._known | scored if undated else (rows | outcomes) & both

    def _days_of_part(self, name: str) -> Iterator[int]:
        for columns in asked_columns(self._log[name], self._window, self._tally, Reading()):
            yield from np.unique(columns.day).tolist()

    def _days_of_outcomes(self, name: str) -> Iterator[int]:
        yield from np.unique(days_of_keys(self._outcomes_in(name).values)).tolist()

    def _outcomes_in(self, name: str) -> Outcomes:
        if name not in self._told:
            self._told[name] = read_outcomes(self._artifacts, [self._files[name]])
        return self._told[name]

    def _outcomes_of(self, days: frozenset[int]) -> Outcomes:
        """Read what came of the rows of some days."""
        found = Outcomes()
        for name in self._files:
            if (source := self.outcomes[name]).may_hold(days):
                told = self._outcomes_in(name)
                found.files += told.files
                found.values |= told.values if source.days <= days else _of_days(told.values, days)
        return found

    def _scores(self, market: Market, days: frozenset[int]) -> NDArray[np.float64]:
        """Take the last prediction of each row, as `Scores` does."""
        found = np.full(market.values.size, np.nan)
        for name, part in self._log.items():
            if self.parts[name].may_hold(days):
                for columns in asked_columns(part, self._window, self._tally, Reading(), read=_READ):
                    assert columns.keys is not None
                    places = market.places_of(columns.keys.tolist())
                    scored = (places >= 0) & ~columns.failed
                    found[places[scored]] = columns.prediction[scored]  # of equal places the last one counts
        refuse_incomplete(self._tally, ARM)
        return found

    def followed(self, days: frozenset[int]) -> NDArray[Any]:
        """Follow the rows of some days whose outcomes are known, as if no other day had any."""
        market = Market(self._outcomes_of(days), self._sidecar)
        values = self._scores(market, days & self._known)
        scored, horizon = np.isfinite(values), self._sidecar.horizon
        dates = np.unique(market.dates(scored))
        numbers = np.full((len(_NUMBERS), dates.size), np.nan)
        if dates.size > horizon:
            scores, returns = market.by_day(scored, values)
            held = simulate(scores, returns, horizon=horizon, cost_bps=0)
            missing = np.isnan(returns[held.first :])
            earned = np.where(missing, 0.0, returns[held.first :])
            _, size, span = dispersion(earned, held.market, missing)
            best = np.sqrt(np.einsum("ij,ij->i", held.weights, held.weights)) * size
            short, sizes = sold_short(held.weights), exposures(held.weights)
            numbers[:, held.first :] = held.gross, held.turnover, short, best, span, *sizes.T
        rows = np.empty(dates.size, dtype=_ROW)
        for name, values in zip(_ROW.names or (), (dates.astype(np.int64), *numbers), strict=True):
            rows[name] = values
        return rows


def followed_since(artifacts: Artifacts, policy: Policy, sidecar: Sidecar, window: Window, *, first: date) -> Daily:
    """Follow the live signal's predictions on paper, of the rows of a day and later whose outcomes are known.

    Raises
    ------
    InsufficientDataError
        If no outcome of such a row is known, too few days are complete, or the log is not whole.
    StatisticsError
        If a row names no time, or two are of one date and asset.
    FormatError, IntegrityError
        As `read_outcomes` does.
    """
    before = _kept(artifacts, sha256(canonical([window.digest, window.since, first, sidecar.horizon])))
    read, rows = _Read(artifacts, sidecar, window, before), before.rows
    earliest = day_of(first.isoformat())
    changed = frozenset(day for day in read.changed if day == UNDATED or day >= earliest)
    # What they change reaches as far as a score is held, and the trade of the day after it.
    reach = sidecar.horizon + 1
    rows = rows[~np.isin(rows["day"], [*changed])]
    places = np.searchsorted(rows["day"], sorted(changed))

    def near(begin: int) -> frozenset[int]:
        found = np.unique(np.add.outer(places, np.arange(begin, reach)))
        return changed | frozenset(rows["day"][found[(found >= 0) & (found < rows.size)]].tolist())

    if changed:
        again, new = [*near(0)], read.followed(near(-reach))
        rows = np.concatenate([rows[~np.isin(rows["day"], again)], new[np.isin(new["day"], again)]])
        rows.sort(order="day")
    if (read.parts, read.outcomes) != (before.parts, before.outcomes):
        after = _Kept(of=before.of, parts=read.parts, outcomes=read.outcomes, packed=_packed(rows))
        with suppress(OSError):  # then all is read again the next time
            artifacts.write(_place(artifacts), msgspec.msgpack.encode(after))
    held = rows[np.isfinite(rows["gross"])]
    if not held.size:
        enough = f"outcomes of {counted(rows.size, 'day')} are known of rows since {first}, at least {reach} are needed"
        none = f"no outcome is known of rows since {first}"
        raise InsufficientDataError(f"{enough if rows.size else none}; see: modelgates outcomes add")
    costs = costs_of(policy, rows["day"].astype("datetime64[D]"))
    paid = cost_of(turnover=held["turnover"], short=held["short"], impact=np.zeros(held.size), costs=costs)
    net = held["gross"] - paid
    scale = np.where(moving(held["span"]), held["scale"], 0.0)
    return Daily(per_scale(net, scale), net, np.column_stack([held[name] for name in _NUMBERS[-3:]]))


def _sources(
    there: Mapping[str, Path], before: Mapping[str, _Source], days_of: Callable[[str], Iterable[int]]
) -> tuple[dict[str, _Source], frozenset[int]]:
    """Say of what days each file's rows are, and read those that lie otherwise now; give the days that may differ."""
    now = dict[str, _Source]()
    for name, path in there.items():
        # As it lies before it is read: one that is changed meanwhile is seen the next time.
        stamp, kept = stamp_of(path), before.get(name)
        now[name] = kept if kept and stamp and kept.stamp == stamp else _Source(stamp, frozenset(days_of(name)))
    changed = {name for name in {**before, **now} if before.get(name) is not now.get(name)}
    # A file of the same name may have had rows of other days.
    return now, _days_in(of[name] for of in (before, now) for name in changed & of.keys())


def _of_days(values: dict[str, float], days: frozenset[int]) -> dict[str, float]:
    return dict(compress(values.items(), np.isin(days_of_keys(values), [*days]).tolist()))


def _days_in(sources: Iterable[_Source]) -> frozenset[int]:
    return frozenset[int]().union(*(each.days for each in sources))


def _kept(artifacts: Artifacts, of: str) -> _Kept:
    """Read what was kept, if it is of this model and these days."""
    with suppress(FormatError, OSError, *NOT_KEPT):
        kept = msgspec.msgpack.decode(read_bytes(_place(artifacts), limit=_MOST_BYTES), type=_Kept)
        if (kept.format, kept.of) == (1, of) and kept.rows.ndim == 1:  # unpacking raises if it is damaged
            return kept
    return _Kept(of=of, parts={}, outcomes={}, packed=_packed(np.empty(0, dtype=_ROW)))


def _packed(rows: NDArray[Any]) -> Array:
    return Array.of(rows.view(np.uint8))


def _place(artifacts: Artifacts) -> Path:
    return artifacts.predictions / ARM / FILE
