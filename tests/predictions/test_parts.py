"""Parts of the prediction log: who writes them, when one ends, and what became of a log of version 0.1."""

import fcntl
import json
import multiprocessing
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions.counting import Tally, Window, count_log
from pytest_modelgates.predictions.parts import PartWriter, arms, close_part, parts
from pytest_modelgates.predictions.reading import Reading, read_part
from pytest_modelgates.predictions.records import encode_predictions
from pytest_modelgates.storage.digests import sha256
from tests.support.handmade import log_predictions, logged, predictions

DIGEST = "0" * 64
RULES = LockRules(lock_timeout_s=5, network_file_system=True)
NAME = re.sub(r"[^A-Za-z0-9.]", "_", os.uname().nodename)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An artifacts root without models."""
    root = Artifacts(tmp_path / "artifacts")
    root.models.mkdir(parents=True)
    return root


def writer(artifacts: Artifacts, arm: str = "shadow", **options: int) -> PartWriter:
    return PartWriter(artifacts, arm, RULES, **options)


def test_a_closed_part_ends_in_its_count_and_the_digest_of_its_lines(artifacts: Artifacts) -> None:
    records = predictions(DIGEST, [0.5, None, 1.5], hours=0, end=NOON)
    with writer(artifacts) as log:
        log.write(records[:1])
        log.write([])
        log.write(records[1:])
    (part,) = parts(artifacts, "shadow")
    lines = encode_predictions(records)
    closing = {"closed": 3, "sha256": sha256(lines)}
    assert part.path == artifacts.root / f"predictions/shadow/2026-03-02/{NAME}-{os.getpid()}-0.jsonl"
    assert part.path.read_bytes() == lines + json.dumps(closing, separators=(",", ":")).encode() + b"\n"
    assert logged(artifacts, "shadow") == records


@pytest.mark.parametrize("part_bytes", [10**6, 1])
def test_what_was_taken_back_was_never_in_the_part(artifacts: Artifacts, part_bytes: int) -> None:
    records = predictions(DIGEST, [0.5, None, 1.5], hours=0, end=NOON)
    with writer(artifacts, part_bytes=part_bytes) as log:
        log.write(records[:1])
        log.write(records[1:])
        log.take_back()
        log.write(records[2:])
    assert logged(artifacts, "shadow") == [records[0], records[2]]
    for part in parts(artifacts, "shadow"):
        *lines, closing = part.path.read_bytes().splitlines(keepends=True)
        assert json.loads(closing) == {"closed": len(lines), "sha256": sha256(b"".join(lines))}


def test_between_two_records_the_disk_is_asked_nothing_but_to_take_the_next(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = predictions(DIGEST, [0.5, None, 1.5], hours=0, end=NOON)
    with writer(artifacts) as log:
        log.write(records[:1])
        with monkeypatch.context() as patch:
            for name in ("open", "stat", "lstat", "fstat", "fsync", "mkdir", "listdir"):
                patch.delattr(os, name)
            patch.delattr(fcntl, "flock")
            log.write(records[1:])
    assert logged(artifacts, "shadow") == records


def test_after_a_look_nothing_goes_into_a_part_that_was_deleted(artifacts: Artifacts) -> None:
    records = predictions(DIGEST, [0.5, None, 1.5], hours=0, end=NOON)
    with writer(artifacts) as log:
        for record in records:
            log.look()
            log.write([record])
            if record is records[1]:
                parts(artifacts, "shadow")[0].path.unlink()
    assert logged(artifacts, "shadow") == records[2:]


def test_nothing_is_made_before_the_first_record(artifacts: Artifacts) -> None:
    with writer(artifacts) as log:
        log.write([])
    assert parts(artifacts, "shadow") == []
    assert not artifacts.predictions.exists()


def test_another_part_is_begun_when_one_is_full_or_the_date_changes(artifacts: Artifacts) -> None:
    one = len(encode_predictions(predictions(DIGEST, [1.0], end=NOON)))
    with writer(artifacts, part_bytes=2 * one) as log:
        for hour in (0, 1, 2, 12, 13):
            log.write(predictions(DIGEST, [1.0], end=NOON + timedelta(hours=hour)))
        link = artifacts.newest_parts["shadow"]
        assert link.resolve() == parts(artifacts, "shadow")[-1].path
    found = [(part.day, len(part.path.read_bytes().splitlines()) - 1) for part in parts(artifacts, "shadow")]
    assert found == [(date(2026, 3, 2), 2), (date(2026, 3, 2), 1), (date(2026, 3, 3), 2)]
    assert parts(artifacts, "shadow", since=date(2026, 3, 3)) == parts(artifacts, "shadow")[2:]


def test_a_batch_larger_than_a_part_is_one(artifacts: Artifacts) -> None:
    with writer(artifacts, part_bytes=1) as log:
        log.write(predictions(DIGEST, [1.0] * 100, hours=0, end=NOON))
    (part,) = parts(artifacts, "shadow")
    assert part.path.read_bytes().count(b"\n") == 101


@pytest.mark.parametrize(("arm", "link"), [("live", "predictions.jsonl"), ("shadow", "shadow/predictions.jsonl")])
def test_a_link_leads_to_the_newest_part_and_is_no_part_itself(artifacts: Artifacts, arm: str, link: str) -> None:
    for value in (1.0, 2.0):
        log_predictions(artifacts, predictions(DIGEST, [value], arm=arm))
    path = artifacts.root / link
    assert not os.path.isabs(os.readlink(path))
    assert path.resolve() == parts(artifacts, arm)[-1].path
    assert [record.prediction for record in logged(artifacts, arm)] == [1.0, 2.0]


def test_an_arm_of_another_name_has_parts_and_no_link(artifacts: Artifacts) -> None:
    log_predictions(artifacts, predictions(DIGEST, [1.0], arm="blue"))
    assert [path.name for path in artifacts.root.iterdir()] == ["models", "predictions"]
    assert writer(artifacts, "blue").place == artifacts.predictions / "blue"
    assert len(logged(artifacts, "blue")) == 1


def test_two_writers_have_a_part_each(artifacts: Artifacts) -> None:
    with writer(artifacts) as one, writer(artifacts) as two:
        for _ in range(3):
            one.write(predictions(DIGEST, [1.0]))
            two.write(predictions(DIGEST, [2.0]))
    assert len(parts(artifacts, "shadow")) == 2
    assert sorted(record.prediction or 0 for record in logged(artifacts, "shadow")) == [1.0] * 3 + [2.0] * 3


def test_parts_of_several_writers_come_in_the_order_of_their_first_records(artifacts: Artifacts) -> None:
    for name, hour in (("z-1-0", 1), ("a-1-0", 3), ("m-9-0", 2)):
        path = artifacts.predictions / "live" / "2026-03-02" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_predictions(predictions(DIGEST, [hour], end=NOON + timedelta(hours=hour), arm="live")))
    assert [part.name for part in parts(artifacts, "live")] == ["z-1-0", "m-9-0", "a-1-0"]


def test_what_is_no_part_is_left_alone(artifacts: Artifacts) -> None:
    log_predictions(artifacts, predictions(DIGEST, [1.0], end=NOON))
    folder = artifacts.predictions / "shadow" / "2026-03-02"
    (folder / "notes.txt").write_text("mine")
    (folder / "linked.jsonl").symlink_to(next(folder.glob(f"{NAME}*.jsonl")).name)
    os.mkfifo(folder / "pipe.jsonl")
    (folder.parent / "today").mkdir()
    assert len(logged(artifacts, "shadow")) == 1


def test_files_have_the_modes_of_the_root_whatever_the_umask(artifacts: Artifacts) -> None:
    artifacts.root.chmod(0o750)
    before = os.umask(0)
    try:
        log_predictions(artifacts, predictions(DIGEST, [1.0]))
    finally:
        os.umask(before)
    (part,) = parts(artifacts, "shadow")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (part.path, part.path.parent)] == [0o640, 0o750]


def _write_with_little_room(root: Path, room: int) -> None:
    log = writer(Artifacts(root))
    log.write(predictions(DIGEST, [1.0]))
    (part,) = parts(Artifacts(root), "shadow")
    resource.setrlimit(resource.RLIMIT_FSIZE, (part.path.stat().st_size + room,) * 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        log.write(predictions(DIGEST, [1.0] * 10))
    except OSError:
        os._exit(3)


def _probe(root: Path, room: int) -> None:
    log = writer(Artifacts(root))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room,) * 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        log.probe()
    except OSError as error:
        os._exit(3 if error.filename == str(root / "predictions") else 4)


@pytest.mark.parametrize(("room", "status"), [(0, 3), (2**16 - 1, 3), (2**16, 0)])
def test_a_probe_says_whether_the_disk_takes_anything_and_leaves_nothing(
    artifacts: Artifacts, room: int, status: int
) -> None:
    process = multiprocessing.get_context("fork").Process(target=_probe, args=(artifacts.root, room))
    process.start()
    process.join()
    assert process.exitcode == status
    assert os.listdir(artifacts.predictions) == []


@pytest.mark.parametrize("room", [0, 1, 100, 1000])
def test_a_disk_that_takes_a_part_keeps_none(artifacts: Artifacts, room: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=_write_with_little_room, args=(artifacts.root, room))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert len(logged(artifacts, "shadow")) == 1


OLD = f'{{"time":"2026-03-02T11:00:00Z","row_key":"2026-03-01|A","model_id":"1700000000","digest":"{DIGEST}",'
OLD += '"schema_crc32":"00000000","prediction":0.5,"latency_ms":1.0,"arm":"live","error":null}\n'


@pytest.mark.parametrize("torn", [b"", b'{"time":"2026-03-'], ids=["whole", "torn"])
def test_a_log_of_0_1_becomes_a_closed_part_before_the_first_record(artifacts: Artifacts, torn: bytes) -> None:
    plain = artifacts.newest_parts["live"]
    plain.write_bytes(OLD.encode() * 2 + torn)
    assert len(logged(artifacts, "live")) == 2
    log_predictions(artifacts, predictions(DIGEST, [1.0], arm="live"))
    old, new = parts(artifacts, "live")
    assert old.path == artifacts.predictions / "live" / "2026-03-02" / "plain-0-0.jsonl"
    assert old.path.read_bytes().startswith(OLD.encode() * 2 + b'{"closed":2,')
    assert plain.resolve() == new.path
    assert [record.prediction for record in logged(artifacts, "live")] == [0.5, 0.5, 1.0]


def test_a_log_of_0_1_that_was_closed_and_not_moved_is_moved(artifacts: Artifacts) -> None:
    plain = artifacts.newest_parts["live"]
    plain.write_bytes(OLD.encode())
    close_part(plain, mode=0o644)
    closed = plain.read_bytes()
    log_predictions(artifacts, predictions(DIGEST, [1.0], arm="live"))
    assert parts(artifacts, "live")[0].path.read_bytes() == closed


def test_two_logs_of_0_1_of_one_day_both_stay(artifacts: Artifacts) -> None:
    for _ in range(2):
        artifacts.newest_parts["live"].unlink(missing_ok=True)
        artifacts.newest_parts["live"].write_bytes(OLD.encode())
        log_predictions(artifacts, predictions(DIGEST, [1.0], arm="live"))
    assert [part.name for part in parts(artifacts, "live")][:2] == ["plain-0-0", "plain-0-1"]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions.parts import PartWriter
from tests.support.handmade import predictions

records = predictions("0" * 64, range(100_000), hours=0)
log = PartWriter(Artifacts(Path(sys.argv[1])), "shadow", LockRules(lock_timeout_s=5, network_file_system=True))
for begin in range(0, len(records), 7):
    log.write(records[begin : begin + 7])
    print(records[begin : begin + 7][-1].prediction, flush=True)
"""


