"""The schema of a model: the checksum of its ordered columns."""

import zlib
from collections.abc import Iterable

from ..errors import FormatError
from .sidecar import Sidecar


def schema_crc32(columns: Iterable[tuple[str, str]]) -> str:
    """Checksum ordered columns.

    Parameters
    ----------
    columns : iterable of (name, dtype)
        In column order; dtypes are numpy's names.

    Returns
    -------
    str
        CRC-32 (zlib) of the UTF-8 text ``name:dtype`` joined by newlines, eight hex digits.

    Raises
    ------
    FormatError
        If a name holds a colon or a newline, which would make two schemas look the same.
    """
    pairs = list(columns)
    for name, _ in pairs:
        if ":" in name or "\n" in name:
            raise FormatError(f"column {name!r} holds a colon or a newline; rename it")
    return f"{zlib.crc32(chr(10).join(f'{name}:{dtype}' for name, dtype in pairs).encode()):08x}"


def sidecar_crc32(sidecar: Sidecar) -> str:
    """Checksum the features that a sidecar lists."""
    return schema_crc32((feature.name, feature.dtype) for feature in sidecar.features)
