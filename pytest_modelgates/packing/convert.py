"""From a fitted estimator to ONNX bytes that decide every split as the native model does on float32 rows."""

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
from .boosting import GRAPH_NAME, TARGET_OPSET, convert_catboost, convert_lightgbm, teach_skl2onnx
from .codes import Categories
from .kinds import instead, named
from .panel_input import matrix
from .precision import sum_trees_in_double

NativeScore = Callable[[NDArray[np.floating[Any]] | pd.DataFrame], NDArray[np.float64]]


def convert(
    model: Any, names: Sequence[str], position: int | None = None, texts: Categories | None = None
) -> tuple[onnx.ModelProto, NativeScore]:
    """Convert a fitted estimator.

    Parameters
    ----------
    model : estimator
        Of scikit-learn, LightGBM (its Booster too), XGBoost or CatBoost. Regressors and rankers score with `predict`,
        classifiers with the probability of a class.
    names : sequence of str
        Features in the order the model takes them.
    position : int, optional
        Which of a classifier's classes; the second of two if left out.
    texts : mapping of str to sequence of str, optional
        Features that are text, with their categories in the order of their numbers.

    Returns
    -------
    onnx.ModelProto
        With one float32 input, which has a column for each feature; or one for each feature, if the model takes some of
        its columns by their names.
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
        fitted, framed = booster.feature_name(), any(_real_names(booster.feature_name()))
        _check_features(fitted, list(names))
        converted, native = convert_lightgbm(booster, len(names)), booster.predict
    elif type(model).__module__.startswith("catboost"):
        _refuse_unfitted(model)
        fitted, framed = model.feature_names_, True
        # Those of a matrix are called by their positions.
        _check_features([None if name == str(place) else name for place, name in enumerate(fitted)], list(names))
        converted, native = convert_catboost(model), _native(model, names)
    elif hasattr(model, "predict") and isinstance(model, extra("sklearn.base").BaseEstimator):
        _refuse_unfitted(model)
        fitted = getattr(model, "feature_names_in_", [None] * getattr(model, "n_features_in_", len(names)))
        _check_features(fitted, list(names))
        framed = hasattr(model, "feature_names_in_")
        converted, native = _convert_sklearn(model, names, texts or {}), _native(model, names)
    else:
        raise PackError(
            f"{named(model)} is not a model to pack: expected ONNX bytes, the path of an .onnx file, or a fitted "
            f"estimator of scikit-learn, LightGBM, XGBoost or CatBoost; {instead(model)}"
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
        if prediction.ndim == 2 and position is not None:
            return prediction[:, position]
        if position == 0:  # LightGBM gives the chance of the second of two classes alone
            return 1 - prediction
        if prediction.ndim != 1:
            raise PackError(
                f"the model gives {prediction.shape[1]} scores a row, and one row is one number; "
                "pack a regressor of one target, or a classifier"
            )
        return prediction

    return converted, score


def _real_names(fitted: Iterable[str | None]) -> list[str | None]:
    """Replace the names that LightGBM makes up for nameless columns by None."""
    return [None if name == f"Column_{index}" else name for index, name in enumerate(fitted)]


def _check_features(fitted_on: Iterable[str | None], names: list[str]) -> None:
    """Compare the features that a model was fitted on, as far as it knows their names, with those it is packed with."""
    own = _real_names(fitted_on)
    if len(own) != len(names):
        raise PackError(
            f"the model was fitted on {len(own)} features, {len(names)} are given: name them all, in its order"
        )
    for position, (fitted, given) in enumerate(zip(own, names, strict=True), start=1):
        if fitted not in (None, given, given.replace(" ", "_")):  # LightGBM replaces spaces in names
            raise PackError(
                f"feature {position} of the model is {str(fitted)!r}, {given!r} is given: "
                "name the features in its order"
            )


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


def _refuse_unfitted(model: Any) -> None:
    try:
        extra("sklearn.utils.validation").check_is_fitted(model)
    except Exception as error:  # a pipeline names the step that is not fitted
        raise PackError(f"{type(model).__name__} is not fitted ({first_line(error)}); fit it first") from error


def _convert_sklearn(model: Any, names: Sequence[str], texts: Categories) -> onnx.ModelProto:
    skl2onnx, types = extra("skl2onnx"), extra("skl2onnx.common.data_types")
    classifier = extra("sklearn.base").is_classifier(model)
    if classifier and not hasattr(model, "predict_proba"):
        raise PackError(
            f"{type(model).__name__} gives classes and no chances, which gates compare: wrap it in "
            f"CalibratedClassifierCV, or {instead(model)}"
        )
    if _takes_names(model):
        kinds = {True: types.StringTensorType, False: types.FloatTensorType}
        inputs = [(name, kinds[name in texts]([None, 1])) for name in names]
    else:
        inputs = [("X", types.FloatTensorType([None, len(names)]))]
    teach_skl2onnx(texts)
    try:
        # Tree thresholds are rounded down by skl2onnx itself (sklearn_threshold).
        converted: onnx.ModelProto = skl2onnx.to_onnx(
            model,
            initial_types=inputs,
            name=GRAPH_NAME,
            target_opset={"": TARGET_OPSET, "ai.onnx.ml": 3},
            options={"zipmap": False} if classifier else None,
        )
    except Exception as error:  # the converters let any error inside them through
        text = "" if texts or not _takes_names(model) else "if it takes text, declare that, categories={…}; or "
        raise PackError(
            f"skl2onnx cannot convert {type(model).__name__} ({root_cause(error)}); {text}{instead(model)}"
        ) from error
    if _takes_names(model):
        _rename_inputs(converted.graph, names)
    return converted


def _rename_inputs(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Call the inputs as the features are called: skl2onnx replaces spaces and other signs."""
    renamed = {entry.name: name for entry, name in zip(graph.input, names, strict=True)}
    for entry in graph.input:
        entry.name = renamed[entry.name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _takes_names(model: Any) -> bool:
    """Whether a step takes some of its columns by their names, which one matrix has not."""
    transformer = extra("sklearn.compose").ColumnTransformer
    steps = [model, *model.get_params(deep=True).values()]
    return hasattr(model, "feature_names_in_") and any(isinstance(step, transformer) for step in steps)


def _native(model: Any, names: Sequence[str]) -> Callable[..., Any]:
    """Let an estimator score rows: with chances if it is a classifier."""
    chances = hasattr(model, "predict_proba") and extra("sklearn.base").is_classifier(model)

    def predict(rows: NDArray[np.floating[Any]] | pd.DataFrame) -> Any:
        # An estimator that was fitted on a frame asks for its names again.
        given = pd.DataFrame(rows, columns=list(names)) if hasattr(model, "feature_names_in_") else rows
        if not chances:
            return model.predict(given)
        found = np.asarray(model.predict_proba(given))
        return found[:, 1] if found.ndim == 2 and found.shape[1] == 2 else found

    return predict
