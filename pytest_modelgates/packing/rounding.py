"""Thresholds of trees as float32."""

import numpy as np


def floor_float32(threshold: float) -> float:
    """Round down to a float32: for every float32 x, x <= threshold exactly if x <= the result."""
    with np.errstate(
        over="ignore"
    ):  # beyond float32 lies infinity, and the next number below it is the largest float32
        nearest = np.float32(threshold)
    return float(np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > threshold else nearest)
