"""Summaries in Markdown, such as GitHub shows below a step: text that others wrote begins no markup in them."""

import html
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..storage.text import printable

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


def escaped(line: str) -> str:
    """Escape a line so that no text in it can begin a cell or markup of its own."""
    text = html.escape(printable(line.strip()), quote=False)
    text = re.sub(r"[\\|`*_\[\]#~$@]|:(?=//)|(?<=www)\.", r"\\\g<0>", text)  # the last two: an address becomes no link
    # An item of a list, or the line below a heading: its first character is written as a reference.
    begins = r"^(?:[-+](?=\s|$)|[-=](?=[-=]*$)|\d(?=\d*[.)](?:\s|$)))"
    return re.sub(begins, lambda begin: f"&#{ord(begin[0])};", text)


def cell(text: str) -> str:
    """Escape a text of several lines for one cell of a table, or one item of a list."""
    return "<br>".join(map(escaped, text.splitlines()))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; a row is of texts of any kind."""
    lines = ["".join(f"| {cell(text)} " if text else "| " for text in row) + "|\n" for row in (headings, *rows)]
    return "".join([lines[0], "|---" * len(headings), "|\n", *lines[1:]])


def titled(title: str, *parts: str) -> str:
    """Put parts below a title, with an empty line between them and at the end."""
    return "\n".join([f"### {escaped(title)}\n", *(f"{part.rstrip()}\n" for part in parts if part)]) + "\n"


def bullets(texts: Iterable[str]) -> str:
    """Write a list, one item a text."""
    return "".join(f"- {cell(text)}\n" for text in texts)


def refusal_summary(title: str, text: str) -> str:
    """Write a refusal: its first line, then each reason with what would repair it."""
    first, *more = text.splitlines() or [""]
    return titled(title, escaped(first), bullets(line.strip() for line in more))


def summary_place(given: Path | None = None) -> Path | None:
    """Find the file that a summary is appended to: the one given, else the one that GitHub names; else None."""
    name = os.environ.get(SUMMARY_VARIABLE)
    return given or (Path(name) if name else None)


def append_summary(text: str, place: Path | None = None) -> None:
    """Append a summary to a file: the one given, else the one that GitHub names; without either do nothing.

    Parameters
    ----------
    text : str
    place : Path, optional

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if found := summary_place(place):
        with found.open("a", encoding="utf-8") as file:
            file.write(text)
