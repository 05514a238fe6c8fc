"""A model directory that lies on no disk: another implementation of what reads a model asks for."""

import os
import stat
import tempfile
from pathlib import Path

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.directory import MAX_FILE_BYTES, PANEL, ModelDirectory
from pytest_modelgates.storage.digested_file import DigestedFile
from pytest_modelgates.storage.digests import sha256


class InMemory(ModelDirectory):
    """The files of a model in a dict."""

    def __init__(self, model_id: str, files: dict[str, bytes]) -> None:
        self.model_id, self.files = model_id, files
        self.digests: dict[str, str] = {}

    @classmethod
    def of(cls, directory: Path) -> "InMemory":
        """Take the files of a directory, which is not asked again."""
        return cls(directory.name, {path.name: path.read_bytes() for path in directory.iterdir()})

    def close(self) -> None:
        """Do nothing."""

    def entries(self) -> dict[str, os.stat_result]:
        """Say how long each is."""
        regular = stat.S_IFREG | 0o644
        return {name: os.stat_result((regular, 0, 0, 1, 0, 0, len(held), 0, 0, 0)) for name, held in self.files.items()}

    def read(self, name: str, *, limit: int = MAX_FILE_BYTES) -> bytes:
        """Give the bytes."""
        if len(content := self.files.get(name, b"")) > limit or name not in self.files:
            raise FormatError(f"{self.place(name)}: {len(content)} bytes, expected 1 to {limit}")
        self.noted(name, sha256(content))
        return content

    def panel_file(self) -> DigestedFile:
        """Give the panel as a file that has no name."""
        with tempfile.TemporaryFile() as file:
            file.write(self.files[PANEL])
            file.flush()
            opened = DigestedFile(file.fileno(), self.place(PANEL))
        self.noted(PANEL, opened.sha256)
        return opened

    def digest(self, name: str, size: int, *, keep: bool) -> str:
        """Take the digest."""
        return sha256(self.read(name, limit=size))
