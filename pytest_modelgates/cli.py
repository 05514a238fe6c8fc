"""The command line: every verb with its options. 0 done, 1 refused, 2 used wrongly, 3 the machine failed."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import commands
from .errors import FormatError, ModelgatesError, UsageError
from .model.manifest import Head

Option = Callable[[argparse.ArgumentParser], object]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a refusal is an answer, not a traceback."""
    _open_streams()
    if sys.platform == "win32":
        _say("needs symlinks and file locks of Linux or macOS; run it there, or in WSL")
        return 3
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no → still shows the rest
    arguments = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        done = command(arguments)
        sys.stdout.flush()
        return done
    except ModelgatesError as error:
        _say(str(error))
        failed = 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever read the output has seen enough
            place = error.filename2 or error.filename or ""  # of a rename, what was to be replaced
            _say(f"{error.strerror or error}: {place}".rstrip(": "))
        failed = 3
    except KeyboardInterrupt:
        _say("interrupted")
        failed = 130
    _drop_output()
    return failed


def _open_streams() -> None:
    """Lead a closed standard stream nowhere, lest a file of the registry gets its number, and what others print."""
    for name in ("stdin", "stdout", "stderr"):  # by number, as the lowest free one is given
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115  # until the end


def _say(why: str) -> None:
    """Say why on stderr; the status must not depend on whether that can be written to."""
    with suppress(OSError):
        print(f"modelgates: {why}", file=sys.stderr)


def _drop_output() -> None:
    """Have the interpreter not stumble at its end over what cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Every verb with its options."""
    top = argparse.ArgumentParser(prog="modelgates", description="Gates that a model must pass before it goes live.")
    verbs = top.add_subparsers(required=True, metavar="VERB")
    shared: list[tuple[argparse.ArgumentParser, Sequence[Option]]] = []

    def verb(name: str, command: Callable[[argparse.Namespace], int], *options: Option, of: Any = verbs) -> Any:
        sub = of.add_parser(name, help=command.__doc__, description=command.__doc__)
        sub.set_defaults(command=command)
        shared.append((sub, options))
        return sub

    sub = verb("pack", commands.pack, _artifacts)
    sub.add_argument(
        "model", type=Path, help="an .onnx file, a LightGBM .txt file, or a .joblib file of your own (it runs code)"
    )
    sub.add_argument("--panel", type=Path, required=True, help="Parquet or CSV")
    sub.add_argument("--spec", type=Path, required=True, help="packing list (TOML); modelgates init writes an example")

    sub = verb("verify", commands.verify)
    sub.add_argument("directory", type=Path)

    sub = verb("gate", commands.gate, _key("seal the report"), _policy)
    sub.add_argument("model", help="a model directory")

    sub = verb("prove", commands.prove, _key("seal the proof"), _policy, _json)
    sub.add_argument("model", help="a model directory")

    sub = verb("keygen", commands.keygen)
    sub.add_argument("file", type=Path)

    sub = verb("promote", commands.promote, _key("seal the report and sign the log"), _artifacts, _policy)
    sub.add_argument(
        "model", nargs="?", help="a model directory, whose hard gates are run first; a report; with --report, an id"
    )
    sub.add_argument("--report", type=Path, help="the report of a gate run")
    sub.add_argument("--reason", default="all hard gates passed", help="for the audit log")
    sub.add_argument("--dry-run", action="store_true", help="print the plan and every reason against it")

    sub = verb("rollback", commands.rollback, _key("sign the log"), _artifacts, _policy)
    sub.add_argument("model", nargs="?", help="its id; asked for on a terminal if left out")
    sub.add_argument("--reason", default="", help="for the audit log; must be given")

    verb("status", commands.status, _artifacts, _policy, _json)

    sub = verb("list", commands.list_models, _artifacts, _json)
    sub.add_argument("--last", type=_count, default=20, metavar="N", help="only the newest N; default: 20")
    sub.add_argument("--all", action="store_true", help="all of them")

    sub = verb("log", commands.log, _artifacts, _policy, _json)
    sub.add_argument(
        "--at", type=_moment, metavar="TIME", help="what was live then (ISO 8601; UTC unless it says otherwise)"
    )
    sub.add_argument("--verify", action="store_true", help="check every line, signature and kept head; 1 if one is off")
    sub.add_argument(
        "--head", type=_head, metavar="N:SHA256", help="check it all, and against a head that promote printed once"
    )

    sub = verb("recover", commands.recover, _artifacts, _policy)
    sub.add_argument("--yes", action="store_true", help="do it")

    sub = verb("gc", commands.gc, _artifacts, _policy)
    sub.add_argument("--keep", type=_whole, required=True, metavar="N", help="keep the newest N of those all the same")
    sub.add_argument("--dry-run", action="store_true", help="only say what would go")

    golden = verbs.add_parser("golden", help="Set or show reference predictions.").add_subparsers(
        required=True, metavar="VERB"
    )
    sub = verb("set", commands.golden_set, _artifacts, _policy, of=golden)
    sub.add_argument("model", help="its id")
    sub.add_argument("--from", dest="source", type=Path, help="Parquet or CSV with a column `prediction`")
    verb("show", commands.golden_show, _artifacts, _json, of=golden)

    sub = verb("drift-check", commands.drift_check, _artifacts, _policy, _json)
    sub.add_argument("--last", type=_count, metavar="N", help="only the newest N rows")

    sub = verb("compare", commands.compare, _artifacts, _json)
    sub.add_argument("model", nargs="?", help="the candidate's id; the newest packed one if left out")

    for name, command in (("serve", commands.serve), ("shadow", commands.shadow)):
        sub = verb(name, command)
        sub.add_argument(
            "--onnx", type=Path, required=True, help="artifacts/models/latest.onnx, or a candidate's model.onnx"
        )
        sub.add_argument("--csv", type=Path, required=True, help="time, asset and the features, in the sidecar's order")

    sub = verb("init", commands.init)
    sub.add_argument("directory", type=Path, nargs="?", default=Path())

    for sub, options in shared:  # last, as help lists them in this order
        for option in options:
            option(sub)
    return top


def _artifacts(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="the artifacts root")


def _policy(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--policy", type=Path, metavar="FILE", help="default: registry/policy.toml here, else the packaged one"
    )


def _key(use: str) -> Option:
    return lambda sub: sub.add_argument(
        "--key", metavar="FILE", help=f"{use} with this private key; default: ${commands.KEY}"
    )


def _json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="print JSON")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-23T07:30") from error


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _count(text: str) -> int:
    if not (count := _whole(text)):
        raise argparse.ArgumentTypeError("'0' is too few, give 1 or more")
    return count


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except FormatError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
