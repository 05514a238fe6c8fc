"""Text that is safe to print: on one line, without control characters; and wrapped for a terminal."""

import shutil
import textwrap
from collections.abc import Iterable

LONGEST = 40


def printable(text: str) -> str:
    """Escape what would break a line or a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def cut(text: str) -> str:
    """Cut what others wrote to a length that a message can bear."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def listed(items: Iterable[object], *, most: int = 8, between: str = ", ") -> str:
    """List the first few items of a message, and count the others."""
    shown = [str(item) for item in items]
    beyond = f" and {len(shown) - most} more" if len(shown) > most else ""
    return between.join(shown[:most]) + beyond


def first_line(error: BaseException) -> str:
    """Take the first line of another library's error; its class if it has no text."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])


def root_cause(error: BaseException) -> str:
    """Take the first line of the error that another library's error was raised from, where there is one."""
    while deeper := error.__cause__:
        error = deeper
    return first_line(error)


def shown(host: str, port: int | None) -> str:
    """Write where something listens, as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, which takes an s unless there is one."""
    return f"{number} {noun}" + "s" * (number != 1)


def wrapped(text: str, *, head: str = "", indent: int = 4) -> str:
    """Wrap a sentence between words at the width of the terminal; lines after the first are indented.

    `head` stands before it. A path or a command that is longer than a line stays whole.
    """
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        initial_indent=head,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
