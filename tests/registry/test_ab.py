"""A change of the live model ends the A/B test that runs, for good."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_modelgates.audit import ab
from pytest_modelgates.audit.ab import Plan, ended, read_plan
from pytest_modelgates.audit.chain import Event, read_history
from pytest_modelgates.audit.kinds import Action
from pytest_modelgates.monitoring.ab import ab_found
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.store import change_live, live_id
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.strict_json import readable
from tests.support.ab import plan_of
from tests.support.handmade import Registry


def go_live(registry: Registry, action: Action, to: str) -> None:
    artifacts = registry.artifacts
    change = registry.in_force.intent(
        action,
        from_=live_id(artifacts),
        to=to,
        digest=tree_digest(artifacts.model(to)),
        reason="a change",
        time=datetime.now(UTC),
    )
    change_live(artifacts, change)


def begun(registry: Registry) -> Plan:
    plan = plan_of(registry.artifacts, registry.live, registry.candidate)
    ab.start(registry.artifacts, plan)
    return plan


def test_a_promotion_ends_it_before_the_link_moves(registry: Registry) -> None:
    plan, artifacts = begun(registry), registry.artifacts
    go_live(registry, "promote", registry.candidate)
    assert read_plan(artifacts) is None
    assert [(each.plan, each.reason) for each in ended(artifacts)] == [
        (plan, f"{registry.candidate} goes live (promote)")
    ]
    history = read_history(artifacts.promotions)
    kinds = [record.kind if isinstance(record, Event) else type(record).__name__ for record in history]
    assert kinds[-3:] == ["ab-start", "ab-stop", "Intent"]


def test_a_rollback_ends_it(registry: Registry) -> None:
    go_live(registry, "promote", registry.candidate)
    ab.start(registry.artifacts, plan_of(registry.artifacts, registry.candidate, registry.live))
    rollback(registry.artifacts, registry.live, registry.in_force, reason="it lost")
    assert read_plan(registry.artifacts) is None
    assert ended(registry.artifacts)[0].reason == f"{registry.live} goes live (rollback)"


def test_a_candidate_that_was_rolled_back_is_tested_no_more(registry: Registry) -> None:
    plan, artifacts = begun(registry), registry.artifacts
    go_live(registry, "promote", registry.candidate)
    go_live(registry, "rollback", registry.live)
    artifacts.write(artifacts.ab, readable(plan))  # as if both changes could not end it
    found = ab_found(artifacts, plan)
    assert (found.state, found.why) == (
        "over",
        f"{registry.live} went live again after the test began, and a change of the live model ends a test",
    )


def folder(path: Path) -> None:
    path.mkdir()


def no_plan(path: Path) -> None:
    path.write_text("{")


@pytest.mark.parametrize("lies_there", [folder, no_plan])
def test_what_is_no_plan_keeps_nothing_from_going_live(registry: Registry, lies_there: Callable[[Path], None]) -> None:
    lies_there(registry.artifacts.ab)
    go_live(registry, "promote", registry.candidate)
    assert live_id(registry.artifacts) == registry.candidate


def test_a_test_that_cannot_be_ended_keeps_nothing_from_going_live(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, unlink = begun(registry), Path.unlink

    def fails(path: Path, *arguments: object, **named: object) -> None:
        if path == registry.artifacts.ab:
            raise OSError(5, "Input/output error")
        unlink(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "unlink", fails)
    go_live(registry, "promote", registry.candidate)
    assert read_plan(registry.artifacts) == plan
    assert ab_found(registry.artifacts, plan).state == "over"
