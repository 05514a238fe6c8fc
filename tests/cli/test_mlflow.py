"""Models of an MLflow server: packed from it, and shown there as live; a real server, started once for this file."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Intent, append, read_log
from pytest_modelgates.cli import alerts, at_end, bucket, main, watch
from pytest_modelgates.cli import mlflow as cli_mlflow
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.model.manifest import Manifest, Source
from pytest_modelgates.monitoring.mirror import mirror
from pytest_modelgates.packing.kinds import SCOPE
from pytest_modelgates.policy.operations import MlflowRules, Operations
from pytest_modelgates.policy.place import NEIGHBOUR, operations_at
from pytest_modelgates.registry.store import link_text
from pytest_modelgates.storage.digests import sha256_of
from pytest_modelgates.storage.strict_json import canonical, read_json
from tests.support.handmade import LENIENT, Registry, green_report, modelgates
from tests.support.logged_models import SLOPE
from tests.support.mlflow_server import MlflowServer, running
from tests.support.panels import invented_panel, pack_ridge

Capture = pytest.CaptureFixture[str]
LIST = """
changes = "From MLflow."
horizon = 1
trained_until = 2019-12-31
tried = 1
[groups]
price = ["momentum"]
fundamental = ["value"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    for found in running(tmp_path_factory.mktemp("mlflow")):
        found.log(*(each.partition("/")[0] for each in FLAVOURS + XGBOOST), "pyfunc")
        yield found


class Desk:
    """A folder with a panel, a packing list, a policy and operations, and where one packs from MLflow."""

    def __init__(self, folder: Path, address: str | None) -> None:
        self.folder, self.artifacts = folder, Artifacts.at(folder / "artifacts")
        self.policy = folder / NEIGHBOUR
        self.policy.parent.mkdir(parents=True, exist_ok=True)
        self.policy.write_text(LENIENT)
        operate(self.artifacts, address)
        panel = invented_panel()
        panel["reference"] = (panel["momentum"] * np.float32(SLOPE)).astype(float)
        panel.to_parquet(folder / "panel.parquet")
        (folder / "packing.toml").write_text(LIST)

    def pack(self, asked: str) -> Any:
        environment = {**os.environ}
        environment.pop("MLFLOW_TRACKING_URI", None)
        words = ["--panel", "panel.parquet", "--spec", "packing.toml"]
        return modelgates("pack", "--from-mlflow", asked, *words, cwd=self.folder, env=environment)

    def packed(self, asked: str) -> str:
        done = self.pack(asked)
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip()).name

    def promote(self, model_id: str) -> Any:
        """Promote by a report that was made by hand."""
        found = Registry(self.artifacts, model_id, model_id, self.policy)
        return modelgates("promote", "--report", green_report(found), cwd=self.folder)

    @property
    def live(self) -> str | None:
        return link_text(self.artifacts)


def operate(artifacts: Artifacts, address: str | None, *, timeout_s: float = 120) -> None:
    named = f'tracking_uri = "{address}"\n' if address else ""
    place = artifacts.named.parent / "registry" / "operations.toml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"[mlflow]\ntimeout_s = {timeout_s}\n{named}")


