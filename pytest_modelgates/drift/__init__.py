"""Whether what a model predicts now still looks like what it predicted on its panel.

The names in `__all__` are public. A golden is a sample of predictions that was saved to compare later ones with.
"""

from .golden import load_golden_predictions, save_golden_predictions
from .running import detect_drift, ks_test, psi

__all__ = ["detect_drift", "ks_test", "load_golden_predictions", "psi", "save_golden_predictions"]
