"""Which kinds of models are packed, in words: the scope, their names, and what to do where no converter takes one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import ModelgatesError

SCOPE = "pack takes tabular models alone: one row is one number"
# For what no converter takes; what no ONNX can say in this form is out of scope.
RECIPE = "pack(onnx_bytes, panel.assign(reference=model.predict(X)), …)"


@contextmanager
def scoped() -> Iterator[None]:
    """Let each refusal end with the scope; as a note, which a traceback shows as well."""
    try:
        yield
    except ModelgatesError as error:
        if SCOPE not in getattr(error, "__notes__", ()):
            error.add_note(SCOPE)
        raise


def named(model: object) -> str:
    """Name a model's class with its library, since several have a `Booster`."""
    library = type(model).__module__.partition(".")[0]
    return type(model).__name__ if library in ("builtins", "__main__") else f"{library}.{type(model).__name__}"


def instead(model: Any) -> str:
    """Say what to fit or to pack in place of an estimator that no converter takes."""
    steps = [type(step).__name__ for _, step in getattr(model, "steps", [("", model)])]
    fit = ""
    if hist := next((name for name in steps if name.startswith("HistGradientBoosting")), None):
        fit = f"fit LightGBM or {hist.removeprefix('Hist')} in place of {hist}, or "
    if type(model).__module__.startswith("catboost") and model.get_cat_feature_indices():
        fit = "encode its categories as numbers before the fit, or "
    return f"{fit}convert it to ONNX yourself and {RECIPE}"
