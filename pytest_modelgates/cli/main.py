"""The command line: its verbs, and what becomes of one."""

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ..errors import UsageError
from .options import Command, Verbs
from .status import INTERRUPTED, answered, say

VERBS = {
    "packing": ("pack", "panel", "verify", "sign"),
    "gates": ("gate", "gates", "prove", "keygen"),
    "reports": ("report",),
    "registry": ("promote", "rollback", "status", "list", "log"),
    "bucket": ("push", "pull", "follow"),
    "nightly": ("nightly",),
    "upkeep": ("recover", "gc"),
    "golden": ("golden",),
    "trials": ("trials",),
    "policy": ("policy", "explain"),
    "compare": ("compare",),
    "ab": ("ab",),
    "drift": ("drift-check",),
    "watch": ("watch",),
    "alerts": ("alert",),
    "mlflow": ("mlflow",),
    "metrics": ("metrics",),
    "serving": ("serve", "shadow", "kill", "unkill"),
    "predictions": ("predictions",),
    "outcomes": ("outcomes",),
    "pages": ("dashboard",),
    "paper": ("paper", "reconcile"),
    "scaffold": ("init",),
    "completion": ("completion",),
}
"""The verbs of each module, as help lists them: a command loads the module of its own verb alone."""
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
        arguments = parser(*words[:1]).parse_args(words)
        run: Command = arguments.command
        if arguments.announces:
            from . import at_end  # noqa: F401  # now, since nothing may fail once it is done
        return run(arguments)

    status, refused = answered(command)
    if arguments and arguments.announces and status != INTERRUPTED:
        from . import at_end

        at_end.tell(arguments, refused)  # whatever becomes of it, the exit status stays
    return status


def parser(verb: str = "") -> argparse.ArgumentParser:
    """Build the parser: every verb with its options, or those of the module that has this one."""
    top = argparse.ArgumentParser(
        prog="modelgates",
        description="Gates that a model must pass before it goes live.",
        epilog="First steps: modelgates init, python pack_example.py, modelgates promote DIRECTORY (as the example "
        "printed it), modelgates status. Each verb has a --help of its own.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    verbs = Verbs(top)
    for module in [name for name, found in VERBS.items() if verb in found] or VERBS:
        import_module(f".{module}", __package__).register(verbs)
    return top


class _Version(argparse.Action):
    """Looks the version up once it is asked for, which takes long to load."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"pytest-modelgates {version('pytest-modelgates')}")
        parser.exit()
