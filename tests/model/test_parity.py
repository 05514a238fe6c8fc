"""How far ONNX Runtime is from the native scores; scores that cannot be compared never pass."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from pytest_modelgates.errors import OnnxError, StatisticsError
from pytest_modelgates.model.parity import BATCH_SIZES, Parity, measure_parity
from pytest_modelgates.model.session import OnnxModel
from tests.support.onnx_models import linear, sidecar

ROWS = np.random.default_rng(0).integers(-9, 9, (70, 2)).astype(np.float32)
SCORES = (ROWS @ np.array([10, 1])).astype(np.float64)


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    """The score is ten times the first feature plus the second."""
    return OnnxModel(linear([10, 1]).SerializeToString(), sidecar("a", "b"))


def test_the_same_scores_differ_by_nothing(model: OnnxModel) -> None:
    parity = measure_parity(model, ROWS, SCORES)
    assert parity == Parity(max_abs_diff=0.0, scale=float(np.abs(SCORES).max()), rows=70)
    assert parity.scaled == 0


@given(row=st.integers(0, 69), shift=st.floats(-100, 100))
def test_one_row_among_all_sets_the_difference(model: OnnxModel, row: int, shift: float) -> None:
    reference = SCORES.copy()
    reference[row] += shift
    parity = measure_parity(model, ROWS, reference)
    assert parity.max_abs_diff == abs(SCORES[row] - reference[row])
    assert parity.scaled == parity.max_abs_diff / max(1, np.abs(reference).max())


def test_small_scores_are_compared_as_they_are() -> None:
    model = OnnxModel(linear([0.001, 0]).SerializeToString(), sidecar("a", "b"))
    parity = measure_parity(model, np.ones((3, 2), np.float32), np.full(3, 0.501))
    assert parity.scale == 1
    assert parity.scaled == pytest.approx(0.5)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["native", "onnx", "both"])
def test_a_score_that_is_not_finite_never_passes(model: OnnxModel, odd: float, side: str) -> None:
    rows, reference = ROWS.copy(), SCORES.copy()
    if side != "native":
        rows[3, 1] = odd
    if side != "onnx":
        reference[3] = odd
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parity = measure_parity(model, rows, reference)
    assert not parity.scaled <= 1e-5
    assert not np.isfinite(parity.max_abs_diff)


def moody(op: str) -> OnnxModel:
    """Build the model above plus 0 × `op`(64 - rows in the batch)."""
    model = linear([10, 1])
    model.graph.node[-1].output[0] = "linear"
    for name, value in (
        ("first", np.array(0)),
        ("most", np.array(64.0, np.float32)),
        ("zero", np.array(0, np.float32)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    steps = [("Shape", ["features"]), ("Gather", ["Shape", "first"]), ("Cast", ["Gather"]), ("Sub", ["most", "Cast"])]
    steps += [(op, ["Sub"]), ("Mul", [op, "zero"])]
    for name, inputs in steps:
        model.graph.node.append(helper.make_node(name, inputs, [name], **({"to": 1} if name == "Cast" else {})))
    model.graph.node.append(helper.make_node("Add", ["linear", "Mul"], ["score"]))
    return OnnxModel(model.SerializeToString(), sidecar("a", "b"))


def test_a_score_that_is_nan_at_one_batch_size_only_never_passes() -> None:
    # Only at the largest size are 70 rows one batch, whose root would be that of a negative number.
    assert measure_parity(moody("Neg"), ROWS, SCORES).scaled == 0
    assert measure_parity(moody("Sqrt"), ROWS[:64], SCORES[:64]).scaled == 0
    assert np.isnan(measure_parity(moody("Sqrt"), ROWS, SCORES).scaled)


def test_a_model_of_one_batch_size_is_refused() -> None:
    model = OnnxModel(linear([10, 1], rows=32).SerializeToString(), sidecar("a", "b"))
    with pytest.raises(OnnxError, match="ONNX Runtime cannot score these rows"):
        measure_parity(model, ROWS[:64], SCORES[:64])


def test_one_row_is_enough_and_none_is_not(model: OnnxModel) -> None:
    assert measure_parity(model, ROWS[:1], SCORES[:1]).rows == 1
    message = "^no rows to compare ONNX Runtime with the native model on; pack a panel that has some$"
    with pytest.raises(StatisticsError, match=message):
        measure_parity(model, ROWS[:0], SCORES[:0])


def test_batch_sizes_are_those_that_gates_and_claims_speak_of() -> None:
    assert BATCH_SIZES == (1, 32, 1024)
