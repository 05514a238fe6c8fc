"""One function from Arrow batches to counts, as engines map it: what it gives adds up to the counts of all rows."""

import pickle
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates import BatchCounter
from pytest_modelgates.drift import detect_drift
from pytest_modelgates.errors import FormatError, StatisticsError

RNG = np.random.default_rng(8)
GOLDEN = RNG.standard_normal(3_000)
VALUES = np.where(RNG.random(1_000) < 0.05, np.nan, RNG.standard_normal(1_000) + 0.3)


def batch(values: object, name: str = "prediction") -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: values, "asset": ["x"] * len(values)})  # type: ignore[arg-type]


def kept(counter: BatchCounter, *parts: object) -> list[bytes]:
    """Count each part in a task of its own, as an engine does."""
    batches = [found for part in parts for found in counter(iter([batch(part)]))]
    return [row for found in batches for row in found.column("counts").to_pylist()]


def test_counts_of_parts_give_what_all_rows_at_once_give() -> None:
    counter = BatchCounter(GOLDEN)
    counts = kept(counter, VALUES[:1], VALUES[1:400], VALUES[400:])
    report, at_once = counter.report(counts), detect_drift(GOLDEN, VALUES)
    assert report["overall_drift"] is at_once["overall_drift"] is True
    assert (report["psi"], report["ks"]["statistic"]) == (at_once["psi"], at_once["ks"]["statistic"])
    assert report["missing"] == at_once["missing"]
    assert report["rows"] == at_once["rows"]


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 1_000), max_size=6), order=st.randoms(use_true_random=False))
def test_any_split_in_any_order_gives_the_same_counts(cuts: list[int], order: object) -> None:
    counter = BatchCounter(GOLDEN)
    counts = kept(counter, *np.split(VALUES, sorted(cuts)))
    order.shuffle(counts)  # type: ignore[attr-defined]
    first, (whole,) = counter.add(counts), kept(counter, VALUES)
    second = counter.add([whole])
    assert first.counts.cells.tolist() == second.counts.cells.tolist()
    assert (first.counts.nan, first.undated) == (second.counts.nan, second.undated)


def test_many_batches_and_tables_become_one_batch() -> None:
    counter = pickle.loads(pickle.dumps(BatchCounter(GOLDEN, column="score")))
    batches = [batch(VALUES[:10], "score"), pa.table({"score": pa.chunked_array([VALUES[10:20], VALUES[20:]])})]
    (found,) = counter(batches)
    assert (found.num_rows, found.schema) == (1, pa.schema({"counts": pa.binary()}))
    assert counter.report(found["counts"].to_pylist())["psi"] == detect_drift(GOLDEN, VALUES)["psi"]
    (nothing,) = counter(iter([]))
    assert counter.add([*nothing["counts"].to_pylist()]).counts.rows == 0


def test_what_an_engine_is_sent_and_sends_is_small() -> None:
    counter = BatchCounter(RNG.standard_normal(10**6))
    (counts,) = kept(counter, RNG.standard_normal(10**6))
    assert len(pickle.dumps(counter)) < 2**20
    assert len(counts) < 2**18


def test_floats_of_fewer_bits_than_the_golden_need_a_word() -> None:
    golden, current = np.array([0.1, 0.2] * 50), np.array([0.1, 0.2] * 50, np.float32)
    message = "prediction is float32, and the golden has more digits: compare both so, with precision='float32'"
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        kept(BatchCounter(golden), current)
    for each in (current, current.astype(np.float64), golden):
        counter = BatchCounter(golden, precision="float32")
        assert counter.report(kept(counter, each))["ks"]["statistic"] == 0
    exact = BatchCounter(golden.astype(np.float32))
    assert exact.report(kept(exact, current))["ks"]["statistic"] == 0


def test_what_cannot_be_counted_or_added_is_said() -> None:
    counter = BatchCounter(GOLDEN)
    with pytest.raises(FormatError, match=r"^a batch: has no column 'prediction'; it holds score, asset; name the "):
        list(counter([batch(VALUES, "score")]))
    with pytest.raises(FormatError, match=r"^a batch: prediction is string, expected numbers; cast it to double$"):
        kept(counter, ["a"])
    with pytest.raises(FormatError, match=r"^not counts of a BatchCounter \(.*\): give the column 'counts'$"):
        counter.add([b"abc"])
    with pytest.raises(StatisticsError, match=r"^counted over the grid of another golden: count it again with this"):
        counter.add(kept(BatchCounter(VALUES), VALUES))
    with pytest.raises(
        StatisticsError, match=r"^no prediction was counted: give at least one batch that is not empty$"
    ):
        counter.report([])
    with pytest.raises(StatisticsError, match=r"^golden is empty: give at least one prediction$"):
        BatchCounter([])
