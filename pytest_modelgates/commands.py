"""What each verb of the command line does: call and print. Heavy imports lie inside the bodies."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import PolicyError, RefusedError, UsageError
from .model.layout import Artifacts, checked_id, newest_id
from .registry.policy import Policy, find_policy, load_policy

if TYPE_CHECKING:
    from .registry.report import Report

KEY = "MODELGATES_KEY"


def _policy(arguments: argparse.Namespace) -> Policy:
    path: Path | None = arguments.policy
    if path is not None and not path.is_file():
        raise PolicyError(f"{path}: no such policy file")
    return load_policy(path or find_policy(Path.cwd()))


def _artifacts(arguments: argparse.Namespace) -> Artifacts:
    from .registry.store import refuse_nothing

    artifacts = Artifacts(arguments.artifacts.resolve())
    refuse_nothing(artifacts)
    return artifacts


def _key(arguments: argparse.Namespace) -> Path | None:
    name = getattr(arguments, "key", None) or os.environ.get(KEY)
    return Path(name) if name else None


def _print_json(value: Any) -> None:
    from .model.files import readable

    print(readable(value).decode(), end="")


def pack(arguments: argparse.Namespace) -> int:
    """Write a model directory from a model, its panel and a packing list."""
    from .model.spec import pack_from_files

    directory = pack_from_files(arguments.model, arguments.panel, arguments.spec, artifacts=arguments.artifacts)
    print(directory)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check a model directory: file set, sizes, SHA-256, manifest, schema CRC."""
    from .errors import IntegrityError
    from .model.pinned import verify

    directory = arguments.directory.resolve()
    try:
        print(f"{directory.name}: sound, sha256:{verify(directory)}")
    except IntegrityError as problems:
        print(problems)
        return 1
    return 0


def promote(arguments: argparse.Namespace) -> int:
    """Make a model live, if its report is of a fully green hard run."""
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


def gate(arguments: argparse.Namespace) -> int:
    """Run the gates on a model where nothing else can reach them; 1 if the run is not green."""
    directory, _ = _model_directory(arguments.model)
    _, report = _run_gates(directory, arguments, [])
    return 0 if report.modelgates.run.exit_status == 0 else 1


def prove(arguments: argparse.Namespace) -> int:
    """Run every hard gate on a twin of the model that it must not pass; 1 if one does pass."""
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


def keygen(arguments: argparse.Namespace) -> int:
    """Write a new private key and print its public half for the policy."""
    from .registry.seal import generate_key

    print(generate_key(arguments.file))
    return 0


def _model_directory(given: str) -> tuple[Path, Artifacts]:
    directory = Path(given).resolve()
    if not directory.is_dir():
        raise RefusedError(f"{given}: no such model directory; give its path, such as artifacts/models/1763884678")
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
    path = artifacts.new_report(directory.name, datetime.now(UTC))
    artifacts.write(path, content)
    if key is not None:
        path = path.with_name(path.name.removesuffix(".json") + SEALED_SUFFIX)
        artifacts.write(path, seal_report(report, content, directory, policy, key))
    print(f"kept: {path}")
    return path, report


def rollback(arguments: argparse.Namespace) -> int:
    """Make a model live again that was live before."""
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


def status(arguments: argparse.Namespace) -> int:
    """Show what is live, and everything that is wrong; 1 if something is."""
    from .model.files import printable
    from .registry.desk import status

    found = status(_artifacts(arguments), _policy(arguments))
    if arguments.json:
        _print_json(found)
    else:
        print("\n".join(map(printable, found.lines())))
    return 0 if found.sound else 1


def list_models(arguments: argparse.Namespace) -> int:
    """Show model directories, oldest first; times are UTC."""
    from .model.files import printable
    from .registry.desk import listing

    rows = listing(_artifacts(arguments), last=None if arguments.all else arguments.last)
    if arguments.json:
        _print_json(rows)
    else:
        for row in rows:
            created = f"{row.created:%Y-%m-%d %H:%M:%S}" if row.created else "-"
            print(f"{row.id}  {created:19}  {row.state:9}  {printable(row.changes)}")
        if not rows:
            print("no model was packed yet")
    return 0


