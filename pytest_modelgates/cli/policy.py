"""Verbs of the policy and of operations.toml: what is wrong with them, what is in force, and what a gate asks."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from ..artifacts import Artifacts
from .options import ARTIFACTS, JSON, KEY_VARIABLE, POLICY, Verbs, argument, artifacts_of, looking, print_json


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    policy = verbs.noun("policy", "Check the policy and operations.toml, or show what is in force.")
    policy.add(
        "check",
        check,
        argument(
            "file",
            nargs="?",
            type=Path,
            metavar="FILE",
            help="a policy or an operations.toml; default: both of this registry",
        ),
        ARTIFACTS,
        JSON,
    )
    policy.add("show", show, ARTIFACTS, POLICY, JSON)
    verbs.add(
        "explain",
        explain,
        argument(
            "gate", metavar="GATE", help="a gate or an SLO, such as wf.worst_fold; or a family of them, such as wf"
        ),
        ARTIFACTS,
        POLICY,
    )


def check(arguments: argparse.Namespace) -> int:
    """List everything that is wrong with policy.toml and operations.toml, by line; ends with 1 if something is."""
    from ..registry.policy_check import check_file, check_registry
    from ..storage.text import counted

    artifacts, today = Artifacts.at(arguments.artifacts), datetime.now(UTC).date()
    if arguments.file:
        checked = check_file(artifacts, arguments.file, today=today)
    else:
        key = os.environ.get(KEY_VARIABLE)
        checked = check_registry(artifacts, today=today, key=Path(key) if key else None)
        if not checked.files and not checked.found:
            artifacts_of(arguments)  # a folder that is not there has no policy of its own either
    if arguments.json:
        print_json({"files": checked.files, "found": checked.found})
    else:
        print(*checked.found, sep="\n", end="\n" if checked.found else "")
        where = " and ".join(checked.files) or "no file of your own, the packaged ones are in force"
        print(f"{where}: {counted(checked.problems, 'problem') if checked.problems else 'nothing is wrong'}")
    return 1 if checked.problems else 0


def show(arguments: argparse.Namespace) -> int:
    """Print the policy and the operations in force, and where each value comes from."""
    from dataclasses import asdict

    from ..registry.policy_show import in_words, limits_in_words, show_operations, show_policy

    artifacts = Artifacts.at(arguments.artifacts)
    in_force = looking(artifacts, arguments)
    if in_force.place.file is None:
        artifacts_of(arguments)
    policy, operations = show_policy(artifacts, in_force, arguments.policy), show_operations(in_force)
    if arguments.json:
        print_json({"policy": asdict(policy), "operations": asdict(operations)})
    else:
        print(*in_words("policy", policy), *limits_in_words(in_force.policy, policy), sep="\n")
        print("", *in_words("operations", operations), sep="\n")
    return 0


def explain(arguments: argparse.Namespace) -> int:
    """Say what a gate asks, its formula, its limit here, and what to do when it fails."""
    from ..policy.explained import explained

    policy = looking(Artifacts.at(arguments.artifacts), arguments).policy
    print("\n\n".join(explained(policy, arguments.gate)))
    return 0
