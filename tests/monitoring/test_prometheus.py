"""What Prometheus is told of a registry, and the rules, alerts and dashboard that are made of it."""

import json
import math
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pytest_modelgates.audit.chain import read_log
from pytest_modelgates.cli import main
from pytest_modelgates.monitoring.exposition import exposition
from tests.cli.test_paper import predicted, traded
from tests.monitoring.test_alertmanager import wait_for
from tests.monitoring.test_liveness import ran
from tests.serving.test_server import serving
from tests.support.handmade import Registry, golden_of, log_predictions, predictions, record

Capture = pytest.CaptureFixture[str]
SHIPPED = Path(__file__).parents[2] / "registry" / "prometheus"
RULES = yaml.safe_load((SHIPPED / "rules.yml").read_text())["groups"]
CASES = yaml.safe_load((SHIPPED / "rules_test.yml").read_text())["tests"]
DASHBOARD = json.loads((SHIPPED / "dashboard.json").read_text())


def samples(registry: Registry) -> dict[str, float]:
    """Every series by its name and labels."""
    families = text_string_to_metric_families(exposition(registry.artifacts, registry.in_force).decode())
    return {
        sample.name + "".join(f",{value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def served_live(registry: Registry, move: float = 0.0) -> str:
    """Let the live model score what its panel holds, or something else."""
    digest = read_log(registry.artifacts.promotions)[-1].digest
    values = [value + move for value in golden_of(registry.artifacts.model(registry.live))[:800]]
    log_predictions(registry.artifacts, predictions(digest, values, model_id=registry.live, arm="live"))
    return digest


def test_the_live_model_its_gates_and_their_margins(registry: Registry) -> None:
    ran(registry, registry.live, record("parity.max_abs_diff", registry.policy, 2e-5))
    found = samples(registry)
    digest = read_log(registry.artifacts.promotions)[-1].digest
    assert found[f"modelgates_live_model_info,{digest},model,{registry.live}"] == 1
    assert found["modelgates_registry_problems"] == 0
    assert found["modelgates_gate_passed,parity.max_abs_diff,hard"] == 0
    assert found["modelgates_gate_failed,parity.max_abs_diff,hard"] == 1
    assert found["modelgates_gate_passed,wf.worst_fold,hard"] == 1
    assert found["modelgates_slo_value,parity.max_abs_diff,parity.max_abs_diff,rel"] == 2e-5
    assert math.isclose(found["modelgates_slo_margin,parity.max_abs_diff,parity.max_abs_diff,rel"], -1e-5)


def test_what_is_not_known_is_absent(empty_registry: Registry, registry: Registry) -> None:
    assert samples(empty_registry) == {"modelgates_registry_problems": 0}


def test_a_report_of_other_bytes_does_not_count(registry: Registry) -> None:
    for path in registry.artifacts.reports(registry.live).glob("*"):
        path.unlink()
    path = ran(registry, registry.live)
    digest = read_log(registry.artifacts.promotions)[-1].digest
    assert "modelgates_gates_finished_seconds" in samples(registry)
    path.write_text(path.read_text().replace(digest, "0" * 64))
    assert "modelgates_gates_finished_seconds" not in samples(registry)


def test_an_arm_that_is_stopped(registry: Registry) -> None:
    assert main(["kill", "--arm", "live", "--reason", "wrong", "--artifacts", str(registry.artifacts.root)]) == 0
    assert samples(registry)["modelgates_arm_killed,live"] == 1


@pytest.mark.parametrize(("move", "drift"), [(0.0, 0), (5.0, 1)])
def test_the_newest_check_of_the_live_predictions(registry: Registry, move: float, drift: int) -> None:
    served_live(registry, move)
    root = ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    assert main(["drift-check", *root]) == drift
    with registry.artifacts.drift_checks.open("ab") as file:
        file.write(b"torn\n")
    found = samples(registry)
    assert found["modelgates_drift"] == drift
    assert (found["modelgates_drift_psi"] > 0.25) == bool(drift)
    assert (found["modelgates_drift_ks"] > 0.5) == bool(drift)
    assert "modelgates_drift_alarm" in found


def test_an_alarm_stays_on_beside_a_check_that_is_not_a_look(registry: Registry) -> None:
    served_live(registry, 5.0)
    root = ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    assert main(["drift-check", *root]) == 1
    assert main(["drift-check", "--last", "700", *root]) == 1
    assert samples(registry)["modelgates_drift_alarm"] == 1


def test_what_came_of_the_predictions(registry: Registry) -> None:
    served_live(registry)
    keys = [each.row_key.split("|") for each in predictions("0" * 64, [0.0] * 800)]
    rows = "".join(f"{day},{name},{(7 * n % 20 - 9.5) / 1000}\n" for n, (day, name) in enumerate(keys))
    outcomes = registry.artifacts.root / "returns.csv"
    outcomes.write_text(f"time,asset,return\n{rows}")
    root = ["--artifacts", str(registry.artifacts.root)]
    assert "modelgates_realised_ic" not in samples(registry)
    assert main(["outcomes", "add", str(outcomes), *root]) == 0
    found = samples(registry)
    assert found["modelgates_realised_rows"] == 800
    assert found["modelgates_realised_ic_after_costs"] < found["modelgates_realised_ic"]
    assert "modelgates_realised_pnl" in found


def test_what_was_traded_on_paper(registry: Registry, tmp_path: Path) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert "modelgates_paper_pnl" not in samples(registry)
    assert traded(registry, tmp_path) == 0
    found = samples(registry)
    assert found["modelgates_paper_gross_exposure"] == pytest.approx(1, abs=0.01)
    assert found["modelgates_paper_net_exposure"] == pytest.approx(0, abs=0.01)
    assert found["modelgates_paper_pnl"] != 0
    registry.artifacts.paper("live").write_text("{}\n")
    assert "modelgates_paper_pnl" not in samples(registry)


def test_the_textfile_is_written_whole_and_not_over_what_the_registry_keeps(
    registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    root = ["--artifacts", str(registry.artifacts.root)]
    assert main(["metrics", *root]) == 0
    printed = capsys.readouterr().out
    assert main(["metrics", "--textfile", str(tmp_path / "modelgates.prom"), *root]) == 0
    assert (tmp_path / "modelgates.prom").read_text() == printed
    assert main(["metrics", "--textfile", str(registry.artifacts.promotions), *root]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: {registry.artifacts.promotions}: kept by the registry; give --textfile another place, such as "
        "/var/lib/node_exporter/modelgates.prom\n"
    )


def promtool(*words: object, cwd: Path = SHIPPED, text: str | None = None) -> str:
    done = subprocess.run(
        [needed("promtool"), *map(str, words)], cwd=cwd, capture_output=True, text=True, input=text, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needed(name: str) -> str:
    """Find a program of Debian's package prometheus. Where nobody looks, a missing one may skip; in CI it fails."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is not installed: apt-get install --no-install-recommends prometheus"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found


@pytest.mark.integration
def test_the_rules_do_what_their_tests_say(registry: Registry) -> None:
    ran(registry, registry.live)
    promtool("check", "rules", "rules.yml")
    promtool("test", "rules", "rules_test.yml")
    promtool("check", "metrics", text=exposition(registry.artifacts, registry.in_force).decode())


def test_every_alert_is_seen_to_fire() -> None:
    alerts = {rule["alert"] for group in RULES for rule in group["rules"] if "alert" in rule}
    fire = {case["alertname"] for test in CASES for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fire == alerts


def expressions() -> list[str]:
    """Every expression of the rules and of the dashboard."""
    found = [rule["expr"] for group in RULES for rule in group["rules"]]
    return found + [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.mark.integration
def test_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(expressions())]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", "asked.yml", cwd=tmp_path)


def test_rules_and_dashboard_ask_for_nothing_that_is_never_written() -> None:
    """A name that nothing writes would be an alert that can never fire."""
    source = Path(__file__).parents[2] / "pytest_modelgates"
    texts = [(source / name).read_text() for name in ("monitoring/exposition.py", "serving/metrics.py")]
    found = [name for text in texts for name in re.findall(r'\(\s*"(?:modelgates_)?([a-z_]+)",\s*"[A-Z1]', text)]
    written = {f"modelgates_{name}" for name in found}
    written |= {f"modelgates_paper_{name}" for name in re.findall(r'"([a-z_]+)": \("', texts[0])} | {
        "modelgates_paper_booked_seconds"
    }
    written |= {f"{name}{end}" for name in written for end in ("_total", "_bucket")}
    recorded = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
    for expression in expressions():
        asked = set(re.findall(r"modelgates[_:][a-z0-9_:]+", expression))
        assert asked
        assert asked <= written | recorded, expression


@contextmanager
def told(text: bytes) -> Iterator[int]:
    """Answer every request with a text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # as http.server calls it
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@pytest.mark.integration
def test_the_real_prometheus_scrapes_a_server_and_a_registry_and_alerts(registry: Registry, tmp_path: Path) -> None:
    program = needed("prometheus")
    wrong = record("wf.worst_fold", registry.policy, 0.0)
    ran(registry, registry.live, wrong)
    assert main(["kill", "--arm", "shadow", "--reason", "idle", "--artifacts", str(registry.artifacts.root)]) == 0
    text = exposition(registry.artifacts, registry.in_force)
    with serving(registry.artifacts.latest_onnx) as server, told(text) as port:
        jobs = [("server", server.address), ("registry", f"127.0.0.1:{port}")]
        settings = {
            "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [str(SHIPPED / "rules.yml")],
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in jobs],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
        said = tmp_path / "said"
        words = [
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ]
        with said.open("wb") as log, subprocess.Popen([program, *words], stdout=log, stderr=log) as process:
            try:
                found = wait_for(lambda: re.search(r"[Ll]istening on.*address=127\.0\.0\.1:(\d+)", said.read_text()))
                assert isinstance(found, re.Match)

                def ask(query: str) -> list[str]:
                    url = f"http://127.0.0.1:{found[1]}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
                    # It says 503 until it has started.
                    with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=10) as reply:
                        return [each["value"][1] for each in json.load(reply)["data"]["result"]]
                    return []

                assert wait_for(lambda: ask('modelgates_model_info{arm="live"}')) == ["1"]
                assert wait_for(lambda: ask("modelgates_registry_problems")) == ["0"]
                assert wait_for(lambda: ask('ALERTS{alertname="ModelHardGateFailed",gate="wf.worst_fold"}')) == ["1"]
                assert ask('ALERTS{alertname="ModelKilled"}') == []  # the live arm goes on
            finally:
                process.kill()
