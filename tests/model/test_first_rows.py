"""The first rows of a panel, kept in `parity.json`."""

import re

import numpy as np
import pytest

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model import first_rows as module
from pytest_modelgates.model.first_rows import ROWS, kept_rows, rows_kept
from pytest_modelgates.model.sidecar import FirstRows
from tests.model.test_session import sidecar


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float32", "float64"])
def test_rows_come_back_to_the_last_bit(dtype: str) -> None:
    features = (np.random.default_rng(5).normal(size=(300, 2)) * 1000).astype(dtype)
    native = np.random.default_rng(6).normal(size=300)
    schema = sidecar("a", "b", dtype=dtype)
    rows, scores = rows_kept(kept_rows(features, native, schema), schema)
    assert (rows.dtype, rows.tobytes()) == (features.dtype, features[:ROWS].tobytes())
    assert scores.tobytes() == native[:ROWS].tobytes()


def test_nan_is_nan_whatever_its_bits() -> None:
    schema = sidecar("a", "b")
    odd = np.array([[0x7FC00001, 0xFFC00000]], dtype=np.uint32).view(np.float32)
    plain = np.full((1, 2), np.nan, dtype=np.float32)
    assert kept_rows(odd, np.zeros(1), schema) == kept_rows(plain, np.zeros(1), schema)


def test_rows_of_very_many_features_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 20)
    schema = sidecar("a", "b")
    rows, scores = rows_kept(kept_rows(np.ones((9, 2), dtype=np.float32), np.zeros(9), schema), schema)
    assert (rows.shape, scores.shape) == ((2, 2), (2,))


@pytest.mark.parametrize(("rows", "native"), [(b"1234567", b"12345678"), (b"12345678", b""), (b"12345678", b"123")])
def test_rows_that_are_cut_short_or_not_as_many_as_the_scores_are_refused(rows: bytes, native: bytes) -> None:
    message = (
        f"parity.json: first has {len(rows)} bytes of rows and {len(native)} of native scores, expected 8 and 8 for "
        "each row; pack the model again"
    )
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        rows_kept(FirstRows(rows=rows, native=native), sidecar("a", "b"))
