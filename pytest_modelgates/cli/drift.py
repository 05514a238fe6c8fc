"""The verb that looks for drift: `drift-check`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import RefusedError, UsageError
from .alerts import happened
from .options import (
    ARTIFACTS,
    JSON,
    POLICY,
    SINCE,
    UNTIL,
    Verbs,
    acting,
    argument,
    artifacts_of,
    count,
    key_of,
    key_option,
    looking,
    note,
    print_json,
)

if TYPE_CHECKING:
    from ..artifacts import Artifacts
    from ..monitoring.drift_check import Check
    from ..monitoring.engines import Engine
    from ..registry.in_force import InForce

FILES = "predictions in Parquet, Arrow or CSV instead of the log: files, folders of them, or patterns in quotes"
# Each of these says which predictions are compared; a look over time is at all of the live model's.
_SELECTING = ("files", "column", "model", "arm", "since", "until", "last", "engine", "scheduler")


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "drift-check",
        drift_check,
        argument("files", nargs="*", metavar="FILE", help=FILES),
        argument(
            "--column", metavar="NAME", help="the column of the files that holds predictions; default: prediction"
        ),
        argument("--model", metavar="ID", help="this model, and its golden; default: the live one"),
        argument("--arm", help="this arm of the log, such as shadow; default: live"),
        SINCE,
        UNTIL,
        argument("--last", type=count, metavar="N", help="compare only the newest N rows"),
        argument("--by", choices=["day"], help="show the PSI of each day that rows are of"),
        argument("--features", action="store_true", help="compare the features that the log kept, not the predictions"),
        argument("--engine", choices=["dask"], help="where to count; default: in this process"),
        argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://127.0.0.1:8786"),
        argument(
            "--over-time",
            action="store_true",
            help="end with 1 if an alarm over time is on, whatever this check's own verdict: however often one looks, "
            "few of them are false (operations.toml: days_per_false_alarm)",
        ),
        argument("--acknowledge", action="store_true", help="end an alarm over time, and count from now on"),
        argument("--reason", default="", help="why, for the audit log; --acknowledge requires it"),
        key_option("with --acknowledge, sign the log"),
        ARTIFACTS,
        POLICY,
        JSON,
        announces=True,
    )


def drift_check(arguments: argparse.Namespace) -> int:
    """Compare a model's predictions with its golden ones; ends with 1 unless there is no drift.

    The predictions are those of the live model in the log, unless files or options say otherwise. A check of all of
    these is also one look of many, with a budget of false alarms for all of them. An alarm over time stays on until it
    is acknowledged.
    """
    if arguments.acknowledge:
        _refuse(arguments, "--acknowledge", "by", "features", "over_time", *_SELECTING)
        return _acknowledge(arguments)
    if arguments.reason or arguments.key:
        raise UsageError("--reason and --key are for --acknowledge; give it too")
    if arguments.features:
        _refuse(arguments, "--features", "by", "over_time", *(name for name in _SELECTING if name != "last"))
        return _check_features(arguments)
    if arguments.over_time:
        _refuse(arguments, "--over-time", *_SELECTING)
    from ..drift.verdict import as_json
    from ..monitoring.drift_check import limits_of, record
    from ..monitoring.drift_words import by_day, days_in_words, in_words, picture

    artifacts = artifacts_of(arguments)
    in_force = looking(artifacts, arguments)
    check, limits = _check(artifacts, in_force, arguments), limits_of(in_force.policy)
    if arguments.over_time and check.over_time is None:
        raise RefusedError(check.over_time_words.strip())
    days = by_day(check) if arguments.by else None
    words = "\n".join(filter(None, [in_words(check, limits), check.over_time_words]))
    # Before anything is printed, for who reads it may be gone.
    try:
        record(artifacts, check)
    except OSError as error:
        if arguments.over_time:  # the next look would spend again what this one spent
            raise
        note(f"this check is not in {artifacts.drift_checks}: {error.strerror}")
    drift = check.report["overall_drift"]
    if arguments.over_time and check.over_time:
        drift = check.over_time["alarm"] is not None
    if drift is not None and check.is_now:  # an inconclusive check neither raises an alert nor ends one
        happened(artifacts, lambda alerts: alerts.drifted(artifacts, check.model_id, words, drift=drift))
    if arguments.json:
        found = {"model_id": check.model_id, "rows": check.rows, "repeated": check.tally.repeated}
        # What was compared is a number of rows here, as it always was; all sizes are under `sizes`.
        sizes = {"sizes": check.report["rows"]} | ({"days": days} if days is not None else {})
        print_json(as_json(check.report) | found | sizes | {"over_time": as_json(check.over_time)})
    else:
        said = [words, days_in_words(days, limits) if days is not None else picture(check)]
        print(*filter(None, said), sep="\n\n")
    return 0 if drift is False else 1


def _refuse(arguments: argparse.Namespace, beside: str, *names: str) -> None:
    """Refuse options that mean nothing beside another."""
    if given := [name for name in names if getattr(arguments, name) not in (None, False, [])]:
        said = " and ".join("FILE" if name == "files" else f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{said} means nothing beside {beside}; leave it out")


def _acknowledge(arguments: argparse.Namespace) -> int:
    from ..monitoring.drift_check import acknowledge

    artifacts = artifacts_of(arguments)
    lock = acting(artifacts, arguments).operations.registry
    model_id = acknowledge(artifacts, lock, reason=arguments.reason, key=key_of(arguments))
    print(f"{model_id}: the alarm over time is acknowledged; rows count from now on")
    return 0


def _check_features(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ..drift.verdict import as_json
    from ..monitoring.drift_words import features_in_words
    from ..monitoring.feature_drift import check_features

    artifacts = artifacts_of(arguments)
    found = check_features(artifacts, looking(artifacts, arguments).policy, last=arguments.last)
    if arguments.json:
        print_json(as_json(asdict(found)))
    else:
        print(features_in_words(found))
    return 0 if found.overall_drift is False else 1


def _check(artifacts: "Artifacts", in_force: "InForce", arguments: argparse.Namespace) -> "Check":
    """Check the log, or the files that are given."""
    from ..monitoring.drift_check import LIVE, Asked, check_files, check_log

    policy = in_force.policy
    if (arguments.engine is None) != (arguments.scheduler is None):
        raise UsageError("--engine dask and --scheduler ADDRESS belong together; give both")
    of_the_log = [name for name in ("arm", "since", "until", "last", "by") if getattr(arguments, name) is not None]
    if not arguments.files:
        if arguments.column:
            raise UsageError("--column names a column of files; give FILE as well")
        asked = Asked(
            model=arguments.model,
            arm=LIVE if arguments.arm is None else arguments.arm,
            since=arguments.since,
            until=arguments.until,
            last=arguments.last,
        )
        if arguments.engine and arguments.last:
            raise UsageError("--last reads the log from its end, here; give it without --engine")
        with _engine(arguments) as engine:
            return check_log(artifacts, policy, asked, engine=engine, rules=in_force.operations.drift)
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
