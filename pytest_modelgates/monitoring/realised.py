"""What predictions have come to, once outcomes are known: IC and PnL after costs, or the model's own metric."""

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, StatisticsError
from ..model.sidecar import Sidecar
from ..policy.policy import Policy
from ..predictions.columns import UNDATED, days_of_keys
from ..predictions.counting import Tally, Window, count_whole
from ..predictions.outcomes import Kind, Outcomes, read_outcomes
from ..predictions.records import Arm, Prediction, time_of
from ..stats.baseline import named_metric
from ..stats.costs import Costs
from ..stats.days import calendar
from ..stats.holdings import Holdings, simulate
from ..stats.portfolio import PaperPnl, paper_pnl
from ..stats.quantiles import is_constant
from ..stats.resampling import MINIMUM_VALUES
from ..stats.significance import ewc_bounds, ewc_p_value
from ..storage.row_keys import canonical
from ..storage.text import first_line

Series = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a daily series, where it lies with 90 % confidence, and the one-sided p-value of a mean of at most 0.

    `interval` and `p_value` are None below 20 days, and where all days are alike.
    """

    value: float
    interval: tuple[float, float] | None
    p_value: float | None

    @classmethod
    def of(cls, series: Series) -> "Mean":
        """Take the mean of a series in order of time."""
        testable = series.size >= MINIMUM_VALUES and not is_constant(series)
        return cls(
            value=float(series.mean()),
            interval=ewc_bounds(series) if testable else None,
            p_value=ewc_p_value(series)[0] if testable else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What following the predictions on paper has come to.

    `ic` and `ic_net` are of a day, before and after costs. `earned` is the sum of the net returns [share of capital].
    `pnl` is None if there are fewer than two days, or the net return never varies. `without_impact` says that the
    policy asks for impact, which is not charged, because nothing says what the market traded.
    """

    ic: Mean
    ic_net: Mean
    earned: float
    pnl: PaperPnl | None
    without_impact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """What the predictions of an arm have come to.

    `rows` have an outcome; `waiting` have none yet. `days` are dates of rows, or of positions if the model is a signal,
    whose first positions follow a day or more after its first rows. `missing` are periods without rows between them.
    `traded` is of a signal, `metric` the name and value of any other model's.
    """

    model_id: str
    arm: Arm
    rows: int
    waiting: int
    repeated: float
    days: int
    first_day: date | None
    last_day: date | None
    missing: int
    traded: Traded | None = None
    metric: tuple[str, float] | None = None


