"""Other disks than the file system: one that keeps the registry's link and log to itself, and one that fails."""

import os
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.disk import LOCAL, Disk, LocalDisk, Log


@dataclass
class LogInMemory:
    """A log that is no file."""

    path: Path
    content: bytes = b""

    def __str__(self) -> str:
        """Name where it would lie."""
        return str(self.path)

    def append(self, content: bytes, *, mode: int = 0o644) -> None:
        """Append whole lines."""
        self.content += (b"\n" if self.torn() else b"") + content

    def from_end(self, *, holding: bytes = b"", after_writers: bool = False) -> Generator[bytes, None, None]:
        """Read the last line first."""
        yield from (line for line in reversed(self.content.split(b"\n")[:-1]) if holding in line)

    def from_start(self) -> Generator[bytes, None, None]:
        """Read the first line first."""
        yield from self.content.split(b"\n")[:-1]

    def count(self) -> int:
        """Count the lines."""
        return self.content.count(b"\n")

    def torn(self) -> int:
        """Count what follows them."""
        return len(self.content) - self.content.rfind(b"\n") - 1

    def drop_torn(self) -> None:
        """Cut it off."""
        self.drop_end(self.torn())

    def end(self, count: int) -> bytes:
        """Read the last bytes."""
        return self.content[len(self.content) - count :]

    def drop_end(self, count: int) -> None:
        """Cut off the last bytes."""
        self.content = self.content[: len(self.content) - count]

    def sha256(self) -> str:
        """Give the digest."""
        return sha256(self.content)

    def entry(self) -> os.stat_result | None:
        """Say nothing by which it would be known again."""
        return None


class LinksAndLogInMemory(LocalDisk):
    """A disk on which no link and no audit log ever lies in a folder."""

    def __init__(self) -> None:
        self.links: dict[Path, str] = {}
        self.logs: dict[Path, LogInMemory] = {}

    def log(self, path: Path) -> Log:
        """Give the log in memory, which begins as what lies in the folder."""
        return self.logs.setdefault(path, LogInMemory(path, path.read_bytes() if path.is_file() else b""))

    def link_text(self, path: Path) -> str | None:
        """Read the link in memory."""
        return self.links.get(path)

    def point(self, path: Path, text: str | None) -> None:
        """Change the link in memory."""
        self.links.pop(path, None)
        if text is not None:
            self.links[path] = text

    def is_link(self, path: Path) -> bool:
        """Whether it is a link in memory."""
        return path in self.links

    def is_file(self, path: Path) -> bool:
        """Whether it is a log in memory, or else a file."""
        return path in self.logs or LOCAL.is_file(path)

    def is_there(self, path: Path) -> bool:
        """Whether it is in memory, or else in a folder."""
        return path in self.links or path in self.logs or LOCAL.is_there(path)

    def is_other(self, path: Path) -> bool:
        """Whether it is there and no link."""
        return path not in self.links and self.is_there(path)


@dataclass
class Watched:
    """A disk, or the log on one, that writes down each call that writes, and fails at one of them if it is told to."""

    below: Any = LOCAL
    calls: list[str] = field(default_factory=list)
    fails_at: int | None = None
    WRITES = ("append", "drop_torn", "drop_end", "point", "sync", "write", "rename", "remove", "keep_as")

    def __getattr__(self, name: str) -> Any:
        """Give the method below, watched."""
        found = getattr(self.below, name)
        if name == "log":
            return lambda path: Watched(found(path), self.calls, self.fails_at)
        if name not in self.WRITES:
            return found

        def call(*words: Any, **more: Any) -> Any:
            place = words[0].name if words and isinstance(words[0], Path) else ""
            self.calls.append(f"{name} {place}".strip())
            if self.fails_at is not None and len(self.calls) > self.fails_at:
                raise OSError(28, "No space left on device", place)
            return found(*words, **more)

        return call


def watched(*, fails_at: int | None = None) -> tuple[Disk, list[str]]:
    """Give a disk, and the list of what it is asked to write; from call number `fails_at` on it takes nothing."""
    disk = Watched(fails_at=fails_at)
    as_disk: Disk = disk  # type: ignore[assignment]
    return as_disk, disk.calls
