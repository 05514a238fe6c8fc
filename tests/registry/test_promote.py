"""Promotion and rollback, from the command line to the link, the log and the golden."""

import json
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import read_log, tail
from pytest_modelgates.cli import main
from pytest_modelgates.drift import load_golden_predictions
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry import promote
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import (
    Desk,
    edited,
    evidence,
    golden_of,
    green_ledger,
    green_report,
    green_run,
    log_predictions,
    modelgates,
    predictions,
    record,
    write_report,
)
from tests.support.panels import invented_panel, pack_ridge


def by_report(desk: Desk, report: Path, *more: object) -> int:
    """Promote the candidate by a report, under the policy without nights and hours."""
    return main(
        [
            "promote",
            "--report",
            str(report),
            "--artifacts",
            str(desk.artifacts.root),
            "--policy",
            str(desk.policy_file),
            *map(str, more),
        ]
    )


def refusal(desk: Desk, report: Path, capsys: pytest.CaptureFixture[str], *more: object) -> str:
    """Try to promote, see that nothing changed, and return what was said."""
    before = desk.state()
    assert by_report(desk, report, *more) == 1
    assert desk.state() == before
    return capsys.readouterr().err


def test_a_first_model_goes_live_by_its_own_gates(
    first_promotion: tuple[Desk, "subprocess.CompletedProcess[str]"],
) -> None:
    desk, done = first_promotion
    assert done.returncode == 0
    assert "no reference yet" in done.stdout
    assert os.readlink(desk.artifacts.latest) == desk.live
    assert os.readlink(desk.artifacts.latest_onnx) == "latest/model.onnx"
    (entry,) = read_log(desk.artifacts.promotions)
    assert f"is live, in place of nothing (sha256:{entry.digest[:16]})\n" in done.stdout
    assert done.stdout.endswith(f"audit log: {tail(desk.artifacts.promotions).head}\n")
    assert (entry.action, entry.from_, entry.to) == ("promote", None, desk.live)
    (report,) = (desk.artifacts.root / "reports" / desk.live).iterdir()
    assert entry.report_digest == promote.read_report(report).digest