class Market:
    """Everything that is known to have come of rows, as vectors over them."""

    def __init__(self, outcomes: Outcomes, sidecar: Sidecar) -> None:
        kind: Kind = "return" if sidecar.task == "signal" else "label"
        if wrong := {added.kind for added in outcomes.files} - {kind}:
            raise StatisticsError(
                f"the outcomes that were added hold {wrong.pop()}, expected {kind}, which is what comes of the rows of "
                f"a {sidecar.task} model"
            )
        self._outcomes = outcomes
        self.values = np.array([*outcomes.values.values()], dtype=np.float64)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self._outcomes.values)}

    @cached_property
    def _place_of_bytes(self) -> dict[bytes, int]:
        return {key.encode(): number for number, key in enumerate(self._outcomes.values)}

    @cached_property
    def _days(self) -> NDArray[np.int64]:
        return days_of_keys(self._outcomes.values)

    def place_of(self, row_key: str) -> int | None:
        """Find where a row stands in the vectors; None if no outcome of it is known."""
        key = self._outcomes.key_of(row_key)
        return None if key is None else self._place[key]

    def places_of(self, row_keys: list[bytes]) -> NDArray[np.intp]:
        """Find the same of many rows; -1 where no outcome is known."""
        found = np.array([self._place_of_bytes.get(key, -1) for key in row_keys], dtype=np.intp)
        for number in np.flatnonzero(found < 0).tolist():  # it may be spelled otherwise, or hidden
            if (place := self.place_of(row_keys[number].decode())) is not None:
                found[number] = place
        return found

    @property
    def keys(self) -> list[str]:
        """The keys of the rows, as their outcomes were added."""
        return [*self._outcomes.values]

    def dates(self, rows: NDArray[np.bool_]) -> NDArray[np.datetime64]:
        """Give the UTC date that each of some rows is of; raises StatisticsError if one names no time."""
        days = self._days[rows]
        if (undated := np.flatnonzero(days == UNDATED)).size:
            time_of(self._keys(rows)[undated[0]])  # raises, and says why
        return days.astype("datetime64[D]")

    def follow(self, scores: Series, rows: NDArray[np.bool_], *, horizon: int, costs: Costs) -> Holdings:
        """Hold on paper what scores ask for, on some rows, as the gates do on a panel.

        Raises
        ------
        StatisticsError
            As `by_day` does, or if no day is complete.
        """
        return simulate(*self.by_day(rows, scores), horizon=horizon, cost_bps=costs)

    def by_day(self, rows: NDArray[np.bool_], scores: Series) -> tuple[Matrix, Matrix]:
        """Lay out the scores and the outcomes of some rows, a row a date and a column an asset; NaN between them.

        Raises
        ------
        StatisticsError
            If a row names no time, or two are of one date and asset.
        """
        dates, day = np.unique(self.dates(rows), return_inverse=True)
        named = [key.partition("|")[2] for key in self._keys(rows)]
        names = sorted(dict.fromkeys(named))
        column = {name: number for number, name in enumerate(names)}
        cells = day * len(names) + np.array([column[name] for name in named], dtype=np.intp)
        if np.bincount(cells, minlength=1).max() > 1:
            twice = int(np.bincount(cells).argmax())
            date_and_asset = f"{dates[twice // len(names)]} and {names[twice % len(names)]}"
            raise StatisticsError(
                f"two rows are of {date_and_asset}: positions are held from day to day; serve one row an asset and date"
            )
        matrices = [np.full((dates.size, len(names)), np.nan) for _ in range(2)]
        for matrix, values in zip(matrices, (scores, self.values), strict=True):
            matrix.ravel()[cells] = values[rows]
        return matrices[0], matrices[1]

    def _keys(self, rows: NDArray[np.bool_]) -> list[str]:
        return [*compress(self._outcomes.values, rows.tolist())]


