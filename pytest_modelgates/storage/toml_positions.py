"""Where each key of a TOML file stands. Only tomllib says whether a file is TOML; this reads what it has accepted.

Neither tomllib nor tomlkit tells places, and a second parser, such as tree-sitter's, may read a file in another way.
"""

import re
import tomllib
from bisect import bisect
from collections.abc import Iterator
from contextlib import suppress

# What leads to a value: names of tables and keys, and numbers of items.
Keys = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t]+|\#[^\n]*)
    |(?P<string>\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*')
    |(?P<sign>[\[\]{},=.\n])
    |(?P<word>[^\s\[\]{},=.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


class Positions:
    """Line and column, both from 1, of each key of a file, and of each item of its arrays.

    Parameters
    ----------
    text : str
        TOML that `tomllib.loads` accepts.
    """

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._tokens = [found for found in _TOKEN.finditer(text) if found.lastgroup != "blank"]
        self._next = 0
        self._places: dict[Keys, int] = {}
        self._last: dict[Keys, int] = {}  # of each array of tables
        with suppress(RecursionError):  # where tomllib gets by with a little less depth, the rest has no place
            self._file()

    def __contains__(self, path: Keys) -> bool:
        """Whether the file holds this key."""
        return path in self._places

    def __iter__(self) -> Iterator[Keys]:
        """Every key and every item of the file."""
        return iter(self._places)

    def of(self, path: Keys) -> tuple[int, int]:
        """Find line and column of a key; of the table that would hold it, if it is not there."""
        while path and path not in self._places:
            path = path[:-1]
        return self._line_and_column(self._places.get(path, 0))

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        line = bisect(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self) -> re.Match[str]:
        self._next += 1
        return self._tokens[self._next - 1]

    def _skip(self, *signs: str) -> str:
        """Pass over these signs, and give what comes next; nothing at the end."""
        while self._peek() in signs:
            self._next += 1
        return self._peek()

    def _file(self) -> None:
        table: Keys = ()
        while sign := self._skip("\n"):
            if sign == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Keys:
        begins = self._take()
        # `[[` is one sign: with a blank between, it is not TOML.
        of_array = self._peek() == "[" and self._tokens[self._next].start() == begins.end()
        self._skip("[")
        path: Keys = ()
        names = list(self._key())
        for number, (name, offset) in enumerate(names, start=1):
            path = (*path, name)
            self._places.setdefault(path, offset)
            if of_array and number == len(names):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
                self._places.setdefault(path, offset)
        self._skip("]")
        return path

    def _pair(self, table: Keys) -> None:
        path = table
        for name, offset in self._key():
            path = (*path, name)
            self._places.setdefault(path, offset)
        self._skip("=")
        self._value(path)

    def _key(self) -> Iterator[tuple[str, int]]:
        while self._peek() not in ("=", "]", ""):
            token = self._take()
            if token[0] != ".":
                quoted = token.lastgroup == "string"
                yield tomllib.loads(f"key = {token[0]}")["key"] if quoted else token[0], token.start()

    def _value(self, path: Keys) -> None:
        if self._peek() == "[":
            self._array(path)
        elif self._peek() == "{":
            self._take()
            while self._skip("\n", ",") != "}":
                self._pair(path)
            self._take()
        else:
            while self._peek() not in (",", "]", "}", "\n", ""):
                self._take()

    def _array(self, path: Keys) -> None:
        self._take()
        index = 0
        while self._skip("\n", ",") != "]":
            item = (*path, index)
            self._places.setdefault(item, self._tokens[self._next].start())
            self._value(item)
            index += 1
        self._take()
