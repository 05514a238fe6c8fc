"""Rows in blocks: a matrix larger than memory comes in pieces, and is scored in blocks that do not depend on these."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.generic]

BLOCK = 1024
"""Rows that a panel is scored in at a time, the largest batch that parity is measured with [rows]."""
SIZES = (BLOCK, *range(256, 32, -32), *range(32, 0, -1))
"""All numbers of rows that ONNX Runtime is given at a time, the largest first; parity is measured at each [rows]."""


def in_blocks(pieces: Iterable[Rows], size: int = BLOCK) -> Iterator[Rows]:
    """Cut matrices of any number of rows anew.

    Parameters
    ----------
    pieces : iterable of ndarray, shape (n, n_columns)
    size : int, default BLOCK
        Rows of each block; the last one has those that are left.
    """
    held: list[Rows] = []
    missing = size
    for piece in pieces:
        for start in range(0, len(piece), size):
            rest = piece[start : start + size]
            if len(rest) >= missing:
                yield np.concatenate([*held, rest[:missing]])
                held, rest, missing = [], rest[missing:], size
            if len(rest):
                held.append(rest)
                missing -= len(rest)
    if held:
        yield np.concatenate(held)


def starts(rows: int) -> list[int]:
    """Say where to cut so many rows into pieces of `SIZES`, and where they end: few pieces, the largest first."""
    found = [0]
    while left := rows - found[-1]:
        found.append(found[-1] + next(size for size in SIZES if size <= left))
    return found
