"""The command line from its first word to its exit status."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from ..errors import ModelgatesError, UsageError
from ..evidence.reasons import COMMANDS
from ..storage.text import first_line, wrapped
from . import (
    ab,
    alerts,
    compare,
    completion,
    drift,
    gates,
    golden,
    metrics,
    mlflow,
    nightly,
    outcomes,
    packing,
    pages,
    paper,
    policy,
    predictions,
    registry,
    reports,
    scaffold,
    serving,
    trials,
    upkeep,
    watch,
)
from .options import Command, Verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a refusal is an answer, not a traceback."""
    if sys.platform == "win32":
        _say("needs symlinks and file locks of Linux or macOS; run it there, or in WSL")
        return 3
    arguments, refused, done, failed = None, None, 0, 0
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show → still shows the rest
        arguments = parser().parse_args(argv)
        command: Command = arguments.command
        done = command(arguments)
        sys.stdout.flush()
    except ModelgatesError as error:
        _say(str(error))
        refused = error
        failed = 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # its reader, such as `head`, has seen enough
            place = error.filename2 or error.filename or ""  # for a rename, filename2 is the file to replace
            _say(f"{error.strerror or error}: {place}".rstrip(": "))
        failed = 3
    except (ImportError, MemoryError) as error:
        # A library that finds no memory to be loaded into says only that it cannot be imported.
        _say(f"out of memory, or a library cannot be loaded ({first_line(error)}); see: ulimit -v, pip check")
        failed = 3
    except KeyboardInterrupt:
        _say("interrupted")
        failed = 130
    if failed:
        _drop_output()
    if arguments and arguments.announces and failed != 130:
        alerts.announce(arguments, refused)  # whatever becomes of them, the exit status stays
        mlflow.mirror_at_end(arguments, refused)
    return failed or done


def _say(why: str) -> None:
    """Say why on stderr. The exit status does not depend on whether that works."""
    said = f"modelgates: {why}"
    with suppress(OSError):
        if sys.stderr.isatty():
            # A command stays on one line, so that it can be copied.
            said = "\n".join(line if line.strip().startswith(COMMANDS) else wrapped(line) for line in said.splitlines())
        print(said, file=sys.stderr)


def _drop_output() -> None:
    """Point what cannot be written at /dev/null, so that the interpreter's final flush cannot fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def parser() -> argparse.ArgumentParser:
    """Build the parser: every verb with its options."""
    top = argparse.ArgumentParser(
        prog="modelgates",
        description="Gates that a model must pass before it goes live.",
        epilog="First steps: modelgates init, python pack_example.py, modelgates promote DIRECTORY (as the example "
        "printed it), modelgates status. Each verb has a --help of its own.",
    )
    top.add_argument("--version", action="version", version=f"pytest-modelgates {version('pytest-modelgates')}")
    verbs = Verbs(top)
    nouns = (
        packing,
        gates,
        reports,
        registry,
        nightly,
        upkeep,
        golden,
        trials,
        policy,
        compare,
        ab,
        drift,
        watch,
        alerts,
        mlflow,
        metrics,
        serving,
        predictions,
        outcomes,
        pages,
        paper,
        scaffold,
        completion,
    )
    for noun in nouns:  # as help lists them
        noun.register(verbs)
    return top
