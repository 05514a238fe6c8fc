"""What lies at a path. Where that cannot be seen, these raise; pathlib's own, and glob and walk, say "nothing"."""

import errno
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def is_there(path: Path) -> bool:
    """Whether the path names anything; a link counts, wherever it leads."""
    return _mode(path, follow_symlinks=False) != 0


def is_file(path: Path) -> bool:
    """Whether the path leads to a regular file."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether the path leads to a folder."""
    return stat.S_ISDIR(_mode(path))


def is_link(path: Path) -> bool:
    """Whether the path is a symlink."""
    return stat.S_ISLNK(_mode(path, follow_symlinks=False))


def kind_of(path: Path) -> str | None:
    """Name what the path leads to; None if it leads to nothing."""
    mode = _mode(path)
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device") if mode else None


def entries(folder: Path, pattern: str = "*") -> list[Path]:
    """List what a folder holds whose name fits a pattern, in order; nothing if it leads to no folder."""
    names = os.listdir(folder) if is_folder(folder) else ()
    return [folder / name for name in sorted(names) if fnmatchcase(name, pattern)]


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """List a folder and those below it, as `os.walk` does; one that is gone, or never was a folder, is left out."""

    def refuse(error: OSError) -> None:
        if error.errno not in _NOTHING:
            raise error

    return os.walk(folder, onerror=refuse)


def _mode(path: Path, *, follow_symlinks: bool = True) -> int:
    """Give the mode of what lies there, or 0 if nothing does."""
    try:
        return os.stat(path, follow_symlinks=follow_symlinks).st_mode
    except OSError as error:
        if error.errno not in _NOTHING:
            raise
        return 0
