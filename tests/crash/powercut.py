"""What a power cut may leave of a command's system calls, where the file system promises no more than btrfs does.

Bytes last from the fsync of their file on, names from the fsync of their folder on. Before that each write may be
there, be lost, be cut in half or be zeros, and each change of a name may be there or be lost, whatever came after it.
"""

import itertools
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,open,creat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,truncate,ftruncate,fallocate,copy_file_range,sendfile"
)
OPTIONS = ("-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={CALLS}")
LINE = re.compile(r"\d+ +(?P<call>\w+)\((?P<rest>.*)\) += (?P<result>-?\d+)(?:<.*>)?$")
WORD = re.compile(r'(?:\d+|AT_FDCWD)<(?P<base>[^>]*)>(?:\(deleted\))?|"(?P<text>[^"]*)"')
# More combinations than this are not all tried: then only those with one thing lost, kept or spoiled.
MOST = 128


@dataclass(frozen=True)
class Call:
    """A successful system call: its paths, or the bytes and path of a write."""

    name: str
    words: list[bytes]
    rest: str
    result: int


def calls(trace: str, root: Path) -> Iterator[Call]:
    """Read the calls below `root` from what strace wrote with `OPTIONS`."""
    for line in trace.splitlines():
        match = LINE.match(line)
        if match is None or int(match["result"]) < 0:
            continue
        base, words = b"", []
        for word in WORD.finditer(match["rest"]):
            if word["base"] is not None:
                base = _plain(word["base"])
                words.append(base)
            else:
                text = _plain(word["text"])
                words.append(os.path.join(base, text) if _is_name(match["call"], words) else text)
        paths = words[:1] if match["call"] in ("write", "pwrite64") else words
        if any(path.startswith(os.fsencode(root)) for path in paths):
            yield Call(match["call"], words, match["rest"], int(match["result"]))


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _is_name(call: str, before: list[bytes]) -> bool:
    return not (call in ("write", "pwrite64") or (call.startswith("symlink") and not before))


@dataclass(frozen=True)
class Change:
    """One thing that may or may not have reached the disk."""

    made: int
    sets: dict[tuple[int, str], int | None] = field(default_factory=dict)
    """Names, each in a folder, and what they lead to from now on."""
    inode: int | None = None
    """The file whose bytes change."""
    offset: int = 0
    content: bytes | None = None
    """None cuts the file off at the offset."""


KEPT, LOST, TORN, ZEROS = "kept", "lost", "torn", "zeros"


