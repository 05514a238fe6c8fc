"""May this model go live? Every reason against it, decided from facts alone: no disk, no clock, no environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from ..evidence.origins import gates_that_count, is_hard, origin_reasons
from ..evidence.proof import ProofRead, proof_reasons
from ..evidence.reasons import Reason, few, together
from ..evidence.report import CLOCKS_DIFFER, GateRecord, Ledger, ModelRun, StoredReport
from ..evidence.results import own_results, seal_problems
from ..evidence.trust import Trust
from ..evidence.verdict import Verdict, advice, base_name, judge, promotes, weigh
from ..model.manifest import Manifest
from ..model.sidecar import Sidecar
from ..policy.families import family_of
from ..policy.policy import Policy
from ..policy.sections import Waiver
from ..predictions.following import Recent
from .criteria import DRIFT, night_reasons, shadow_reasons
from .nights import Night
from .way_back import WayBack, way_back_reasons

COUNTS = "significance.p_adjusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that decides a promotion, as the promoter itself read it.

    Parameters
    ----------
    model_id : str
    directory : Path
    digest : str
        Of the model directory's files, as they are now.
    manifest : Manifest
    sidecar : Sidecar
    golden : ndarray, shape (n,)
        The model's predictions on its panel.
    live : str or None
        The live model; None before the first promotion.
    files : mapping of str to str
        SHA-256 of each of its files.
    live_digest : str or None
        Its digest when it went live.
    live_name : str or None
        What it is called; None if that cannot be read.
    way_back : WayBack or None
        What the rehearsal of a rollback to it found; None if nobody asked for one.
    stored : StoredReport
        The report of the gate run.
    trusted : Trust
        Digests of the gate files and of the package that the promoter has.
    proof : ProofRead
        Not read unless the policy asks for a proof.
    denied : str or None
        Why the policy does not let this actor promote.
    log_problems : sequence of str
        What speaks against the audit log; not asked once something is live.
    nights : sequence of Night
        Newest first; not read until something is live.
    shadow : Recent or None
        What this model did in shadow lately; not read until something is live.
    seen : int
        How many trials on the model's market data were in the registry's ledger when the run began.
    """

    model_id: str
    directory: Path
    digest: str
    manifest: Manifest
    sidecar: Sidecar
    golden: np.ndarray
    live: str | None
    stored: StoredReport
    trusted: Trust
    live_digest: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    live_name: str | None = None
    way_back: WayBack | None = None
    proof: ProofRead = None
    denied: str | None = None
    log_problems: Sequence[str] = ()
    nights: Sequence[Night] = ()
    shadow: Recent | None = None
    seen: int = 1

    @property
    def ledger(self) -> Ledger:
        """What the report says of the run and of each model."""
        return self.stored.report.modelgates

    @property
    def first(self) -> bool:
        """Whether nothing was ever promoted here, so that there may be nothing to compare with yet."""
        return self.live is None

    @property
    def unseen(self) -> bool:
        """Whether there is a live model to compare with, and the candidate never ran beside it."""
        return not self.first and not self.shadow

    @property
    def gate(self) -> str:
        """The command that makes a report of this model."""
        return f"pytest --model-dir={self.directory}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A model whose directory is not sound, so that nothing else about it can be judged."""

    model_id: str
    live: str | None
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """Every reason against a promotion, none if it may go ahead, and the waivers that it needs."""

    reasons: Sequence[Reason]
    waivers: Sequence[Waiver]


