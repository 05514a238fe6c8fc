"""A conversion that scores as another model would is refused at once, and the message says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates import pack
from pytest_modelgates.errors import PackError
from pytest_modelgates.extras import extra
from pytest_modelgates.model.candidate import Candidate

RANDOM = np.random.default_rng(0)
NAMES = ["a", "b", "c"]
ROWS = RANDOM.normal(size=(600, 3)).astype(np.float32)
TARGET = (ROWS[:, 0] + 0.5 * ROWS[:, 1] ** 2).astype(np.float64)
UP = (TARGET > 0.5).astype(int)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def trees(**parameters: Any) -> Any:
    return extra("lightgbm").LGBMRegressor(
        **{"n_estimators": 20, "min_child_samples": 3, "n_jobs": 1, "verbose": -1} | parameters
    )


def forest(kind: str) -> Any:
    return getattr(extra("sklearn.ensemble"), kind)(n_estimators=10, max_depth=4, random_state=0)


def linear(kind: str, **parameters: Any) -> Any:
    return getattr(extra("sklearn.linear_model"), kind)(**parameters)


def packed(folder: Path, model: Any, features: Any = ROWS, target: np.ndarray = TARGET, **more: Any) -> Candidate:
    panel = pd.DataFrame(dict(zip(NAMES, np.asarray(features).T, strict=True))).assign(target=target, baseline=0.5)
    if isinstance(features, pd.DataFrame):
        panel[NAMES] = features
    classes = set(np.unique(target)) == {0, 1}
    task = ("classification", "roc_auc") if classes else ("regression", "r2")
    given: dict[str, Any] = {"task": task[0], "metric": task[1], "changes": "x", "artifacts": folder}
    return Candidate(pack(model, panel, features=dict.fromkeys(NAMES, "g"), **given, **more))


def holed() -> np.ndarray:
    rows = ROWS.copy()
    rows[RANDOM.random(rows.shape) < 0.15] = np.nan
    return rows


DAYS = pd.date_range("2020-01-01", periods=600)
WHOLE = {
    "epoch-seconds": 1_700_000_000 + RANDOM.integers(0, 2000, 600),
    "epoch-seconds-in-float64": 1.7e9 + RANDOM.integers(0, 2000, 600),
    "customer-numbers": 50_000_001 + RANDOM.integers(0, 400, 600),
    "dates-as-numbers": DAYS.strftime("%Y%m%d").astype(int).to_numpy(),
}


@pytest.mark.parametrize("ids", WHOLE.values(), ids=WHOLE)
def test_whole_numbers_that_float32_merges_are_refused_by_name(tmp_path: Path, ids: np.ndarray) -> None:
    exact = np.column_stack([ids, ROWS[:, 1:]]).astype(np.float64)
    target = np.sin(pd.Series(ids).rank(method="dense").to_numpy() / 3)
    model = trees(n_estimators=60).fit(exact, target)
    frame = pd.DataFrame({"a": ids, "b": ROWS[:, 1], "c": ROWS[:, 2]})
    message = r"\d+ whole numbers of 'a' become \d+: give it smaller ones, such as days since a date"
    with pytest.raises(PackError, match=message):
        packed(tmp_path / "artifacts", model, frame, target)
    assert not (tmp_path / "artifacts").exists()


def test_a_feature_of_which_float32_leaves_too_few_digits_is_named(tmp_path: Path) -> None:
    rows = ROWS.astype(np.float64)
    rows[:, 1] = 1.7e9 + 1000 * RANDOM.random(600)
    target = rows[:, 1] - 1.7e9
    message = (
        "the model takes float32, in which values of 'b' lie 128 apart while they spread by 2[0-9]{2}: "
        "subtract a constant from it before the fit\n"
    )
    with pytest.raises(PackError, match=message):
        packed(tmp_path, linear("Ridge").fit(rows, target), rows, target)


def test_categories_of_pandas_are_refused_unless_they_are_their_own_codes(tmp_path: Path) -> None:
    codes = RANDOM.integers(0, 3, 600)
    for values, right in ((codes, True), (10 * codes + 10, False)):
        frame = pd.DataFrame({"a": pd.Categorical(values), "b": ROWS[:, 1], "c": ROWS[:, 2]})
        target = (codes == 1) + 0.1 * TARGET
        model = trees().fit(frame, target)
        if right:
            panel = packed(tmp_path, model, frame, target).panel
            assert panel.native_scores.tolist() == model.predict(frame).tolist()
            continue
        message = "the model scores the frame otherwise than the numbers in it, as after a fit on categories of pandas"
        with pytest.raises(PackError, match=message):
            packed(tmp_path, model, frame, target)
        with pytest.raises(PackError, match=r"^the native model cannot score the panel \(.*categorical_feature"):
            packed(tmp_path, model, frame.assign(a=values), target)


def test_a_model_that_knows_its_frame_scores_the_columns_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": RANDOM.integers(0, 9, 600), "b": ROWS[:, 1] > 0, "c": ROWS[:, 2]})
    for model in (linear("Ridge"), trees()):
        panel = packed(tmp_path, model.fit(frame, TARGET), frame, TARGET).panel
        assert panel.native_scores.tolist() == model.predict(frame).tolist()


def test_large_whole_numbers_whose_cast_changes_no_score_are_packed(tmp_path: Path) -> None:
    volume = RANDOM.integers(10**8, 10**9, 600)
    frame = pd.DataFrame({"a": volume, "b": ROWS[:, 1], "c": ROWS[:, 2]})
    scaler = extra("sklearn.preprocessing").StandardScaler()
    model = extra("sklearn.pipeline").make_pipeline(scaler, linear("Ridge")).fit(frame.to_numpy(np.float64), TARGET)
    assert packed(tmp_path, model, frame).parity_claim.ok


def test_the_native_score_is_that_of_the_rows_as_they_were_given(tmp_path: Path) -> None:
    exact = RANDOM.normal(size=(600, 3))
    model = linear("Ridge").fit(exact, TARGET)
    panel = packed(tmp_path, model, exact).panel
    assert panel.native_scores.tolist() == model.predict(exact).tolist()
    assert panel.native_scores.tolist() != model.predict(exact.astype(np.float32)).tolist()
    assert str(panel.frame["a"].dtype) == "float32"


def test_rows_between_a_split_and_its_float32_are_refused_and_cast_rows_are_packed(tmp_path: Path) -> None:
    exact = np.round(RANDOM.uniform(0, 1, (600, 3)), 1)
    model = trees().fit(exact, exact[:, 0] + exact[:, 1])
    # The float32 that is nearest to the split lies on one side of it, so one of these two changes sides.
    exact[:5, 0], exact[5:10, 0] = split(model), np.nextafter(split(model), 1)
    message = (
        r"^the ONNX model differs from the estimator by \S+ times the spread of its scores, expected at most 1e-05: "
        r"the model takes float32, and some features change sides of a split when they are cast: cast them yourself, "
    )
    with pytest.raises(PackError, match=message):
        packed(tmp_path, model, exact)
    assert packed(tmp_path, model, exact.astype(np.float32)).parity_claim.ok


def split(model: Any) -> float:
    table = model.booster_.trees_to_dataframe().dropna(subset="threshold")
    return float(table.loc[table["split_feature"] == "Column_0", "threshold"].iloc[0])


def test_missing_values_that_onnx_sends_elsewhere_are_refused_though_the_panel_has_none(tmp_path: Path) -> None:
    model = forest("RandomForestClassifier").fit(holed(), UP)
    message = (
        "only rows with NaN differ: fill missing values before the model, or take the features out of nullable; or "
    )
    for rows in (ROWS, ROWS.astype(np.float64) + 1e-9):
        with pytest.raises(PackError, match=message):
            packed(tmp_path, model, rows, target=UP, nullable=NAMES)
    assert packed(tmp_path, model, target=UP).parity_claim.ok, "without nullable features no such row is served"


def test_missing_values_are_probed_for_the_gates_too(tmp_path: Path) -> None:
    model = trees().fit(holed(), TARGET)
    candidate = packed(tmp_path, model, nullable=NAMES)
    probed = np.concatenate([*candidate.comparison.blocks()])[len(ROWS) :]
    assert np.isnan(probed).any(axis=0).all()
    assert candidate.parity.probes == len(probed)
    assert candidate.parity_claim_problems(1e-5) == []
    other = packed(tmp_path, trees().fit(ROWS, TARGET), nullable=NAMES)
    (other.directory / "model.onnx").write_bytes(candidate.onnx_bytes)
    assert Candidate(other.directory).parity.scaled > 1e-3


def test_nan_that_the_estimator_refuses_and_onnx_scores_is_refused(tmp_path: Path) -> None:
    message = (
        "^NaN may stand in 'a', 'b', 'c', and ONNX Runtime scores such rows, but no row says what the native model "
        "makes of them: give the panel rows with NaN there, or take the names out of nullable\n"
    )
    with pytest.raises(PackError, match=message):
        packed(tmp_path, forest("GradientBoostingRegressor").fit(ROWS, TARGET), nullable=NAMES)
    assert packed(tmp_path, linear("Ridge").fit(ROWS, TARGET), nullable=NAMES).parity_claim.ok, "neither scores NaN"


def test_a_part_that_the_converter_leaves_out_is_refused_at_once(tmp_path: Path) -> None:
    model = trees(linear_tree=True).fit(ROWS, TARGET)
    message = r"the converter leaves a part of the model out: convert it to ONNX yourself and pack\(onnx_bytes, .*…\)\n"
    with pytest.raises(PackError, match=message):
        packed(tmp_path / "artifacts", model)
    assert not (tmp_path / "artifacts").exists()


def test_values_that_the_panel_lacks_are_named_if_only_they_differ(tmp_path: Path) -> None:
    zeros = ROWS.copy()
    zeros[::3, 0] = 0
    model = trees(zero_as_missing=True).fit(zeros, TARGET)
    message = (
        r"only rows that the panel lacks differ, most with [ab] = -?(0\.0|1e-40): convert the model in another way; or "
    )
    for rows in (ROWS, ROWS.astype(np.float64) + 1e-9):
        with pytest.raises(PackError, match=message):
            packed(tmp_path, model, rows)


def test_what_rounding_explains_is_packed_with_a_warning_and_left_to_the_policy(tmp_path: Path) -> None:
    model = linear("Ridge").fit(ROWS.astype(np.float64), TARGET + 1000.0)
    with pytest.warns(
        UserWarning, match="scores around 1000.* that spread by .* are rounded by float32: take a constant"
    ):
        candidate = packed(tmp_path, model, target=TARGET + 1000)
    assert not candidate.parity_claim.ok
    assert 1e-5 < candidate.parity.scaled < 1e-3
    assert candidate.parity_claim_problems(1e-3) == [], "a policy may admit more than packing calls ok"
    assert candidate.cause["cause"].startswith("scores around 1000 that spread by 0.9")


SUMS = {
    "forest": ("RandomForestRegressor", TARGET),
    "forest-beside-an-offset": ("RandomForestRegressor", TARGET + 10),
    "classifier": ("RandomForestClassifier", (np.quantile(TARGET, 0.02) < TARGET).astype(int)),
}


@pytest.mark.parametrize(("kind", "target"), SUMS.values(), ids=SUMS)
def test_the_sums_of_hundreds_of_trees_do_not_drift_apart(tmp_path: Path, kind: str, target: np.ndarray) -> None:
    model = forest(kind).set_params(n_estimators=500, max_depth=3).fit(ROWS, target)
    assert packed(tmp_path, model, target=target).parity.scaled < 2e-6


HONEST: dict[str, tuple[Callable[[], Any], bool]] = {
    "ridge": (lambda: linear("Ridge"), False),
    "lightgbm": (lambda: trees(), False),
    "forest": (lambda: forest("RandomForestRegressor"), False),
    "boosted-trees": (lambda: forest("GradientBoostingRegressor"), False),
    "logistic": (lambda: linear("LogisticRegression"), True),
    "forest-classifier": (lambda: forest("RandomForestClassifier"), True),
    "lightgbm-classifier": (lambda: extra("lightgbm").LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1), True),
}


@pytest.mark.parametrize("scale", [1e-12, 5e-6, 5e-3, 1.0, 1e6])
@pytest.mark.parametrize("kind", HONEST)
def test_honest_models_of_every_scale_are_in_parity(tmp_path: Path, kind: str, scale: float) -> None:
    make, classes = HONEST[kind]
    if classes and scale != 1:
        target = (np.quantile(TARGET, 0.98 if scale < 1 else 0.3) < TARGET).astype(int)
    else:
        target = UP if classes else TARGET * scale
    candidate = packed(tmp_path, make().fit(ROWS.astype(np.float64), target), target=target)
    assert candidate.parity.scaled <= 1e-5
    assert candidate.parity_claim_problems(1e-5) == []
