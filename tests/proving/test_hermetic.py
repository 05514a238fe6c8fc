"""The hermetic run: what lies around it does not reach it, and what it leaves can be sealed."""

import ctypes
import importlib.util
import json
import marshal
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from packaging.version import Version

from pytest_modelgates.errors import HermeticError, PolicyError, SealError
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.evidence.seal import generate_key, open_seal
from pytest_modelgates.evidence.verdict import Verdict, judge
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import HermeticLimits, load_operations
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.policy.sections import Waiver
from pytest_modelgates.proving.hermetic import run_gates, run_limited, seal_report
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import evidence, green_ledger, green_run, modelgates, record, stored_report

POLICY, LIMITS = load_policy(None), load_operations(None, policy=None)[0].hermetic
QUICK = ("-m", "integrity")


def hostile(folder: Path) -> dict[str, str]:
    """A repository and an environment that would spoil any run that they reached."""
    (folder / "conftest.py").write_text("raise SystemExit(0)")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --setup-plan\n")
    (folder / "pytest_modelgates").mkdir()
    (folder / "pytest_modelgates" / "__init__.py").write_text("raise SystemExit(0)")
    return {
        "PYTEST_ADDOPTS": "--collect-only",
        "PYTEST_PLUGINS": "nonsense",
        "PYTHONOPTIMIZE": "2",
        "PYTHONPATH": str(folder),
    }


@pytest.mark.integration
@pytest.mark.parametrize(("wish", "coloured"), [("NO_COLOR", False), ("FORCE_COLOR", True)])
def test_people_get_the_colours_that_they_ask_for_and_programs_none(
    good_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], wish: str, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(wish, "1")
    for quiet in (False, True):
        run_gates(good_model, POLICY, LIMITS, policy_file=None, root=good_model, selection=QUICK, quiet=quiet)
        assert ("\x1b[" in capfd.readouterr().out) == (coloured and not quiet)


def test_a_terminal_reaches_a_child_whose_output_people_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    show = [
        sys.executable,
        "-Ic",
        f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(str(os.environ.get('TERM')))",
    ]
    for quiet, seen in ((False, "dumb"), (True, "None")):
        assert run_limited(show, tmp_path, LIMITS, what="this", quiet=quiet)[0] == 0
        assert (tmp_path / "seen").read_text() == seen