class Scores:
    """The last prediction of each row whose outcome is known, while a log goes by.

    `values` is NaN where there is none, and `waiting` holds the rows without an outcome.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self.values, self.waiting = np.full(market.values.size, np.nan), set[str]()

    def seen(self, parts: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
        """Pass records on, and keep their predictions."""
        for records in parts:
            for record in records:
                place = self._market.place_of(record.row_key)
                if place is None:
                    self.waiting.add(canonical(record.row_key))
                else:
                    self.values[place] = record.prediction
            yield records


Side = tuple[Scores, int]


def market_of(artifacts: Artifacts, sidecar: Sidecar) -> Market | None:
    """Read what came of a signal's rows; None of another model's, or if nothing is known.

    Raises
    ------
    FormatError, IntegrityError
        As `read_outcomes` does.
    StatisticsError
        If the outcomes are labels.
    """
    outcomes = read_outcomes(artifacts) if sidecar.task == "signal" else Outcomes()
    return Market(outcomes, sidecar) if outcomes.values else None


def realised(
    artifacts: Artifacts, policy: Policy, sidecar: Sidecar, model_id: str, arm: Arm, window: Window
) -> Realised:
    """Join a model's predictions with what came of their rows.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
        Its costs are charged.
    sidecar : Sidecar
        The model's.
    model_id : str
        The model, whose digest stands in `window`.
    arm : str
    window : Window

    Returns
    -------
    Realised

    Raises
    ------
    InsufficientDataError
        If no outcome of a row is known, too few days are complete, or the log is not whole.
    StatisticsError
        If a row names no time, two are of one date and asset, or the metric is not defined on these rows.
    """
    return followed(artifacts, policy, sidecar, model_id, arm, window).realised


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Followed:
    """What predictions have come to, and day by day: `holdings` of `dates`; None if the model is not a signal."""

    realised: Realised
    dates: NDArray[np.datetime64]
    holdings: Holdings | None


def followed(
    artifacts: Artifacts, policy: Policy, sidecar: Sidecar, model_id: str, arm: Arm, window: Window
) -> Followed:
    """Join as `realised` does, and keep what each day came to; parameters and errors are the same."""
    market, tally = Market(read_outcomes(artifacts), sidecar), Tally()
    seen = Scores(market)
    for _ in seen.seen(count_whole(artifacts, arm, window, tally)):
        pass
    scores, waiting = seen.values, len(seen.waiting)
    rows = np.isfinite(scores)
    if not rows.any():
        raise InsufficientDataError(
            f"no outcome is known of the {waiting} rows that {model_id} has predicted as {arm}; add what came of them: "
            "modelgates outcomes add FILE"
        )
    dates = np.unique(market.dates(rows)) if sidecar.time else np.empty(0, dtype="datetime64[D]")
    traded, first, holdings = None, 0, None
    metric: tuple[str, float] | None = None
    if sidecar.task == "signal":
        costs = costs_of(policy, dates)
        holdings = market.follow(scores, rows, horizon=sidecar.horizon, costs=costs)
        traded, first = _traded(holdings, costs, without_impact=policy.costs.impact_bps > 0), holdings.first
    else:
        metric = str(sidecar.metric), _measured(sidecar, market.values[rows], scores[rows])
    found = Realised(
        model_id=model_id,
        arm=arm,
        rows=int(rows.sum()),
        waiting=waiting,
        repeated=tally.repeated,
        days=dates.size - first,
        first_day=dates[0].item() if dates.size else None,
        last_day=dates[-1].item() if dates.size else None,
        missing=calendar(dates).missing if dates.size > 1 else 0,
        traded=traded,
        metric=metric,
    )
    return Followed(realised=found, dates=dates[first:], holdings=holdings)


def earned_more(market: Market, policy: Policy, ours: Side, theirs: Side) -> Mean | None:
    """Say what following a candidate would have earned beyond following the live model, on the rows that both scored.

    Parameters
    ----------
    market : Market
    policy : Policy
        Its costs are charged, to both.
    ours, theirs : tuple of Scores and int
        The scores of each, and its horizon [days].

    Returns
    -------
    Mean or None
        Of the difference of the net returns [share of capital a day]; None if no outcome is known of rows that both
        have scored.

    Raises
    ------
    InsufficientDataError, StatisticsError
        As `realised` does.
    """
    (first, first_horizon), (second, second_horizon) = ours, theirs
    rows = np.isfinite(first.values) & np.isfinite(second.values)
    if not rows.any():
        return None
    costs = costs_of(policy, np.unique(market.dates(rows)))
    our_net = market.follow(first.values, rows, horizon=first_horizon, costs=costs).net
    their_net = market.follow(second.values, rows, horizon=second_horizon, costs=costs).net
    # A longer horizon has its first whole position later, and both end on the same day.
    days = min(our_net.size, their_net.size)
    return Mean.of(our_net[-days:] - their_net[-days:])


def costs_of(policy: Policy, dates: NDArray[np.datetime64]) -> Costs:
    """Take what positions cost, without impact, as nothing says what the market traded.

    Raises
    ------
    InsufficientDataError
        If there are fewer than two dates.
    """
    costs = policy.costs.charged(days_per_year=calendar(dates).periods_per_year)
    return replace(costs, impact_bps=0.0)


def _measured(sidecar: Sidecar, truth: Series, scores: Series) -> float:
    """Take the declared metric of some rows; raises StatisticsError where it is not defined on them."""
    measure = named_metric(str(sidecar.metric), labels=sidecar.task == "classification")
    why, value = "", math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own, of what is then not a number
        try:
            value = float(measure(truth, scores))
        except ValueError as error:
            why = f": {first_line(error)}"
    if not math.isfinite(value):
        raise StatisticsError(
            f"{sidecar.metric} is not defined on the {truth.size} rows whose outcomes are known{why}; look at what was "
            "added, or wait for more"
        )
    return value


def _traded(holdings: Holdings, costs: Costs, *, without_impact: bool) -> Traded:
    varies = holdings.net.size > 1 and not is_constant(holdings.net)
    return Traded(
        ic=Mean.of(holdings.ic),
        ic_net=Mean.of(holdings.ic_net),
        earned=float(holdings.net.sum()),
        pnl=paper_pnl(holdings, days_per_year=costs.days_per_year) if varies else None,
        without_impact=without_impact,
    )
