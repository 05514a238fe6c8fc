"""Each kind of model that docs/models.md promises is packed, keeps the gates of parity, and is served as it scores."""

import functools
import subprocess
import sys
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import helper, numpy_helper

from pytest_modelgates import pack
from pytest_modelgates.errors import PackError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.parity import PARITY_TOLERANCE
from pytest_modelgates.serving.adapter import Adapter
from tests.support.kinds import (
    CATBOOST,
    NUMBERS,
    REFUSED,
    SECTORS,
    TRIED,
    Kind,
    Refused,
    fitted,
    frame,
    numbered,
    table,
    table_of_refused,
    up,
)
from tests.support.onnx_models import linear

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
BY_KIND = pytest.mark.parametrize("kind", TRIED, ids=lambda kind: kind.id)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pack a kind once; returns the fitted model and its directory."""

    @functools.cache
    def of(number: int) -> tuple[Any, Path]:
        return pack_kind(TRIED[number], tmp_path_factory.mktemp("kind"))

    return lambda kind: of(TRIED.index(kind))


def pack_kind(kind: Kind, artifacts: Path) -> tuple[Any, Path]:
    """Fit a kind of model and pack it; a warning that its parity is too low is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind.fit(kind.training())
    directory = pack(
        model,
        kind.panel(),
        features=dict.fromkeys(kind.columns, "all"),
        horizon=1,
        trained_until=date(2019, 12, 31),
        tried=1,
        changes="A kind.",
        artifacts=artifacts,
        **({"nullable": ["age"]} if kind.missing else {}),
        **kind.options,
    )
    return model, directory


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's histograms ask for physical cores, and joblib warns where a container does not tell."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")


@BY_KIND
def test_it_keeps_the_limits_of_parity_missing_values_and_edges_included(kind: Kind, packed: Any) -> None:
    candidate = Candidate(packed(kind)[1])
    assert candidate.soundness_problems(("", "ai.onnx.ml")) == []
    assert candidate.parity_claim_problems(PARITY_TOLERANCE) == []
    assert candidate.parity.scaled <= PARITY_TOLERANCE
    tried = {(name, value) for probe in candidate.parity_claim.probes.rows for name, value in probe.values.items()}
    assert {name for name, _ in tried} == set(kind.columns)
    assert (("age", None) in tried) == kind.missing


@BY_KIND
def test_it_is_served_as_it_scores_itself(kind: Kind, packed: Any, tmp_path: Path) -> None:
    model, directory = packed(kind)
    rows = kind.panel()[["time", "asset", *kind.columns]]
    numbered = {"sector": rows["sector"].map(SECTORS.index)} if kind.text else {}
    rows.assign(**numbered).to_csv(tmp_path / "live.csv", index=False)
    with Adapter(directory / "model.onnx", arm="shadow") as adapter:
        records = list(adapter.run_csv(tmp_path / "live.csv"))
    native = np.asarray(kind.native(model, rows), dtype=float)
    assert [record.row_key for record in records] == [f"{row.time:%Y-%m-%d}|{row.asset}" for row in rows.itertuples()]
    off = np.abs(np.array([record.prediction for record in records]) - native)
    assert off.max() <= PARITY_TOLERANCE * native.std()


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.model)
def test_what_the_page_says_is_refused_in_a_line_and_what_that_advises_is_packed(kind: Refused, tmp_path: Path) -> None:
    if kind.model.startswith("CatBoost") and not CATBOOST:
        pytest.skip("the lock has CatBoost for Python 3.11")
    described: dict[str, Any] = {
        "features": dict.fromkeys([*NUMBERS, *(["sector"] if kind.text else [])], "all"),
        "horizon": 1,
        "trained_until": date(2019, 12, 31),
        "changes": "Refused.",
        "artifacts": tmp_path,
        **({"categories": {"sector": SECTORS}} if kind.text else {}),
    }
    with pytest.raises(PackError) as refused:
        pack(kind.fit(frame(0)), frame(1), **described)
    said = str(refused.value)
    assert f"{kind.advice}convert it to ONNX yourself and pack(onnx_bytes, " in said
    assert "\n" not in said
    assert not (tmp_path / "models").exists()
    panel = frame(1)
    if kind.numbered:
        panel["sector"] = numbered(panel)["sector"]
        del described["categories"]
    assert Candidate(pack(kind.other(frame(0)), panel, **described)).parity.scaled <= PARITY_TOLERANCE


@pytest.mark.parametrize(("name", "wanted"), [("XGBRegressor", "target"), ("XGBClassifier", up)])
def test_the_line_that_a_refusal_prints_packs_the_model(name: str, wanted: Any, tmp_path: Path) -> None:
    model, panel = fitted("xgboost", name, wanted, booster="gblinear")(frame(0)), frame(1)
    described: dict[str, Any] = {
        "features": dict.fromkeys(NUMBERS, "all"),
        "horizon": 1,
        "trained_until": date(2019, 12, 31),
        "changes": "By the recipe.",
        "artifacts": tmp_path,
    }
    with pytest.raises(PackError, match=r"gblinear has no trees\); fit .* yourself and pack\(.*\)\n") as refused:
        pack(model, panel, **described)
    printed = str(refused.value).partition("yourself and ")[2]
    given = {"onnx_bytes": by_hand(model), "X": panel[NUMBERS], "panel": panel, "model": model, "pack": pack}
    directory = eval(printed.replace("…", "**described"), {**given, "described": described})
    assert Candidate(directory).parity.scaled <= PARITY_TOLERANCE


def by_hand(model: Any) -> bytes:
    """A linear model of XGBoost as ONNX."""
    proto = linear(model.coef_.ravel())
    none = pd.DataFrame(0.0, index=[0], columns=NUMBERS)
    bias = np.asarray(model.predict(none, output_margin=True), dtype=np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    proto.graph.node[-1].output[0] = "product"
    chances = hasattr(model, "predict_proba")
    proto.graph.node.append(helper.make_node("Add", ["product", "bias"], ["sum" if chances else "score"]))
    if chances:
        proto.graph.node.append(helper.make_node("Sigmoid", ["sum"], ["score"]))
    return bytes(proto.SerializeToString())


@pytest.mark.integration
@pytest.mark.parametrize("library", sorted({kind.library for kind in TRIED if kind.missing}))
def test_the_gates_of_parity_pass_on_one_of_each_library(packed: Any, tmp_path: Path, library: str) -> None:
    kind = next(kind for kind in TRIED if kind.library == library and kind.missing)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", f"--model-dir={packed(kind)[1]}", "-m", "parity"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "parity.max_abs_diff     hard" in run.stdout


def test_rows_of_a_kind_are_no_rows_that_it_was_fitted_on() -> None:
    kind = TRIED[0]
    both = pd.concat([kind.training(), kind.panel()])
    assert not both.duplicated(["time", "asset"]).any()


def test_the_table_in_the_documents_is_the_one_that_was_tried() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    assert table() in page
    assert table_of_refused() in page, "python -m tests.support.kinds prints what docs/models.md must hold"
