"""The verbs of a test of a candidate beside the live model, on live rows: `ab start`, `ab status`, `ab stop`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..audit.ab import ARM, MOST, WAYS
from .options import (
    ARTIFACTS,
    JSON,
    MODEL,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    emergency,
    key_of,
    key_option,
    model_directory,
    note,
    print_json,
)

if TYPE_CHECKING:
    from ..monitoring.ab import AbFound
    from ..stats.arms import ArmDifference

_BY_CHANCE = 10  # a candidate that is dealt so many rows on average gets some
_WORDS = {
    "better": "better: the candidate's IC is higher than the live model's",
    "worse": "worse: the candidate's IC is lower than the live model's",
    "inconclusive": "inconclusive: no difference of IC can be told",
}


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    ab = verbs.noun("ab", "Test a candidate on a share of the live rows, beside the live model (A/B, canary).")
    ab.add(
        "start",
        start,
        MODEL,
        argument(
            "--share",
            type=float,
            required=True,
            help=f"of the rows that the candidate answers: above 0, at most {MOST:g}, such as 0.1",
        ),
        argument(
            "--by",
            choices=WAYS,
            default=WAYS[0],
            help="deal each row by itself, anew every day, or all rows of an asset alike; default: row",
        ),
        argument("--reason", default="", help="why, for the audit log; required"),
        argument(
            "--report",
            type=Path,
            metavar="FILE",
            help="the report of its gate run; without it, the hard gates are run first",
        ),
        key_option("seal the report"),
        ARTIFACTS,
        POLICY,
    )
    ab.add("status", status, ARTIFACTS, JSON)
    ab.add(
        "stop",
        stop,
        argument("--reason", default="", help="why, for the audit log; required"),
        ARTIFACTS,
        POLICY,
    )


def start(arguments: argparse.Namespace) -> int:
    """Let a candidate answer a share of the live rows; it must be fit for promotion, and `latest` does not move."""
    from ..audit.writer import require_root
    from ..evidence.seal import refuse_unlisted
    from ..registry.ab import refuse_beforehand, start_ab
    from .gates import run_gates_as_read

    directory, artifacts = model_directory(arguments)
    require_root(artifacts)
    in_force, key, report = acting(artifacts, arguments), key_of(arguments), arguments.report
    refuse_unlisted(key, in_force.policy.evidence.keys)
    refuse_beforehand(artifacts, share=arguments.share, reason=arguments.reason)
    if report is None:
        path, report = run_gates_as_read(directory, artifacts, in_force, key=key, selection=["-m", "hard"])
        print(f"kept: {path}")
    plan = start_ab(
        artifacts,
        directory.name,
        report,
        in_force,
        share=arguments.share,
        by=arguments.by,
        reason=arguments.reason,
    )
    print(plan)
    print(f"  logged as {ARM}; what serves takes it up within some seconds; see: modelgates ab status")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Show the test that runs, or the last one: rows of each arm, and whether the candidate is better or worse.

    It may be read whenever one likes: the intervals hold at all times at once.
    """
    from dataclasses import asdict

    from ..audit.ab import kept, read_plan
    from ..drift.verdict import as_json
    from ..monitoring.ab import ab_found

    artifacts = artifacts_of(arguments)
    ended, odd = kept(artifacts)
    for why in odd.values():
        note(f"warning: passed over {why}")
    test = read_plan(artifacts) or next(iter(ended), None)
    if test is None:
        if arguments.json:
            print_json(None)
        else:
            print('no A/B test was made here; modelgates ab start DIRECTORY --share 0.1 --reason "…"')
        return 0
    found = ab_found(artifacts, test)
    if arguments.json:
        print_json(as_json(asdict(found) | {"verdict": found.verdict}))
    else:
        print(*in_words(found), sep="\n")
    return 0


def in_words(found: "AbFound") -> list[str]:
    """Say what a test has come to."""
    plan = found.plan
    until = f" until {found.stopped:%Y-%m-%d %H:%M}" if found.stopped else ""
    said = [f"{plan.name}: from {plan.started:%Y-%m-%d %H:%M}{until} UTC"]
    if found.state == "over":
        said += [f"  no row is dealt any more: {found.why}", '  to end it: modelgates ab stop --reason "…"']
    if found.state == "stopped":
        said.append(f"  no row is dealt: {found.why}")
    for side in (found.live, found.candidate):
        share = f", {plan.part} dealt by {plan.by}" if side.arm == ARM else ""
        said.append(f"  {side.arm:4}  {side.model_id} (sha256:{side.digest[:16]})  {side.rows} rows{share}")
    if found.state == "runs" and not found.candidate.rows and found.live.rows * plan.share > _BY_CHANCE:
        said.append("  the candidate has answered no row; what serves says why on stderr")
    if found.ic and found.earned:
        said.append(f"  candidate less live, a day, over {found.ic.days} days; 95 % at all times:")
        said.append(f"    IC     {_range(found.ic, '{:+.4f}')}")
        said.append(f"    return {_range(found.earned, '{:+.4%}')} of gross exposure, before costs")
    if found.not_told:
        said.append(f"  {found.not_told}")
    return [*said, f"  {_WORDS[found.verdict]}"]


def _range(found: "ArmDifference", form: str) -> str:
    mean, lower, upper = (form.format(each) for each in (found.mean, found.lower, found.upper))
    return f"{mean} ({lower} to {upper})"


def stop(arguments: argparse.Namespace) -> int:
    """End the test that runs: all rows go to the live model again; `latest` does not move."""
    from ..registry.ab import stop_ab

    artifacts = artifacts_of(arguments)
    rules = emergency(artifacts, arguments).operations.registry
    ended = stop_ab(artifacts, rules, reason=arguments.reason)
    if ended is None:
        note(f"warning: {artifacts.ab} held no plan; it is taken away")
        print("nothing is dealt any more")
        return 0
    print(f"{ended.plan.name}: ended; all rows go to the live model within some seconds")
    print("  what it has come to: modelgates ab status")
    return 0
