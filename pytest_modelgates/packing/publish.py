"""Publishing a packed model: staged, given an id, renamed into place, noted as the newest."""

import fcntl
import os
import shutil
import tempfile
import time as clock
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ..artifacts import Artifacts, is_id, newest_id
from ..audit.head import head_of
from ..errors import IntegrityError, ModelgatesError, PackError
from ..model.directory import MANIFEST, LocalDirectory
from ..model.manifest import FileEntry, Lineage, Manifest
from ..storage.atomic import make_folder, rename_new
from ..storage.digests import listing, sha256
from ..storage.strict_json import canonical


def publish(artifacts: Artifacts, contents: Mapping[str, bytes], lineage: Lineage) -> Path:
    """Write a model directory beside the others, whole or not at all, and note it as the newest."""
    make_folder(artifacts.models, mode=artifacts.directory_mode)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=artifacts.models))
    try:
        # The staging directory stays locked until it is published; gc takes an unlocked one for a killed pack's.
        with LocalDirectory(staging):
            for name, content in contents.items():
                artifacts.write(staging / name, content)
            staging.chmod(artifacts.directory_mode)
            directory = _claim(artifacts, staging, contents, lineage)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    try:
        _note_newest(artifacts, directory.name)
    except OSError as error:
        why = f"{directory.name} is packed, but could not be noted as the newest ({error.strerror or error})"
        raise OSError(error.errno, why, str(artifacts.latest_id)) from error
    return directory


def _claim(artifacts: Artifacts, staging: Path, contents: Mapping[str, bytes], lineage: Lineage) -> Path:
    """Rename the staged directory to the first id, a second, that no other model has."""
    files = {name: FileEntry.of(content) for name, content in contents.items()}
    while True:
        created = datetime.now(UTC).replace(microsecond=0)
        if not is_id(str(int(created.timestamp()))):
            raise PackError(f"the clock says {created:%Y-%m-%d %H:%M} UTC, and a model's id is the time; set it right")
        directory = artifacts.model(str(int(created.timestamp())))
        manifest = Manifest(
            id=directory.name,
            created=created,
            lineage=lineage,
            audit_head=head_of(artifacts.log),
            files=files,
        )
        stated = canonical(manifest)
        artifacts.write(staging / MANIFEST, stated)
        written = {name: entry.sha256 for name, entry in files.items()} | {MANIFEST: sha256(stated)}
        if listing(staging) != written:
            raise IntegrityError(
                f"{artifacts.models}: the files read back are not those that were written; check the disk"
            )
        try:
            rename_new(staging, directory)
        except FileExistsError:
            clock.sleep(1 - clock.time() % 1)
        else:
            LocalDirectory(directory).close()  # raises if nothing is there
            return directory


def _note_newest(artifacts: Artifacts, model_id: str) -> None:
    """Make the new name durable and write it down as the newest, unless another pack was faster with a newer one."""
    models = os.open(artifacts.models, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(models, fcntl.LOCK_EX)
        os.fsync(models)
        try:
            noted = newest_id(artifacts) or "0"
        except ModelgatesError:  # an id that cannot be read is not newer
            noted = "0"
        if int(noted) < int(model_id):
            artifacts.write(artifacts.latest_id, f"{model_id}\n".encode())
    finally:
        os.close(models)
