"""Packing asks the native model about rows that no panel need have."""

from collections.abc import Callable

import numpy as np
import pytest

from pytest_modelgates.errors import OnnxError, PackError
from pytest_modelgates.model.probes import probe_rows
from pytest_modelgates.packing.probing import DENORMAL, KEPT_NAN, probe

RANDOM = np.random.default_rng(0)
GIVEN = np.column_stack([RANDOM.uniform(-2, 3, 50), RANDOM.integers(5, 9, 50)])
NAMES = ["x", "count"]


def add(rows: np.ndarray) -> np.ndarray:
    return np.nansum(rows, axis=1)


def asked(
    native: Callable[[np.ndarray], np.ndarray] = add,
    onnx: Callable[[np.ndarray], np.ndarray] = add,
    *,
    nullable: tuple[bool, bool] = (False, False),
    given: np.ndarray = GIVEN,
) -> tuple[list[dict[str, float | None]], np.ndarray, np.ndarray]:
    kept = probe(given, add(given), native, onnx, nullable=nullable, names=NAMES)
    return [row.values for row in kept.rows], *probe_rows(kept, NAMES)


def test_each_feature_is_tried_at_the_panels_edges_and_at_and_next_to_nought() -> None:
    changes, rows, native = asked()
    low, high = GIVEN.min(axis=0).tolist(), GIVEN.max(axis=0).tolist()
    assert changes == [
        *({"x": value} for value in (low[0], high[0], 0.0, -0.0, DENORMAL, -DENORMAL)),
        *({"count": value} for value in (5.0, 8.0, 0.0)),
        {"x": low[0], "count": low[1]},
        {"x": high[0], "count": high[1]},
    ]
    assert [np.signbit(change["x"]) for change in changes[2:4]] == [False, True]
    assert native.tolist() == add(rows).tolist()


def test_nan_is_tried_in_each_feature_that_may_be_missing_and_in_all_of_them() -> None:
    changes, rows, _ = asked(nullable=(True, True))
    missing = [change for change in changes if None in change.values()]
    assert missing == [{"x": None}] * KEPT_NAN + [{"count": None}] * KEPT_NAN + [{"x": None, "count": None}] * KEPT_NAN
    assert len(np.unique(rows[np.isnan(rows[:, 0]) & ~np.isnan(rows[:, 1]), 1])) > 1, "on rows that are not all alike"
    assert all(None not in change.values() for change in asked(nullable=(False, False))[0])


def test_of_the_rows_of_a_change_those_are_kept_on_which_the_models_differ_most() -> None:
    def otherwise(rows: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(rows[:, 0]) & (rows[:, 1] == 8), 9.0, add(rows))

    changes, rows, _ = asked(onnx=otherwise, nullable=(True, False))
    kept = rows[[number for number, change in enumerate(changes) if change == {"x": None}]]
    assert (kept[:, 1] == 8).sum() >= 2


def test_what_the_native_model_refuses_is_left_out_and_the_rest_is_kept() -> None:
    def picky(rows: np.ndarray) -> np.ndarray:
        if (rows[:, 1] == 0).any():
            raise PackError("found an unknown category")
        return np.where(rows[:, 0] == 0, np.inf, add(rows))

    changes, _, native = asked(picky)
    assert {"count": 0.0} not in changes
    assert {"x": 0.0} not in changes
    assert {"count": 5.0} in changes
    assert np.isfinite(native).all()


def test_what_onnx_runtime_refuses_is_kept_for_the_gates_to_see() -> None:
    def picky(rows: np.ndarray) -> np.ndarray:
        if (rows[:, 1] == 0).any():
            raise OnnxError("no")
        return add(rows)

    assert {"count": 0.0} in asked(onnx=picky)[0]


def test_rows_are_in_the_users_own_precision() -> None:
    assert asked()[0][0] == {"x": GIVEN[:, 0].min()}
    single = GIVEN.astype(np.float32)
    assert asked(given=single)[0][0] == {"x": float(single[:, 0].min())}


def test_a_panel_without_a_sound_row_leaves_nothing_to_ask() -> None:
    assert asked(given=np.full((3, 2), np.inf))[0] == []
    assert asked(given=np.full((3, 2), np.nan))[0] == []


@pytest.mark.parametrize("features", [300, 3000])
def test_many_features_do_not_make_many_rows(features: int) -> None:
    given = RANDOM.standard_normal((20, features))
    calls: list[int] = []

    def native(rows: np.ndarray) -> np.ndarray:
        calls.append(rows.size)
        return rows[:, 0]

    kept = probe(given, given[:, 0], native, native, nullable=[False] * features, names=list(map(str, range(features))))
    assert len(kept.rows) == 6 * features + 2
    assert max(calls) <= 2_000_000
    assert sum(calls) <= 2 * 3 * 20_000 * features
