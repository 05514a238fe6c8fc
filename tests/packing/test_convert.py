"""ONNX Runtime decides every split as the native model does, and the bytes depend on the model alone."""

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from pytest_modelgates.errors import PackError
from pytest_modelgates.extras import extra
from pytest_modelgates.model.onnx_checks import recorded_schema, soundness_problems
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.packing.boosting import GRAPH_NAME, LIGHTGBM_ZERO
from pytest_modelgates.packing.convert import convert, finish
from pytest_modelgates.packing.kinds import RECIPE
from pytest_modelgates.packing.rounding import floor_float32
from tests.support.onnx_models import linear, sidecar

Rows = NDArray[np.float32]
NAMES = ["a", "b"]
SINGLES = st.floats(width=32, allow_nan=False)
GENERATOR = np.random.default_rng(0)
DOUBLES = GENERATOR.standard_normal((1500, 2))
# Half the values of a feature are 0, as in features that often do not apply.
DOUBLES[::2, 1] = 0
TARGET = DOUBLES[:, 0] + np.sign(DOUBLES[:, 1]) + 0.1 * GENERATOR.standard_normal(1500)
UP = (TARGET > 0).astype(int)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def lightgbm(kind: str = "LGBMRegressor", **parameters: Any) -> Any:
    """A few trees, on one thread."""
    return getattr(extra("lightgbm"), kind)(n_estimators=40, num_leaves=15, n_jobs=1, verbose=-1, **parameters)


def forest(kind: str, **parameters: Any) -> Any:
    """A few trees of scikit-learn."""
    return getattr(extra("sklearn.ensemble"), kind)(n_estimators=20, max_depth=6, random_state=0, **parameters)


def histograms(kind: str, **parameters: Any) -> Any:
    """A few trees of scikit-learn on bins."""
    return getattr(extra("sklearn.ensemble"), kind)(max_iter=20, random_state=0, **parameters)


def pipeline(last: str) -> Any:
    """Scale, then score."""
    scaler = extra("sklearn.preprocessing").StandardScaler()
    return extra("sklearn.pipeline").make_pipeline(scaler, getattr(extra("sklearn.linear_model"), last)())


def onnx_scores(model: onnx.ModelProto, rows: Rows) -> NDArray[np.float64]:
    """Score rows with the last column of the last output, as packing does."""
    last = model.graph.output[-1]
    described = sidecar(*NAMES, output=last.name, index=last.type.tensor_type.shape.dim[1].dim_value - 1)
    return OnnxModel(finish(model, NAMES, described.schema_crc32), described).predict(rows)


