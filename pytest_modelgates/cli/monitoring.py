"""Verbs that watch what is live: `drift-check`, `compare`."""

import argparse

from ..artifacts import newest_id
from ..errors import RefusedError
from .alerts import happened
from .options import ARTIFACTS, JSON, POLICY, Verbs, argument, artifacts_of, count, looking, print_json


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "drift-check",
        drift_check,
        argument("--last", type=count, metavar="N", help="compare only the newest N rows"),
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
    """Compare the live model's predictions with its golden ones; ends with 1 if they have drifted."""
    from ..monitoring.drift_check import check_live, in_words
    from ..predictions.counting import Tally

    artifacts = artifacts_of(arguments)
    tally, policy = Tally(), looking(artifacts, arguments).policy
    model_id, rows, report = check_live(artifacts, policy, last=arguments.last, tally=tally)
    words = in_words(model_id, rows, report, repeated=tally.repeated)
    if arguments.json:
        print_json({"model_id": model_id, "rows": rows, "repeated": tally.repeated, **report})
    else:
        print(words)
    happened(artifacts, lambda alerts: alerts.drifted(artifacts, model_id, words, drift=report["overall_drift"]))
    return 1 if report["overall_drift"] else 0


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
