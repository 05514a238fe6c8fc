"""The hermetic run: gates in a child process that nothing in the user's environment or repository can reach."""

import math
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import HermeticError
from ..evidence.report import StoredReport, read_report
from ..evidence.results import results_of
from ..evidence.seal import load_key, seal, statement
from ..evidence.trust import NONCE, module_folders, suite_folders
from ..policy.operations import HermeticLimits
from ..policy.policy import Policy
from ..storage.digests import listing
from ..storage.paths import is_file
from ..storage.text import printable

Answer = TypeVar("Answer")

# The child loads these plugins alone: no entry point of the environment, no conftest or ini file of the repository.
PLUGINS = (
    "pytest_modelgates.plugin",
    "pytest_jsonreport.plugin",
    "pytest_metadata.plugin",
    "pytest_benchmark.plugin",
)
# All other variables are dropped, because some of them load code or change options: PYTHONPATH, PYTEST_ADDOPTS. By
# GitHub's the child knows that it is to print annotations, and where the repository lies.
KEPT: tuple[str, ...] = (
    *("PATH", "LANG", "LC_ALL", "TZ", "SERVE_KILL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    *("GITHUB_ACTIONS", "GITHUB_WORKSPACE"),
)
# What a terminal shows, as pytest reads it; where the output is read by a program, it gets no colours.
OF_TERMINALS = ("TERM", "NO_COLOR", "FORCE_COLOR", "PY_COLORS")


def run_gates(
    directory: Path,
    policy: Policy,
    limits: HermeticLimits,
    *,
    policy_file: Path | None,
    root: Path,
    selection: Sequence[str] = (),
    quiet: bool = False,
) -> StoredReport:
    """Run the gates on a model in a child process.

    Parameters
    ----------
    directory : Path
        The model directory.
    policy : Policy
        Names further suites.
    limits : HermeticLimits
        Of memory and time.
    policy_file : Path, optional
        Where it was read from; the packaged default if left out.
    root : Path
        What the policy's suites are relative to.
    selection : sequence of str
        Further arguments of pytest, such as ``-m hard``.
    quiet : bool
        Show what the child prints only if it leaves no report.

    Returns
    -------
    StoredReport
        Not kept anywhere yet, so without a path.

    Raises
    ------
    HermeticError
        If the child left no report of this very run, ran out of time, or ended with another status than it reports.
    """
    nonce, suites = secrets.token_hex(16), suite_folders(policy, root)
    # Gates import their helpers from here. The shipped ones have none.
    helpers = [*suites[1:], *module_folders(policy, root)]
    with tempfile.TemporaryDirectory(prefix="modelgates-") as name:
        folder = Path(name).resolve()
        # With an ini file of its own pytest looks for no other, and thus finds none of the repository's options.
        (folder / "pytest.ini").write_text("[pytest]\n")
        report = folder / "report.json"
        command = [
            # -I keeps the working directory, PYTHON* variables and the user's own site-packages off the import path.
            *(sys.executable, "-I", "-m", "pytest_modelgates.gating.child", str(folder / "bytecode")),
            *(str(path.resolve()) for path in helpers),
            *("--", "-c", str(folder / "pytest.ini"), f"--rootdir={folder}", "--import-mode=importlib"),
            *("--noconftest", "--strict-markers", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"),
            *(word for plugin in PLUGINS for word in ("-p", plugin)),
            *(f"--model-dir={directory}", f"--gate-report={report}"),
            *([f"--policy={policy_file.resolve()}"] if policy_file else []),
            *selection,
            *map(str, suites),
        ]
        own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", NONCE: nonce}
        status, output = run_limited(command, folder, limits, what="the gates", quiet=quiet, environment=own)
        if not is_file(report):
            raise HermeticError(
                f"the gates of {directory.name} left no report (exit {status}):\n{output.strip()[-2000:]}"
            )
        stored = replace(read_report(report), path=None)
    run = stored.report.modelgates.run
    if run.nonce != nonce:
        raise HermeticError(
            f"the report of {directory.name} is not of this run; something else writes to {folder.parent}"
        )
    if run.exit_status != status:
        raise HermeticError(f"the gates of {directory.name} ended with {status}, their report says {run.exit_status}")
    return stored


def run_limited(
    command: Sequence[str],
    folder: Path,
    limits: HermeticLimits,
    *,
    what: str,
    quiet: bool,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a command in a folder, within limits and without the variables of this process.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Its working folder, home, and place of temporary files.
    limits : HermeticLimits
    what : str
        What is run, for messages.
    quiet : bool
        Return what it prints, errors among it, instead of showing it.
    environment : mapping of str to str, optional
        Further variables.

    Returns
    -------
    int
        The exit status.
    str
        What it printed, if it was asked to be quiet.

    Raises
    ------
    HermeticError
        If it ran out of time.
    """
    wanted = KEPT if quiet else (*KEPT, *OF_TERMINALS)
    kept = {key: value for key, value in os.environ.items() if key in wanted}
    kept |= {"HOME": str(folder), "TMPDIR": str(folder), "COLUMNS": str(shutil.get_terminal_size((100, 24)).columns)}
    memory, seconds = int(limits.memory_gib * 2**30), limits.minutes * 60
    # CPU seconds if every core were busy until the timeout. Only a child whose parent died, so that nobody enforces
    # the timeout, ever reaches this.
    work = math.ceil(seconds * (os.cpu_count() or 1))

    def limit() -> None:
        # Of memory that is the process's own: a file that it maps, such as `scratch`, fills no machine.
        for kind, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CPU, work)):
            # Only root may raise a hard limit, so one that is lower already stays.
            hard = resource.getrlimit(kind)[1]
            lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (lower, lower))

    with subprocess.Popen(
        command,
        env={**kept, **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        start_new_session=True,
        preexec_fn=limit,  # safe: this process runs no other Python thread
    ) as child:
        try:
            output, _ = child.communicate(timeout=seconds)
        except BaseException as error:  # Ctrl-C does not reach a child in another session
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise HermeticError(
                f"{what} ran longer than {limits.minutes:g} minutes and had to be stopped; "
                "raise [hermetic] minutes in registry/operations.toml if the model is that large"
            ) from error
    return child.returncode, output or ""


def seal_report(stored: StoredReport, directory: Path, policy: Policy, key: Path) -> bytes:
    """Seal the report of a hermetic run, in the name of the one who started it: the run itself never sees the key."""
    private, ledger = load_key(key), stored.report.modelgates
    run, model = ledger.run, ledger.models[directory.name]
    gates = results_of(model, policy, day=run.started.date())
    content = statement(
        listing(directory),
        {"policy": run.policy_digest, "gates": run.suite_digest},
        {"report": stored.parsed},
        result=gates.result,
        passed=gates.passed,
        warned=gates.warned,
        failed=gates.failed,
    )
    return seal(content, private)


def ask_limited(
    command: Sequence[str], folder: Path, limits: HermeticLimits, answer: type[Answer], *, what: str
) -> Answer:
    """Run a command whose last line is its answer, in JSON.

    Raises
    ------
    HermeticError
        If it ran out of time, or gave another answer.
    """
    status, output = run_limited(command, folder, limits, what=what, quiet=True)
    said = output.strip().splitlines() or ["nothing"]
    try:
        return msgspec.json.decode(said[-1], type=answer)
    except msgspec.DecodeError as error:
        raise HermeticError(f"{what} ended with {status} and said: {printable(said[-1])}") from error
