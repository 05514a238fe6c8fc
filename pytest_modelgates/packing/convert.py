"""From a fitted estimator to ONNX bytes that decide every split as the native model does on float32 rows."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from ..errors import PackError
from ..extras import extra
from ..model.onnx_checks import CRC_KEY, FEATURES_KEY, external_data_problems
from ..storage.strict_json import canonical
from ..storage.text import first_line, root_cause
from .panel_input import matrix
from .precision import sum_trees_in_double

GRAPH_NAME = "modelgates"
TARGET_OPSET = 15
# LightGBM reads a feature as 0 up to this size (kZeroThreshold in its meta.h).
LIGHTGBM_ZERO = float(np.float32(1e-35))

NativeScore = Callable[[NDArray[np.floating[Any]] | pd.DataFrame], NDArray[np.float64]]


def convert(model: Any, names: Sequence[str]) -> tuple[onnx.ModelProto, NativeScore]:
    """Convert a fitted estimator.

    Parameters
    ----------
    model : scikit-learn estimator, LightGBM estimator or Booster
        Regressors score with `predict`, binary classifiers with the probability of their second class.
    names : sequence of str
        Features in the order the model takes them.

    Returns
    -------
    onnx.ModelProto
        With one float32 input, which has a column for each feature.
    callable
        The native model's score of rows, shape (n_rows, n_features) to (n_rows,): a matrix in float32 or float64, or
        the features of a frame, in which a model that was fitted on a frame finds its own dtypes again.

    Raises
    ------
    PackError
        If the converter does not know the estimator, or it was fitted on other features.
    MissingExtraError
        If the converters are not installed.
    """
    booster = getattr(model, "booster_", model)
    if type(booster).__name__ == "Booster" and type(booster).__module__.startswith("lightgbm"):
        # LightGBM replaces spaces in names.
        _check_features(_real_names(booster.feature_name()), [name.replace(" ", "_") for name in names])
        framed = any(_real_names(booster.feature_name()))
        converted, native = _convert_lightgbm(booster, len(names))
    elif hasattr(model, "predict") and isinstance(model, extra("sklearn.base").BaseEstimator):
        fitted = getattr(model, "feature_names_in_", [None] * getattr(model, "n_features_in_", len(names)))
        _check_features(_real_names(fitted), list(names))
        framed = hasattr(model, "feature_names_in_")
        converted, native = _convert_sklearn(model, names)
    else:
        raise PackError(
            f"{_named(model)} is not a model to pack: expected ONNX bytes, the path of an .onnx file, or a fitted "
            "scikit-learn or LightGBM estimator; convert another model to ONNX yourself, and give the panel its "
            "scores as `reference`"
        )

    sum_trees_in_double(converted)

    def score(rows: NDArray[np.floating[Any]] | pd.DataFrame) -> NDArray[np.float64]:
        if isinstance(rows, pd.DataFrame) and not framed:
            rows = matrix(rows)
        try:
            # A copy, since an estimator may scale its rows in place.
            prediction = np.asarray(native(rows.copy()), dtype=np.float64)
        except Exception as error:  # an estimator may raise anything
            raise PackError(f"the native model cannot score the panel ({first_line(error)})") from error
        if prediction.ndim == 2 and prediction.shape[1] == 1:
            prediction = prediction[:, 0]
        if prediction.ndim != 1:
            raise PackError(
                f"the model gives {prediction.shape[1]} scores a row, expected one; "
                "pack a regressor or a binary classifier"
            )
        return prediction

    return converted, score


def _named(model: object) -> str:
    """Name a model's class with its library, since several have a `Booster`."""
    library = type(model).__module__.partition(".")[0]
    return type(model).__name__ if library in ("builtins", "__main__") else f"{library}.{type(model).__name__}"


def _real_names(fitted: Iterable[str | None]) -> list[str | None]:
    """Replace the names that LightGBM makes up for nameless columns by None."""
    return [None if name == f"Column_{index}" else name for index, name in enumerate(fitted)]


def _check_features(own: list[str | None], names: list[str]) -> None:
    """Compare the features that a model was fitted on, as far as it knows their names, with those it is packed with."""
    if len(own) != len(names):
        raise PackError(
            f"the model was fitted on {len(own)} features, {len(names)} are given: name them all, in its order"
        )
    for position, (fitted, given) in enumerate(zip(own, names, strict=True), start=1):
        if fitted is not None and fitted != given:
            raise PackError(
                f"feature {position} of the model is {fitted!r}, {given!r} is given: name the features in its order"
            )


def floor_float32(threshold: float) -> float:
    """Round down to a float32: for every float32 x, x <= threshold exactly if x <= the result."""
    with np.errstate(
        over="ignore"
    ):  # beyond float32 lies infinity, and the next number below it is the largest float32
        nearest = np.float32(threshold)
    return float(np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > threshold else nearest)


