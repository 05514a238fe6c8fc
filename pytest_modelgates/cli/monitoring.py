"""Verbs that watch what is live: `drift-check`, `compare`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..artifacts import newest_id
from ..errors import RefusedError, UsageError
from .alerts import happened
from .options import ARTIFACTS, JSON, POLICY, Verbs, argument, artifacts_of, count, looking, moment, note, print_json

if TYPE_CHECKING:
    from ..artifacts import Artifacts
    from ..monitoring.drift_check import Check
    from ..monitoring.engines import Engine
    from ..policy.policy import Policy

FILES = "predictions in Parquet, Arrow or CSV instead of the log: files, folders of them, or patterns in quotes"


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "drift-check",
        drift_check,
        argument("files", nargs="*", metavar="FILE", help=FILES),
        argument(
            "--column", metavar="NAME", help="the column of the files that holds predictions; default: prediction"
        ),
        argument("--model", metavar="ID", help="this model, and its golden; default: the live one"),
        argument("--arm", help="this arm of the log, such as shadow; default: live"),
        argument(
            "--since", type=moment, metavar="TIME", help="scored from then on; a date or time of ISO 8601, in UTC"
        ),
        argument("--until", type=moment, metavar="TIME", help="scored before"),
        argument("--last", type=count, metavar="N", help="compare only the newest N rows"),
        argument("--by", choices=["day"], help="show the PSI of each day that rows are of"),
        argument("--engine", choices=["dask"], help="where to count; default: in this process"),
        argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://127.0.0.1:8786"),
        ARTIFACTS,
        POLICY,
        JSON,
        announces=True,
    )
    verbs.add(
        "compare",
        compare,
        argument("model", nargs="?", help="the candidate's id; default: the model packed last"),
        ARTIFACTS,
        JSON,
    )


def drift_check(arguments: argparse.Namespace) -> int:
    """Compare a model's predictions with its golden ones; ends with 1 unless there is no drift.

    The predictions are those of the live model in the log, unless files or options say otherwise.
    """
    from ..drift.verdict import as_json
    from ..monitoring.drift_check import limits_of, record
    from ..monitoring.drift_words import by_day, days_in_words, in_words, picture

    artifacts = artifacts_of(arguments)
    policy = looking(artifacts, arguments).policy
    check, limits = _check(artifacts, policy, arguments), limits_of(policy)
    days = by_day(check) if arguments.by else None
    words = in_words(check, limits)
    if arguments.json:
        found = {"model_id": check.model_id, "rows": check.rows, "repeated": check.tally.repeated}
        # What was compared is a number of rows here, as it always was; all sizes are under `sizes`.
        sizes = {"sizes": check.report["rows"]} | ({"days": days} if days is not None else {})
        print_json(as_json(check.report) | found | sizes)
    else:
        said = [words, days_in_words(days, limits) if days is not None else picture(check)]
        print(*filter(None, said), sep="\n\n")
    try:
        record(artifacts, check)
    except OSError as error:
        note(f"this check is not in {artifacts.drift_checks}: {error.strerror}")
    drift = check.report["overall_drift"]
    if drift is not None and check.is_now:  # an inconclusive check neither raises an alert nor ends one
        happened(artifacts, lambda alerts: alerts.drifted(artifacts, check.model_id, words, drift=drift))
    return 0 if drift is False else 1


def _check(artifacts: "Artifacts", policy: "Policy", arguments: argparse.Namespace) -> "Check":
    """Check the log, or the files that are given."""
    from ..monitoring.drift_check import LIVE, Asked, check_files, check_log

    if (arguments.engine is None) != (arguments.scheduler is None):
        raise UsageError("--engine dask and --scheduler ADDRESS belong together; give both")
    of_the_log = [name for name in ("arm", "since", "until", "last", "by") if getattr(arguments, name)]
    if not arguments.files:
        if arguments.column:
            raise UsageError("--column names a column of files; give FILE as well")
        asked = Asked(
            model=arguments.model,
            arm=arguments.arm or LIVE,
            since=arguments.since,
            until=arguments.until,
            last=arguments.last,
        )
        if arguments.engine and arguments.last:
            raise UsageError("--last reads the log from its end, here; give it without --engine")
        with _engine(arguments) as engine:
            return check_log(artifacts, policy, asked, engine=engine)
    if of_the_log:
        named = " and ".join(f"--{name}" for name in of_the_log)
        raise UsageError(f"{named} select in the log, and files have neither times nor arms; give FILE without them")
    from ..drift.files import find_files
    from ..drift.golden import COLUMN

    files, column = find_files(arguments.files), arguments.column or COLUMN
    with _engine(arguments) as engine:
        return check_files(artifacts, policy, files, column=column, model=arguments.model, engine=engine)


@contextmanager
def _engine(arguments: argparse.Namespace) -> Iterator["Engine"]:
    """Give what counts: this process, or a Dask cluster."""
    from ..monitoring.engines import here
    from .progress import with_progress

    if not arguments.engine:
        yield with_progress(here)
        return
    from ..monitoring.on_dask import dask_engine

    with dask_engine(arguments.scheduler) as engine:
        yield with_progress(engine)


def compare(arguments: argparse.Namespace) -> int:
    """Correlate a candidate's shadow predictions with the live model's, day by day."""
    from dataclasses import asdict

    from ..monitoring import compare as monitoring

    artifacts = artifacts_of(arguments)
    model_id = newest_id(artifacts) if arguments.model is None else arguments.model
    if model_id is None:
        raise RefusedError(f"{artifacts.root}: no model was packed here; give an id, or pack one")
    found = monitoring.compare(artifacts, artifacts.model(model_id))
    if arguments.json:
        print_json({"model_id": model_id, **asdict(found)})
    else:
        print(
            f"{model_id}: rank correlation by day {found.mean:.4f} with the live model, at least {found.lower:.4f} "
            f"(95 %), top tenth {found.overlap:.2f} in common, over {found.days} days, {found.rows} rows"
        )
    return 0
