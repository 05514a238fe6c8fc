"""The kill switch as a process looks at it, and the trips that turn it on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Event, read_history
from pytest_modelgates.audit.kill import kill, killed
from pytest_modelgates.errors import KilledError
from pytest_modelgates.serving.adapter import Adapter, Settings
from pytest_modelgates.serving.guards import KillSwitch, TripLimits, Trips
from pytest_modelgates.serving.scorer import Rows
from pytest_modelgates.storage.lock import locked_file
from tests.support.handmade import logged


@pytest.fixture
def root(tmp_path: Path) -> Artifacts:
    """An empty artifacts root."""
    (tmp_path / "artifacts" / "models").mkdir(parents=True)
    return Artifacts(tmp_path / "artifacts")


def rows(count: int = 1, value: float = 0.5) -> Rows:
    """So many rows alike."""
    return Rows([f"2026-01-02|A{row}" for row in range(count)], np.full((count, 2), value, "f4"), [None] * count)


@pytest.mark.parametrize("value", ["1", "true", "no", "false", "off", " ", "00", "0 ", "-0", "０"])
def test_whatever_is_not_clearly_off_is_on(root: Artifacts, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SERVE_KILL", value)
    with pytest.raises(KilledError) as refused:
        KillSwitch(root, "live").refuse()
    assert str(refused.value) == f"the kill switch is on (SERVE_KILL={value}): nothing is scored; unset it to go on"


def test_it_is_off_when_unset_empty_or_nought(root: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVE_KILL", raising=False)
    KillSwitch(root, "live").refuse()
    for value in ("", "0"):
        monkeypatch.setenv("SERVE_KILL", value)
        KillSwitch(root, "live").refuse()


@pytest.mark.parametrize(("arm", "of"), [("all", ""), ("live", "--arm live ")])
def test_a_kill_file_is_seen_by_a_running_process(root: Artifacts, arm: str, of: str) -> None:
    switch = KillSwitch(root, "live")
    switch.refuse()
    done = kill(root, arm, "stale feed", "kill")
    with pytest.raises(KilledError) as refused:
        switch.refuse()
    assert str(refused.value) == f'{done}; nothing is scored; to go on: modelgates unkill {of}--reason "…"'
    done.path.unlink()
    switch.refuse()


def test_the_file_of_another_arm_stops_nobody_else(root: Artifacts) -> None:
    kill(root, "shadow", "slow", "kill")
    KillSwitch(root, "live").refuse()


def test_what_cannot_be_looked_at_counts_as_killed(root: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = KillSwitch(root, "live")
    shutil.move(root.root, root.root.with_name("elsewhere"))
    with pytest.raises(KilledError, match=r"^the kill switch cannot be read \(.*No such file.*\): nothing is scored$"):
        switch.refuse()
    shutil.move(root.root.with_name("elsewhere"), root.root)
    look = os.lstat

    def failing(path: str) -> os.stat_result:
        if path.endswith("KILL"):
            raise OSError(5, "Input/output error")
        return look(path)

    monkeypatch.setattr(os, "lstat", failing)
    with pytest.raises(KilledError, match=r"^the kill switch cannot be read \(.*Input/output error\): nothing is scor"):
        switch.refuse()


def test_a_root_for_the_log_is_made_and_its_loss_stops(good_model: Path, tmp_path: Path) -> None:
    log = Artifacts(tmp_path / "elsewhere" / "log")
    with Adapter(good_model / "model.onnx", arm="shadow", artifacts=log) as adapter:
        adapter.score(rows())
        shutil.rmtree(log.root)
        with pytest.raises(KilledError, match=r"^the kill switch cannot be read"):
            adapter.score(rows())


def test_a_signal_stops_the_process_for_good(root: Artifacts) -> None:
    switch = KillSwitch(root, "live")
    switch.stop("SIGUSR1")
    for _ in range(2):
        with pytest.raises(KilledError) as refused:
            switch.refuse()
    assert str(refused.value) == "the kill switch is on (SIGUSR1): nothing is scored; start again to go on"


@pytest.mark.integration
def test_a_command_that_scores_is_stopped_by_a_signal(good_model: Path, tmp_path: Path) -> None:
    csv = tmp_path / "live.csv"
    csv.write_text("time,asset,momentum,value\n" + "2026-01-02,A,0.5,0.5\n" * 400_000)
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", good_model / "model.onnx", "--csv", csv]
    log = Artifacts.of(good_model).newest_parts["live"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        while serving.poll() is None and not log.exists():
            time.sleep(0.001)
        serving.send_signal(signal.SIGUSR1)
        out, err = serving.communicate()
    assert (serving.returncode, out) == (1, "")
    assert err == "modelgates: the kill switch is on (SIGUSR1): nothing is scored; start again to go on\n"
    assert 0 < len(logged(Artifacts.of(good_model), "live")) < 400_000


def test_the_switch_is_asked_again_before_anything_is_given_away(
    good_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = Artifacts.of(good_model)
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        adapter.score(rows())
        score = adapter._scorer.score
        monkeypatch.setattr(
            adapter._scorer, "score", lambda matrix: [kill(artifacts, "all", "now", "kill"), score(matrix)][1]
        )
        with pytest.raises(KilledError, match=r": now; nothing is scored"):
            adapter.score(rows())
    assert len(logged(artifacts, "live")) == 1


TRIPPING = [
    (TripLimits(rejected=0.1, min_rows=10), [(10, 1, 0, 0), (10, 2, 0, 0)], "3 of 20 rows within 300 s were rejected"),
    (TripLimits(failed=0.0, min_rows=2), [(1, 0, 0, 0), (1, 0, 1, 0)], "1 of 2 rows within 300 s have no finite score"),
    (
        TripLimits(latency_ms=5, min_rows=20),
        [(1, 0, 0, 5.0)] * 19 + [(1, 0, 0, 5.1)] * 2,
        "2 of 21 batches within 300 s took over 5 ms, more than one in twenty (trips.latency_ms)",
    ),
    (
        TripLimits(rows_per_s=2, window_s=10, min_rows=1),
        [(20, 0, 0, 0), (1, 0, 0, 0)],
        "21 rows within 10 s, more than 2 a second (trips.rows_per_s)",
    ),
]


@pytest.mark.parametrize(("limits", "batches", "says"), TRIPPING)
def test_the_batch_that_exceeds_a_limit_trips(
    limits: TripLimits, batches: list[tuple[int, int, int, float]], says: str
) -> None:
    trips = Trips(limits)
    found = [trips.add(*batch, now=float(at) / 100) for at, batch in enumerate(batches)]
    assert found[:-1] == [None] * (len(batches) - 1)
    assert found[-1]
    assert found[-1].startswith(says)


def test_many_batches_take_no_more_memory_than_few() -> None:
    trips = Trips(TripLimits(rejected=0.5, min_rows=1))
    for number in range(20_000):  # a hundred a second
        assert trips.add(10, 4, 0, 0, now=number / 100) is None
    assert len(trips._batches) <= 301
    # The sums are those of the window, to a 300th of it.
    for number in range(20_000, 70_000):
        assert trips.add(10, 0, 0, 0, now=number / 100) is None
    assert trips._sum[1] == 0
    assert trips._sum[0] == pytest.approx(10 * 30_000, rel=1 / 200)


def test_old_batches_and_few_rows_trip_nothing() -> None:
    trips = Trips(TripLimits(rejected=0.1, min_rows=10, window_s=60))
    assert trips.add(9, 9, 0, 0, now=0) is None
    assert trips.add(9, 0, 0, 0, now=61) is None
    assert trips.add(9, 0, 0, 0, now=62) is None
    assert Trips(TripLimits(rejected=1)).add(10**6, 10**6, 0, 1e9, now=0) is None


def test_a_tripped_arm_stays_stopped_and_the_log_says_why(good_model: Path) -> None:
    artifacts, settings = Artifacts.of(good_model), Settings(trips=TripLimits(rejected=0.5, min_rows=4))
    with Adapter(good_model / "model.onnx", arm="live", settings=lambda _: settings) as adapter:
        adapter.score(rows(2))
        adapter.score(rows(4, value=np.inf))  # the rows that are measured are logged
        with pytest.raises(KilledError, match=r"^arm live was tripped by .*: 4 of 6 rows within 300 s were rejected"):
            adapter.score(rows())
    with pytest.raises(KilledError), Adapter(good_model / "model.onnx", arm="live") as again:
        again.score(rows())
    Adapter(good_model / "model.onnx", arm="shadow").score(rows())
    assert len(logged(artifacts, "live")) == 6
    (event,) = (each for each in read_history(artifacts.promotions) if isinstance(each, Event) and each.kind == "trip")
    assert (event.subject, event.evidence) == ("live", killed(artifacts)[0].digest)
    assert re.match(r"4 of 6 rows within 300 s were rejected, more than 50\.00% \(trips\.rejected\)", event.reason)


def test_what_tripped_an_arm_does_not_trip_it_again_once_it_was_let_go(good_model: Path) -> None:
    artifacts, settings = Artifacts.of(good_model), Settings(trips=TripLimits(rejected=0.5, min_rows=4))
    with Adapter(good_model / "model.onnx", arm="live", settings=lambda _: settings) as adapter:
        adapter.score(rows(4, value=np.inf))
        artifacts.kill("live").unlink()
        adapter.score(rows())
        assert killed(artifacts) == []
        adapter.score(rows(4, value=np.inf))
        assert [each.arm for each in killed(artifacts)] == ["live"]


def test_a_trip_that_can_write_no_file_stops_its_process(good_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(trips=TripLimits(rejected=0.5, min_rows=4))

    def full(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with Adapter(good_model / "model.onnx", arm="live", settings=lambda _: settings) as adapter:
        monkeypatch.setattr("pytest_modelgates.serving.adapter.kill", full)
        with pytest.raises(PermissionError):
            adapter.score(rows(4, value=np.inf))
        with pytest.raises(
            KilledError, match=r"^the kill switch is on \(4 of 4 rows .*: nothing is scored; start again"
        ):
            adapter.score(rows(100))


def test_an_arm_trips_though_the_log_cannot_be_written(good_model: Path) -> None:
    artifacts, settings = Artifacts.of(good_model), Settings(trips=TripLimits(rejected=0.5, min_rows=1))
    with (
        locked_file(artifacts.lock, timeout_s=0, mode=0o644),
        Adapter(good_model / "model.onnx", arm="live", settings=lambda _: settings) as adapter,
    ):
        adapter.score(rows(value=np.inf))
        with pytest.raises(KilledError, match=r"^arm live was tripped"):
            adapter.score(rows())


@pytest.mark.parametrize("long", [False, True])
def test_at_most_the_batch_in_the_model_is_given_away_after_a_kill(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    artifacts, late = Artifacts.of(good_model), list[int]()
    moments = np.random.default_rng(7).uniform(0, 0.02, size=100)
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        score, given, going = adapter._scorer.score, list[float](), threading.Event()
        if long:
            monkeypatch.setattr(adapter._scorer, "score", lambda matrix: [time.sleep(0.03), score(matrix)][1])

        def serve() -> None:
            going.set()
            with suppress(KilledError):
                while True:
                    adapter.score(rows(32))
                    given.append(time.monotonic())

        for moment in moments:
            given.clear()
            going.clear()
            with ThreadPoolExecutor(1) as pool:
                ended = pool.submit(serve)
                going.wait()
                time.sleep(moment)
                path = kill(artifacts, "live", "now", "kill").path
                killed_at = time.monotonic()
                ended.result(timeout=10)
            late.append(sum(at > killed_at for at in given))
            path.unlink()
    # One batch may have passed the second look a moment before; a file that appears while the model works stops it.
    assert max(late) <= 1
    assert not long or sum(late) < 30


def test_a_kill_holds_where_the_link_to_the_root_leads_now(good_model: Path) -> None:
    artifacts = Artifacts.of(good_model)
    link, other = artifacts.root.with_name("link"), artifacts.root.with_name("other")
    (other / "models").mkdir(parents=True)
    link.symlink_to(artifacts.root)
    with Adapter(link / "models" / good_model.name / "model.onnx", arm="live") as adapter:
        adapter.switch.refuse()
        link.unlink()
        with pytest.raises(KilledError, match=r"^the kill switch cannot be read \(.*No such file"):
            adapter.switch.refuse()
        link.symlink_to(other)
        adapter.switch.refuse()
        for root in (link, artifacts.root):
            path = kill(Artifacts.at(root), "live", "stale", "kill").path
            with pytest.raises(KilledError, match=r"^arm live was killed by"):
                adapter.switch.refuse()
            path.unlink()