def decide(facts: Facts | Damaged, policy: Policy, *, now: datetime) -> Decision:
    """Find every reason against a promotion.

    Parameters
    ----------
    facts : Facts or Damaged
    policy : Policy
        The promoter's own; limits and required gates come from here, never from the report.
    now : datetime
    """
    if isinstance(facts, Damaged):
        return Decision([Reason(problem, "pack it again") for problem in facts.problems], [])
    reasons, waivers, waiting = _report_reasons(facts, policy, now=now)
    if policy.evidence.proof:
        required, prove = policy.required_gates(facts.sidecar), f"modelgates prove {facts.directory}"
        reasons += proof_reasons(facts.proof, required, policy, facts.trusted, digest=facts.digest, repair=prove)
    if facts.model_id == facts.live:
        reasons.append(Reason(f"{facts.model_id} is live already", "modelgates status"))
    if facts.live_name not in (None, facts.sidecar.name):
        names = f"it is called {facts.sidecar.name!r}, and the live model {facts.live_name!r}"
        reasons.append(Reason(f"{names}; one artifacts root has one name", "pack it into a root of its own"))
    if facts.denied:
        repair = "ask one of them, or add the actor to [registry] may_promote in the policy"
        reasons.append(Reason(facts.denied, repair))
    reasons += [Reason(problem, "put promotions.log and latest back from a copy") for problem in facts.log_problems]
    # Nights and hours in shadow protect a live model. The first one replaces nothing.
    if not facts.first:
        reasons += night_reasons(facts.nights, policy, today=now.date(), repair=f"{facts.gate} every night")
        live_rows = facts.directory.parents[1] / "live_data.csv"  # where the example of `init` writes them
        shadow = f"modelgates shadow --onnx {facts.directory / 'model.onnx'} --csv {live_rows}"
        repair = f"{shadow}; then {facts.gate}" if waiting else shadow
        waived = any(waiver.gate == DRIFT for waiver in waivers)
        reasons += shadow_reasons(
            facts.shadow, facts.golden, policy, repair=repair, waiting=waiting, drift_waived=waived
        )
    if facts.way_back:
        reasons += way_back_reasons(
            facts.way_back,
            policy,
            live=facts.live,
            digest=facts.live_digest,
            repair=f"modelgates promote {facts.directory}",
        )
    return Decision(reasons, waivers)


def _report_reasons(facts: Facts, policy: Policy, *, now: datetime) -> tuple[list[Reason], list[Waiver], list[str]]:
    """Compare the report with the model, the policy and the trusted code; list the gates that wait for a shadow run."""
    models = facts.ledger.models
    if facts.model_id not in models:
        names = ", ".join(models) or "no model"
        return [Reason(f"the report is of {names}, not of {facts.model_id}", facts.gate)], [], []
    run = models[facts.model_id]
    required = policy.required_gates(facts.sidecar)
    reasons = _run_reasons(facts, run, policy, now=now)
    if misfit := policy.why_not_admitted(facts.sidecar):
        reasons.append(Reason(f"{facts.model_id} {misfit[0]}", misfit[1]))
    judged = gates_that_count(run, facts.sidecar, policy)
    reasons += origin_reasons(
        facts.ledger, run, judged, policy, facts.trusted, repair=f"modelgates gate {facts.directory}"
    )
    missed, waivers, waiting = _gate_reasons(facts, run, policy, judged, now=now)
    reasons += missed
    if not required:
        reasons.append(
            Reason("the policy requires no hard gate, so nothing would be shown", "add hard gates to the policy")
        )
    return reasons, waivers, waiting


def _run_reasons(facts: Facts, run: ModelRun, policy: Policy, *, now: datetime) -> list[Reason]:
    info, exitcode, found = facts.ledger.run, facts.stored.report.exitcode, []
    if info.exit_status != exitcode:
        found.append(f"pytest ended with {info.exit_status}, the report says {exitcode}")
    if info.exit_status != 0:
        found.append(f"pytest ended with {info.exit_status}, a green run ends with 0")
        found += _broken(facts, run, policy)
    if run.digest_before != run.digest_after:
        found.append("the model's files changed while the gates ran")
    if run.digest_before != facts.digest:
        found.append(
            f"the report is of other bytes ({run.digest_before[:12]}…) than the model has now ({facts.digest[:12]}…)"
        )
    if info.policy_digest != policy.digest:
        found.append(
            f"the run used another policy ({info.policy_source}) than this promotion; give both the same --policy"
        )
    if info.optimize:
        found.append("asserts were switched off while the gates ran (PYTHONOPTIMIZE, python -O)")
    if now - info.finished > timedelta(hours=policy.evidence.max_age_hours):
        found.append(f"the report is older than {policy.evidence.max_age_hours:g} hours")
    if info.finished > now + CLOCKS_DIFFER:
        found.append(f"the report is from the future ({info.finished:%Y-%m-%d %H:%M:%S} UTC)")
    if info.started < facts.manifest.created - CLOCKS_DIFFER:
        found.append(f"the run began before the model was packed ({facts.manifest.created:%Y-%m-%d %H:%M:%S} UTC)")
    reasons, seal = [Reason(text, facts.gate) for text in found], f"modelgates gate {facts.directory} --key FILE"
    if info.shard is not msgspec.UNSET:
        merge = f"modelgates report merge {facts.directory} REPORT …, the reports of all shards"
        reasons.append(Reason(f"the report is of shard {info.shard} alone", merge))
    if facts.stored.sealed:
        own = own_results(run, info, policy)
        reasons += [Reason(text, seal) for text in seal_problems(facts.stored.sealed, own)]
    if facts.stored.sealed_by is None and policy.evidence.level == "sealed":
        text = "the report is not sealed, and the policy asks for one that is"
        reasons.append(Reason(text, seal))
    return reasons