def splits(model: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Feature and threshold of every split."""
    if hasattr(model, "booster_"):
        table = model.booster_.trees_to_dataframe().dropna(subset="threshold")
        return table["split_feature"].str.removeprefix("Column_").astype(int).to_numpy(), table["threshold"].to_numpy()
    if hasattr(model, "_predictors"):
        nodes = np.concatenate([tree.nodes for tree in np.ravel(model._predictors)])
        nodes = nodes[nodes["is_leaf"] == 0]
        return nodes["feature_idx"], nodes["num_threshold"]
    trees = [tree.tree_ for tree in np.ravel(model.estimators_)]
    features = np.concatenate([tree.feature for tree in trees])
    return features[features >= 0], np.concatenate([tree.threshold for tree in trees])[features >= 0]


def rows_around(features: NDArray[np.int64], thresholds: NDArray[np.float64]) -> Rows:
    """Float32 rows on both sides of every threshold, and on it if the threshold is a float32."""
    nearest = thresholds.astype(np.float32)
    parts = []
    for value in (nearest, np.nextafter(nearest, np.float32(np.inf)), np.nextafter(nearest, np.float32(-np.inf))):
        rows = GENERATOR.choice(DOUBLES.astype(np.float32), len(value))
        rows[np.arange(len(value)), features] = value
        parts.append(rows)
    return np.concatenate(parts)


TREES = {
    "lightgbm": (lambda: lightgbm(), TARGET),
    "lightgbm-classifier": (lambda: lightgbm("LGBMClassifier"), UP),
    "random-forest": (lambda: forest("RandomForestRegressor"), TARGET),
    "extra-trees": (lambda: forest("ExtraTreesRegressor"), TARGET),
    "boosted-trees": (lambda: forest("GradientBoostingRegressor"), TARGET),
    "random-forest-classifier": (lambda: forest("RandomForestClassifier"), UP),
    "histograms": (lambda: histograms("HistGradientBoostingRegressor"), TARGET),
    "histograms-classifier": (lambda: histograms("HistGradientBoostingClassifier"), UP),
}


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's histograms ask for physical cores, and joblib warns where a container does not tell."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")


@pytest.mark.parametrize("precision", [np.float32, np.float64], ids=["trained-on-float32", "trained-on-float64"])
@pytest.mark.parametrize(("make", "target"), TREES.values(), ids=TREES)
def test_rows_on_and_next_to_every_threshold_score_alike(
    make: Callable[[], Any], target: NDArray[np.float64], precision: type
) -> None:
    model = make().fit(DOUBLES.astype(precision), target)
    rows = rows_around(*splits(model))
    converted, native = convert(model, NAMES)
    assert np.abs(onnx_scores(converted, rows) - native(rows)).max() <= 2e-6


def test_without_rounding_some_rows_would_take_the_other_branch() -> None:
    model = lightgbm().fit(DOUBLES, TARGET)
    features, thresholds = splits(model)
    assert (thresholds.astype(np.float32) != thresholds).mean() > 0.5
    types = extra("onnxmltools.convert.common.data_types")
    unrounded = extra("onnxmltools").convert_lightgbm(
        model.booster_, initial_types=[("features", types.FloatTensorType([None, 2]))], target_opset=15
    )
    rows = rows_around(features, thresholds)
    differences = np.abs(onnx_scores(unrounded, rows) - model.booster_.predict(rows))
    assert differences.max() > 0.03
    assert (differences > 1e-4).sum() >= 10


@pytest.mark.parametrize(
    "threshold", [0.0, 1e-40, -1e-40, 1e-36, LIGHTGBM_ZERO, -LIGHTGBM_ZERO, -1e-36, 1.1e-35, -1.1e-35]
)
def test_what_lightgbm_takes_for_zero_is_zero_in_onnx_too(threshold: float) -> None:
    text = (
        lightgbm(boost_from_average=False)
        .set_params(n_estimators=1, num_leaves=2)
        .fit(DOUBLES, TARGET)
        .booster_.model_to_string()
    )
    text = re.sub(r"(?m)^threshold=.*$", f"threshold={threshold!r}", re.sub(r"(?m)^tree_sizes=.*\n", "", text))
    model = extra("lightgbm").Booster(model_str=text)
    edge = np.float32(LIGHTGBM_ZERO)
    tiny = np.concatenate(
        [
            [np.float32(threshold), np.float32(0), np.float32(1e-40)],
            [edge, np.nextafter(edge, np.float32(1)), np.nextafter(edge, np.float32(0))],
        ]
    )
    values = np.concatenate([tiny, -tiny]).astype(np.float32)
    rows = np.column_stack([values, values])
    converted, native = convert(model, NAMES)
    assert len(set(native(np.array([[-1, -1], [1, 1]], np.float32)))) == 2
    assert onnx_scores(converted, rows) == pytest.approx(native(rows), abs=1e-6)


@given(threshold=st.floats(allow_nan=False), value=SINGLES)
def test_a_float32_is_at_most_the_threshold_exactly_if_it_is_at_most_its_floor(threshold: float, value: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        floor = floor_float32(threshold)
    assert floor == float(np.float32(floor)) <= threshold
    assert (value <= threshold) == (value <= floor)


FLOORS = [
    pytest.param(0.5, 0.5, id="float32-already"),
    pytest.param(0.1, 0.09999999403953552, id="between"),
    pytest.param(-0.1, -0.10000000149011612, id="negative"),
    pytest.param(1e300, 3.4028234663852886e38, id="beyond-float32"),
    pytest.param(-1e300, -np.inf, id="below-float32"),
    pytest.param(1e-46, 0.0, id="below-the-smallest"),
    pytest.param(-1e-46, -1.401298464324817e-45, id="above-the-smallest-negative"),
]


@pytest.mark.parametrize(("threshold", "floor"), FLOORS)
def test_floor_gives_the_known_answer(threshold: float, floor: float) -> None:
    assert floor_float32(threshold) == floor


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
def test_missing_values_go_where_the_native_model_sends_them(kind: str) -> None:
    holed = DOUBLES.astype(np.float32)
    holed[::5, 0] = np.nan
    model = (
        lightgbm("LGBMRegressor").fit(holed, TARGET)
        if kind == "regressor"
        else lightgbm("LGBMClassifier").fit(holed, UP)
    )
    converted, native = convert(model, NAMES)
    assert np.abs(onnx_scores(converted, holed) - native(holed)).max() <= 2e-6


OTHERS = {
    "ridge": (lambda: extra("sklearn.linear_model").Ridge(), TARGET),
    "pipeline": (lambda: pipeline("Ridge"), TARGET),
    "classifier-pipeline": (lambda: pipeline("LogisticRegression"), UP),
    "target-of-one-column": (lambda: extra("sklearn.linear_model").LinearRegression(), TARGET[:, None]),
}


@pytest.mark.parametrize(("make", "target"), OTHERS.values(), ids=OTHERS)
def test_other_estimators_score_alike(make: Callable[[], Any], target: NDArray[np.float64]) -> None:
    rows = DOUBLES.astype(np.float32)
    converted, native = convert(make().fit(DOUBLES, target), NAMES)
    assert native(rows).shape == (1500,)
    assert np.abs(onnx_scores(converted, rows) - native(rows)).max() <= 1e-5 * max(1, np.abs(native(rows)).max())


def test_a_classifier_scores_with_the_probability_of_its_second_class() -> None:
    model = pipeline("LogisticRegression").fit(DOUBLES, np.where(UP, "up", "down"))
    _, native = convert(model, NAMES)
    rows = DOUBLES.astype(np.float32)
    assert native(rows).tolist() == model.predict_proba(rows)[:, 1].tolist()


@pytest.mark.parametrize("make", [lambda: lightgbm(), lambda: pipeline("Ridge")], ids=["lightgbm", "pipeline"])
def test_a_model_that_knows_its_features_is_held_to_their_order(make: Callable[[], Any]) -> None:
    model = make().fit(pd.DataFrame(DOUBLES, columns=NAMES), TARGET)
    converted, native = convert(model, NAMES)
    rows = DOUBLES.astype(np.float32)
    assert np.abs(onnx_scores(converted, rows) - native(rows)).max() <= 2e-6
    message = "feature 1 of the model is 'a', 'b' is given: name the features in its order"
    with pytest.raises(PackError, match=f"^{message}$"):
        convert(model, ["b", "a"])


def test_lightgbm_writes_names_without_spaces() -> None:
    names = ["last month", "last_year"]
    model = lightgbm().fit(pd.DataFrame(DOUBLES, columns=names), TARGET)
    convert(model, names)


def _train(objective: str) -> Any:
    trainer = extra("lightgbm")
    return trainer.train({"objective": objective, "verbose": -1, "num_threads": 1}, trainer.Dataset(DOUBLES, UP), 2)


def strange(module: str, name: str) -> Any:
    """Make something of another library that can predict."""
    return type(name, (), {"__module__": module, "predict": lambda self, rows: rows[:, 0]})()


class OwnStep(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step of a user's own, which no converter knows."""

    def fit(self, rows: Any, target: Any) -> "OwnStep":
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return rows


def of_classes(module: str, name: str) -> Any:
    return getattr(extra(f"sklearn.{module}"), name)().fit(DOUBLES, UP)


def altered(model: Any) -> Any:
    """A model of a version of scikit-learn that keeps what it knows elsewhere."""
    del model._baseline_prediction
    return model


REFUSED = [
    *(
        pytest.param(
            lambda module=module, name=name: of_classes(module, name),
            f"{name} gives classes and no chances, which gates compare: "
            f"wrap it in CalibratedClassifierCV, or convert it to ONNX yourself and {RECIPE}",
            id=f"no-chances-{name}",
        )
        for module, name in [("svm", "LinearSVC"), ("svm", "SVC"), ("linear_model", "RidgeClassifier")]
    ),
    pytest.param(
        lambda: object(),
        "object is not a model to pack: expected ONNX bytes, the path of an .onnx file, "
        "or a fitted estimator of scikit-learn, LightGBM, XGBoost or CatBoost; "
        "convert it to ONNX yourself and pack(onnx_bytes, panel.assign(reference=model.predict(X)), …)",
        id="object",
    ),
    pytest.param(
        lambda: strange("xgboost.core", "Booster"), "xgboost.Booster is not a model to pack: *", id="another-booster"
    ),
    pytest.param(
        lambda: strange("statsmodels.regression", "Results"),
        "statsmodels.Results is not a model to pack: *",
        id="results-of-statsmodels",
    ),
    pytest.param(lambda: extra("sklearn.linear_model").Ridge, "abc.ABCMeta is not a model to pack: *", id="a-class"),
    pytest.param(
        lambda: linear([1, 2]), "onnx.ModelProto is not a model to pack: expected ONNX bytes, *", id="parsed-onnx"
    ),
    pytest.param(
        lambda: lightgbm(),
        "LGBMRegressor is not fitted (This LGBMRegressor instance is not fitted yet. *); fit it first",
        id="unfitted-lightgbm",
    ),
    pytest.param(
        lambda: pipeline("Ridge"),
        "Pipeline is not fitted (* is not fitted yet. *); fit it first",
        id="unfitted-pipeline",
    ),
    pytest.param(
        lambda: altered(histograms("HistGradientBoostingRegressor").fit(DOUBLES, UP)),
        "skl2onnx cannot convert HistGradientBoostingRegressor ('HistGradientBoostingRegressor' object has no "
        "attribute '_baseline_prediction'); fit LightGBM or GradientBoostingRegressor "
        f"in place of HistGradientBoostingRegressor, or convert it to ONNX yourself and {RECIPE}",
        id="histograms",
    ),
    pytest.param(
        lambda: lightgbm().fit(DOUBLES[:, :1].copy(), TARGET),
        "the model was fitted on 1 features, 2 are given: name them all, in its order",
        id="fewer-features",
    ),
    pytest.param(
        lambda: pipeline("Ridge").fit(np.tile(DOUBLES, 2), TARGET),
        "the model was fitted on 4 features, 2 are given: name them all, in its order",
        id="more-features",
    ),
    pytest.param(
        lambda: _train("cross_entropy"),
        "onnxmltools cannot convert this LightGBM model (Unsupported LightGbm objective: 'cross_entropy'.); "
        f"convert it to ONNX yourself and {RECIPE}",
        id="unknown-objective",
    ),
    pytest.param(
        lambda: extra("sklearn.pipeline").make_pipeline(OwnStep(), lightgbm()).fit(DOUBLES, TARGET),
        f"skl2onnx cannot convert Pipeline (*); convert it to ONNX yourself and {RECIPE}",
        id="unknown-step",
    ),
    pytest.param(
        lambda: forest("RandomForestRegressor").fit(DOUBLES, DOUBLES),
        "the model gives 2 scores a row, and one row is one number; pack a regressor of one target, or a classifier",
        id="two-targets",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_cannot_be_packed_is_refused_in_a_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(PackError, match=f"^{re.escape(message)}$".replace(r"\*", ".*")):
        convert(make(), NAMES)[1](DOUBLES.astype(np.float32))


def test_a_native_model_that_cannot_score_is_refused_in_a_line() -> None:
    _, native = convert(pipeline("Ridge").fit(DOUBLES, TARGET), NAMES)
    with pytest.raises(PackError, match=r"^the native model cannot score the panel \(Input X contains NaN\.\)$"):
        native(np.full((1, 2), np.nan, np.float32))


def test_finished_bytes_hold_the_schema_and_are_sound() -> None:
    converted, _ = convert(lightgbm().fit(DOUBLES, TARGET), NAMES)
    content = finish(converted, NAMES, "edb3e2b1")
    assert recorded_schema(content) == (NAMES, "edb3e2b1")
    assert soundness_problems(content, ("", "ai.onnx.ml")) == []
    assert onnx.load_model_from_string(content).graph.name == GRAPH_NAME


def test_finishing_keeps_the_properties_of_a_ready_model_and_replaces_its_own() -> None:
    model = linear([1, 2])
    onnx.helper.set_model_props(model, {"author": "somebody", "modelgates.schema_crc32": "stale"})
    finish(model, NAMES, "edb3e2b1")
    assert [entry.key for entry in model.metadata_props] == ["author", "modelgates.features", "modelgates.schema_crc32"]
    assert finish(model, NAMES, "edb3e2b1") == finish(
        onnx.load_model_from_string(finish(model, NAMES, "00000000")), NAMES, "edb3e2b1"
    )


def test_opsets_are_listed_once_in_one_order() -> None:
    contents = []
    for domains in (["ai.onnx.ml", "", ""], ["", "ai.onnx.ml"]):
        model = linear([1, 2])
        del model.opset_import[:]
        model.opset_import.extend(onnx.helper.make_opsetid(domain, 15 if domain == "" else 3) for domain in domains)
        contents.append(finish(model, NAMES, "edb3e2b1"))
    assert contents[0] == contents[1]


def test_bytes_with_data_elsewhere_are_refused() -> None:
    model = linear([1, 2])
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    message = "tensor 'weights' lies outside the file (external data); "
    message += "give the path of the .onnx file, so that its data can be moved inside"
    with pytest.raises(PackError, match=f"^{re.escape(message)}$"):
        finish(model, NAMES, "edb3e2b1")


PACK_TWICE = """
import hashlib, json, warnings
import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from pytest_modelgates.packing.convert import convert, finish

warnings.simplefilter("ignore")
rows = np.random.default_rng(0).standard_normal((300, 2))
target = rows.sum(axis=1)
trees = {"n_estimators": 5, "n_jobs": 1, "random_state": 0, "verbose": -1}
models = {
    "lightgbm": (LGBMRegressor(**trees), target),
    "lightgbm-classifier": (LGBMClassifier(**trees), target > 0),
    "ridge": (Ridge(), target),
    "pipeline": (make_pipeline(StandardScaler(), Ridge()), target),
    "forest": (RandomForestRegressor(n_estimators=5, random_state=0), target),
    "classifier-pipeline": (make_pipeline(StandardScaler(), LogisticRegression()), target > 0),
}
digests = {}
for name, (model, wanted) in models.items():
    model.fit(rows, wanted)
    twice = [finish(convert(model, ["a", "b"])[0], ["a", "b"], "edb3e2b1") for _ in range(2)]
    digests[name] = [hashlib.sha256(content).hexdigest() for content in twice]
print(json.dumps(digests))
"""


@pytest.mark.integration
def test_the_same_model_gives_the_same_bytes_in_every_process_whatever_the_hash_seed() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PACK_TWICE],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
        )
        for seed in ("0", "5")
    ]
    digests = [json.loads(process.communicate()[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert digests[0] == digests[1]
    assert all(first == second for first, second in digests[0].values())
    assert len({first for first, _ in digests[0].values()}) == 6
