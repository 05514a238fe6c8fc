"""What people are shown of a gate: one row for each value, in words and short numbers."""

from dataclasses import dataclass

from ..policy.limits import short
from ..policy.policy import Policy
from .report import Evidence
from .verdict import Judged, Verdict, base_name

NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A value of a gate beside its limit; `evidence` is None if nothing was recorded."""

    name: str
    severity: str
    measured: str
    limit: str
    margin: str
    word: str
    evidence: Evidence | None


def shown_of(judged: Judged, policy: Policy) -> list[Shown]:
    """Give one row for each value, with its own limit; a single row without numbers if nothing was measured."""
    rows, record = [], judged.record
    beyond = [each for each in record.evidence if not policy.limit(each.slo).contains(each.value)]
    for evidence in record.evidence or (None,):
        name = base_name(record.gate) if evidence is None else evidence.slo
        limit, value = policy.limit(name), evidence.value if evidence else None
        idle = evidence is not None and evidence.not_asked is not None
        distance = None if value is None or idle else limit.margin(value)
        # A gate may fail by one of several limits and keep this one.
        another = evidence not in beyond and bool(beyond) and judged.verdict is Verdict.FAILED
        rows.append(
            Shown(
                name=record.gate if name == base_name(record.gate) else name,
                severity=record.severity,
                measured="not asked" if idle else NOTHING if value is None else f"{short(value, 3)} {limit.unit}",
                limit=str(limit),
                margin=NOTHING if distance is None else f"{distance:.2g}",
                word="passed" if another else word_of(judged),
                evidence=evidence,
            )
        )
    return rows


def word_of(judged: Judged) -> str:
    """Name the verdict as the table does, in capitals where people should look."""
    word = verdict_shown(judged)
    return {"warned": "WARN", "waived": "WAIVED"}.get(word, word.removesuffix(" yet"))


def verdict_shown(judged: Judged) -> str:
    """Name the verdict, or what became of it: a miss that leaves the run green is warned of, or waived."""
    if judged.verdict is Verdict.FAILED and not judged.blocks:
        return "warned" if judged.record.severity == "soft" else "waived"
    return judged.verdict.value
