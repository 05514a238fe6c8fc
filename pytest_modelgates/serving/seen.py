"""Which messages of a stream were logged, in memory of a constant size."""

import re
from bisect import bisect_right

_PLACE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def sequence_of(place: str) -> int | None:
    """Read the number of a place such as `17` or `1526919030474-55`; None if it is another kind of place.

    Numbers are in the order of the stream. Those of places without a hyphen are next to each other.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        return None
    major, minor = found.groups()
    return int(major) if minor is None else int(major) << 64 | int(minor)


class Seen:
    """Numbers, kept as stretches without a gap; of too many stretches the lowest are forgotten.

    Parameters
    ----------
    most : int, default 65,536
        Stretches that are remembered at least.
    """

    def __init__(self, most: int = 2**16) -> None:
        self._most = most
        self._first = list[int]()
        self._last = list[int]()

    def __len__(self) -> int:
        """How many stretches there are."""
        return len(self._first)

    def __contains__(self, number: int) -> bool:
        """Whether a number was added."""
        at = bisect_right(self._first, number)
        return bool(at) and number <= self._last[at - 1]

    def add(self, number: int) -> None:
        """Add a number."""
        at = bisect_right(self._first, number)
        if at and number <= self._last[at - 1]:
            return
        joins_before = bool(at) and self._last[at - 1] == number - 1
        joins_after = at < len(self._first) and self._first[at] == number + 1
        if joins_before and joins_after:
            del self._first[at]
            self._last[at - 1] = self._last.pop(at)
        elif joins_before:
            self._last[at - 1] = number
        elif joins_after:
            self._first[at] = number
        else:
            self._first.insert(at, number)
            self._last.insert(at, number)
            # Now and then many at once: to delete one from the front moves all others.
            if len(self._first) > 2 * self._most:
                del self._first[: self._most], self._last[: self._most]
