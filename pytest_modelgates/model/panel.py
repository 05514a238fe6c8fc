"""The panel: out-of-sample rows of keys, features, outcomes and the native model's scores."""

import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import FormatError
from ..storage.digests import sha256
from ..storage.text import first_line, printable
from .directory import SIDECAR
from .sidecar import BASELINE, REFERENCE, RET_NEXT, Sidecar

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Rows in the order of the file, with what is needed to lay them out by day and asset."""

    frame: pd.DataFrame
    sidecar: Sidecar

    @classmethod
    def read(cls, content: bytes, sidecar: Sidecar, *, columns: list[str] | None = None) -> "Panel":
        """Read the bytes of `evaluation.parquet`, or some columns of it; they are checked by what uses them."""
        try:
            frame = pd.read_parquet(io.BytesIO(content), columns=columns)
        except Exception as error:  # pyarrow raises ArrowInvalid, OSError and others on damaged files
            raise _no_parquet(error) from error
        # A file may bring row labels of its own.
        return cls(frame.reset_index(drop=True), sidecar)

    @staticmethod
    def rows(content: bytes) -> int:
        """Number of rows in the bytes of `evaluation.parquet`, by its footer."""
        try:
            return int(pq.read_metadata(io.BytesIO(content)).num_rows)
        except Exception as error:  # as above
            raise _no_parquet(error) from error

    def column(self, name: str | None) -> "pd.Series":
        """One column that must be there, and that the sidecar names."""
        if name is None:
            raise FormatError(f"{SIDECAR}: names no such column, as a {self.sidecar.task} model need not")
        if name not in self.frame:
            raise FormatError(f"evaluation.parquet: has no column {name!r}; it holds {', '.join(map(str, self.frame))}")
        return self.frame[name]

    def numbers(self, name: str) -> NDArray[np.generic]:
        """One column that must be there and hold numbers."""
        column = self.column(name)
        if not _are_numbers(column.dtype):
            raise _no_numbers(name, column.dtype)
        return np.asarray(column.to_numpy())

    @cached_property
    def features(self) -> NDArray[np.generic]:
        """Features in sidecar order, shape (n_rows, n_features)."""
        # Not the frame's own matrix, which is of objects where truth values stand beside numbers.
        return np.column_stack([self.numbers(name) for name in self.sidecar.names])

    @cached_property
    def native_scores(self) -> Matrix:
        """The native model's score of every row."""
        return np.asarray(self.numbers(REFERENCE), dtype=np.float64)

    @cached_property
    def outcome(self) -> Matrix:
        """What happened: the target of every row."""
        return np.asarray(self.numbers(self.sidecar.target), dtype=np.float64)

    @cached_property
    def baseline(self) -> Matrix:
        """What the declared baseline predicts of every row."""
        return np.asarray(self.numbers(BASELINE), dtype=np.float64)

    @cached_property
    def times(self) -> NDArray[np.datetime64]:
        """The time of every row."""
        column = self.column(self.sidecar.time)
        if not pd.api.types.is_datetime64_dtype(column.dtype):
            raise FormatError(
                f"evaluation.parquet: {self.sidecar.time} is {column.dtype}, expected dates without a zone; pack again"
            )
        self._refuse_missing(column)
        return np.asarray(column.to_numpy())

    @cached_property
    def _dates(self) -> NDArray[np.datetime64]:
        """The day of every row, whatever its hour: markets do not close together."""
        return self.times.astype("datetime64[D]")

    @cached_property
    def day_codes(self) -> NDArray[np.int64]:
        """Which day each row belongs to, counted from the first; all to one if the sidecar names no time."""
        if self.sidecar.time is None:
            return np.zeros(len(self.frame), dtype=np.int64)
        return np.unique(self._dates, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def days(self) -> "pd.DatetimeIndex":
        """The days, ascending."""
        return pd.DatetimeIndex(np.unique(self._dates))

    @cached_property
    def asset_codes(self) -> NDArray[np.int64]:
        """Which asset each row belongs to."""
        column = self.column(self.sidecar.asset)
        try:
            codes = np.asarray(pd.factorize(column, sort=True)[0], dtype=np.int64)
        except TypeError as error:  # lists, dicts
            raise FormatError(
                f"evaluation.parquet: {self.sidecar.asset} holds what is no name ({error}); pack again"
            ) from error
        self._refuse_missing(column)
        return codes

    @cached_property
    def returns(self) -> Matrix:
        """The next day's return by day and asset."""
        return self.by_day(np.asarray(self.numbers(RET_NEXT), dtype=np.float64))

    @cached_property
    def volume(self) -> Matrix | None:
        """What the whole market traded by day and asset [money]; None if the panel does not say.

        An asset without a row keeps its last volume, for a position in it is closed then.
        """
        if self.sidecar.volume is None:
            return None
        volume = self.by_day(np.asarray(self.numbers(self.sidecar.volume), dtype=np.float64))
        return np.asarray(pd.DataFrame(volume).ffill())

    def by_day(self, values: Matrix) -> Matrix:
        """Lay one value a row out as a matrix.

        Parameters
        ----------
        values : ndarray, shape (n_rows,)

        Returns
        -------
        ndarray, shape (n_days, n_assets)
            NaN where an asset has no row.

        Raises
        ------
        FormatError
            If two rows share a day and an asset.
        """
        matrix = np.full((len(self.days), int(self.asset_codes.max(initial=0)) + 1), np.nan)
        matrix.ravel()[self._cells] = values
        return matrix

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        """Where each row lies in a matrix of days and assets."""
        cells: NDArray[np.int64] = self.day_codes * (self.asset_codes.max(initial=0) + 1) + self.asset_codes
        if np.bincount(cells, minlength=1).max() > 1:
            raise FormatError("evaluation.parquet: two rows share a day and an asset; keep one")
        return cells

    @cached_property
    def key(self) -> str:
        """Digest of what a model is judged by: the times, assets and targets of all rows."""
        # pandas 2 hashes -0.0 apart from 0, and packs nanoseconds where pandas 3 packs microseconds.
        columns: list[Any] = [*(self.column(name) for name in self.sidecar.keys), self.outcome + 0]
        if self.sidecar.time is not None:
            columns[0] = self.times.astype("datetime64[us]")
        rows = pd.util.hash_pandas_object(pd.DataFrame(dict(enumerate(columns))))
        return sha256(rows.to_numpy().tobytes())

    def neutralised(self, positions: list[int]) -> NDArray[np.generic]:
        """Copy the features with some columns set to their cross-sectional median of each day."""
        rows = np.array(self.features)
        for position in positions:
            column = pd.Series(rows[:, position])
            rows[:, position] = column.groupby(self.day_codes).transform("median").to_numpy()
        return rows

    def live_rows(self, count: int) -> pd.DataFrame:
        """The first rows as a live feed would bring them: keys and features."""
        return self.frame[[*self.sidecar.keys, *self.sidecar.names]].head(count)

    def schema(self) -> list[tuple[str, str]]:
        """Name and dtype of the columns between the keys and the outcomes: the features as the file has them."""
        outer = {*self.sidecar.keys, *self.sidecar.outcomes}
        return [(str(name), str(dtype)) for name, dtype in self.frame.dtypes.items() if name not in outer]

    def column_problems(self) -> list[str]:
        """Columns that are missing, foreign or out of order."""
        found, expected = list(map(str, self.frame)), self.sidecar.panel_columns
        problems = [f"{name} is missing from the panel" for name in expected if name not in found]
        problems += [f"{name} does not belong in the panel" for name in found if name not in expected]
        if not problems and found != expected:
            problems.append(f"the panel's order is {', '.join(found)}, expected {', '.join(expected)}")
        return problems

    def dtype_problems(self) -> list[str]:
        """Columns whose dtype is not the sidecar's; outcomes are float64, times are dates."""
        wanted = {feature.name: feature.dtype for feature in self.sidecar.features}
        wanted |= dict.fromkeys(self.sidecar.outcomes, "float64")
        found = {name: str(self.column(name).dtype) for name in wanted}
        problems = [
            f"{name} is {found[name]}, expected {dtype}" for name, dtype in wanted.items() if found[name] != dtype
        ]
        time = self.sidecar.time
        if time is not None and not pd.api.types.is_datetime64_dtype(self.column(time).dtype):
            problems.append(f"{time} is {self.column(time).dtype}, expected dates without a time zone")
        return problems

    def not_finite(self) -> list[str]:
        """Columns with an infinity, with NaN where the sidecar allows none, or with what is no number."""
        nullable = {feature.name for feature in self.sidecar.features if feature.nullable}
        problems = []
        for name in self.sidecar.keys:
            if missing := int(self.column(name).isna().sum()):
                problems.append(f"{name} is missing in {missing} rows")
        for name in [*self.sidecar.names, *self.sidecar.outcomes]:
            if not _are_numbers(self.column(name).dtype):
                problems.append(f"{name} is {self.column(name).dtype}, expected numbers")
                continue
            values = self.numbers(name)
            bad = int((np.isinf(values) if name in nullable else ~np.isfinite(values)).sum())
            if bad:
                problems.append(f"{name} in {bad} rows")
        return problems

    def repeated_rows(self) -> list[str]:
        """Rows whose asset has another row on the same day: the same evidence a minute later would count twice."""
        twice = pd.DataFrame({"day": self._dates.astype(np.int64), "asset": self.asset_codes}).duplicated()
        assets = self.column(self.sidecar.asset)
        return [f"{self._date(int(row))}{printable(str(assets[row]))}" for row in np.flatnonzero(twice)]

    def unordered_rows(self) -> list[str]:
        """Rows that come before the row above them."""
        times = self.day_codes if self.sidecar.time is None else self.times.astype(np.int64)
        assets = self.asset_codes
        back = (times[1:] < times[:-1]) | ((times[1:] == times[:-1]) & (assets[1:] < assets[:-1]))
        return [f"row {row + 1}" for row in np.flatnonzero(back)]

    def overlapping_rows(self) -> list[str]:
        """Rows on or before the last price date that a training label used."""
        times: Any = pd.DatetimeIndex(self.times)
        early = np.asarray(times.normalize() <= pd.Timestamp(self.sidecar.trained_until))
        return [f"{times[row]:%Y-%m-%d}" for row in np.flatnonzero(early)]

    def _date(self, row: int) -> str:
        return "" if self.sidecar.time is None else f"{pd.Timestamp(self.times[row]):%Y-%m-%d} "

    def _refuse_missing(self, column: "pd.Series") -> None:
        if missing := int(column.isna().sum()):
            raise FormatError(
                f"evaluation.parquet: {column.name} is missing in {missing} rows; drop them and pack again"
            )


def read_native_scores(content: bytes) -> Matrix:
    """Read the native model's score of every row from the bytes of `evaluation.parquet`, and nothing else of it."""
    try:
        scores = pq.ParquetFile(io.BytesIO(content)).read(columns=[REFERENCE], use_threads=False)[REFERENCE].to_numpy()
    except Exception as error:  # as above
        raise _no_parquet(error) from error
    if not _are_numbers(scores.dtype):
        raise _no_numbers(REFERENCE, scores.dtype)
    return np.asarray(scores, dtype=np.float64)


def _are_numbers(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "bfiu"


def _no_numbers(name: str, dtype: object) -> FormatError:
    return FormatError(f"evaluation.parquet: {name} is {dtype}, expected numbers; pack again")


def _no_parquet(error: Exception) -> FormatError:
    return FormatError(f"evaluation.parquet: cannot be read as Parquet ({first_line(error)})")
