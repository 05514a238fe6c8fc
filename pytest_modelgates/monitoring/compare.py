"""How far a candidate in shadow agrees with the live model, day by day, on the rows that both have scored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from ..artifacts import Artifacts
from ..errors import InsufficientDataError, ModelgatesError, RegistryError
from ..model.directory import LocalDirectory
from ..policy.policy import Policy
from ..predictions.counting import Window, count_whole
from ..predictions.records import Prediction
from ..registry.store import is_model, live_change
from ..stats.agreement import DailyAgreement, DayAgreement, mean_agreement
from ..storage.text import first_line
from .pairs import pairs_by_day
from .realised import Mean, Scores, earned_more, market_of


def agreement(candidate: Iterable[list[Prediction]], live: Iterable[list[Prediction]]) -> DailyAgreement:
    """Pair predictions by row key and correlate their ranks day by day.

    Raises
    ------
    InsufficientDataError
        If fewer than 20 days have two or more rows that both have scored.
    StatisticsError
        If a row key names something, and does not begin with a time of ISO 8601; a day is the UTC date of that time.
        Rows that name nothing are left out.
    """
    days, rows = dict[date, DayAgreement](), 0
    for day, ours, theirs in pairs_by_day(named(candidate), named(live)):
        rows += ours.size
        if ours.size > 1:
            days[day] = DayAgreement.of(ours, theirs)
    if rows < 2:
        raise InsufficientDataError(
            f"{rows} rows were scored by both models, at least 2 are needed; serve and shadow the same CSV"
        )
    return mean_agreement(days[day] for day in sorted(days))


def named(parts: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
    """Leave out rows that name neither a time nor an asset: they are of no known day."""
    for records in parts:
        yield [record for record in records if not record.nameless]


def agree_with_live(artifacts: Artifacts, digest: str) -> DailyAgreement:
    """Compare a candidate's predictions in shadow, by row key, with the live model's."""
    live = Window(digest=live_change(artifacts).digest)
    return agreement(count_whole(artifacts, "shadow", Window(digest=digest)), count_whole(artifacts, "live", live))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A candidate in shadow beside the live model.

    `agrees` says whether the bound of the agreement is within the policy's limit, `latency_ms` and `live_latency_ms`
    give median and 95 % quantile of the time of a row's batch [ms]. `earned_more` is None where no outcome is known, or
    where `not_earned` says why it cannot be told.
    """

    model_id: str
    agreement: DailyAgreement
    agrees: bool
    latency_ms: tuple[float, float]
    live_latency_ms: tuple[float, float]
    earned_more: Mean | None
    not_earned: str | None


def compare(artifacts: Artifacts, policy: Policy, model_dir: Path) -> Comparison:
    """Compare a candidate's shadow predictions with the live model's, and say what it would have earned more.

    Raises
    ------
    RegistryError
        If there is no such model.
    InsufficientDataError, StatisticsError
        As `agreement` does.
    """
    if not is_model(artifacts, model_dir.name):
        raise RegistryError(f"{model_dir.name} is unknown: no directory {model_dir}")
    with LocalDirectory(model_dir) as model:
        digest, sidecar = model.verify(), model.sidecar
    live = live_change(artifacts)
    ours, theirs = Latencies(), Latencies()
    shadow = ours.seen(count_whole(artifacts, "shadow", Window(digest=digest)))
    served = theirs.seen(count_whole(artifacts, "live", Window(digest=live.digest)))
    market, more, why = None, None, None
    # How far they agree does not depend on what came of the rows.
    try:
        market = market_of(artifacts, sidecar)
    except ModelgatesError as error:
        why = first_line(error)
    if market:
        first, second = Scores(market), Scores(market)
        shadow, served = first.seen(shadow), second.seen(served)
    found = agreement(shadow, served)
    if market:
        try:
            with LocalDirectory(artifacts.model(live.to)) as model:
                horizon = model.sidecar.horizon
            more = earned_more(market, policy, (first, sidecar.horizon), (second, horizon))
        except ModelgatesError as error:
            why = first_line(error)
    return Comparison(
        model_id=model_dir.name,
        agreement=found,
        agrees=policy.limit("shadow.rank_corr").contains(found.lower),
        latency_ms=ours.quantiles(),
        live_latency_ms=theirs.quantiles(),
        earned_more=more,
        not_earned=why,
    )


class Latencies:
    """Counts latencies in steps of 2 %, however many there are."""

    def __init__(self) -> None:
        self._edges = np.geomspace(1e-3, 1e6, 1048)  # [ms]
        self._counts = np.zeros(self._edges.size + 1, dtype=np.int64)

    def seen(self, parts: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
        """Pass records on, and count their latencies."""
        for records in parts:
            place = np.searchsorted(self._edges, [record.latency_ms for record in records])
            self._counts += np.bincount(place, minlength=self._counts.size)
            yield records

    def quantiles(self) -> tuple[float, float]:
        """Give median and 95 % quantile, each at most 2 % too long [ms]."""
        up_to = self._counts.cumsum()
        places = np.searchsorted(up_to, np.array([0.5, 0.95]) * up_to[-1])
        median, slow = self._edges[np.minimum(places, self._edges.size - 1)].tolist()
        return median, slow
