"""How far ONNX Runtime is from the native model, at every batch size that production may use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from ..stats.spread import spread
from ..storage.scratch import empty
from .blocks import BLOCK, SIZES, Rows, in_blocks
from .panel import Panel
from .probes import probe_rows
from .session import OnnxModel
from .sidecar import Probes

BATCH_SIZES = (1, 32, BLOCK)
# A claim is ok up to this difference, on the scale of the scores; the gate takes its limit from the policy.
PARITY_TOLERANCE = 1e-5

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The largest difference over all rows, probes and batch sizes.

    `max_abs_diff` is in the unit of the scores. `scaled` is the largest difference as a share of how far the native
    score of its row reaches, and `scale` the spread of a typical day; see `stats.spread`. At most as far apart as
    `scaled_half` is half of the rows and probes, and 99 in 100 are as `scaled_p99`, on the scale of `scaled`.
    `by_batch` counts rows whose score is another one, if only in its last bit, in a batch of another size.
    """

    max_abs_diff: float
    scaled: float
    scale: float
    rows: int
    probes: int = 0
    by_batch: int = 0
    scaled_half: float = 0.0
    scaled_p99: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The rows on which two models are compared: those of the panel, then the probes.

    `blocks` gives them in blocks whose size every batch size divides. `native` holds the native model's scores, `reach`
    what a difference of each row is measured against, and `scale` the spread of a typical day. The last two depend on
    the panel alone. `probes` counts the probes, and `changes` says of each what makes it one, if that is known.
    """

    blocks: Callable[[], Iterator[Rows]]
    native: Scores
    reach: Scores
    scale: float
    probes: int
    changes: tuple[Mapping[str, float | None], ...] = ()

    @classmethod
    def of(
        cls,
        rows: Rows | Callable[[], Iterator[Rows]],
        reference: Scores,
        days: ArrayLike | None = None,
        probes: tuple[Rows, Scores] | None = None,
    ) -> "Comparison":
        """Put the rows of a panel together with probes.

        Parameters
        ----------
        rows : ndarray, shape (n_rows, n_features), or callable
            A function gives them in parts, as often as it is called.
        reference : ndarray, shape (n_rows,)
            The native model's scores of these rows.
        days : array_like, shape (n_rows,), optional
            The day of each row; one day for all if left out.
        probes : (ndarray, ndarray), optional
            Further rows, and the native model's scores of them.

        Raises
        ------
        StatisticsError
            Without rows, or if a native score is beyond 1e100.
        """
        if not len(reference):
            raise StatisticsError(
                "no rows to compare ONNX Runtime with the native model on; pack a panel that has some"
            )
        more, known = probes or (np.empty((0, 0)), np.empty(0))
        parts = rows if callable(rows) else lambda: iter([rows])

        def blocks() -> Iterator[Rows]:
            return in_blocks(_followed_by(parts(), more))

        native = _joined(reference, known)
        if not np.isfinite(native).all():  # nothing is near to such a score
            return cls(blocks, native, np.full(len(native), np.nan), np.nan, len(more))
        found = spread(reference, np.zeros(len(reference)) if days is None else days)
        beyond = np.maximum(np.abs(known - found.middle), found.typical)
        return cls(blocks, native, _joined(found.reach, beyond), found.typical, len(more))

    @classmethod
    def of_panel(cls, panel: Panel, probes: Probes) -> "Comparison":
        """Put the rows of a panel together with the probes that packing kept."""
        more = probe_rows(probes, panel.sidecar.names)
        found = cls.of(panel.blocks, panel.native_scores, panel.day_codes, more)
        return replace(found, changes=tuple(probe.values for probe in probes.rows))

    def differences(self, model: OnnxModel, *, batch_size: int | None = None) -> Scores:
        """Score every row and subtract the native scores; NaN or infinite if either score is."""
        scores = (model.predict(rows, batch_size=batch_size) for rows in self.blocks())
        return _apart(np.concatenate([*scores]), self.native)

    def where(self, chosen: NDArray[np.bool_]) -> Iterator[Rows]:
        """Some of the rows, in parts."""
        start = 0
        for rows in self.blocks():
            yield rows[chosen[start : start + len(rows)]]
            start += len(rows)

    def measure(self, model: OnnxModel) -> Parity:
        """Score every row at the three batch sizes, some at each other size, and compare with the native scores."""
        alone, differences = empty((2, len(self.native)))
        another, start = np.zeros(len(self.native), dtype=bool), 0
        for rows in self.blocks():
            here = slice(start, start := start + len(rows))
            alone[here], *others = (model.predict(rows, batch_size=size) for size in BATCH_SIZES)
            differences[here] = np.max([_apart(scores, self.native[here]) for scores in (alone[here], *others)], axis=0)
            another[here] = np.any([scores != alone[here] for scores in others], axis=0)
        first = np.concatenate([*islice(self.blocks(), 1 + sum(SIZES) // BLOCK)])
        for batch in _batches(len(first)):
            scores = model.predict(first[batch])
            # A row may be more than once in a batch. NaN stays NaN, of which NumPy warns.
            with np.errstate(invalid="ignore"):
                np.maximum.at(differences, batch, _apart(scores, self.native[batch]))
            np.logical_or.at(another, batch, scores != alone[batch])
        largest = float(differences.max())
        scaled = np.divide(differences, self.reach, out=differences)
        most_scaled = float(scaled.max())
        # NaN if any difference is.
        half, most = np.quantile(scaled, (0.5, 0.99), method="higher", overwrite_input=True)
        return Parity(
            max_abs_diff=largest,
            scaled=most_scaled,
            scaled_half=float(half),
            scaled_p99=float(most),
            scale=self.scale,
            rows=len(self.native) - self.probes,
            probes=self.probes,
            by_batch=int(another.sum()),
        )


def _joined(one: Scores, other: Scores) -> Scores:
    both = empty(len(one) + len(other))
    both[: len(one)], both[len(one) :] = one, other
    return both


def _apart(scores: Scores, native: Scores) -> Scores:
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which counts as a difference
        return np.asarray(np.abs(scores - native))


def _followed_by(parts: Iterator[Rows], more: Rows) -> Iterator[Rows]:
    for rows in parts:
        yield rows
    if len(more):
        with np.errstate(over="ignore"):  # what is too large for the model's input is an infinity there too
            yield more.astype(rows.dtype)


def _batches(rows: int) -> Iterator[NDArray[np.intp]]:
    """Give the rows of a batch of each size, one batch after the other, and from the first row again at the end."""
    start = 0
    for size in SIZES:
        yield np.arange(start, start + size) % rows
        start += size
