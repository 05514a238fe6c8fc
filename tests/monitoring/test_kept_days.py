"""What is kept of days: a look reads what is new, and finds what one finds that reads all, whatever happened."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import InsufficientDataError, RefusedError, StatisticsError
from pytest_modelgates.model.directory import LocalDirectory
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.monitoring import kept_days
from pytest_modelgates.monitoring.kept_days import FILE, followed_since
from pytest_modelgates.monitoring.realised import followed
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions.columns import Columns
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.counting import Window
from pytest_modelgates.predictions.outcomes import Outcomes, add_outcomes
from pytest_modelgates.predictions.parts import Part, PartWriter, parts
from pytest_modelgates.predictions.records import Prediction, hashed, time_of
from pytest_modelgates.stats.portfolio import exposures
from tests.crash.watched import KILLED, forked, killed_at
from tests.support.handmade import Registry

MODEL, DAYS, ASSETS = "0" * 64, 14, 5
RULES = LockRules(lock_timeout_s=5, network_file_system=True)
POLICY = load_policy(None)
FIRST = date(2026, 1, 5)


@pytest.fixture(scope="module")
def signal(first_promotion: tuple[Registry, object]) -> Sidecar:
    registry, _ = first_promotion
    with LocalDirectory(registry.artifacts.model(registry.live)) as model:
        return model.sidecar


def records(keys: list[str], seed: int, name: Callable[[str], str] = str, *, dated: bool = True) -> list[Prediction]:
    now, scores = datetime.now(UTC), np.random.default_rng(seed).standard_normal(len(keys)).tolist()
    return [
        Prediction(
            time=now,
            row_key=name(key),
            model_id="1700000000",
            digest=MODEL,
            schema_crc32="00000000",
            prediction=score,
            latency_ms=1.0,
            arm="live",
            row_time=time_of(key) if dated else None,
        )
        for key, score in zip(keys, scores, strict=True)
    ]


def failed(record: Prediction) -> Prediction:
    return msgspec.structs.replace(record, prediction=None, error="model: the score is inf")


def keys_of(first: int, days: int, assets: int = ASSETS) -> list[str]:
    return [f"{FIRST + timedelta(days=day)}|A{asset}" for day in range(first, first + days) for asset in range(assets)]


def add(artifacts: Artifacts, keys: list[str], seed: int) -> None:
    """Say what came of rows, or correct it; nobody predicts some of them."""
    source = artifacts.root.parent / "outcomes.csv"
    values = 0.01 * np.random.default_rng(seed).standard_normal(len(keys))
    rows = [f"{key.replace('|', ',')},{value}" for key, value in zip(keys, values.tolist(), strict=True)]
    source.write_text("\n".join(["time,asset,return", *rows]) + "\n")
    add_outcomes(artifacts, source, ["time", "asset"], RULES, reason="a correction")


def looked(artifacts: Artifacts, sidecar: Sidecar) -> list[Any] | str:
    """What a look finds, or why there is nothing to find."""
    try:
        found = followed_since(artifacts, POLICY, sidecar, Window(digest=MODEL), first=FIRST)
    except (InsufficientDataError, StatisticsError) as error:
        return type(error).__name__
    return [found.ic_net, found.net, found.exposures]


def read_as_a_whole(artifacts: Artifacts, sidecar: Sidecar) -> list[Any] | str:
    """What those find who read every row and every outcome, by code of their own."""
    try:
        held = followed(artifacts, POLICY, sidecar, "1700000000", "live", Window(digest=MODEL)).holdings
    except (InsufficientDataError, StatisticsError) as error:
        return type(error).__name__
    assert held is not None
    return [held.ic_net, held.net, exposures(held.weights)]


def agree(artifacts: Artifacts, sidecar: Sidecar) -> None:
    found, expected = looked(artifacts, sidecar), read_as_a_whole(artifacts, sidecar)
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
    else:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14)


def compacted(part: Part, artifacts: Artifacts) -> None:
    compact(artifacts, part)


def removed(part: Part, artifacts: Artifacts) -> None:
    part.path.unlink()


def registry_in(folder: Path) -> Artifacts:
    artifacts = Artifacts(folder / "artifacts")
    artifacts.models.mkdir(parents=True)
    return artifacts


def log(artifacts: Artifacts, keys: list[str], seed: int = 0) -> None:
    """Write a closed part."""
    with PartWriter(artifacts, "live", RULES) as writer:
        writer.write(records(keys, seed))


DAY = st.tuples(st.integers(0, DAYS - 1), st.integers(1, 5), st.integers(2, ASSETS)).map(lambda each: keys_of(*each))


def otherwise(key: str) -> str:
    """Spell a key as a feed may that knows a zone."""
    return key.replace("|", "T00:00Z|")


NAMES = st.tuples(st.sampled_from([str, hashed, otherwise]), st.booleans())
ACTIONS = st.one_of(
    st.tuples(st.just("score"), DAY, st.integers(0, 1), NAMES, st.booleans()),
    st.tuples(st.just("score"), DAY, st.integers(0, 1), st.just((str, True)), st.just(False)),
    st.tuples(st.just("learn"), DAY),
    st.tuples(st.just("learn"), DAY),
    st.tuples(st.just("close"), st.integers(0, 1)),
    st.tuples(st.just("change"), st.sampled_from([compacted, removed]), st.integers(0, 3)),
    st.tuples(st.just("look")),
)


@settings(deadline=None, max_examples=60)
@given(actions=st.lists(ACTIONS, min_size=4, max_size=25), horizon=st.integers(1, 4))
@example(  # a part takes the name of one that is gone, which had rows of more days
    actions=[("look",), ("change", removed, 0), ("score", keys_of(0, 2), 0, (str, True), False)], horizon=1
)
def test_whatever_is_scored_learnt_and_corrected_a_look_finds_what_one_finds_that_reads_all(
    signal: Sidecar, actions: list[tuple[Any, ...]], horizon: int
) -> None:
    sidecar = msgspec.structs.replace(signal, horizon=horizon)
    with TemporaryDirectory() as folder:
        artifacts = registry_in(Path(folder))
        writers = [PartWriter(artifacts, "live", RULES) for _ in range(2)]  # whose parts grow by turns
        log(artifacts, keys_of(0, 9), 99)
        add(artifacts, keys_of(0, 8), 98)
        for place, (what, *given) in enumerate([("look",), *actions, ("look",)]):
            if what == "score":
                keys, number, (name, dated), fails = given
                scored = records(keys, place, name, dated=dated)
                if fails:
                    scored[::3] = [failed(record) for record in scored[::3]]
                writers[number].write(scored)
            elif what == "learn":
                with suppress(RefusedError):  # nobody has predicted any of them
                    add(artifacts, given[0], place)
            elif what == "close":
                writers[given[0]].close()
            elif what == "change":
                change, number = given
                for part in parts(artifacts, "live")[number : number + 1]:
                    change(part, artifacts)
                for writer in writers:
                    writer.look()
            else:
                agree(artifacts, sidecar)
        for writer in writers:
            writer.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Twelve days, each with a part of its own, of which the first eleven have outcomes, each added by itself."""
    artifacts = registry_in(tmp_path)
    for day in range(12):
        log(artifacts, keys_of(day, 1), day)
    for day in range(11):
        add(artifacts, keys_of(day, 1), day)
    return artifacts


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read of the log and of outcomes, by name."""
    found = list[str]()
    of_part, of_all = kept_days.asked_columns, kept_days.read_outcomes

    def reading_part(part: Part, *rest: Any, **more: Any) -> Iterator[Columns]:
        found.append(part.name)
        return of_part(part, *rest, **more)

    monkeypatch.setattr(kept_days, "asked_columns", reading_part)

    def reading(artifacts: Artifacts, files: list[Path]) -> Outcomes:
        found.extend(path.stem for path in files)
        return of_all(artifacts, files)

    monkeypatch.setattr(kept_days, "read_outcomes", reading)
    return found


@pytest.mark.parametrize("horizon", [1, 3])
def test_outcomes_of_a_day_cost_that_day_and_the_few_beside_it(
    artifacts: Artifacts, signal: Sidecar, opened: list[str], horizon: int
) -> None:
    sidecar = msgspec.structs.replace(signal, horizon=horizon)
    agree(artifacts, sidecar)
    opened.clear()
    assert isinstance(looked(artifacts, sidecar), list)
    assert opened == []
    add(artifacts, keys_of(11, 1), 11)  # the newest day
    agree(artifacts, sidecar)
    # The files of outcomes, and the parts, of this day and of the scores that it holds, each once.
    assert len(opened) == len(set(opened)) == 2 * (horizon + 2)
    opened.clear()
    add(artifacts, keys_of(5, 1), 50)  # a correction
    agree(artifacts, sidecar)
    assert len(opened) == len(set(opened)) == 1 + 2 * (2 * horizon + 3)
    opened.clear()
    log(artifacts, keys_of(12, 1))  # nobody knows what came of them
    agree(artifacts, sidecar)
    assert len(opened) == 1


@pytest.mark.parametrize("spoil", ["cut", "other rows", "another bit", "gone", "a folder", "of another horizon"])
def test_what_is_kept_of_something_else_does_not_count(
    artifacts: Artifacts, signal: Sidecar, opened: list[str], spoil: str
) -> None:
    agree(artifacts, signal)
    path = artifacts.predictions / "live" / FILE
    content = path.read_bytes()
    path.unlink()
    if spoil == "cut":
        path.write_bytes(content[:-5])
    elif spoil == "other rows":
        path.write_bytes(content.replace(b"packed", b"sums"))
    elif spoil == "another bit":
        place = content.index(b"packed") + 60
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif spoil == "a folder":
        path.mkdir()
    elif spoil == "of another horizon":
        path.write_bytes(content)
        signal = msgspec.structs.replace(signal, horizon=2)
    opened.clear()
    agree(artifacts, signal)
    assert len(opened) > 30


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_wherever_a_look_is_killed_the_next_one_finds_the_same(artifacts: Artifacts, signal: Sidecar) -> None:
    place = artifacts.predictions / "live" / FILE
    for step in itertools.count(1):
        place.unlink(missing_ok=True)

        def spoiled(step: int = step) -> None:
            killed_at(step, os.open(os.devnull, os.O_WRONLY))
            looked(artifacts, signal)

        status = forked(spoiled)
        agree(artifacts, signal)
        if status == 0:
            break
        assert status == KILLED
    assert step > 5, "the file is opened, written, synced and renamed, and its folder synced"


def test_a_part_that_is_not_whole_is_refused_at_every_look(artifacts: Artifacts, signal: Sidecar) -> None:
    agree(artifacts, signal)
    path = parts(artifacts, "live")[0].path
    path.write_bytes(b"{}\n" + path.read_bytes())
    for _ in range(2):
        assert looked(artifacts, signal) == read_as_a_whole(artifacts, signal) == "InsufficientDataError"


def test_a_day_that_did_not_move_counts_as_one_among_all_days(artifacts: Artifacts, signal: Sidecar) -> None:
    """Whether returns are but rounding is told by the range of the median day, of all days and not of those near."""
    for day in range(12, 20):
        log(artifacts, keys_of(day, 1), day)
    agree(artifacts, signal)
    for day in range(14, 20):
        source = artifacts.root.parent / "outcomes.csv"
        rows = [f"{key.replace('|', ',')},{1e-9 * number}" for number, key in enumerate(keys_of(day, 1))]
        source.write_text("\n".join(["time,asset,return", *rows]) + "\n")
        add_outcomes(artifacts, source, ["time", "asset"], RULES)
        agree(artifacts, signal)
    found = looked(artifacts, signal)
    assert not isinstance(found, str)
    assert (found[0][-4:] == 0).all()
