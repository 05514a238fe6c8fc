"""Whether the features that are served still look like the panel's, each alone and across assets and days."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.monitoring.drift_words import features_in_words
from pytest_modelgates.monitoring.feature_drift import FeatureCheck, check_features
from pytest_modelgates.predictions.records import Prediction, hashed
from tests.support.handmade import Registry, log_predictions

Serve = Callable[..., FeatureCheck]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def live(registry: Registry) -> Candidate:
    return Candidate(registry.artifacts.model(registry.live))


@pytest.fixture
def served(registry: Registry, live: Candidate) -> Serve:
    """Log some of the panel's rows with their features, which may be changed, and compare them with the panel."""

    def serve(
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
        *,
        name: Callable[[str], str] = str,
        last: int | None = None,
    ) -> FeatureCheck:
        frame = change(live.panel.frame.tail(20 * 60).copy())
        log_predictions(registry.artifacts, records(live, frame, name))
        return check_features(registry.artifacts, registry.policy, last=last)

    return serve


def records(live: Candidate, frame: pd.DataFrame, name: Callable[[str], str] = str) -> list[Prediction]:
    return [
        Prediction(
            time=datetime.now(UTC),
            row_key=name(f"{time:%Y-%m-%d}|{asset}"),
            row_time=time.to_pydatetime().replace(tzinfo=UTC),
            model_id=live.model_id,
            digest=live.digest,
            schema_crc32="00000000",
            prediction=0.5,
            latency_ms=1.0,
            arm="live",
            features=[float(value) for value in values],
        )
        for time, asset, *values in frame[["time", "asset", *live.sidecar.names]].itertuples(index=False)
    ]


def stuck_for_each_asset(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave each asset at its first value, which no distribution shows."""
    return frame.assign(momentum=frame.groupby("asset")["momentum"].transform("first"))


def handed_to_others(frame: pd.DataFrame) -> pd.DataFrame:
    """Hand each day's values to other assets, another way each day."""
    rng = np.random.default_rng(1)
    return frame.assign(momentum=frame.groupby("time")["momentum"].transform(lambda day: rng.permutation(day)))


def test_rows_like_the_panels_do_not_drift(served: Serve) -> None:
    found = served()
    assert (found.overall_drift, found.rows, found.not_joint) == (False, 1200, None)
    assert {column["name"] for column in found.columns} == {*found.joint} == {"momentum", "value"}
    first, header, *lines = features_in_words(found).splitlines()
    assert first == f"{found.model_id}: no drift over the features of 1200 live rows"
    assert header == "  feature                      PSI         p"
    assert len(lines) == 2


def test_a_feature_that_moved_comes_first(served: Serve) -> None:
    found = served(lambda frame: frame.assign(value=frame["value"] + 2))
    assert (found.overall_drift, found.columns[0]["name"]) == (True, "value")
    lines = features_in_words(found).splitlines()
    assert lines[2].startswith("  value                 ")
    assert lines[3].startswith("    PSI ")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (stuck_for_each_asset, "the share of assets whose value did not move is 1.00, was 0.00"),
        (handed_to_others, "rank correlation with the day before is"),
    ],
)
def test_what_no_distribution_shows_is_seen(
    change: Callable[[pd.DataFrame], pd.DataFrame], reason: str, served: Serve
) -> None:
    found = served(change)
    assert found.overall_drift is True
    assert found.joint["value"]["overall_drift"] is False
    assert f"\n    {reason}" in features_in_words(found)


def test_rows_that_were_refused_for_a_feature_count(registry: Registry, live: Candidate) -> None:
    rows = records(live, live.panel.frame.tail(20 * 60))
    for number, row in enumerate(rows):
        if number % 2:
            features = [None, *(row.features or [])[1:]]
            changed = msgspec.structs.replace(row, features=features, prediction=None, error="schema: momentum is nan")
            rows[number] = changed
    unread = msgspec.structs.replace(rows[1], features=None, row_key="2026-01-01|A00")
    log_predictions(registry.artifacts, [*rows, unread])
    found = check_features(registry.artifacts, registry.policy)
    assert (found.overall_drift, found.rows, found.unread, found.columns[0]["name"]) == (True, 1200, 1, "momentum")
    assert features_in_words(found).splitlines()[-1] == (
        "  1 more row could not be scored, and the log keeps no feature of them"
    )


def test_other_assets_altogether_cannot_be_told(served: Serve) -> None:
    found = served(lambda frame: frame.assign(asset="B" + frame["asset"].str[1:]))
    assert (found.overall_drift, found.joint) == (None, {})
    assert found.not_joint == "golden and current have 0 assets in common: give at least 5"


def test_hidden_keys_leave_each_feature_alone(served: Serve) -> None:
    found = served(stuck_for_each_asset, name=hashed)
    assert found.joint == {}
    assert features_in_words(found).splitlines()[-1] == (
        "  not compared across assets and days: the keys in the log name no time and asset, or hide them ([log] "
        "hash_keys)"
    )


def test_the_newest_rows_alone_may_be_compared_and_few_days_cannot_tell(served: Serve) -> None:
    found = served(last=100)
    assert (found.rows, found.overall_drift) == (100, None)
    assert "cannot tell: " in features_in_words(found)


def test_without_features_in_the_log_it_says_how_to_keep_them(registry: Registry, live: Candidate) -> None:
    rows = records(live, live.panel.frame.head(20))
    log_predictions(registry.artifacts, [msgspec.structs.replace(row, features=None) for row in rows])
    with pytest.raises(InsufficientDataError) as raised:
        check_features(registry.artifacts, registry.policy)
    assert str(raised.value) == (
        f"the log keeps the features of no row of {registry.live}; in operations.toml set [log] features to the share "
        "of rows whose features it keeps, such as 0.1, and serve again"
    )


def test_features_of_another_number_are_refused(registry: Registry, live: Candidate) -> None:
    rows = records(live, live.panel.frame.head(20))
    log_predictions(registry.artifacts, [msgspec.structs.replace(row, features=[1.0]) for row in rows])
    message = r"row 2020-01-01\|A00 has 1 features in the log, and the model 2; that line was not written by `serve`"
    with pytest.raises(StatisticsError, match=f"^{message}$"):
        check_features(registry.artifacts, registry.policy)


def test_the_verb_prints_words_or_json_and_ends_with_one_unless_there_is_no_drift(
    registry: Registry, served: Serve, capsys: Capture
) -> None:
    words = ["drift-check", "--features", "--artifacts", str(registry.artifacts.root)]
    served()
    assert main(words) == 0
    assert "no drift over the features of 1200 live rows" in capsys.readouterr().out
    assert main([*words, "--last", "100", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["overall_drift"]) == (100, None)
    assert main([*words, "--by", "day"]) == 2
    assert capsys.readouterr().err == "modelgates: --by means nothing beside --features; leave it out\n"
