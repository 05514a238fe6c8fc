"""The hermetic run: gates in a child process that nothing in the user's environment or repository can reach."""

import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .errors import HermeticError
from .model.files import listing, parse_json
from .registry.policy import Policy
from .registry.report import Report, read_report
from .registry.seal import load_key, seal, statement
from .registry.suite import NONCE, suite_folders
from .registry.verdict import Verdict, judge

# Nothing else is loaded: no entry point of the environment, no conftest, no ini file of the repository.
PLUGINS = (
    "pytest_modelgates.plugin",
    "pytest_jsonreport.plugin",
    "pytest_metadata.plugin",
    "pytest_benchmark.plugin",
)
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SERVE_KILL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def run_gates(
    directory: Path,
    policy: Policy,
    *,
    policy_file: Path | None,
    root: Path,
    selection: Sequence[str] = (),
    quiet: bool = False,
) -> tuple[Report, bytes]:
    """Run the gates on a model in a child process.

    Parameters
    ----------
    directory : Path
        The model directory.
    policy : Policy
        Names further suites, and the limits of memory and time.
    policy_file : Path, optional
        Where it was read from; the packaged default if left out.
    root : Path
        What the policy's suites are relative to.
    selection : sequence of str
        Further words for pytest, such as ``-m hard``.
    quiet : bool
        Keep what the child prints.

    Returns
    -------
    Report
    bytes
        The file it was read from.

    Raises
    ------
    HermeticError
        If the child left no report of this very run, ran out of time, or ended otherwise than its report says.
    """
    nonce = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="modelgates-") as name:
        folder = Path(name).resolve()
        (folder / "pytest.ini").write_text("[pytest]\n")
        report = folder / "report.json"
        command = [
            *(sys.executable, "-I", "-m", "pytest", "-c", str(folder / "pytest.ini"), f"--rootdir={folder}"),
            *("--noconftest", "--strict-markers", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"),
            *(word for plugin in PLUGINS for word in ("-p", plugin)),
            *(f"--model-dir={directory}", f"--gate-report={report}"),
            *([f"--policy={policy_file.resolve()}"] if policy_file else []),
            *selection,
            *(str(path) for path in suite_folders(policy, root)),
        ]
        environment = {key: value for key, value in os.environ.items() if key in KEPT} | {
            "HOME": str(folder),
            "COLUMNS": os.environ.get("COLUMNS", "100"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            NONCE: nonce,
        }
        status, output = _run(command, environment, folder, policy, quiet=quiet)
        if not report.is_file():
            raise HermeticError(
                f"the gates of {directory.name} left no report (exit {status}):\n{output.strip()[-2000:]}"
            )
        content, found = report.read_bytes(), read_report(report)
    if found.modelgates.run.nonce != nonce:
        raise HermeticError(
            f"the report of {directory.name} is not of this run; something else writes to {folder.parent}"
        )
    if found.modelgates.run.exit_status != status:
        raise HermeticError(
            f"the gates of {directory.name} ended with {status}, their report says {found.modelgates.run.exit_status}"
        )
    return found, content


def _run(
    command: Sequence[str], environment: dict[str, str], folder: Path, policy: Policy, *, quiet: bool
) -> tuple[int, str]:
    memory = int(policy.hermetic.memory_gib * 2**30)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    with subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        start_new_session=True,
        preexec_fn=limit,  # no thread of ours runs
    ) as child:
        try:
            output, _ = child.communicate(timeout=policy.hermetic.minutes * 60)
        except subprocess.TimeoutExpired as error:
            os.killpg(child.pid, signal.SIGKILL)
            raise HermeticError(
                f"the gates ran longer than {policy.hermetic.minutes:g} minutes and were stopped; "
                "raise [hermetic] minutes in the policy if the model is that large"
            ) from error
    return child.returncode, output or ""


def seal_report(report: Report, content: bytes, directory: Path, policy: Policy, key: Path) -> bytes:
    """Seal what a hermetic run left: who vouches for it is whoever ran it, not the process that it ran in."""
    private = load_key(key)
    records = report.modelgates.models[directory.name].gates
    verdicts = {record.gate: (judge(record, policy)[0], record.severity) for record in records}
    passed = [gate for gate, (verdict, _) in verdicts.items() if verdict is Verdict.PASSED]
    warned = [gate for gate, (_, severity) in verdicts.items() if gate not in passed and severity == "soft"]
    failed = [gate for gate in verdicts if gate not in passed and gate not in warned]
    run = report.modelgates.run
    predicate = {
        "configuration": [
            {"name": "policy", "digest": {"sha256": run.policy_digest}},
            {"name": "gates", "digest": {"sha256": run.suite_digest}},
        ],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
        "report": parse_json(content, "report.json"),
    }
    result: Literal["PASSED", "WARNED", "FAILED"] = (
        "PASSED" if not (warned or failed) else "FAILED" if failed else "WARNED"
    )
    return seal(statement(listing(directory), predicate, result=result), private)
