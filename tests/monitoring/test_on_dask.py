"""A real Dask cluster of worker processes gives the counts that this process gives, to the last integer."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed.scheduler import KilledWorker

from pytest_modelgates.cli import main
from pytest_modelgates.drift import files
from pytest_modelgates.drift.summary import Reference
from pytest_modelgates.errors import FormatError, MissingExtraError, UsageError
from pytest_modelgates.monitoring import on_dask
from pytest_modelgates.monitoring.drift_check import Asked, Check, check_files, check_log
from pytest_modelgates.monitoring.engines import Engine
from pytest_modelgates.monitoring.on_dask import dask_engine, refuse_others
from pytest_modelgates.predictions.counting import NUMBERS
from pytest_modelgates.registry.store import live_change
from tests.support.handmade import Registry, golden_of, log_predictions, predictions

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


class Cluster:
    """A scheduler and its workers, each a process of its own, all bound to this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self._file))
        self.wait_for(self._file.exists)
        self.address = json.loads(self._file.read_text())["address"]
        self.workers = list[subprocess.Popen[bytes]]()

    def add(self, count: int, **variables: str) -> None:
        for _ in range(count):
            words = ("--no-nanny", "--nthreads", "1", "--scheduler-file", str(self._file))
            place = ("--local-directory", str(self._folder))
            self.workers.append(self._start("worker", *words, *place, **variables))

    def _start(self, *words: str, **variables: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "dask", *words, "--host", "127.0.0.1", "--no-dashboard"]
        paths = os.pathsep.join([variables.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH", "")])
        with (self._folder / "said").open("ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | {"PYTHONPATH": paths})

    def wait_for(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not there():
            assert time.monotonic() < end
            assert self.scheduler.poll() is None, (self._folder / "said").read_text()
            time.sleep(0.05)

    def end(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@contextlib.contextmanager
def a_cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.add(workers)
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with a_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as found:
        yield found


@pytest.fixture
def scores(registry: Registry, tmp_path: Path) -> list[Path]:
    """Files of predictions, of more than one type."""
    calm = np.random.default_rng(4).choice(golden_of(registry.artifacts.model(registry.live)), 12_000)
    found = []
    for place, part in enumerate(np.split(calm, 12)):
        values = part.astype(np.float32) if place % 2 else np.where(part > np.quantile(part, 0.99), np.nan, part)
        found.append(tmp_path / f"{place:02}.parquet")
        pq.write_table(pa.table({"prediction": values}), found[-1], row_group_size=100)
    return found


@pytest.fixture
def many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row group is a piece."""
    monkeypatch.setattr(files, "_PIECE", 1)


def same(one: Check, other: Check) -> None:
    assert one.reference.grid.golden.grid == other.reference.grid.golden.grid
    assert one.summary.counts.cells.tolist() == other.summary.counts.cells.tolist()
    assert (one.summary.counts.nan, one.summary.undated) == (other.summary.counts.nan, other.summary.undated)
    assert {day: pieces.tolist() for day, pieces in one.summary.days.items()} == {
        day: pieces.tolist() for day, pieces in other.summary.days.items()
    }
    assert [getattr(one.tally, name) for name in NUMBERS] == [getattr(other.tally, name) for name in NUMBERS]
    assert one.tally.repeated == other.tally.repeated
    assert repr(one.report) == repr(other.report), "to the last bit"


@pytest.mark.integration
def test_files_give_the_same_counts_and_the_same_verdict(
    cluster: Cluster, registry: Registry, scores: list[Path], many_pieces: None
) -> None:
    here = check_files(registry.artifacts, registry.policy, scores)
    with dask_engine(cluster.address) as engine:
        there = check_files(registry.artifacts, registry.policy, scores, engine=engine)
    same(here, there)
    assert here.rows == 12_000


@pytest.mark.integration
def test_the_log_gives_the_same_counts_and_the_same_verdict(cluster: Cluster, registry: Registry) -> None:
    calm = golden_of(registry.artifacts.model(registry.live))[:600]
    for part in (calm[:200], calm[200:], calm[:100]):
        log_predictions(registry.artifacts, predictions(live_change(registry.artifacts).digest, part, arm="live"))
    with dask_engine(cluster.address) as engine:
        there = check_log(registry.artifacts, registry.policy, engine=engine)
        kept = list(registry.artifacts.predictions.glob("*/*/*.counts"))
        assert len(kept) >= 3, "workers keep what they counted beside the parts"
        for path in kept:
            path.unlink()
        same(check_log(registry.artifacts, registry.policy), there)
        asked = Asked(since=live_change(registry.artifacts).time)
        same(
            check_log(registry.artifacts, registry.policy, asked, engine=engine),
            check_log(registry.artifacts, registry.policy, asked),
        )


def hurting(engine: Engine, after: int, hurt: Callable[[], object]) -> Engine:
    """An engine of which something breaks after so many results."""

    def counting(count: Any, tasks: Sequence[Any], reference: Reference) -> Iterable[Any]:
        assert len(tasks) > 2 * after
        for place, found in enumerate(engine(count, tasks, reference)):
            if place == after:
                hurt()
            yield found

    return counting


@pytest.mark.integration
def test_a_worker_that_is_killed_half_way_changes_no_count(
    registry: Registry, scores: list[Path], many_pieces: None, tmp_path: Path
) -> None:
    here = check_files(registry.artifacts, registry.policy, scores)
    with a_cluster(tmp_path, workers=2) as cluster, dask_engine(cluster.address) as engine:
        cluster.wait_for(lambda: (tmp_path / "said").read_text().count("Registered to") == 2)
        victim = cluster.workers[0]
        hurt = hurting(engine, 40, lambda: victim.send_signal(signal.SIGKILL))
        same(here, check_files(registry.artifacts, registry.policy, scores, engine=hurt))
        assert victim.wait() == -signal.SIGKILL
        assert cluster.workers[1].poll() is None


@pytest.mark.integration
def test_a_scheduler_or_all_workers_that_go_away_end_the_check_in_a_line(
    registry: Registry, scores: list[Path], many_pieces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_dask, "CONNECT_S", 2.0)
    with a_cluster(tmp_path, workers=1) as cluster, dask_engine(cluster.address) as engine:
        monkeypatch.setattr(on_dask, "PATIENCE_S", 2.0)
        message = f"the Dask scheduler at {cluster.address} has no worker; start one: dask worker {cluster.address}"
        with pytest.raises(ConnectionError, match=f"^{re.escape(message)}$"):
            check_files(
                registry.artifacts,
                registry.policy,
                scores,
                engine=hurting(engine, 5, cluster.workers[0].kill),
            )
        with pytest.raises(ConnectionError, match=f"^{re.escape(message)}$"), dask_engine(cluster.address):
            pass
        monkeypatch.setattr(on_dask, "PATIENCE_S", 60.0)
        cluster.add(1)
        message = f"the Dask scheduler at {cluster.address} went away, and nothing was compared; run this again"
        with pytest.raises(ConnectionError, match=f"^{re.escape(message)}$"):
            check_files(registry.artifacts, registry.policy, scores, engine=hurting(engine, 5, cluster.scheduler.kill))


@pytest.mark.integration
def test_a_file_that_workers_cannot_see_or_that_is_another_there_is_named(
    cluster: Cluster, registry: Registry, scores: list[Path]
) -> None:
    def check(change: Callable[[], object]) -> None:
        def changing(count: Any, tasks: Sequence[Any], reference: Reference) -> Iterable[Any]:
            change()
            return engine(count, tasks, reference)

        check_files(registry.artifacts, registry.policy, scores, engine=changing)

    with dask_engine(cluster.address) as engine:
        with pytest.raises(FormatError, match=re.escape(f"{scores[3]}: 3 bytes, ")):
            check(lambda: scores[3].write_bytes(b"PAR"))
        pq.write_table(pa.table({"prediction": [0.0]}), scores[3])
        message = f"{scores[3]}: No such file or directory, on the Dask worker tcp://127.0.0.1:"
        with pytest.raises(ConnectionError, match=f"^{re.escape(message)}.*must reach the files, and the log, by the"):
            check(scores[3].unlink)


@pytest.mark.integration
def test_a_worker_with_another_version_is_refused(tmp_path: Path) -> None:
    metadata = tmp_path / "other" / "pytest_modelgates-0.1.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: pytest-modelgates\nVersion: 0.1.0\n")
    with a_cluster(tmp_path, workers=0) as cluster:
        cluster.add(1, PYTHONPATH=str(metadata.parents[1]))
        message = r"tcp://127.0.0.1:\d+ has pytest-modelgates 0.1.0; install the same on each: pip install"
        with pytest.raises(ConnectionError, match=message), dask_engine(cluster.address):
            pass


@pytest.mark.integration
def test_the_command_says_what_it_says_without_a_cluster(
    cluster: Cluster, registry: Registry, scores: list[Path], capsys: Capture
) -> None:
    words = ["drift-check", *map(str, scores), f"--artifacts={registry.artifacts.root}"]
    assert main(words) == 0
    here = capsys.readouterr()
    assert main([*words, "--engine", "dask", "--scheduler", cluster.address]) == 0
    assert capsys.readouterr() == here


def test_workers_that_are_not_like_this_process_are_listed() -> None:
    own, python = on_dask.version("pytest-modelgates"), sys.version.split()[0]
    like = {"tcp://a:1": python}
    refuse_others(like, {"tcp://a:1": own})
    minor = python.rpartition(".")[0]
    message = (
        f"Dask workers are not like this process, which has pytest-modelgates {own} and Python {minor}: tcp://a:1 has "
        "no pytest-modelgates; tcp://b:1 has pytest-modelgates 0.1.0; tcp://b:1 has Python 3.10.4; install the same "
        f"on each: pip install pytest-modelgates=={own}"
    )
    with pytest.raises(ConnectionError, match=f"^{re.escape(message)}$"):
        refuse_others(like | {"tcp://b:1": "3.10.4"}, {"tcp://a:1": ImportError(), "tcp://b:1": "0.1.0"})


ADDRESSES = ["nonsense", "127.0.0.1", "http://127.0.0.1:8786", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:8786/x", ""]


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_not_an_address_is_refused(address: str) -> None:
    message = f"{address!r} is not the address of a Dask scheduler; give one such as tcp://127.0.0.1:8786"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"), dask_engine(address):
        pass


def test_tls_needs_certificates() -> None:
    message = "tls://127.0.0.1:8786 needs certificates; name them under distributed.comm.tls in Dask's configuration"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"), dask_engine("tls://127.0.0.1:8786"):
        pass


def test_where_no_scheduler_answers_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_dask, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        message = f"what answers at {address} is not a Dask scheduler; start one: dask scheduler --host 127.0.0.1"
        with pytest.raises(ConnectionError, match=f"^{re.escape(message)}$"), dask_engine(address):
            pass
    message = rf"^no Dask scheduler answers at {address} \(.*refused\); start one: dask scheduler --host 127.0.0.1$"
    with pytest.raises(ConnectionError, match=message), dask_engine(address):
        pass


def test_without_dask_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    message = "distributed is not installed; run: pip install 'pytest-modelgates[dask]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"), dask_engine("127.0.0.1:8786"):
        pass


def test_what_ends_workers_is_said() -> None:
    ended = on_dask._in_words(KilledWorker("run", object(), 3), "tcp://a:1")
    assert str(ended).startswith("the Dask workers that counted one part all ended before they had; it may be their ")
    lacking = on_dask._in_words(ModuleNotFoundError("No module named 'pyarrow'"), "tcp://a:1")
    assert str(lacking) == (
        "a Dask worker lacks a library (No module named 'pyarrow'); install pytest-modelgates on each"
    )


WRONG_WORDS = [
    pytest.param(["--engine", "dask"], "--engine dask and --scheduler ADDRESS belong together; give both", id="engine"),
    pytest.param(["--scheduler", "a:1"], "--engine dask and --scheduler ADDRESS belong together", id="scheduler"),
    pytest.param(
        ["--engine", "dask", "--scheduler", "a:1", "--last", "5"],
        "--last reads the log from its end, here; give it without --engine",
        id="last",
    ),
]


@pytest.mark.parametrize(("words", "said"), WRONG_WORDS)
def test_words_that_do_not_go_together_are_refused(
    registry: Registry, capsys: Capture, words: list[str], said: str
) -> None:
    assert main(["drift-check", f"--artifacts={registry.artifacts.root}", *words]) == 2
    assert said in capsys.readouterr().err
