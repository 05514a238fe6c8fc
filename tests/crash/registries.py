"""Small registries to be spoiled, and what must hold of one whatever happened; judged without the code under test."""

import contextlib
import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_modelgates.cli import main
from pytest_modelgates.model.directory import CHANGES, MANIFEST
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.place import NEIGHBOUR
from pytest_modelgates.storage.strict_json import canonical
from tests.support.handmade import LENIENT, green_ledger, write_report
from tests.support.panels import invented_panel, pack_ridge

# Promoted in this order; the last is for the promotion that must still work when all is over.
OLDEST, OLD, NEW, NEXT = "1700000001", "1700000002", "1700000003", "1700000004"
MODELS = (OLDEST, OLD, NEW, NEXT)


@dataclass(frozen=True)
class Registry:
    """A folder with `artifacts`, a lenient policy and a green report of each model."""

    folder: Path

    @property
    def artifacts(self) -> Path:
        """The artifacts root."""
        return self.folder / "artifacts"

    @property
    def models(self) -> Path:
        """Every model directory, by id."""
        return self.artifacts / "models"

    @property
    def latest(self) -> Path:
        """The link."""
        return self.models / "latest"

    @property
    def log(self) -> Path:
        """The audit log."""
        return self.artifacts / "promotions.log"

    def copy_to(self, folder: Path) -> "Registry":
        """Make a fresh copy in place of whatever lies there."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, symlinks=True)
        return Registry(folder)

    def live(self) -> str | None:
        """What the link says, if there is one."""
        return os.readlink(self.latest) if self.latest.is_symlink() else None

    def model_problems(self, model_id: str) -> list[str]:
        """Everything that keeps a model directory from being complete and what its manifest says."""
        directory = self.models / model_id
        try:
            files = json.loads((directory / MANIFEST).read_bytes())["files"]
            found = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in files}
        except (OSError, ValueError) as error:
            return [f"{model_id} is not complete: {error}"]
        return [f"{model_id}/{name} is other bytes" for name in files if found[name] != files[name]["sha256"]]

    def trial_problems(self, model_id: str) -> list[str]:
        """Whether a model that can be promoted is in no ledger, or what is kept of its trial is lost."""
        files = json.loads((self.models / model_id / MANIFEST).read_bytes())["files"]
        horizon = json.loads((self.models / model_id / "sidecar.json").read_bytes())["horizon"]
        words = f"modelgates trial {files['model.onnx']['sha256']} {files['evaluation.parquet']['sha256']} {horizon}"
        trial = hashlib.sha256(words.encode()).hexdigest().encode()
        lines = [line for log in self.artifacts.glob("promotions.log*") for line in log.read_bytes().splitlines()]
        entered = [json.loads(line)["evidence"] for line in lines if trial in line]
        if len(set(entered)) != 1:
            return [f"{model_id} is {len(entered)} times in the ledger"]
        kept = self.artifacts / "trials" / f"{entered[0]}.npy"
        if not kept.exists() or hashlib.sha256(kept.read_bytes()).hexdigest() != entered[0]:
            return [f"what is kept of the trial of {model_id} is lost"]
        return []

    def problems(self, allowed: tuple[str | None, ...], *, agree: bool = True) -> list[str]:
        """What may never be, not even between a crash and the next command; `agree` asks link and log to."""
        if os.path.lexists(self.latest) and not self.latest.is_symlink():
            return ["latest is no link"]
        live = self.live()
        found = [f"latest says {live}, expected one of {allowed}"] if live not in allowed else []
        for model_id in {path.name for path in self.models.glob("1*")} | ({live} if live else set()):
            found += self.model_problems(model_id) or self.trial_problems(model_id)
        try:
            logged, under_way, promoted = self.logged()
        except (ValueError, KeyError) as error:
            return [*found, f"the log holds a line that does not belong there: {error}"]
        if agree and live not in (logged, under_way):
            found.append(f"the log says {logged}, latest says {live}, and no change to that is under way")
        found += self._attestation_problems(logged if logged in promoted else None)
        return found + (self._golden_problems(logged) if logged else [])

    def _attestation_problems(self, promoted: str | None) -> list[str]:
        """Whether what a promotion leaves is torn or of other bytes, or is missing though it was committed."""
        folder, found = self.artifacts / "attestations", []
        for path in folder.glob("1*.json"):
            try:
                statement = json.loads(path.read_bytes())
                files = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
                result = statement["predicate"]["verificationResult"]
            except (ValueError, KeyError) as error:
                found.append(f"{path.name} is torn: {error!r}")
                continue
            model = self.models / path.stem
            # A model may have been deleted since.
            there = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in model.glob("*")}
            if result != "PASSED" or (there and files != there):
                found.append(f"{path.name} says what is not so")
        if promoted and not (folder / f"{promoted}.json").exists():
            found.append(f"{promoted} was promoted, and left no attestation")
        return found

    def logged(self) -> tuple[str | None, str | None, set[str]]:
        """What the log says is live, what will be if the last change is finished, and what was promoted.

        A torn last line is none.
        """
        content = self.log.read_bytes() if self.log.exists() else b""
        logged, opened, previous, promoted = None, None, None, set()
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            record = json.loads(line)
            if (record["n"], record["prev"]) != (number, previous):
                raise ValueError(f"record {record['n']} as line {number}")
            if (record["record"] in ("commit", "abort")) != (opened is not None):
                raise ValueError(f"{record['record']} as line {number}")
            if record["record"] == "commit":
                logged = opened["to"]
                promoted |= {logged} if opened["action"] == "promote" else set()
            opened = record if record["record"] == "intent" else None
            previous = hashlib.sha256(line).hexdigest()
        return logged, opened["to"] if opened else logged, promoted

    def events(self) -> int:
        """How many events of the drill the log holds."""
        return self.log.read_bytes().count(b'"kind":"drill"')

    def golden_rows(self, model_id: str) -> int:
        """How many rows the golden of a model has."""
        content = json.loads((self.artifacts / "golden" / "metadata.json").read_bytes())
        return int(content["goldens"][model_id]["rows"])

    def _golden_problems(self, model_id: str) -> list[str]:
        golden = self.artifacts / "golden"
        try:
            wanted = json.loads((golden / "metadata.json").read_bytes())["goldens"][model_id]["sha256"]
        except (OSError, ValueError, KeyError) as error:
            return [f"the golden of {model_id} is lost: {error!r}"]
        # One that is being replaced lies among the earlier ones already.
        places = (golden / f"{model_id}.parquet", golden / "earlier" / f"{wanted}.parquet")
        found = [hashlib.sha256(each.read_bytes()).hexdigest() for each in places if each.is_file()]
        return [] if wanted in found else [f"the golden of {model_id} is other bytes"]


def build(folder: Path) -> Registry:
    """Pack one small model, and make others of it under other names, each with a green report."""
    registry = Registry(folder)
    artifacts = registry.artifacts
    packed = pack_ridge(artifacts, invented_panel(days=5))
    (folder / NEIGHBOUR).parent.mkdir()
    (folder / NEIGHBOUR).write_text(LENIENT)
    policy = load_policy(folder / NEIGHBOUR)
    for model_id in MODELS:
        directory = artifacts / "models" / model_id
        shutil.copytree(packed, directory)
        changes = f"This is {model_id}.\n".encode()
        (directory / CHANGES).write_bytes(changes)
        manifest = json.loads((directory / MANIFEST).read_bytes())
        manifest["id"], manifest["created"] = model_id, datetime.fromtimestamp(int(model_id), UTC).isoformat()
        manifest["files"][CHANGES] = {"sha256": hashlib.sha256(changes).hexdigest(), "size": len(changes)}
        (directory / MANIFEST).write_bytes(canonical(manifest))
        write_report(folder / f"{model_id}.json", green_ledger(directory, policy))
    shutil.copy(packed / "model.onnx", folder / "model.onnx")
    shutil.copy(packed / "evaluation.parquet", folder / "panel.parquet")
    (folder / "golden.csv").write_text("prediction\n1\n2\n")
    (folder / "pack.toml").write_text(
        'horizon = 2\ntrained_until = 2019-12-31\nchanges = "again"\n'
        '[groups]\nprice = ["momentum"]\nfundamental = ["value"]\n'
    )
    shutil.rmtree(packed)
    # A model packed in this very second would not be newer, and its sweep would differ from a later one.
    (artifacts / "latest_id.txt").write_text(f"{NEXT}\n")
    return registry


def promotion(model_id: str) -> list[str]:
    """The command that promotes by the report at hand."""
    return ["promote", "--report", f"{model_id}.json", "--no-way-back"]


def rollback(model_id: str) -> list[str]:
    """The command that goes back."""
    return ["rollback", model_id, "--reason", "a drill"]


AB = ["ab", "start", NEW, "--report", f"{NEW}.json", "--share", "0.1", "--reason", "a canary"]
GC = ["gc", "--keep", "0"]
RECOVER = ["recover", "--yes"]
ADOPT = ["recover", "--adopt-link", "--reason", "a drill"]
EVENT = ["event", "drill"]
GOLDEN = ["golden", "set", OLD, "--from", "golden.csv"]
PACK = ["pack", "model.onnx", "--panel", "panel.parquet", "--spec", "pack.toml"]


def command(registry: Registry, words: list[str]) -> tuple[int, str]:
    """Run a command in this process and return its status and all that it said."""
    said = io.StringIO()
    with contextlib.chdir(registry.folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return main(words), said.getvalue()
