"""The panel: out-of-sample rows of keys, features, outcomes and the native model's scores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import FormatError
from ..stats.attendance import Holes, holes, share_of_survivors
from ..stats.days import Calendar, calendar
from ..stats.left_out import LeftOut, left_out
from ..stats.plausible import ReturnSizes, return_sizes
from ..stats.target import TargetAgreement, target_agreement
from ..storage.parquet import count_rows, read_frame
from ..storage.text import printable
from . import panel_checks
from .directory import PANEL, SIDECAR
from .features import feature_matrix, named_column, numeric_column
from .sidecar import BASELINE, REFERENCE, RET_NEXT, Sidecar
from .window import rows_digest, window_problems

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Rows in the order of the file, with what is needed to lay them out by day and asset."""

    frame: pd.DataFrame
    sidecar: Sidecar

    @classmethod
    def read(cls, content: bytes, sidecar: Sidecar, *, columns: list[str] | None = None) -> "Panel":
        """Read `evaluation.parquet` from its bytes, all columns or some; each use checks the columns that it needs."""
        # A file may bring row labels of its own.
        return cls(read_frame(content, PANEL, columns=columns).reset_index(drop=True), sidecar)

    @staticmethod
    def rows(content: bytes) -> int:
        """Count the rows of `evaluation.parquet` by its footer."""
        return count_rows(content, PANEL)

    def column(self, name: str | None) -> "pd.Series":
        """One column, which the sidecar must name and the panel must have."""
        if name is None:
            raise FormatError(f"{SIDECAR}: names no such column, as a {self.sidecar.task} model need not")
        return named_column(self.frame, name, source=PANEL)

    def numbers(self, name: str) -> NDArray[np.generic]:
        """One column, which must be there and hold numbers."""
        return numeric_column(self.frame, name, source=PANEL)

    @cached_property
    def features(self) -> NDArray[np.generic]:
        """Features in sidecar order, shape (n_rows, n_features)."""
        return feature_matrix(self.frame, self.sidecar, source=PANEL)

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
        """Which day each row belongs to, counted from the first; one day for all rows if the sidecar names no time."""
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
                f"evaluation.parquet: {self.sidecar.asset} holds a value that is not a name ({error}); pack again"
            ) from error
        self._refuse_missing(column)
        return codes

    @cached_property
    def _assets(self) -> list[str]:
        """What the assets are called, by their code."""
        return [str(name) for name in np.unique(np.asarray(self.column(self.sidecar.asset), dtype=object))]

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
    def rows_digest(self) -> str:
        """Digest of what cannot be chosen about the rows: times, assets, and returns (targets, if not a signal)."""
        names = None if self.sidecar.asset is None else self.column(self.sidecar.asset).astype(str).tolist()
        returns = self.numbers(RET_NEXT) if self.sidecar.task == "signal" else self.outcome
        return rows_digest(self.times, names, np.asarray(returns, dtype=np.float64))

    def neutralised(self, positions: list[int]) -> NDArray[np.generic]:
        """Copy the features with some columns set to their cross-sectional median of each day."""
        rows = np.array(self.features)
        for position in positions:
            column = pd.Series(rows[:, position])
            rows[:, position] = column.groupby(self.day_codes).transform("median").to_numpy()
        return rows

    def schema(self) -> list[tuple[str, str]]:
        """Name and dtype of the columns between the keys and the outcomes: the features as the file has them."""
        outer = {*self.sidecar.keys, *self.sidecar.outcomes}
        return [(str(name), str(dtype)) for name, dtype in self.frame.dtypes.items() if name not in outer]

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

    @cached_property
    def features_by_day(self) -> Mapping[str, Matrix]:
        """Each feature by day and asset, laid out when it is asked for, as all together would fill the memory."""
        return FeaturesByDay(self)

    def day(self, index: int) -> str:
        """Write the date of a day of the matrices."""
        return f"{self.days[index]:%Y-%m-%d}"

    def asset(self, code: int) -> str:
        """Write the name of an asset of the matrices."""
        return printable(self._assets[code])

    def row(self, day: int, asset: int) -> str:
        """Write the date and the name of a cell of the matrices."""
        return f"{self.day(day)} {self.asset(asset)}"

    def _refuse_missing(self, column: "pd.Series") -> None:
        if missing := int(column.isna().sum()):
            raise FormatError(
                f"evaluation.parquet: {column.name} is missing in {missing} rows; drop them and pack again"
            )


class FeaturesByDay(Mapping[str, Matrix]):
    """Name of each feature to its values by day and asset, in the order of the sidecar."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def __getitem__(self, name: str) -> Matrix:
        """Lay one feature out."""
        column = self._panel.features[:, self._panel.sidecar.names.index(name)]
        return self._panel.by_day(np.asarray(column, dtype=np.float64))

    def __iter__(self) -> Iterator[str]:
        """Name the features."""
        return iter(self._panel.sidecar.names)

    def __len__(self) -> int:
        """Count the features."""
        return len(self._panel.sidecar.names)


def read_native_scores(content: bytes) -> Matrix:
    """Read the native model's score of every row from the bytes of `evaluation.parquet`, and no other column."""
    scores = numeric_column(read_frame(content, PANEL, columns=[REFERENCE]), REFERENCE, source=PANEL)
    return np.asarray(scores, dtype=np.float64)
