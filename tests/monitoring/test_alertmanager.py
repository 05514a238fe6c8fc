"""The real Alertmanager, as Debian has it, takes our alerts, tells a webhook of them and takes them back."""

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.cli import main
from tests.support.handmade import Registry
from tests.support.webhooks import Webhook, webhook

BINARY = "prometheus-alertmanager"
SETTINGS = """
route:
  receiver: hook
  group_by: [alertname, arm]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: http://127.0.0.1:{port}/hook
        send_resolved: true
"""
pytestmark = pytest.mark.integration


@pytest.fixture
def service() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def alertmanager(service: Webhook, tmp_path: Path) -> Iterator[str]:
    """Run one that tells the webhook. Where nobody looks, a missing one may skip; in CI it fails."""
    binary = shutil.which(BINARY)
    if binary is None:
        missing = f"{BINARY} is not installed: apt-get install --no-install-recommends {BINARY}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    settings, said = tmp_path / "alertmanager.yml", tmp_path / "said"
    settings.write_text(SETTINGS.format(port=service.port))
    words = [
        f"--config.file={settings}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    with said.open("wb") as log, subprocess.Popen([binary, *words], stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{wait_for(lambda: port_of(said.read_text()))}"
        finally:
            process.kill()


def port_of(said: str) -> str | None:
    """Read the port that it took from what it said, in the words of several versions."""
    for line in said.splitlines():
        if "Listening on" in line and "address=127.0.0.1:" in line:
            return line.partition("address=127.0.0.1:")[2].split()[0]
    return None


def wait_for(found: Callable[[], object]) -> object:
    """Look again and again for what another process does; no test passes by it, one that hangs fails by it."""
    until = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)
    return value


def test_a_kill_arrives_at_the_webhook_and_is_over_after_unkill(
    registry: Registry, service: Webhook, alertmanager: str
) -> None:
    place = registry.artifacts.named.parent / "registry" / "operations.toml"
    place.parent.mkdir(exist_ok=True)
    route = f'[alerts]\ntimeout_s = 60\n[[alerts.route]]\nalertmanager = "{alertmanager}"\n'
    place.write_text(route)
    root = ["--artifacts", str(registry.artifacts.root)]

    def heard(status: str) -> list[dict[str, object]]:
        groups = [content for path, content in service.taken if path == "/hook"]
        alerts = [alert for group in groups for alert in group["alerts"]]
        kills = [alert for alert in alerts if alert["labels"]["alertname"] == "ModelKilled"]
        return [alert for alert in kills if alert["status"] == status]

    assert main(["alert", "test", *root]) == 0
    assert main(["kill", "--reason", "wrong scores", *root]) == 0
    (on,) = wait_for(lambda: heard("firing"))
    assert on["labels"] == {"alertname": "ModelKilled", "model": "model", "arm": "all", "severity": "critical"}
    assert on["annotations"]["summary"] == "model: every arm was killed"
    assert main(["alert", "send", *root]) == 0
    with urllib.request.urlopen(f"{alertmanager}/api/v2/alerts") as answer:
        there = msgspec.json.decode(answer.read())
    names = sorted(alert["labels"]["alertname"] for alert in there)
    assert names == ["ModelKilled", "ModelPromoted", "ModelgatesTest"]
    assert heard("resolved") == []
    assert main(["unkill", "--reason", "repaired", *root]) == 0
    (over,) = wait_for(lambda: heard("resolved"))
    assert over["labels"] == on["labels"]
