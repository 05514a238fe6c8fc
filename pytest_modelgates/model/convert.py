"""From a fitted estimator to ONNX bytes that decide every split as the native model does on float32 rows."""

import importlib
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import MissingExtraError, PackError
from .files import canonical
from .onnx_checks import CRC_KEY, FEATURES_KEY, external_data_problems

GRAPH_NAME = "modelgates"
TARGET_OPSET = 15

NativeScore = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def convert(model: Any, n_features: int) -> tuple[onnx.ModelProto, NativeScore]:
    """Convert a fitted estimator.

    Parameters
    ----------
    model : scikit-learn estimator, LightGBM estimator or Booster
        Regressors score with `predict`, binary classifiers with the probability of their second class.
    n_features : int
        Columns that the model takes.

    Returns
    -------
    onnx.ModelProto
        With one float32 input of `n_features` columns.
    callable
        The native model's score of float32 rows, shape (n_rows, n_features) to (n_rows,).

    Raises
    ------
    PackError
        If the converter does not know the estimator.
    MissingExtraError
        If the converters are not installed.
    """
    booster = getattr(model, "booster_", model)
    if type(booster).__name__ == "Booster" and type(booster).__module__.startswith("lightgbm"):
        return _convert_lightgbm(booster, n_features)
    if hasattr(model, "predict"):
        return _convert_sklearn(model, n_features)
    raise PackError(
        f"{type(model).__name__} is no model to pack: expected ONNX bytes, the path of an .onnx file, "
        "or a fitted scikit-learn or LightGBM estimator"
    )


def floor_float32(threshold: float) -> float:
    """Round down to a float32: for every float32 x, x <= threshold exactly if x <= the result."""
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
    # The converters list opsets in the order of a set, which changes with the hash seed.
    opsets = sorted(model.opset_import, key=lambda entry: entry.domain)
    copies = [onnx.helper.make_opsetid(entry.domain, entry.version) for entry in opsets]
    del model.opset_import[:]
    model.opset_import.extend(copies)
    return bytes(model.SerializeToString(deterministic=True))


def _convert_lightgbm(booster: Any, n_features: int) -> tuple[onnx.ModelProto, NativeScore]:
    lightgbm, onnxmltools = extra("lightgbm"), extra("onnxmltools")
    types = extra("onnxmltools.convert.common.data_types")
    exact = lightgbm.Booster(model_str=_floor_thresholds(booster.model_to_string()))
    inputs = [("features", types.FloatTensorType([None, n_features]))]
    try:
        converted = onnxmltools.convert_lightgbm(
            exact, name=GRAPH_NAME, initial_types=inputs, target_opset=TARGET_OPSET, zipmap=False
        )
    except Exception as error:  # the converters raise whatever goes wrong inside them
        raise PackError(f"onnxmltools cannot convert this LightGBM model ({error}); pack ONNX bytes instead") from error
    return converted, lambda rows: _one_score(booster.predict(rows))


def _floor_thresholds(text: str) -> str:
    """Round every threshold in LightGBM's text format down to float32; the sizes it lists no longer hold."""

    def floor(line: re.Match[str]) -> str:
        return "threshold=" + " ".join(repr(floor_float32(float(value))) for value in line[1].split())

    return re.sub(r"(?m)^threshold=(.*)$", floor, re.sub(r"(?m)^tree_sizes=.*\n", "", text))


def _convert_sklearn(model: Any, n_features: int) -> tuple[onnx.ModelProto, NativeScore]:
    skl2onnx, sklearn_base = extra("skl2onnx"), extra("sklearn.base")
    classifier = sklearn_base.is_classifier(model)
    try:
        # Tree thresholds are rounded down by skl2onnx itself (sklearn_threshold).
        converted = skl2onnx.to_onnx(
            model,
            np.zeros((1, n_features), np.float32),
            name=GRAPH_NAME,
            target_opset={"": TARGET_OPSET, "ai.onnx.ml": 3},
            options={"zipmap": False} if classifier else None,
        )
    except Exception as error:  # as above
        raise PackError(
            f"skl2onnx cannot convert {type(model).__name__} ({str(error).splitlines()[0]}); pack ONNX bytes instead"
        ) from error
    if classifier:
        return converted, lambda rows: _one_score(np.asarray(model.predict_proba(rows))[:, 1:])
    return converted, lambda rows: _one_score(model.predict(rows))


def _one_score(prediction: Any) -> NDArray[np.float64]:
    scores = np.asarray(prediction, dtype=np.float64)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.ndim != 1:
        raise PackError(
            f"the model gives {scores.shape[1]} scores a row, expected one; pack a regressor or a binary classifier"
        )
    return scores


def extra(name: str) -> ModuleType:
    """Import an optional library, or say which extra brings it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{name.partition('.')[0]} is not installed; run: pip install 'pytest-modelgates[pack]'"
        ) from error
