"""Models that are registered at an MLflow server: ``python -m tests.support.logged_models ADDRESS NAME...``.

Each is named by its flavour, with one version for each time that it is named. All score by `momentum`, the second
version of a name a little by `value` too.
"""

import os
import sys
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SLOPE = 0.01


def rows(version: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and what is to be learned of them."""
    features = np.random.default_rng(7).standard_normal((400, 2)).astype(np.float32)
    return features, features @ np.array([SLOPE, SLOPE / 10 * (version - 1)])


def as_onnx() -> onnx.ModelProto:
    """A linear model."""
    weights = numpy_helper.from_array(np.array([[SLOPE], [0]], np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["score"])],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def log(name: str, version: int) -> None:
    """Register one version."""
    import mlflow

    features, target = rows(version)
    more: dict[str, Any] = {"name": "model", "registered_model_name": name, "pip_requirements": []}
    with mlflow.start_run():
        if name == "onnx":
            import mlflow.onnx

            mlflow.onnx.log_model(as_onnx(), **more)
        elif name == "sklearn":
            import mlflow.sklearn
            from sklearn.linear_model import Ridge

            if version == 2:  # else as this version of MLflow does it by itself
                more["serialization_format"] = "cloudpickle"
            mlflow.sklearn.log_model(Ridge(alpha=1e-6).fit(features, target), **more)
        elif name == "lightgbm":
            import lightgbm
            import mlflow.lightgbm

            settings = {"verbosity": -1, "min_child_samples": 5}
            # A Booster is written as text, an estimator as a pickle.
            if version == 1:
                model = lightgbm.train(settings, lightgbm.Dataset(features, target), num_boost_round=20)
            else:
                model = lightgbm.LGBMRegressor(**settings, n_estimators=20).fit(features, target)
            mlflow.lightgbm.log_model(model, **more)
        elif name == "xgboost":
            import mlflow.xgboost
            import xgboost

            mlflow.xgboost.log_model(xgboost.XGBRegressor(n_estimators=20).fit(features, target), **more)
        else:
            import mlflow.pyfunc

            class Sum(mlflow.pyfunc.PythonModel):
                def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
                    return model_input.sum(axis=1)

            mlflow.pyfunc.log_model(python_model=Sum(), **more)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ |= {"MLFLOW_TRACKING_URI": sys.argv[1], "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    names = sys.argv[2:]
    for place, name in enumerate(names):
        log(name, names[: place + 1].count(name))