@pytest.mark.integration
def test_nothing_around_it_reaches_a_hermetic_run(
    good_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hostile(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    stored = run_gates(good_model, POLICY, LIMITS, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)
    run = stored.report.modelgates.run
    assert (run.exit_status, run.optimize) == (0, 0)
    assert [record.gate for record in stored.report.modelgates.models[good_model.name].gates] == [
        "integrity.required_files",
        "integrity.sha256",
        "integrity.onnx_is_sound",
    ]
    assert set(run.hooks) <= {"pytest_benchmark", "pytest_jsonreport", "pytest_metadata"}
    assert len(run.nonce or "") == 32
    assert json.loads(stored.content)["modelgates"]["run"]["nonce"] == run.nonce


@pytest.mark.integration
def test_every_run_has_a_nonce_of_its_own(good_model: Path, tmp_path: Path) -> None:
    nonces = {
        run_gates(
            good_model, POLICY, LIMITS, policy_file=None, root=tmp_path, selection=QUICK, quiet=True
        ).report.modelgates.run.nonce
        for _ in range(2)
    }
    assert len(nonces) == 2


@pytest.mark.integration
def test_a_run_that_takes_too_long_is_stopped(good_model: Path, tmp_path: Path) -> None:
    said = (
        "the gates ran longer than 0.005 minutes and had to be stopped; raise [hermetic] minutes in "
        "registry/operations.toml if the model is that large"
    )
    hurried = HermeticLimits(memory_gib=16, minutes=0.005)
    with pytest.raises(HermeticError, match=f"^{re.escape(said)}$"):
        run_gates(good_model, POLICY, hurried, policy_file=None, root=tmp_path, quiet=True)


def own_suite(folder: Path, body: str, *, memory_gib: float = 16, minutes: float = 60) -> tuple[Policy, HermeticLimits]:
    """A suite of one gate of a team's own, the policy that names it, and the limits beside it."""
    (folder / "checks").mkdir()
    gate = f'@pytest.mark.gate("own.rows")\ndef test_rows(gate):\n    {body}\n    gate.check(0)\n'
    (folder / "checks" / "test_own.py").write_text(f"import os, pytest, resource, signal, time\n\n{gate}")
    slo = 'at_most = 0\nunit = "rows"\nseverity = "hard"\nadvice = "drop the rows"\n'
    policy, operations = (folder / "registry" / name for name in ("policy.toml", "operations.toml"))
    policy.parent.mkdir()
    policy.write_text(f'[slo."own.rows"]\n{slo}[evidence]\nsuites = ["checks"]\n')
    operations.write_text(f"[hermetic]\nmemory_gib = {memory_gib}\nminutes = {minutes}\n")
    return load_policy(policy), load_operations(operations, policy=policy)[0].hermetic


@pytest.mark.integration
def test_the_command_ends_a_gate_that_will_not_end(good_model: Path, tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(10_000)"
    own_suite(tmp_path, body, minutes=0.25)
    done = modelgates("gate", good_model, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert "modelgates: the gates ran longer than 0.25 minutes and had to be stopped; raise [hermetic]" in done.stderr
    assert not (good_model.parents[1] / "reports").exists()


@pytest.mark.integration
def test_an_interrupt_of_the_command_ends_its_gates(good_model: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    own_suite(tmp_path, f"open({str(place)!r}, 'w').write(str(os.getpid())); time.sleep(10_000)")
    command = [sys.executable, "-m", "pytest_modelgates", "gate", str(good_model)]
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  # a shell's background job ignores it
    with subprocess.Popen(command, cwd=tmp_path, preexec_fn=heard) as run:
        while not (place.exists() and place.read_text()):
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
    assert run.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), signal.SIGKILL)


@pytest.mark.integration
def test_gates_whose_command_was_killed_have_a_limit_of_their_own(good_model: Path, tmp_path: Path) -> None:
    body = "assert set(resource.getrlimit(resource.RLIMIT_CPU)) == {90 * os.cpu_count()}"
    policy, limits = own_suite(tmp_path, body, minutes=1.5)
    policy_file = tmp_path / "registry" / "policy.toml"
    stored = run_gates(good_model, policy, limits, policy_file=policy_file, root=tmp_path, selection=("-m", "own"))
    (record,) = stored.report.modelgates.models[good_model.name].gates
    assert judge(record, policy)[0] is Verdict.PASSED


@pytest.mark.integration
def test_a_gate_that_takes_too_much_memory_is_red(good_model: Path, tmp_path: Path) -> None:
    policy, limits = own_suite(tmp_path, "bytearray(9 * 2**30)", memory_gib=8)
    stored = run_gates(
        good_model,
        policy,
        limits,
        policy_file=tmp_path / "registry" / "policy.toml",
        root=tmp_path,
        selection=("-m", "own"),
        quiet=True,
    )
    (record,) = stored.report.modelgates.models[good_model.name].gates
    assert [phase.exception for phase in record.phases] == [None, "MemoryError", None]
    assert judge(record, policy)[0] is Verdict.ERRORED


def poisoned(source: Path, *, by: str) -> None:
    """Lay the bytecode of another text beside a gate file, under the name that pytest looks for."""
    content, known = source.read_bytes(), source.stat()
    code = compile(content.replace(b"gate.check(1)", by.encode()), str(source), "exec")
    # pytest 9.2 keys its bytecode by the source's hash, older versions by its time and size.
    if Version(pytest.__version__) >= Version("9.2"):
        key = b"\3\0\0\0" + importlib.util.source_hash(content)[:8]
    else:
        key = b"\0\0\0\0" + struct.pack("<II", int(known.st_mtime), len(content))
    cache = source.parent / "__pycache__"
    cache.mkdir()
    tag = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}"
    (cache / f"{source.stem}.{tag}.pyc").write_bytes(importlib.util.MAGIC_NUMBER + key + marshal.dumps(code))


@pytest.mark.integration
def test_bytecode_beside_a_gate_is_not_run(good_model: Path, tmp_path: Path) -> None:
    policy, limits = own_suite(tmp_path, "gate.check(1)")
    poisoned(tmp_path / "checks" / "test_own.py", by="gate.check(0)")
    stored = run_gates(
        good_model,
        policy,
        limits,
        policy_file=tmp_path / "registry" / "policy.toml",
        root=tmp_path,
        selection=("-m", "own"),
        quiet=True,
    )
    (record,) = stored.report.modelgates.models[good_model.name].gates
    assert [entry.value for entry in record.evidence] == [1]


@pytest.mark.integration
def test_limits_that_are_lower_already_stay(good_model: Path, tmp_path: Path) -> None:
    own_suite(tmp_path, "gate.check(resource.getrlimit(resource.RLIMIT_CPU)[1] - 3000)")
    (tmp_path / "registry" / "operations.toml").write_text("[hermetic]\nminutes = 600\n")

    def as_a_user_who_is_not_root() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (3000, 3000))
        # What lets root raise a hard limit is dropped from what a new program may have.
        ctypes.CDLL(None).prctl(24, 24, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_SYS_RESOURCE

    done = modelgates("gate", good_model, cwd=tmp_path, preexec_fn=as_a_user_who_is_not_root)
    assert re.search("own.rows +hard 0 rows", done.stdout), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.integration
def test_gates_run_where_standard_output_is_closed(good_model: Path, tmp_path: Path) -> None:
    done = modelgates("gate", good_model, cwd=tmp_path, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")
    assert list((good_model.parents[1] / "reports" / good_model.name).iterdir())


def test_a_run_that_leaves_nothing_is_refused(good_model: Path, tmp_path: Path) -> None:
    with pytest.raises(HermeticError, match=f"the gates of {good_model.name} left no report"):
        run_gates(good_model, POLICY, LIMITS, policy_file=None, root=tmp_path, selection=("--nonsense",), quiet=True)


def test_a_suite_that_is_not_there_is_refused(good_model: Path, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(POLICY.evidence, suites=("model_gates",))
    policy = msgspec.structs.replace(POLICY, evidence=rules)
    with pytest.raises(
        PolicyError, match=r"the policy names the suite .*model_gates, which is not a folder; fix suites"
    ):
        run_gates(good_model, policy, LIMITS, policy_file=None, root=tmp_path, quiet=True)


@pytest.fixture
def sealed(good_model: Path, tmp_path: Path) -> tuple[Path, str]:
    """A sealed report of a model, and the public key."""
    public = generate_key(tmp_path / "key.pem")
    stored = run_gates(good_model, POLICY, LIMITS, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)
    path = tmp_path / "run.dsse.json"
    path.write_bytes(seal_report(stored, good_model, POLICY, tmp_path / "key.pem"))
    return path, public


@pytest.mark.integration
def test_a_sealed_report_names_its_key(sealed: tuple[Path, str]) -> None:
    path, public = sealed
    stored = read_report(path, keys=[public])
    assert (stored.sealed_by, stored.report.exitcode) == (public, 0)


@pytest.mark.integration
def test_a_sealed_report_of_no_listed_key_is_refused(sealed: tuple[Path, str]) -> None:
    message = (
        "signed by none of the 0 keys that the policy lists → modelgates gate DIR --key FILE, by a key that "
        "[evidence] keys lists"
    )
    with pytest.raises(SealError, match=f"{re.escape(message)}$"):
        read_report(sealed[0])


@pytest.mark.integration
def test_a_seal_over_other_files_than_the_ledger_is_refused(good_model: Path, tmp_path: Path) -> None:
    public = generate_key(tmp_path / "key.pem")
    stored = run_gates(good_model, POLICY, LIMITS, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)
    (good_model / "CHANGES.md").write_text("swapped after the run\n")
    path = tmp_path / "run.dsse.json"
    path.write_bytes(seal_report(stored, good_model, POLICY, tmp_path / "key.pem"))
    with pytest.raises(SealError, match="the statement's subject is not the model that its ledger is of"):
        read_report(path, keys=[public])


@pytest.mark.integration
def test_the_command_keeps_and_seals_the_report(good_model: Path, tmp_path: Path) -> None:
    public = modelgates("keygen", tmp_path / "key.pem").stdout.strip()
    done = modelgates("gate", good_model, "--key", tmp_path / "key.pem", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = (Path(line[6:]) for line in done.stdout.splitlines() if line.startswith("kept: "))
    assert kept.name.endswith(".dsse.json")
    assert read_report(kept, keys=[public]).report.modelgates.models.keys() == {good_model.name}
    assert os.listdir(good_model.parents[1] / "reports" / good_model.name)


@pytest.mark.integration
def test_the_command_ends_with_one_when_a_gate_fails(good_model: Path, tmp_path: Path) -> None:
    (good_model / "conftest.py").write_text("")
    assert modelgates("gate", good_model, cwd=tmp_path).returncode == 1


RESULTS = [
    pytest.param({}, "PASSED", [], [], id="every-gate-passed"),
    pytest.param({"pnl.turnover": 9.0}, "WARNED", ["pnl.turnover"], [], id="a-soft-one-failed"),
    pytest.param({"wf.worst_fold": 0.0}, "FAILED", [], ["wf.worst_fold"], id="a-hard-one-failed"),
    pytest.param({"drift.psi": None}, "WARNED", ["drift.psi"], [], id="no-reference-yet"),
    pytest.param({"wf.worst_fold": 0.0, "waived": 0}, "WARNED", ["wf.worst_fold"], [], id="waived"),
    pytest.param({"nothing": 0}, "FAILED", [], [], id="no-gate-at-all"),
]


@pytest.mark.parametrize(("values", "result", "warned", "failed"), RESULTS)
def test_a_seal_says_what_all_gates_amount_to(
    packed_once: Path,
    tmp_path: Path,
    values: dict[str, float | None],
    result: str,
    warned: list[str],
    failed: list[str],
) -> None:
    until = datetime.now(UTC).date()
    row = Waiver(gate="wf.worst_fold", digest=tree_digest(packed_once), reason="war", owner="Ada", until=until)
    policy = msgspec.structs.replace(POLICY, waiver=(row,) if "waived" in values else ())
    unmeasured = evidence("drift.psi", POLICY.slo["drift.psi"], state="no reference yet", note="first")
    changed = {
        name: record(name, policy, value) if value is not None else record(name, policy, evidence=(unmeasured,))
        for name, value in values.items()
        if name in policy.slo
    }
    run = green_run(packed_once, policy)
    gates = {gate.gate: gate for gate in run.gates if "nothing" not in values} | changed
    ledger = green_ledger(packed_once, policy, run=msgspec.structs.replace(run, gates=tuple(gates.values())))
    public = generate_key(tmp_path / "key.pem")
    sealed = seal_report(stored_report(ledger), packed_once, policy, tmp_path / "key.pem")
    predicate = json.loads(open_seal(sealed, [public], "")[0])["predicate"]
    assert (predicate["result"], predicate["warnedTests"], predicate["failedTests"]) == (result, warned, failed)