def test_a_green_report_promotes_and_leaves_a_golden(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert by_report(desk, green_report(desk), "--reason", "retrained") == 0
    assert f"{desk.candidate} is live, in place of {desk.live}" in capsys.readouterr().out
    entry = read_log(desk.artifacts.promotions)[-1]
    directory = desk.artifacts.model(desk.candidate)
    assert (entry.from_, entry.to, entry.reason) == (desk.live, desk.candidate, "retrained")
    assert entry.digest == tree_digest(directory)
    assert desk.artifacts.latest_onnx.resolve() == (directory / "model.onnx").resolve()
    golden = load_golden_predictions(desk.candidate, folder=desk.artifacts.golden)
    np.testing.assert_array_equal(golden, golden_of(directory))
    assert len(load_golden_predictions(desk.live, folder=desk.artifacts.golden)) == len(golden)


def test_the_id_may_stand_behind_the_report(desk: Desk) -> None:
    assert by_report(desk, green_report(desk), desk.candidate) == 0
    assert live_id(desk.artifacts) == desk.candidate


def test_the_script_in_the_registry_folder_takes_a_report(desk: Desk) -> None:
    script = Path(__file__).parents[2] / "registry" / "promote.py"
    command = [sys.executable, script, green_report(desk), "--policy", desk.policy_file]
    done = subprocess.run(command, cwd=desk.artifacts.root.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, live_id(desk.artifacts)) == (0, desk.candidate), done.stderr


def test_a_dry_run_prints_the_plan_and_changes_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    before, report = desk.state(), green_report(desk)
    assert by_report(desk, report, "--dry-run") == 0
    assert capsys.readouterr().out == (
        f"plan: promote {desk.candidate} in place of {desk.live}, by {report}\nnothing speaks against it\n"
    )
    assert desk.state() == before


def test_a_dry_run_names_every_reason(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    report = edited(green_report(desk), "exitcode", value=1)
    desk.policy_file.write_text("format = 1")
    assert by_report(desk, report, "--dry-run") == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"plan: promote {desk.candidate}")
    for part in (
        "the report says 1",
        "another policy",
        "1 consecutive UTC night",
        "0.0 h of shadow",
        "drift in shadow",
    ):
        assert part in said.err


def test_a_report_of_another_model_is_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    report = green_report(desk, desk.live)
    assert refusal(desk, report, capsys, desk.candidate) == (
        f"modelgates: {desk.candidate} is not promoted:\n  the report is of {desk.live}, not of {desk.candidate} "
        f"→ pytest --model-dir={desk.artifacts.model(desk.candidate)}\n"
    )


def test_a_report_of_two_models_needs_the_id(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    directories = [desk.artifacts.model(name) for name in (desk.live, desk.candidate)]
    runs = {directory.name: green_run(directory, desk.policy) for directory in directories}
    ledger = msgspec.structs.replace(green_ledger(directories[1], desk.policy), models=runs)
    report = write_report(desk.artifacts.root / "two.json", ledger)
    assert refusal(desk, report, capsys) == (
        f"modelgates: {report}: a report of 2 models ({desk.live}, {desk.candidate}); name the one to promote\n"
    )
    assert by_report(desk, report, desk.candidate) == 0
    odd = msgspec.structs.replace(ledger, models=dict.fromkeys(("x\n\x1b[2J", "y"), runs[desk.candidate]))
    assert r" 2 models (x\n\x1b[2J, y); name" in refusal(desk, write_report(report, odd), capsys)


def test_a_file_that_changed_after_the_gates_is_refused_by_name(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    report = green_report(desk)
    with (desk.artifacts.model(desk.candidate) / "CHANGES.md").open("a") as file:
        file.write("!")
    assert "CHANGES.md: 16 bytes, the manifest says 15 → pack it again" in refusal(desk, report, capsys)


def test_other_bytes_than_those_of_the_report_are_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    run = green_run(desk.artifacts.model(desk.candidate), desk.policy)
    report = green_report(desk, run=msgspec.structs.replace(run, digest_before="0" * 64, digest_after="0" * 64))
    assert "the report is of other bytes (000000000000…) than the model has now" in refusal(desk, report, capsys)


def test_a_model_that_is_live_is_not_promoted_again(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{desk.live} is live already → modelgates status" in refusal(desk, green_report(desk, desk.live), capsys)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("1999999999", id="unknown"),
        pytest.param("../../x", id="upwards"),
        pytest.param("１７００００００００", id="full-width-digits"),
        pytest.param("1700000000\n", id="newline"),
        pytest.param("latest", id="link"),
        pytest.param("", id="empty"),
    ],
)
def test_an_id_that_is_none_is_refused_in_one_line(desk: Desk, capsys: pytest.CaptureFixture[str], name: str) -> None:
    said = refusal(desk, green_report(desk), capsys, name) if name else ""
    assert not name or said.count("\n") == 1
    assert not name or "is no model id" in said or "is unknown: no directory" in said


def test_a_link_to_a_model_directory_is_no_model(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    directory = desk.artifacts.model(desk.candidate)
    elsewhere = desk.artifacts.root / "elsewhere"
    directory.rename(elsewhere)
    report = green_report(desk, desk.live)
    directory.symlink_to(elsewhere)
    assert "is unknown: no directory" in refusal(desk, report, capsys, desk.candidate)


def test_a_promotion_without_a_reason_is_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert 'a promotion needs a reason: --reason "…"' in refusal(desk, green_report(desk), capsys, "--reason", " ")


def test_no_reference_is_admitted_only_before_the_first_promotion(
    empty_desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = empty_desk
    run = green_run(desk.artifacts.model(desk.candidate), desk.policy)
    slo = desk.policy.slo["drift.psi"]
    unmeasured = evidence("drift.psi", slo, state="no reference yet", note="nothing was ever live")
    lacking = record("drift.psi", desk.policy, evidence=(unmeasured,))
    gates = tuple(lacking if gate.gate == "drift.psi" else gate for gate in run.gates)
    report = green_report(desk, run=msgspec.structs.replace(run, gates=gates))
    other = shutil.copy(report, report.with_name("other.json"))
    assert by_report(desk, report) == 0
    assert by_report(desk, green_report(desk, desk.live)) == 0
    capsys.readouterr()
    assert "drift.psi no reference yet: nothing was ever live" in refusal(desk, Path(other), capsys)


@pytest.mark.parametrize("lost", ["log", "link"])
def test_a_log_without_its_link_is_no_first_model(desk: Desk, capsys: pytest.CaptureFixture[str], lost: str) -> None:
    (desk.artifacts.promotions if lost == "log" else desk.artifacts.latest).unlink()
    said = refusal(desk, green_report(desk), capsys)
    logged, linked = ("nothing", desk.live) if lost == "log" else (desk.live, "nothing")
    assert f"promotions.log says {logged} is live, latest points at {linked}" in said


def test_a_registry_that_lost_both_log_and_link_is_none_before_its_first_promotion(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.artifacts.promotions.unlink()
    desk.artifacts.latest.unlink()
    for model_id in (desk.live, desk.candidate):
        assert refusal(desk, green_report(desk, model_id), capsys).splitlines()[1:] == [
            f"  record 2 is not, or no longer, the one that {desk.candidate} kept: the log was cut off or written anew "
            "→ put promotions.log and latest back"
        ]


def test_what_promotion_asks_for_comes_with_the_first_live_model(
    empty_desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = empty_desk
    desk.policy_file.write_text("format = 1")
    assert by_report(desk, green_report(desk, desk.live)) == 0
    capsys.readouterr()
    said = refusal(desk, green_report(desk), capsys)
    directory = desk.artifacts.model(desk.candidate)
    shadow = f"→ modelgates shadow --onnx {directory}/model.onnx --csv live_data.csv"
    assert said.splitlines() == [
        f"modelgates: {desk.candidate} is not promoted:",
        "  1 consecutive UTC nights with ONNX parity, the policy asks for 7 "
        f"→ pytest --model-dir={directory} every night",
        f"  0.0 h of shadow records, the policy asks for 24 h {shadow}",
        f"  drift in shadow cannot be measured: 0 rows scored, at least 170 are needed {shadow}",
    ]


def test_nights_hours_and_calm_predictions_promote(desk: Desk) -> None:
    desk.policy_file.write_text("format = 1")
    directory, now = desk.artifacts.model(desk.candidate), datetime.now(UTC)
    for night in range(1, 8):
        then = now - timedelta(days=night)
        ledger = green_ledger(directory, desk.policy, finished=then)
        write_report(desk.artifacts.reports(desk.candidate) / f"{then:%Y%m%dT%H%M%S}Z.json", ledger)
    drawn = np.random.default_rng(3).choice(golden_of(directory), 500).tolist()
    records = predictions(tree_digest(directory), drawn)
    log_predictions(desk.artifacts.shadow_predictions, records)
    assert by_report(desk, green_report(desk)) == 0


def test_a_directory_whose_hard_gates_fail_is_refused(desk: Desk) -> None:
    noise = pack_ridge(desk.artifacts.root, invented_panel(signal=0))
    before = desk.state()
    # What would soften the gates if it were passed on to them.
    env = os.environ | {"PYTEST_ADDOPTS": "--collect-only", "PYTHONOPTIMIZE": "2"}
    done = modelgates("promote", noise, "--policy", desk.policy_file, cwd=desk.artifacts.root.parent, env=env)
    assert done.returncode == 1
    assert desk.state() == before
    assert f"{noise.name} is not promoted:\n  pytest ended with 1, a green run ends with 0" in done.stderr
    assert "significance.p_against failed: measured" in done.stderr
    assert "drift.psi inconclusive: 0 live rows scored in shadow, at least 170 are needed" in done.stderr
    assert "is not in the report" not in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_gates_that_leave_no_report_are_refused(desk: Desk, tmp_path: Path) -> None:
    policy = tmp_path / "small.toml"
    policy.write_text("format = 1\n[hermetic]\nmemory_gib = 0.05\n")
    done = modelgates("promote", desk.artifacts.model(desk.candidate), "--policy", policy, cwd=desk.artifacts.root)
    assert done.returncode == 1
    assert f"modelgates: the gates of {desk.candidate} left no report" in done.stderr


def test_a_directory_outside_of_a_models_folder_is_refused_before_any_gate_runs(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = desk.artifacts.root / "candidates" / desk.candidate
    shutil.copytree(desk.artifacts.model(desk.candidate), moved)
    assert main(["promote", str(moved)]) == 1
    assert f"{moved}: lies in no folder `models`, expected artifacts/models/{desk.candidate}" in capsys.readouterr().err


def roll_back(desk: Desk, *more: str) -> int:
    return main(["rollback", "--artifacts", str(desk.artifacts.root), *more])


@pytest.fixture
def twice(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Desk:
    """The candidate is live, the other was."""
    assert by_report(desk, green_report(desk)) == 0
    capsys.readouterr()
    return desk


def test_a_rollback_goes_to_a_model_that_was_live(twice: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert roll_back(twice, twice.live, "--reason", " it lost money ") == 0
    assert f"{twice.live} is live again, in place of {twice.candidate}" in capsys.readouterr().out
    entry = read_log(twice.artifacts.promotions)[-1]
    assert (entry.action, entry.from_, entry.to) == ("rollback", twice.candidate, twice.live)
    assert (entry.reason, entry.report_digest) == ("it lost money", None)
    assert live_id(twice.artifacts) == twice.live
    assert roll_back(twice, twice.candidate, "--reason", "forward again") == 0


NO_ID = "'{}' is no model id: expected the 10 to 12 digits of a Unix time, such as 1763884678"


def test_a_rollback_is_refused_where_it_makes_no_sense(twice: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    before = twice.state()
    for arguments, said in (
        ([twice.live], 'a rollback needs a reason: --reason "…"'),
        ([twice.live, "--reason", " "], 'a rollback needs a reason: --reason "…"'),
        ([twice.candidate, "--reason", "x"], f"{twice.candidate} is live already"),
        (["1700000000", "--reason", "x"], f"1700000000 was never live; rollback goes to one of: {twice.live}"),
        (["../../x", "--reason", "x"], NO_ID.format("../../x")),
    ):
        assert roll_back(twice, *arguments) == 1
        assert capsys.readouterr().err == f"modelgates: {said}\n"
    assert twice.state() == before


def test_a_rollback_verifies_its_target(twice: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    before, directory = twice.state(), twice.artifacts.model(twice.live)
    model = directory / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    assert roll_back(twice, twice.live, "--reason", "x") == 1
    size = model.stat().st_size
    assert f"{twice.live}: model.onnx: {size} bytes, the manifest says {size + 1}" in capsys.readouterr().err
    shutil.rmtree(directory)
    assert roll_back(twice, twice.live, "--reason", "x") == 1
    said = f"modelgates: {twice.live} is not there any more; rollback goes to one of: none\n"
    assert capsys.readouterr().err == said
    assert twice.state() == before


def test_a_rollback_refuses_a_model_that_was_packed_anew_under_its_name(
    twice: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = twice.artifacts.model(twice.live) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["lineage"]["code"] = "another"
    manifest.write_text(json.dumps(content))
    assert roll_back(twice, twice.live, "--reason", "x") == 1
    assert "than when it was live" in capsys.readouterr().err


def test_a_rollback_works_when_the_live_model_is_gone(twice: Desk) -> None:
    shutil.rmtree(twice.artifacts.model(twice.candidate))
    assert roll_back(twice, twice.live, "--reason", "somebody deleted it") == 0
    assert live_id(twice.artifacts) == twice.live


def test_without_a_past_there_is_nothing_to_roll_back_to(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert roll_back(desk, "--reason", "x") == 1
    assert "no other model was ever live; there is nothing to roll back to" in capsys.readouterr().err


def test_without_a_terminal_a_rollback_wants_the_id(twice: Desk) -> None:
    done = modelgates("rollback", "--artifacts", twice.artifacts.root, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (2, f"modelgates: roll back to which model? Give one of {twice.live}\n")


def on_a_terminal(desk: Desk, typed: bytes) -> tuple[int, str]:
    """Run a rollback on a pseudo-terminal, type, and return its exit status and all it showed."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        # Where the tests run in the background, interrupts are ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        command = [sys.executable, "-m", "pytest_modelgates.cli", "rollback", "--artifacts", str(desk.artifacts.root)]
        os.execv(sys.executable, command)
    shown, answered, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        # An interrupt between the prompt and the read behind it is lost on Python: people press the keys again.
        while answered and not select.select([terminal], [], [], 2)[0]:
            os.write(terminal, typed)
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # Linux says EIO when the other side is gone
            break
        if not chunk:
            break
        shown += chunk
        if not answered and b"]: " in shown:
            os.write(terminal, typed)
            answered = True
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.parametrize("chosen", ["by-return", "by-id"])
def test_on_a_terminal_a_rollback_shows_the_past_and_asks(twice: Desk, chosen: str) -> None:
    answer = b"" if chosen == "by-return" else twice.live.encode()
    status, shown = on_a_terminal(twice, answer + b"\nnot as good\n")
    assert status == 0
    assert f"live: {twice.candidate}" in shown
    assert f"was live before: {twice.live}" in shown
    assert f"roll back to [{twice.live}]: " in shown
    assert read_log(twice.artifacts.promotions)[-1].reason == "not as good"


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        pytest.param(b"\x04", 1, "nothing was chosen, nothing is rolled back", id="end-of-file"),
        pytest.param(b"\x03", 130, "interrupted", id="interrupt"),
        pytest.param(b"\n\n", 1, "a rollback needs a reason", id="no-reason"),
        pytest.param(b"nonsense\nx\n", 1, "'nonsense' is no model id", id="nonsense"),
    ],
)
def test_what_is_typed_otherwise_changes_nothing(twice: Desk, typed: bytes, status: int, said: str) -> None:
    before = twice.state()
    found, shown = on_a_terminal(twice, typed)
    assert (found, twice.state()) == (status, before)
    assert said in shown
    assert "Traceback" not in shown


def _promote_at_once(
    root: Path, model_id: str, policy: Path, report: Path, gate: "multiprocessing.synchronize.Barrier"
) -> None:
    gate.wait()
    try:
        promote.promote(
            Artifacts(root),
            promote.model_of(promote.read_report(report), report),
            report,
            load_policy(policy),
            reason="race",
        )
    except RefusedError as error:
        sys.exit(0 if "is live already" in str(error) else 1)


def test_promotions_at_once_take_turns(desk: Desk) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, report = fork.Barrier(4), green_report(desk)
    processes = [
        fork.Process(
            target=_promote_at_once, args=(desk.artifacts.root, desk.candidate, desk.policy_file, report, barrier)
        )
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert [entry.to for entry in read_log(desk.artifacts.promotions)] == [desk.live, desk.candidate]


# Runs `promote`, and ends the process, or fails, at the n-th of the calls that change the disk.
AT_THE_NTH_CALL = textwrap.dedent(
    """
    import errno, os, sys
    from pathlib import Path

    from pytest_modelgates.artifacts import Artifacts
    from pytest_modelgates.registry import promote
    from pytest_modelgates.policy.load import load_policy

    root, model_id, report, policy, nth, how = sys.argv[1:]
    calls = 0

    def sabotaged(name):
        genuine = getattr(os, name)

        def call(*arguments, **options):
            global calls
            calls += 1
            if calls == int(nth) and how == "kill":
                os._exit(9)
            if calls == int(nth) and name == "write":  # a full disk takes a part, then nothing more
                return genuine(arguments[0], bytes(arguments[1])[:7])
            if how == "full" and (calls == int(nth) or (calls > int(nth) and name == "write")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return genuine(*arguments, **options)

        return call

    policy = load_policy(Path(policy))
    for name in ("write", "fsync", "replace", "symlink", "unlink", "mkdir"):
        setattr(os, name, sabotaged(name))
    try:
        promote.promote(Artifacts(Path(root)), model_id, Path(report), policy, reason="sabotage")
    except OSError:
        sys.exit(3)
    sys.exit(0 if calls < int(nth) else 5)
    """
)


@pytest.mark.parametrize("how", ["kill", "full"])
def test_wherever_a_promotion_breaks_off_link_and_log_agree_afterwards(desk: Desk, how: str) -> None:
    report, spoiled = green_report(desk), []
    pristine = desk.artifacts.root.with_name("pristine")
    desk.artifacts.root.rename(pristine)
    fork = multiprocessing.get_context("fork")
    for nth in range(1, 60):
        shutil.rmtree(desk.artifacts.root, ignore_errors=True)
        shutil.copytree(pristine, desk.artifacts.root, symlinks=True)
        arguments = [str(desk.artifacts.root), desk.candidate, str(report), str(desk.policy_file), str(nth), how]
        process = fork.Process(daemon=True, target=_sabotage, args=(arguments,))
        process.start()
        process.join()
        assert live_id(desk.artifacts) in (desk.live, desk.candidate)
        if how == "full" and process.exitcode == 3:
            assert live_id(desk.artifacts) == desk.live
        main(["recover", "--yes", "--artifacts", str(desk.artifacts.root)])
        assert main(["status", "--artifacts", str(desk.artifacts.root)]) == 0
        assert main(["log", "--verify", "--artifacts", str(desk.artifacts.root)]) == 0
        logged = read_log(desk.artifacts.promotions)[-1].to
        assert logged == live_id(desk.artifacts)
        if process.exitcode == 0:
            break
        assert process.exitcode != 5 or logged == desk.candidate
        spoiled.append(logged)
    assert process.exitcode == 0, "the sweep did not reach the end"
    assert spoiled.count(desk.live) > 10
    # Killed after the last write, a promotion counts; told that the disk is full, it never does.
    assert (spoiled[-1] == desk.candidate) == (how == "kill")


def _sabotage(arguments: list[str]) -> None:
    sys.argv = ["sabotage.py", *arguments]
    exec(compile(AT_THE_NTH_CALL, "sabotage.py", "exec"), {"__name__": "sabotage"})
