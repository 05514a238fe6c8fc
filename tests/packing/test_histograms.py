"""Categories of scikit-learn's HistGradientBoosting: every value goes where scikit-learn sends it."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from pytest_modelgates.packing.convert import convert

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
RANDOM = np.random.default_rng(7)
CODES = np.array([3.0, 7.0, 8.0, 40.0, 41.0, 90.0, 1000.0])
ROWS = pd.DataFrame(
    {"x": RANDOM.standard_normal(900), "kind": RANDOM.choice(CODES, 900), "z": RANDOM.integers(0, 60, 900)}
).astype("float32")
ROWS.loc[::11, "kind"] = np.nan
ROWS.loc[::13, "x"] = np.nan
TARGET = np.isin(ROWS["kind"], [7, 41, 1000]) + 0.1 * (ROWS["z"] % 7 > 3) + 0.2 * ROWS["x"].fillna(1)
# A category that no row had, between two that some had, before, and after all; fractions; and none.
OTHERS = [5.0, 7.5, -1.0, 255.0, 1e9, np.inf, np.nan]


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn asks for physical cores, and joblib warns where a container does not tell."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")


@pytest.mark.parametrize("named", [True, False], ids=["by-names", "by-positions"])
@pytest.mark.parametrize("seed", range(3))
def test_values_that_were_met_and_others_go_where_scikit_learn_sends_them(seed: int, named: bool) -> None:
    given = {"max_iter": 15, "random_state": seed, "early_stopping": True, "validation_fraction": 0.4}
    columns = ["kind", "z"] if named else [1, 2]
    model = HistGradientBoostingRegressor(categorical_features=columns, **given)
    model.fit(ROWS if named else ROWS.to_numpy(), TARGET)
    rows = pd.concat([ROWS, *(ROWS[:40].assign(kind=other) for other in OTHERS), ROWS[:40].assign(z=77)])
    rows = rows[~np.isinf(rows["kind"])].astype("float32")
    converted, native = convert(model, list(ROWS))
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    (scores,) = session.run(None, {session.get_inputs()[0].name: rows.to_numpy()})
    np.testing.assert_allclose(scores[:, 0], native(rows), atol=1e-6)


def test_texts_are_the_numbers_that_were_declared() -> None:
    names = ["up", "down", "flat"]
    frame = ROWS.assign(kind=pd.Categorical(RANDOM.choice(names, 900), categories=sorted(names)))
    model = HistGradientBoostingClassifier(max_iter=9).fit(frame, frame["kind"] == "flat")
    converted, native = convert(model, list(ROWS), None, {"kind": names})
    rows = frame.assign(kind=frame["kind"].map(names.index).astype(float))
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    _, chances = session.run(None, {session.get_inputs()[0].name: rows.to_numpy("float32")})
    np.testing.assert_allclose(chances[:, 1], native(frame), atol=1e-6)


def test_texts_that_an_encoder_before_it_numbered_are_its_numbers() -> None:
    names = ["up", "down", "flat"]
    frame = ROWS.assign(kind=RANDOM.choice(names, 900)).fillna({"x": 0.0})
    encoder = ColumnTransformer(
        [("text", OrdinalEncoder(), ["kind"])], remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    boosting = HistGradientBoostingRegressor(max_iter=9, categorical_features=["kind"])
    model = make_pipeline(encoder, boosting).fit(frame, frame["kind"] == "flat")
    converted, native = convert(model, list(ROWS), None, {"kind": names})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    given = {name: frame[[name]].to_numpy(object if name == "kind" else "float32") for name in ROWS}
    (scores,) = session.run(None, given)
    np.testing.assert_allclose(scores[:, 0], native(frame), atol=1e-6)
