"""A process of its own for what speaks to others: whatever they do, it ends when its time is up."""

import os
import signal
import subprocess
import sys
from contextlib import suppress


def answer_of(module: str, question: bytes, timeout_s: float) -> tuple[bytes, int | None]:
    """Run a module of this package, with a question as its stdin.

    Parameters
    ----------
    module : str
        Its name, as for ``python -m``.
    question : bytes
    timeout_s : float
        How long that may take [s]; then it is ended, with all that it started.

    Returns
    -------
    bytes
        What it wrote to stdout.
    int or None
        Its exit status; None if its time was up.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(question, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return process.communicate()[0], None
    except BaseException:
        _end(process)
        process.wait()
        raise
    return said, process.returncode


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
