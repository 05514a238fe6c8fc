"""Strict JSON: UTF-8, no duplicate keys, no NaN, bounded size; canonical when written to be digested."""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from ..errors import FormatError
from .paths import is_file, kind_of
from .text import printable

T = TypeVar("T")

MAX_JSON_BYTES = 64 * 2**20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
TOO_DEEP = "nested too deeply to be read"
MAX_DIGITS = 640  # the lowest limit that sys.set_int_max_str_digits accepts


def canonical(value: Any) -> bytes:
    """Encode a value as canonical JSON: sorted keys, no spaces, no NaN, so equal values give equal bytes."""
    return _encoded(value, sort_keys=True, separators=(",", ":"))


def readable(value: Any) -> bytes:
    """Encode a value as indented JSON for people; of a name that is not UTF-8, the odd bytes are escaped."""
    return _encoded(value, errors="backslashreplace", indent=2)


def _encoded(value: Any, *, errors: str = "strict", **options: Any) -> bytes:
    text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, allow_nan=False, **options)
    return (text + "\n").encode(errors=errors)


def parse_json(content: bytes, source: str) -> Any:
    """Parse JSON strictly: UTF-8, no duplicate key, no NaN or infinity, no more bytes than a cap.

    Raises
    ------
    FormatError
        If it is not such JSON; the message names `source`, the problem and the key.
    """
    if len(content) > MAX_JSON_BYTES:
        raise FormatError(f"{source}: more than {MAX_JSON_BYTES} bytes of JSON, which is the most that is read")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common()
            raise FormatError(f"{source}: key {twice!r} appears twice; keep one")
        return found

    suspect = []

    def whole(text: str) -> float:
        return int(text) if len(text) <= MAX_DIGITS else real("Infinity")

    def real(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            suspect.append(text)
        return number

    try:
        text = content.decode("utf-8")
        value = json.loads(text, parse_int=whole, parse_float=real, parse_constant=real, object_pairs_hook=unique)
        # Walking through the values costs more than parsing, so it is done only when there is one to name.
        if suspect or _SURROGATE.search(text):
            for place in _odd_places(value, "$"):
                raise FormatError(f"{source}: {printable(place)}; fix it or leave the key out")
    except ValueError as error:
        raise FormatError(f"{source}: not JSON in UTF-8 ({error})") from error
    except RecursionError as error:
        raise FormatError(f"{source}: {TOO_DEEP}") from error
    return value


def repeated_key(content: bytes, *, texts: int) -> str | None:
    """Name a key that an object of sound JSON holds twice, of which decoders take the last; None if there is none.

    Parameters
    ----------
    content : bytes
    texts : int
        How many keys and values in quotes it has, if there is none. It is parsed again only if it has more quotes.
    """
    if content.count(b'"') <= 2 * texts:
        return None
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)

    with suppress(RecursionError):
        json.loads(content.decode(), parse_int=float, object_pairs_hook=note)
    return found[0] if found else None


def _odd_places(value: Any, place: str) -> Iterator[str]:
    """Find numbers that JSON or Python cannot represent, and text that UTF-8 cannot."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _odd_places(key, f"{place}, a key")
            yield from _odd_places(item, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_places(item, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"NaN, infinity or too large a number at `{place}`"
    elif isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        yield f"half a surrogate pair at `{place}`"


def typed(value: Any, kind: type[T], source: str) -> T:
    """Convert parsed JSON or TOML to a type; an unknown key or a wrong type is an error that names it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{source}: {printable(str(error))}") from error


def read_bytes(path: Path, *, limit: int = MAX_JSON_BYTES) -> bytes:
    """Read a file that must be there; `limit` is the most that it may hold [bytes]."""
    if not is_file(path):  # reading a pipe or a device might never end
        found = kind_of(path)
        raise FormatError(f"{path}: {f'{found}, expected a regular file' if found else 'no such file'}")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise FormatError(f"{path}: {size} bytes, expected at most {limit}")
        return file.read(size)


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file strictly as a type."""
    return typed(parse_json(read_bytes(path), str(path)), kind, str(path))


Moment = Annotated[datetime, msgspec.Meta(tz=True)]
