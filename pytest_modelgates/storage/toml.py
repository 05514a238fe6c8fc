"""TOML that people write: parsed, or refused in words about what is wrong with it."""

import codecs
import re
import tomllib
from typing import Any

from ..errors import FormatError


def parse_toml(content: bytes) -> dict[str, Any]:
    """Parse TOML.

    Raises
    ------
    FormatError
        If it is not TOML, not UTF-8, or nested too deep; the message leaves it to the caller to name the file.
    """
    if content.startswith(codecs.BOM_UTF8):
        raise FormatError("it begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = content.decode()
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{error}{_comma(text, str(error))}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(str(error)) from error


def _comma(text: str, message: str) -> str:
    """Say which comma is too many, if the place that the parser names is next to one: JSON and Python allow more."""
    place = re.search(r"at line (\d+), column (\d+)", message)
    if place is None:
        return ""
    line, column = text.splitlines()[int(place[1]) - 1], int(place[2]) - 1
    if line[column:].lstrip().startswith(","):
        return "; take the comma out: a line does not end in one"
    if line[:column].rstrip().endswith(","):
        return "; take the comma out: an inline table does not end in one, and stands on one line"
    return ""
