"""Verbs that watch what is live: `drift-check`, `compare`."""

import argparse
from typing import TYPE_CHECKING

from ..artifacts import newest_id
from ..errors import RefusedError, UsageError
from .alerts import happened
from .options import (
    ARTIFACTS,
    JSON,
    POLICY,
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
    from ..monitoring.realised import Mean


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "drift-check",
        drift_check,
        argument("--last", type=count, metavar="N", help="compare only the newest N rows"),
        argument("--by", choices=["day"], help="show the PSI of each day that rows are of"),
        argument("--features", action="store_true", help="compare the features that the log kept, not the predictions"),
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
    verbs.add(
        "compare",
        compare,
        argument("model", nargs="?", help="the candidate's id; default: the model packed last"),
        ARTIFACTS,
        POLICY,
        JSON,
    )


def drift_check(arguments: argparse.Namespace) -> int:
    """Compare the live model's predictions with its golden ones; ends with 1 unless there is no drift.

    Each check is also one look of many, with a budget of false alarms for all of them. An alarm over time stays on
    until it is acknowledged.
    """
    if arguments.acknowledge:
        return _acknowledge(arguments)
    if arguments.features:
        return _check_features(arguments)
    if arguments.over_time and arguments.last is not None:
        raise UsageError("--over-time looks at all rows; leave out --last")
    from ..drift.verdict import as_json
    from ..monitoring.drift_check import check_live, limits_of, record
    from ..monitoring.drift_words import by_day, days_in_words, in_words, picture

    artifacts = artifacts_of(arguments)
    in_force = looking(artifacts, arguments)
    policy = in_force.policy
    check = check_live(artifacts, policy, last=arguments.last, rules=in_force.operations.drift)
    limits = limits_of(policy)
    if arguments.over_time and check.over_time is None:
        raise RefusedError(check.over_time_words.strip())
    days = by_day(check) if arguments.by else None
    words = "\n".join(filter(None, [in_words(check, limits), check.over_time_words]))
    if arguments.json:
        found = {"model_id": check.model_id, "rows": check.rows, "repeated": check.tally.repeated}
        # What was compared is a number of rows here, as it always was; all sizes are under `sizes`.
        sizes = {"sizes": check.report["rows"]} | ({"days": days} if days is not None else {})
        print_json(as_json(check.report) | found | sizes | {"over_time": as_json(check.over_time)})
    else:
        said = [words, days_in_words(days, limits) if days is not None else picture(check)]
        print(*filter(None, said), sep="\n\n")
    try:
        record(artifacts, check)
    except OSError as error:
        if arguments.over_time:  # the next look would spend again what this one spent
            raise
        note(f"this check is not in {artifacts.drift_checks}: {error.strerror}")
    drift = check.report["overall_drift"]
    if arguments.over_time and check.over_time:
        drift = check.over_time["alarm"] is not None
    if drift is not None:  # an inconclusive check neither raises an alert nor ends one
        happened(artifacts, lambda alerts: alerts.drifted(artifacts, check.model_id, words, drift=drift))
    return 0 if drift is False else 1


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

    if arguments.by or arguments.over_time:
        raise UsageError("--by day and --over-time are of predictions: leave --features out")
    artifacts = artifacts_of(arguments)
    found = check_features(artifacts, looking(artifacts, arguments).policy, last=arguments.last)
    if arguments.json:
        print_json(as_json(asdict(found)))
    else:
        print(features_in_words(found))
    return 0 if found.overall_drift is False else 1


def compare(arguments: argparse.Namespace) -> int:
    """Compare a candidate in shadow with the live model day by day, and say what it would have earned."""
    from dataclasses import asdict

    from ..monitoring.compare import compare

    artifacts = artifacts_of(arguments)
    model_id = newest_id(artifacts) if arguments.model is None else arguments.model
    if model_id is None:
        raise RefusedError(f"{artifacts.root}: no model was packed here; give an id, or pack one")
    found = compare(artifacts, looking(artifacts, arguments).policy, artifacts.model(model_id))
    if arguments.json:
        said = asdict(found)
        # What was measured stands at the top, where it always was.
        print_json(said.pop("agreement") | said)
        return 0
    of_days = found.agreement
    print(
        f"{model_id}: rank correlation by day {of_days.mean:.4f} with the live model, at least {of_days.lower:.4f} "
        f"(95 %), top tenth {of_days.overlap:.2f} in common, over {of_days.days} days, {of_days.rows} rows"
    )
    print(f"  {'within' if found.agrees else 'outside'} the policy's limit, shadow.rank_corr")
    print(
        f"  {of_days.flipped:.2%} of the signs are opposite, the largest difference of two scores is "
        f"{of_days.largest:.4g}"
    )
    print(f"  latency {_latency(found.latency_ms)}; of the live model {_latency(found.live_latency_ms)}")
    if more := found.earned_more:
        print(f"  after costs it would have earned {more.value:.4%} of capital a day more{_range(more)}")
    return 0


def _latency(quantiles: tuple[float, float]) -> str:
    median, slow = quantiles
    return f"{median:.3g} ms, p95 {slow:.3g} ms"


def _range(mean: "Mean") -> str:
    if mean.interval is None:
        return ", over too few days to say more"
    return f" ({mean.interval[0]:.4%} to {mean.interval[1]:.4%})"
