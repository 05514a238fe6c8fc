"""The scoring core: rows in, scores and the errors of single rows out. It reads and writes nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import OnnxError
from ..model.features import bad_cells
from ..model.session import OnnxModel, Scores
from ..model.sidecar import Sidecar
from ..predictions.records import CONTENT
from ..storage.row_keys import in_utc

SCHEMA = "schema: "  # begins the error of a row that no model was asked about
_BEGUN = blake2b(digest_size=8)
_EXACT = 2.0**53  # below it, float64 holds every whole number


class Rows(NamedTuple):
    """Rows to score, as every source gives them.

    Parameters
    ----------
    keys : list of str
        What each row is about, from `named_rows`.
    matrix : ndarray, shape (n_rows, n_features)
        Features in the sidecar's order, in the dtype that the model takes.
    times : list of datetime or None
        Which moment each row is of.
    requests : list of str or None, optional
        What brought each row; left out where nothing has a name.
    calls : list of int, optional
        How many of the rows, in their order, the model is given at a time; all at once if left out.
    """

    keys: list[str]
    matrix: NDArray[np.generic]
    times: list[datetime | None]
    requests: list[str | None] | None = None
    calls: list[int] | None = None

    @classmethod
    def joined(cls, parts: Sequence["Rows | Unnamed"], *, apart: bool = False) -> "Rows":
        """Put the rows of several requests together, in their order, and name those that have no name yet.

        The model is given them all at once, or each part by itself, as `apart` says.
        """
        calls = [len(part.matrix) for part in parts] if apart else None
        matrix = parts[0].matrix if len(parts) == 1 else np.concatenate([part.matrix for part in parts])
        asked, requests = [part.requests for part in parts], None
        if any(asked):
            requests = [request for part in parts for request in part.requests or [None] * len(part.matrix)]
        if not [part for part in parts if isinstance(part, Rows)]:
            return cls(_contents(matrix), matrix, [None] * len(matrix), requests, calls)
        named = [cls.joined([part]) if isinstance(part, Unnamed) else part for part in parts]
        keys, times = [key for part in named for key in part.keys], [time for part in named for time in part.times]
        return cls(keys, matrix, times, requests, calls)

    def taken(self, rows: Sequence[int]) -> "Rows":
        """Take some of the rows, in the order given."""
        asked, calls = self.requests, self.calls
        if calls:
            call_of = np.repeat(np.arange(len(calls)), calls)[list(rows)]
            calls = [size for size in np.bincount(call_of).tolist() if size]
        return Rows(
            [self.keys[row] for row in rows],
            self.matrix[list(rows)],
            [self.times[row] for row in rows],
            asked and [asked[row] for row in rows],
            calls,
        )


class Unnamed(NamedTuple):
    """Rows that go by what they hold; which moment they are of, nobody said."""

    matrix: NDArray[np.generic]
    requests: list[str | None] | None = None


class Scored(NamedTuple):
    """A score a row, NaN where there is none, and why there is none, by the number of the row."""

    scores: Scores
    errors: dict[int, str]


class Scorer:
    """A verified model, ready for rows.

    Parameters
    ----------
    model : OnnxModel
    sidecar : Sidecar
        Which features may be missing.
    """

    def __init__(self, model: OnnxModel, sidecar: Sidecar) -> None:
        self._model, self._sidecar = model, sidecar
        self.tensors = model.tensors
        dtypes = [feature.dtype for feature in sidecar.features]
        mixed = np.result_type(*dtypes).kind == "f"
        self._categories = {
            column: len(feature.categories) for column, feature in enumerate(sidecar.features) if feature.categories
        }
        self._rounded = [column for column, dtype in enumerate(dtypes) if mixed and dtype == "int64"]

    def score(self, matrix: NDArray[np.generic]) -> Scored:
        """Score rows.

        Parameters
        ----------
        matrix : ndarray, shape (n_rows, n_features)

        Returns
        -------
        Scored
            A row with an infinity, or with NaN in a feature that may not be missing, is not scored, nor one with a
            whole number that the floats beside it may have rounded, nor one with a number that is none of the
            categories of its feature; and a score that is not finite is none. If ONNX
            Runtime fails, each half of the rows is scored by itself, down to those that make it fail.
        """
        errors = {} if _is_finite(matrix) else self._refused(matrix)
        if self._rounded and len(matrix):
            errors = self._inexact(matrix) | errors
        if self._categories and len(matrix):
            errors = self._of_no_category(matrix) | errors
        scores, failed = self._predicted(np.delete(matrix, list(errors), axis=0) if errors else matrix)
        if errors:
            kept = np.delete(np.arange(len(matrix)), list(errors)).tolist()
            found, scores = scores, np.full(len(matrix), np.nan)
            scores[kept] = found
            errors = {kept[row]: why for row, why in failed.items()} | errors
        else:
            errors = failed
        if _is_finite(scores):
            return Scored(scores, errors)
        odd = np.flatnonzero(~np.isfinite(scores)).tolist()
        errors = {row: f"model: the score is {scores[row]}" for row in odd} | errors
        return Scored(np.where(np.isfinite(scores), scores, np.nan), errors)

    def _predicted(self, matrix: NDArray[np.generic]) -> tuple[Scores, dict[int, str]]:
        """Ask the model, and say why a row has no score where ONNX Runtime fails on it."""
        try:
            return self._model.predict(matrix), {}
        except OnnxError as error:
            if len(matrix) == 1:
                return np.full(1, np.nan), {0: str(error)}
        half = len(matrix) // 2
        (first, errors), (second, more) = self._predicted(matrix[:half]), self._predicted(matrix[half:])
        return np.concatenate([first, second]), errors | {half + row: why for row, why in more.items()}

    def _refused(self, matrix: NDArray[np.generic]) -> dict[int, str]:
        """Name the first column that keeps each row from being scored."""
        bad = bad_cells(matrix, nullable=self._sidecar.nullable)
        rows = np.flatnonzero(bad.any(axis=1)).tolist()
        columns = bad.argmax(axis=1)
        return {row: f"{SCHEMA}{self._sidecar.names[columns[row]]} is {matrix[row, columns[row]]}" for row in rows}

    def _of_no_category(self, matrix: NDArray[np.generic]) -> dict[int, str]:
        """Name the first number of each row that stands for none of the categories of its feature."""
        why: dict[int, str] = {}
        for column, count in reversed(self._categories.items()):
            numbers = matrix[:, column].astype(np.float64)
            strange = ~np.isnan(numbers) & ~np.isin(numbers, np.arange(count))
            expected = f"expected a whole number from 0 to {count - 1}, of a category that the sidecar lists"
            name = self._sidecar.names[column]
            why |= {row: f"{SCHEMA}{name} is {numbers[row]:g}, {expected}" for row in np.flatnonzero(strange).tolist()}
        return why

    def _inexact(self, matrix: NDArray[np.generic]) -> dict[int, str]:
        """Name the first whole number of each row that may not be the one that came."""
        large = np.abs(matrix[:, self._rounded]) >= _EXACT
        found = {row: self._rounded[large[row].argmax()] for row in np.flatnonzero(large.any(axis=1)).tolist()}
        why = "too large to stay exact beside floats"
        return {
            row: f"{SCHEMA}{self._sidecar.names[column]} is {matrix[row, column]:.1f}, {why}"
            for row, column in found.items()
        }


def _is_finite(values: NDArray[np.generic]) -> bool:
    return int(np.count_nonzero(np.isfinite(values))) == values.size  # at half the price of all(), for a single row


def named_rows(
    names: Mapping[str, list[str]], matrix: NDArray[np.generic], sidecar: Sidecar, request: str | None = None
) -> Rows:
    """Name rows by time and asset, and by what they hold where one of these is missing.

    Parameters
    ----------
    names : mapping of str to list of str
        The columns of time and asset, as they are written.
    matrix : ndarray, shape (n_rows, n_features)
    sidecar : Sidecar
        Which columns these are.
    request : str, optional
        What brought the rows.
    """
    parts = [names[name] for name in sidecar.keys]
    if sidecar.asset is None or sidecar.time is None:
        parts.append(_contents(matrix))
    times: list[datetime | None] = [None] * len(matrix)
    if sidecar.time is not None:
        moments = {text: _moment(text) for text in set(names[sidecar.time])}
        times = [moments[text] for text in names[sidecar.time]]
    return Rows([*map("|".join, zip(*parts, strict=True))], matrix, times, _each(request, matrix))


def unnamed_rows(matrix: NDArray[np.generic], request: str | None = None) -> Unnamed:
    """Leave rows to be named by what they hold, once they are put together with others."""
    return Unnamed(matrix, _each(request, matrix))


def _each(request: str | None, matrix: NDArray[np.generic]) -> list[str | None] | None:
    return None if request is None else [request] * len(matrix)


def _moment(text: str) -> datetime | None:
    try:
        return in_utc(text)
    except (ValueError, OverflowError):  # in the year 1, or no time at all
        return None


def _contents(matrix: NDArray[np.generic]) -> list[str]:
    """Digest what rows hold, so that two logs can be paired: -0 is 0, and one NaN is as another."""
    # By its number, a row would share its name with one of the next file; a customer comes again tomorrow.
    rows = matrix + 0
    if rows.dtype.kind == "f" and np.count_nonzero(missing := np.isnan(rows)):
        rows[missing] = np.nan
    content, size, found = rows.tobytes(), rows.itemsize * rows.shape[1], list[str]()
    for start in range(0, len(content), size):
        digest = _BEGUN.copy()  # at two thirds of the price of making one
        digest.update(content[start : start + size])
        found.append(CONTENT + digest.hexdigest())
    return found