def finish(model: onnx.ModelProto, names: Sequence[str], crc: str) -> bytes:
    """Write the schema into a model and make its bytes depend on nothing but the model."""
    outside = external_data_problems(model)
    if outside:
        raise PackError(f"{outside[0]}; give the path of the .onnx file, so that its data can be moved inside")
    model.graph.name = GRAPH_NAME
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties |= {FEATURES_KEY: canonical(list(names)).decode().strip(), CRC_KEY: crc}
    onnx.helper.set_model_props(model, dict(sorted(properties.items())))
    # The converters list opsets in any order, skl2onnx some of them twice.
    opsets = sorted({(entry.domain, entry.version) for entry in model.opset_import})
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in opsets)
    return bytes(model.SerializeToString(deterministic=True))


def _convert_lightgbm(booster: Any, n_features: int) -> tuple[onnx.ModelProto, Callable[..., Any]]:
    lightgbm, onnxmltools = extra("lightgbm"), extra("onnxmltools")
    types = extra("onnxmltools.convert.common.data_types")
    exact = lightgbm.Booster(model_str=_floor_thresholds(booster.model_to_string()))
    inputs = [("features", types.FloatTensorType([None, n_features]))]
    try:
        converted = onnxmltools.convert_lightgbm(
            exact, name=GRAPH_NAME, initial_types=inputs, target_opset=TARGET_OPSET, zipmap=False
        )
    except Exception as error:  # the converters let any error inside them through
        raise PackError(
            f"onnxmltools cannot convert this LightGBM model ({root_cause(error)}); pack ONNX bytes instead"
        ) from error
    return converted, booster.predict


def _floor_thresholds(text: str) -> str:
    """Round every threshold in LightGBM's text format down to float32, and drop the sizes, which are then wrong."""

    def floor(line: re.Match[str]) -> str:
        return "threshold=" + " ".join(repr(_floor_lightgbm(float(value))) for value in line[1].split())

    return re.sub(r"(?m)^threshold=(.*)$", floor, re.sub(r"(?m)^tree_sizes=.*\n", "", text))


def _floor_lightgbm(threshold: float) -> float:
    """Round down, and never split the values that LightGBM takes for 0."""
    if 0 <= threshold < LIGHTGBM_ZERO:
        return LIGHTGBM_ZERO
    if -LIGHTGBM_ZERO <= threshold < 0:
        return float(np.nextafter(np.float32(-LIGHTGBM_ZERO), np.float32(-1)))
    return floor_float32(threshold)


def _instead(model: Any) -> str:
    """Say what to fit or to pack in place of an estimator that no converter takes."""
    steps = [type(step).__name__ for _, step in getattr(model, "steps", [("", model)])]
    if hist := next((name for name in steps if name.startswith("HistGradientBoosting")), None):
        return f"{hist} is not supported: fit LightGBM or {hist.removeprefix('Hist')}, or pack ONNX bytes"
    return "pack ONNX bytes instead"


def _convert_sklearn(model: Any, names: Sequence[str]) -> tuple[onnx.ModelProto, Callable[..., Any]]:
    skl2onnx, classifier = extra("skl2onnx"), extra("sklearn.base").is_classifier(model)
    try:
        extra("sklearn.utils.validation").check_is_fitted(model)
    except Exception as error:  # a pipeline names the step that is not fitted
        raise PackError(f"{type(model).__name__} is not fitted ({first_line(error)}); fit it first") from error
    try:
        if classifier and not hasattr(model, "predict_proba"):
            raise PackError(
                f"{type(model).__name__} gives classes and no chances, which gates compare: wrap it in "
                "CalibratedClassifierCV, or pack ONNX bytes"
            )
        # Tree thresholds are rounded down by skl2onnx itself (sklearn_threshold).
        converted = skl2onnx.to_onnx(
            model,
            np.zeros((1, len(names)), np.float32),
            name=GRAPH_NAME,
            target_opset={"": TARGET_OPSET, "ai.onnx.ml": 3},
            options={"zipmap": False} if classifier else None,
        )
    except PackError:
        raise
    except Exception as error:  # as above
        raise PackError(
            f"skl2onnx cannot convert {type(model).__name__} ({root_cause(error)}); {_instead(model)}"
        ) from error

    def predict(rows: NDArray[np.floating[Any]] | pd.DataFrame) -> Any:
        # An estimator that was fitted on a frame asks for its names again.
        named = pd.DataFrame(rows, columns=list(names)) if hasattr(model, "feature_names_in_") else rows
        if not classifier:
            return model.predict(named)
        chances = np.asarray(model.predict_proba(named))
        return chances[:, 1] if chances.ndim == 2 and chances.shape[1] == 2 else chances

    return converted, predict
