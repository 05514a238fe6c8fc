"""Why a promotion is refused, and how to repair that."""

from dataclasses import dataclass

from ..storage.text import printable


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a promotion is refused, and the command that would repair it."""

    text: str
    repair: str

    def __str__(self) -> str:
        """Format as one line that is safe to print, because parts of it come from a report."""
        return printable(f"{self.text} → {self.repair}")
