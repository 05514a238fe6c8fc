"""The matrix that a frame of features becomes, and which of its cells cannot be scored."""

import re

import msgspec
import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.features import bad_cells, feature_matrix
from pytest_modelgates.model.sidecar import Feature
from tests.support.onnx_models import sidecar

DTYPES = [
    pytest.param(("bool", "float32"), "float32", id="truth-values-beside-numbers"),
    pytest.param(("float32", "float64"), "float64", id="two-widths"),
    pytest.param(("int32", "float32"), "float64", id="whole-beside-broken"),
    pytest.param(("bool", "bool"), "bool", id="truth-values-alone"),
]


@pytest.mark.parametrize(("dtypes", "common"), DTYPES)
def test_features_come_in_the_sidecars_order_and_one_dtype(dtypes: tuple[str, str], common: str) -> None:
    frame = pd.DataFrame({"b": [0, 1], "c": ["x", "y"], "a": [1, 0]}).astype(dict(zip("ab", dtypes, strict=True)))
    features = tuple(Feature(name=name, dtype=dtype, group="g") for name, dtype in zip("ab", dtypes, strict=True))
    described = msgspec.structs.replace(sidecar("a", "b"), features=features)
    rows = feature_matrix(frame, described, source="rows")
    assert rows.dtype == common
    assert rows.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("column", [["1"], [None], pd.array([1], dtype="Int64"), pd.array([1.0], dtype="Float32")])
def test_a_column_without_numbers_is_refused_by_name(column: object) -> None:
    frame = pd.DataFrame({"a": column})
    message = f"rows: a is {frame['a'].dtype}, expected numbers; cast the column first"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        feature_matrix(frame, sidecar("a"), source="rows")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_is_bad_where_it_may_not_be_and_infinity_everywhere(dtype: str) -> None:
    rows = np.array([[np.nan, np.nan], [np.inf, -np.inf], [0, 1]], dtype=dtype)
    assert bad_cells(rows, nullable=[True, False]).tolist() == [[False, True], [True, True], [False, False]]
    assert bad_cells(rows[:, 0], nullable=True).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64"])
def test_whole_numbers_and_truth_values_are_never_bad(dtype: str) -> None:
    assert not bad_cells(np.ones((2, 2), dtype=dtype), nullable=False).any()


def test_a_column_that_comes_twice_is_refused_by_name() -> None:
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "a", "b"])
    with pytest.raises(FormatError, match=r"^rows: has 2 columns 'a'; keep one$"):
        feature_matrix(frame, sidecar("a", "b"), source="rows")
