"""Scoring rows with ONNX Runtime: what goes in, what comes out, what is refused."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pytest_modelgates.errors import OnnxError
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import Sidecar
from tests.support.onnx_models import finished, linear, one_node, sidecar, write_with_data_outside

ROWS = np.array([[1, 2], [3, 4], [0, -1], [5, 0], [7, 7]])
SCORES = ROWS @ [10.0, 1.0]


def loaded(model: onnx.ModelProto, described: Sidecar | None = None) -> OnnxModel:
    """Load a model of two features."""
    return OnnxModel(model.SerializeToString(), described or sidecar("a", "b"))


def ratio(*, columns: int) -> onnx.ModelProto:
    """Build two outputs: `other`, and `score` of some columns."""
    nodes = [
        helper.make_node("Concat", ["features"] * columns, ["wide"], axis=1),
        helper.make_node("Identity", ["wide"], ["score"]),
        helper.make_node("Neg", ["features"], ["other"]),
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in ("score", "other")]
    return finished(helper.make_graph(nodes, "by hand", inputs, outputs))


@pytest.mark.parametrize("batch_size", [None, 1, 2, 5, 1024])
@pytest.mark.parametrize("columns", [(), ("a", "b"), ("b", "a")], ids=["matrix", "columns", "columns-in-other-order"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_scores_do_not_depend_on_batches_nor_on_the_form_of_the_inputs(
    dtype: str, columns: tuple[str, ...], batch_size: int | None
) -> None:
    weights = [1, 10] if columns == ("b", "a") else [10, 1]
    model = loaded(linear(weights, dtype=dtype, columns=columns), sidecar("a", "b", dtype=dtype))
    assert model.input_problems() == []
    scores = model.predict(ROWS.astype(dtype), batch_size=batch_size)
    assert scores.dtype == np.float64
    assert scores.tolist() == SCORES.tolist()


@pytest.mark.parametrize("columns", [(), ("a",)], ids=["matrix", "column"])
def test_one_feature_is_a_matrix_or_a_column(columns: tuple[str, ...]) -> None:
    model = loaded(linear([10], columns=columns), sidecar("a"))
    assert model.input_problems() == []
    assert model.predict(np.array([[1.0], [2.0]], dtype=np.float32)).tolist() == [10, 20]


def test_truth_values_are_scored_as_such() -> None:
    model = loaded(linear([10, 1], dtype="bool", columns=["a", "b"]), sidecar("a", "b", dtype="bool"))
    assert model.input_problems() == []
    assert model.predict(np.array([[True, False], [True, True]])).tolist() == [10, 11]


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(0, []), (1, [1]), (256, [256]), (700, [256, 256, 160, 28]), (1024, [1024]), (2100, [1024, 1024, 32, 20])],
)
def test_rows_are_given_to_onnx_runtime_in_numbers_that_parity_is_measured_with(
    rows: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, given = OnnxModel(linear([10, 1]).SerializeToString(), sidecar("a", "b")), list[int]()
    monkeypatch.setattr(model, "_batch", lambda batch: given.append(len(batch)) or batch[:, 0].astype(float))
    features = np.arange(2.0 * rows).reshape(rows, 2)
    assert model.predict(features).tolist() == features[:, 0].tolist()
    assert given == sizes


def test_no_rows_give_no_scores() -> None:
    assert loaded(linear([1, 2])).predict(np.empty((0, 2), np.float32)).shape == (0,)


def test_rows_of_any_memory_layout_give_the_same_scores() -> None:
    model, rows = loaded(linear([10, 1])), ROWS.astype(np.float32)
    for layout in (np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2], rows.astype(object)):
        assert model.predict(layout).tolist() == SCORES.tolist()


@pytest.mark.parametrize(("output", "index", "expected"), [("score", 3, 2.0), ("other", 0, -1.0)])
def test_the_sidecar_chooses_output_and_column(output: str, index: int, expected: float) -> None:
    model = loaded(ratio(columns=2), sidecar("a", "b", output=output, index=index))
    assert model.predict(ROWS[:1].astype(np.float32)).tolist() == [expected]


def test_an_output_without_columns_is_the_score() -> None:
    model = one_node("ReduceSum", shape=(None,), keepdims=0)
    model.graph.node[0].input.append("axes")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    assert loaded(model).predict(ROWS.astype(np.float32)).tolist() == ROWS.sum(axis=1).tolist()


def zipmap() -> onnx.ModelProto:
    """Build an output of dictionaries, as converters of classifiers make it."""
    node = helper.make_node("ZipMap", ["features"], ["score"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    outputs = [helper.make_value_info("score", kind)]
    return finished(helper.make_graph([node], "by hand", inputs, outputs), domains=["ai.onnx.ml"])


def words() -> onnx.ModelProto:
    """Build an output of text, as labels are."""
    node = helper.make_node(
        "LabelEncoder",
        ["features"],
        ["score"],
        domain="ai.onnx.ml",
        keys_floats=[1.0],
        values_strings=["up"],
        default_string="down",
    )
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.STRING, [None, 2])]
    model = finished(helper.make_graph([node], "by hand", inputs, outputs), domains=["ai.onnx.ml"])
    model.opset_import[1].version = 2
    return model


NO_NUMBERS = "model.onnx: output 'score' holds no numbers; choose another, or convert the model without ZipMap"
BAD_OUTPUTS = [
    pytest.param(zipmap(), 0, NO_NUMBERS, id="dictionaries"),
    pytest.param(words(), 0, NO_NUMBERS, id="words"),
    pytest.param(
        linear([1, 2]),
        1,
        "model.onnx: output 'score' has shape (5, 1) for 5 rows, "
        "expected one row each with a column 1; choose another output or column",
        id="column-that-is-not-there",
    ),
    pytest.param(
        one_node("ReduceSum", shape=(1, 1)),
        0,
        "model.onnx: output 'score' has shape (1, 1) for 5 rows, "
        "expected one row each with a column 0; choose another output or column",
        id="one-score-for-all-rows",
    ),
    pytest.param(
        one_node("Unsqueeze", shape=(None, 2, 1)),
        0,
        "model.onnx: output 'score' has shape (5, 2, 1) for 5 rows, "
        "expected one row each with a column 0; choose another output or column",
        id="three-dimensions",
    ),
]


@pytest.mark.parametrize(("model", "index", "message"), BAD_OUTPUTS)
def test_an_output_that_is_not_one_score_a_row_is_refused(model: onnx.ModelProto, index: int, message: str) -> None:
    if model.graph.node[0].op_type == "Unsqueeze":
        model.graph.node[0].input.append("axes")
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2]), "axes"))
    ready = loaded(model, sidecar("a", "b", index=index))
    with pytest.raises(OnnxError, match=f"^{re.escape(message)}$"):
        ready.predict(ROWS.astype(np.float32))


def test_an_output_that_is_not_there_is_refused() -> None:
    message = "model.onnx: has no output 'chance', only score; choose one of them"
    with pytest.raises(OnnxError, match=f"^{re.escape(message)}$"):
        loaded(linear([1, 2]), sidecar("a", "b", output="chance"))


def test_data_outside_the_file_are_refused_even_where_they_could_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_with_data_outside(linear([1, 2]), tmp_path).read_bytes()
    monkeypatch.chdir(tmp_path)
    message = "model.onnx: tensor 'weights' lies outside the file (external data); pack it again, "
    message += "which moves such tensors inside"
    with pytest.raises(OnnxError, match=f"^{re.escape(message)}$"):
        OnnxModel(content, sidecar("a", "b"))


def test_a_feature_may_be_called_as_the_key_of_data_outside_the_file() -> None:
    model = linear([1, 2], columns=("location", "b"))
    ready = OnnxModel(model.SerializeToString(), sidecar("location", "b"))
    np.testing.assert_allclose(ready.predict(ROWS.astype(np.float32)), ROWS @ [1.0, 2.0])


def test_a_model_in_the_format_of_onnx_runtime_is_refused(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(linear([1, 2]).SerializeToString(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    assert content[4:8] == b"ORTM"
    with pytest.raises(OnnxError, match=r"^model\.onnx: not an ONNX file"):
        OnnxModel(content, sidecar("a", "b"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an ONNX file",
        one_node("NoSuchOperator").SerializeToString(),
        one_node("NoSuchOperator").SerializeToString().replace(b"NoSuchOp", b"NoSuch\xe9p"),
    ],
    ids=["empty", "text", "unknown-operator", "its-name-is-not-utf-8"],
)
def test_what_cannot_be_loaded_is_refused_in_a_line(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OnnxError, match=r"^model\.onnx: (not an ONNX file|ONNX Runtime cannot load it) \(.+\)$"):
        OnnxModel(content, sidecar("a", "b"))
    assert capfd.readouterr() == ("", "")  # where a command's JSON would be broken by it


@pytest.mark.parametrize(
    "rows",
    [np.ones((3, 5), np.float32), np.array([["a", "b"]], dtype=object)],
    ids=["too-many-columns", "text"],
)
def test_rows_that_cannot_be_scored_are_refused_in_a_line(rows: np.ndarray) -> None:
    with pytest.raises(OnnxError, match=r"^model\.onnx: ONNX Runtime cannot score these rows \(.+\)$"):
        loaded(linear([1, 2])).predict(rows)


INPUTS = [
    pytest.param(linear([1, 2, 3]), "float32", ["input 'features' has shape [None, 3] for 2 features"], id="width"),
    pytest.param(linear([1, 2], rows="n", width="k"), "float32", [], id="named-dimensions"),
    pytest.param(
        linear([1, 2], rows=1),
        "float32",
        ["input 'features' takes 1 rows at a time, expected any number"],
        id="one-row",
    ),
    pytest.param(linear([1, 2]), "float64", ["input 'features' takes float32, its features are float64"], id="dtype"),
    pytest.param(
        linear([1, 2], columns=["a", "x"]),
        "float32",
        ["input 'x' is not a feature", "feature 'b' is not an input of the model"],
        id="other-feature",
    ),
    pytest.param(
        linear([1, 2], columns=["a", "b"], dtype="int64"),
        "float32",
        ["input 'a' takes int64, the feature is float32", "input 'b' takes int64, the feature is float32"],
        id="dtype-of-columns",
    ),
    pytest.param(
        linear([1, 2, 3], columns=["a", "b", "c"]),
        "float32",
        ["input 'c' is not a feature"],
        id="more-inputs",
    ),
]


@pytest.mark.parametrize(("model", "dtype", "problems"), INPUTS)
def test_inputs_are_held_against_the_sidecar(model: onnx.ModelProto, dtype: str, problems: list[str]) -> None:
    assert loaded(model, sidecar("a", "b", dtype=dtype)).input_problems() == problems


def test_an_input_that_is_no_column_is_a_problem() -> None:
    model = linear([1, 2], columns=["a", "b"])
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 3
    model.graph.node[2].CopyFrom(helper.make_node("Identity", ["a/float"], ["rows"]))
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((1, 1), np.float32), "weights"))
    assert loaded(model).input_problems() == ["input 'b' has shape [None, 3], expected a column"]


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_batches_are_timed_at_their_full_size(rows: int) -> None:
    model = loaded(linear([1, 2]))
    times = model.time_batches(np.ones((rows, 2), np.float32), size=32, rounds=20)
    assert (times.rows, times.rounds) == (32, 20)
    assert 0 < times.p50_ms <= times.p95_ms <= times.p99_ms


def test_a_slow_model_is_timed_in_as_many_rounds_as_begin_in_time() -> None:
    rows, model = np.ones((40, 2), np.float32), loaded(linear([1, 2]))
    assert model.time_batches(rows, size=32, seconds=0).rounds == 1
    assert 1 < model.time_batches(rows, size=32, rounds=10**6, seconds=0.02).rounds < 10**6


def test_a_panel_of_one_row_fills_a_batch() -> None:
    with pytest.raises(OnnxError, match="Got invalid dimensions"):
        loaded(linear([1, 2], rows=32)).predict(np.ones((1, 2), np.float32))
    assert loaded(linear([1, 2], rows=32)).time_batches(np.ones((1, 2), np.float32), size=32, rounds=1).rows == 32