def log(arguments: argparse.Namespace) -> int:
    """Show every promotion and rollback; times are UTC."""
    from .model.files import printable
    from .registry.audit import live_at, read_log

    artifacts = _artifacts(arguments)
    if arguments.verify or arguments.head:
        return _verify_log(arguments, artifacts)
    if arguments.at is not None:
        found = live_at(artifacts.promotions, arguments.at)
        if arguments.json:
            _print_json({"live": found.to if found else None})
        else:
            print(found.to if found else "nothing was live then")
        return 0
    changes = read_log(artifacts.promotions)
    if arguments.json:
        _print_json(changes)
    else:
        for change in changes:
            print(
                f"{change.time:%Y-%m-%d %H:%M:%S}  {change.action:8}  {change.from_ or '-'} → {change.to}  "
                f"{printable(change.actor)}  {printable(' '.join(change.reason.split()))}"
            )
            for waiver in change.waivers:
                print(f"    {printable(waiver)}")
        if not changes:
            print("nothing was promoted yet")
    return 0


def _verify_log(arguments: argparse.Namespace, artifacts: Artifacts) -> int:
    from .registry.assurance import verify_log

    found, problems = verify_log(artifacts, _policy(arguments).evidence.keys, arguments.head)
    if arguments.json:
        _print_json({"found": found, "problems": problems})
    else:
        print(f"{artifacts.promotions}: {found}", *(f"problem: {problem}" for problem in problems), sep="\n")
    return 1 if problems else 0


def recover(arguments: argparse.Namespace) -> int:
    """Say what would put link and log right again; 1 if something would."""
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


def gc(arguments: argparse.Namespace) -> int:
    """Delete old models: never the live one, the one before it, a newer one, or one that is being read."""
    from .registry.garbage import collect

    policy = _policy(arguments)
    removed = collect(_artifacts(arguments), policy.registry, keep=arguments.keep, dry_run=arguments.dry_run)
    for folder in removed:
        print(f"{folder.name}  {folder.size} bytes")
    total = sum(folder.size for folder in removed)
    print(f"{'would free' if arguments.dry_run else 'freed'} {total / 1e6:.1f} MB in {len(removed)} folders")
    return 0


def golden_set(arguments: argparse.Namespace) -> int:
    """Save a model's panel predictions, or those of a file, as its reference."""
    from .registry.reference import set_golden

    policy = _policy(arguments)
    print(set_golden(_artifacts(arguments), arguments.model, arguments.source, policy.registry))
    return 0


def golden_show(arguments: argparse.Namespace) -> int:
    """Show what references there are."""
    from .drift.golden import golden_metadata

    metadata = golden_metadata(_artifacts(arguments).golden)
    if arguments.json:
        _print_json(metadata)
    else:
        for model_id, entry in sorted(metadata.goldens.items()):
            print(f"{model_id}  {entry.rows} rows  saved {entry.saved:%Y-%m-%d %H:%M:%S}  sha256:{entry.sha256[:16]}")
        if not metadata.goldens:
            print("no golden yet; promotion saves one, so does: modelgates golden set ID")
    return 0


def drift_check(arguments: argparse.Namespace) -> int:
    """Compare the live model's predictions with its golden; 1 on drift."""
    from .monitoring.drift_check import check_live, in_words

    model_id, rows, report = check_live(_artifacts(arguments), _policy(arguments), last=arguments.last)
    if arguments.json:
        _print_json({"model_id": model_id, "rows": rows, **report})
    else:
        print(in_words(model_id, rows, report))
    return 1 if report["overall_drift"] else 0


def compare(arguments: argparse.Namespace) -> int:
    """Correlate a candidate in shadow with the live model."""
    from dataclasses import asdict

    from .monitoring.compare import compare

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


def serve(arguments: argparse.Namespace) -> int:
    """Score a CSV file with the live model and log the predictions."""
    return _score(arguments, "live")


def shadow(arguments: argparse.Namespace) -> int:
    """Score a CSV file with a candidate, beside the live model; nothing follows from its predictions."""
    return _score(arguments, "shadow")


def _score(arguments: argparse.Namespace, arm: Literal["live", "shadow"]) -> int:
    from .serving.adapter import Adapter

    adapter = Adapter(arguments.onnx, arm=arm)
    records = adapter.run_csv(arguments.csv)
    failed = sum(record.error is not None for record in records)
    print(f"{adapter.model_id} ({arm}): {len(records) - failed} rows scored, {failed} refused; log: {adapter.log}")
    return 1 if failed else 0


def init(arguments: argparse.Namespace) -> int:
    """Write a policy, a packing example, a nightly workflow and ignore rules into your repository."""
    from .templates import write_templates

    for path, written in write_templates(arguments.directory):
        print(f"{'wrote' if written else 'kept '} {path}")
    return 0
