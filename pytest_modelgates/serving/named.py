"""Rows of named values, as JSON has them: each with the columns of the model's CSV files, and nothing converted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RequestError
from ..model.sidecar import Feature, Sidecar
from ..storage.rows import is_time
from ..storage.strict_json import repeated_key
from ..storage.text import cut, listed
from .protocol import MOST_ROWS
from .scorer import Rows, named_rows


def checked_names(names: dict[str, list[str]], sidecar: Sidecar) -> dict[str, list[str]]:
    """Refuse what cannot name a row, as the reader of CSV does.

    Raises
    ------
    RequestError
        If a time is not of ISO 8601, or a name is empty.
    """
    for key in sidecar.keys:
        for number, text in enumerate(names[key]):
            if key == sidecar.time and not is_time(text):
                raise RequestError(
                    f"row {number}: {key} is {cut(text)!r}, expected a date or time of ISO 8601, such as 2020-01-31"
                )
            if not text:
                raise RequestError(f"row {number}: {key} is empty")
    return names


def refuse_repeated(content: bytes, sidecar: Sidecar, *, rows: int = 1, around: int = 0) -> None:
    """Refuse JSON in which a row gives a column twice, of which one would be scored and the other lost.

    Parameters
    ----------
    content : bytes
        The JSON that `rows` rows were read from, with `around` further keys and values in quotes.

    Raises
    ------
    RequestError
        If a key stands twice in an object.
    """
    each = 2 * len(sidecar.keys) + len(sidecar.names)  # what names a row is in quotes, too
    if (twice := repeated_key(content, texts=rows * each + around)) is not None:
        raise RequestError(f"column {cut(twice)!r} appears twice; give it once")


def rows_of(rows: list[dict[str, Any]], sidecar: Sidecar, request: str | None = None) -> Rows:
    """Take named rows as the model's CSV files have them; nothing is converted from one kind to another.

    Raises
    ------
    RequestError
        If a row lacks a column, has another one or a value of another kind, or there are too many rows.
    """
    if len(rows) > MOST_ROWS:
        raise RequestError(f"{len(rows)} rows, expected at most {MOST_ROWS}", status=413)
    wanted = {*sidecar.keys, *sidecar.names}
    for number, row in enumerate(rows):
        if row.keys() != wanted:
            odd = sorted(row.keys() ^ wanted)[0]
            what = "is missing" if odd in wanted else f"is not known; the model takes {listed(sorted(wanted))}"
            raise RequestError(f"row {number}: column {cut(odd)!r} {what}")
    names = {key: [row[key] for row in rows] for key in sidecar.keys}
    for key, texts in names.items():
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise RequestError(f"row {number}: {key} is {cut(repr(text))}, expected text")
    columns = [_column(feature, [row[feature.name] for row in rows]) for feature in sidecar.features]
    dtype = np.result_type(*(feature.dtype for feature in sidecar.features))
    matrix = np.empty((len(rows), len(columns)), dtype=dtype)
    for place, column in enumerate(columns):
        matrix[:, place] = column
    return named_rows(checked_names(names, sidecar), matrix, sidecar, request)


def _column(feature: Feature, values: list[Any]) -> NDArray[Any]:
    kinds: tuple[type, ...] = {"f": (float, int), "i": (int,), "b": (bool,)}[feature.dtype[0]]
    for number, value in enumerate(values):
        missing = value is None and feature.dtype.startswith("float")
        if not missing and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise RequestError(f"row {number}: {feature.name} is {cut(repr(value))}, expected {feature.dtype}")
    try:
        with np.errstate(over="ignore"):
            return np.array([np.nan if value is None else value for value in values], dtype=feature.dtype)
    except OverflowError as error:
        raise RequestError(f"{feature.name} holds a value that {feature.dtype} cannot hold") from error
