"""Why a promotion is refused, and how to repair that."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..storage.text import printable

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a promotion is refused, and the command that would repair it; it `waits` if only time is missing."""

    text: str
    repair: str
    waits: bool = False

    def __str__(self) -> str:
        """Format as one line that is safe to print, because parts of it come from a report."""
        return printable(f"{self.text} → {self.repair}")


def together(names: Sequence[str]) -> list[str]:
    """Give each of a few names by itself, and many as one text, for what is said of all alike: a panel is broken."""
    return list(names) if len(names) <= SHOWN else [", ".join(names)]


def few(names: Sequence[str]) -> str:
    """Name the first of many."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
