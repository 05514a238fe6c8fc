"""Where everything lies below the artifacts root, and the permissions it gets."""

import os
import re
import stat
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from .errors import FormatError, RegistryError
from .storage.atomic import FOLDER_MODE
from .storage.disk import LOCAL, Disk, Log
from .storage.paths import is_folder, is_link, is_there
from .storage.strict_json import read_bytes

# \d would match full-width digits, and $ would match before a newline.
_ID = r"^[0-9]{10,12}\Z"
_MODEL_ID = re.compile(_ID)
ModelId = Annotated[str, msgspec.Meta(pattern=_ID)]

ALL_ARMS = "all"
ARM = r"^[a-z0-9][a-z0-9._-]{0,63}\Z"
_KILL = "KILL"
EARLIER = "earlier"


def is_id(name: str) -> bool:
    """Whether a name is a model id: the Unix time of packing, in seconds."""
    return _MODEL_ID.match(name) is not None


def checked_id(name: str) -> str:
    """Return `name` if it is a model id."""
    if not is_id(name):
        raise RegistryError(
            f"{name!r} is not a model id: expected the 10 to 12 digits of a Unix time, such as 1763884678"
        )
    return name


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts root, and what lies where below it; files written there get the root's permissions.

    `named` is the root as the user named it, perhaps through a link: what lies beside the root is looked for there.
    `disk` is asked for all that moves the link, writes the log and looks after models.
    """

    root: Path
    named: Path = field(default=Path(), compare=False)
    disk: Disk = field(default=LOCAL, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.named == Path():
            object.__setattr__(self, "named", self.root)

    @classmethod
    def at(cls, given: Path) -> "Artifacts":
        """Take a root as the user named it."""
        return cls(given.resolve(), _absolute(given))

    @classmethod
    def of(cls, model_dir: Path) -> "Artifacts":
        """Find the root from a model directory, which lies two levels below it.

        Raises
        ------
        RegistryError
            If ``models`` is a link, by which one registry would become two.
        """
        refuse_linked_models(model_dir)
        named, root = _absolute(model_dir).parent.parent, model_dir.resolve().parent.parent
        # A link to the model directory alone says nothing of the root.
        return cls(root, named if named.resolve() == root else root)

    def named_by(self, path: Path) -> "Artifacts":
        """The same root, as the path to something in its folder ``models`` names it."""
        models = next((folder for folder in _absolute(path).parents if folder.name == "models"), None)
        return replace(self, named=models.parent) if models and models.parent.resolve() == self.root else self

    def refuse_other_folders(self) -> None:
        """Refuse a folder inside a registry as its root.

        Raises
        ------
        RegistryError
            If this is a model directory or a folder of models, or if ``models`` below it is a link.
        """
        refuse_linked_models(self.latest)
        if is_there(self.root / "manifest.json") or is_id(self.root.name):
            found, root = "a model directory", self.root.parent.parent
        elif not is_folder(self.models) and (self.root.name == "models" or is_link(self.root / "latest")):
            found, root = "a folder of models", self.root.parent
        else:
            return
        raise RegistryError(f"{self.root}: {found}, expected the artifacts root above it; give --artifacts {root}")

    @property
    def directory_mode(self) -> int:
        """The permissions of new directories: the root's, or 0755 before it exists, whatever the umask."""
        try:
            # The set-group-ID bit is kept, so that new files of a shared root belong to its group.
            return stat.S_IMODE(self.root.stat().st_mode) & 0o2775 | 0o700
        except FileNotFoundError:
            return FOLDER_MODE

    @property
    def file_mode(self) -> int:
        """The permissions of new files: those of directories without the right to enter them."""
        return self.directory_mode & 0o666

    def write(self, path: Path, content: bytes) -> None:
        """Write a file below the root, whole or not at all; see `storage.atomic.write_atomic`."""
        self.disk.write(path, content, mode=self.file_mode, folder_mode=self.directory_mode)

    @property
    def models(self) -> Path:
        """Every model directory, by id."""
        return self.root / "models"

    def model(self, model_id: str) -> Path:
        """One model directory."""
        return self.models / checked_id(model_id)

    @property
    def policy(self) -> Path:
        """The pointer to the registry's policy: one line, a path relative to the root."""
        return self.root / "policy"

    @property
    def latest(self) -> Path:
        """The symlink to the live model."""
        return self.models / "latest"

    @property
    def latest_onnx(self) -> Path:
        """The symlink to the live model's ONNX file."""
        return self.models / "latest.onnx"

    @property
    def latest_id(self) -> Path:
        """The id of the newest packed candidate."""
        return self.root / "latest_id.txt"

    @property
    def promotions(self) -> Path:
        """The audit log's path."""
        return self.root / "promotions.log"

    @property
    def log(self) -> Log:
        """The audit log."""
        return self.disk.log(self.promotions)

    @property
    def shared(self) -> Path:
        """The copy of a bucket's log; a registry that shares no bucket has none."""
        return self.root / "shared.log"

    @property
    def verified(self) -> Path:
        """How far the audit log was verified; without it, it is verified from its beginning."""
        return self.root / ".verified"

    @property
    def lock(self) -> Path:
        """The file that a process locks while it changes the registry; it is never deleted."""
        return self.root / ".lock"

    def kill(self, arm: str) -> Path:
        """The file that stops an arm, or all, for as long as it lies there."""
        return self.root / (_KILL if arm == ALL_ARMS else f"{_KILL}.{arm}")

    def kills(self, arm: str) -> list[tuple[str, Path]]:
        """Every file that would stop an arm: what it stops, and where it lies, if the root's link moves also there."""
        names = [(ALL_ARMS, _KILL), *((each, f"{_KILL}.{each}") for each in (ALL_ARMS, arm))]
        return [(each, folder / name) for folder in self.roots for each, name in names]

    @property
    def kill_of_drill(self) -> Path:
        """The file that stops every arm for a drill; a command that stops arms writes none of this name."""
        return self.root / f"{_KILL}.{ALL_ARMS}"

    @property
    def roots(self) -> list[Path]:
        """The root, and the link to it by which the user named it."""
        return [*dict.fromkeys((self.root, self.named))]

    def killed(self) -> list[tuple[str, Path]]:
        """Every kill file that lies there, with its arm or `all`, which comes first."""
        found = []
        for name in os.listdir(self.root) if is_folder(self.root) else ():
            kill, dot, arm = name.partition(".")
            if kill == _KILL and (re.match(ARM, arm) if dot else True):
                found.append((arm or ALL_ARMS, self.root / name))
        return sorted(found, key=lambda each: (each[0] != ALL_ARMS, each))

    @property
    def golden(self) -> Path:
        """The reference predictions of every promoted model."""
        return self.root / "golden"

    @property
    def earlier_goldens(self) -> Path:
        """Those that are in force no more, by the digest of the file."""
        return self.golden / EARLIER

    @property
    def golden_metadata(self) -> Path:
        """The list of goldens."""
        return self.golden / "metadata.json"

    @property
    def drift_checks(self) -> Path:
        """What each check for drift found, a line each."""
        return self.root / "drift" / "checks.jsonl"

    @property
    def predictions(self) -> Path:
        """What was predicted: a folder for each arm, with one for each day."""
        return self.root / "predictions"

    @property
    def newest_parts(self) -> dict[str, Path]:
        """The links to the newest part of the two arms that have one; version 0.1 kept a log in their place."""
        return {"live": self.root / "predictions.jsonl", "shadow": self.root / "shadow" / "predictions.jsonl"}

    def dead_letters(self, arm: str) -> Path:
        """The rows of feeds that could not be scored, as they came, with the reasons."""
        return self.predictions / arm / "dead-letters.jsonl"

    @property
    def outcomes(self) -> Path:
        """What came of the rows that were predicted."""
        return self.root / "outcomes"

    @property
    def papers(self) -> Path:
        """What was traded on paper: a ledger for each arm."""
        return self.root / "paper"

    def paper(self, arm: str) -> Path:
        """The ledger of what one arm traded on paper."""
        return self.papers / f"{arm}.jsonl"

    @property
    def ab(self) -> Path:
        """The plan of the A/B test that runs."""
        return self.root / "ab.json"

    @property
    def ended_abs(self) -> Path:
        """The A/B tests that were stopped, a file each."""
        return self.root / "ab"

    @property
    def running(self) -> Path:
        """Which servers run: a file each, for as long as it does."""
        return self.root / "running"

    @property
    def drills(self) -> Path:
        """What drills of the kill switch found, by the digest of the file."""
        return self.root / "drills"

    @property
    def alerts(self) -> Path:
        """What is known of alerts: those that wait to be sent, and those that are not over."""
        return self.root / "alerts"

    @property
    def mlflow(self) -> Path:
        """What MLflow was told of what is live."""
        return self.root / "mlflow"

    @property
    def watch(self) -> Path:
        """What the watch keeps: where it stands, and what it found."""
        return self.root / "watch"

    @property
    def trials(self) -> Path:
        """What is kept of every trial, by the digest of the file."""
        return self.root / "trials"

    def trial(self, digest: str) -> Path:
        """What is kept of one trial."""
        return self.trials / f"{digest}.npy"

    @property
    def proofs(self) -> Path:
        """What the gates of every model did on its twins."""
        return self.root / "proofs"

    def proof(self, model_id: str) -> Path:
        """What one model's gates did on its twins."""
        return self.proofs / f"{checked_id(model_id)}.json"

    @property
    def signatures(self) -> Path:
        """Signatures of models, for others."""
        return self.root / "signatures"

    def signature(self, model_id: str) -> Path:
        """The signature of one model."""
        return self.signatures / f"{checked_id(model_id)}.sigstore.json"

    @property
    def attestations(self) -> Path:
        """What promotions leave for others to read."""
        return self.root / "attestations"

    def attestation(self, model_id: str, *, signed: bool) -> Path:
        """What the last promotion of a model left, plain or in a signed envelope."""
        return self.attestations / f"{checked_id(model_id)}{'.dsse' if signed else ''}.json"

    @property
    def all_reports(self) -> Path:
        """The reports of every model's gate runs."""
        return self.root / "reports"

    def reports(self, model_id: str) -> Path:
        """The reports of one model's gate runs."""
        return self.all_reports / checked_id(model_id)

    def keeps(self, place: Path) -> bool:
        """Whether a place is, or lies below, one where the registry keeps something other than reports."""
        links = self.newest_parts
        own = (
            self.models,
            self.golden,
            self.trials,
            self.proofs,
            self.signatures,
            self.attestations,
            self.predictions,
            self.outcomes,
            self.drift_checks.parent,
            self.alerts,
            self.mlflow,
            self.watch,
            self.papers,
            self.ended_abs,
            self.running,
            self.drills,
            links["shadow"].parent,
        )
        files = (links["live"], self.verified, self.lock, self.latest_id, self.policy, self.ab)
        begins = (self.promotions.name, self.shared.name, _KILL)  # a log that was set aside, the kill file of an arm
        log = place.parent == self.root and place.name.startswith(begins)
        return log or place == self.root or any(place.is_relative_to(path) for path in (*own, *files))

    def new_report(self, model_id: str, started: datetime) -> Path:
        """The report of a run that began at a moment of UTC; names sort by time."""
        return self.reports(model_id) / f"{started:%Y%m%dT%H%M%S.%fZ}.json"


