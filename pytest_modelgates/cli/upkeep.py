"""Verbs that keep the registry in order: repair after a crash, deleting old models."""

import argparse
import sys
from typing import TYPE_CHECKING

from ..artifacts import Artifacts
from .options import (
    ARTIFACTS,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    emergency,
    key_of,
    key_option,
    whole,
)
from .progress import working

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


def recover(arguments: argparse.Namespace) -> int:
    """List the steps that repair link and log after a crash or a change by hand, and what to type where none can."""
    from ..registry import recover as registry
    from ..storage.text import printable

    artifacts = artifacts_of(arguments)
    in_force = emergency(artifacts, arguments)
    if arguments.adopt_link:
        return _adopt(arguments, artifacts, in_force)
    with working("checking models and log"):
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
    with working("looking for what can go"):
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
