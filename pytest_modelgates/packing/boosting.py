"""Boosted trees as ONNX, whose trees split every float32 row as the libraries do."""

import copy
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import PackError
from ..extras import extra
from ..storage.text import root_cause
from .classes import cut_zipmaps
from .codes import Categories
from .histograms import convert_histograms
from .kinds import instead
from .one_hot import teach_one_hot
from .rounding import floor_float32

GRAPH_NAME = "modelgates"
TARGET_OPSET = 15
# LightGBM reads a feature as 0 up to this size (kZeroThreshold in its meta.h).
LIGHTGBM_ZERO = float(np.float32(1e-35))


def convert_lightgbm(booster: Any, n_features: int) -> onnx.ModelProto:
    """Convert a booster of LightGBM, from one matrix."""
    onnxmltools, types = extra("onnxmltools"), extra("onnxmltools.convert.common.data_types")
    inputs = [("features", types.FloatTensorType([None, n_features]))]
    try:
        converted: onnx.ModelProto = onnxmltools.convert_lightgbm(
            _rounded(booster), name=GRAPH_NAME, initial_types=inputs, target_opset=TARGET_OPSET, zipmap=False
        )
    except Exception as error:  # the converters let any error inside them through
        raise PackError(
            f"onnxmltools cannot convert this LightGBM model ({root_cause(error)}); {instead(booster)}"
        ) from error
    return converted


def convert_catboost(model: Any) -> onnx.ModelProto:
    """Let an estimator of CatBoost export itself, from one matrix."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        try:
            model.save_model(str(path), format="onnx")
            exported = onnx.load(path)
        except Exception as error:  # CatBoost has one error, of its C++ code's text
            raise PackError(
                f"CatBoost cannot export this {type(model).__name__} ({root_cause(error)}); {instead(model)}"
            ) from error
    cut_zipmaps(exported)
    for entry in exported.graph.output:
        if entry.name == "predictions":  # declared as a row of numbers, and computed as a column
            entry.CopyFrom(onnx.helper.make_tensor_value_info(entry.name, onnx.TensorProto.FLOAT, [None, 1]))
    return exported


def teach_skl2onnx(categories: Categories) -> None:
    """Let skl2onnx convert what it cannot by itself, alone or as a step of a pipeline; with the texts of features."""
    # What a model consists of was imported before this is called.
    if "sklearn.ensemble" in sys.modules:
        name = "HistGradientBoosting"

        def histograms_step(scope: Any, operator: Any, container: Any) -> None:  # skl2onnx asks for its name
            convert_histograms(scope, operator, container, categories=categories)

        _teach("sklearn.ensemble", [f"{name}Regressor"], [f"{name}Classifier"], histograms_step)
    if "sklearn.preprocessing" in sys.modules:
        teach_one_hot()
    if "lightgbm" in sys.modules:
        _teach("lightgbm", ["LGBMRegressor", "LGBMRanker"], ["LGBMClassifier"], _lightgbm_step)
    if "xgboost" in sys.modules:
        regressors = ["XGBRegressor", "XGBRFRegressor", "XGBRanker"]
        _teach("xgboost", regressors, ["XGBClassifier", "XGBRFClassifier"], _xgboost_step)


def _teach(library: str, regressors: list[str], classifiers: list[str], step: Callable[..., None]) -> None:
    skl2onnx, shapes = extra("skl2onnx"), extra("skl2onnx.common.shape_calculator")
    number: tuple[Any, dict[str, Any]] = shapes.calculate_linear_regressor_output_shapes, {}
    switches = ["zipmap", "nocl", "raw_scores"]
    for name in [*regressors, *classifiers]:
        estimator = getattr(sys.modules[library], name)
        # CalibratedClassifierCV takes raw scores of whatever has them, and so must the model that skl2onnx makes of it.
        own = {key: [True, False] for key in switches[: 3 if _has_raw_scores(estimator) else 2]}
        chances = shapes.calculate_linear_classifier_output_shapes, own
        shape, options = number if name in regressors else chances
        skl2onnx.update_registered_converter(estimator, f"Modelgates{name}", shape, step, options=options)


def _has_raw_scores(estimator: Any) -> bool:
    return hasattr(estimator, "decision_function")


def _lightgbm_step(scope: Any, operator: Any, container: Any) -> None:
    fitted, before = operator.raw_operator, len(container.nodes)
    operator.raw_operator, operator.split = copy.copy(fitted), None
    operator.raw_operator._Booster = _rounded(fitted.booster_)
    operator.raw_operator.boosting_type = "gbdt"  # of a forest, onnxmltools would take its trees to be a hundred
    converters = extra("onnxmltools.convert.lightgbm.operator_converters.LightGbm")
    converters.convert_lightgbm(scope, operator, container)
    operator.raw_operator = fitted
    if _has_raw_scores(fitted) and container.get_options(fitted, {"raw_scores": False})["raw_scores"]:
        for entry in (entry for node in container.nodes[before:] for entry in node.attribute):
            if entry.name == "post_transform":
                entry.s = b"NONE"


def _xgboost_step(scope: Any, operator: Any, container: Any) -> None:
    fitted = operator.raw_operator
    # The converter reads a feature's position out of its name: f0, f1, …
    operator.raw_operator = copy.deepcopy(fitted)
    booster = operator.raw_operator.get_booster()
    _weigh_trees(booster)
    booster.feature_names = None
    extra("onnxmltools.convert.xgboost.operator_converters.XGBoost").convert_xgboost(scope, operator, container)
    operator.raw_operator = fitted


def _weigh_trees(booster: Any) -> None:
    """Multiply the leaves of XGBoost's DART by the weights of their trees, which onnxmltools leaves out; in place."""
    kind = json.loads(booster.save_config())["learner"]["learner_train_param"]["booster"]
    if kind == "gblinear":
        raise NotImplementedError("its booster gblinear has no trees")
    document = json.loads(booster.save_raw("json"))
    given = document["learner"]["gradient_booster"]
    trees = given.get("gbtree", given)  # DART's were wrapped so before XGBoost 3.4, which keeps the weights beside them
    weights = given.get("weight_drop") or trees["model"].pop("weight_drop", None)
    if not weights:
        return
    for tree, weight in zip(trees["model"]["trees"], weights, strict=True):
        for node, child in enumerate(tree["left_children"]):
            if child == -1:  # a leaf keeps its value where others have their threshold
                tree["split_conditions"][node] *= weight
    document["learner"]["gradient_booster"] = trees | {"name": "gbtree"}
    booster.load_model(bytearray(json.dumps(document).encode()))


def _rounded(booster: Any) -> Any:
    """Copy a booster of LightGBM with every threshold rounded down to float32, and a mean of trees as their sum."""
    text = _floor_thresholds(booster.model_to_string())
    if "\naverage_output\n" in text:
        trees = len(re.findall(r"(?m)^Tree=", text)) // booster.num_model_per_iteration()
        text = _divide_leaves(text.replace("\naverage_output\n", "\n"), trees)
    return extra("lightgbm").Booster(model_str=text)


def _divide_leaves(text: str, number: int) -> str:
    def divide(line: re.Match[str]) -> str:
        return "leaf_value=" + " ".join(repr(float(value) / number) for value in line[1].split())

    return re.sub(r"(?m)^leaf_value=(.*)$", divide, text)


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
