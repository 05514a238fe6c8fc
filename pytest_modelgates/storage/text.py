"""Text that is safe to print: on one line, without control characters."""

from collections.abc import Iterable


def printable(text: str) -> str:
    """Escape what would break a line or a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def listed(names: Iterable[object], *, most: int = 8) -> str:
    """Quote names for a message, and count those beyond the first few."""
    quoted = [repr(name) if isinstance(name, str) else str(name) for name in names]
    beyond = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + beyond


def first_line(error: BaseException) -> str:
    """Take the first line of another library's error; its class if it has no text."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])


def root_cause(error: BaseException) -> str:
    """Take the first line of the error that another library's error was raised from, where there is one."""
    while deeper := error.__cause__:
        error = deeper
    return first_line(error)
