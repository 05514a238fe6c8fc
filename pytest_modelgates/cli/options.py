"""Options that several verbs share: how each is declared, and how its value is read."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifacts import Artifacts, is_id
from ..audit.head import Head
from ..errors import FormatError, PolicyError, RefusedError
from ..storage.paths import is_file, is_folder
from ..storage.text import printable
from .examples import EXAMPLES

if TYPE_CHECKING:
    from ..policy.operations import Operations
    from ..registry.in_force import InForce

KEY_VARIABLE = "MODELGATES_KEY"
STATUSES = (
    "Ends with 0 (done), 1 (refused, or something was found), 2 (used wrongly), 3 (the machine failed) or 130 (Ctrl-C)."
)

Command = Callable[[argparse.Namespace], int]
Option = Callable[[argparse.ArgumentParser], object]


class _Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph by itself."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(super(_Paragraphs, self)._fill_text(each, width, indent) for each in text.split("\n\n"))


class Verbs:
    """The verbs of the command line, or those of one noun such as `golden`."""

    def __init__(self, parser: argparse.ArgumentParser, noun: str = "") -> None:
        self._verbs = parser.add_subparsers(required=True, metavar="VERB")
        self._noun = noun

    def add(self, name: str, command: Command, *options: Option, announces: bool = False) -> None:
        """Add a verb, which its command's docstring describes; help lists the options in their order.

        The list of verbs has the first sentence alone; help ends with the verb's example. One that `announces` sends
        its alerts when it is done.
        """
        described = inspect.getdoc(command) or ""
        summary = described.partition("\n\n")[0].replace("\n", " ")
        epilog = f"Example: modelgates {EXAMPLES[f'{self._noun} {name}'.strip()]}\n\n{STATUSES}"
        parser = self._verbs.add_parser(
            name, help=summary, description=described, epilog=epilog, formatter_class=_Paragraphs
        )
        parser.set_defaults(command=command, announces=announces)
        for option in options:
            option(parser)

    def noun(self, name: str, summary: str) -> "Verbs":
        """Add a noun with verbs of its own, such as ``golden set``."""
        return Verbs(self._verbs.add_parser(name, help=summary), name)


def argument(*names: str, **details: Any) -> Option:
    """Declare an argument as `argparse` does."""
    return lambda parser: parser.add_argument(*names, **details)


def folder(text: str) -> Path:
    """Read the path of a folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path, expected a folder such as artifacts")
    return Path(text)


HERE = Path("artifacts")
"""The artifacts root if none is named; a root that is named is another object, even of the same path."""

ARTIFACTS = argument(
    "--artifacts",
    type=folder,
    default=HERE,
    metavar="DIR",
    help="the folder of models, reports and logs; default: artifacts",
)
POLICY = argument(
    "--policy",
    type=Path,
    metavar="FILE",
    help="the policy; default: the registry's own, registry/policy.toml beside the artifacts, else the packaged one",
)
MODEL = argument("model", help="a model directory, such as artifacts/models/1763884678, or its id")
JUNIT = argument(
    "--junitxml", type=Path, metavar="FILE", help="also write the outcomes of the gates as JUnit XML, for CI"
)
JSON = argument("--json", action="store_true", help="print JSON instead of text")


def junit_of(arguments: argparse.Namespace) -> list[str]:
    """Give the option by which pytest writes JUnit XML, if it is asked for; the gates run in another folder."""
    return [f"--junitxml={arguments.junitxml.resolve()}"] if arguments.junitxml else []


def key_option(use: str) -> Option:
    """Declare the private key, and what the verb does with it."""
    return argument(
        "--key", metavar="FILE", help=f"{use} with this private key; default: the file that ${KEY_VARIABLE} names"
    )


def artifacts_of(arguments: argparse.Namespace) -> Artifacts:
    """Find the artifacts root, which must be there; a model that was named by its path goes by its id from here."""
    from ..audit.writer import require_root

    artifacts = Artifacts.at(arguments.artifacts)
    require_root(artifacts)
    if getattr(arguments, "model", None):
        arguments.model = id_in(artifacts, arguments.model)
    return artifacts


def id_in(artifacts: Artifacts, given: str) -> str:
    """Read the path of a model as its id, and an id as it is.

    Raises
    ------
    RefusedError
        If the path does not lead to a model of this root.
    """
    if os.sep not in given:
        return given
    directory = Path(given).resolve()
    _refuse_another_root(given, directory, artifacts)
    return directory.name


