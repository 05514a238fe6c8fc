"""The audit log: one JSON line for each promotion and rollback, appended and never rewritten."""

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from ..drift.records import append_whole
from ..errors import RegistryError
from ..model.files import canonical, parse_json, typed
from ..model.manifest import Moment, Sha256


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"from_": "from"}):
    """One line of `promotions.log`."""

    time: Moment
    actor: str
    host: str
    action: Literal["promote", "rollback"]
    from_: str | None
    to: str
    digest: Sha256
    report_digest: Sha256 | None
    sealed_by: str | None = None
    waivers: tuple[str, ...] = ()
    reason: str


def read_log(path: Path) -> list[Entry]:
    """Read the whole log, oldest first; no file is an empty log."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [
        typed(parse_json(line, f"{path}, line {number}"), Entry, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
    ]


def append_entry(path: Path, entry: Entry) -> None:
    """Append an entry, durably; the log is as it was if that fails."""
    append_whole(path, canonical(entry), durable=True)


def drop_torn_line(path: Path) -> None:
    """Cut off what an interrupted write left behind the last newline."""
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


def live_at(entries: list[Entry], moment: datetime) -> Entry | None:
    """Find the entry that made the model live which was live at a moment."""
    past = [entry for entry in entries if entry.time <= moment]
    return past[-1] if past else None


def past_live(entries: list[Entry]) -> list[str]:
    """Ids of every model that was ever live, the last one first, each once."""
    return list(dict.fromkeys(entry.to for entry in reversed(entries)))


def check_agreement(entries: list[Entry], live: str | None) -> None:
    """Refuse to go on when the log and the link name different models."""
    logged = entries[-1].to if entries else None
    if logged != live:
        raise RegistryError(
            f"promotions.log says {logged or 'nothing'} is live, latest points at {live or 'nothing'}; "
            "modelgates status mends what a crash left; else somebody moved the link or lost the log: "
            "put back what is missing"
        )
