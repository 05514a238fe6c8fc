"""Kinds of models that are packed: each is fitted here, and named in a table of docs/models.md, which this writes.

`python -m tests.support.kinds` prints the table.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pytest_modelgates.extras import extra

LOCK = Path(__file__).parents[2] / "requirements.lock"
NUMBERS = ["age", "last month", "n trades"]
# Neither in the order of letters nor in that of their first rows.
SECTORS = ["tech", "bank", "food & drink"]
# CatBoost is in the lock for this Python alone.
CATBOOST = sys.version_info < (3, 12)


def frame(seed: int, days: int = 25) -> pd.DataFrame:
    """Rows of twelve assets, whose names of columns have spaces: two of numbers, one of counts, and returns."""
    generator = np.random.default_rng(seed)
    start = "2020-01-01" if seed else "2019-01-01"
    index = pd.MultiIndex.from_product(
        [pd.bdate_range(start, periods=days), [f"A{number:02}" for number in range(12)]], names=["time", "asset"]
    )
    rows = index.to_frame(index=False)
    rows["age"], rows["last month"] = generator.standard_normal((2, len(rows))).astype(np.float32)
    rows["n trades"] = generator.integers(0, 9, len(rows))
    luck = generator.standard_normal(len(rows))
    rows["sector"] = generator.choice(SECTORS, len(rows))
    rows["ret_next"] = 0.01 * luck + 0.002 * np.sign(rows["age"]) * rows["last month"] + 0.001 * rows["n trades"]
    rows["ret_next"] += 0.002 * (rows["sector"] == "bank")
    rows["target"] = rows["ret_next"]
    return rows


def holed(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, in which one of seven has no `age`."""
    return rows.assign(age=rows["age"].where(np.arange(len(rows)) % 7 != 0))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of model: how it is called, how it is fitted on rows, and what `pack` must be told of it.

    `native` are its own scores of rows. `missing` says that it may meet NaN in `age`, `text` that it takes `sector`.
    """

    library: str
    model: str
    fit: Callable[[pd.DataFrame], Any]
    native: Callable[[Any, pd.DataFrame], Any]
    missing: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    text: bool = False
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Its features."""
        return [*NUMBERS, "sector"] if self.text else NUMBERS

    @property
    def id(self) -> str:
        """Its name in the list of tests."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.library} {self.model}".lower()).strip("-")

    def training(self) -> pd.DataFrame:
        """Rows to fit it on."""
        return holed(frame(0)) if self.missing else frame(0)

    def panel(self) -> pd.DataFrame:
        """Rows that it was not fitted on."""
        return holed(frame(1)) if self.missing else frame(1)


def number(model: Any, rows: pd.DataFrame) -> Any:
    """What a regressor or a ranker says."""
    return model.predict(rows[NUMBERS])


def of_sector(model: Any, rows: pd.DataFrame) -> Any:
    """What a regressor says that takes a sector as text."""
    return model.predict(rows[[*NUMBERS, "sector"]])


def of_category(model: Any, rows: pd.DataFrame) -> Any:
    """What a regressor says that takes a sector as a category of pandas."""
    return model.predict(categorical(rows))


def categorical(rows: pd.DataFrame) -> pd.DataFrame:
    """The features with the sector as a category of pandas."""
    return rows[[*NUMBERS, "sector"]].assign(sector=pd.Categorical(rows["sector"], categories=SECTORS))


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """The features with the sector as a number."""
    return rows[[*NUMBERS, "sector"]].assign(sector=rows["sector"].map(SECTORS.index))


def chance(model: Any, rows: pd.DataFrame) -> Any:
    """The chance of the second of two classes."""
    return model.predict_proba(rows[NUMBERS])[:, 1]


def chance_of_down(model: Any, rows: pd.DataFrame) -> Any:
    """The chance of the first class in the order of letters."""
    return model.predict_proba(rows[NUMBERS])[:, 0]


def up(rows: pd.DataFrame) -> Any:
    """Whether a return is above the median."""
    return (rows["target"] > rows["target"].median()).astype(int)


def thirds(rows: pd.DataFrame) -> Any:
    """Three classes, named in text."""
    return pd.qcut(rows["target"], 3, labels=["down", "flat", "up"]).astype(str)


def ranks(rows: pd.DataFrame) -> Any:
    """Five grades, for rankers."""
    return pd.qcut(rows["target"], 5, labels=False)


def days(rows: pd.DataFrame) -> list[int]:
    """How many rows each day has, for rankers."""
    return [int(count) for count in rows.groupby("time").size()]


def estimator(module: str, name: str, **parameters: Any) -> Any:
    """A small model, on one thread."""
    small = {
        "lightgbm": {"n_estimators": 12, "num_leaves": 15, "n_jobs": 1, "verbose": -1},
        "xgboost": {"n_estimators": 12, "max_depth": 4, "n_jobs": 1},
        "catboost": {"iterations": 12, "thread_count": 1, "verbose": False, "allow_writing_files": False},
    }
    return getattr(extra(module), name)(**small.get(module, {}), **parameters)


def fitted(
    module: str, name: str, wanted: Callable[[pd.DataFrame], Any] | str = "target", **parameters: Any
) -> Callable[[pd.DataFrame], Any]:
    """Say how to fit an estimator on the numbers."""

    def fit(rows: pd.DataFrame) -> Any:
        target = rows[wanted] if isinstance(wanted, str) else wanted(rows)
        return estimator(module, name, **parameters).fit(rows[NUMBERS], target)

    return fit


def ranker(module: str, name: str) -> Callable[[pd.DataFrame], Any]:
    """Say how to fit a ranker by day."""

    def fit(rows: pd.DataFrame) -> Any:
        by_day = {"group_id": np.repeat(np.arange(25), 12)} if module == "catboost" else {"group": days(rows)}
        return estimator(module, name).fit(rows[NUMBERS], ranks(rows), **by_day)

    return fit


def by_columns(last: Any, *, impute: bool = False, dense: bool = False) -> Callable[[pd.DataFrame], Any]:
    """Say how to fit a pipeline that takes columns by their names."""

    def fit(rows: pd.DataFrame) -> Any:
        pipeline, preprocessing = extra("sklearn.pipeline").make_pipeline, extra("sklearn.preprocessing")
        scale = preprocessing.StandardScaler()
        steps = [
            (pipeline(extra("sklearn.impute").SimpleImputer(), scale) if impute else scale, ["last month", "age"]),
            (preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=not dense), ["n trades"]),
        ]
        chosen = extra("sklearn.compose").make_column_transformer(*steps)
        return pipeline(chosen, last()).fit(rows[NUMBERS], rows["target"])

    return fit


def of_text(encoder: str, **parameters: Any) -> Callable[[pd.DataFrame], Any]:
    """Say how to fit a pipeline that encodes a column of text."""

    def fit(rows: pd.DataFrame) -> Any:
        preprocessing = extra("sklearn.preprocessing")
        chosen = extra("sklearn.compose").make_column_transformer(
            (preprocessing.StandardScaler(), ["last month", "age"]),
            (getattr(preprocessing, encoder)(**parameters), ["sector"]),
            remainder="passthrough",
        )
        pipeline = extra("sklearn.pipeline").make_pipeline(chosen, estimator("sklearn.linear_model", "Ridge"))
        return pipeline.fit(rows[[*NUMBERS, "sector"]], rows["target"])

    return fit


def on_categories(module: str, name: str, **parameters: Any) -> Callable[[pd.DataFrame], Any]:
    """Say how to fit an estimator on a category of pandas."""
    return lambda rows: estimator(module, name, **parameters).fit(categorical(rows), rows["target"])


def after_scaling(last: Any, wanted: Callable[[pd.DataFrame], Any] | str = "target") -> Callable[[pd.DataFrame], Any]:
    """Say how to fit a pipeline that scales every column."""

    def fit(rows: pd.DataFrame) -> Any:
        target = rows[wanted] if isinstance(wanted, str) else wanted(rows)
        scaler = extra("sklearn.preprocessing").StandardScaler()
        return extra("sklearn.pipeline").make_pipeline(scaler, last()).fit(rows[NUMBERS], target)

    return fit


def calibrated(make: Callable[[], Any]) -> Callable[[pd.DataFrame], Any]:
    """Say how to fit a classifier whose chances are calibrated."""

    def fit(rows: pd.DataFrame) -> Any:
        return extra("sklearn.calibration").CalibratedClassifierCV(make(), cv=3).fit(rows[NUMBERS], up(rows))

    return fit


def _scikit_learn() -> Iterator[Kind]:
    def of(module: str, name: str, **parameters: Any) -> Callable[[], Any]:
        return lambda: estimator(f"sklearn.{module}", name, **parameters)

    forest = {"n_estimators": 12, "max_depth": 5, "random_state": 0}
    down: dict[str, Any] = {"native": chance_of_down, "options": {"scored_class": "down"}}
    three = "`scored_class` declared"
    yield Kind(
        library="scikit-learn",
        model="Ridge, columns by name",
        fit=by_columns(of("linear_model", "Ridge")),
        native=number,
        note="`ColumnTransformer` with `StandardScaler` and `OneHotEncoder` of a count",
    )
    yield Kind(
        library="scikit-learn",
        model="Ridge, columns by name, missing values",
        fit=by_columns(of("linear_model", "Ridge"), impute=True),
        native=number,
        missing=True,
        note="`SimpleImputer` inside a `ColumnTransformer`",
    )
    yield Kind(
        library="scikit-learn",
        model="RandomForestRegressor",
        fit=fitted("sklearn.ensemble", "RandomForestRegressor", **forest),
        native=number,
    )
    yield Kind(
        library="scikit-learn",
        model="RandomForestClassifier, three classes",
        fit=fitted("sklearn.ensemble", "RandomForestClassifier", thirds, **forest),
        note=three,
        **down,
    )
    yield Kind(
        library="scikit-learn",
        model="LogisticRegression after StandardScaler",
        fit=after_scaling(of("linear_model", "LogisticRegression"), up),
        native=chance,
    )
    yield Kind(
        library="scikit-learn",
        model="LogisticRegression, three classes",
        fit=fitted("sklearn.linear_model", "LogisticRegression", thirds, max_iter=500),
        note=three,
        **down,
    )
    yield Kind(
        library="scikit-learn",
        model="CalibratedClassifierCV of RandomForestClassifier",
        fit=calibrated(of("ensemble", "RandomForestClassifier", **forest)),
        native=chance,
        note="`method='sigmoid'`",
    )
    yield Kind(
        library="scikit-learn",
        model="CalibratedClassifierCV of LinearSVC",
        fit=calibrated(of("svm", "LinearSVC")),
        native=chance,
        note="`method='sigmoid'`",
    )


def _histograms() -> Iterator[Kind]:
    for name, wanted, native in [("Regressor", "target", number), ("Classifier", up, chance)]:
        yield Kind(
            library="scikit-learn",
            model=f"HistGradientBoosting{name}, missing values",
            fit=fitted("sklearn.ensemble", f"HistGradientBoosting{name}", wanted, max_iter=12),
            native=native,
            missing=True,
        )
    yield Kind(
        library="scikit-learn",
        model="HistGradientBoostingClassifier, three classes",
        fit=fitted("sklearn.ensemble", "HistGradientBoostingClassifier", thirds, max_iter=12),
        native=chance_of_down,
        options={"scored_class": "down"},
        note="`scored_class` declared",
    )
    yield Kind(
        library="scikit-learn",
        model="HistGradientBoostingRegressor of counts",
        fit=fitted("sklearn.ensemble", "HistGradientBoostingRegressor", ranks, max_iter=12, loss="poisson"),
        native=number,
        note="`loss='poisson'`",
    )
    yield Kind(
        library="scikit-learn",
        model="HistGradientBoostingClassifier, numbers as categories",
        fit=fitted(
            "sklearn.ensemble", "HistGradientBoostingClassifier", up, max_iter=12, categorical_features=["n trades"]
        ),
        native=chance,
        missing=True,
        note="`categorical_features`",
    )


def _text() -> Iterator[Kind]:
    declared: dict[str, Any] = {"text": True, "options": {"categories": {"sector": SECTORS}}}
    joined = {"min_frequency": 120, "handle_unknown": "infrequent_if_exist"}
    for encoder, parameters in [
        ("OneHotEncoder", {"handle_unknown": "ignore"}),
        ("OneHotEncoder", joined),
        ("OrdinalEncoder", {}),
        ("TargetEncoder", {"random_state": 0}),
    ]:
        yield Kind(
            library="scikit-learn",
            model=f"Ridge, text by {encoder}{', rare ones joined' if parameters == joined else ''}",
            fit=of_text(encoder, **parameters),
            native=of_sector,
            note="`min_frequency`, `categories` declared" if parameters == joined else "`categories` declared",
            **declared,
        )
    for library, name, more in [
        ("scikit-learn", "HistGradientBoostingRegressor", {"categorical_features": "from_dtype", "max_iter": 12}),
        ("LightGBM", "LGBMRegressor", {}),
        ("XGBoost", "XGBRegressor", {"enable_categorical": True}),
    ]:
        yield Kind(
            library=library,
            model=f"{name}, categories of pandas",
            fit=on_categories("sklearn.ensemble" if more.get("max_iter") else library.lower(), name, **more),
            native=of_category,
            note="`categories` declared",
            **declared,
        )


def _lightgbm() -> Iterator[Kind]:
    for boosting, more in [("dart", {"drop_rate": 0.5}), ("rf", {"bagging_freq": 1, "bagging_fraction": 0.6})]:
        yield Kind(
            library="LightGBM",
            model=f"LGBMRegressor by {boosting}",
            fit=fitted("lightgbm", "LGBMRegressor", boosting_type=boosting, **more),
            native=number,
            note=f"`boosting_type='{boosting}'`",
        )
    yield Kind(
        library="LightGBM",
        model="CalibratedClassifierCV of LGBMClassifier",
        fit=calibrated(lambda: estimator("lightgbm", "LGBMClassifier")),
        native=chance,
        note="`method='sigmoid'`",
    )
    for name, wanted, native in [("LGBMRegressor", "target", number), ("LGBMClassifier", up, chance)]:
        yield Kind(
            library="LightGBM",
            model=f"{name}, missing values",
            fit=fitted("lightgbm", name, wanted),
            native=native,
            missing=True,
        )
    yield Kind(
        library="LightGBM",
        model="LGBMClassifier, three classes",
        fit=fitted("lightgbm", "LGBMClassifier", thirds),
        native=chance_of_down,
        options={"scored_class": "down"},
        note="`scored_class` declared",
    )
    yield Kind(
        library="LightGBM",
        model="LGBMRanker",
        fit=ranker("lightgbm", "LGBMRanker"),
        native=number,
        note="its scores are signals",
    )
    yield Kind(
        library="LightGBM",
        model="LGBMRegressor as a step, columns by name",
        fit=by_columns(lambda: estimator("lightgbm", "LGBMRegressor")),
        native=number,
    )


def _xgboost() -> Iterator[Kind]:
    for name, wanted, native in [("XGBRegressor", "target", number), ("XGBClassifier", up, chance)]:
        yield Kind(
            library="XGBoost",
            model=f"{name}, missing values",
            fit=fitted("xgboost", name, wanted),
            native=native,
            missing=True,
        )
    yield Kind(
        library="XGBoost",
        model="XGBClassifier, three classes",
        fit=fitted("xgboost", "XGBClassifier", lambda rows: pd.factorize(thirds(rows), sort=True)[0]),
        native=chance_of_down,
        options={"scored_class": 0},
        note="`scored_class` declared",
    )
    yield Kind(
        library="XGBoost",
        model="XGBRanker",
        fit=ranker("xgboost", "XGBRanker"),
        native=number,
        note="its scores are signals",
    )
    yield Kind(
        library="XGBoost",
        model="XGBRegressor by dart",
        fit=fitted("xgboost", "XGBRegressor", booster="dart", rate_drop=0.3),
        native=number,
        note="`booster='dart'`",
    )
    yield Kind(
        library="XGBoost",
        model="XGBRFRegressor",
        fit=fitted("xgboost", "XGBRFRegressor"),
        native=number,
    )
    yield Kind(
        library="XGBoost",
        model="XGBRegressor of counts",
        fit=fitted("xgboost", "XGBRegressor", ranks, objective="count:poisson"),
        native=number,
        note="`objective='count:poisson'`",
    )
    yield Kind(
        library="XGBoost",
        model="XGBRegressor as a step, columns by name",
        fit=by_columns(lambda: estimator("xgboost", "XGBRegressor"), dense=True),
        native=number,
        note="with `OneHotEncoder(sparse_output=False)`",
    )


def _catboost() -> Iterator[Kind]:
    for name, wanted, native in [("CatBoostRegressor", "target", number), ("CatBoostClassifier", up, chance)]:
        yield Kind(
            library="CatBoost",
            model=f"{name}, missing values",
            fit=fitted("catboost", name, wanted),
            native=native,
            missing=True,
        )
    yield Kind(
        library="CatBoost",
        model="CatBoostClassifier, three classes",
        fit=fitted("catboost", "CatBoostClassifier", thirds),
        native=chance_of_down,
        options={"scored_class": "down"},
        note="`scored_class` declared",
    )
    yield Kind(
        library="CatBoost",
        model="CatBoostRanker",
        fit=ranker("catboost", "CatBoostRanker"),
        native=number,
        note="its scores are signals",
    )


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A kind of model that is refused, why, and what is packed instead: in the page, in the refusal, and fitted.

    `text` says that it takes `sector`, and `numbered` that what is packed instead takes it as a number.
    """

    model: str
    why: str
    instead: str
    advice: str
    fit: Callable[[pd.DataFrame], Any]
    other: Callable[[pd.DataFrame], Any]
    text: bool = False
    numbered: bool = False


