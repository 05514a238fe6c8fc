"""The verb `completion`."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from .options import Verbs, argument, folder, onnx_file

SHELLS = ("bash", "zsh")
_PATHS = (Path, folder, onnx_file)


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add("completion", completion, argument("shell", choices=SHELLS, help="the shell to complete for"))


def completion(arguments: argparse.Namespace) -> int:
    """Print a script by which a shell completes verbs, options and paths.

    For bash: write it to ~/.local/share/bash-completion/completions/modelgates. For zsh: write it as _modelgates into a
    folder of $fpath.
    """
    import shtab

    from .main import parser

    whole = parser()
    for action in _actions(whole):
        if action.dest == "model" or action.type in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # as shtab wants it
    print(shtab.complete(whole, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
