"""Rows that a panel need not have: what the native model makes of missing values, of 0 and of the panel's edges.

The panel shows what the model met out of sample. Serving admits more: NaN in each feature that is declared nullable,
and every finite number. So packing asks the native model about such rows, while it is at hand, and keeps its answers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OnnxError, PackError
from ..model.probes import as_probes
from ..model.sidecar import Probes
from .convert import NativeScore

Rows = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]
Change = dict[int, float]

# Smaller than the smallest normal float32, and than what LightGBM takes for 0.
DENORMAL = 1e-40
# Each change is tried on this many rows of the panel, fewer if there are very many changes [count].
BASES, TRIED = 16, 20_000
# The rows of a change that are kept [count]: where a missing value leads depends on the rest of the row.
KEPT, KEPT_NAN = 1, 4
CELLS_AT_ONCE = 2_000_000


def probe(
    given: Rows,
    scores: Scores,
    native: NativeScore,
    onnx: Callable[[Rows], Scores],
    *,
    nullable: Sequence[bool],
    names: Sequence[str],
) -> Probes:
    """Ask both models about rows that the panel need not have, and keep those on which they differ most.

    Parameters
    ----------
    given : ndarray, shape (n_rows, n_features)
        The panel's features, in the user's own precision.
    scores : ndarray, shape (n_rows,)
        The native model's scores of them.
    native, onnx : callable
        The two models, rows to scores.
    nullable : sequence of bool
        Whether each feature may be NaN.
    names : sequence of str
        Names of the features.

    Returns
    -------
    Probes
        At least one row for each change of a feature, unless one of the models has no score for it.
    """
    changes, bases = _changes(given, nullable), _bases(given, scores)
    used = bases[: max(1, TRIED // max(1, len(changes)))]
    step, kept = max(1, CELLS_AT_ONCE // max(1, used.size)), []
    for start in range(0, len(changes) if used.size else 0, step):
        some = changes[start : start + step]
        rows = np.repeat(used[None], len(some), axis=0)
        for block, change in zip(rows, some, strict=True):
            block[:, list(change)] = list(change.values())
        answers = _scores(native, rows)
        off = np.abs(_scores(onnx, rows) - answers)
        for number, change in enumerate(some):
            values = {names[position]: value for position, value in change.items()}
            # What the native model refuses, such as an unknown category, has no answer to compare with.
            sound = np.flatnonzero(np.isfinite(answers[number]))
            order = sound[np.argsort(-np.nan_to_num(off[number, sound], nan=np.inf), kind="stable")]
            most = KEPT_NAN if np.isnan(list(change.values())).any() else KEPT
            kept += [(int(base), values, float(answers[number, base])) for base in order[:most]]
    return as_probes(used, kept)


def _changes(given: Rows, nullable: Sequence[bool]) -> list[Change]:
    """Each feature at the edges of what the panel saw, at and next to 0, and missing; then all features at once."""
    lowest: Change = {}
    highest: Change = {}
    changes: list[Change] = []
    for position, column in enumerate(given.T):
        finite = column[np.isfinite(column)]
        if not finite.size:
            continue
        lowest[position], highest[position] = float(finite.min()), float(finite.max())
        values = [lowest[position], highest[position], 0.0]
        if (finite != np.round(finite)).any():  # a count or a code is never next to 0
            values += [-0.0, DENORMAL, -DENORMAL]
        # In hexadecimal, since -0.0 equals 0.0.
        changes += [{position: float.fromhex(value)} for value in dict.fromkeys(map(float.hex, values))]
    missing: Change = {position: np.nan for position, may in enumerate(nullable) if may}
    changes += [{position: np.nan} for position in missing]
    return changes + [change for change in (lowest, highest, missing) if len(change) > 1]


def _bases(given: Rows, scores: Scores) -> Rows:
    """Rows of the panel from the lowest score to the highest, since unlike rows take unlike ways through a model."""
    sound = np.flatnonzero(~np.isinf(given).any(axis=1) & np.isfinite(scores))
    order = sound[np.argsort(scores[sound], kind="stable")]
    # The middle first: if only some can be used, they are not all alike.
    places = np.linspace(0, max(len(order) - 1, 0), min(BASES, len(order))).astype(int)
    return (
        given[order[places[np.argsort(np.abs(places - np.median(places)), kind="stable")]]] if len(order) else given[:0]
    )


def _scores(score: Callable[[Rows], Scores], rows: Rows) -> Scores:
    """Score blocks of rows, shape (n_blocks, n_rows, n_features) to (n_blocks, n_rows); NaN for a block that fails."""
    blocks, each, width = rows.shape
    try:
        with np.errstate(all="ignore"):
            return np.asarray(score(rows.reshape(-1, width))).reshape(blocks, each)
    except (PackError, OnnxError):
        if blocks == 1:
            return np.full((1, each), np.nan)
        return np.concatenate([_scores(score, block[None]) for block in rows])