def _calibrated_forest(rows: pd.DataFrame, *, method: str) -> Any:
    forest = estimator("sklearn.ensemble", "RandomForestClassifier", n_estimators=12, max_depth=5, random_state=0)
    wrapped = extra("sklearn.calibration").CalibratedClassifierCV(forest, method=method, cv=3)
    return wrapped.fit(rows[NUMBERS], up(rows))


def _calibrated_pipeline(rows: pd.DataFrame, *, inside: bool) -> Any:
    joined, calibrated = extra("sklearn.pipeline").make_pipeline, extra("sklearn.calibration").CalibratedClassifierCV
    scaler = estimator("sklearn.preprocessing", "StandardScaler")
    model = estimator("sklearn.linear_model", "LogisticRegression")
    found = calibrated(joined(scaler, model), cv=3) if inside else joined(scaler, calibrated(model, cv=3))
    return found.fit(rows[NUMBERS], up(rows))


def _on_text_of_catboost(rows: pd.DataFrame) -> Any:
    names = [*NUMBERS, "sector"]
    return estimator("catboost", "CatBoostRegressor", cat_features=["sector"]).fit(rows[names], rows["target"])


REFUSED = [
    Refused(
        model='`CalibratedClassifierCV(method="isotonic")`',
        why="its steps magnify what float32 rounds; skl2onnx takes the nearest one",
        instead='`method="sigmoid"`',
        advice="fit it with method='sigmoid', or ",
        fit=partial(_calibrated_forest, method="isotonic"),
        other=partial(_calibrated_forest, method="sigmoid"),
    ),
    Refused(
        model="`CalibratedClassifierCV` of a pipeline",
        why="skl2onnx calibrates its chances in place of its raw scores",
        instead="`make_pipeline(StandardScaler(), CalibratedClassifierCV(…))`",
        advice="put the steps before its classifier in front of CalibratedClassifierCV, or ",
        fit=partial(_calibrated_pipeline, inside=True),
        other=partial(_calibrated_pipeline, inside=False),
    ),
    Refused(
        model="XGBoost's `gblinear`",
        why="onnxmltools knows trees alone",
        instead="Ridge or LogisticRegression",
        advice="fit Ridge or LogisticRegression of scikit-learn in place of gblinear, or ",
        fit=fitted("xgboost", "XGBRegressor", booster="gblinear"),
        other=fitted("sklearn.linear_model", "Ridge"),
    ),
    Refused(
        model="CatBoost on categories",
        why="CatBoost exports none",
        instead="encode them as numbers before the fit",
        advice="encode its categories as numbers before the fit, or ",
        fit=_on_text_of_catboost,
        other=lambda rows: estimator("catboost", "CatBoostRegressor").fit(numbered(rows), rows["target"]),
        text=True,
        numbered=True,
    ),
]


