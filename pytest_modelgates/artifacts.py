"""Where everything lies below the artifacts root, and the permissions it gets."""

import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from .errors import FormatError, RegistryError
from .storage.atomic import FOLDER_MODE, make_folder, write_atomic
from .storage.lines import append_atomic
from .storage.paths import is_there
from .storage.strict_json import read_bytes

# \d would match full-width digits, and $ would match before a newline.
_ID = r"^[0-9]{10,12}\Z"
_MODEL_ID = re.compile(_ID)
ModelId = Annotated[str, msgspec.Meta(pattern=_ID)]


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
    """The artifacts root, and what lies where below it; files written there get the root's permissions."""

    root: Path

    @classmethod
    def of(cls, model_dir: Path) -> "Artifacts":
        """Find the root from a model directory, which lies two levels below it."""
        return cls(model_dir.resolve().parent.parent)

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
        """Write a file below the root, whole or not at all; see `write_atomic`."""
        write_atomic(path, content, mode=self.file_mode, folder_mode=self.directory_mode)

    def append(self, path: Path, content: bytes) -> None:
        """Append lines to a log below the root; see `append_atomic`."""
        make_folder(path.parent, mode=self.directory_mode)
        append_atomic(path, content, mode=self.file_mode)

    @property
    def models(self) -> Path:
        """Every model directory, by id."""
        return self.root / "models"

    def model(self, model_id: str) -> Path:
        """One model directory."""
        return self.models / checked_id(model_id)

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
        """The audit log."""
        return self.root / "promotions.log"

    @property
    def verified(self) -> Path:
        """How far the audit log was verified; without it, it is verified from its beginning."""
        return self.root / ".verified"

    @property
    def lock(self) -> Path:
        """The file that a process locks while it changes the registry; it is never deleted."""
        return self.root / ".lock"

    @property
    def golden(self) -> Path:
        """The reference predictions of every promoted model."""
        return self.root / "golden"

    @property
    def golden_metadata(self) -> Path:
        """The list of goldens."""
        return self.golden / "metadata.json"

    @property
    def predictions(self) -> Path:
        """What the live model predicted."""
        return self.root / "predictions.jsonl"

    @property
    def shadow_predictions(self) -> Path:
        """What candidates predicted in shadow."""
        return self.root / "shadow" / "predictions.jsonl"

    def proof(self, model_id: str) -> Path:
        """What one model's gates did on its twins."""
        return self.root / "proofs" / f"{checked_id(model_id)}.json"

    @property
    def all_reports(self) -> Path:
        """The reports of every model's gate runs."""
        return self.root / "reports"

    def reports(self, model_id: str) -> Path:
        """The reports of one model's gate runs."""
        return self.all_reports / checked_id(model_id)

    def new_report(self, model_id: str, started: datetime) -> Path:
        """The report of a run that began at a moment of UTC; names sort by time."""
        return self.reports(model_id) / f"{started:%Y%m%dT%H%M%S.%fZ}.json"


def newest_id(artifacts: Artifacts) -> str | None:
    """Read the id of the newest packed candidate; None before the first one."""
    if not is_there(artifacts.latest_id):
        return None
    try:
        return checked_id(read_bytes(artifacts.latest_id, limit=64).decode("ascii").strip())
    except (UnicodeDecodeError, FormatError, RegistryError) as error:
        raise RegistryError(f"{artifacts.latest_id}: holds no model id; write the newest one into it") from error
