"""The panel: out-of-sample rows of keys, features, outcomes and the native model's scores."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import FormatError, UnreadableError
from ..stats.attendance import Holes, holes, share_of_survivors
from ..stats.days import Calendar, calendar
from ..stats.left_out import LeftOut, left_out
from ..stats.plausible import ReturnSizes, return_sizes
from ..stats.target import TargetAgreement, target_agreement
from ..storage.parquet import Content, ParquetRows, read_parquet
from ..storage.scratch import empty, groups, in_parts, parts
from ..storage.text import printable
from . import panel_checks
from .blocks import BLOCK, in_blocks
from .directory import PANEL, SIDECAR
from .features import feature_matrix, named_column, numeric_column, require_numbers
from .sidecar import BASELINE, REFERENCE, RET_NEXT, Sidecar
from .window import digest_of_codes, window_problems

Matrix = NDArray[np.float64]
# Rows of a frame that are made a matrix at a time.
_PIECE = 2**16
# What gates need for a row at most, whatever its features: of memory for a signal, of memory for another model, whose
# rows are ranked and drawn all at once, and of the disk of temporary files. `python -m benchmarks.panel` measures it
# [bytes].
_MEMORY_A_ROW, _MEMORY_A_CASE, _SCRATCH_A_ROW = 40, 350, 350


@dataclass(frozen=True, eq=False)
class Panel:
    """Rows in the order of the file, with what is needed to lay them out by day and asset.

    A panel that is read from a file may be larger than memory: a column is decoded when it is asked for, and features
    come in blocks of rows. `frame` and `features` are the whole, for which there must be room.
    """

    given: pd.DataFrame | ParquetRows
    sidecar: Sidecar

    @classmethod
    def read(cls, content: Content, sidecar: Sidecar) -> "Panel":
        """Take `evaluation.parquet`, as bytes or open; each use reads and checks the columns that it needs.

        Raises
        ------
        UnreadableError
            If it is not Parquet, or statistics of so many rows would take more memory than may be used, or more than
            half of what is free on the disk of temporary files.
        """
        given = ParquetRows(content, PANEL)
        given.require_room(_MEMORY_A_ROW if sidecar.task == "signal" else _MEMORY_A_CASE, _SCRATCH_A_ROW)
        return cls(given, sidecar)

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """All columns at once.

        Raises
        ------
        UnreadableError
            If they would take more than a quarter of the memory that may be used.
        """
        if isinstance(self.given, pd.DataFrame):
            return self.given
        try:
            return self.given.read()
        except UnreadableError as error:
            raise UnreadableError(f"{error}; panel.column(name) and panel.blocks() need less") from error

    @property
    def source(self) -> "pd.DataFrame | ParquetRows":
        """Where columns are taken from: the frame once it was asked for, which may have been changed since."""
        return self.__dict__.get("frame", self.given)

    def require_readable(self) -> "Panel":
        """Decode what has one value a row, for callers that judge nothing of a panel that cannot be read.

        Raises
        ------
        UnreadableError, IntegrityError
            If it cannot be decoded in the memory that may be used, or changed since it was opened.
        """
        for name in {*self.sidecar.keys, *self.sidecar.outcomes}:
            if name in self.source:
                _ = self.source[name]
        return self

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.source)

    def column(self, name: str | None) -> "pd.Series":
        """One column, which the sidecar must name and the panel must have."""
        if name is None:
            raise FormatError(f"{SIDECAR}: names no such column, as a {self.sidecar.task} model need not")
        return named_column(self.source, name, source=PANEL)

    def column_pieces(self, name: str | None) -> "Iterator[pd.Series]":
        """One column, which the sidecar must name and the panel must have, a part of the rows at a time."""
        if name is None or name not in self.source:
            self.column(name)  # says what is wrong
        return (piece[name] for piece in self.pieces([str(name)]))

    def column_head(self, name: str | None, rows: int) -> "pd.Series":
        """The first rows of one column, which the sidecar must name and the panel must have."""
        pieces: list[pd.Series] = []
        for piece in self.column_pieces(name):
            pieces.append(piece)
            if sum(map(len, pieces)) >= rows:
                break
        return pd.concat(pieces or [self.column(name)]).head(rows)

    def dtype(self, name: str) -> object:
        """The dtype of a column, which must be there."""
        source = self.source
        return source.dtype(name) if isinstance(source, ParquetRows) and name in source else self.column(name).dtype

    def numbers(self, name: str) -> NDArray[np.generic]:
        """One column, which must be there and hold numbers."""
        return numeric_column(self.source, name, source=PANEL)

    @cached_property
    def features(self) -> NDArray[np.generic]:
        """Features in sidecar order, shape (n_rows, n_features)."""
        return feature_matrix(self.frame, self.sidecar, source=PANEL)

    def blocks(self, size: int = BLOCK, *, neutral: Collection[int] = ()) -> Iterator[NDArray[np.generic]]:
        """Features in sidecar order, so many rows at a time.

        Parameters
        ----------
        size : int, default BLOCK
            Rows of each block; the last one has those that are left.
        neutral : collection of int
            Positions of features that are replaced by their cross-sectional median of each day.

        Returns
        -------
        iterator of ndarray, shape (size, n_features)
            The same blocks however the file is divided.
        """
        dtype = self._feature_dtype
        medians = {position: self._medians(position) for position in neutral}

        def matrices() -> Iterator[NDArray[np.generic]]:
            start = 0
            for piece in self.pieces(self.sidecar.names):
                matrix = feature_matrix(piece, self.sidecar, source=PANEL).astype(dtype, copy=False)
                for position, of_day in medians.items():
                    matrix[:, position] = of_day[self.day_codes[start : start + len(matrix)]]
                start += len(matrix)
                yield matrix

        return in_blocks(matrices(), size)

    def pieces(self, columns: list[str]) -> "Iterator[pd.DataFrame]":
        """Some columns, a part of the rows at a time."""
        if isinstance(source := self.source, ParquetRows):
            return source.pieces(columns)
        return (source[columns].iloc[start : start + _PIECE] for start in range(0, len(source), _PIECE))

    def head(self, rows: int) -> NDArray[np.generic]:
        """The features of the first rows."""
        return next(self.blocks(rows), np.empty((0, len(self.sidecar.names))))

    @cached_property
    def _feature_dtype(self) -> "np.dtype[np.generic]":
        """The one dtype that all features fit into; each must be there and hold numbers."""
        dtypes: list[Any] = []
        for name in self.sidecar.names:
            require_numbers(name, found := self.dtype(name), source=PANEL)
            dtypes.append(found)
        return np.result_type(*dtypes)

    def feature(self, position: int) -> NDArray[np.generic]:
        """One feature of all rows, in the dtype of the matrix."""
        return as_dtype(self.numbers(self.sidecar.names[position]), self._feature_dtype)

    def _medians(self, position: int) -> NDArray[np.generic]:
        """The median of a feature on each day."""
        column = self.feature(position)
        found = [pd.Series(column[rows]).groupby(self.day_codes[rows]).median() for rows in groups(self.day_codes)]
        return np.concatenate([*map(np.asarray, found)]) if found else column

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
        self._refuse_missing(self.sidecar.time, int(column.isna().sum()))
        times = np.asarray(column.to_numpy())
        if beyond := panel_checks.years_beyond(times):
            raise FormatError(f"evaluation.parquet: {self.sidecar.time} {beyond}; pack again")
        return times

    @cached_property
    def _days(self) -> tuple[NDArray[np.int64], NDArray[np.datetime64]]:
        """The day of every row, whatever its hour, as its place among the days: markets do not close together."""
        times = self.times
        days = np.unique(np.concatenate([np.unique(times[part].astype("datetime64[D]")) for part in parts(len(times))]))
        return in_parts(lambda some: np.searchsorted(days, some.astype("datetime64[D]")), times), days

    @cached_property
    def day_codes(self) -> NDArray[np.int64]:
        """Which day each row belongs to, counted from the first; one day for all rows if the sidecar names no time."""
        if self.sidecar.time is None:
            return np.zeros(self.rows, dtype=np.int64)
        return self._days[0]

    @cached_property
    def days(self) -> "pd.DatetimeIndex":
        """The days, ascending."""
        return pd.DatetimeIndex(self._days[1])

    @property
    def asset_codes(self) -> NDArray[np.int64]:
        """Which asset each row belongs to."""
        return self._assets[0]

    @cached_property
    def _assets(self) -> tuple[NDArray[np.int64], list[str]]:
        """Which asset each row belongs to, and what the assets are called by their code."""
        codes: NDArray[np.int64] = empty(self.rows, np.int64)
        known, start, missing = pd.Series(dtype=object), 0, 0
        try:
            for column in self.column_pieces(self.sidecar.asset):
                own, names = pd.factorize(column)
                new = pd.Series(names)
                known = new if known.empty else pd.concat([known, new[~new.isin(known)]], ignore_index=True)
                places = pd.Index(known).get_indexer(pd.Index(new))
                codes[start : (start := start + len(own))] = places[own]
                missing += int((own < 0).sum())
            order, names = pd.factorize(known, sort=True)
        except TypeError as error:  # lists, dicts
            raise FormatError(
                f"evaluation.parquet: {self.sidecar.asset} holds a value that is not a name ({error}); pack again"
            ) from error
        self._refuse_missing(self.sidecar.asset, missing)
        return in_parts(lambda some: order[some], codes), pd.Series(names).astype(str).tolist()

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
        for day, before in zip(volume[1:], volume[:-1], strict=True):
            np.copyto(day, before, where=np.isnan(day))
        return volume

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
        matrix: Matrix = empty((len(self.days), int(self.asset_codes.max(initial=0)) + 1))
        matrix[:] = np.nan
        matrix.ravel()[self._cells] = values
        return matrix

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        """Where each row lies in a matrix of days and assets."""
        names = self.asset_codes.max(initial=0) + 1
        cells = in_parts(lambda day, asset: day * names + asset, self.day_codes, self.asset_codes)
        taken = np.zeros(len(self.days) * names, dtype=bool)
        taken[cells] = True
        if np.count_nonzero(taken) < len(cells):
            raise FormatError("evaluation.parquet: two rows share a day and an asset; keep one")
        return cells

    @cached_property
    def rows_digest(self) -> str:
        """Digest of what cannot be chosen about the rows: times, assets, and returns (targets, if not a signal)."""
        codes, names = (np.zeros(self.rows, dtype=np.int64), [""]) if self.sidecar.asset is None else self._assets
        returns = self.numbers(RET_NEXT) if self.sidecar.task == "signal" else self.outcome
        return digest_of_codes(self.times, codes, names, np.asarray(returns, dtype=np.float64))

    def schema(self) -> list[tuple[str, str]]:
        """Name and dtype of the columns between the keys and the outcomes: the features as the file has them."""
        outer = {*self.sidecar.keys, *self.sidecar.outcomes}
        return [(str(name), str(dtype)) for name, dtype in self.source.dtypes.items() if name not in outer]

    # The gates on data and schema call these.
    column_problems = panel_checks.column_problems
    dtype_problems = panel_checks.dtype_problems
    not_finite = panel_checks.not_finite
    repeated_rows = panel_checks.repeated_rows
    unordered_rows = panel_checks.unordered_rows
    overlapping_rows = panel_checks.overlapping_rows
    window_problems = window_problems
    repeated_days = panel_checks.repeated_days
    repeated_names = panel_checks.repeated_names
    share_of_repeated_rows = panel_checks.share_of_repeated_rows

    @cached_property
    def calendar(self) -> Calendar:
        """The frequency of the dates, and the longest gap between two."""
        return calendar(self.days)

    @cached_property
    def target_agreement(self) -> TargetAgreement:
        """How far the target of a day ranks its names like the returns over the horizon."""
        return target_agreement(self.by_day(self.outcome), self.returns, horizon=self.sidecar.horizon)

    @cached_property
    def left_out(self) -> LeftOut:
        """Gaps in the dates over which the target or a feature knows other returns than the panel holds."""
        target, gaps = self.by_day(self.outcome), self.calendar.before_gaps
        return left_out(target, self.features_by_day, self.returns, horizon=self.sidecar.horizon, gaps=gaps)

    @cached_property
    def return_sizes(self) -> ReturnSizes:
        """What is odd about the size of the returns."""
        return return_sizes(self.returns, periods_per_year=self.calendar.periods_per_year)

    @cached_property
    def holes(self) -> Holes:
        """Rows that are missing between others, and whether chance explains which."""
        target, scores = self.by_day(self.outcome), self.by_day(self.native_scores)
        return holes(target, scores, self.returns, horizon=self.sidecar.horizon)

    @property
    def share_of_survivors(self) -> float:
        """The share of the names that never leave the panel."""
        return share_of_survivors(self.returns)

    @property
    def features_by_day(self) -> Mapping[str, Matrix]:
        """Each feature by day and asset, laid out when it is asked for, as all together would fill the memory."""
        return Features(self, self.by_day)

    @property
    def features_by_name(self) -> Mapping[str, Matrix]:
        """Each feature of all rows, taken when it is asked for."""
        return Features(self, lambda column: column)

    def day(self, index: int) -> str:
        """Write the date of a day of the matrices."""
        return f"{self.days[index]:%Y-%m-%d}"

    def asset(self, code: int) -> str:
        """Write the name of an asset of the matrices."""
        return printable(self._assets[1][code])

    def row(self, day: int, asset: int) -> str:
        """Write the date and the name of a cell of the matrices."""
        return f"{self.day(day)} {self.asset(asset)}"

    def _refuse_missing(self, name: str | None, missing: int) -> None:
        if missing:
            raise FormatError(f"evaluation.parquet: {name} is missing in {missing} rows; drop them and pack again")


class Features(Mapping[str, Matrix]):
    """Name of each feature to its values, laid out in some way, in the order of the sidecar."""

    def __init__(self, panel: Panel, lay_out: Callable[[Matrix], Matrix]) -> None:
        self._panel, self._lay_out = panel, lay_out

    def __getitem__(self, name: str) -> Matrix:
        """Lay one feature out."""
        column = self._panel.feature(self._panel.sidecar.names.index(name))
        return self._lay_out(as_dtype(column, np.dtype(np.float64)))

    def __iter__(self) -> Iterator[str]:
        """Name the features."""
        return iter(self._panel.sidecar.names)

    def __len__(self) -> int:
        """Count the features."""
        return len(self._panel.sidecar.names)


def as_dtype(column: NDArray[np.generic], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """Take a column in another dtype."""
    return column if column.dtype == dtype else in_parts(lambda some: some.astype(dtype), column)


def read_native_scores(content: Content) -> Matrix:
    """Read the native model's score of every row from `evaluation.parquet`, and no other column."""
    found = read_parquet(content, PANEL, columns=[REFERENCE])  # as a frame it would take three times as long
    if not found.num_columns:
        raise FormatError(f"{PANEL}: has no column {REFERENCE!r}; pack again")
    scores = found.column(0).to_numpy()
    require_numbers(REFERENCE, scores.dtype, source=PANEL)
    return np.asarray(scores, dtype=np.float64)
