"""A real S3 server, and what goes wrong between it and a machine: each is named, and the live model is served on."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_modelgates.audit.shared import end_of
from pytest_modelgates.errors import BucketError
from tests.crash.registries import NEW, NEXT, OLD, OLDEST, Registry, promotion, rollback
from tests.serving.test_server import ROW, serving
from tests.support.buckets import Between, Fault, Machine, opened

pytestmark = pytest.mark.integration


@pytest.fixture
def two(wire: Between, some_models: Registry, tmp_path: Path) -> tuple[Machine, Machine]:
    """Two machines that share a folder of a bucket, where the first model is live."""
    machine = Machine(some_models.copy_to(tmp_path / "a").folder)
    machine.shares(f"s3://models/{tmp_path.name}", timeout_s=10, file_timeout_s=10)
    other = machine.another("b")
    machine.do(*promotion(OLDEST))
    other.do("pull")
    return machine, other


def always(fault: Fault) -> Callable[[str, str], Fault]:
    return lambda method, path: fault


def of_records(fault: Fault) -> Callable[[str, str], Fault | None]:
    """Spoil only the put of a record."""
    return lambda method, path: fault if method == "PUT" and "/log/" in path else None


FAULTS: dict[str, tuple[Callable[[str, str], Fault | None], str]] = {
    "away": (always("away"), "it cannot be reached, or did not answer within 10 s"),
    "errors": (always("500"), "the server answers 500 Internal Server Error"),
    "no access": (always("403"), "the server answers 403 Forbidden"),
    "half an answer": (always("cut"), "failed: "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bucket_that_fails_is_named_and_changes_nothing(
    two: tuple[Machine, Machine], wire: Between, name: str
) -> None:
    ours, theirs = two
    theirs.do(*promotion(OLD))
    before = ours.live(), end_of(ours.root.shared)
    wire.fault, expected = FAULTS[name]
    for words in (["pull"], promotion(NEW), ["push"]):
        said = ours.do(*words, status=1)
        assert expected in said
        assert said.startswith(f"modelgates: s3://models/{ours.folder.parent.name}: ")
        assert "secret" not in said
        assert said.count("\n") == 1
    assert (ours.live(), end_of(ours.root.shared)) == before
    said = ours.do("rollback", OLDEST, "--reason", "x", status=1)
    assert f"{OLDEST} is live already" in said
    wire.fault = lambda method, path: None
    assert f"{OLD} is live" in ours.do("pull")


def test_a_rollback_is_done_before_a_bucket_that_is_away_is_waited_for(
    two: tuple[Machine, Machine], wire: Between
) -> None:
    ours, theirs = two
    ours.do(*promotion(OLD))
    wire.fault = always("away")
    said = ours.do(*rollback(OLDEST))
    assert said.startswith(f"{OLDEST} is live again")
    assert "the bucket was not told" in said
    wire.fault = lambda method, path: None
    ours.do("push")
    theirs.do("pull")
    assert theirs.live() == OLDEST


def test_a_slow_bucket_is_waited_for(two: tuple[Machine, Machine], wire: Between) -> None:
    ours, theirs = two
    wire.fault = lambda method, path: "slow" if (method == "PUT" and "/log/" in path) or "list-type" in path else None
    ours.do(*promotion(OLD))
    assert f"{OLD} is live" in theirs.do("pull")


def test_a_bucket_slower_than_the_limit_is_named(wire: Between) -> None:
    wire.fault = always("slow")
    bucket = opened("s3://models/slow", timeout_s=0.3)
    with pytest.raises(BucketError) as refused:
        bucket.get("log/000000000001.json", limit=10)
    assert str(refused.value) == (
        "s3://models/slow: reading log/000000000001.json failed: it cannot be reached, or did not answer within 0.3 s"
    )


def test_a_put_whose_answer_is_lost_has_won_all_the_same(two: tuple[Machine, Machine], wire: Between) -> None:
    ours, theirs = two
    wire.fault = of_records("lost reply")
    assert f"{OLD} is live, in place of {OLDEST}" in ours.do(*promotion(OLD))
    assert f"{OLD} is live" in theirs.do("pull")
    assert len([path for method, path in wire.calls if method == "PUT" and path.endswith("2.json")]) >= 1


def test_a_put_whose_outcome_is_unknown_changes_nothing_and_the_next_pull_tells(
    two: tuple[Machine, Machine], wire: Between
) -> None:
    ours, theirs = two

    def lost(method: str, path: str) -> Fault | None:
        put = any("000000000002" in each for kind, each in wire.calls if kind == "PUT")
        return "lost reply" if method == "PUT" and "/log/" in path else "away" if put else None

    wire.fault = lost
    said = ours.do(*promotion(OLD), status=1)
    assert (
        f"so it is unknown whether the bucket has record 2, by which {OLD} is live; nothing changed here; once it "
        "answers, find out: modelgates pull\n"
    ) in said
    assert ours.live() == OLDEST
    wire.fault = lambda method, path: None
    for each in two:
        assert f"{OLD} is live, in place of {OLDEST}" in each.do("pull")
    theirs.do(*promotion(NEW))


def test_a_put_that_never_arrived_is_said_to_be_none(two: tuple[Machine, Machine], wire: Between) -> None:
    ours, _ = two
    wire.fault = of_records("500")
    said = ours.do(*promotion(OLD), status=1)
    assert "writing log/000000000002.json failed: the server answers 500" in said
    assert "nothing changed here; should it arrive late, this shows it: modelgates pull\n" in said
    wire.fault = lambda method, path: None
    assert ours.live() == OLDEST
    ours.do(*promotion(OLD))


def test_a_model_that_breaks_off_half_way_leaves_nothing_behind(two: tuple[Machine, Machine], wire: Between) -> None:
    ours, theirs = two
    server = Machine(ours.folder.with_name("server"))
    server.folder.mkdir()
    wire.fault = lambda method, path: "cut" if method == "GET" and "/files/" in path else None
    said = server.do("pull", f"s3://models/{ours.folder.parent.name}", status=1)
    assert "failed: the answer broke off" in said
    assert [path.name for path in server.models.iterdir()] == []
    wire.fault = lambda method, path: None
    assert f"{OLDEST} is live" in server.do("pull", f"s3://models/{ours.folder.parent.name}")
    assert theirs.live() == OLDEST


def test_a_server_that_replaces_what_it_has_is_refused(two: tuple[Machine, Machine], wire: Between) -> None:
    ours, _ = two
    # Such a server pays no attention to the header by which it is asked to create.
    wire.drops = "if-none-match"
    said = ours.do(*promotion(OLD), status=1)
    assert "replaces an object when asked to create it (If-None-Match), so that two promotions could both win" in said
    assert ours.live() == OLDEST


def test_there_is_no_such_bucket(two: tuple[Machine, Machine]) -> None:
    ours, _ = two
    ours.shares("s3://elsewhere/desk", timeout_s=2)
    for words in (["push", "--restore"], ["pull"]):
        assert "elsewhere/desk: " in ours.do(*words, status=1)


@contextmanager
def followed(machine: Machine, *words: str) -> Iterator[Callable[[str], None]]:
    """Follow in a process of its own; gives a function that waits until it has said something."""
    log = machine.folder / "followed"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest_modelgates", "follow", "--every", "1s", *words],
            cwd=machine.folder,
            stdout=file,
            stderr=file,
        )

    def has_said(text: str) -> None:
        until = time.monotonic() + 60
        while text not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)

    try:
        yield has_said
    finally:
        process.kill()
        process.wait()


def test_serving_goes_on_whatever_the_bucket_does_and_follows_once_it_is_back(
    two: tuple[Machine, Machine], wire: Between
) -> None:
    ours, theirs = two
    operations = (theirs.folder / "registry" / "operations.toml").read_text()
    replies, over = Counter[int](), threading.Event()
    with serving(theirs.models / "latest.onnx", operations) as server, followed(theirs) as has_said:

        def ask() -> None:
            while not over.is_set():
                replies[server.ask("/predict", {"rows": [ROW]})[0]] += 1

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for fault, said in FAULTS.values():
                wire.fault = fault
                has_said(f"not followed: s3://models/{theirs.folder.parent.name}: ")
                has_said(said)
                assert theirs.live() == OLDEST
                wire.fault = lambda method, path: None
                has_said("followed again")
            ours.do(*promotion(OLD))
            has_said(f"{OLD} is live, in place of {OLDEST}")
            until = time.monotonic() + 30
            while server.ask("/v2/health/ready")[1]["serving"]["version"] != OLD:
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            over.set()
            asking.join()
    print(f"\n{replies}")
    assert set(replies) == {200}
    assert replies[200] > 100


def test_a_machine_that_slept_catches_up_with_the_last_model_alone(two: tuple[Machine, Machine]) -> None:
    ours, theirs = two
    for model_id in (OLD, NEW, NEXT):
        ours.do(*promotion(model_id))
    assert f"{NEXT} is live, in place of {OLDEST}" in theirs.do("pull")
    assert end_of(theirs.root.shared) == end_of(ours.root.shared)
    theirs.do("log", "--verify")
