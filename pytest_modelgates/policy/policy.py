"""The policy in force: its SLOs and sections, and what they ask of one model."""

import json
from functools import cached_property
from typing import Literal

import msgspec

from ..errors import PolicyError
from ..model.sidecar import Sidecar, Task
from ..storage.digests import sha256
from ..storage.strict_json import canonical
from .families import Need, unanswerable
from .judging import NotJudging, judging
from .limits import Slo
from .sections import (
    AblationRules,
    CostRules,
    DataRules,
    DriftRules,
    EvidenceRules,
    LeakRules,
    OnnxRules,
    PromotionRules,
    RegistryRules,
    SignificanceRules,
    Waiver,
)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """The whole policy in force: the team's file over the packaged default.

    Each section judges, and counts in the digest, unless it is marked otherwise; so does each key of a section.
    """

    format: Literal[1]
    not_applicable: tuple[str, ...]
    tasks: dict[Task, tuple[str, ...]]
    promotion: PromotionRules
    costs: CostRules
    data: DataRules
    significance: SignificanceRules
    leak: LeakRules
    ablation: AblationRules
    drift: DriftRules
    onnx: OnnxRules
    evidence: EvidenceRules
    registry: NotJudging[RegistryRules]
    waiver: tuple[Waiver, ...] = ()
    slo: dict[str, Slo]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what judges in the policy in force, whatever files it came from."""
        return sha256(canonical(judging(self)))

    def limit(self, name: str) -> Slo:
        """Find an SLO."""
        if name not in self.slo:
            raise PolicyError(
                f'no SLO {name!r} in the policy; add [slo."{name}"] with its bounds, unit, severity and advice'
            )
        return self.slo[name]

    def waiver_of(self, gate: str, digest: str) -> Waiver | None:
        """Find the row that waives a gate for a model's bytes, expired or not."""
        return next((row for row in self.waiver if row.gate == gate and row.digest == digest), None)

    def slos_of(self, gate: str) -> list[str]:
        """Names of the SLOs that a gate must show evidence for; `gate` without its parameter."""
        return [name for name, slo in self.slo.items() if (slo.gate or name) == gate]

    def not_applicable_to(self, task: Task | None) -> tuple[str, ...]:
        """Families, and single gates, that do not apply to one kind of model; None is a kind that cannot be read."""
        return (*self.not_applicable, *(self.tasks.get(task, ()) if task else ()))

    def applies(self, gate: str, task: Task | None) -> bool:
        """Whether a gate applies to one kind of model."""
        return not {gate.partition("[")[0], gate.partition(".")[0]} & set(self.not_applicable_to(task))

    def notices(self, task: Task) -> list[str]:
        """What this policy leaves out of a gate that it asks of one kind of model; every run says so."""
        said = []
        if self.significance.placebo == "names" and self.applies("significance.placebo", task):
            said.append("significance.placebo: compares with other names alone, not with other days, says the policy")
        if self.applies("data.window", task):
            said += [f"data.window: {what}" for what in self.data.unasked]
        return said

    def why_not_admitted(self, sidecar: Sidecar) -> tuple[str, str] | None:
        """Why this policy cannot judge a model, and what to write into it; None if it can.

        A family that a model cannot answer must be declared not applicable in the policy: a model never decides for
        itself what it is asked.
        """
        task, lacking = sidecar.task, unanswerable(_needs_met(sidecar))
        asked = [name for name in lacking if self.applies(name, task)]
        if task in self.tasks and not asked:
            return None
        what = f"the policy asks it for {', '.join(asked)}" if task in self.tasks else "the policy admits no such model"
        wanted = json.dumps(list(dict.fromkeys([*self.tasks.get(task, ()), *lacking])))
        return (
            f"is a {task} model, and {what}",
            f"if it is meant to, write under [tasks] of the policy: {task} = {wanted}",
        )

    def required_gates(self, sidecar: Sidecar) -> list[str]:
        """Every hard gate that a model must pass, with parameters from its own sidecar or from the policy."""
        required = []
        for name, slo in self.slo.items():
            if slo.severity == "hard" and slo.gate is None and self.applies(name, sidecar.task):
                parameters = sidecar.groups if slo.each else slo.parameters
                required += [name] if parameters is None else [f"{name}[{parameter}]" for parameter in parameters]
        return required


def _needs_met(sidecar: Sidecar) -> frozenset[Need]:
    """Those needs of gates that the sidecar meets."""
    met: dict[Need, object] = {
        "returns": sidecar.task == "signal",
        "baseline": sidecar.task != "signal",
        "time": sidecar.time,
        "asset": sidecar.asset,
    }
    return frozenset(need for need, named in met.items() if named)
