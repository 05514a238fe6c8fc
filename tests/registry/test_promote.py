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
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.cli import main
from pytest_modelgates.drift import load_golden_predictions
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.registry import promote
from pytest_modelgates.registry.in_force import for_acting
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.storage.digests import sha256, tree_digest
from tests.support.handmade import (
    Registry,
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


def by_report(registry: Registry, report: Path, *more: object) -> int:
    """Promote the candidate by a report, under the policy without nights and hours."""
    return main(
        [
            "promote",
            "--report",
            str(report),
            "--artifacts",
            str(registry.artifacts.root),
            "--policy",
            str(registry.policy_file),
            *map(str, more),
        ]
    )


def refusal(registry: Registry, report: Path, capsys: pytest.CaptureFixture[str], *more: object) -> str:
    """Try to promote, see that nothing changed, and return what was said."""
    before = registry.state()
    assert by_report(registry, report, *more) == 1
    assert registry.state() == before
    return capsys.readouterr().err


def test_a_first_model_goes_live_by_its_own_gates(
    first_promotion: tuple[Registry, "subprocess.CompletedProcess[str]"],
) -> None:
    registry, done = first_promotion
    assert done.returncode == 0
    assert "drift.psi no reference: nothing was ever live" in done.stdout
    assert os.readlink(registry.artifacts.latest) == registry.live
    assert os.readlink(registry.artifacts.latest_onnx) == "latest/model.onnx"
    (entry,), log = read_log(registry.artifacts.promotions), registry.artifacts.promotions
    assert f"is live, in place of nothing (sha256:{entry.digest[:16]})\n" in done.stdout
    assert done.stdout.endswith(f"audit log: 3:{sha256(log.read_bytes().splitlines()[2])}\n")
    assert (entry.action, entry.from_, entry.to) == ("promote", None, registry.live)
    (report,) = (registry.artifacts.root / "reports" / registry.live).iterdir()
    assert entry.report_digest == promote.read_report(report).digest


def test_a_green_report_promotes_and_leaves_a_golden(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert by_report(registry, green_report(registry), "--reason", "retrained") == 0
    assert f"{registry.candidate} is live, in place of {registry.live}" in capsys.readouterr().out
    entry = read_log(registry.artifacts.promotions)[-1]
    directory = registry.artifacts.model(registry.candidate)
    assert (entry.from_, entry.to, entry.reason) == (registry.live, registry.candidate, "retrained")
    assert entry.digest == tree_digest(directory)
    assert registry.artifacts.latest_onnx.resolve() == (directory / "model.onnx").resolve()
    golden = load_golden_predictions(registry.candidate, folder=registry.artifacts.golden)
    np.testing.assert_array_equal(golden, golden_of(directory))
    assert len(load_golden_predictions(registry.live, folder=registry.artifacts.golden)) == len(golden)


UNJUDGED = [
    pytest.param("[registry]\nlock_timeout_s = 61\n", id="lock-timeout"),
    pytest.param('[registry]\nmay_promote = ["ada", "eve"]\nmay_roll_back = ["ada"]\n', id="who-may"),
    pytest.param("[hermetic]\nmemory_gib = 8\nminutes = 90\n", id="hermetic"),
    pytest.param('[slo."parity.claim"]\nadvice = "ask Ada, who packs"\n', id="advice"),
]


@pytest.mark.parametrize("text", UNJUDGED)
def test_a_report_outlives_a_change_of_the_policy_that_judges_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MODELGATES_ACTOR", "ada")
    report = green_report(registry)
    with registry.policy_file.open("a") as file:
        file.write(text)
    assert by_report(registry, report) == 0


def test_a_report_that_was_read_is_not_read_again(registry: Registry) -> None:
    path = green_report(registry)
    stored = promote.read_report(path)
    path.unlink()
    promote.promote(registry.artifacts, promote.model_of(stored), stored, registry.in_force, reason="read before")
    assert read_log(registry.artifacts.promotions)[-1].report_digest == stored.digest


def test_the_id_may_stand_behind_the_report(registry: Registry) -> None:
    assert by_report(registry, green_report(registry), registry.candidate) == 0
    assert live_id(registry.artifacts) == registry.candidate


@pytest.mark.integration
def test_the_script_in_the_registry_folder_takes_a_report(registry: Registry) -> None:
    script = Path(__file__).parents[2] / "registry" / "promote.py"
    command = [sys.executable, script, green_report(registry), "--policy", registry.policy_file]
    done = subprocess.run(command, cwd=registry.artifacts.root.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, live_id(registry.artifacts)) == (0, registry.candidate), done.stderr


def test_a_dry_run_prints_the_plan_and_changes_nothing(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    before, report = registry.state(), green_report(registry)
    assert by_report(registry, report, "--dry-run") == 0
    assert capsys.readouterr().out == (
        f"plan: promote {registry.candidate} in place of {registry.live}, by {report}\n"
        f"policy: registry/policy.toml sha256:{registry.policy.digest[:16]}\nnothing speaks against it\n"
    )
    assert registry.state() == before


def test_a_dry_run_names_every_reason(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    report = edited(green_report(registry), "exitcode", value=1)
    registry.policy_file.write_text("format = 1")
    assert by_report(registry, report, "--dry-run") == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"plan: promote {registry.candidate}")
    for part in (
        "the report says 1",
        "another policy",
        "1 consecutive UTC night",
        "no record in shadow; the policy asks for 24 h and rows enough",
    ):
        assert part in said.err


def test_without_a_second_thread_the_machine_has_failed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    report = green_report(registry)
    monkeypatch.setattr(threading.Thread, "start", exhausted)
    assert by_report(registry, report) == 3
    assert capsys.readouterr().err == "modelgates: No thread left to read with\n"
    assert live_id(registry.artifacts) == registry.live


def test_a_report_of_another_model_is_refused(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    report = green_report(registry, registry.live)
    assert refusal(registry, report, capsys, registry.candidate) == (
        f"modelgates: {registry.candidate} is not promoted:\n  the report is of {registry.live}, not of "
        f"{registry.candidate} → pytest --model-dir={registry.artifacts.model(registry.candidate)}\n"
    )


def test_a_report_of_two_models_needs_the_id(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    directories = [registry.artifacts.model(name) for name in (registry.live, registry.candidate)]
    runs = {directory.name: green_run(directory, registry.policy) for directory in directories}
    ledger = msgspec.structs.replace(green_ledger(directories[1], registry.policy), models=runs)
    report = write_report(registry.artifacts.root / "two.json", ledger)
    assert refusal(registry, report, capsys) == (
        f"modelgates: {report}: a report of 2 models ({registry.live}, {registry.candidate}); name the one to promote\n"
    )
    assert by_report(registry, report, registry.candidate) == 0
    odd = msgspec.structs.replace(ledger, models=dict.fromkeys(("x\n\x1b[2J", "y"), runs[registry.candidate]))
    assert r" 2 models (x\n\x1b[2J, y); name" in refusal(registry, write_report(report, odd), capsys)


def test_a_file_that_changed_after_the_gates_is_refused_by_name(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    report = green_report(registry)
    with (registry.artifacts.model(registry.candidate) / "CHANGES.md").open("a") as file:
        file.write("!")
    assert "CHANGES.md: 16 bytes, the manifest says 15 → pack it again" in refusal(registry, report, capsys)


def test_other_bytes_than_those_of_the_report_are_refused(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    run = green_run(registry.artifacts.model(registry.candidate), registry.policy)
    report = green_report(registry, run=msgspec.structs.replace(run, digest_before="0" * 64, digest_after="0" * 64))
    assert "the report is of other bytes (000000000000…) than the model has now" in refusal(registry, report, capsys)


def test_a_model_that_is_live_is_not_promoted_again(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{registry.live} is live already → modelgates status" in refusal(
        registry, green_report(registry, registry.live), capsys
    )


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
def test_an_id_that_is_none_is_refused_in_one_line(
    registry: Registry, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    said = refusal(registry, green_report(registry), capsys, name) if name else ""
    assert not name or said.count("\n") == 1
    assert not name or "is not a model id" in said or "is unknown: no directory" in said or "not a model of" in said


def test_a_link_to_a_model_directory_is_no_model(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    directory = registry.artifacts.model(registry.candidate)
    elsewhere = registry.artifacts.root / "elsewhere"
    directory.rename(elsewhere)
    report = green_report(registry, registry.live)
    directory.symlink_to(elsewhere)
    assert "is unknown: no directory" in refusal(registry, report, capsys, registry.candidate)


def test_a_promotion_without_a_reason_is_refused(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert 'a promotion needs a reason: --reason "…"' in refusal(
        registry, green_report(registry), capsys, "--reason", " "
    )


def test_no_reference_is_admitted_only_before_the_first_promotion(
    empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = empty_registry
    run = green_run(registry.artifacts.model(registry.candidate), registry.policy)
    slo = registry.policy.slo["drift.psi"]
    unmeasured = evidence("drift.psi", slo, state="no reference yet", note="nothing was ever live")
    lacking = record("drift.psi", registry.policy, evidence=(unmeasured,))
    gates = tuple(lacking if gate.gate == "drift.psi" else gate for gate in run.gates)
    report = green_report(registry, run=msgspec.structs.replace(run, gates=gates))
    other = shutil.copy(report, report.with_name("other.json"))
    assert by_report(registry, report) == 0
    assert by_report(registry, green_report(registry, registry.live)) == 0
    capsys.readouterr()
    assert "drift.psi no reference yet: nothing was ever live" in refusal(registry, Path(other), capsys)


@pytest.mark.parametrize("lost", ["log", "link"])
def test_a_log_without_its_link_is_no_first_model(
    registry: Registry, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    (registry.artifacts.promotions if lost == "log" else registry.artifacts.latest).unlink()
    said = refusal(registry, green_report(registry), capsys)
    logged, linked = ("nothing", registry.live) if lost == "log" else (registry.live, "nothing")
    assert f"promotions.log says {logged} is live, latest points at {linked}" in said


def test_a_registry_that_lost_both_log_and_link_is_none_before_its_first_promotion(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.artifacts.promotions.unlink()
    registry.artifacts.latest.unlink()
    for model_id in (registry.live, registry.candidate):
        assert refusal(registry, green_report(registry, model_id), capsys).splitlines()[1:] == [
            f"  record 4 is not the one that {registry.candidate} kept: the log was cut off or rewritten → put "
            "promotions.log and latest back from a copy"
        ]


def test_what_promotion_asks_for_comes_with_the_first_live_model(
    empty_registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = empty_registry
    registry.policy_file.write_text("format = 1")
    assert by_report(registry, green_report(registry, registry.live)) == 0
    capsys.readouterr()
    said = refusal(registry, green_report(registry), capsys)
    directory = registry.artifacts.model(registry.candidate)
    shadow = f"→ modelgates shadow --onnx {directory}/model.onnx --csv {directory.parents[1] / 'live_data.csv'}"
    assert said.splitlines() == [
        f"modelgates: {registry.candidate} is not promoted:",
        "  1 consecutive UTC nights with ONNX parity, the policy asks for 7 (parity_nights) "
        f"→ pytest --model-dir={directory} every night",
        "  the candidate has no record in shadow; the policy asks for 24 h and rows enough to measure drift from "
        f"{shadow}",
        "next:",
        f"  pytest --model-dir={directory}  # every night",
        f"  {shadow.removeprefix('→ ')}",
    ]


def test_nights_hours_and_calm_predictions_promote(registry: Registry) -> None:
    registry.policy_file.write_text("format = 1")
    directory, now = registry.artifacts.model(registry.candidate), datetime.now(UTC)
    for night in range(1, 8):
        then = now - timedelta(days=night)
        ledger = green_ledger(directory, registry.policy, finished=then)
        write_report(registry.artifacts.reports(registry.candidate) / f"{then:%Y%m%dT%H%M%S}Z.json", ledger)
    drawn = np.random.default_rng(3).choice(golden_of(directory), 500).tolist()
    records = predictions(tree_digest(directory), drawn)
    log_predictions(registry.artifacts, records)
    assert by_report(registry, green_report(registry)) == 0


@pytest.mark.integration
def test_a_directory_whose_hard_gates_fail_is_refused(registry: Registry) -> None:
    noise = pack_ridge(registry.artifacts.root, invented_panel(ic=0))
    before = registry.state()
    # These would soften the gates if they reached them.
    env = os.environ | {"PYTEST_ADDOPTS": "--collect-only", "PYTHONOPTIMIZE": "2"}
    done = modelgates("promote", noise, "--policy", registry.policy_file, cwd=registry.artifacts.root.parent, env=env)
    assert done.returncode == 1
    assert registry.state() == before
    assert f"{noise.name} is not promoted:\n  pytest ended with 1, a green run ends with 0" in done.stderr
    assert "significance.p_against failed: measured" in done.stderr
    assert "the candidate has no record in shadow; drift.psi could not be measured → modelgates shadow " in done.stderr
    assert "\nnext:\n  modelgates explain significance.p_against\n" in done.stderr
    assert "drift.psi inconclusive" not in done.stderr
    assert "is not in the report" not in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.integration
def test_gates_that_leave_no_report_are_refused(registry: Registry) -> None:
    registry.policy_file.with_name("operations.toml").write_text("[hermetic]\nmemory_gib = 0.001\n")
    done = modelgates("promote", registry.artifacts.model(registry.candidate), cwd=registry.artifacts.root)
    assert done.returncode == 1
    assert f"modelgates: the gates of {registry.candidate} left no report" in done.stderr


def test_a_directory_outside_of_a_models_folder_is_refused_before_any_gate_runs(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = registry.artifacts.root / "candidates" / registry.candidate
    shutil.copytree(registry.artifacts.model(registry.candidate), moved)
    assert main(["promote", str(moved)]) == 1
    assert (
        f"{moved}: not in a folder `models`, expected artifacts/models/{registry.candidate}" in capsys.readouterr().err
    )


def roll_back(registry: Registry, *more: str) -> int:
    return main(["rollback", "--artifacts", str(registry.artifacts.root), *more])


@pytest.fixture
def twice(registry: Registry, capsys: pytest.CaptureFixture[str]) -> Registry:
    """The candidate is live, the other was."""
    assert by_report(registry, green_report(registry)) == 0
    capsys.readouterr()
    return registry


def test_a_rollback_goes_to_a_model_that_was_live(twice: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert roll_back(twice, twice.live, "--reason", " it lost money ") == 0
    assert f"{twice.live} is live again, in place of {twice.candidate}" in capsys.readouterr().out
    entry = read_log(twice.artifacts.promotions)[-1]
    assert (entry.action, entry.from_, entry.to) == ("rollback", twice.candidate, twice.live)
    assert (entry.reason, entry.report_digest) == ("it lost money", None)
    assert live_id(twice.artifacts) == twice.live
    assert roll_back(twice, twice.candidate, "--reason", "forward again") == 0


NO_ID = "'{}' is not a model id: expected the 10 to 12 digits of a Unix time, such as 1763884678"


def test_a_rollback_is_refused_where_it_makes_no_sense(twice: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    before = twice.state()
    for arguments, said in (
        ([twice.live], 'a rollback needs a reason: --reason "…"'),
        ([twice.live, "--reason", " "], 'a rollback needs a reason: --reason "…"'),
        ([twice.candidate, "--reason", "x"], f"{twice.candidate} is live already"),
        (["1700000000", "--reason", "x"], f"1700000000 was never live; rollback goes to one of: {twice.live}"),
        (["..x", "--reason", "x"], NO_ID.format("..x")),
    ):
        assert roll_back(twice, *arguments) == 1
        assert capsys.readouterr().err == f"modelgates: {said}\n"
    assert twice.state() == before


def test_a_rollback_verifies_its_target(twice: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    before, directory = twice.state(), twice.artifacts.model(twice.live)
    model = directory / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    assert roll_back(twice, twice.live, "--reason", "x") == 1
    size = model.stat().st_size
    assert f"{twice.live}: model.onnx: {size} bytes, the manifest says {size + 1}" in capsys.readouterr().err
    shutil.rmtree(directory)
    assert roll_back(twice, twice.live, "--reason", "x") == 1
    said = f"modelgates: {twice.live} is not there any more; rollback goes to one of: none; see: modelgates recover\n"
    assert capsys.readouterr().err == said
    assert twice.state() == before


def test_a_rollback_refuses_a_model_that_was_packed_anew_under_its_name(
    twice: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = twice.artifacts.model(twice.live) / "manifest.json"
    content = json.loads(manifest.read_text())
    content["lineage"]["code"] = "another"
    manifest.write_text(json.dumps(content))
    assert roll_back(twice, twice.live, "--reason", "x") == 1
    assert "than when it was live" in capsys.readouterr().err


def test_a_rollback_works_when_the_live_model_is_gone(twice: Registry) -> None:
    shutil.rmtree(twice.artifacts.model(twice.candidate))
    assert roll_back(twice, twice.live, "--reason", "somebody deleted it") == 0
    assert live_id(twice.artifacts) == twice.live


def test_without_a_past_there_is_nothing_to_roll_back_to(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert roll_back(registry, "--reason", "x") == 1
    assert "no other model was ever live; there is nothing to roll back to" in capsys.readouterr().err


def test_without_a_terminal_a_rollback_wants_the_id(twice: Registry) -> None:
    done = modelgates("rollback", "--artifacts", twice.artifacts.root, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (2, f"modelgates: roll back to which model? Give one of {twice.live}\n")


def on_a_terminal(registry: Registry, typed: bytes) -> tuple[int, str]:
    """Run a rollback on a pseudo-terminal, type, and return its exit status and all it showed."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        # Where the tests run in the background, interrupts are ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        command = [
            sys.executable,
            "-m",
            "pytest_modelgates",
            "rollback",
            "--artifacts",
            str(registry.artifacts.root),
        ]
        os.execv(sys.executable, command)
    shown, answered, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        # Python loses an interrupt between the prompt and the read, so the keys are pressed again, as people do.
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
def test_on_a_terminal_a_rollback_shows_the_past_and_asks(twice: Registry, chosen: str) -> None:
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
        pytest.param(b"nonsense\nx\n", 1, "'nonsense' is not a model id", id="nonsense"),
    ],
)
def test_what_is_typed_otherwise_changes_nothing(twice: Registry, typed: bytes, status: int, said: str) -> None:
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
            promote.model_of(promote.read_report(report)),
            report,
            for_acting(Artifacts(root), policy),
            reason="race",
        )
    except RefusedError as error:
        sys.exit(0 if "is live already" in str(error) else 1)


def test_promotions_at_once_take_turns(registry: Registry) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, report = fork.Barrier(4), green_report(registry)
    processes = [
        fork.Process(
            target=_promote_at_once,
            args=(registry.artifacts.root, registry.candidate, registry.policy_file, report, barrier),
        )
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert [entry.to for entry in read_log(registry.artifacts.promotions)] == [registry.live, registry.candidate]


# Runs `promote`, and ends the process or fails at the n-th call that changes the disk.
AT_THE_NTH_CALL = textwrap.dedent(
    """
    import errno, os, sys
    from pathlib import Path

    from pytest_modelgates.artifacts import Artifacts
    from pytest_modelgates.registry import promote
    from pytest_modelgates.registry.in_force import for_acting

    root, model_id, report, policy, nth, how = sys.argv[1:]
    calls = 0

    def sabotaged(name):
        genuine = getattr(os, name)

        def call(*arguments, **options):
            global calls
            calls += 1
            if calls == int(nth) and how == "kill":
                os._exit(9)
            if calls == int(nth) and name == "write":  # a full disk takes a part of the bytes, then no more
                return genuine(arguments[0], bytes(arguments[1])[:7])
            if how == "full" and (calls == int(nth) or (calls > int(nth) and name == "write")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return genuine(*arguments, **options)

        return call

    in_force = for_acting(Artifacts(Path(root)), Path(policy))
    for name in ("write", "fsync", "replace", "symlink", "unlink", "mkdir"):
        setattr(os, name, sabotaged(name))
    try:
        promote.promote(Artifacts(Path(root)), model_id, Path(report), in_force, reason="sabotage")
    except OSError:
        sys.exit(3)
    sys.exit(0 if calls < int(nth) else 5)
    """
)


@pytest.mark.integration
@pytest.mark.parametrize("how", ["kill", "full"])
def test_wherever_a_promotion_breaks_off_link_and_log_agree_afterwards(registry: Registry, how: str) -> None:
    report, spoiled = green_report(registry), []
    pristine = registry.artifacts.root.with_name("pristine")
    registry.artifacts.root.rename(pristine)
    fork = multiprocessing.get_context("fork")
    for nth in range(1, 60):
        shutil.rmtree(registry.artifacts.root, ignore_errors=True)
        shutil.copytree(pristine, registry.artifacts.root, symlinks=True)
        arguments = [
            str(registry.artifacts.root),
            registry.candidate,
            str(report),
            str(registry.policy_file),
            str(nth),
            how,
        ]
        process = fork.Process(daemon=True, target=_sabotage, args=(arguments,))
        process.start()
        process.join()
        assert live_id(registry.artifacts) in (registry.live, registry.candidate)
        if how == "full" and process.exitcode == 3:
            assert live_id(registry.artifacts) == registry.live
        main(["recover", "--yes", "--artifacts", str(registry.artifacts.root)])
        assert main(["status", "--artifacts", str(registry.artifacts.root)]) == 0
        assert main(["log", "--verify", "--artifacts", str(registry.artifacts.root)]) == 0
        logged = read_log(registry.artifacts.promotions)[-1].to
        assert logged == live_id(registry.artifacts)
        if process.exitcode == 0:
            break
        assert process.exitcode != 5 or logged == registry.candidate
        spoiled.append(logged)
    assert process.exitcode == 0, "the sweep did not reach the end"
    assert spoiled.count(registry.live) > 10
    # A promotion that is killed after the last write counts. One that finds the disk full never does.
    assert (spoiled[-1] == registry.candidate) == (how == "kill")


def _sabotage(arguments: list[str]) -> None:
    sys.argv = ["sabotage.py", *arguments]
    exec(compile(AT_THE_NTH_CALL, "sabotage.py", "exec"), {"__name__": "sabotage"})
