"""Whether what a model predicts now still looks like what it predicted on its panel.

The names in `__all__` are public. A golden is a sample of predictions that was saved to compare later ones with. What
reads and saves it is imported on first use: to compare arrays takes no files.
"""

from typing import TYPE_CHECKING, Any

from .running import detect_drift, ks_test, psi

if TYPE_CHECKING:
    from .golden import load_golden_predictions, save_golden_predictions

__all__ = ["detect_drift", "ks_test", "load_golden_predictions", "psi", "save_golden_predictions"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import golden

    return getattr(golden, name)
