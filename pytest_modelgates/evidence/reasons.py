"""Why a promotion is refused, and how to repair that."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..storage.text import printable

SHOWN = 5
COMMANDS = ("modelgates ", "pytest ")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a promotion is refused, and what would repair it.

    It `waits` if only time is missing. `failed` is the gate that a better model would pass.
    """

    text: str
    repair: str
    waits: bool = False
    failed: str | None = None

    def __str__(self) -> str:
        """Format as one line that is safe to print, because parts of it come from a report."""
        return printable(f"{self.text} → {self.repair}")


def next_commands(reasons: Sequence[Reason]) -> list[str]:
    """List the commands that the repairs name, each once: what to type next.

    Of gates that failed, the first is explained, for those of files, schema and panel come first, and others follow
    from them.
    """
    failed = [f"modelgates explain {reason.failed}" for reason in reasons if reason.failed][:1]
    steps = [step.partition(", or ")[0] for reason in reasons for step in reason.repair.split("; then ")]
    commands = [step.replace(" every night", "  # every night") for step in steps if step.startswith(COMMANDS)]
    return list(dict.fromkeys(map(printable, failed + commands)))


def together(names: Sequence[str]) -> list[str]:
    """Give each of a few names by itself, and many as one text, for what is said of all alike: a panel is broken."""
    return list(names) if len(names) <= SHOWN else [", ".join(names)]


def few(names: Sequence[str]) -> str:
    """Name the first of many."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
