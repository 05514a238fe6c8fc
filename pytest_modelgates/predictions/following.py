"""One model's newest records in an arm of the prediction log, read once and then only what was added."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from .counting import Rows, Tally, Window, asked_for
from .parts import parts
from .reading import Reading
from .records import Arm, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What a model did lately, and what the log lacks.

    Parameters
    ----------
    hours : float
        From its first record to its newest [h].
    values, latencies : ndarray of float64
        Predictions that count, and the time that every record's batch took [ms], within the last hours.
    failed : int
        Rows within them that could not be scored.
    last_error : str, optional
        Why the last of them could not.
    problem : str, optional
        What the log lacks, if it is not whole.
    """

    hours: float
    values: NDArray[np.float64]
    latencies: NDArray[np.float64]
    failed: int
    last_error: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Scored:
    """What is kept of a record: it is many times smaller."""

    time: datetime
    latency_ms: float
    prediction: float | None
    error: str | None

    @classmethod
    def of(cls, record: Prediction) -> "_Scored":
        return cls(record.time, record.latency_ms, record.prediction, record.error)


class Follower:
    """One model's newest records.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    digest : str
        The model's.
    hours : float
        How far back from the newest record others count; 0 for all of them.
    """

    def __init__(self, artifacts: Artifacts, arm: Arm, digest: str, *, hours: float) -> None:
        self.digest = digest
        self._artifacts, self._arm, self._hours = artifacts, arm, hours
        # By the day and the name of a part, which it keeps when it is turned into Parquet.
        self._readings: dict[tuple[date, str], Reading] = {}
        self._rows: dict[tuple[date, str], Rows[_Scored]] = {}
        self._failed: list[_Scored] = []
        self._first: datetime | None = None
        self._newest: datetime | None = None
        self._tally = Tally()

    def read(self) -> Recent | None:
        """Read what is new, and sum up the records that count; None if there is none."""
        window, tally = Window(digest=self.digest), self._tally
        for part in parts(self._artifacts, self._arm):
            name = (part.day, part.name)
            rows = self._rows.setdefault(name, Rows())
            for record in asked_for(part, window, tally, self._readings.setdefault(name, Reading())):
                scored = _Scored.of(record)
                if scored.prediction is None:
                    self._failed.append(scored)
                else:
                    rows.put(record, scored, tally)
                self._first = min(self._first or scored.time, scored.time)
                self._newest = max(self._newest or scored.time, scored.time)
            if not self._recent(rows.last.values()):
                self._rows[name] = Rows()
        if self._first is None or self._newest is None:
            return None
        self._failed = self._recent(self._failed)
        recent = [each for rows in self._rows.values() for each in self._recent(rows.last.values())]
        return Recent(
            hours=(self._newest - self._first).total_seconds() / 3600,
            values=np.array([each.prediction for each in recent], dtype=np.float64),
            latencies=np.array([each.latency_ms for each in [*recent, *self._failed]], dtype=np.float64),
            failed=len(self._failed),
            last_error=self._failed[-1].error if self._failed else None,
            problem=None if tally.complete else tally.notes[0],
        )

    def _recent(self, scored: Iterable[_Scored]) -> list[_Scored]:
        since = self._newest - timedelta(hours=self._hours) if self._newest and self._hours else None
        return [each for each in scored if since is None or each.time >= since]
