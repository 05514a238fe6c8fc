"""The hermetic run: what lies around it does not reach it, and what it leaves can be sealed."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from handmade import modelgates

from pytest_modelgates.errors import HermeticError, PolicyError, SealError
from pytest_modelgates.hermetic import run_gates, seal_report
from pytest_modelgates.registry.policy import HermeticLimits, load_policy
from pytest_modelgates.registry.report import read_report
from pytest_modelgates.registry.seal import generate_key

POLICY = load_policy(None)
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


def test_nothing_around_it_reaches_a_hermetic_run(
    good_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hostile(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    report, content = run_gates(good_model, POLICY, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)
    run = report.modelgates.run
    assert (run.exit_status, run.optimize) == (0, 0)
    assert [record.gate for record in report.modelgates.models[good_model.name].gates] == [
        "integrity.required_files",
        "integrity.sha256",
        "integrity.onnx_is_sound",
    ]
    assert set(run.hooks) <= {"pytest_benchmark", "pytest_jsonreport", "pytest_metadata"}
    assert len(run.nonce or "") == 32
    assert json.loads(content)["modelgates"]["run"]["nonce"] == run.nonce


def test_every_run_has_a_nonce_of_its_own(good_model: Path, tmp_path: Path) -> None:
    nonces = {
        run_gates(good_model, POLICY, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)[
            0
        ].modelgates.run.nonce
        for _ in range(2)
    }
    assert len(nonces) == 2


def test_a_run_that_takes_too_long_is_stopped(good_model: Path, tmp_path: Path) -> None:
    hurried = msgspec.structs.replace(POLICY, hermetic=HermeticLimits(memory_gib=16, minutes=0.005))
    with pytest.raises(
        HermeticError, match=r"ran longer than 0.005 minutes and were stopped; raise \[hermetic\] minutes"
    ):
        run_gates(good_model, hurried, policy_file=None, root=tmp_path, quiet=True)


def test_a_run_that_leaves_nothing_is_refused(good_model: Path, tmp_path: Path) -> None:
    with pytest.raises(HermeticError, match=f"the gates of {good_model.name} left no report"):
        run_gates(good_model, POLICY, policy_file=None, root=tmp_path, selection=("--nonsense",), quiet=True)


def test_a_suite_that_is_not_there_is_refused(good_model: Path, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(POLICY.evidence, suites=("model_gates",))
    policy = msgspec.structs.replace(POLICY, evidence=rules)
    with pytest.raises(PolicyError, match=r"the policy names the suite .*model_gates, which is no folder"):
        run_gates(good_model, policy, policy_file=None, root=tmp_path, quiet=True)


@pytest.fixture
def sealed(good_model: Path, tmp_path: Path) -> tuple[Path, str]:
    """A sealed report of a model, and the public key."""
    public = generate_key(tmp_path / "key.pem")
    report, content = run_gates(good_model, POLICY, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)
    path = tmp_path / "run.dsse.json"
    path.write_bytes(seal_report(report, content, good_model, POLICY, tmp_path / "key.pem"))
    return path, public


def test_a_sealed_report_names_its_key(sealed: tuple[Path, str]) -> None:
    path, public = sealed
    report = read_report(path, keys=[public])
    assert (report.sealed_by, report.exitcode) == (public, 0)


def test_a_sealed_report_of_no_listed_key_is_refused(sealed: tuple[Path, str]) -> None:
    with pytest.raises(SealError, match="signed by none of the 0 keys that the policy lists"):
        read_report(sealed[0])


def test_a_seal_over_other_files_than_the_ledger_is_refused(good_model: Path, tmp_path: Path) -> None:
    public = generate_key(tmp_path / "key.pem")
    report, content = run_gates(good_model, POLICY, policy_file=None, root=tmp_path, selection=QUICK, quiet=True)
    (good_model / "CHANGES.md").write_text("swapped after the run\n")
    path = tmp_path / "run.dsse.json"
    path.write_bytes(seal_report(report, content, good_model, POLICY, tmp_path / "key.pem"))
    with pytest.raises(SealError, match="the statement's subject is not the model that its ledger is of"):
        read_report(path, keys=[public])


def test_the_command_keeps_and_seals_the_report(good_model: Path, tmp_path: Path) -> None:
    public = modelgates("keygen", tmp_path / "key.pem").stdout.strip()
    done = modelgates("gate", good_model, "--key", tmp_path / "key.pem", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = Path(done.stdout.splitlines()[-1].removeprefix("kept: "))
    assert kept.name.endswith(".dsse.json")
    assert read_report(kept, keys=[public]).modelgates.models.keys() == {good_model.name}
    assert os.listdir(good_model.parents[1] / "reports" / good_model.name)


def test_the_command_ends_with_one_when_a_gate_fails(good_model: Path, tmp_path: Path) -> None:
    (good_model / "conftest.py").write_text("")
    assert modelgates("gate", good_model, cwd=tmp_path).returncode == 1
