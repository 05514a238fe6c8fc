"""Logs of predictions: one JSON line for each row that was scored, or could not be. Lines are appended whole."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, StatisticsError
from ..model.sidecar import Crc32
from ..storage.digests import Sha256
from ..storage.paths import is_file, is_there
from ..storage.strict_json import Moment

# A row key without a time, or without a name of what the row is about, ends in this word and a digest of the features.
CONTENT = "content:"


class Prediction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a prediction log; `error` says why there is no prediction."""

    time: Moment
    row_key: str
    model_id: str
    digest: Sha256
    schema_crc32: Crc32
    prediction: float | None
    latency_ms: float
    arm: Literal["live", "shadow"]
    error: str | None = None


def encode_predictions(records: Iterable[Prediction]) -> bytes:
    """Encode records as JSON lines."""
    return msgspec.json.Encoder().encode_lines(list(records))


class Follower:
    """One model's newest records in a log, read once and then only what was added.

    Parameters
    ----------
    path : Path
        The log.
    digest : str
        The model's.
    hours : float
        How far back from the newest record others count; 0 for all of them.
    """

    def __init__(self, path: Path, digest: str, *, hours: float) -> None:
        self.digest = digest
        self._path, self._hours = path, hours
        self._read = Place()
        self._records: deque[Prediction] = deque()

    def records(self) -> list[Prediction]:
        """Read what is new, and give the records that count, oldest first; one that is older shows that time passed.

        Raises
        ------
        FormatError
            With the line that is not a record, or if the log is not a regular file.
        """
        for record in read_predictions(self._path, digest=self.digest, after=self._read):
            self._records.append(record)
            while self._hours and len(self._records) > 1 and self._age(self._records[1]) > self._hours:
                self._records.popleft()
        return list(self._records)

    def _age(self, record: Prediction) -> float:
        return (self._records[-1].time - record.time).total_seconds() / 3600


@dataclass(slots=True)
class Place:
    """How far a log was read: whole lines and bytes."""

    lines: int = 0
    size: int = 0


def read_predictions(path: Path, *, digest: str | None = None, after: Place | None = None) -> Iterator[Prediction]:
    """Read a log line by line; no file is an empty log.

    Parameters
    ----------
    path : Path
    digest : str, optional
        Only the records of this model.
    after : Place, optional
        Where to begin; it moves along.

    Raises
    ------
    FormatError
        With the line that is not a record, or if the log is not a regular file.
    """
    if is_there(path) and not is_file(path):  # opening a pipe would wait for a writer
        raise FormatError(f"{path}: a folder or pipe, expected a regular file; put the log back")
    decode = msgspec.json.Decoder(Prediction).decode
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    place = after or Place()
    with file:
        file.seek(place.size)
        for number, line in enumerate(file, start=place.lines + 1):
            try:
                record = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise FormatError(
                    f"{path}, line {number}: not a record of a prediction ({error}); delete it if a crash cut it short"
                ) from error
            place.lines, place.size = number, place.size + len(line)
            if digest is None or record.digest == digest:
                yield record


def by_row_key(records: Iterable[Prediction]) -> dict[str, float]:
    """Keep the last prediction of each row, the newest last.

    A row that goes by its content may come again: equal ones are numbered, so that all of them count.
    """
    found: dict[str, float] = {}
    alike: Counter[str] = Counter()
    for record in records:
        if record.prediction is None:
            continue
        key = record.row_key
        if key.rpartition("|")[2].startswith(CONTENT):
            alike[key] += 1
            key = f"{key}#{alike[key]}"
        found.pop(key, None)
        found[key] = record.prediction
    return found


def day_of(row_key: str) -> date:
    """Take the day out of a row key: the UTC date of the row's time, which is in UTC unless it names a zone.

    Raises
    ------
    StatisticsError
        If the key does not begin with a time of ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(row_key.partition("|")[0])
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError) as error:
        raise StatisticsError(
            f"row {row_key!r} begins with no time of ISO 8601, so its day is unknown; write times as 2024-01-31 or "
            "2024-01-31T16:00Z, and serve and shadow again"
        ) from error


def values_of(records: Iterable[Prediction]) -> NDArray[np.float64]:
    """Take the last prediction of each row as an array: a row scored twice is still one row."""
    return np.array(list(by_row_key(records).values()), dtype=np.float64)
