"""Every key of a file's tables that does not fit its type, where msgspec stops at the first."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from ..storage.text import printable
from ..storage.toml_positions import Keys

Misfit = tuple[Keys, str]
UNKNOWN = "unknown key"
_OF_DIGEST = r"`str` matching regex '^[0-9a-f]{64}\\Z'"  # in msgspec's words


def misfits(value: Any, kind: Any, path: Keys = ()) -> Iterator[Misfit]:
    """Find all that does not fit a type.

    Parameters
    ----------
    value : object
        As tomllib gives it.
    kind : type
        What it should be: structs that forbid unknown fields, dicts, tuples, and what these hold.
    path : tuple, optional
        Where it stands.

    Yields
    ------
    path : tuple
        Of the key that does not fit; of the table, if a key is missing in it.
    text : str
        What is wrong, what was expected.
    """
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    found: list[Misfit] = []
    if _is_struct(inner):
        if isinstance(value, dict):
            yield from _of_table(value, inner, path)
            return
    elif get_origin(inner) is dict and isinstance(value, dict):
        names, items = get_args(inner)
        for name, item in value.items():
            wrong = _misfit(name, names)
            found += [((*path, name), wrong)] if wrong else misfits(item, items, (*path, name))
        yield from found
        return
    elif get_origin(inner) is tuple and isinstance(value, list):
        found = [
            wrong for index, item in enumerate(value) for wrong in misfits(item, get_args(inner)[0], (*path, index))
        ]
        if found:
            yield from found
            return
    if wrong := _misfit(value, kind):
        yield path, wrong


def is_known(path: Keys, kind: Any) -> bool:
    """Whether a type has such a key."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if not path:
        return True
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(inner)} if _is_struct(inner) else {}
    return path[0] in fields and is_known(path[1:], fields[str(path[0])])


def without(value: Any, wrong: Iterable[Keys], path: Keys = ()) -> Any:
    """Leave out of tables what stands in these places; of an array, the items."""
    places = set(wrong)
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if (*path, name) not in places}
        return {name: without(item, places, (*path, name)) for name, item in kept.items()}
    if isinstance(value, list):
        items = [(index, item) for index, item in enumerate(value) if (*path, index) not in places]
        return [without(item, places, (*path, index)) for index, item in items]
    return value


def named(path: Keys, tables: Any) -> str:
    """Name a place in tables as one writes it in TOML: ``[promotion] parity_nights``, ``[slo."drift.psi"]``."""
    names = [_quoted(name) for name in path if isinstance(name, str)]
    value = tables
    for name in path:
        value = value[name]
    inside = names if isinstance(value, dict) else names[:-1]
    head = ".".join(inside)
    # The number of a row in an array of tables stands behind the array's name.
    of_row = len(path) > len(inside) and isinstance(path[len(inside)], int)
    table = f"[[{head}]]" if of_row else f"[{head}]"
    return " ".join([*([table] if inside else []), *names[len(inside) :]])


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Name the known name that is most like a wrong one; all of them if none is, but of a few only."""
    known = sorted(names)
    like = get_close_matches(name, known, 1)
    if like:
        return f"did you mean {like[0]}?"
    return f"there are {', '.join(known)}" if len(known) <= 20 else "there is none like it"


def _of_table(table: dict[str, Any], kind: type[msgspec.Struct], path: Keys) -> Iterator[Misfit]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found: list[Misfit] = []
    for name, item in table.items():
        if name in fields:
            found += misfits(item, fields[name].type, (*path, name))
        else:
            found.append(((*path, name), f"{UNKNOWN}; {did_you_mean(name, fields)}"))
    if missing := [name for name, field in fields.items() if field.required and name not in table]:
        found.append((path, f"needs {', '.join(missing)} too"))
    yield from found
    if not found and hasattr(kind, "__post_init__"):  # what its keys say together; they may hold secrets
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError as error:
            yield path, printable(str(error))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _misfit(value: Any, kind: Any) -> str | None:
    """Say in the words of TOML why a value does not fit; None if it does."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if get_origin(kind) is Literal:
            return f"expected {' or '.join(map(_shown, get_args(kind)))}, got {_shown(value)}"
        text = re.sub(r" - at `.*`$", "", str(error)).replace("`object", "`table").replace(" | null`", "`")
        text = text.replace(_OF_DIGEST, "a SHA-256 of 64 small hex digits")
        got = "" if ", got " in text else f", got {_shown(value)}"
        return printable(text[0].lower() + text[1:] + got)
    return None


def _shown(value: Any) -> str:
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return printable(shown if len(shown) <= 60 else f"{shown[:60]}…")


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{printable(name)}"'