def _refuse_another_root(given: str, directory: Path, artifacts: Artifacts) -> None:
    if directory.parent != artifacts.models:
        raise RefusedError(
            f"{printable(given)}: not a model of {artifacts.root}; give an id, or a path in {artifacts.models}"
        )


def acting(artifacts: Artifacts, arguments: argparse.Namespace) -> "InForce":
    """Read the policy and the operations for a verb that changes or judges something."""
    from ..registry.in_force import for_acting

    return _warned(for_acting(artifacts, arguments.policy))


def looking(artifacts: Artifacts, arguments: argparse.Namespace) -> "InForce":
    """Read the policy and the operations for a verb that only looks or scores."""
    from ..registry.in_force import for_looking

    return _warned(for_looking(artifacts, arguments.policy))


def emergency(artifacts: Artifacts, arguments: argparse.Namespace) -> "InForce":
    """Read the policy and the operations for a verb that must work when they are broken or lost."""
    from ..registry.in_force import for_emergency

    return _warned(for_emergency(artifacts, arguments.policy))


def operations_of(artifacts: Artifacts) -> "Operations":
    """Read how a registry is operated, for what only tells of it or asks another server.

    Raises
    ------
    PolicyError
        If operations.toml is broken.
    """
    from ..policy.operations import load_operations
    from ..policy.place import find_place

    place = find_place(artifacts)
    try:
        return load_operations(place.operations, policy=place.own)[0]
    except PolicyError:  # a broken policy bars none of it, a broken operations.toml does
        return load_operations(place.operations, policy=None)[0]


def _warned(found: "InForce") -> "InForce":
    for warning in found.warnings:
        note(f"warning: {warning}")
    return found


def note(text: str) -> None:
    """Write a line on stderr."""
    with suppress(OSError):  # a closed stderr must not stop the command
        wiped = "\r\033[K" if sys.stderr.isatty() else ""  # a line of progress may stand there
        print(f"{wiped}modelgates: {printable(text)}", file=sys.stderr)


def key_of(arguments: argparse.Namespace) -> Path | None:
    """Find the private key: the option, else the environment's; None if there is neither."""
    name = arguments.key or os.environ.get(KEY_VARIABLE)
    return Path(name) if name else None


def named_directory(arguments: argparse.Namespace) -> Path:
    """Find a model directory by the path or the id that was given; it may not be there.

    Raises
    ------
    RefusedError
        If --artifacts names one root, and the path leads to a model of another.
    """
    given, path = arguments.model, Path(arguments.model)
    named = arguments.artifacts is not HERE
    if is_id(given) and (named or not is_folder(path)):
        return Path(arguments.artifacts, "models", given)
    if named and is_folder(path):
        _refuse_another_root(given, path.resolve(), Artifacts.at(arguments.artifacts))
    return path


def onnx_file(text: str) -> Path:
    """Read the path of an ONNX file, or the id of a model under ``artifacts``."""
    return Path("artifacts", "models", text, "model.onnx") if is_id(text) and not is_file(Path(text)) else Path(text)


def model_directory(arguments: argparse.Namespace) -> tuple[Path, Artifacts]:
    """Find a model directory by path or id, which must lie under an artifacts root, and that root."""
    given = named_directory(arguments)
    directory = given.resolve()
    if not is_folder(directory):
        raise RefusedError(
            f"{arguments.model}: no such model directory; give its path, such as artifacts/models/1763884678, or its id"
        )
    artifacts = Artifacts.of(given)
    if artifacts.model(directory.name) != directory:
        raise RefusedError(f"{directory}: not in a folder `models`, expected artifacts/models/{directory.name}")
    return directory, artifacts


def print_json(value: Any) -> None:
    """Print a result for programs."""
    from ..storage.strict_json import readable

    print(readable(value).decode(), end="")


def moment(text: str) -> datetime:
    """Read a moment; it is in UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give one such as 2026-11-23T07:30") from error


SINCE = argument("--since", type=moment, metavar="TIME", help="scored from then on; a date or time of ISO 8601, in UTC")
UNTIL = argument("--until", type=moment, metavar="TIME", help="scored before")


def whole(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; give one such as 5")
    return int(text)


def count(text: str) -> int:
    """Read a whole number, 1 or more."""
    if not (number := whole(text)):
        raise argparse.ArgumentTypeError("'0' is too few, give 1 or more")
    return number


def head(text: str) -> Head:
    """Read the head of an audit log, as promote prints it."""
    try:
        return Head.parse(text)
    except FormatError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