@pytest.mark.integration
def test_a_model_of_mlflow_is_packed_gated_promoted_and_mirrored_and_so_is_the_way_back(
    server: MlflowServer, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, server.address)
    first = desk.packed("models:/onnx/1")
    assert server.tags("onnx", "1") == {}
    done = modelgates("promote", f"artifacts/models/{first}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "modelgates: MLflow: models:/onnx/1 is tagged; models:/onnx/1 is @live\n" in done.stderr
    (change,) = read_log(desk.artifacts.promotions)
    (report,) = desk.artifacts.reports(first).glob("*.json")
    assert server.alias("onnx") == {"live": "1"}
    assert server.tags("onnx", "1") == {
        "modelgates.id": first,
        "modelgates.model_digest": change.digest,
        "modelgates.report_digest": sha256_of(report),
    }

    second = desk.packed("models:/sklearn/2")
    assert desk.promote(second).returncode == 0
    assert (server.alias("onnx"), server.alias("sklearn")) == ({}, {"live": "2"})

    server.kill()
    done = modelgates("rollback", first, "--reason", "it loses", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert desk.live == first
    later = "left for the next command, or for: modelgates mlflow mirror"
    assert f"modelgates: MLflow: the server cannot be reached; {later}\n" in done.stderr
    assert modelgates("mlflow", "mirror", cwd=tmp_path).returncode == 1

    server.start()
    done = modelgates("mlflow", "mirror", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "models:/onnx/1 is @live\nmodels:/sklearn has no @live any more\n"
    assert (server.alias("onnx"), server.alias("sklearn")) == ({"live": "1"}, {})
    assert server.tags("onnx", "1")["modelgates.report_digest"] == sha256_of(report)
    assert modelgates("mlflow", "mirror", cwd=tmp_path).stdout == "nothing to mirror: MLflow says what is live\n"
    server.drop_alias("onnx", "live")
    assert modelgates("mlflow", "mirror", cwd=tmp_path).stdout == "models:/onnx/1 is @live\n"

    own = pack_ridge(desk.artifacts.root, changes="Not from MLflow.").name
    done = desk.promote(own)
    said = f"{own} is live, and no version of {server.address}; models:/onnx has no @live any more"
    assert f"modelgates: MLflow: {said}\n" in done.stderr
    assert server.alias("onnx") == {}


Asked = dict[str, tuple[int, str, str]]
FLAVOURS = ["onnx/1", "sklearn/1", "sklearn/2", "lightgbm/1", "lightgbm/2"]
XGBOOST = ["xgboost/1"] if importlib.util.find_spec("xgboost") else []
NOT_THERE = ["models:/pyfunc/1", "models:/onnx/99", "models:/onnx@champion"]
EACH = """
import importlib, io, json, sys, warnings
from contextlib import redirect_stderr, redirect_stdout
from pytest_modelgates.cli import main

warnings.simplefilter("ignore")
importlib.import_module("pytest_modelgates.packing.pack").BENCH_SECONDS = 0.1
found = {}
for asked in sys.argv[1:]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        words = ["--from-mlflow", asked, "--panel", "panel.parquet", "--spec", "packing.toml"]
        found[asked] = (main(["pack", *words, "--artifacts", asked.partition("/")[2]]), out.getvalue(), err.getvalue())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def asked_for(server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Status, output and messages of `modelgates pack` for all of them, in one process that loads MLflow once."""
    folder = tmp_path_factory.mktemp("asked")
    Desk(folder, server.address)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server.address}
    words = [*(f"models:/{each}" for each in FLAVOURS + XGBOOST), *NOT_THERE]
    command = [sys.executable, "-c", EACH, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: Asked = {
        asked: (status, str(folder / out), err) for asked, (status, out, err) in json.loads(done.stdout).items()
    }
    return found


@pytest.mark.integration
@pytest.mark.parametrize("which", FLAVOURS + XGBOOST)
def test_each_flavour_is_packed_and_the_manifest_says_from_which_version(
    server: MlflowServer, asked_for: Asked, which: str
) -> None:
    asked, flavour = f"models:/{which}", which.partition("/")[0]
    status, place, said = asked_for[asked]
    assert status == 0, said
    code = f"modelgates: {asked}: loading flavour {flavour} may run code of the one who logged it\n"
    assert said.startswith("" if flavour == "onnx" else code)
    source = read_json(Path(place.strip()) / MANIFEST, Manifest).lineage.source
    assert isinstance(source, Source)
    assert (source.uri, str(source), source.flavour) == (server.address, asked, flavour)
    logged = server.ask("model-versions/get", name=flavour, version=source.version)["model_version"]
    assert source.run_id == logged["run_id"]
    assert len(source.sha256) == 64


@pytest.mark.integration
@pytest.mark.parametrize(
    ("asked", "why"),
    [
        pytest.param(
            "models:/pyfunc/1",
            "has the flavours python_function, expected one of onnx, lightgbm, xgboost, sklearn; log the model as ONNX "
            "beside it, with mlflow.onnx.log_model",
            id="no-flavour-of-ours",
        ),
        pytest.param("models:/onnx/99", "does not give it (RESOURCE_DOES_NOT_EXIST: ", id="no-such-version"),
        pytest.param("models:/onnx@champion", "does not give it (", id="no-such-alias"),
    ],
)
def test_what_the_server_does_not_have_is_refused(asked_for: Asked, asked: str, why: str) -> None:
    status, _, said = asked_for[asked]
    assert status == 1
    assert said.startswith(f"modelgates: {asked}: ")
    assert why in said


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.integration
def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    done = Desk(tmp_path, address).pack("models:/onnx/1")
    why = f"models:/onnx/1: {address} does not give it (the server cannot be reached)"
    assert done.stderr == f"modelgates: {why}\n{SCOPE}\n"
    assert done.returncode == 1


ADDRESS = "http://127.0.0.1:1"
WHICH = "which MLflow server? Name it in operations.toml, [mlflow] tracking_uri, or in $MLFLOW_TRACKING_URI"


@pytest.mark.parametrize(
    ("words", "variable", "why"),
    [
        pytest.param([], None, "pack which model? Give a file, or --from-mlflow models:/NAME/VERSION", id="none"),
        pytest.param(
            ["model.onnx", "--from-mlflow", "models:/x/1"],
            None,
            "pack which model? Give a file, or --from-mlflow models:/NAME/VERSION",
            id="both",
        ),
        pytest.param(["--from-mlflow", "models:/x/1"], None, WHICH, id="no-server"),
        pytest.param(
            ["--from-mlflow", "models:/x/1"],
            "./mlruns",
            "MLFLOW_TRACKING_URI is not the address of an MLflow server; write one such as http://127.0.0.1:5000",
            id="a-folder-for-a-server",
        ),
        *(
            pytest.param(
                ["--from-mlflow", asked],
                ADDRESS,
                f"{asked}: expected models:/NAME/VERSION, or models:/NAME@ALIAS",
                id=asked,
            )
            for asked in (
                "models:/x",
                "models:/x/Production",
                "models:/x/latest",
                "runs:/x/model",
                "x/1",
                "models:/x/1/y",
            )
        ),
    ],
)
def test_a_model_that_is_not_named_is_used_wrongly(
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    variable: str | None,
    why: str,
) -> None:
    desk = Desk(tmp_path, None)
    monkeypatch.chdir(desk.folder)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    assert main(["pack", *words, "--panel", "panel.parquet", "--spec", "packing.toml"]) == 2
    assert capsys.readouterr().err == f"modelgates: {why}\n{SCOPE}\n"


def come_from(registry: Registry, address: str, version: str = "1") -> None:
    """Let the candidate be one that was packed from MLflow."""
    path = registry.artifacts.model(registry.candidate) / MANIFEST
    manifest = read_json(path, Manifest)
    source = Source(uri=address, name="x", version=version, run_id=None, flavour="onnx", sha256="0" * 64)
    lineage = msgspec.structs.replace(manifest.lineage, source=source)
    path.write_bytes(canonical(msgspec.structs.replace(manifest, lineage=lineage)))


def promote(registry: Registry) -> int:
    place = ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    return main(["promote", "--report", str(green_report(registry)), *place])


def test_a_server_that_does_not_answer_costs_a_promotion_no_more_than_its_time(
    registry: Registry, capsys: Capture
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        operate(registry.artifacts, address, timeout_s=0.5)
        come_from(registry, address)
        assert promote(registry) == 0
    assert link_text(registry.artifacts) == registry.candidate
    why = "no answer in time; see [mlflow] timeout_s; left for the next command, or for: modelgates mlflow mirror"
    assert capsys.readouterr().err.endswith(f"modelgates: MLflow: {why}\n")
    assert not (registry.artifacts.mlflow / "state.json").exists()


def test_models_of_elsewhere_are_not_mirrored_and_this_is_said_once(registry: Registry, capsys: Capture) -> None:
    operate(registry.artifacts, ADDRESS)
    come_from(registry, "http://elsewhere:5000")
    assert promote(registry) == 0
    said = f"modelgates: MLflow: {registry.candidate} is live, and no version of {ADDRESS}\n"
    assert said in capsys.readouterr().err
    assert main(["unkill", "--reason", "nothing", "--artifacts", str(registry.artifacts.root)]) in (0, 1)
    assert "MLflow" not in capsys.readouterr().err
    assert main(["mlflow", "mirror", "--artifacts", str(registry.artifacts.root)]) == 0
    assert capsys.readouterr().out == f"{registry.candidate} is live, and no version of {ADDRESS}\n"


def rules(address: str = ADDRESS) -> MlflowRules:
    return MlflowRules(tracking_uri=address, alias="live", timeout_s=60)


def test_a_model_whose_bytes_are_not_those_that_went_live_is_not_mirrored(registry: Registry) -> None:
    """Else who edits a manifest would choose which version MLflow shows as live."""
    come_from(registry, ADDRESS)
    assert promote(registry) == 0
    come_from(registry, ADDRESS, version="2")
    mirrored = mirror(registry.artifacts, rules())
    assert mirrored.odd == [f"{registry.candidate} is not mirrored: its bytes are not those that went live"]
    assert mirrored.problem is None


def test_a_change_that_is_not_committed_is_not_mirrored(registry: Registry) -> None:
    come_from(registry, ADDRESS)
    assert mirror(registry.artifacts, rules()).done == [f"{registry.live} is live, and no version of {ADDRESS}"]
    log = registry.artifacts.promotions
    (change,) = read_log(log)
    intent = msgspec.structs.replace(change, time=datetime.now(UTC), from_=registry.live, to=registry.candidate)
    assert isinstance(intent, Intent)
    append(log, intent)
    mirrored = mirror(registry.artifacts, rules())
    assert (mirrored.done, mirrored.odd, mirrored.problem) == ([], [], None)


def test_a_damaged_state_is_begun_anew_and_another_servers_does_not_count(registry: Registry) -> None:
    none = f"{registry.live} is live, and no version of {ADDRESS}"
    assert mirror(registry.artifacts, rules()).done == [none]
    assert mirror(registry.artifacts, rules()).done == []
    assert mirror(registry.artifacts, rules("http://127.0.0.1:2")).done == [none.replace(":1", ":2")]
    state = registry.artifacts.mlflow / "state.json"
    assert json.loads(state.read_text())["address"] == "http://127.0.0.1:2"
    state.write_text("{")
    mirrored = mirror(registry.artifacts, rules())
    assert mirrored.done == [none]
    assert [each.endswith("; begun anew") for each in mirrored.odd] == [True]


def test_without_a_server_nothing_is_mirrored(registry: Registry, capsys: Capture) -> None:
    assert main(["mlflow", "mirror", "--artifacts", str(registry.artifacts.root)]) == 0
    assert capsys.readouterr().out == "nothing to mirror: operations.toml has no tracking_uri under [mlflow]\n"
    assert promote(registry) == 0
    assert not registry.artifacts.mlflow.exists()


def test_operations_are_read_once_at_the_end_of_a_command(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    operate(registry.artifacts, "http://127.0.0.1:9")
    read, told = list[str](), list[str | None]()

    def reading(artifacts: Artifacts) -> Operations:
        read.append("operations.toml")
        return operations_at(artifacts)

    for module in (alerts, at_end, cli_mlflow):
        monkeypatch.setattr(module, "operations_of", reading)
    monkeypatch.setattr(cli_mlflow, "mirror_at_end", lambda artifacts, rules: told.append(rules.address))
    assert main(["rollback", "--artifacts", str(registry.artifacts.root), "--reason", "none is there"]) == 1
    assert (read, told) == (["operations.toml"], ["http://127.0.0.1:9"])


@pytest.mark.parametrize("module", [watch, bucket])
def test_a_loop_tells_mlflow_as_any_other_command(module: ModuleType) -> None:
    assert module.tell is at_end.tell
