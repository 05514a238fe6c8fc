"""Verbs that watch what is live: `drift-check`, `compare`."""

import argparse

from ..artifacts import newest_id
from ..errors import RefusedError
from .alerts import happened
from .options import ARTIFACTS, JSON, POLICY, Verbs, argument, artifacts_of, count, looking, moment, note, print_json


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "drift-check",
        drift_check,
        argument(
            "--since", type=moment, metavar="TIME", help="scored from then on; a date or time of ISO 8601, in UTC"
        ),
        argument("--until", type=moment, metavar="TIME", help="scored before"),
        argument("--model", metavar="ID", help="this model; default: the live one"),
        argument("--arm", help="this arm of the log, such as shadow; default: live"),
        argument("--last", type=count, metavar="N", help="compare only the newest N rows"),
        argument("--by", choices=["day"], help="show the PSI of each day that rows are of"),
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
    """Compare the live model's predictions with its golden ones; ends with 1 unless there is no drift."""
    from ..drift.verdict import as_json
    from ..monitoring.drift_check import LIVE, Asked, check_log, limits_of, record
    from ..monitoring.drift_words import by_day, days_in_words, in_words, picture

    artifacts = artifacts_of(arguments)
    policy = looking(artifacts, arguments).policy
    asked = Asked(
        model=arguments.model,
        arm=arguments.arm or LIVE,
        since=arguments.since,
        until=arguments.until,
        last=arguments.last,
    )
    check, limits = check_log(artifacts, policy, asked), limits_of(policy)
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
    if drift is not None and asked.is_now:  # an inconclusive check neither raises an alert nor ends one
        happened(artifacts, lambda alerts: alerts.drifted(artifacts, check.model_id, words, drift=drift))
    return 0 if drift is False else 1


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