@pytest.mark.integration
@pytest.mark.parametrize("run", [*range(5), *(pytest.param(run, marks=pytest.mark.slow) for run in range(5, 100))])
def test_a_killed_writer_loses_nothing_that_it_had_written(artifacts: Artifacts, run: int) -> None:
    command = [sys.executable, "-c", WRITER, str(artifacts.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        time.sleep(run * 0.0013)
        process.kill()
        said = [first, *process.stdout.readlines()]
    last = float(said[-1] if said[-1].endswith("\n") else said[-2])
    found = [record.prediction for record in logged(artifacts, "shadow")]
    assert found == [float(number) for number in range(len(found))]
    assert len(found) > last
    tally = Tally()
    assert len([record for records in count_log(artifacts, "shadow", Window(), tally) for record in records]) == len(
        found
    )
    assert (tally.bad, tally.parts, tally.closed, tally.complete) == (0, 1, 0, True)
    log_predictions(artifacts, predictions(DIGEST, [1.0]))
    assert len(logged(artifacts, "shadow")) == len(found) + 1


def test_a_line_cut_in_its_middle_is_counted_and_read_on_once_it_is_whole(artifacts: Artifacts) -> None:
    lines = encode_predictions(predictions(DIGEST, [1.0, 2.0]))
    path = artifacts.predictions / "shadow" / "2026-03-02" / "host-1-0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(lines[:-30])
    (part,) = parts(artifacts, "shadow")
    reading = Reading()
    assert sum(map(len, read_part(part, reading))) == 1
    assert reading.torn > 0
    path.write_bytes(lines)
    assert [record.prediction for batch in read_part(part, reading) for record in batch] == [2.0]
    assert (reading.torn, reading.lines, reading.size) == (0, 2, len(lines))
    assert msgspec.json.decode(lines.splitlines()[0])["arm"] == "shadow"


def test_a_folder_that_no_arm_can_be_called_hides_no_arm(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    for name in ("live", "lost+found", ".snapshot"):
        (artifacts.predictions / name / "2026-11-30").mkdir(parents=True)
        (artifacts.predictions / name / "2026-11-30" / "x-1-0.jsonl").touch()
    assert arms(artifacts) == ["live"]
