"""The watch where something else goes wrong as well: two at once, an end in mid-rollback, a full disk, a dead route."""

import json
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_modelgates.audit.chain import Intent, read_history
from pytest_modelgates.audit.whole import read_chain
from pytest_modelgates.monitoring.way_out import ACTOR, own_rollbacks
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.store import link_text, live_change, state, went_live
from tests.support.handmade import Registry, golden_of, green_report, log_predictions, modelgates, predictions


@pytest.fixture
def drifted(registry: Registry) -> Registry:
    """A registry whose candidate was promoted, and predicts what is far from its golden."""
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="a new one")
    values = [value + 1 for value in golden_of(registry.artifacts.model(registry.candidate))[:600]]
    digest = live_change(registry.artifacts).digest
    log_predictions(registry.artifacts, predictions(digest, values, arm="live", hours=0.4))
    return registry


def words(registry: Registry) -> list[str]:
    return ["watch", "--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]


def own(registry: Registry) -> list[Intent]:
    found = read_history(registry.artifacts.promotions)
    return [each for each in found if isinstance(each, Intent) and each.actor == ACTOR]


def is_sound(registry: Registry) -> bool:
    chain = read_chain(registry.artifacts.promotions)
    return not chain.problems and state(registry.artifacts).open is None


def test_of_watches_at_once_one_rolls_back(drifted: Registry) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: modelgates(*words(drifted)), range(4)))
    assert sorted(each.returncode for each in done) == [0, 0, 0, 1], [each.stderr for each in done]
    assert (len(own(drifted)), link_text(drifted.artifacts)) == (1, drifted.live)
    assert is_sound(drifted)


DEATHS = {
    "before the link": "disk.LocalDisk.point = die",
    "behind the link": "store._commit = die",
    "before the rollback": "rehearsal.rehearse = die",
}


@pytest.mark.parametrize("death", DEATHS)
def test_the_look_after_one_that_was_killed_in_mid_rollback_settles_it(drifted: Registry, death: str) -> None:
    code = f"""
import os, sys
from pytest_modelgates.cli import main
from pytest_modelgates.proving import rehearsal
from pytest_modelgates.registry import store
from pytest_modelgates.storage import disk
def die(*_):
    os._exit(9)
{DEATHS[death]}
main(sys.argv[1:])
"""
    done = subprocess.run([sys.executable, "-c", code, *words(drifted)], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    moved = death == "behind the link"
    assert link_text(drifted.artifacts) == (drifted.live if moved else drifted.candidate)
    after = modelgates(*words(drifted))
    assert after.returncode == (0 if moved else 1), after.stderr
    assert link_text(drifted.artifacts) == drifted.live
    assert is_sound(drifted)
    # The cool-down begins with the rollback, even if another process completed it in the log.
    (change,) = own_rollbacks(went_live(drifted.artifacts), now=live_change(drifted.artifacts).time)
    assert change == live_change(drifted.artifacts).time


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.crash)])
def test_wherever_a_look_is_killed_the_next_one_settles_it_and_one_rollback_is_made(
    drifted: Registry, every: int
) -> None:
    root = drifted.artifacts.root.parent
    command = [sys.executable, "-m", "tests.crash.watched", root, drifted.live, drifted.candidate, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each for each in found if each["wrong"] or each["status"] != 9] == []
    assert len(found) * every > 40


def test_on_a_full_disk_nothing_is_done_and_it_is_said(drifted: Registry) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    before = drifted.state()
    done = modelgates(*words(drifted), preexec_fn=full)
    assert done.returncode == 3
    assert done.stderr.startswith("modelgates: cannot see: File too large")
    assert drifted.state() == before
    assert modelgates(*words(drifted)).returncode == 1
    assert link_text(drifted.artifacts) == drifted.live


def test_where_nobody_takes_alerts_the_rollback_takes_place_and_they_wait(drifted: Registry) -> None:
    operations = drifted.policy_file.with_name("operations.toml")
    operations.write_text('[alerts]\ntimeout_s = 30\n[[alerts.route]]\nalertmanager = "http://127.0.0.1:1"\n')
    done = modelgates(*words(drifted))
    assert done.returncode == 1
    assert link_text(drifted.artifacts) == drifted.live
    assert "modelgates: alerts: route 1 (alertmanager): " in done.stderr
    assert " alerts left for the next command, or for: modelgates alert send\n" in done.stderr
