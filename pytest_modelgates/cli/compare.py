"""The verb that compares a candidate in shadow with the live model: `compare`."""

import argparse
from typing import TYPE_CHECKING

from ..artifacts import newest_id
from ..errors import RefusedError
from .options import ARTIFACTS, JSON, POLICY, Verbs, argument, artifacts_of, looking, print_json

if TYPE_CHECKING:
    from ..monitoring.realised import Mean


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "compare",
        compare,
        argument("model", nargs="?", help="the candidate's id or path; default: the model packed last"),
        ARTIFACTS,
        POLICY,
        JSON,
    )


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
    print(f"{model_id}: rank correlation by day {of_days.mean:.4f} with the live model")
    print(
        f"  at least {of_days.lower:.4f} (95 %), over {of_days.days} days, {of_days.rows} rows; "
        f"top tenth {of_days.overlap:.2f} in common"
    )
    print(f"  {'within' if found.agrees else 'outside'} the policy's limit, shadow.rank_corr")
    print(f"  {of_days.flipped:.2%} of the signs are opposite, largest difference of two scores {of_days.largest:.4g}")
    print(f"  latency {_latency(found.latency_ms)}; of the live model {_latency(found.live_latency_ms)}")
    if more := found.earned_more:
        print(f"  after costs it would have earned {more.value:.4%} of capital a day more{_range(more)}")
    if found.not_earned:
        print(f"  what it would have earned cannot be told: {found.not_earned}")
    return 0


def _latency(quantiles: tuple[float, float]) -> str:
    median, slow = quantiles
    return f"{median:.3g} ms, p95 {slow:.3g} ms"


def _range(mean: "Mean") -> str:
    if mean.interval is None:
        return ", over too few days to say more"
    return f" ({mean.interval[0]:.4%} to {mean.interval[1]:.4%})"