class Disk:
    """Every change that was made below a root, and from which call on it lasts."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        self.kind: dict[int, bytes | str] = {0: "folder"}
        self.names: dict[tuple[int, str], int | None] = {}
        self.files: dict[int, bytes] = {}
        self._now: dict[tuple[int, str], int | None] = {}
        self._sizes: dict[int, int] = {}
        self.changes: list[Change] = []
        self.lasting: dict[int, int] = {}
        self.steps = 0
        self._load(root, 0)
        self._now = dict(self.names)
        self._sizes = {inode: len(content) for inode, content in self.files.items()}

    def _load(self, folder: Path, inode: int) -> None:
        for entry in sorted(folder.iterdir()):
            kind = "folder" if entry.is_dir() else "file"
            number = self._new(os.fsencode(os.readlink(entry)) if entry.is_symlink() else kind)
            self.names[inode, entry.name] = number
            if self.kind[number] == "folder":
                self._load(entry, number)
            elif self.kind[number] == "file":
                self.files[number] = entry.read_bytes()

    def _new(self, kind: bytes | str) -> int:
        self.kind[len(self.kind)] = kind
        return len(self.kind) - 1

    def _place(self, path: bytes) -> tuple[int, str]:
        """Folder and last name of a path; only the last may be a link."""
        parts, inode = os.fsdecode(os.path.relpath(path, self.root)).split("/"), 0
        for part in parts[:-1]:
            found = self._now[inode, part]
            assert found is not None, path
            inode = found
        return inode, parts[-1]

    def _inode(self, path: bytes) -> int:
        if path == self.root:
            return 0
        found = self._now[self._place(path)]
        assert found is not None, path
        return found

    def _name(self, sets: dict[tuple[int, str], int | None]) -> None:
        self._now.update(sets)
        self.changes.append(Change(self.steps, sets=sets))

    def _cut(self, inode: int, size: int) -> None:
        if self._sizes.get(inode, 0) != size:
            self.changes.append(Change(self.steps, inode=inode, offset=size))
        self._sizes[inode] = size

    def apply(self, call: Call) -> None:
        """Follow one call."""
        self.steps += 1
        words, kind = call.words, call.name
        if kind == "openat":
            place = self._place(words[-1]) if words[-1] != self.root else None
            if "O_CREAT" in call.rest and place and self._now.get(place) is None:
                inode = self._new("file")
                self._sizes[inode] = 0
                self._name({place: inode})
            elif "O_TRUNC" in call.rest:
                self._cut(self._inode(words[-1]), 0)
        elif kind in ("write", "pwrite64"):
            inode, data = self._inode(words[0]), words[1][: call.result]
            # Nobody writes where an earlier write without an offset left off but at the end.
            offset = self._sizes[inode] if kind == "write" else int(call.rest.rsplit(",", 1)[1])
            self.changes.append(Change(self.steps, inode=inode, offset=offset, content=data))
            self._sizes[inode] = max(self._sizes[inode], offset + len(data))
        elif kind in ("fsync", "fdatasync"):
            self._last(self._inode(words[0]))
        elif kind in ("rename", "renameat", "renameat2"):
            source, target = (self._place(word) for word in words if word != b"" and not self._is_base(word, call))
            self._name({target: self._now[source], source: None})
        elif kind in ("symlink", "symlinkat"):
            self._name({self._place(words[-1]): self._new(words[0])})
        elif kind in ("unlink", "unlinkat", "rmdir"):
            self._name({self._place(words[-1]): None})
        elif kind in ("mkdir", "mkdirat"):
            self._name({self._place(words[-1]): self._new("folder")})
        elif kind in ("ftruncate", "truncate"):
            self._cut(self._inode(words[0]), int(call.rest.rsplit(",", 1)[1]))
        else:
            raise NotImplementedError(f"this model of a disk does not know {kind}({call.rest[:80]})")

    @staticmethod
    def _is_base(word: bytes, call: Call) -> bool:
        """Whether a word of a rename is the folder that the next is relative to."""
        return call.name != "rename" and call.words.index(word) % 2 == 0

    def _last(self, inode: int) -> None:
        for number, change in enumerate(self.changes):
            touched = change.inode == inode or any(folder == inode for folder, _ in change.sets)
            if touched and number not in self.lasting:
                self.lasting[number] = self.steps

    def cuts(self) -> Iterator[tuple[int, dict[str, bytes | str]]]:
        """Every tree that a power cut may leave, each once, with the number of the call before it."""
        seen: set[int] = set()
        for step in range(self.steps + 1):
            made = [number for number, change in enumerate(self.changes) if change.made <= step]
            open_ones = [number for number in made if self.lasting.get(number, math.inf) > step]
            for fates in self._fates(open_ones):
                tree = self._tree(made, fates)
                key = hash((step == self.steps, frozenset(tree.items())))
                if key not in seen:
                    seen.add(key)
                    yield step, tree

    def _fates(self, numbers: list[int]) -> Iterator[dict[int, str]]:
        bytewise = [self.changes[number].content is not None for number in numbers]
        choices = [(KEPT, LOST, TORN, ZEROS) if each else (KEPT, LOST) for each in bytewise]
        if math.prod(map(len, choices)) <= MOST:
            for fates in itertools.product(*choices):
                yield dict(zip(numbers, fates, strict=True))
            return
        for usual in (KEPT, LOST):
            everything = dict.fromkeys(numbers, usual)
            yield everything
            for number, options in zip(numbers, choices, strict=True):
                for fate in options:
                    yield everything | {number: fate}

    def _tree(self, made: list[int], fates: dict[int, str]) -> dict[str, bytes | str]:
        names, files = dict(self.names), dict(self.files)
        for number in made:
            change, fate = self.changes[number], fates.get(number, KEPT)
            if fate == LOST:
                continue
            names.update(change.sets)
            if change.inode is not None:
                files[change.inode] = _written(files.get(change.inode, b""), change, fate)
        return dict(self._walk(0, "", names, files))

    def _walk(
        self, folder: int, path: str, names: dict[tuple[int, str], int | None], files: dict[int, bytes]
    ) -> Iterator[tuple[str, bytes | str]]:
        for (parent, name), inode in names.items():
            if parent != folder or inode is None:
                continue
            kind = self.kind[inode]
            if kind == "folder":
                yield f"{path}{name}/", ""
                yield from self._walk(inode, f"{path}{name}/", names, files)
            elif kind == "file":
                yield f"{path}{name}", files.get(inode, b"")
            else:
                assert isinstance(kind, bytes)
                yield f"{path}{name}", os.fsdecode(kind)


def _written(before: bytes, change: Change, fate: str) -> bytes:
    if change.content is None:
        return before[: change.offset]
    size = len(change.content)
    content = {KEPT: change.content, TORN: change.content[: size // 2], ZEROS: bytes(size)}[fate]
    padded = before.ljust(change.offset, b"\0")
    return padded[: change.offset] + content + padded[change.offset + len(content) :]


def write_tree(tree: dict[str, bytes | str], root: Path) -> None:
    """Lay a tree out as files: bytes are a file, text is a link, a name that ends with a slash is a folder."""
    root.mkdir(parents=True)
    for name in sorted(tree):
        content = tree[name]
        if name.endswith("/"):
            (root / name).mkdir()
        elif isinstance(content, str):
            (root / name).symlink_to(content)
        else:
            (root / name).write_bytes(content)
