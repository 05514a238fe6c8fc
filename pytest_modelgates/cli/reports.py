"""Verbs of reports: `report merge`."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from ..errors import RefusedError, UsageError
from ..storage.text import counted, listed
from .options import ARTIFACTS, MODEL, POLICY, Verbs, acting, argument, key_of, key_option, model_directory


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.noun("report", "Join reports of gates that were shared out.").add(
        "merge",
        merge,
        MODEL,
        argument("reports", type=Path, nargs="+", metavar="REPORT", help="the reports of all shards"),
        key_option("seal the merged report"),
        ARTIFACTS,
        POLICY,
    )


def merge(arguments: argparse.Namespace) -> int:
    """Join the reports of one model's gates, which several machines shared, into one; ends with 1 unless all is green.

    Each machine runs a part: `modelgates gate DIR --shard 1/4`, or `pytest --model-dir=DIR --gate-shard=1/4`. A merged
    report promotes if the report of one run of all gates would have. Refused are reports of other bytes, policies,
    versions or code than the others; gates that are in two of them, or that are required and in none; and a shard that
    is missing. A sealed report is made of sealed ones, by a key that the policy lists.
    """
    from ..evidence.report import Report, StoredReport, read_report
    from ..evidence.seal import SEALED_SUFFIX, refuse_unlisted
    from ..evidence.shards import merge as merge_parts
    from ..model.directory import LocalDirectory
    from ..proving.hermetic import seal_report
    from ..storage.strict_json import readable, typed

    directory, artifacts = model_directory(arguments)
    policy, key, now = acting(artifacts, arguments).policy, key_of(arguments), datetime.now(UTC)
    refuse_unlisted(key, policy.evidence.keys)
    names = list(map(str, arguments.reports))
    if len(set(names)) < len(names):
        raise UsageError("a report is given twice; give each once")
    parts = {
        name: read_report(path, keys=policy.evidence.keys) for name, path in zip(names, arguments.reports, strict=True)
    }
    if key and (plain := [name for name, part in parts.items() if part.sealed_by is None]):
        raise RefusedError(f"{listed(plain)}: not sealed, and a sealed report is made of sealed ones; drop --key")
    with LocalDirectory(directory) as model:
        digest, required = model.verify(), policy.required_gates(model.sidecar)
    merged = merge_parts(parts, directory.name, digest, required, policy, now=now)
    content = readable(merged)
    stored = StoredReport(
        path=None, content=content, parsed=merged, report=typed(merged, Report, "the merged report"), sealed_by=None
    )
    path = artifacts.new_report(directory.name, now)
    artifacts.write(path, content)
    if key:
        path = path.with_name(path.name.removesuffix(".json") + SEALED_SUFFIX)
        artifacts.write(path, seal_report(stored, directory, policy, key))
    run = stored.report.modelgates
    gates = counted(len(run.models[directory.name].gates), "gate")
    print(f"{gates} of {counted(len(parts), 'report')}, which ended with {run.run.exit_status}")
    print(f"kept: {path}")
    return 0 if run.run.exit_status == 0 else 1
