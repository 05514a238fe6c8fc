"""From Arrow batches of predictions to counts, which add up: what any engine can map over data that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..errors import FormatError, StatisticsError
from ..storage.text import listed, printable
from .columns import column, rounded
from .golden import COLUMN
from .kept import NOT_KEPT, KeptSummary
from .summary import Reference, Summary, has_precision
from .verdict import DriftLimits, DriftReport, judge

if TYPE_CHECKING:
    import pyarrow as pa

COUNTS = "counts"
"""The column of kept counts, a row for each batch."""


class BatchCounter:
    """Counts the predictions in Arrow batches over a model's golden.

    It can be pickled, so an engine may send it to where the data are. What it gives is small, whatever the number of
    rows, and adds up in any order and grouping to the counts of all rows at once.

    Parameters
    ----------
    golden : array_like, shape (n,), or Reference
        Predictions then.
    column : str, default "prediction"
        The column of the batches that holds predictions.
    precision : dtype, optional
        Compare both sides as floats of so many bits, such as ``float32``. Needed where the batches have fewer than the
        golden, since 0.1 differs from 0.1 rounded.

    Raises
    ------
    StatisticsError
        If the golden cannot be read as numbers.
    """

    def __init__(
        self, golden: ArrayLike | Reference, *, column: str = COLUMN, precision: DTypeLike | None = None
    ) -> None:
        self.column = column
        self._precision = None if precision is None else np.dtype(precision)
        self._reference = golden if isinstance(golden, Reference) else Reference.of(self._golden(golden))

    def _golden(self, golden: ArrayLike) -> Any:
        return rounded(column(golden, name="golden"), self._precision)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Count batches.

        Parameters
        ----------
        batches : iterable of pyarrow.RecordBatch, or of pyarrow.Table

        Yields
        ------
        pyarrow.RecordBatch
            One, with one row and the column ``counts`` of bytes, for `report` to add up.

        Raises
        ------
        FormatError
            If a batch lacks the column, or holds something other than numbers there.
        StatisticsError
            If the numbers have fewer bits than those of the golden, and no `precision` says how both are compared.
        """
        import pyarrow as pa

        total = self._reference.none()
        for batch in batches:
            field = field_of(batch.schema, self.column, "a batch")
            coarse = float_of(field)
            if not self._precision and coarse and not has_precision(self._reference, coarse):
                raise StatisticsError(
                    f"{printable(self.column)} is {coarse}, and the golden has more digits: compare both so, with "
                    f"precision='{coarse}'"
                )
            total = total + count_array(self._reference, batch.column(self.column), self._precision)
        kept = msgspec.msgpack.encode(KeptSummary.of(total))
        yield pa.RecordBatch.from_arrays([pa.array([kept], type=pa.binary())], names=[COUNTS])

    def add(self, counts: Iterable[bytes]) -> Summary:
        """Add up what was counted, in any order.

        Raises
        ------
        FormatError
            If something is not counts.
        StatisticsError
            If something was counted over another golden.
        """
        total, points = self._reference.none(), self._reference.grid.points.size
        for each in counts:
            try:
                kept = msgspec.msgpack.decode(each, type=KeptSummary)
                of_it = kept.summary(points) if kept.grid == total.counts.grid else None
            except NOT_KEPT as error:
                raise FormatError(f"not counts of a BatchCounter ({error}): give the column {COUNTS!r}") from error
            if of_it is None:
                raise StatisticsError("counted over the grid of another golden: count it again with this one")
            total = total + of_it
        return total

    def report(self, counts: Iterable[bytes], *, limits: DriftLimits | None = None) -> DriftReport:
        """Add up what was counted, and say whether it has drifted; see `detect_drift`.

        Raises
        ------
        FormatError
            If something is not counts.
        StatisticsError
            If something was counted over another golden, or no row was counted.
        """
        total = self.add(counts)
        if not total.counts.rows:
            raise StatisticsError("no prediction was counted: give at least one batch that is not empty")
        return judge(self._reference, total, limits or DriftLimits())


def field_of(schema: pa.Schema, name: str, source: object) -> pa.Field:
    """Find a column of numbers; `source` is what messages call the data.

    Raises
    ------
    FormatError
        If it is not there once, or holds something else.
    """
    import pyarrow as pa

    if (times := schema.names.count(name)) != 1:
        if times:
            raise FormatError(f"{source}: {times} columns are called {printable(name)!r}; keep one")
        raise no_column(schema.names, name, source)
    field = schema.field(name)
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    if not any(is_one(kind) for is_one in numbers):
        raise FormatError(
            f"{source}: {printable(name)} is {printable(str(field.type))}, expected numbers; cast it to double"
        )
    return field


def no_column(names: Iterable[str], name: str, source: object) -> FormatError:
    """Say that a column is not there, and which are."""
    there = listed((printable(each) for each in names), most=20)
    return FormatError(f"{source}: has no column {printable(name)!r}; it holds {there}; name the one of predictions")


def float_of(field: pa.Field) -> np.dtype[Any] | None:
    """Give the dtype of a column of floats; None if it holds other numbers."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return np.dtype(kind.to_pandas_dtype()) if pa.types.is_floating(kind) else None


def count_array(reference: Reference, values: pa.Array | pa.ChunkedArray, precision: np.dtype[Any] | None) -> Summary:
    """Count an Arrow array of numbers; what is null is missing.

    Parameters
    ----------
    reference : Reference
    values : pyarrow.Array or pyarrow.ChunkedArray
        As `field_of` admits it.
    precision : dtype, optional
        Floats with more bits are rounded to it.
    """
    import pyarrow as pa

    total = reference.none()
    for chunk in getattr(values, "chunks", [values]):
        decoded = chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
        # Integers that stand beside a null would become floats, and be rounded.
        there = decoded.drop_null() if decoded.null_count else decoded
        if len(there):
            total = total + reference.count(rounded(there.to_numpy(zero_copy_only=False), precision))
        if lost := len(decoded) - len(there):
            total = total + reference.count(np.full(lost, np.nan))
    return total
