"""The rows that two arms of the prediction log have both scored, day by day, whatever the length of the log.

What is compared lies in files by day in the meantime, and one of them at a time is in memory.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..predictions.records import Prediction
from ..storage.row_keys import canonical

FILES = 64
# The digest of a row's key stands for it: of 10^9 rows, none share one by chance.
_PAIRED = np.dtype([("key", "S16"), ("day", "M8[D]"), ("score", "f8"), ("second", "?")])
Scores = NDArray[np.float64]


def pairs_by_day(
    first: Iterable[list[Prediction]], second: Iterable[list[Prediction]]
) -> Iterator[tuple[date, Scores, Scores]]:
    """Pair the predictions of two logs by row, the last one of each row.

    Parameters
    ----------
    first, second : iterable of list of Prediction
        Records that count, the oldest part first.

    Yields
    ------
    day : date
        In no order.
    first, second : ndarray of float64, shape (n_rows,)
        The scores of the day's rows that both have.

    Raises
    ------
    StatisticsError
        If a row is of no day.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in range(FILES)]
        for side, parts in enumerate((first, second)):
            for records in parts:
                _spread(records, files, second=bool(side))
        for file in files:
            file.seek(0)
            yield from _of_file(np.frombuffer(file.read(), dtype=_PAIRED))


def _spread(records: list[Prediction], files: Sequence[IO[bytes]], *, second: bool) -> None:
    rows = np.empty(len(records), dtype=_PAIRED)
    rows["key"] = [hashlib.blake2b(canonical(record.row_key).encode(), digest_size=16).digest() for record in records]
    rows["day"] = [record.day for record in records]
    rows["score"] = [record.prediction for record in records]
    rows["second"] = second
    place = rows["day"].astype(np.int64) % FILES
    for number in np.unique(place):
        files[number].write(rows[place == number].tobytes())


def _of_file(rows: NDArray[np.void]) -> Iterator[tuple[date, Scores, Scores]]:
    for day in np.unique(rows["day"]):
        of_day = rows[rows["day"] == day]
        first, second = (_last(of_day[of_day["second"] == side]) for side in (False, True))
        _, x, y = np.intersect1d(first["key"], second["key"], assume_unique=True, return_indices=True)
        if x.size:
            yield day.item(), first["score"][x], second["score"][y]


def _last(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Keep the last of each key."""
    backwards = rows[::-1]
    return backwards[np.unique(backwards["key"], return_index=True)[1]]
