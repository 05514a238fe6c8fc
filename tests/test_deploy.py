"""What lies in deploy/: systemd, hadolint, promtool, amtool and Kubernetes take it; what it runs are our commands."""

import configparser
import getpass
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pytest_modelgates.cli.main import parser
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.metrics import Metrics
from tests.support.handmade import Registry

UNITS = sorted((Path(__file__).parents[1] / "deploy").glob("*.service"))


def command_of(unit: Path) -> list[str]:
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.read_string(unit.read_text("utf-8"))
    return read["Service"]["ExecStart"].split()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_verb_with_options_that_it_has(unit: Path) -> None:
    program, *words = command_of(unit)
    assert program.endswith("/bin/modelgates")
    parser().parse_args(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit(unit: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    # It asks for the program, which is not at the path of the example.
    copy = tmp_path / unit.name
    text = unit.read_text("utf-8").replace(command_of(unit)[0], sys.executable)
    copy.write_text(text.replace("User=desk", f"User={getpass.getuser()}").replace("/srv/desk", str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])


DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "modelgates"}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def instructions(name: str) -> list[str]:
    """What one kind of instruction of the Dockerfile is given, in order."""
    whole = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", whole, flags=re.MULTILINE)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_slim_and_not_root() -> None:
    assert all(each.startswith("python:3.12-slim") for each in instructions("FROM"))
    (user,) = instructions("USER")
    assert user.partition(":")[0] not in ("0", "root")
    (entry,), (default,) = instructions("ENTRYPOINT"), instructions("CMD")
    assert json.loads(entry) == ["modelgates"]
    parser().parse_args(json.loads(default))


@pytest.mark.integration
def test_what_the_dockerfile_copies_is_all_that_a_wheel_needs(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [word for line in instructions("COPY") for word in line.split()[:-1]]
    assert sorted(copied) == sorted(line.removeprefix("!") for line in ignored if line.startswith("!"))
    for name in copied:
        source, target = DEPLOY.parent / name, tmp_path / "src" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "wheels"]
    subprocess.run(command, cwd=tmp_path / "src", check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"pytest_modelgates/plugin.py", "pytest_modelgates/gates/test_parity.py"} <= set(names)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_container_may_write_to_its_root_or_has_rights_to_spare(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # Nothing is let in from other machines.
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not service["image"].endswith(":latest")


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_verb_with_options_that_it_has(name: str) -> None:
    parser().parse_args(OURS[name]["command"])
    assert OURS[name]["user"] == "${DESK_USER:-10001:10001}"
    assert [mount.rpartition(":/srv/desk/")[2] for mount in OURS[name]["volumes"]] == ["artifacts", "registry:ro"]


def test_prometheus_and_alertmanager_take_their_files(tmp_path: Path) -> None:
    for name in ("promtool", "amtool"):
        if not shutil.which(name):
            missing = f"{name} is not installed: apt-get install prometheus prometheus-alertmanager"
            pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    for mount in (mount for name in ("prometheus", "alertmanager") for mount in COMPOSE["services"][name]["volumes"]):
        source, target = mount.split(":")[:2]
        if source.startswith("."):
            shutil.copy(DEPLOY / source, tmp_path / Path(target).name)
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["amtool", "check-config", "alertmanager.yml"], cwd=tmp_path, check=True, capture_output=True)
    (job,) = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    service, _, port = target.partition(":")
    assert f"0.0.0.0:{port}" in COMPOSE["services"][service]["command"]


@contextmanager
def running(registry: Registry, words: list[str], home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a container's command line as it stands, in a folder like its own; only the address is another.

    `home` is for what /tmp is there: ONNX Runtime keeps an id of the device below $HOME.
    """
    words = ["127.0.0.1:0" if word in ("0.0.0.0:8080", "$(POD_IP):8080") else word for word in words]
    folder = registry.artifacts.root.parent
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.executable).with_name("modelgates")), *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline()
        finally:
            process.terminate()
            process.wait(30)


def beside_artifacts(registry: Registry) -> set[Path]:
    """Every file that a container could not write."""
    root = registry.artifacts.root
    return {path for path in root.parent.rglob("*") if not path.is_relative_to(root)}


@pytest.mark.integration
def test_the_adapters_command_line_serves_and_its_health_check_holds(
    registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = beside_artifacts(registry)
    with running(registry, OURS["adapter"]["command"], tmp_path_factory.mktemp("home")) as (process, line):
        found = re.match(rf"{registry.live} \(live\): http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        _, program, *words = OURS["adapter"]["healthcheck"]["test"]
        assert program == "python"
        check = [word.replace(":8080/", f":{found[1]}/") for word in words]
        subprocess.run([sys.executable, *check], check=True)
        process.terminate()
        assert process.wait(30) == 0
    assert beside_artifacts(registry) == before


@pytest.mark.integration
def test_the_watchs_command_line_looks_and_goes_on(
    registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = beside_artifacts(registry)
    with running(registry, OURS["watch"]["command"], tmp_path_factory.mktemp("home")) as (process, line):
        assert registry.live in line
        assert process.poll() is None
    assert beside_artifacts(registry) == before


KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
KINDS = {each["kind"]: each for each in KUBERNETES}
POD = KINDS["Deployment"]["spec"]["template"]["spec"]
(REPLICA,) = POD["containers"]


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("kind", KINDS)
def test_kubernetes_takes_each_manifest(kind: str, version: str) -> None:
    kubernetes_validate.validate(KINDS[kind], version, strict=True)


def test_the_manifests_name_each_other() -> None:
    labels = KINDS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [KINDS[kind]["spec"]["selector"] for kind in ("Service", "Deployment", "PodDisruptionBudget")]
    assert [each.get("matchLabels", each) for each in selectors] == [labels] * 3
    assert {each["metadata"]["name"] for each in KUBERNETES} == {"modelgates", "desk"}
    assert POD["volumes"][0]["persistentVolumeClaim"]["claimName"] == KINDS["PersistentVolumeClaim"]["metadata"]["name"]
    (port,) = REPLICA["ports"]
    assert f"$(POD_IP):{port['containerPort']}" in REPLICA["args"]
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    probes = [REPLICA[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness")]
    assert probes == [port["name"]] * 3
    target = KINDS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", KINDS["Deployment"]["metadata"]["name"])
    # What is autoscaled has no number of its own, which each `kubectl apply` would go back to.
    assert "replicas" not in KINDS["Deployment"]["spec"]


def test_a_replica_may_write_to_the_artifacts_alone_and_has_no_rights_to_spare() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert (POD["securityContext"]["runAsNonRoot"], POD["securityContext"]["runAsUser"]) == (True, 10001)
    assert REPLICA["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in REPLICA["volumeMounts"]}
    assert mounts == {"/srv/desk/artifacts": False, "/srv/desk/registry": True, "/tmp": False}
    drain = load_operations(None, policy=None)[0].serving.drain_s
    stop = REPLICA["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] >= stop + drain


def test_the_autoscaler_asks_for_what_the_adapter_counts(registry: Registry) -> None:
    (rule,) = yaml.safe_load((DEPLOY / "prometheus-adapter.yaml").read_text("utf-8"))["rules"]["custom"]
    (metric,) = KINDS["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    series = rule["seriesQuery"].partition("{")[0]
    assert re.fullmatch(rule["name"]["matches"], series)
    with Adapter(registry.artifacts.latest_onnx, arm="live") as adapter:
        metrics = Metrics()
        metrics.answered(200, 0.001)
        assert f"\n{series}{{".encode() in metrics.text(adapter, None)


@pytest.mark.integration
def test_a_replicas_command_line_serves_what_its_probes_ask_for_and_not_before_its_model_verifies(
    registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = beside_artifacts(registry)
    with running(registry, REPLICA["args"], tmp_path_factory.mktemp("home")) as (process, line):
        found = re.match(rf"{registry.live} \(live\): (http://127\.0\.0\.1:\d+)/", line)
        assert found, line
        for probe in ("startup", "readiness", "liveness"):
            with urllib.request.urlopen(found[1] + REPLICA[f"{probe}Probe"]["httpGet"]["path"], timeout=10) as reply:
                assert reply.status == 200
        process.terminate()
        assert process.wait(30) == 0
    with registry.artifacts.latest_onnx.resolve().open("ab") as model:
        model.write(b"\0")
    with running(registry, REPLICA["args"], tmp_path_factory.mktemp("home")) as (process, line):
        assert re.match(rf"modelgates: {registry.live}: model\.onnx: \d+ bytes, the manifest says \d+", line)
        assert process.wait(30) == 1
    assert beside_artifacts(registry) == before
