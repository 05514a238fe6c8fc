"""Two machines race to promote through a bucket of a real server: exactly one wins, every time."""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.shared import changes, name_of
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.model.directory import CHANGES, MANIFEST
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.in_force import for_acting
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.pulling import pull
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.storage.strict_json import canonical
from tests.crash.registries import NEXT, OLDEST, Registry, promotion
from tests.support.buckets import Machine, SeaweedFS, opened
from tests.support.handmade import green_ledger, write_report

pytestmark = pytest.mark.integration
SIDES = 2


def candidate(machine: Machine, round_number: int, side: int) -> str:
    """Make a model of its own, newer than all before, with a green report."""
    model_id = str(int(NEXT) + 1 + SIDES * round_number + side)
    directory = shutil.copytree(machine.models / NEXT, machine.models / model_id)
    said = f"Round {round_number}, side {side}.\n".encode()
    (directory / CHANGES).write_bytes(said)
    manifest = json.loads((directory / MANIFEST).read_bytes())
    manifest["id"], manifest["created"] = model_id, datetime.fromtimestamp(int(model_id), UTC).isoformat()
    manifest["files"][CHANGES] = {"sha256": hashlib.sha256(said).hexdigest(), "size": len(said)}
    (directory / MANIFEST).write_bytes(canonical(manifest))
    policy = load_policy(machine.folder / "registry" / "policy.toml")
    write_report(machine.folder / f"{model_id}.json", green_ledger(directory, policy))
    return model_id


def take_part(folder: Path, side: int, races: int, together: Barrier, told: Any) -> None:
    """Promote in each round at the same time as the others, and tell what became of it."""
    machine = Machine(folder)
    artifacts = Artifacts(machine.artifacts)
    for number in range(races):
        model_id, in_force = candidate(machine, number, side), for_acting(artifacts)
        together.wait(120)
        try:
            promote(artifacts, model_id, folder / f"{model_id}.json", in_force, reason="a race")
            outcome = "won"
        except RefusedError as error:
            outcome = "met the other's record" if "was faster" in str(error) else "came late"
            if "another machine was faster" not in str(error) and "modelgates pull" not in str(error):
                outcome = str(error)
        live = live_id(artifacts)
        together.wait(120)
        pull(artifacts, in_force, whole=False)
        told.put((number, model_id, outcome, live, live_id(artifacts)))
        together.wait(120)


@pytest.mark.parametrize("races", [5, pytest.param(500, marks=pytest.mark.slow)])
def test_of_two_machines_that_promote_at_once_exactly_one_wins_and_no_record_is_lost(
    seaweedfs: SeaweedFS,
    some_models: Registry,
    tmp_path: Path,
    races: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{seaweedfs.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    url = f"s3://models/races-{races}-{tmp_path.name}"
    ours = Machine(some_models.copy_to(tmp_path / "a").folder).shares(url)
    theirs = ours.another("b")
    ours.do(*promotion(OLDEST))
    theirs.do("pull")
    spawn = multiprocessing.get_context("spawn")  # a fork would share the connections of the library
    together, told = spawn.Barrier(SIDES), spawn.Queue()
    sides = [
        spawn.Process(target=take_part, args=(each.folder, side, races, together, told), daemon=True)
        for side, each in enumerate((ours, theirs))
    ]
    for each in sides:
        each.start()
    found = [told.get(timeout=300) for _ in range(SIDES * races)]
    for each in sides:
        each.join()
    outcomes = Counter(outcome for _, _, outcome, _, _ in found)
    print(f"\n{races} races: {dict(outcomes)}")
    assert set(outcomes) <= {"won", "met the other's record", "came late"}
    winners = {number: model_id for number, model_id, outcome, _, _ in found if outcome == "won"}
    assert outcomes["won"] == len(winners) == races
    for number, model_id, outcome, live, afterwards in found:
        before = winners[number - 1] if number else OLDEST
        assert live == (model_id if outcome == "won" else before)
        assert afterwards == winners[number]
    logs = [[record.change.to for _, record in changes(each.root.shared)][::-1] for each in (ours, theirs)]
    assert logs == [[OLDEST, *(winners[number] for number in range(races))]] * SIDES
    names = opened(url).names("log", after="", most=10_000)
    assert names == [name_of(number) for number in range(1, races + 2)]
    for each in (ours, theirs):
        each.do("status")
        each.do("log", "--verify")
    assert ours.root.shared.read_bytes() == theirs.root.shared.read_bytes()
