"""How far ONNX Runtime is from the native scores; scores that cannot be compared never pass."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from pytest_modelgates.errors import OnnxError, StatisticsError
from pytest_modelgates.model.blocks import SIZES
from pytest_modelgates.model.parity import BATCH_SIZES, Comparison, Parity, _batches
from pytest_modelgates.model.session import OnnxModel
from tests.support.onnx_models import linear, sidecar

ROWS = np.random.default_rng(0).integers(-9, 9, (70, 2)).astype(np.float32)
SCORES = (ROWS @ np.array([10, 1])).astype(np.float64)


def measure(model: OnnxModel, rows: np.ndarray, reference: np.ndarray, *more: Any, **named: Any) -> Parity:
    return Comparison.of(rows, reference, *more, **named).measure(model)


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    """The score is ten times the first feature plus the second."""
    return OnnxModel(linear([10, 1]).SerializeToString(), sidecar("a", "b"))


def test_the_same_scores_differ_by_nothing(model: OnnxModel) -> None:
    parity = measure(model, ROWS, SCORES)
    assert parity == Parity(max_abs_diff=0.0, scaled=0.0, scale=pytest.approx(SCORES.std()), rows=70)


@given(row=st.integers(0, 69), shift=st.floats(-100, 100))
def test_one_row_among_all_sets_the_difference(model: OnnxModel, row: int, shift: float) -> None:
    reference = SCORES.copy()
    reference[row] += shift
    parity = measure(model, ROWS, reference)
    assert parity.max_abs_diff == abs(SCORES[row] - reference[row])
    reach = max(reference.std(), abs(reference[row] - np.median(reference)))
    assert parity.scaled == pytest.approx(parity.max_abs_diff / reach)
    assert (parity.scaled_half, parity.scaled_p99) == (0.0, parity.scaled)


def test_half_of_the_rows_may_be_nearer_than_the_farthest(model: OnnxModel) -> None:
    few, most = (measure(model, ROWS, SCORES + np.where(np.arange(70) < count, 1e-3, 0.0)) for count in (30, 40))
    assert few.scaled_half == 0.0 < few.scaled_p99 <= few.scaled
    assert 0.0 < most.scaled_half <= most.scaled_p99


SCALES = [pytest.param(scale, id=f"{scale:g}") for scale in (1e-30, 5e-6, 5e-3, 1.0, 1e6)]


@pytest.mark.parametrize("scale", SCALES)
def test_a_difference_counts_alike_at_every_scale_and_beside_every_offset(model: OnnxModel, scale: float) -> None:
    scaled = OnnxModel(linear([10 * scale, scale]).SerializeToString(), sidecar("a", "b"))
    assert measure(scaled, ROWS, SCORES * scale).scaled < 1e-6
    assert measure(scaled, ROWS, -SCORES * scale).scaled > 1, "the exact opposite"
    assert measure(scaled, ROWS, SCORES * scale * 1.001).scaled == pytest.approx(1e-3, rel=0.2)
    assert measure(model, ROWS, SCORES - 1e6).scaled > 1e4, "an offset is a difference, not a scale"


def test_a_few_wild_days_do_not_hide_a_difference_on_the_others(model: OnnxModel) -> None:
    days = np.repeat(np.arange(7), 10)
    wild = np.where(days < 2, 1e6, 1.0)[:, None].astype(np.float32) * ROWS
    reference = wild.astype(np.float64) @ [10.0, 1.0]
    reference[-1] += 0.01
    assert measure(model, wild, reference).scaled < 1e-5 < measure(model, wild, reference, days).scaled


def test_probes_are_compared_as_rows_are_and_do_not_move_the_scale(model: OnnxModel) -> None:
    probes = np.array([[1e4, 0], [0, 0]]), np.array([1e5 * (1 + 1e-4), 0.0])
    plain, probed = measure(model, ROWS, SCORES), measure(model, ROWS, SCORES, probes=probes)
    assert (probed.rows, probed.probes, probed.scale) == (70, 2, plain.scale)
    assert probed.scaled == pytest.approx(1e-4, rel=0.01), "a score far out is measured by how far out it is"


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
        parity = measure(model, rows, reference)
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


@pytest.mark.parametrize("rows", [1, 63, 70])
def test_a_score_that_is_nan_at_one_batch_size_only_never_passes(rows: int) -> None:
    # 1 / (64 - rows) is infinite in batches of 64 alone; in larger ones the root is that of a negative number.
    assert measure(moody("Neg"), ROWS[:rows], SCORES[:rows]).scaled == 0
    assert np.isnan(measure(moody("Reciprocal"), ROWS[:rows], SCORES[:rows]).scaled)
    assert np.isnan(measure(moody("Sqrt"), ROWS[:rows], SCORES[:rows]).scaled)


@pytest.mark.parametrize("rows", [1, 70, 9_000])
def test_each_size_that_is_served_is_measured_however_few_the_rows(rows: int) -> None:
    batches = [*_batches(rows)]
    assert tuple(map(len, batches)) == SIZES
    assert np.array_equal(np.concatenate(batches), np.arange(sum(SIZES)) % rows)


def test_a_model_of_one_batch_size_is_refused() -> None:
    model = OnnxModel(linear([10, 1], rows=32).SerializeToString(), sidecar("a", "b"))
    with pytest.raises(OnnxError, match="ONNX Runtime cannot score these rows"):
        measure(model, ROWS[:64], SCORES[:64])


def test_one_row_is_enough_and_none_is_not(model: OnnxModel) -> None:
    assert measure(model, ROWS[:1], SCORES[:1]).rows == 1
    message = "^no rows to compare ONNX Runtime with the native model on; pack a panel that has some$"
    with pytest.raises(StatisticsError, match=message):
        measure(model, ROWS[:0], SCORES[:0])


def test_batch_sizes_are_those_that_gates_and_claims_speak_of() -> None:
    assert BATCH_SIZES == (1, 32, 1024)


def test_rows_whose_score_depends_on_the_batch_are_counted() -> None:
    rows = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]], dtype=np.float32)
    together = linear([10, 1])
    together.graph.node[-1].output[0] = "alone"
    together.graph.node.append(helper.make_node("ReduceMean", ["alone"], ["mean"]))
    together.graph.node.append(helper.make_node("Sub", ["alone", "mean"], [together.graph.output[0].name]))
    model = OnnxModel(together.SerializeToString(), sidecar("a", "b"))
    # Alone, each is its own mean; of all three 20 is, and so the third row's score differs in a batch of two alone.
    assert measure(model, rows, np.zeros(3)).by_batch == 3
