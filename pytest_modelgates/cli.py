"""The command line. Each verb parses, calls and prints. 0 done, 1 refused, 2 used wrongly, 3 the machine failed."""

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ModelgatesError, PolicyError, RefusedError
from .model.layout import Artifacts, checked_id
from .registry.policy import Policy, find_policy, load_policy

if TYPE_CHECKING:
    from .registry.audit import Head
    from .registry.report import Report

KEY = "MODELGATES_KEY"


class UsageError(ModelgatesError):
    """The command was called in a way it does not understand."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a refusal is an answer, not a traceback."""
    if sys.platform == "win32":
        print("modelgates: needs symlinks and file locks of Linux or macOS; run it there, or in WSL", file=sys.stderr)
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
    except UsageError as error:
        print(f"modelgates: {error}", file=sys.stderr)
        return 2
    except ModelgatesError as error:
        print(f"modelgates: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever read the output has seen enough
            print(f"modelgates: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        _drop_output()
        return 3
    except KeyboardInterrupt:
        print("modelgates: interrupted", file=sys.stderr)
        return 130


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

    def verb(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    def artifacts(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="the artifacts root")

    def policy(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--policy", type=Path, metavar="FILE", help="default: registry/policy.toml here, else the packaged one"
        )

    def as_json(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", action="store_true", help="print JSON")

    sub = verb("pack", _pack, "Write a model directory from a model, its panel and a packing list.")
    sub.add_argument(
        "model", type=Path, help="an .onnx file, a LightGBM .txt file, or a .joblib file of your own (it runs code)"
    )
    sub.add_argument("--panel", type=Path, required=True, help="Parquet or CSV")
    sub.add_argument("--spec", type=Path, required=True, help="packing list (TOML); modelgates init writes an example")
    artifacts(sub)

    sub = verb("verify", _verify, "Check a model directory: file set, sizes, SHA-256, manifest, schema CRC.")
    sub.add_argument("directory", type=Path)

    sub = verb("gate", _gate, "Run the gates on a model where nothing else can reach them; 1 if the run is not green.")
    sub.add_argument("model", help="a model directory")
    sub.add_argument("--key", metavar="FILE", help=f"seal the report with this private key; default: ${KEY}")
    policy(sub)

    sub = verb("prove", _prove, "Run every hard gate on a twin of the model that it must not pass; 1 if one does pass.")
    sub.add_argument("model", help="a model directory")
    sub.add_argument("--key", metavar="FILE", help=f"seal the proof with this private key; default: ${KEY}")
    policy(sub)
    as_json(sub)

    sub = verb("keygen", _keygen, "Write a new private key and print its public half for the policy.")
    sub.add_argument("file", type=Path)

    sub = verb("promote", _promote, "Make a model live, if its report is of a fully green hard run.")
    sub.add_argument(
        "model", nargs="?", help="a model directory, whose hard gates are run first; a report; with --report, an id"
    )
    sub.add_argument("--report", type=Path, help="the report of a gate run")
    sub.add_argument("--reason", default="all hard gates passed", help="for the audit log")
    sub.add_argument("--dry-run", action="store_true", help="print the plan and every reason against it")
    artifacts(sub)
    policy(sub)

    sub = verb("rollback", _rollback, "Make a model live again that was live before.")
    sub.add_argument("model", nargs="?", help="its id; asked for on a terminal if left out")
    sub.add_argument("--reason", default="", help="for the audit log; must be given")
    artifacts(sub)
    policy(sub)

    sub = verb("status", _status, "Show what is live, and everything that is wrong; 1 if something is.")
    artifacts(sub)
    policy(sub)
    as_json(sub)

    sub = verb("list", _list, "Show model directories, oldest first.")
    sub.add_argument("--last", type=_count, default=20, metavar="N", help="only the newest N; default: 20")
    sub.add_argument("--all", action="store_true", help="all of them")
    artifacts(sub)
    as_json(sub)

    sub = verb("log", _log, "Show every promotion and rollback.")
    sub.add_argument(
        "--at", type=_moment, metavar="TIME", help="what was live then (ISO 8601; UTC unless it says otherwise)"
    )
    sub.add_argument("--verify", action="store_true", help="check every line, signature and kept head; 1 if one is off")
    sub.add_argument("--head", type=_head, metavar="N:SHA256", help="with --verify: a head that promote printed once")
    artifacts(sub)
    policy(sub)
    as_json(sub)

    sub = verb("recover", _recover, "Say what would put link and log right again; 1 if something would.")
    sub.add_argument("--yes", action="store_true", help="do it")
    artifacts(sub)
    policy(sub)

    sub = verb("gc", _gc, "Delete old models: none that is live, was live before it, is newer, or is being read.")
    sub.add_argument("--keep", type=_whole, required=True, metavar="N", help="keep the newest N of those all the same")
    sub.add_argument("--dry-run", action="store_true", help="only say what would go")
    artifacts(sub)
    policy(sub)

    golden = verbs.add_parser("golden", help="Set or show reference predictions.").add_subparsers(
        required=True, metavar="VERB"
    )
    sub = golden.add_parser("set", help="save a model's panel predictions, or those of a file, as its reference")
    sub.set_defaults(command=_golden_set)
    sub.add_argument("model", help="its id")
    sub.add_argument("--from", dest="source", type=Path, help="Parquet or CSV with a column `prediction`")
    artifacts(sub)
    policy(sub)
    sub = golden.add_parser("show", help="show what references there are")
    sub.set_defaults(command=_golden_show)
    artifacts(sub)
    as_json(sub)

    sub = verb("drift-check", _drift_check, "Compare the live model's predictions with its golden; 1 on drift.")
    sub.add_argument("--last", type=_count, metavar="N", help="only the newest N rows")
    artifacts(sub)
    policy(sub)
    as_json(sub)

    sub = verb("compare", _compare, "Correlate a candidate in shadow with the live model.")
    sub.add_argument("model", nargs="?", help="the candidate's id; the newest packed one if left out")
    artifacts(sub)
    as_json(sub)

    for name, text in (
        ("serve", "Score a CSV file with the live model and log the predictions."),
        ("shadow", "Score a CSV file with a candidate, beside the live model; nothing follows from its predictions."),
    ):
        sub = verb(name, _score, text)
        sub.add_argument(
            "--onnx", type=Path, required=True, help="artifacts/models/latest.onnx, or a candidate's model.onnx"
        )
        sub.add_argument("--csv", type=Path, required=True, help="time, asset and the features, in the sidecar's order")
        sub.set_defaults(arm="live" if name == "serve" else "shadow")

    sub = verb(
        "init", _init, "Write a policy, a packing example, a nightly workflow and ignore rules into your repository."
    )
    sub.add_argument("directory", type=Path, nargs="?", default=Path())
    return top


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


def _head(text: str) -> "Head":
    from .registry.audit import Head

    if not re.fullmatch("[1-9][0-9]*:[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no head as promote prints it: a number, a colon, a SHA-256")
    return Head.parse(text)


def _policy(arguments: argparse.Namespace) -> Policy:
    path: Path | None = arguments.policy
    if path is not None and not path.is_file():
        raise PolicyError(f"{path}: no such policy file")
    return load_policy(path or find_policy(Path.cwd()))


def _artifacts(arguments: argparse.Namespace) -> Artifacts:
    return Artifacts(arguments.artifacts.resolve())


def _key(arguments: argparse.Namespace) -> Path | None:
    name = getattr(arguments, "key", None) or os.environ.get(KEY)
    return Path(name) if name else None


def _print_json(value: Any) -> None:
    from .model.files import readable

    print(readable(value).decode(), end="")


def _pack(arguments: argparse.Namespace) -> int:
    from .model.spec import pack_from_files

    directory = pack_from_files(arguments.model, arguments.panel, arguments.spec, artifacts=arguments.artifacts)
    print(directory)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from .errors import IntegrityError
    from .model.pinned import verify

    directory = arguments.directory.resolve()
    try:
        print(f"{directory.name}: sound, sha256:{verify(directory)}")
    except IntegrityError as problems:
        print(problems)
        return 1
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from .registry import promote
    from .registry.report import read_report

    policy, report = _policy(arguments), arguments.report
    if report is None and arguments.model and Path(arguments.model).is_file():
        report, arguments.model = Path(arguments.model), None
    if report is None and arguments.model is None:
        raise UsageError("promote what? Give a model directory, or --report FILE")
    if report is None:
        directory, artifacts = _model_directory(arguments.model)
        model_id = directory.name
        report, _ = _run_gates(directory, arguments, ["-m", "hard"])
    else:
        artifacts = _artifacts(arguments)
        model_id = arguments.model
        if model_id is None:
            model_id = promote.model_of(read_report(report, keys=policy.evidence.keys), report)
    if arguments.dry_run:
        plan = promote.plan_promotion(artifacts, model_id, report, policy, now=datetime.now(UTC))
        print(f"plan: promote {model_id} in place of {plan.live or 'nothing'}, by {report}")
        plan.refuse()
        print("nothing speaks against it")
        return 0
    done = promote.promote(artifacts, model_id, report, policy, reason=arguments.reason, key=_key(arguments))
    print(f"{model_id} is live, in place of {done.change.from_ or 'nothing'} (sha256:{done.change.digest[:16]})")
    print(f"audit log: {done.head}")
    return 0


def _gate(arguments: argparse.Namespace) -> int:
    directory, _ = _model_directory(arguments.model)
    _, report = _run_gates(directory, arguments, [])
    return 0 if report.modelgates.run.exit_status == 0 else 1


def _prove(arguments: argparse.Namespace) -> int:
    from .model.files import listing, readable
    from .prove import prove
    from .registry.proof import seal_proof, store_proof
    from .registry.verdict import Verdict

    directory, artifacts = _model_directory(arguments.model)
    policy, key = _policy(arguments), _key(arguments)
    proof = prove(directory, policy, policy_file=arguments.policy or find_policy(Path.cwd()), root=Path.cwd())
    content = seal_proof(proof, listing(directory), policy, key) if key else readable(proof)
    path = store_proof(artifacts, directory.name, content, sealed=key is not None)
    if arguments.json:
        _print_json(proof)
    else:
        for trial in proof.trials:
            colour = "red  " if trial.red(policy) else "GREEN" if trial.verdict == "passed" else "?    "
            print(f"{colour}  {trial}")
        print(f"kept: {path}")
    return 0 if proof.verdict(policy) is Verdict.PASSED else 1


def _keygen(arguments: argparse.Namespace) -> int:
    from .registry.seal import generate_key

    print(generate_key(arguments.file))
    return 0


def _model_directory(given: str) -> tuple[Path, Artifacts]:
    directory = Path(given).resolve()
    if not directory.is_dir():
        raise RefusedError(f"{given}: no such model directory; with an id, give --report FILE too")
    artifacts = Artifacts.of(directory)
    if artifacts.model(directory.name) != directory:
        raise RefusedError(f"{directory}: lies in no folder `models`, expected artifacts/models/{directory.name}")
    return directory, artifacts


def _run_gates(directory: Path, arguments: argparse.Namespace, selection: list[str]) -> tuple[Path, "Report"]:
    """Run the gates hermetically and keep the report, sealed if there is a key."""
    from .hermetic import run_gates, seal_report
    from .registry.seal import SEALED_SUFFIX

    artifacts, key = Artifacts.of(directory), _key(arguments)
    policy_file = arguments.policy or find_policy(Path.cwd())
    policy = _policy(arguments)
    report, content = run_gates(directory, policy, policy_file=policy_file, root=Path.cwd(), selection=selection)
    path = artifacts.reports(directory.name) / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
    artifacts.write(path, content)
    if key is not None:
        path = path.with_name(path.name.removesuffix(".json") + SEALED_SUFFIX)
        artifacts.write(path, seal_report(report, content, directory, policy, key))
    print(f"kept: {path}")
    return path, report


def _rollback(arguments: argparse.Namespace) -> int:
    from .registry.rollback import rollback
    from .registry.store import past_live, state

    policy, model_id, reason = _policy(arguments), arguments.model, arguments.reason
    artifacts = _artifacts(arguments)
    if model_id is None:
        live = state(artifacts).live
        past = [name for name in past_live(artifacts, live) if artifacts.model(name).is_dir()]
        if not past:
            raise RefusedError("no other model was ever live; there is nothing to roll back to")
        if not sys.stdin.isatty():
            raise UsageError(f"roll back to which model? Give one of {', '.join(past)}")
        print(f"live: {live}\nwas live before: {', '.join(past)}")
        try:
            model_id = input(f"roll back to [{past[0]}]: ").strip() or past[0]
            reason = reason or input("reason: ")
        except EOFError:
            raise RefusedError("nothing was chosen, nothing is rolled back") from None
    done = rollback(artifacts, checked_id(model_id), policy, reason=reason, key=_key(arguments))
    print(f"{model_id} is live again, in place of {done.change.from_} (sha256:{done.change.digest[:16]})")
    print(f"audit log: {done.head}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from .registry.desk import status

    found = status(_artifacts(arguments), _policy(arguments))
    if arguments.json:
        _print_json(found)
    else:
        print("\n".join(found.lines()))
    return 0 if found.sound else 1


def _list(arguments: argparse.Namespace) -> int:
    from .registry.desk import listing

    rows = listing(_artifacts(arguments), last=None if arguments.all else arguments.last)
    if arguments.json:
        _print_json(rows)
    else:
        for row in rows:
            created = f"{row.created:%Y-%m-%d %H:%M:%S}" if row.created else "-"
            print(f"{row.id}  {created:19}  {row.state:9}  {row.changes}")
    return 0


def _log(arguments: argparse.Namespace) -> int:
    from .registry.audit import live_at, read_log

    artifacts = _artifacts(arguments)
    if arguments.verify:
        return _verify_log(arguments, artifacts)
    if arguments.at is not None:
        entry = live_at(artifacts.promotions, arguments.at)
        if arguments.json:
            _print_json({"live": entry.to if entry else None})
        else:
            print(entry.to if entry else "nothing was live then")
        return 0
    entries = read_log(artifacts.promotions)
    if arguments.json:
        _print_json(entries)
    else:
        for entry in entries:
            print(
                f"{entry.time:%Y-%m-%d %H:%M:%S}  {entry.action:8}  {entry.from_ or '-'} → {entry.to}  "
                f"{entry.actor}  {' '.join(entry.reason.split())}"
            )
            for waiver in entry.waivers:
                print(f"    {waiver}")
    return 0


def _verify_log(arguments: argparse.Namespace, artifacts: Artifacts) -> int:
    from .registry.assurance import verify_log

    found, problems = verify_log(artifacts, _policy(arguments).evidence.keys, arguments.head)
    if arguments.json:
        _print_json({"found": found, "problems": problems})
    else:
        print(f"{artifacts.promotions}: {found}", *(f"problem: {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


def _recover(arguments: argparse.Namespace) -> int:
    from .registry.recover import recover

    policy = _policy(arguments)
    steps = recover(_artifacts(arguments), policy.registry, do=arguments.yes)
    for step in steps:
        print(f"{'did' if arguments.yes else 'would'}: {step}")
    if not steps:
        print("nothing to recover")
    elif not arguments.yes:
        print("nothing was done; to do it: modelgates recover --yes")
    return 0 if arguments.yes or not steps else 1


def _gc(arguments: argparse.Namespace) -> int:
    from .registry.garbage import collect

    policy = _policy(arguments)
    removed = collect(_artifacts(arguments), policy.registry, keep=arguments.keep, dry_run=arguments.dry_run)
    for folder in removed:
        print(f"{folder.name}  {folder.size} bytes")
    total = sum(folder.size for folder in removed)
    print(f"{'would free' if arguments.dry_run else 'freed'} {total / 1e6:.1f} MB in {len(removed)} folders")
    return 0


def _golden_set(arguments: argparse.Namespace) -> int:
    from .registry.reference import set_golden

    policy = _policy(arguments)
    print(set_golden(_artifacts(arguments), arguments.model, arguments.source, policy.registry))
    return 0


def _golden_show(arguments: argparse.Namespace) -> int:
    from .drift.golden import golden_metadata

    metadata = golden_metadata(_artifacts(arguments).golden)
    if arguments.json:
        _print_json(metadata)
    else:
        for model_id, entry in sorted(metadata.goldens.items()):
            print(f"{model_id}  {entry.rows} rows  saved {entry.saved:%Y-%m-%d %H:%M:%S}  sha256:{entry.sha256[:16]}")
    return 0


def _drift_check(arguments: argparse.Namespace) -> int:
    from .monitoring.drift_check import check_live, in_words

    model_id, rows, report = check_live(_artifacts(arguments), _policy(arguments), last=arguments.last)
    if arguments.json:
        _print_json({"model_id": model_id, "rows": rows, **report})
    else:
        print(in_words(model_id, rows, report))
    return 1 if report["overall_drift"] else 0


def _compare(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from .monitoring.compare import compare
    from .registry.store import newest_id

    artifacts = _artifacts(arguments)
    model_id = newest_id(artifacts) if arguments.model is None else arguments.model
    if model_id is None:
        raise RefusedError(f"{artifacts.root}: no model was packed here; give an id, or pack one")
    found = compare(artifacts, artifacts.model(model_id))
    if arguments.json:
        _print_json({"model_id": model_id, **asdict(found)})
    else:
        print(
            f"{model_id}: rank correlation by day {found.mean:.4f} with the live model, at least {found.lower:.4f} "
            f"(95 %), top tenth {found.overlap:.2f} in common, over {found.days} days, {found.rows} rows"
        )
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from .serving.adapter import Adapter

    adapter = Adapter(arguments.onnx, arm=arguments.arm)
    records = adapter.run_csv(arguments.csv)
    failed = sum(record.error is not None for record in records)
    print(
        f"{adapter.model_id} ({arguments.arm}): {len(records) - failed} rows scored, {failed} refused; "
        f"log: {adapter.log}"
    )
    return 1 if failed else 0


def _init(arguments: argparse.Namespace) -> int:
    from .templates import write_templates

    for path, written in write_templates(arguments.directory):
        print(f"{'wrote' if written else 'kept '} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
