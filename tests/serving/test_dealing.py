"""An A/B test in an adapter that runs: both arms logged, each row by one model, whatever becomes of the candidate."""

import csv
import itertools
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.audit import ab
from pytest_modelgates.audit.ab import Plan
from pytest_modelgates.audit.kill import kill, unkill
from pytest_modelgates.cli import main
from pytest_modelgates.errors import KilledError
from pytest_modelgates.predictions.parts import PartWriter
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving import adapter as adapter_module
from pytest_modelgates.serving import dealing as module
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.dealing import Dealer
from pytest_modelgates.serving.guards import TripLimits
from pytest_modelgates.serving.scorer import Rows, Scored
from pytest_modelgates.serving.settings import settings_of
from pytest_modelgates.storage.strict_json import readable
from tests.registry.test_ab import go_live
from tests.serving.test_server import Running, serving
from tests.support.ab import both_arms, keys_of, plan_of
from tests.support.handmade import Registry, modelgates

pytestmark = pytest.mark.integration


def rows(count: int = 200, *, day: str = "2026-01-02", request: str | None = None) -> Rows:
    keys = [f"{day}|A{number}" for number in range(count)]
    matrix = np.random.default_rng(3).standard_normal((count, 2)).astype(np.float32)
    return Rows(keys, matrix, [None] * count, request and [request] * count)


