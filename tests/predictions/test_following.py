"""A model's newest records: read once, then only what was added."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.predictions.following import Follower
from pytest_modelgates.predictions.records import Prediction, encode_predictions
from tests.support.handmade import predictions

DIGEST = "0" * 64


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    hours=st.sampled_from([0, 1, 24, 1000]),
    spans=st.lists(st.sampled_from([0.5, 30.0]), min_size=5, max_size=5),
    shared=st.booleans(),
)
def test_a_follower_reads_what_was_added_and_keeps_the_last_hours(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], hours: float, spans: list[float], shared: bool
) -> None:
    artifacts = Artifacts(tmp_path_factory.mktemp("artifacts"))
    follower, written = Follower(artifacts, "shadow", DIGEST, hours=hours), list[Prediction]()
    for number, (count, span) in enumerate(zip(counts, spans, strict=False)):
        begin = written[-1].time if written else datetime(2024, 1, 1, tzinfo=UTC)
        more = [
            msgspec.structs.replace(
                record,
                time=begin + timedelta(hours=span * place),
                row_key=f"{len(written) + place}",
                prediction=float(len(written) + place) if place % 7 else None,
            )
            for place, record in enumerate(predictions(DIGEST, [0.0] * count))
        ]
        written += more
        path = artifacts.predictions / "shadow" / "2024-01-01" / f"host-1-{0 if shared else number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(encode_predictions([*more, *predictions("1" * 64, [1.0])]))
        found = follower.read()
        if not written:
            assert found is None
            continue
        recent = [record for record in written if not hours or written[-1].time - record.time <= timedelta(hours=hours)]
        values = [record.prediction for record in recent if record.prediction is not None]
        assert found is not None
        assert sorted(found.values) == values
        assert found.failed == len(recent) - len(values)
        assert found.latencies.size == len(recent)
        assert found.hours == pytest.approx((written[-1].time - written[0].time).total_seconds() / 3600)


def test_a_follower_says_what_the_log_lacks_each_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    artifacts = Artifacts(tmp_path_factory.mktemp("artifacts"))
    path = artifacts.predictions / "shadow" / "2024-01-01" / "host-1-0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_predictions(predictions(DIGEST, [0.5, 0.5])))
    follower = Follower(artifacts, "shadow", DIGEST, hours=24)
    found = follower.read()
    assert found
    assert found.problem is None
    with path.open("ab") as file:
        file.write(b"{}\n")
    for _ in range(2):
        found = follower.read()
        assert found
        np.testing.assert_array_equal(found.values, [0.5, 0.5])
        assert found.problem
        assert found.problem.startswith(f"{path}, line 3: not a record of a prediction (")
