"""Verbs that keep the registry in order: repair after a crash, deleting old models, goldens."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifacts import Artifacts
from .options import (
    ARTIFACTS,
    JSON,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    emergency,
    key_of,
    key_option,
    print_json,
    whole,
)

if TYPE_CHECKING:
    from ..registry.in_force import InForce


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "recover",
        recover,
        argument("--yes", action="store_true", help="do what is listed"),
        argument(
            "--adopt-link",
            action="store_true",
            help="where link and log contradict each other, believe the link: begin a new log from it",
        ),
        argument("--reason", default="", help="why, for the audit log; --adopt-link requires it"),
        key_option("with --adopt-link, sign the new log"),
        ARTIFACTS,
        POLICY,
        announces=True,
    )
    verbs.add(
        "gc",
        gc,
        argument("--keep", type=whole, required=True, metavar="N", help="keep the newest N of those that could go"),
        argument("--dry-run", action="store_true", help="say what would go, and delete nothing"),
        ARTIFACTS,
        POLICY,
    )
    golden = verbs.noun("golden", "Save or list goldens, the predictions that live ones are compared with.")
    golden.add(
        "set",
        golden_set,
        argument("model", help="the model's id"),
        argument(
            "--from",
            dest="source",
            type=Path,
            help="take them from this Parquet or CSV file, column `prediction`; default: the model's panel",
        ),
        argument("--reason", default="", help="why, for the audit log; default: where they are from"),
        key_option("sign the log"),
        ARTIFACTS,
        POLICY,
    )
    golden.add("show", golden_show, ARTIFACTS, JSON)


def recover(arguments: argparse.Namespace) -> int:
    """List the steps that repair link and log after a crash or a change by hand, and what to type where none can."""
    from ..registry import recover as registry
    from ..storage.text import printable

    artifacts = artifacts_of(arguments)
    in_force = emergency(artifacts, arguments)
    if arguments.adopt_link:
        return _adopt(arguments, artifacts, in_force)
    found = registry.recover(artifacts, in_force.operations.registry, do=arguments.yes)
    for step in found.steps:
        print(f"{'did' if arguments.yes else 'would'}: {printable(step.text)}")
    for problem in found.problems:
        print(printable(problem), file=sys.stderr)
    if found.steps and not arguments.yes:
        print("nothing was done; to do it: modelgates recover --yes")
    elif not found.steps and not found.problems:
        print("nothing to recover")
    return 1 if found.problems or (found.steps and not arguments.yes) else 0


def _adopt(arguments: argparse.Namespace, artifacts: Artifacts, in_force: "InForce") -> int:
    from ..registry.adopt import adopt_link

    did = adopt_link(artifacts, in_force, reason=arguments.reason, key=key_of(arguments))
    print(*(f"did: {step}" for step in did), sep="\n", end="\n" if did else "")
    if not did:
        print("nothing to adopt: log and link do not contradict each other")
    return 0


def gc(arguments: argparse.Namespace) -> int:
    """Delete old models, but never the live one, the one before it, a newer one, or one in use."""
    from ..registry.garbage import collect
    from ..storage.text import printable

    artifacts = artifacts_of(arguments)
    rules = acting(artifacts, arguments).operations.registry
    found = collect(artifacts, rules, keep=arguments.keep, dry_run=arguments.dry_run)
    for folder in found.removed:
        print(f"{folder.name}  {folder.size} bytes")
    for name, why in found.kept:
        print(f"kept {name}: {why}")
    total = sum(folder.size for folder in found.removed)
    print(f"{'would free' if arguments.dry_run else 'freed'} {total / 1e6:.1f} MB in {len(found.removed)} places")
    for name, why in found.failed:
        print(f"modelgates: {name} cannot be deleted: {printable(why)}", file=sys.stderr)
    return 3 if found.failed else 0


def golden_set(arguments: argparse.Namespace) -> int:
    """Save a model's panel predictions, or those in a file, as its golden, and write it into the audit log."""
    from ..registry.golden import set_golden

    artifacts = artifacts_of(arguments)
    rules = acting(artifacts, arguments).operations.registry
    reason, key = arguments.reason, key_of(arguments)
    print(set_golden(artifacts, arguments.model, arguments.source, rules, reason=reason, key=key))
    return 0


def golden_show(arguments: argparse.Namespace) -> int:
    """List the goldens that are saved."""
    from ..drift.golden import golden_metadata

    metadata = golden_metadata(artifacts_of(arguments).golden)
    if arguments.json:
        print_json(metadata)
    else:
        for model_id, entry in sorted(metadata.goldens.items()):
            print(f"{model_id}  {entry.rows} rows  saved {entry.saved:%Y-%m-%d %H:%M:%S}  sha256:{entry.sha256[:16]}")
        if not metadata.goldens:
            print("no golden yet; a promotion saves one, and so does: modelgates golden set ID")
    return 0
