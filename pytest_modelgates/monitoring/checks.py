"""The list of all checks for drift, `artifacts/drift/checks.jsonl`, as those read it who show what was found."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from ..artifacts import Artifacts
from ..predictions.records import NOT_A_RECORD
from ..storage.lines import lines_from_end
from ..storage.paths import is_file


class Bin(msgspec.Struct, frozen=True):
    """A bin of a check for drift, as it is listed."""

    values: str
    golden: float
    current: float


class Index(msgspec.Struct, frozen=True):
    """The index of a check [nat], and what chance alone may give."""

    value: float | None = None
    critical: float | None = None
    bins: list[Bin] = []


class Distance(msgspec.Struct, frozen=True):
    """The greatest distance between two distributions."""

    statistic: float | None = None


class Alarm(msgspec.Struct, frozen=True):
    """The alarm over time after a check that was a look; None if none was on."""

    alarm: Any = None


class CheckLine(msgspec.Struct, frozen=True):
    """What is read of a line of the list of checks; other keys are read over."""

    time: datetime
    model_id: str
    digest: str
    arm: str | None = None
    overall_drift: bool | None = None
    reasons: list[str] = []
    psi: Index = Index()
    ks: Distance = Distance()
    rows: dict[str, Any] = {}
    over_time: Alarm | None = None

    @property
    def said(self) -> str:
        """The verdict in words."""
        return {True: "drift", False: "no drift", None: "cannot tell"}[self.overall_drift]


_line = msgspec.json.Decoder(CheckLine)


def checks(artifacts: Artifacts, *, most: int, digest: str = "") -> Iterator[CheckLine]:
    """Read the newest checks, the newest first; lines that are not one are passed over.

    Parameters
    ----------
    artifacts : Artifacts
    most : int
        How many lines are read, from the end.
    digest : str, optional
        Read only those of this model.
    """
    if not is_file(artifacts.drift_checks):
        return
    with closing(lines_from_end(artifacts.drift_checks, holding=digest.encode())) as lines:
        for text in islice(lines, most):
            try:
                found = _line.decode(text)
            except NOT_A_RECORD:
                continue
            if digest in ("", found.digest):
                yield found