class Desk:
    """A live adapter that deals, and what was said."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.artifacts = registry, registry.artifacts
        self.said = list[str]()
        self.live = Adapter(self.artifacts.latest_onnx, arm="live", settings=settings_of)
        self.dealer = self.live.dealer = Dealer(self.live, settings_of, say=self.said.append)

    def begin(self, **changes: object) -> Plan:
        """Start a test, and let the adapter look."""
        plan = plan_of(self.artifacts, self.registry.live, self.registry.candidate, **changes)
        ab.start(self.artifacts, plan)
        self.look()
        return plan

    def look(self) -> None:
        """Look at the plan as if a second, or half a minute, had gone by."""
        self.dealer._look_at = self.dealer._again_at = 0.0
        self.dealer.look()

    def check(self, plan: Plan, records: list[Prediction]) -> None:
        """Each row is answered by the model that the plan says, and logged once, in the log of its arm."""
        for record in records:
            dealt = plan.takes(record.row_key)
            assert (record.arm, record.model_id) == (("ab", plan.candidate) if dealt else ("live", plan.live))
        ours, theirs = both_arms(self.artifacts)
        assert keys_of(ours + theirs) == keys_of(records)
        assert {record.model_id for record in ours} <= {plan.live}
        assert {record.model_id for record in theirs} <= {plan.candidate}


@pytest.fixture
def desk(registry: Registry) -> Desk:
    """A live adapter."""
    return Desk(registry)


def test_each_row_is_answered_and_logged_by_one_model(desk: Desk) -> None:
    plan = desk.begin()
    records = desk.live.score(rows(request="r-1"))
    assert [record.row_key for record in records] == rows().keys
    assert {record.request for record in records} == {"r-1"}
    desk.check(plan, records)
    assert 60 < sum(record.arm == "ab" for record in records) < 140
    assert desk.said == [f"A/B test {plan}; logged as ab"]
    alone = {
        model_id: Adapter(desk.artifacts.model(model_id) / "model.onnx", arm="shadow").scored_alone(rows())
        for model_id in (plan.live, plan.candidate)
    }
    for number, record in enumerate(records):
        assert record.prediction == pytest.approx(alone[record.model_id][number].prediction, rel=1e-6)


def test_a_row_stays_with_its_arm_over_batches_and_restarts(desk: Desk) -> None:
    desk.begin(share=0.3)
    whole = {record.row_key: record.arm for record in desk.live.score(rows())}
    desk.live.close()
    again = Desk(desk.registry)
    again.look()
    every, batches = rows(), list[Prediction]()
    for start in range(0, 200, 7):
        batches += again.live.score(every.taken(range(start, min(start + 7, 200))))
    assert {record.row_key: record.arm for record in batches} == whole


def test_without_a_plan_nothing_is_dealt(desk: Desk) -> None:
    desk.look()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert desk.said == []


def test_the_plan_is_looked_at_once_a_second(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock) / 4)
    asked = list[object]()
    monkeypatch.setattr(desk.dealer, "changed", lambda: bool(asked.append(1)))
    for _ in range(41):
        desk.dealer.look()
    assert len(asked) == 11


def test_a_test_that_is_stopped_leaves_all_rows_to_the_live_model(desk: Desk) -> None:
    plan = desk.begin()
    ab.stop(desk.artifacts, "seen enough")
    desk.look()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert desk.said[1:] == [f"no A/B test runs any more: all rows go to {plan.live}"]


def test_a_candidate_that_went_live_and_was_rolled_back_gets_no_row(desk: Desk) -> None:
    plan = desk.begin()
    go_live(desk.registry, "promote", plan.candidate)
    go_live(desk.registry, "rollback", plan.live)
    desk.look()
    assert desk.said[1:] == [f"no A/B test runs any more: all rows go to {plan.live}"]
    desk.artifacts.write(desk.artifacts.ab, readable(plan))  # as if both changes could not end it
    desk.look()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert desk.said[2:] == [
        f"A/B test {plan}: all rows go to {plan.live}, because {plan.live} went live again after the test began, and a "
        'change of the live model ends a test; to end it: modelgates ab stop --reason "…"'
    ]


def test_a_row_that_cannot_be_scored_stays_where_it_is(desk: Desk) -> None:
    plan, asked = desk.begin(), rows()
    asked.matrix[:, 0] = np.inf
    records = desk.live.score(asked)
    assert all(record.error for record in records)
    desk.check(plan, records)


def gone(desk: Desk) -> None:
    shutil.rmtree(desk.artifacts.model(desk.registry.candidate))


def replaced(desk: Desk) -> None:
    folder = desk.artifacts.model(desk.registry.candidate)
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    (folder.with_name("copy") / "CHANGES.md").write_text("Changed.\n")
    folder.with_name("copy").rename(folder)


def promoted(desk: Desk) -> None:
    desk.artifacts.latest.unlink()
    desk.artifacts.latest.symlink_to(desk.registry.candidate)
    desk.live.close()
    desk.live = Adapter(desk.artifacts.latest_onnx, arm="live", settings=settings_of)
    desk.dealer = desk.live.dealer = Dealer(desk.live, settings_of, say=desk.said.append)


MIDWAY = [
    pytest.param(gone, "all rows go to {live}, because {candidate} is gone|no model there", id="gone"),
    pytest.param(replaced, "all rows go to {live}, because ", id="replaced"),
    pytest.param(
        promoted, "it compares with {live}, and {candidate} is served, which gets all rows; to end", id="live"
    ),
]


@pytest.mark.parametrize(("change", "said"), MIDWAY)
def test_a_candidate_that_goes_in_mid_run_leaves_its_rows_to_the_live_model(
    desk: Desk, change: Callable[[Desk], None], said: str
) -> None:
    plan = desk.begin()
    before = desk.live.score(rows())
    assert {record.arm for record in before} == {"live", "ab"}
    change(desk)
    desk.look()
    after = desk.live.score(rows(day="2026-01-03"))
    assert {record.arm for record in after} == {"live"}
    assert len({record.model_id for record in after}) == 1
    wanted = said.format(live=plan.live, candidate=plan.candidate).split("|")
    assert any(each in desk.said[-1] for each in wanted), desk.said
    assert desk.said[-1].endswith('to end it: modelgates ab stop --reason "…"')
    assert desk.dealer.trouble == desk.said[-1]
    desk.look()
    desk.look()
    assert len(desk.said) == 2  # said once


@pytest.mark.parametrize("spoil", ["model.onnx", "manifest.json"])
def test_a_damaged_candidate_takes_no_row(desk: Desk, spoil: str) -> None:
    plan = plan_of(desk.artifacts, desk.registry.live, desk.registry.candidate)
    with (desk.artifacts.model(desk.registry.candidate) / spoil).open("ab") as file:
        file.write(b" ")
    ab.start(desk.artifacts, plan)
    desk.look()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert f"all rows go to {plan.live}, because " in desk.said[0]


def test_a_candidate_of_another_digest_takes_no_row(desk: Desk) -> None:
    plan = plan_of(desk.artifacts, desk.registry.live, desk.registry.candidate)
    ab.start(desk.artifacts, msgspec.structs.replace(plan, candidate_digest="e" * 64))
    desk.look()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert (
        f"{plan.candidate} was changed since the test began: its digest is {plan.candidate_digest[:12]}…"
        in desk.said[0]
    )


def test_a_plan_that_is_none_leaves_all_rows_to_the_live_model(desk: Desk) -> None:
    desk.artifacts.ab.write_bytes(b"{")
    desk.look()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert desk.said[0].startswith(f"the A/B test: all rows go to {desk.registry.live}, because {desk.artifacts.ab}: ")


def test_a_candidate_that_breaks_leaves_its_rows_to_the_live_model(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = desk.begin()

    def broken(_: object) -> Scored:
        raise MemoryError("no more")

    assert desk.dealer.adapter
    monkeypatch.setattr(desk.dealer.adapter._scorer, "score", broken)
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    assert desk.said[1:] == [
        f"A/B test {plan}: all rows go to {plan.live}, because its model failed (MemoryError('no more')); "
        'to end it: modelgates ab stop --reason "…"'
    ]


def test_its_arm_is_killed_alone_and_goes_on_after(desk: Desk) -> None:
    plan = desk.begin()
    kill(desk.artifacts, "ab", "it looks odd", "kill")
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    unkill(desk.artifacts, "ab", "it was fine")
    assert {record.arm for record in desk.live.score(rows(day="2026-01-03"))} == {"live", "ab"}
    assert f"A/B test {plan}: its arm is stopped, and all rows go to {plan.live}: arm ab " in desk.said[1]
    assert desk.said[2:] == [f"A/B test {plan}: goes on"]


def test_a_kill_of_the_live_arm_stops_both(desk: Desk) -> None:
    desk.begin()
    kill(desk.artifacts, "live", "stop", "kill")
    with pytest.raises(KilledError):
        desk.live.score(rows())
    assert both_arms(desk.artifacts) == ([], [])


def test_rows_of_an_arm_that_is_killed_after_they_were_scored_are_scored_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.begin()
    scored = Dealer.scored

    def then_killed(dealer: Dealer, asked: Rows) -> list[Prediction] | None:
        found = scored(dealer, asked)
        kill(desk.artifacts, "ab", "in between", "kill")
        return found

    monkeypatch.setattr(Dealer, "scored", then_killed)
    records = desk.live.score(rows())
    assert {record.arm for record in records} == {"live"}
    ours, theirs = both_arms(desk.artifacts)
    assert (keys_of(ours), theirs) == (sorted(rows().keys), [])


def test_a_log_that_fails_halfway_is_gone_on_with_and_no_row_is_logged_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = desk.begin()
    part = desk.live._scored(rows())
    write = desk.live._writing(part, rows(), range(200))
    full = desk.live._log.write
    monkeypatch.setattr(desk.live._log, "write", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write()
    monkeypatch.setattr(desk.live._log, "write", full)
    write()
    desk.check(plan, part)


def table(path: Path, count: int, *, day: str = "2026-01-02", begin: int = 0) -> list[list[str]]:
    """Write a CSV file of rows, one of them no row."""
    numbers = np.random.default_rng(5).standard_normal((count, 2))
    lines = [[day, f"A{begin + number}", *map(str, pair)] for number, pair in enumerate(numbers)]
    with path.open("w") as file:
        csv.writer(file).writerows([["time", "asset", "momentum", "value"], *lines])
    return lines


def test_a_file_is_scored_by_both_in_the_order_of_its_lines(registry: Registry, tmp_path: Path) -> None:
    plan = plan_of(registry.artifacts, registry.live, registry.candidate, share=0.3)
    ab.start(registry.artifacts, plan)
    table(tmp_path / "rows.csv", 600)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    lines.insert(300, "2026-01-02,odd,x,0")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    done = modelgates("serve", "--onnx", registry.artifacts.latest_onnx, "--csv", tmp_path / "rows.csv")
    assert done.returncode == 1, done.stderr
    assert "600 rows scored, 1 refused" in done.stdout
    assert f"modelgates: A/B test {plan}; logged as ab\n" in done.stderr
    ours, theirs = both_arms(registry.artifacts)
    assert [record.row_key for record in theirs] == [
        key for key in (f"2026-01-02|A{number}" for number in range(600)) if plan.takes(key)
    ]
    assert len(ours) + len(theirs) == 601
    assert [record.row_key for record in ours if record.error] == ["2026-01-02|odd"]


def follow(onnx: Path, path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pytest_modelgates", "serve", "--onnx", onnx, "--csv", path, "--follow"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(wanted: Callable[[], bool], *, within_s: float = 60) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + within_s
    while not wanted():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_feed_that_is_cut_off_anywhere_logs_each_row_once(registry: Registry, tmp_path: Path, share: float) -> None:
    pytest.importorskip("watchfiles")
    artifacts, path = registry.artifacts, tmp_path / "grows.csv"
    ab.start(artifacts, plan_of(artifacts, registry.live, registry.candidate, share=share))
    table(path, 20)

    def count() -> int:
        return sum(map(len, both_arms(artifacts)))

    for turn in range(1, 4):
        with follow(artifacts.latest_onnx, path) as process:
            until(lambda turn=turn: count() >= 20 * turn)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
        with path.open("a") as file:
            csv.writer(file).writerows([["2026-01-02", f"B{turn}-{number}", "0.5", "0.25"] for number in range(20)])
    with follow(artifacts.latest_onnx, path) as process:
        until(lambda: count() >= 80)
        process.terminate()
    ours, theirs = both_arms(artifacts)
    wanted = [f"2026-01-02|A{n}" for n in range(20)] + [f"2026-01-02|B{t}-{n}" for t in (1, 2, 3) for n in range(20)]
    assert keys_of(ours + theirs) == sorted(wanted)
    assert ours
    assert theirs


def test_a_feed_that_was_cut_off_between_the_two_logs_logs_the_rest(registry: Registry, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    artifacts, path = registry.artifacts, tmp_path / "grows.csv"
    ab.start(artifacts, plan_of(artifacts, registry.live, registry.candidate))
    table(path, 60)
    with follow(artifacts.latest_onnx, path) as process:
        until(lambda: sum(map(len, both_arms(artifacts))) >= 60)
        process.terminate()
    # The candidate's rows are logged first, so this is what a process leaves that dies then.
    shutil.rmtree(artifacts.predictions / "live")
    before = both_arms(artifacts)[1]
    with follow(artifacts.latest_onnx, path) as process:
        until(lambda: sum(map(len, both_arms(artifacts))) >= 60)
        process.terminate()
    ours, theirs = both_arms(artifacts)
    assert theirs == before
    assert keys_of(ours + theirs) == sorted(f"2026-01-02|A{number}" for number in range(60))


def ask(server: Running, day: str, count: int = 40) -> list[dict[str, object]]:
    asked = [{"time": day, "asset": f"A{n}", "momentum": n / 40, "value": 0.25} for n in range(count)]
    status, said = server.ask("/predict", {"rows": asked})
    assert status == 200, said
    found: list[dict[str, object]] = said["predictions"]
    return found


def test_a_server_takes_a_test_up_while_it_runs_and_lets_it_go(registry: Registry) -> None:
    artifacts = registry.artifacts
    with serving(artifacts.latest_onnx) as server:
        assert all("model_version" not in each for each in ask(server, "2026-01-02"))
        plan = plan_of(artifacts, registry.live, registry.candidate)
        ab.start(artifacts, plan)
        days = (f"2026-02-{day:02d}" for day in itertools.count(1))
        until(lambda: any("model_version" in each for each in ask(server, next(days))))
        for each in ask(server, "2026-03-02"):
            assert each.get("model_version") == (plan.candidate if plan.takes(str(each["row_key"])) else None)
        status, metrics = _metrics(server)
        assert (status, metrics["modelgates_ab_failed"]) == (200, 0)
        assert metrics['modelgates_ab_rows_total{arm="ab"}'] > 0
        # Another model goes live meanwhile, here the candidate itself.
        artifacts.latest.unlink()
        artifacts.latest.symlink_to(registry.candidate)
        days = (f"2026-04-{day:02d}" for day in itertools.count(1))
        until(lambda: server.ask("/v2/health/ready")[1]["serving"]["version"] == registry.candidate)
        assert all("model_version" not in each for each in ask(server, "2026-05-02"))
        until(lambda: _metrics(server)[1]["modelgates_ab_failed"] == 1)
    ours, theirs = both_arms(artifacts)
    assert len(set(keys_of(ours + theirs))) == len(ours) + len(theirs)
    assert {record.model_id for record in theirs} == {plan.candidate}


def _metrics(server: Running) -> tuple[int, dict[str, float]]:
    import urllib.request

    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=30) as reply:
        lines = [line for line in reply.read().decode().splitlines() if not line.startswith("#")]
        return reply.status, {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_shadow_runs_take_no_part(registry: Registry, tmp_path: Path) -> None:
    ab.start(registry.artifacts, plan_of(registry.artifacts, registry.live, registry.candidate))
    table(tmp_path / "rows.csv", 30)
    onnx = str(registry.artifacts.model(registry.candidate) / "model.onnx")
    assert main(["shadow", "--onnx", onnx, "--csv", str(tmp_path / "rows.csv")]) == 0
    assert both_arms(registry.artifacts) == ([], [])


def test_a_plan_of_hostile_text_is_said_in_one_line(desk: Desk) -> None:
    plan = plan_of(desk.artifacts, desk.registry.live, desk.registry.candidate)
    desk.artifacts.ab.write_bytes(readable(msgspec.to_builtins(plan) | {"by": "\x1b[2J\nrow"}))
    desk.look()
    assert "\x1b" not in desk.said[0]
    assert "\n" not in desk.said[0]


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_request_that_only_one_log_takes_is_in_neither(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = desk.begin()
    before = desk.live.score(rows())
    with monkeypatch.context() as patch:
        patch.setattr(desk.live._log, "write", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                desk.live.score(rows(day="2026-01-03"))
    desk.check(plan, before)
    desk.check(plan, before + desk.live.score(rows(day="2026-01-03")))


def test_a_kill_of_the_live_arm_between_the_two_logs_leaves_the_rows_in_neither(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.begin()
    log = Dealer.log

    def then_killed(dealer: Dealer, records: list[Prediction]) -> bool:
        done = log(dealer, records)
        kill(desk.artifacts, "live", "in between", "kill")
        return done

    monkeypatch.setattr(Dealer, "log", then_killed)
    with pytest.raises(KilledError):
        desk.live.score(rows())
    assert both_arms(desk.artifacts) == ([], [])


def test_what_cannot_be_taken_back_is_not_logged_again_by_the_same_write(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = desk.begin()
    assert desk.dealer.adapter
    part = desk.live._scored(rows())
    write = desk.live._writing(part, rows(), range(200))
    with monkeypatch.context() as patch:
        patch.setattr(desk.live._log, "write", full)
        patch.setattr(desk.dealer.adapter._log, "take_back", full)
        with pytest.raises(OSError, match="No space left"):
            write()
    write()
    desk.check(plan, part)


def test_a_trip_of_the_candidate_that_leaves_no_file_logs_no_row_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = desk.begin()
    assert desk.dealer.adapter
    monkeypatch.setattr(adapter_module, "kill", full)
    monkeypatch.setattr(desk.dealer.adapter._trips, "limits", TripLimits(min_rows=1, rows_per_s=0))
    records = desk.live.score(rows())
    desk.check(plan, records)
    after = desk.live.score(rows(day="2026-01-03"))
    assert {record.arm for record in after} == {"live"}
    assert (
        f"A/B test {plan}: its arm is stopped, and all rows go to {plan.live}: the kill switch is on (" in desk.said[1]
    )
    assert "(trips.rows_per_s)" in desk.said[1]


def test_a_candidate_whose_log_cannot_be_written_leaves_its_rows_to_the_live_model(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = desk.begin()
    assert desk.dealer.adapter
    monkeypatch.setattr(desk.dealer.adapter._log, "write", full)
    records = desk.live.score(rows())
    assert {record.arm for record in records} == {"live"}
    ours, theirs = both_arms(desk.artifacts)
    assert (keys_of(ours), theirs) == (sorted(rows().keys), [])
    why = "because its log cannot be written ([Errno 28] No space left on device)"
    assert desk.said[1:] == [
        f'A/B test {plan}: all rows go to {plan.live}, {why}; to end it: modelgates ab stop --reason "…"'
    ]
    assert desk.dealer.trouble == desk.said[-1]
    desk.look()
    assert {record.arm for record in desk.live.score(rows(day="2026-01-03"))} == {"live", "ab"}


def test_a_disk_that_is_full_for_both_logs_stops_the_batch_until_it_is_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.begin()
    part = desk.live._scored(rows())
    write = desk.live._writing(part, rows(), range(200))
    with monkeypatch.context() as patch:
        patch.setattr(PartWriter, "write", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                write()
    write()
    assert {record.arm for record in part} == {"live"}
    ours, theirs = both_arms(desk.artifacts)
    assert (keys_of(ours), theirs) == (sorted(rows().keys), [])


def test_a_candidate_that_has_no_folder_for_its_log_takes_no_row(desk: Desk) -> None:
    folder = desk.artifacts.predictions / "ab"
    desk.artifacts.predictions.mkdir(parents=True)
    folder.write_bytes(b"")
    folder.chmod(0o755)
    plan = desk.begin()
    assert {record.arm for record in desk.live.score(rows())} == {"live"}
    desk.look()
    assert desk.said == [
        f"A/B test {plan}: all rows go to {plan.live}, because {folder}: not a folder that can be written to, where "
        f"its rows are logged; take away what lies there, or give it to this user; to end it: modelgates ab stop "
        '--reason "…"'
    ]
    folder.unlink()
    desk.look()
    assert {record.arm for record in desk.live.score(rows(day="2026-01-03"))} == {"live", "ab"}
