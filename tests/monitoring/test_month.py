"""A month of a desk on the example's prices, day by day, with every command as it is and only the clock set."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.cli import main
from pytest_modelgates.pages.dashboard import dashboard
from pytest_modelgates.registry.in_force import for_acting
from tests.monitoring.a_day import DRIFTS
from tests.pages.reading import Read
from tests.support.webhooks import Webhook, webhook

ROOT = Path(__file__).parents[2]
NIGHTS = 30
BEGIN = datetime(2026, 10, 1, 22, tzinfo=UTC)
OPERATIONS = """format = 1
[alerts]
timeout_s = 60
[[alerts.route]]
url = "json://127.0.0.1:{port}/"
kinds = ["breach", "promotion", "rollback"]
[watch.drift]
min_sample = 300
"""
pytestmark = pytest.mark.integration


def library() -> str:
    """Find what sets the clock of a process. Where nobody looks, a missing one may skip; in CI it fails."""
    if (program := shutil.which("faketime")) is None:
        missing = "faketime is not installed: apt-get install --no-install-recommends faketime"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    said = subprocess.run([program, "now", "env"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^LD_PRELOAD=(\S+)", said, re.M)
    assert found, said
    return found[1]


def days(root: Path, first: int, last: int, preload: str) -> dict[int, str]:
    """Live some days, and give what each printed."""
    said = {}
    for day in range(first, last):
        back = BEGIN + timedelta(days=day) - datetime.now(UTC)
        environment = {**os.environ, "LD_PRELOAD": preload, "FAKETIME": f"{back.total_seconds():.0f}", "TZ": "UTC"}
        command = [sys.executable, "-W", "ignore", "-m", "tests.monitoring.a_day", str(root), str(day)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        said[day] = done.stdout + done.stderr
        assert done.returncode == 0, said[day]
    return said


def outcome(said: str, verb: str) -> str:
    """How a verb ended."""
    found = re.search(rf"== day \d+: {verb} ended with (\d+); live", said)
    assert found, said
    return found[1]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A repository with the example's policy, but for what production asks: seven nights and a day in shadow."""
    (tmp_path / "registry").mkdir()
    policy = (ROOT / "examples" / "sp500" / "policy.toml").read_text()
    for without, wanted in (("parity_nights = 0", "parity_nights = 7"), ("shadow_hours = 0", "shadow_hours = 24")):
        assert without in policy
        policy = policy.replace(without, wanted)
    (tmp_path / "registry" / "policy.toml").write_text(policy)
    return tmp_path


def operate(desk: Path, service: Webhook) -> Artifacts:
    (desk / "registry" / "operations.toml").write_text(OPERATIONS.format(port=service.port))
    return Artifacts(desk / "artifacts")


@pytest.mark.slow
def test_a_month_of_nights_a_promotion_after_the_streak_and_a_drifting_feed_that_is_rolled_back(desk: Path) -> None:
    with webhook() as service:
        artifacts = operate(desk, service)
        said = days(desk, 0, NIGHTS, library())
    first, second, back = read_log(artifacts.promotions)
    assert [change.action for change in (first, second, back)] == ["promote", "promote", "rollback"]
    # The second model waits for seven nights of parity, those of the first model among them, and goes live by itself.
    assert (second.time.date() - first.time.date()).days == 6
    assert [outcome(said[day], "nightly") for day in range(DRIFTS)] == ["0"] * DRIFTS
    assert all("  promotion  waits" in said[day] for day in range(1, 6))
    assert "5 consecutive UTC nights with ONNX parity, the policy asks for 7" in said[4]
    # The feed moves on one day. The watch sees it in the newest rows, and goes back; the day after is calm.
    assert [day for day in said if "drift     BREACH" in said[day]] == [DRIFTS]
    assert outcome(said[DRIFTS], "watch") == "1"
    assert (back.actor, back.from_, back.to) == ("modelgates-watch", second.to, first.to)
    assert (back.time.date() - first.time.date()).days == DRIFTS
    assert [outcome(said[day], "watch") for day in range(DRIFTS + 1, NIGHTS)] == ["0"] * (NIGHTS - DRIFTS - 1)
    # What happens at once is one message: the rollback, and the drift that it ends.
    told = "\n".join(f"{content['title']}: {content['message']}" for _, content in service.taken)
    events = [
        f"model: {first.to} is live, in place of nothing: ",
        f"model: {second.to} is live, in place of {first.to}: ",
        f"model: rolled back to {first.to}, in place of {second.to}: ",
    ]
    assert sorted(events, key=told.find) == events
    assert [told.count(event) for event in events] == [1, 1, 1]
    assert f"model: the predictions of {second.to} have drifted: PSI " in told
    assert main(["log", "--verify", "--artifacts", str(artifacts.root)]) == 0
    assert main(["status", "--artifacts", str(artifacts.root)]) == 0
    tell_the_story(artifacts, first.to, second.to)


def tell_the_story(artifacts: Artifacts, first: str, second: str) -> None:
    """See that the pages tell it: what went live, what was found, and who went back."""
    in_force = for_acting(artifacts, artifacts.root.parent / "registry" / "policy.toml")
    pages = dashboard(artifacts, in_force, now=BEGIN + timedelta(days=NIGHTS))
    said = {name: Read(content.decode()).text for name, content in pages.items()}
    assert f"{first} is live, and the registry is sound" in said["registry"]
    history = said["registry"].partition("What happened")[2]
    told = [
        f"rollback {second} → {first} modelgates-watch",
        f"promote {first} → {second}",
        f"promote nothing → {first}",
    ]
    assert sorted(told, key=history.index) == told
    assert "the watch found drift: PSI " in history
    live = re.findall(r"(\d{10}) live (drift over time|no drift|drift|cannot tell) \d+", said["quality"])
    assert live == [
        (first, "no drift"),
        (second, "drift over time"),
        (second, "no drift"),
        (first, "no drift"),
    ]
    assert f"{second} was rolled back" in said["quality"]
    assert "Latency of live by day" in said["performance"]
    assert "modelgates outcomes add" in said["business"]
