"""How far ONNX Runtime is from the native model, at every batch size that production may use."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import StatisticsError
from .session import OnnxModel

BATCH_SIZES = (1, 32, 1024)
# A claim is ok up to this difference, on the scale of the scores; the gate takes its limit from the policy.
PARITY_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference over all rows and batch sizes, absolute and on the scale of the scores."""

    max_abs_diff: float
    scale: float
    rows: int

    @property
    def scaled(self) -> float:
        """The difference over max(1, largest native score)."""
        return self.max_abs_diff / self.scale


def measure_parity(model: OnnxModel, rows: NDArray[np.generic], reference: NDArray[np.float64]) -> Parity:
    """Score every row at every batch size and compare with the native scores.

    Parameters
    ----------
    model : OnnxModel
    rows : ndarray, shape (n_rows, n_features)
    reference : ndarray, shape (n_rows,)
        The native model's scores of the same float32 rows.

    Returns
    -------
    Parity
        NaN as the difference if either side has a score that is not finite.

    Raises
    ------
    StatisticsError
        Without rows.
    """
    if not len(rows):
        raise StatisticsError("no rows to compare ONNX Runtime with the native model on; pack a panel that has some")
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which counts as a difference
        differences = [np.abs(model.predict(rows, batch_size=size) - reference).max() for size in BATCH_SIZES]
    worst = float(np.max(differences))  # NaN if any is
    return Parity(max_abs_diff=worst, scale=max(1.0, float(np.abs(reference).max())), rows=len(rows))
