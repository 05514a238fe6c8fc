"""A file that is read a piece at a time, each of the bytes that were digested: it may be larger than memory."""

import hashlib
import io
import os
from contextlib import suppress
from typing import Any

from ..errors import IntegrityError
from .atomic import naming

_PIECE = 2**18


class DigestedFile(io.RawIOBase):
    """An open regular file, read once from end to end for its digest; what is read later must be of the same bytes.

    Parameters
    ----------
    descriptor : int
        Of the file, which this object duplicates.
    source : object
        What messages call it.

    Attributes
    ----------
    sha256 : str
        The digest of the whole file, as hex.
    """

    _descriptor: int | None = None  # it is closed, too, if there was none to have

    def __init__(self, descriptor: int, source: object) -> None:
        super().__init__()
        self._descriptor = os.dup(descriptor)
        self._source, self._at, self._size = source, 0, 0
        self._digests: list[bytes] = []
        self._last = -1, b""
        whole = hashlib.sha256()
        # A file that grows is read no further than it reached at the beginning; then its digest is a wrong one.
        for start in range(0, os.fstat(descriptor).st_size + 1, _PIECE):
            piece = self._read(start)
            whole.update(piece)
            self._digests.append(hashlib.sha256(piece).digest())
            self._size += len(piece)
        self.sha256 = whole.hexdigest()

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from anywhere."""
        return True

    def tell(self) -> int:
        """Say where the next bytes are read from [bytes]."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Choose where the next bytes are read from [bytes]."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes.

        Raises
        ------
        IntegrityError
            If they are not the ones that were digested.
        """
        wanted, done = memoryview(buffer).cast("B"), 0
        while done < len(wanted) and self._at < self._size:
            index, offset = divmod(self._at, _PIECE)
            part = self._piece(index)[offset : offset + len(wanted) - done]
            wanted[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None and not self.closed:
            with suppress(OSError):  # what was read of it is digested, so that nothing is lost
                os.close(self._descriptor)
        super().close()

    def _piece(self, index: int) -> bytes:
        if self._last[0] != index:
            piece = self._read(index * _PIECE)
            if hashlib.sha256(piece).digest() != self._digests[index]:
                raise IntegrityError(f"{self._source} changed while it was in use; leave a packed model alone")
            self._last = index, piece
        return self._last[1]

    def _read(self, start: int) -> bytes:
        assert self._descriptor is not None
        with naming(self._source):
            return os.pread(self._descriptor, _PIECE, start)
