"""Which kinds of models are packed, in words: the scope, their names, and what to do where no converter takes one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import IntegrityError, ModelgatesError

SCOPE = "pack takes tabular models alone: one row is one number"
# For what no converter takes; what no ONNX can say in this form is out of scope.
RECIPE = "pack(onnx_bytes, panel.assign(reference=model.predict(X)), …)"


@contextmanager
def scoped() -> Iterator[None]:
    """Let each refusal end with the scope; as a note, which a traceback shows as well."""
    try:
        yield
    except IntegrityError:  # of files that are not what was written: no refusal of a model
        raise
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
    recipe = RECIPE
    if hasattr(model, "predict_proba"):
        column = "1" if len(getattr(model, "classes_", ())) == 2 else "k"
        recipe = RECIPE.replace("predict(X)", f"predict_proba(X)[:, {column}]")
    fit = next((f"{advice}, or " for part in _parts(model) if (advice := _advice(part))), "")
    return f"{fit}convert it to ONNX yourself and {recipe}"


def _parts(model: Any) -> list[Any]:
    """List an estimator and what it consists of."""
    if isinstance(model, type) or not hasattr(model, "get_params"):
        return [model]
    return [model, *model.get_params(deep=True).values()]


def _advice(part: Any) -> str | None:
    """Say what to fit in place of a part, where something else is known to be packed."""
    name = type(part).__name__
    if name.startswith("HistGradientBoosting"):
        return f"fit LightGBM or {name.removeprefix('Hist')} in place of {name}"
    if type(part).__module__.startswith("catboost") and part.get_cat_feature_indices():
        return "encode its categories as numbers before the fit"
    if name == "CalibratedClassifierCV" and part.method == "isotonic":
        return "fit it with method='sigmoid'"
    if name == "CalibratedClassifierCV" and hasattr(part.estimator, "steps"):
        return "put the steps before its classifier in front of CalibratedClassifierCV"
    if name.startswith("XGB") and getattr(part, "booster", None) == "gblinear":
        return "fit Ridge or LogisticRegression of scikit-learn in place of gblinear"
    return None
