"""The scoring core: a score or an error for each row, whatever the others are."""

import hashlib
import struct
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.errors import OnnxError
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.serving.scorer import Scorer, named_rows
from tests.serving.test_sources import sidecar
from tests.support.onnx_models import linear

TWO = sidecar(("a", "float32", False), ("b", "float32", True))
NAN, INF = float("nan"), float("inf")


def scorer(described: Sidecar = TWO, model: onnx.ModelProto | None = None) -> Scorer:
    return Scorer(OnnxModel((model or linear([10, 1])).SerializeToString(), described), described)


def matrix(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 2)


def test_every_row_has_a_score_or_an_error() -> None:
    found = scorer().score(matrix((1, 2), (NAN, 1), (3, INF), (-INF, NAN), (4, 5)))
    np.testing.assert_array_equal(found.scores, [12, NAN, NAN, NAN, 45])
    assert found.errors == {1: "schema: a is nan", 2: "schema: b is inf", 3: "schema: a is -inf"}


def test_no_rows_have_no_scores() -> None:
    found = scorer().score(matrix())
    assert (found.scores.shape, found.errors) == ((0,), {})


def test_a_score_that_is_not_finite_is_none() -> None:
    found = scorer().score(matrix((3e38, 0), (1, 2), (0, NAN), (-3e38, 1)))
    np.testing.assert_array_equal(found.scores, [NAN, 12, NAN, NAN])
    assert found.errors == {
        0: "model: the score is inf",
        2: "model: the score is nan",
        3: "model: the score is -inf",
    }


@settings(deadline=None)
@given(values=st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=20))
def test_rows_do_not_depend_on_each_other(values: list[tuple[float, float]]) -> None:
    core, rows = scorer(), matrix(*values)
    together, alone = core.score(rows), [core.score(row[None]) for row in rows]
    np.testing.assert_array_equal(together.scores, [one.scores[0] for one in alone])
    assert together.errors == {row: one.errors[0] for row, one in enumerate(alone) if one.errors}


def test_if_the_model_fails_each_row_says_so() -> None:
    narrow = sidecar(("a", "float32", False), ("b", "float32", False))
    core = scorer(narrow, linear([10, 1, 1]))
    found = core.score(matrix((1, 2), (NAN, 1)))
    assert np.isnan(found.scores).all()
    assert found.errors[0].startswith("model.onnx: ONNX Runtime cannot score these rows (")
    assert found.errors[1] == "schema: a is nan"
    assert core.score(matrix((1, 2))).errors[0] == found.errors[0]


def test_a_row_that_makes_the_model_fail_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    core = scorer(sidecar(("a", "float32", False), ("b", "float32", False)))
    predict = core._model.predict

    def picky(rows: np.ndarray) -> np.ndarray:
        if (rows[:, 0] > 9).any():
            raise OnnxError("an index out of range")
        return predict(rows)

    alone = core.score(matrix((1, 2), (3, 4))).scores
    monkeypatch.setattr(core._model, "predict", picky)
    found = core.score(matrix((NAN, 1), (1, 2), (10, 0), (3, 4)))
    assert found.errors == {0: "schema: a is nan", 2: "an index out of range"}
    assert np.array_equal(found.scores, [NAN, alone[0], NAN, alone[1]], equal_nan=True)


def test_rows_are_named_by_time_and_asset_as_they_are_written() -> None:
    names = {"time": ["2026-01-01", "2026-01-01T23:00-05:00"], "asset": ["A", "007"]}
    rows = named_rows(names, matrix((1, 2), (3, 4)), TWO)
    assert rows.keys == ["2026-01-01|A", "2026-01-01T23:00-05:00|007"]
    assert rows.times == [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "yesterday", ""])
def test_a_time_that_cannot_be_told_names_the_row_all_the_same(text: str) -> None:
    rows = named_rows({"time": [text], "asset": ["A"]}, matrix((1, 2)), TWO)
    assert (rows.keys, rows.times) == ([f"{text}|A"], [None])


def nameless(asset: str | None = None) -> Sidecar:
    return Sidecar(
        features=TWO.features,
        schema_crc32=TWO.schema_crc32,
        output=TWO.output,
        task="regression",
        metric="r2",
        asset=asset,
        target="target",
        tried=None,
    )


def test_rows_without_a_name_go_by_what_they_hold() -> None:
    """One key for every zero, and one for every NaN: dividing 0 by 0 gives one with a sign."""
    keys = named_rows({}, matrix((0, NAN), (-0.0, -NAN), (0, 0), (0.1, 2)), nameless()).keys
    held = [struct.pack("<ff", *pair) for pair in ((0, NAN), (0, NAN), (0, 0), (0.1, 2))]
    assert keys == [f"content:{hashlib.blake2b(row, digest_size=8).hexdigest()}" for row in held]


def test_a_name_without_a_time_does_not_tell_one_day_from_the_next() -> None:
    names = {"customer": ["C1", "C1", "C2"]}
    first, again, other = named_rows(names, matrix((0, 0), (1, 0), (0, 0)), nameless("customer")).keys
    assert first.startswith("C1|content:")
    assert again.startswith("C1|content:")
    assert first != again
    assert other == first.replace("C1", "C2")


def test_integers_and_truth_values_are_rows_too() -> None:
    whole = named_rows({}, np.array([[0, 1], [2, 3]], dtype=np.int64), nameless()).keys
    assert len({*whole}) == 2


def test_a_whole_number_that_floats_beside_it_would_round_is_refused() -> None:
    mixed = sidecar(("a", "float32", False), ("b", "int64", False))
    core = Scorer(OnnxModel(linear([10, 1], dtypes={"a": "float32", "b": "int64"}).SerializeToString(), mixed), mixed)
    found = core.score(np.array([[1, 2**53 - 1], [1, 2**53 + 1], [1, -(2**53)]], dtype=np.float64))
    assert found.errors == {
        1: "schema: b is 9007199254740992.0, too large to stay exact beside floats",
        2: "schema: b is -9007199254740992.0, too large to stay exact beside floats",
    }
