"""The verb that tells Prometheus of a registry: `metrics`."""

import argparse
import sys
from pathlib import Path

from ..errors import RefusedError
from .options import ARTIFACTS, POLICY, Verbs, argument, artifacts_of, looking


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "metrics",
        metrics,
        argument(
            "--textfile",
            type=Path,
            metavar="FILE",
            help="write them there whole, for the textfile collector of node_exporter; default: print them",
        ),
        ARTIFACTS,
        POLICY,
    )


def metrics(arguments: argparse.Namespace) -> int:
    """Write metrics of the registry for Prometheus: the live model, its gates, drift, and what its predictions earned.

    A server and a followed feed have metrics of their own, under /metrics. Rules, alerts and a dashboard for all of
    them are in registry/prometheus of the repository. (extra `serve`)
    """
    from ..monitoring.exposition import exposition
    from ..policy.place import keeps
    from ..storage.atomic import write_atomic

    artifacts = artifacts_of(arguments)
    if arguments.textfile and keeps(artifacts, arguments.textfile):
        raise RefusedError(
            f"{arguments.textfile}: kept by the registry; give --textfile another place, such as "
            "/var/lib/node_exporter/modelgates.prom"
        )
    text = exposition(artifacts, looking(artifacts, arguments))
    if arguments.textfile:
        write_atomic(arguments.textfile, text, mode=0o644)
    else:
        sys.stdout.write(text.decode())
    return 0
