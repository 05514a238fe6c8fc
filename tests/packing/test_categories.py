"""Text as numbers of categories: in the packed panel, in the ONNX model, in live rows; and what is refused."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from pytest_modelgates import pack
from pytest_modelgates.errors import OnnxError, PackError
from pytest_modelgates.extras import extra
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import Feature, Sidecar
from pytest_modelgates.packing.categories import take_codes
from pytest_modelgates.packing.packing_list import pack_from_files
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.storage.strict_json import parse_json, typed
from tests.packing.test_pack import flaws, pack_ready, rows
from tests.support.kinds import SECTORS, categorical, estimator, frame
from tests.support.onnx_models import finished, sidecar

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
NAMES = ["tech", "bank", "food"]
WORTH = {"tech": 5.0, "bank": -2.0, "food": 0.5}


def of_text(*, opset: int = 15) -> onnx.ModelProto:
    """Build ``score = 10 a + worth of b``, which takes `b` as text."""
    worth = helper.make_node(
        "LabelEncoder",
        ["b"],
        ["worth"],
        domain="ai.onnx.ml",
        keys_strings=list(WORTH),
        values_floats=list(WORTH.values()),
        default_float=1000.0,
    )
    ten = helper.make_node("Constant", [], ["ten"], value=helper.make_tensor("ten", TensorProto.FLOAT, [1], [10.0]))
    nodes = [
        worth,
        ten,
        helper.make_node("Mul", ["a", "ten"], ["tenfold"]),
        helper.make_node("Add", ["tenfold", "worth"], ["score"]),
    ]
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.STRING}
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    model = finished(helper.make_graph(nodes, "by hand", inputs, outputs), opset=opset, domains=["ai.onnx.ml"])
    model.opset_import[1].version = 2
    return model


def of_sectors() -> pd.DataFrame:
    """Rows whose `b` is text, with the scores of that model."""
    given = rows()
    given["b"] = np.resize(NAMES, len(given))
    given["reference"] = 10.0 * given["a"].astype(float) + given["b"].map(WORTH)
    return given


def pack_text(artifacts: Path, panel: pd.DataFrame | None = None, **more: Any) -> Path:
    """Pack that model with its categories."""
    described: dict[str, Any] = {"categories": {"b": NAMES}, **more}
    given = of_sectors() if panel is None else panel
    return pack_ready(artifacts, given, of_text().SerializeToString(), **described)


def test_a_ready_model_of_text_is_packed_and_takes_numbers(tmp_path: Path) -> None:
    directory = pack_text(tmp_path)
    assert flaws(directory) == []
    candidate = Candidate(directory)
    assert candidate.parity_claim.ok
    assert [feature.dtype for feature in candidate.sidecar.features] == ["float32", "int64"]
    assert candidate.sidecar.categories == {"b": tuple(NAMES)}
    assert candidate.panel.frame["b"].tolist() == [NAMES.index(name) for name in of_sectors()["b"]]
    assert "categories" not in json.loads((directory / "sidecar.json").read_bytes())["features"][0]


def test_numbers_beside_the_categories_are_refused_and_their_neighbours_served(tmp_path: Path) -> None:
    directory = pack_text(tmp_path)
    live = of_sectors()[["time", "asset", "a", "b"]].iloc[:5].assign(b=[0, -1, 1, 3, 2])
    live.to_csv(tmp_path / "live.csv", index=False)
    with Adapter(directory / "model.onnx", arm="shadow") as adapter:
        records = list(adapter.run_csv(tmp_path / "live.csv"))
    worth = [record.prediction and record.prediction - 10 * a for record, a in zip(records, live["a"], strict=True)]
    assert worth == [5.0, None, -2.0, None, 0.5]
    wanted = "expected a whole number from 0 to 2, of a category that the sidecar lists"
    assert [record.error for record in records if record.error] == [
        f"schema: b is -1, {wanted}",
        f"schema: b is 3, {wanted}",
    ]


def test_lightgbm_gets_no_number_beside_its_categories_either(tmp_path: Path) -> None:
    model = estimator("lightgbm", "LGBMRegressor").fit(categorical(frame(0)), frame(0)["target"])
    directory = _pack_lightgbm(model, tmp_path, categories={"sector": SECTORS}, nullable=["sector"])
    live = frame(1)[["time", "asset", *categorical(frame(1))]].iloc[:6].assign(sector=["1", "0.5", "7", "-1", "2", ""])
    live.to_csv(tmp_path / "live.csv", index=False)
    with Adapter(directory / "model.onnx", arm="shadow") as adapter:
        records = list(adapter.run_csv(tmp_path / "live.csv"))
    assert [record.prediction is None for record in records] == [False, True, True, True, False, False]


@pytest.mark.parametrize("code", [-1, -3, 3, 2**40])
def test_onnx_runtime_fails_on_a_number_of_no_category(code: int) -> None:
    model = of_text()
    take_codes(model, {"b": NAMES})
    onnx.checker.check_model(model, full_check=True)
    described = sidecar("a", "b")
    features = (described.features[0], Feature(name="b", dtype="int64", group="b"))
    session = OnnxModel(model.SerializeToString(), msgspec.structs.replace(described, features=features))
    assert session.predict(np.array([[1.0, 2.0]])).tolist() == [10.5]
    with pytest.raises(OnnxError, match="cannot score these rows"):
        session.predict(np.array([[1.0, float(code)]]))


REFUSED: list[Any] = [
    pytest.param(
        {"categories": {}},
        None,
        "the model takes text as 'b': one row is one row of numbers, so declare its categories in the order that "
        "numbers them, categories={'b': [...]}",
        id="not-declared",
    ),
    pytest.param(
        {},
        lambda panel: panel.assign(b="mine"),
        "the panel's 'b' holds 'mine', which is not among its categories, 'tech', 'bank', 'food'; "
        "declare it, or drop its rows",
        id="another-text",
    ),
    pytest.param(
        {},
        lambda panel: panel.assign(b=1),
        "the panel's 'b' holds 1, which is not among its categories, 'tech', 'bank', 'food'; "
        "declare it, or drop its rows",
        id="numbers-already",
    ),
    pytest.param(
        {},
        lambda panel: panel.assign(b=panel["b"].where(panel.index != 2)),
        "the panel's 'b' is missing in 1 rows; call what is missing a category of its own, or drop these rows",
        id="missing-text",
    ),
    pytest.param(
        {"nullable": ["b"]},
        None,
        "nullable names 'b', whose text is never missing for this model: call what is missing a category of its own",
        id="nullable",
    ),
    pytest.param(
        {"categories": {"b": NAMES, "c": NAMES}},
        None,
        "categories names 'c', not among the features; give feature names with their texts",
        id="of-another-feature",
    ),
    pytest.param(
        {"categories": {"b": ["tech", "tech"]}},
        None,
        "categories['b'] must be different texts, at least one, in the order of their codes",
        id="twice",
    ),
    pytest.param(
        {"categories": {"b": []}},
        None,
        "categories['b'] must be different texts, at least one, in the order of their codes",
        id="none",
    ),
    pytest.param(
        {"categories": {"b": [1, 2]}},
        None,
        "categories: Expected `str`, got `int`; give each feature that is text with its texts, such as "
        "{'sector': ['bank', 'tech']}",
        id="numbers",
    ),
]


@pytest.mark.parametrize(("options", "change", "message"), REFUSED)
def test_what_is_none_of_a_category_is_refused(
    tmp_path: Path, options: dict[str, Any], change: Callable[[pd.DataFrame], pd.DataFrame] | None, message: str
) -> None:
    panel = of_sectors() if change is None else change(of_sectors())
    with pytest.raises(PackError) as caught:
        pack_text(tmp_path, panel, **options)
    assert str(caught.value) == message


def test_text_of_an_old_opset_is_refused(tmp_path: Path) -> None:
    model = of_text(opset=9).SerializeToString()
    with pytest.raises(PackError, match=r"^the model takes text in an opset before 11; export it with a newer one\n"):
        pack_ready(tmp_path, of_sectors(), model, categories={"b": NAMES})


def test_text_that_nobody_declared_is_refused_with_the_line_that_declares_it(tmp_path: Path) -> None:
    message = (
        "the panel's 'b' holds text, such as 'tech'; "
        "give numbers, or declare its texts: categories={'b': ['bank', 'food', 'tech']}"
    )
    with pytest.raises(PackError) as caught:
        pack_ready(tmp_path, of_sectors())
    assert str(caught.value) == message


def test_categories_in_another_order_than_the_models_are_refused(tmp_path: Path) -> None:
    model = estimator("lightgbm", "LGBMRegressor").fit(categorical(frame(0)), frame(0)["target"])
    with pytest.raises(PackError, match=r"^the ONNX model differs from the estimator by .* times the spread"):
        _pack_lightgbm(model, tmp_path, categories={"sector": sorted(SECTORS)})


def test_a_missing_category_is_scored_as_lightgbm_does(tmp_path: Path) -> None:
    holed = frame(0)
    holed.loc[::5, "sector"] = None
    model = estimator("lightgbm", "LGBMRegressor").fit(categorical(holed), holed["target"])
    directory = _pack_lightgbm(model, tmp_path, categories={"sector": SECTORS}, nullable=["sector"])
    candidate = Candidate(directory)
    assert candidate.parity_claim.ok
    assert any(probe.values == {"sector": None} for probe in candidate.parity_claim.probes.rows)


def _pack_lightgbm(model: Any, artifacts: Path, **more: Any) -> Path:
    return pack(
        model,
        frame(1),
        features=dict.fromkeys(categorical(frame(1)), "all"),
        horizon=1,
        trained_until=date(2019, 12, 31),
        changes="Categories.",
        artifacts=artifacts,
        **more,
    )


def test_a_packing_list_declares_categories_of_a_csv_file(tmp_path: Path) -> None:
    onnx.save(of_text(), tmp_path / "model.onnx")
    of_sectors().to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "list.toml").write_text(
        'changes = "By hand."\nhorizon = 1\ntrained_until = 2019-12-31\n'
        '[groups]\nall = ["a", "b"]\n[categories]\nb = ["tech", "bank", "food"]\n'
    )
    directory = pack_from_files(
        tmp_path / "model.onnx", tmp_path / "panel.csv", tmp_path / "list.toml", artifacts=tmp_path / "artifacts"
    )
    assert (directory / "model.onnx").read_bytes() == (pack_text(tmp_path / "b") / "model.onnx").read_bytes()
    assert flaws(directory) == []


def test_the_sidecar_of_an_older_version_is_read(packed_once: Path) -> None:
    content = json.loads((packed_once / "sidecar.json").read_bytes())
    assert all("categories" not in feature for feature in content["features"])
    assert typed(parse_json(json.dumps(content).encode(), "sidecar.json"), Sidecar, "sidecar.json").categories == {}


def test_the_documents_say_how_live_rows_are_numbered(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    recipe = next(block for block in page.split("```python\n")[1:] if "sidecar.json" in block).partition("```")[0]
    live = of_sectors()[["time", "asset", "a", "b"]]
    names: dict[str, Any] = {"directory": pack_text(tmp_path), "rows": live.copy()}
    exec(recipe, names)
    assert names["rows"]["b"].tolist() == [NAMES.index(name) for name in live["b"]]


def test_a_pipeline_that_takes_text_which_was_not_declared_is_refused_with_what_to_declare(tmp_path: Path) -> None:
    compose, preprocessing = extra("sklearn.compose"), extra("sklearn.preprocessing")
    encoder = compose.ColumnTransformer([("text", preprocessing.OneHotEncoder(), ["sector"])])
    model = extra("sklearn.pipeline").make_pipeline(encoder, estimator("sklearn.linear_model", "Ridge"))
    model.fit(frame(0)[["sector"]], frame(0)["target"])
    with pytest.raises(PackError, match=r"if it takes text, declare that, categories=\{…\}; or convert it to ONNX"):
        pack(
            model,
            frame(1),
            features={"sector": "all"},
            horizon=1,
            trained_until=date(2019, 12, 31),
            changes="Text.",
            artifacts=tmp_path,
        )


def test_texts_in_another_order_than_that_of_the_fit_are_refused_with_that_cause(tmp_path: Path) -> None:
    model = estimator("lightgbm", "LGBMRegressor").fit(categorical(frame(0)), frame(0)["target"])
    with pytest.raises(PackError, match="declare texts in the order of the categories that it was fitted on, or "):
        _pack_lightgbm(model, tmp_path, categories={"sector": SECTORS[::-1]})
