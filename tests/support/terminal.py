"""A terminal of 80 columns, in which a command can be watched."""

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def in_a_terminal(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a command whose output and errors are a terminal; give its status, and what was written there."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "COLUMNS": "80", **(environment or {})}
    said = b""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=cwd, env=variables
    ) as process:
        os.close(theirs)
        while read := _read(ours):
            said += read
    os.close(ours)
    return process.returncode, said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so of a terminal that everybody left
        return b""
