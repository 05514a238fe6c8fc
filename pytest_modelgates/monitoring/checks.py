"""The list of all checks for drift, `artifacts/drift/checks.jsonl`: how it is read, and what is added of gates."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import msgspec

from ..artifacts import Artifacts
from ..evidence.report import Ledger
from ..evidence.verdict import Verdict, judge
from ..policy.policy import Policy
from ..predictions.records import NOT_A_RECORD, Arm
from ..storage.atomic import make_folder
from ..storage.lines import append_atomic, lines_from_end
from ..storage.paths import is_file
from ..storage.strict_json import Moment

PSI, KS = "drift.psi", "drift.ks"


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


class Newest(msgspec.Struct, frozen=True):
    """The rows since the look before, and their index [nat]."""

    rows: int = 0
    psi: float | None = None


class Alarm(msgspec.Struct, frozen=True):
    """The alarm over time after a check that was a look; None if none was on."""

    alarm: Any = None
    window: Newest | None = None


class CheckLine(msgspec.Struct, frozen=True):
    """What is read of a line of the list of checks; other keys are read over."""

    time: Moment
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
        """The verdict in words; an alarm over time is one too, though all rows together may show nothing."""
        if self.over_time and self.over_time.alarm:
            return "drift over time"
        return {True: "drift", False: "no drift", None: "cannot tell"}[self.overall_drift]

    @property
    def why(self) -> str:
        """What speaks for drift, or against a verdict."""
        newest = self.over_time.window if self.over_time and self.over_time.alarm else None
        of_newest = [f"PSI {newest.psi:.3f} of the newest {newest.rows} rows"] if newest and newest.psi else []
        return "; ".join([*of_newest, *self.reasons])


_line = msgspec.json.Decoder(CheckLine)


def record(artifacts: Artifacts, line: Mapping[str, Any]) -> None:
    """Append a check to the list; raises OSError if it cannot be written."""
    make_folder(artifacts.drift_checks.parent, mode=artifacts.directory_mode)
    append_atomic(artifacts.drift_checks, msgspec.json.encode(line) + b"\n", mode=artifacts.file_mode)


def of_gates(ledger: Ledger, model_id: str, policy: Policy, *, arm: Arm) -> dict[str, Any] | None:
    """Put what gates found of drift in a line of the list; None if they measured no index.

    A report has no shares of bins, and looks over time pass the line over.

    Parameters
    ----------
    ledger : Ledger
    model_id : str
    policy : Policy
        Its limits say what is drift.
    arm : str
        Where the rows were scored.
    """
    found = ledger.models[model_id]
    gates = {gate.gate: gate for gate in found.gates if gate.gate in (PSI, KS)}
    measured = {each.slo: each for gate in gates.values() for each in gate.evidence if each.state == "measured"}
    if (psi := measured.get(PSI)) is None:
        return None
    ks = measured.get(KS)
    judged = {name: judge(gate, policy) for name, gate in gates.items()}
    verdicts = {verdict for verdict, _ in judged.values()}
    drift = True if Verdict.FAILED in verdicts else False if verdicts == {Verdict.PASSED} else None
    return {
        "format": 1,
        "time": ledger.run.finished,
        "model_id": model_id,
        "digest": found.digest_after,
        "by": "gates",
        "arm": arm,
        "rows": {"current": psi.sample},
        "overall_drift": drift,
        "reasons": [f"{name} {why}" for name, (verdict, why) in judged.items() if verdict is not Verdict.PASSED],
        "psi": {
            "value": psi.detail.get("index", psi.value),
            "judged": psi.value,
            "critical": psi.detail.get("critical"),
        },
        "ks": {name: ks.detail.get(name) for name in ("statistic", "p_value")} if ks else {},
    }


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
