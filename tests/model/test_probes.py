"""Rows beside the panel: kept as they are, and missed where NaN is admitted and nobody asked about it."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.probes import as_probes, probe_rows, uncompared_nan
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import Probe, Probes
from pytest_modelgates.storage.strict_json import parse_json, readable, typed
from tests.support.onnx_models import linear, sidecar

BASES = np.array([[0.1, np.nan], [1e-40, -0.0], [3.4e38, 1_700_000_001]])
ROWS = [(0, {"b": 5.0}, 0.25), (1, {"a": np.nan, "b": np.nan}, -1e-9), (2, {"a": -0.0}, 7.0)]


def test_probes_survive_being_written_bit_by_bit() -> None:
    kept = typed(parse_json(readable(as_probes(BASES, ROWS)), "parity.json"), Probes, "parity.json")
    rows, native = probe_rows(kept, ["a", "b"])
    wanted = np.array([[0.1, 5], [np.nan, np.nan], [-0.0, 1_700_000_001]])
    assert np.array_equal(rows, wanted, equal_nan=True)
    assert np.signbit(rows[2, 0])
    assert native.tolist() == [0.25, -1e-9, 7.0]


def test_a_model_of_version_0_1_has_none() -> None:
    rows, native = probe_rows(Probes(), ["a", "b"])
    assert (rows.shape, native.shape) == ((0, 2), (0,))


ODD = [
    pytest.param(Probe(base=1, values={}, native=0), id="no-such-base"),
    pytest.param(Probe(base=0, values={"c": 1}, native=0), id="no-such-feature"),
]


@pytest.mark.parametrize("odd", ODD)
def test_a_probe_of_other_features_is_refused(odd: Probe) -> None:
    message = r"^parity\.json: a probe is not a row of this model's features \(.*\); pack again$"
    with pytest.raises(FormatError, match=message):
        probe_rows(Probes(bases=((1.0, 2.0),), rows=(odd,)), ["a", "b"])
    with pytest.raises(FormatError, match=message):
        probe_rows(Probes(bases=((1.0,),), rows=(Probe(base=0, values={}, native=0),)), ["a", "b", "c"])


def forgiving() -> OnnxModel:
    """Build a model that takes a missing `a` for 0, and has no score without `b`."""
    model = linear([0, 1])
    model.graph.node[0].input[0] = "filled"
    first = numpy_helper.from_array(np.array([True, False]), "first")
    model.graph.initializer.extend([first, numpy_helper.from_array(np.zeros(1, np.float32), "nought")])
    for node in (
        helper.make_node("Where", ["fills", "nought", "features"], ["filled"]),
        helper.make_node("And", ["missing", "first"], ["fills"]),
        helper.make_node("IsNaN", ["features"], ["missing"]),
    ):
        model.graph.node.insert(0, node)
    return OnnxModel(model.SerializeToString(), sidecar("a", "b", nullable=True))


def test_nan_that_is_admitted_and_scored_must_be_in_a_row_whose_native_score_is_known() -> None:
    rows = np.ones((40, 2), np.float32)
    holed = rows.copy()
    holed[3, 0] = np.nan
    assert uncompared_nan(forgiving(), sidecar("a", "b", nullable=True), [rows], rows=40) == ["a"]
    assert uncompared_nan(forgiving(), sidecar("a", "b", nullable=True), [holed], rows=40) == []
    assert uncompared_nan(forgiving(), sidecar("a", "b"), [rows], rows=40) == []


def test_a_model_of_whole_numbers_makes_some_number_of_nan() -> None:
    model = OnnxModel(
        linear([1, 1], dtype="int64").SerializeToString(), sidecar("a", "b", dtype="int64", nullable=True)
    )
    rows = np.ones((3, 2), np.int64)
    assert uncompared_nan(model, sidecar("a", "b", dtype="int64", nullable=True), [rows], rows=3) == ["a", "b"]