def _uncounted(facts: Facts, record: GateRecord) -> list[Reason]:
    """Refuse a count of trials that was made elsewhere, where the registry's ledger was not at hand."""
    counted = [entry.detail["tried"] for entry in record.evidence if entry.slo == COUNTS and "tried" in entry.detail]
    if not (counted and isinstance(counted[0], int) and counted[0] < facts.seen):
        return []
    text = f"{COUNTS} counts {counted[0]} trials on this market data, {facts.seen} were known here when the run began"
    return [Reason(text, f"modelgates gate {facts.directory}")]


def _broken(facts: Facts, run: ModelRun, policy: Policy) -> list[str]:
    """Name what made pytest end with an error besides the gates that count, which are judged one by one."""
    found = []
    for record in run.gates:
        if not is_hard(record, policy) and any(phase.outcome == "failed" for phase in record.phases):
            verdict, why = judge(record, policy)
            soft = "--strict-soft lets it" if facts.ledger.run.strict_soft else "a soft gate that breaks does"
            found.append(f"{record.gate} {verdict}: {why}, which fails the run: {soft}")
    tests = facts.stored.parsed.get("tests", [])
    gates = {record.node_id for every in facts.ledger.models.values() for record in every.gates}
    beside = [
        str(test.get("nodeid"))
        for test in (tests if isinstance(tests, list) else [])
        if isinstance(test, dict) and test.get("outcome") in ("failed", "error") and test.get("nodeid") not in gates
    ]
    return [*found, f"{few(beside)} failed beside the gates"] if beside else found


def _gate_reasons(
    facts: Facts, run: ModelRun, policy: Policy, judged: list[str], *, now: datetime
) -> tuple[list[Reason], list[Waiver], list[str]]:
    """Find what speaks against each gate, the waivers that are needed, and the gates that wait for a shadow run."""
    records: dict[str, list[GateRecord]] = {}
    for record in run.gates:
        records.setdefault(record.gate, []).append(record)
    reasons, waivers, waiting = list[Reason](), list[Waiver](), list[str]()
    said: dict[tuple[str, str], list[str]] = {}
    for name in judged:
        found = records.get(name, [])
        if len(found) != 1:
            text = " is not in the report" if not found else f" is in the report {len(found)} times"
            said.setdefault((text, facts.gate), []).append(name)
            continue
        (record,) = found
        if base_name(name) not in policy.slo:
            said.setdefault((" is not a gate that the policy knows", facts.gate), []).append(name)
            continue
        if record.severity != "hard":
            said.setdefault((" ran as a soft gate, the policy requires it", facts.gate), []).append(name)
        each = weigh(record, policy, digest=facts.digest, day=now.date())
        if each.waiver:
            waivers.append(each.waiver)
            continue
        if promotes(each.verdict, policy, first=facts.first):
            reasons += _uncounted(facts, record)
            continue
        row = policy.waiver_of(name, facts.digest)
        expired = f"; its waiver ended on {row.until}" if row and not row.in_force(now.date()) else ""
        if facts.unseen and each.verdict is Verdict.INCONCLUSIVE and family_of(name).compares and not expired:
            waiting.append(name)
            continue  # said once, with what else a candidate lacks that was never in shadow
        # A gate that measured nothing says nothing about the model, so the repair is another run, not another model.
        repair = advice(record, policy) if each.verdict is Verdict.FAILED else facts.gate
        said.setdefault((f" {each.verdict}: {each.why}{expired}", repair), []).append(name)
    missed = [
        Reason(f"{some}{text}", repair, failed=None if repair == facts.gate else base_name(names[0]))
        for (text, repair), names in said.items()
        for some in together(names)
    ]
    return missed + reasons, waivers, waiting
