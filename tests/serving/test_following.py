"""A CSV file that grows: every whole line once, over restarts, and what happens when it is cut or replaced."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.audit.kinds import KILL
from pytest_modelgates.cli import main
from pytest_modelgates.errors import FormatError, KilledError
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.following import FollowedCsv
from pytest_modelgates.serving.running import running
from pytest_modelgates.serving.sources import LONGEST_LINE, Message
from tests.support.handmade import logged
from tests.support.onnx_models import sidecar
from tests.support.panels import invented_panel, pack_ridge

IPV6 = Path("/proc/net/if_inet6").exists() and bool(Path("/proc/net/if_inet6").read_text())
HEADER = "time,asset,momentum,value\n"


def rows(*names: str, momentum: object = 0.5) -> str:
    return "".join(f"2026-01-02,{name},{momentum},0.25\n" for name in names)


class Until:
    """Ends when the file has nothing more; before that, does what it was given for such moments."""

    def __init__(self, *then: Any) -> None:
        self._then, self._over = list(then), False
        self.told: list[str | None] = []

    def ended(self, wait_s: float = 0.0) -> bool:
        return self._over

    def moved(self) -> bool:
        return False

    def trouble(self, why: str | None) -> None:
        self.told.append(why)

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        if rows or feed.lag:
            return
        if self._then:
            self._then.pop(0)()
        else:
            self._over = True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    folder.mkdir()
    return folder / "live.csv"


@pytest.fixture
def artifacts(good_model: Path) -> Artifacts:
    return Artifacts.of(good_model)


class Desk:
    """Follows a file with the good model, as often as it is asked to."""

    def __init__(self, model: Path, path: Path) -> None:
        self.model, self._path = model, path
        self.said: list[str] = []
        self.reorder = False

    def follow(self, *then: Any) -> list[Prediction]:
        """Score what there is, do what comes next, and so on; start anew each time."""
        with Adapter(self.model / "model.onnx", arm="live") as adapter:
            feed = FollowedCsv(self._path, adapter.sidecar, reorder=self.reorder, say=self.said.append)
            return list(adapter.run_feed(feed, Until(*then), read=feed.read))


@pytest.fixture
def desk(good_model: Path, path: Path) -> Desk:
    return Desk(good_model, path)


def names(records: list[Prediction]) -> list[str]:
    return [record.row_key.rpartition("|")[2] for record in records]


def append(path: Path, text: str) -> Any:
    def write() -> None:
        with path.open("a") as file:
            file.write(text)

    return write


def test_each_row_is_scored_once_as_it_comes_and_over_restarts(desk: Desk, path: Path, artifacts: Artifacts) -> None:
    path.write_text(HEADER + rows("A", "B"))
    assert names(desk.follow(append(path, rows("C")), append(path, rows("D", "E")))) == ["A", "B", "C", "D", "E"]
    assert desk.follow() == []
    append(path, rows("F"))()
    assert names(desk.follow()) == ["F"]
    content = path.read_bytes()
    assert logged(artifacts, "live")[-1].request == f"{requests_begin(path)}:{len(content)}:7:{zlib.crc32(content):08x}"
    assert desk.said == []


def requests_begin(path: Path) -> str:
    return FollowedCsv(path, sidecar("momentum", "value"), say=print).name


def test_only_whole_lines_are_read(desk: Desk, path: Path) -> None:
    path.write_text(HEADER[:7])
    pieces = [HEADER[7:], rows("A")[:10], rows("A")[10:-1], "\n" + rows("B")[:-1], "\n"]

    class UntilNothing(Until):
        def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
            self._over = not rows and not self._then
            if not rows and self._then:
                self._then.pop(0)()

    with Adapter(desk.model / "model.onnx", arm="live") as adapter:
        feed = FollowedCsv(path, adapter.sidecar, say=desk.said.append)
        until = UntilNothing(*(append(path, piece) for piece in pieces))
        found = list(adapter.run_feed(feed, until, read=feed.read))
    assert names(found) == ["A", "B"]
    assert [record.error for record in found] == [None, None]


def test_a_line_that_is_no_row_is_named_by_its_line_and_kept(desk: Desk, path: Path, artifacts: Artifacts) -> None:
    long = "x" * (LONGEST_LINE + 5)
    path.write_text(HEADER + rows("A") + "\n" + rows("B", momentum="high") + long + "\n" + rows("C"))
    found = desk.follow(append(path, "1,2\n"))
    assert [record.error for record in found] == [
        None,
        "schema: line 3: a blank line, expected 4 fields; delete it",
        "schema: line 4: column 'momentum' holds 'high', expected a number",
        f"schema: line 5: more than {LONGEST_LINE} bytes",
        None,
        "schema: line 7: 2 fields, the header has 4",
    ]
    letters = [json.loads(line) for line in artifacts.dead_letters("live").read_text().splitlines()]
    assert [letter["row"][:20] for letter in letters] == ["\n", "2026-01-02,B,high,0.", "x" * 20, "1,2\n"]
    assert desk.follow() == []


def test_a_file_that_another_one_takes_the_place_of_is_read_to_its_end_first(desk: Desk, path: Path) -> None:
    def rotated() -> None:
        append(path, rows("B"))()
        path.rename(path.with_suffix(".1"))
        path.write_text(HEADER + rows("C"))

    path.write_text(HEADER + rows("A"))
    assert names(desk.follow(rotated)) == ["A", "B", "C"]
    assert desk.said == [f"{path}: replaced by another file; read from its first row"]


def test_rows_that_come_just_before_another_file_takes_the_name_are_read(good_model: Path, path: Path) -> None:
    class Late(FollowedCsv):
        """Has a row come, and the name go over, right after it saw no more rows."""

        late = False

        def _whole(self, most: int) -> list[Message]:
            found = super()._whole(most)
            if not (found or self.late):
                self.late = True
                append(path, rows("B"))()
                other = path.with_suffix(".new")
                other.write_text(HEADER + rows("C"))
                other.replace(path)
            return found

    path.write_text(HEADER + rows("A"))
    with Adapter(good_model / "model.onnx", arm="live") as adapter:
        feed = Late(path, adapter.sidecar, say=str)
        found = list(adapter.run_feed(feed, Until(), read=feed.read))
    assert names(found) == ["A", "B", "C"]


def test_a_copy_with_more_rows_goes_on_where_the_file_before_ended(desk: Desk, path: Path) -> None:
    def rewritten() -> None:
        other = path.with_suffix(".new")
        other.write_text(path.read_text() + rows("B"))
        other.replace(path)

    path.write_text(HEADER + rows("A"))
    assert names(desk.follow(rewritten, rewritten)) == ["A", "B", "B"]
    assert desk.said == []
    rewritten()
    assert names(desk.follow()) == ["B"]


def test_no_row_is_scored_again_after_a_clock_that_was_ahead_was_set_back(
    desk: Desk, path: Path, artifacts: Artifacts
) -> None:
    path.write_text(HEADER + rows("A", "B"))
    desk.follow()
    (day,) = (artifacts.predictions / "live").glob("2*")
    day.rename(day.with_name("2999-01-01"))
    for name in "CD":
        append(path, rows(name))()
        assert names(desk.follow()) == [name]
    path.write_text(HEADER + rows("X"))  # whose places lie before those of the other file
    assert names(desk.follow()) == ["X"]
    assert desk.said == [f"{path}: does not begin with the rows that the log has; read from its first row"]
    assert desk.follow() == []


def test_a_file_that_is_cut_or_written_over_is_read_from_its_first_row(desk: Desk, path: Path) -> None:
    path.write_text(HEADER + rows("A", "B"))
    steps = [partial(path.write_text, HEADER + rows(*names)) for names in ("C", "DEF")]
    assert names(desk.follow(*steps)) == ["A", "B", "C", "D", "E", "F"]
    assert desk.said == [f"{path}: cut or written over; read from its first row"] * 2
    path.write_text(HEADER + rows("X", "Y", "Z", "Z"))
    assert names(desk.follow()) == ["X", "Y", "Z", "Z"]
    assert desk.said[2:] == [f"{path}: does not begin with the rows that the log has; read from its first row"]
    assert desk.follow() == [], "the newest place counts"


def test_a_file_that_is_gone_for_a_while_is_waited_for(desk: Desk, path: Path) -> None:
    path.write_text(HEADER + rows("A"))
    back = path.with_suffix(".away")
    steps = [lambda: path.rename(back), lambda: None, lambda: back.rename(path), append(path, rows("B"))]
    assert names(desk.follow(*steps)) == ["A", "B"]
    assert desk.said == []


def test_killed_it_keeps_its_place(desk: Desk, path: Path, artifacts: Artifacts) -> None:
    def killed() -> None:
        kill(artifacts, "live", "enough", KILL)
        append(path, rows("B", "C"))()

    path.write_text(HEADER + rows("A"))
    with pytest.raises(KilledError, match="enough"):
        desk.follow(killed)
    assert names(logged(artifacts, "live")) == ["A"]
    artifacts.kill("live").unlink()
    assert names(desk.follow()) == ["B", "C"]


def test_a_link_is_followed_to_the_file_of_the_day(desk: Desk, path: Path, tmp_path: Path) -> None:
    days = [tmp_path / "days" / name for name in ("one.csv", "two.csv")]
    days[0].parent.mkdir()
    days[0].write_text(HEADER + rows("A"))
    path.symlink_to(days[0])

    def next_day() -> None:
        days[1].write_text(HEADER + rows("C"))
        staged = path.with_suffix(".staged")
        staged.symlink_to(days[1])
        staged.replace(path)

    assert names(desk.follow(append(days[0], rows("B")), next_day)) == ["A", "B", "C"]


def test_columns_in_another_order_are_read_by_their_names_if_the_setting_says_so(desk: Desk, path: Path) -> None:
    desk.reorder = True
    path.write_text("value,asset,momentum,time\n0.25,A,0.5,2026-01-02\n")
    other = path.with_suffix(".new")
    other.write_text(HEADER + rows("C"))
    found = desk.follow(append(path, "0.25,B,0.5,2026-01-02\n"))
    found += desk.follow(append(path, "0.5,D,0.25,2026-01-02\n"))  # in the file's order after a restart, too
    found += desk.follow(lambda: other.replace(path))  # and a file that takes its place has an order of its own
    assert names(found) == ["A", "B", "D", "C"]
    one, two, swapped, last = (record.prediction for record in found)
    assert one == two == last != swapped


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("live.csv", None, "no such file", id="missing"),
        pytest.param("live.csv.gz", "", "a .gz file does not grow line by line; follow a plain one", id="gz"),
        pytest.param(".", None, "not a file; follow a plain one, or read a pipe with --jsonl", id="folder"),
        pytest.param(
            "live.csv",
            "time,asset,value,momentum\n",
            "columns time, asset, value, momentum; the model takes time, asset, momentum, value; put them in that "
            "order, or set serving.reorder in operations.toml",
            id="columns",
        ),
        pytest.param("live.csv", "\n", "no header; the first line names the columns", id="no-header"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    good_model: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    path = tmp_path / "rows" / name
    (tmp_path / "rows").mkdir()
    if content is not None:
        path.write_text(content)
    with pytest.raises(FormatError) as caught:
        Desk(good_model, path).follow()
    assert str(caught.value) == f"{path}: {message}"


def test_options_that_mean_nothing_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shadow", "--onnx", "x", "--jsonl", "-", "--follow"]) == 2
    assert main(["serve", "--onnx", "x", "--csv", "x", "--metrics", "1"]) == 2
    assert capsys.readouterr().err == (
        "modelgates: --follow what? Give --csv FILE with it; --jsonl - reads what comes without it\n"
        "modelgates: --metrics is for --follow, --feed and --workers; one server of --http has /metrics of its own\n"
    )


def wait_for(found: Any) -> Any:
    """Wait for something, for as long as the test may take."""
    while not (value := found()):
        os.sched_yield()
    return value


@pytest.mark.integration
@pytest.mark.parametrize(("end", "host"), [(signal.SIGTERM, "127.0.0.1"), (signal.SIGINT, "[::1]" if IPV6 else "")])
def test_the_verb_follows_until_it_is_told_to_end(
    good_model: Path, path: Path, artifacts: Artifacts, end: signal.Signals, host: str
) -> None:
    path.write_text(HEADER + rows("A"))
    words = ["shadow", "--onnx", good_model / "model.onnx", "--csv", path, "--follow", "--metrics", f"{host}:0"]
    command = [sys.executable, "-m", "pytest_modelgates", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        begun = process.stdout.readline()
        assert begun.startswith(f"{good_model.name} (shadow): follows {path}; metrics: http://{host or '127.0.0.1'}:")
        append(path, rows("B") + "x\n")()
        wait_for(lambda: len(logged(artifacts, "shadow")) == 3)
        metrics = begun.split()[-1]
        wait_for(lambda: b'feed_lag{unit="bytes"} 0' in urllib.request.urlopen(metrics).read())
        text = urllib.request.urlopen(metrics).read().decode()
        process.send_signal(end)
        said, why = process.communicate()
    assert (process.returncode, why) == (0, f"modelgates: {path}: schema: line 4: 1 field, the header has 4\n")
    assert said == (
        f"{good_model.name} (shadow): 2 rows scored, 1 refused; log: {artifacts.root}/shadow/predictions.jsonl; "
        f"dead letters: {artifacts.root}/predictions/shadow/dead-letters.jsonl\n"
    )
    assert 'modelgates_rows_total{result="scored"} 2.0' in text
    assert 'modelgates_rows_total{result="refused"} 1.0' in text


@contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    """End a process also where a test fails; to leave it waits for it."""
    try:
        yield
    finally:
        process.kill()


@pytest.mark.integration
def test_a_drill_asks_a_run_that_follows_a_file(
    good_model: Path, path: Path, artifacts: Artifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(HEADER)
    words = ["serve", "--onnx", good_model / "model.onnx", "--csv", path, "--follow"]
    command = [sys.executable, "-m", "pytest_modelgates", *map(str, words)]
    drilling = ["kill", "--drill", "--artifacts", str(artifacts.root)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        ended(process),
    ):
        assert process.stdout
        process.stdout.readline()
        assert [(one.pid, one.arm, one.address) for one in running(artifacts)] == [(process.pid, "live", None)]
        assert main(drilling) == 1
        assert "(live, a run over rows): would end, as it does when it is killed" in capsys.readouterr().err
        assert process.poll() is None
        assert main([*drilling, "--end-runs"]) == 0
        _, why = process.communicate()
    assert capsys.readouterr().out.endswith("1 of 1 run ended; nothing is left stopped\n")
    assert process.returncode == 1
    assert "kill drill" in why
    assert running(artifacts) == []


@pytest.mark.integration
def test_killed_in_the_middle_no_row_is_lost_and_none_logged_twice(
    good_model: Path, path: Path, artifacts: Artifacts
) -> None:
    path.write_text(HEADER)
    words = ["serve", "--onnx", good_model / "model.onnx", "--csv", path, "--follow"]
    command = [sys.executable, "-m", "pytest_modelgates", *map(str, words)]
    count = 0
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            for _ in range(40):
                append(path, rows(*(f"A{count + number}" for number in range(50))))()
                count += 50
            least = count - 1500
            wait_for(lambda: len(logged(artifacts, "live")) > least)  # noqa: B023
            process.kill()
    Desk(good_model, path).follow()
    assert names(logged(artifacts, "live")) == [f"A{number}" for number in range(count)]


@pytest.mark.integration
def test_a_model_that_the_link_leads_to_goes_on_with_the_next_row(good_model: Path, path: Path) -> None:
    artifacts = Artifacts.of(good_model)
    other = pack_ridge(artifacts.root, invented_panel(seed=2), changes="Another ridge.")
    odd = artifacts.models / "1999999999"

    def lead_to(model: Path) -> None:
        staged = artifacts.models / "staged"
        staged.symlink_to(model.name)
        staged.replace(artifacts.latest)

    lead_to(good_model)
    artifacts.latest_onnx.symlink_to("latest/model.onnx")
    path.write_text(HEADER + rows("A"))
    words = ["serve", "--onnx", artifacts.latest_onnx, "--csv", path, "--follow"]
    command = [sys.executable, "-m", "pytest_modelgates", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        begun = f"(live): follows {path}\n"
        assert process.stdout.readline() == f"{good_model.name} {begun}"
        wait_for(lambda: len(logged(artifacts, "live")) == 1)
        lead_to(odd)
        why = (
            f"modelgates: wanted {odd}/model.onnx, serving {good_model.name}, because {artifacts.latest_onnx}: no model"
        )
        assert process.stderr.readline().startswith(why)
        append(path, rows("B"))()
        wait_for(lambda: len(logged(artifacts, "live")) == 2)
        lead_to(other)
        assert process.stdout.readline() == f"{other.name} {begun}"
        append(path, rows("C"))()
        wait_for(lambda: len(logged(artifacts, "live")) == 3)
        process.terminate()
        said, _ = process.communicate()
    assert (process.returncode, said.partition(";")[0]) == (0, f"{other.name} (live): 3 rows scored, 0 refused")
    found = logged(artifacts, "live")
    assert names(found) == ["A", "B", "C"]
    assert [record.model_id for record in found] == [good_model.name, good_model.name, other.name]
