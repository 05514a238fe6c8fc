"""May this model go live? Pure: plain values in, every reason against it out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..evidence.reasons import Reason
from ..evidence.report import GateRecord, ModelRun, Report
from ..evidence.trust import CORE, Trust
from ..evidence.verdict import Verdict, base_name, combine, promotes, weigh
from ..model.manifest import Manifest
from ..model.sidecar import Sidecar
from ..policy.policy import Policy
from ..policy.sections import Waiver


@dataclass(frozen=True, slots=True)
class Subject:
    """What the promoter itself knows of the model: its id, its bytes, its schema."""

    model_id: str
    directory: str
    digest: str
    manifest: Manifest
    sidecar: Sidecar


def report_reasons(
    subject: Subject, report: Report, policy: Policy, trust: Trust, *, first: bool, now: datetime, gate: str
) -> tuple[list[Reason], list[Waiver]]:
    """Hold a report against the model, the policy and the code that is trusted.

    Parameters
    ----------
    subject : Subject
    report : Report
    policy : Policy
        The promoter's own; limits and required gates come from here, never from the report.
    trust : Trust
        Digests of the gate files and of the package that the promoter has.
    first : bool
        Nothing was ever promoted here, so there may be no reference yet.
    now : datetime
    gate : str
        The command that makes a report of this model.

    Returns
    -------
    list of Reason
        Empty if the run was complete and every hard gate passed or is waived.
    list of Waiver
        Those that were needed.
    """
    ledger = report.modelgates
    if subject.model_id not in ledger.models:
        names = ", ".join(ledger.models) or "no model"
        return [Reason(f"the report is of {names}, not of {subject.model_id}", gate)], []
    run = ledger.models[subject.model_id]
    required = policy.required_gates(subject.sidecar)
    reasons = _run_reasons(subject, report, run, policy, now=now, gate=gate)
    if misfit := policy.why_not_admitted(subject.sidecar):
        reasons.append(Reason(f"{subject.model_id} {misfit[0]}", misfit[1]))
    # A team's own hard gates count as well, under whatever parameters they ran.
    own = [record.gate for record in run.gates if _is_hard(record, policy)]
    judged = list(dict.fromkeys([*required, *own]))
    reasons += _origin_reasons(report, run, judged, policy, trust, repair=f"modelgates gate {subject.directory}")
    missed, counted, waivers = _gate_reasons(subject, run, policy, judged, first=first, now=now, gate=gate)
    if not missed and not promotes(combine(counted[name] for name in required), policy, first=first):
        missed.append(Reason("the policy requires no hard gate, so nothing would be shown", "give it hard gates"))
    return [*reasons, *missed], waivers


def _is_hard(record: GateRecord, policy: Policy) -> bool:
    slo = policy.slo.get(base_name(record.gate))
    return record.severity == "hard" or (slo is not None and slo.severity == "hard")


def _run_reasons(
    subject: Subject, report: Report, run: ModelRun, policy: Policy, *, now: datetime, gate: str
) -> list[Reason]:
    info, found = report.modelgates.run, []
    if info.exit_status != report.exitcode:
        found.append(f"pytest ended with {info.exit_status}, the report says {report.exitcode}")
    if info.exit_status != 0:
        found.append(f"pytest ended with {info.exit_status}, a green run ends with 0")
    if run.digest_before != run.digest_after:
        found.append("the model's files changed while the gates ran")
    if run.digest_before != subject.digest:
        found.append(
            f"the report is of other bytes ({run.digest_before[:12]}…) than the model has now ({subject.digest[:12]}…)"
        )
    if info.policy_digest != policy.digest:
        found.append(
            f"the run used another policy ({info.policy_source}) than this promotion; give both the same --policy"
        )
    if info.optimize:
        found.append("asserts were switched off while the gates ran (PYTHONOPTIMIZE, python -O)")
    if now - info.finished > timedelta(hours=policy.evidence.max_age_hours):
        found.append(f"the report is older than {policy.evidence.max_age_hours:g} hours")
    if info.finished > now:
        found.append(f"the report is from the future ({info.finished:%Y-%m-%d %H:%M:%S} UTC)")
    if info.started < subject.manifest.created:
        found.append(f"the run began before the model was packed ({subject.manifest.created:%Y-%m-%d %H:%M:%S} UTC)")
    reasons = [Reason(text, gate) for text in found]
    if report.sealed_by is None and policy.evidence.level == "sealed":
        text = "the report is not sealed, and the policy asks for one that is"
        reasons.append(Reason(text, f"modelgates gate {subject.directory} --key FILE"))
    return reasons


def _origin_reasons(
    report: Report, run: ModelRun, judged: list[str], policy: Policy, trust: Trust, *, repair: str
) -> list[Reason]:
    info, found = report.modelgates.run, []
    if info.package_digest != trust.package:
        found.append("the run used another version of pytest-modelgates than this promotion")
    for origin, names in info.hooks.items():
        if origin not in policy.evidence.plugins:
            found.append(f"{origin} can alter the run ({', '.join(names)}), and the policy lists no such plugin")
    known = {*CORE, *policy.evidence.plugins}
    for record in run.gates:
        if record.gate not in judged:
            continue
        if info.suite.get(record.file) not in trust.gates:
            found.append(f"{record.gate} was defined in {record.file}, which is no gate file that counts here")
        for fixture, origin in record.fixtures.items():
            if origin not in known and info.suite.get(origin) not in trust.gates:
                found.append(f"{record.gate} got its fixture {fixture!r} from {origin}")
    return [Reason(text, repair) for text in found]


def _gate_reasons(
    subject: Subject, run: ModelRun, policy: Policy, judged: list[str], *, first: bool, now: datetime, gate: str
) -> tuple[list[Reason], dict[str, Verdict], list[Waiver]]:
    """Give what speaks against each gate, what each counts as, and the waivers that were needed."""
    records: dict[str, list[GateRecord]] = {}
    for record in run.gates:
        records.setdefault(record.gate, []).append(record)
    reasons, counted, waivers = [], dict.fromkeys(judged, Verdict.NOT_RUN), []
    for name in judged:
        found = records.get(name, [])
        if len(found) != 1:
            text = "is not in the report" if not found else f"is in the report {len(found)} times"
            reasons.append(Reason(f"{name} {text}", gate))
            continue
        (record,) = found
        if base_name(name) not in policy.slo:
            reasons.append(Reason(f"{name} is no gate that the policy knows", gate))
            continue
        if record.severity != "hard":
            reasons.append(Reason(f"{name} ran as a soft gate, the policy requires it", gate))
        judged_record = weigh(record, policy, digest=subject.digest, day=now.date())
        counted[name], why, waiver = judged_record.verdict, judged_record.why, judged_record.waiver
        if waiver:
            waivers.append(waiver)
            counted[name] = Verdict.PASSED
        if promotes(counted[name], policy, first=first):
            continue
        row = policy.waiver_of(name, subject.digest)
        expired = f"; its waiver ended on {row.until}" if row and not row.in_force(now.date()) else ""
        # What did not run says nothing of the model: another run mends that, no other model.
        ran = counted[name] not in (Verdict.NOT_RUN, Verdict.ERRORED)
        repair = policy.limit(base_name(name)).advice if ran else gate
        reasons.append(Reason(f"{name} {counted[name]}: {why}{expired}", repair))
    return reasons, counted, waivers
