"""What several readers ask of the same parts at the same moment: lines are read and decoded once for all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .columns import Columns
from .parts import Part
from .reading import Reading, read_columns

_MOST_ROWS = 2**20  # that are kept for the next reader; beyond, lines are read again


class _Pass(NamedTuple):
    """What was read of a part, from where on, and where the reading stood then."""

    model: str
    begin: tuple[int, int, str]
    found: list[Columns]
    after: Reading


class Shared:
    """Reads parts of the log as of one moment: who asks second for a part is given what the first one read.

    Both then stand at the same place, so that they go on together from there the next time.
    """

    def __init__(self) -> None:
        self._kept = dict[Path, _Pass]()
        self._until = dict[Path, int]()

    def read(self, part: Part, reading: Reading, model: str) -> Iterator[Columns]:
        """Read as `read_columns` does."""
        kept, begin = self._kept.get(part.path), (reading.lines, reading.size, reading.digest)
        if kept and (kept.model, kept.begin) == (model, begin) and not (reading.closing or reading.bad):
            yield from kept.found
            reading.go_to(kept.after)
            return
        found = list[Columns]()
        for columns in read_columns(part, reading, model, until=self._until.get(part.path)):
            found.append(columns)
            yield columns
        self._until.setdefault(part.path, reading.size)
        if not (reading.bad or reading.altered):
            self._kept[part.path] = _Pass(model, begin, found, reading.copy())
            while (
                len(self._kept) > 1
                and sum(len(each) for kept in self._kept.values() for each in kept.found) > _MOST_ROWS
            ):
                del self._kept[next(iter(self._kept))]