KINDS = [*_scikit_learn(), *_histograms(), *_text(), *_lightgbm(), *_xgboost(), *_catboost()]
TRIED = [kind for kind in KINDS if CATBOOST or kind.library != "CatBoost"]
LIBRARIES = {
    "scikit-learn": ["scikit-learn", "skl2onnx"],
    "LightGBM": ["lightgbm", "onnxmltools"],
    "XGBoost": ["xgboost-cpu", "onnxmltools"],
    "CatBoost": ["catboost"],
}


def versions(names: list[str]) -> str:
    """The versions of libraries that `requirements.lock` has, the older first if it has two."""
    lock = LOCK.read_text()
    found = {name: re.findall(rf"(?m)^{re.escape(name)}==([\w.]+)", lock) for name in names}
    return ", ".join(f"{name.removesuffix('-cpu')} {' and '.join(sorted(given))}" for name, given in found.items())


def table() -> str:
    """What was tried with which versions, as Markdown."""
    lines = []
    for library, names in LIBRARIES.items():
        lines += [f"| **{library}** | {versions(names)} |"]
        lines += [f"| {kind.model} | {kind.note} |".replace("  ", " ") for kind in KINDS if kind.library == library]
    return "\n".join(["| model | how |", "|---|---|", *lines]) + "\n"


def table_of_refused() -> str:
    """What was tried and is refused, as Markdown."""
    lines = [f"| {kind.model} | {kind.why} | {kind.instead} |" for kind in REFUSED]
    return "\n".join(["| model | why | instead |", "|---|---|---|", *lines]) + "\n"


if __name__ == "__main__":
    print(table(), table_of_refused(), sep="\n", end="")
