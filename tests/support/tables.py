"""Malformed tables, as rows of the TOML files beside this one; every reader of tables is tried on each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
COLUMNS = ["time", "asset", "momentum", "value"]
MORE = {"target": "0.01", "ret_next": "0.01", "reference": "1"}


@dataclass(frozen=True)
class Malformed:
    """A file whose third line is no row, and what is said of it."""

    content: bytes
    sound: int
    says: str


def _rows(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


def _malformed(row: dict[str, Any], more: dict[str, str]) -> Malformed:
    fields = len(COLUMNS) + len(more)
    counts = {"fields": fields, "one_more": fields + 1, "one_less": fields - 1}
    lines = [",".join([*COLUMNS, *more])]
    lines += [line.replace("{more}", "".join(f",{value}" for value in more.values())) for line in row["rows"]]
    content = "".join(f"{line}\n" for line in lines).encode().replace(rb"\xe9", b"\xe9")
    return Malformed(content, len(row["rows"]) - 1, row["says"].format(more="", **counts))


def malformed_rows(*, panel: bool = False) -> list[Any]:
    """Files with one line that is no row: as a feed brings them, or with the outcomes that a panel has."""
    more = MORE if panel else {}
    return [pytest.param(_malformed(row, more), id=name) for name, row in _rows("malformed_rows").items()]


def malformed_headers() -> list[Any]:
    """Files without a header that can be read, with what is said after the file's name."""
    return [
        pytest.param(row["content"].encode("latin-1"), row["says"], id=name)
        for name, row in _rows("malformed_headers").items()
    ]
