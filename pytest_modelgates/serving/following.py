"""A CSV file that grows, as a feed: woken by the file system, whole lines only, and the log keeps the place.

The place is the end of a row, its line and the CRC-32 of everything up to there. So a file that begins with what was
scored is the same one, wherever it lies on the disk, and any other is read from its first row.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..extras import extra
from ..model.sidecar import Sidecar
from ..storage.atomic import close_quietly
from ..storage.paths import is_file, is_there
from ..storage.text import printable
from .sources import LONGEST_LINE, Batch, Message, check_header, read_csv_messages

_PIECE = 2**18  # bytes
_TAIL = 64  # bytes before the place, by which a file that was written over is known
_LOOK_MS = 500  # where the file system tells nothing, as on a network
_STEP_MS = 2  # of the watch, which sleeps so long between two looks


class FollowedCsv:
    """One CSV file, as a `Feed`.

    Parameters
    ----------
    path : Path
    sidecar : Sidecar
        Which columns it must have.
    reorder : bool
        Whether they may have another order.
    say : callable
        Told when the file is another one.
    """

    ordered, unit = True, "bytes"
    floor = since = None

    def __init__(self, path: Path, sidecar: Sidecar, *, reorder: bool = False, say: Callable[[str], None]) -> None:
        self._path, self._sidecar, self._reorder, self._say = path, sidecar, reorder, say
        place = hashlib.blake2b(os.fsencode(os.path.abspath(path)), digest_size=4).hexdigest()
        self.name = f"csv:{printable(path.name)}#{place}"
        self._file: int | None = None
        self._changes: Generator[Any, None, None] | None = None
        self._begin()

    def open(self) -> None:
        """Open the file and watch its folder.

        Raises
        ------
        FormatError
            If there is no such file, or it is not one that grows.
        """
        watch = extra("watchfiles", "feeds").watch
        if self._path.suffix.lower() == ".gz":
            raise FormatError(f"{self._path}: a .gz file does not grow line by line; follow a plain one")
        if is_there(self._path) and not is_file(self._path):
            raise FormatError(f"{self._path}: not a file; follow a plain one, or read a pipe with --jsonl")
        self._take(self._opened())
        # Of a link, also the folder in which the file itself changes.
        folders = dict.fromkeys([self._path.absolute().parent, self._path.resolve().parent])
        self._changes = watch(
            *folders,
            watch_filter=None,
            recursive=False,
            step=_STEP_MS,
            debounce=_STEP_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
        )

    def seek(self, *places: str) -> str | None:
        """Go on after the first of these rows, which are in the log, up to which the file is what was read."""
        for place in places:
            with suppress(ValueError):
                end, line, crc = place.split(":")
                if self._went_on(int(end), int(line), int(crc, 16)):
                    return place
        self._say(f"{self._path}: does not begin with the rows that the log has; read from its first row")
        return None

    def fetch(self, most: int, wait_s: float) -> list[Message]:
        """Take whole lines; wait for a change of the folder, for half a second at most."""
        found = self._lines(most)
        if not found and wait_s and self._changes is not None:
            next(self._changes)
            found = self._lines(most)
        return found

    def read(self, messages: Sequence[Message], sidecar: Sidecar) -> Batch:
        """Make rows of the lines that were fetched last, as a `Reader`."""
        return read_csv_messages(messages, sidecar, header=self._header())

    def commit(self, messages: Sequence[Message]) -> None:
        """Do nothing: the log has the place."""

    def close(self) -> None:
        """Let the file and its folder go."""
        if self._changes is not None:
            self._changes.close()
        if self._file is not None:
            file, self._file = self._file, None
            close_quietly(file)

    @property
    def lag(self) -> int:
        """What was not read yet [bytes]."""
        return max(0, os.fstat(self._file).st_size - self._end) if self._file is not None else 0

    def _opened(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FormatError(f"{self._path}: no such file") from error

    def _take(self, file: int) -> None:
        if self._file is not None:
            close_quietly(self._file)
        self._file = file
        self._begin()

    def _begin(self) -> None:
        """Go to the beginning, where the header is."""
        self._end = self._line = self._crc = 0
        self._tail = self._first_line = b""

    def _went_on(self, end: int, line: int, crc: int) -> bool:
        """Go to a place, if what is before it is the same."""
        assert self._file is not None
        found, left, at = 0, end, 0
        while left and (block := os.pread(self._file, min(left, _PIECE), at)):
            found, left, at = zlib.crc32(block, found), left - len(block), at + len(block)
        if left or found != crc:
            return False
        self._end, self._line, self._crc = end, line, crc
        self._tail = os.pread(self._file, _TAIL, max(0, end - _TAIL))[: min(_TAIL, end)]
        return True

    def _lines(self, most: int) -> list[Message]:
        """Take the whole lines that are there, of the next file where this one was replaced and has no more."""
        self._look()
        found = self._whole(most)
        while not found and self._replaced():
            # Rows may have come between that look and the moment the name went over.
            found = self._whole(most)
            if not found:
                self._go_over()
                found = self._whole(most)
        return found

    def _whole(self, most: int) -> list[Message]:
        if not self._end and not self._passed_header():
            return []
        content = self._read(_PIECE)
        if content and b"\n" not in content:
            content = self._read(LONGEST_LINE + 1)
        rows = content.split(b"\n")[:-1][:most]
        if len(content) > LONGEST_LINE and not rows:
            return self._endless(content)
        return [self._message(row + b"\n") for row in rows]

    def _message(self, row: bytes) -> Message:
        self._advance(row)
        return Message(f"{self.name}:{self._end}:{self._line}:{self._crc:08x}", row, f"line {self._line}")

    def _advance(self, line: bytes) -> None:
        self._end += len(line)
        self._line += 1
        self._crc = zlib.crc32(line, self._crc)
        self._tail = line[-_TAIL:] if len(line) >= _TAIL else (self._tail + line)[-_TAIL:]

    def _read(self, size: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file, size, self._end)

    def _endless(self, content: bytes) -> list[Message]:
        """Pass over a line that is too long for a row, once it has its end; its beginning is what is kept of it."""
        assert self._file is not None
        at, crc = self._end + len(content), zlib.crc32(content, self._crc)
        while block := os.pread(self._file, _PIECE, at):
            head, newline, _ = block.partition(b"\n")
            at, crc = at + len(head + newline), zlib.crc32(head + newline, crc)
            if newline:
                self._end, self._line, self._crc, self._tail = at, self._line + 1, crc, b"\n"
                return [Message(f"{self.name}:{at}:{self._line}:{crc:08x}", content, f"line {self._line}")]
        return []

    def _passed_header(self) -> bool:
        if not (header := self._header()):
            return False
        check_header(header, self._sidecar, self._path, reorder=self._reorder)
        self._advance(header)
        return True

    def _header(self) -> bytes:
        """The first line with its end; nothing as long as that is not there."""
        if not self._first_line:
            assert self._file is not None
            header, newline, _ = os.pread(self._file, LONGEST_LINE, 0).partition(b"\n")
            self._first_line = header + newline if newline else b""
        return self._first_line

    def _look(self) -> None:
        """See whether the file was cut, or written over."""
        assert self._file is not None
        size = os.fstat(self._file).st_size
        same = os.pread(self._file, len(self._tail), self._end - len(self._tail)) == self._tail
        if size < self._end or not same:
            self._say(f"{self._path}: cut or written over; read from its first row")
            self._begin()

    def _replaced(self) -> bool:
        """Whether another file has the name now."""
        assert self._file is not None
        with suppress(FileNotFoundError):
            there, here = os.stat(self._path), os.fstat(self._file)
            return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
        return False

    def _go_over(self) -> None:
        """Go on to the file that has the name now; the one before was read to its last whole line."""
        with suppress(FileNotFoundError):
            before = self._end, self._line, self._crc
            self._take(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            if before[0] and not self._went_on(*before):
                self._say(f"{self._path}: replaced by another file; read from its first row")
