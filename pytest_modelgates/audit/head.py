"""The head of the audit log: how many records it holds, and the digest of the last one."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import FormatError
from ..storage.digests import sha256
from ..storage.disk import Log, log_of
from ..storage.lines import first
from ..storage.strict_json import parse_json, typed
from .kinds import GOLDEN_SET, OF_TRIALS

# How the events of models that are only being prepared stand in a line.
PREPARING = (OF_TRIALS, f'"kind":"{GOLDEN_SET}"'.encode())
HEAD = r"^[1-9][0-9]{0,15}:[0-9a-f]{64}\Z"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: how many lines, and the digest of the last. Kept elsewhere, it shows a log that was cut."""

    n: int
    digest: str | None

    def __str__(self) -> str:
        """The form in which commands print and take it."""
        return f"{self.n}:{self.digest or 'empty'}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read that form."""
        if not re.match(HEAD, text):
            raise FormatError(f"{text!r} is not a head as promote prints it: a number, a colon, a SHA-256")
        number, _, digest = text.partition(":")
        return cls(int(number), digest)


class _Numbered(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(ge=1)]


def head_of(log: Path | Log) -> str | None:
    """Read where the audit log ends, as a `Head` is printed; None if it is empty or holds only trials and goldens.

    Where nothing went live yet, a model may be packed to be copied to another registry, whose log is not this one.
    """
    log = log_of(log)
    line = first(log.from_end(after_writers=True))
    if line is None or all(any(kind in older for kind in PREPARING) for older in log.from_end()):
        return None
    try:
        return str(Head(typed(parse_json(line, str(log)), _Numbered, str(log)).n, sha256(line)))
    except FormatError as error:
        raise FormatError(f"{error}; see: modelgates recover") from error