def keeper_of(place: Path) -> Artifacts | None:
    """Find the registry that keeps its own files at a place, or below which it lies; None if there is none.

    A root is known by what pack and promote write into it.
    """
    path = place.resolve()
    for folder in (path, *path.parents):
        found = Artifacts(folder)
        if (is_there(found.latest_id) or is_there(found.promotions)) and found.keeps(path):
            return found
    return None


def newest_id(artifacts: Artifacts) -> str | None:
    """Read the id of the newest packed candidate; None before the first one."""
    if not is_there(artifacts.latest_id):
        return None
    try:
        return checked_id(read_bytes(artifacts.latest_id, limit=64).decode("ascii").strip())
    except (UnicodeDecodeError, FormatError, RegistryError) as error:
        raise RegistryError(f"{artifacts.latest_id}: holds no model id; write the newest one into it") from error


def refuse_linked_models(path: Path) -> None:
    """Refuse a path to a model through a folder ``models`` that is a link: one registry would become two."""
    models = next((folder for folder in _absolute(path).parents if folder.name == "models"), None)
    if models and is_link(models):
        raise RegistryError(
            f"{models} is a link, by which one registry would become two; "
            "let it be a folder, and make the artifacts root itself a link if it must lie elsewhere"
        )


def _absolute(path: Path) -> Path:
    """Make a path absolute without following its links."""
    return Path(os.path.abspath(path))
