"""The command line: its verbs, and what becomes of one."""

import argparse
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ..errors import UsageError
from . import (
    ab,
    alerts,
    bucket,
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
from .status import INTERRUPTED, answered, say

_NO_VALUE = re.compile(r"--[a-z-]+=--")
"""argparse of Python before 3.13 makes an empty list of it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a refusal is an answer, not a traceback."""
    if sys.platform == "win32":
        say("needs symlinks and file locks of Linux or macOS; run it there, or in WSL")
        return 3
    arguments = None

    def command() -> int:
        nonlocal arguments
        words = sys.argv[1:] if argv is None else argv
        if no_value := next((word for word in words if _NO_VALUE.fullmatch(word)), None):
            raise UsageError(f"{no_value}: `--` ends the options, so it cannot be the value of one; write another")
        arguments = parser().parse_args(words)
        run: Command = arguments.command
        return run(arguments)

    status, refused = answered(command)
    if arguments and arguments.announces and status != INTERRUPTED:
        alerts.announce(arguments, refused)  # whatever becomes of them, the exit status stays
        mlflow.mirror_at_end(arguments, refused)
    return status


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
        bucket,
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
