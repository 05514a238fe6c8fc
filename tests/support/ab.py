"""A/B tests made by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import ab
from pytest_modelgates.audit.ab import By, Plan
from pytest_modelgates.audit.chain import Commit, Intent, append
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import logged


def logged_as_live(artifacts: Artifacts, model_id: str) -> None:
    """Say in the log that a model went live, and point the link at it."""
    now = datetime.now(UTC)
    change = Intent(
        time=now,
        actor="somebody",
        host="desk",
        action="promote",
        from_=None,
        to=model_id,
        digest=tree_digest(artifacts.model(model_id)),
        report_digest=None,
        reason="a test",
    )
    append(artifacts.promotions, change)
    artifacts.latest.symlink_to(model_id)
    append(artifacts.promotions, Commit(time=now))


def plan_of(artifacts: Artifacts, live: str, candidate: str, *, share: float = 0.5, by: By = "row") -> Plan:
    """A plan that names models as they are now, and deals a row in each run as in any other."""
    digests = {model_id: tree_digest(artifacts.model(model_id)) for model_id in (live, candidate)}
    plan = ab.new_plan(
        candidate=candidate,
        candidate_digest=digests[candidate],
        live=live,
        live_digest=digests[live],
        live_since=live_change(artifacts).time,
        share=share,
        by=by,
        reason="a canary",
    )
    # By its name: with another one each time, one in two hundred tests of two equal models tells them apart.
    return msgspec.structs.replace(plan, name="ab-20260101T000000Z-00000000")


def both_arms(artifacts: Artifacts) -> tuple[list[Prediction], list[Prediction]]:
    """What is logged of the live model, and of the candidate of a test."""
    return logged(artifacts, "live"), logged(artifacts, ab.ARM)


def keys_of(records: Sequence[Prediction]) -> list[str]:
    """Name the rows of records, in order."""
    return sorted(record.row_key for record in records)
