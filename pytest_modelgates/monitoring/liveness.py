"""Whether each gate is alive: when it ran, was red, was proved able to fail, and what became of what it judged."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..artifacts import Artifacts, is_id
from ..errors import ModelgatesError
from ..evidence.proof import StoredProof, read_proof
from ..evidence.report import Evidence, GateRecord, StoredReport, read_report, reports_in
from ..evidence.verdict import Verdict, base_name, judge
from ..policy.policy import Policy
from ..registry.store import went_live
from ..storage.paths import entries, is_folder
from ..storage.text import first_line
from .compare import compare
from .realised import Mean

VERSIONS = 5  # whose margins are shown
RUNS = 5  # that are read of each model, where not all are


@dataclass(slots=True)
class GateHistory:
    """What is known of one gate.

    Parameters
    ----------
    gate : str
    last_ran, last_red, last_proved : datetime, optional
        When it ran on a model last, when it last failed one, and when it last failed a twin that it must fail.
    verdicts : dict of str to Verdict
        By model, of its last run.
    margins : dict of str to (float or None)
        By model: the distance of what it measured last to the nearer bound of its limit [unit of the gate], negative
        beyond it; the least of several limits, None where nothing was measured.
    measured : dict of str to Evidence
        By model, what it recorded last against the limit of its own name; of named models alone.
    """

    gate: str
    last_ran: datetime | None = None
    last_red: datetime | None = None
    last_proved: datetime | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    margins: dict[str, float | None] = field(default_factory=dict)
    measured: dict[str, Evidence] = field(default_factory=dict)

    @property
    def times(self) -> tuple[datetime | None, datetime | None, datetime | None]:
        """When it last ran, was last red, and was last proved able to fail."""
        return self.last_ran, self.last_red, self.last_proved

    @property
    def unproved(self) -> bool:
        """Whether it ran, and nothing shows that it can fail: it never did, neither on a model nor on a twin."""
        return self.last_ran is not None and self.last_red is None and self.last_proved is None

    @property
    def newest_margins(self) -> list[float | None]:
        """Its margins on the newest models, oldest first."""
        return [self.margins[model_id] for model_id in sorted(self.margins, key=int)[-VERSIONS:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """A model that was let through, and rolled back later: when, why, and by how many gates it had passed."""

    model_id: str
    time: datetime
    reason: str
    passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A model that hard gates failed, and what following it in shadow would have earned beyond the live model.

    `earned_more` is of a day after costs [share of capital]; None if it cannot be told, and `why` then says so.
    """

    model_id: str
    by: tuple[str, ...]
    earned_more: Mean | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """All gates, in the order of the policy, and models on which they may have been wrong.

    `unread` says which reports and proofs could not be read.
    """

    gates: tuple[GateHistory, ...]
    rolled_back: tuple[RolledBack, ...]
    refused: tuple[Refused, ...]
    unread: tuple[str, ...]


def liveness(artifacts: Artifacts, policy: Policy, *, models: Sequence[str] | None = None) -> Liveness:
    """Read every report, proof and rollback of a registry.

    Records are judged anew, by the limits of the policy in force.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    models : sequence of str, optional
        Read only what is of these models, and of each the newest 5 reports. What refused ones would have earned is not
        asked then, since that reads the log of predictions.
    """
    found = {name: GateHistory(name) for name, slo in policy.slo.items() if slo.gate is None}
    unread: list[str] = []
    for stored in _reports(artifacts, policy, unread, models):
        ledger = stored.report.modelgates
        for model_id, run in ledger.models.items():
            if not is_id(model_id):
                unread.append(f"{stored.path}: is of {model_id!r}, which is no model id")
                continue
            for record in run.gates:
                history = found.setdefault(record.gate, GateHistory(record.gate))
                _add(history, record, model_id, ledger.run.finished, policy)
                if models is not None:  # of all models of a large registry it would not fit in memory
                    own = [each for each in record.evidence if each.slo == base_name(record.gate)]
                    history.measured.update((model_id, each) for each in own)
    for trial, created in _trials(artifacts, policy, unread, models):
        history = found.setdefault(trial, GateHistory(trial))
        history.last_proved = max(created, history.last_proved or created)
    # A gate that runs once for each parameter is listed by its runs.
    parametrized = {base_name(name) for name in found if name != base_name(name)}
    places = {name: place for place, name in enumerate(policy.slo)}
    gates = sorted(
        (history for name, history in found.items() if name not in parametrized),
        key=lambda history: (places.get(base_name(history.gate), len(places)), history.gate),
    )
    return Liveness(
        gates=tuple(gates),
        rolled_back=tuple(_rolled_back(artifacts, gates)),
        refused=tuple(_refused(artifacts, policy, gates)) if models is None else (),
        unread=tuple(unread),
    )


def _reports(
    artifacts: Artifacts, policy: Policy, unread: list[str], models: Sequence[str] | None
) -> Iterator[StoredReport]:
    """Read every report, oldest first: the sealed one of a run only where the plain one is not beside it."""
    most = RUNS
    if models is None:
        models, most = [name for folder in entries(artifacts.all_reports) if is_id(name := folder.name)], 0  # all
    found = list[Path]()
    for each in models:
        try:
            found += reports_in(artifacts.reports(each))[-most:]
        except OSError as error:
            unread.append(f"{artifacts.reports(each)}: {error.strerror or error}")
    for path in sorted(found, key=lambda path: path.name):
        try:
            yield read_report(path, keys=policy.evidence.keys)
        except (ModelgatesError, OSError) as error:
            unread.append(f"{path}: {first_line(error)}")


def _add(history: GateHistory, record: GateRecord, model_id: str, time: datetime, policy: Policy) -> None:
    """Add one run of a gate; runs come oldest first."""
    if base_name(record.gate) not in policy.slo:  # the policy knew it once
        history.last_ran = time
        return
    verdict, _ = judge(record, policy)
    if verdict is Verdict.NOT_RUN:
        return
    history.last_ran = time
    if verdict is Verdict.FAILED:
        history.last_red = time
    history.verdicts[model_id] = verdict
    known = [
        margin
        for evidence in record.evidence
        if evidence.value is not None and evidence.slo in policy.slo and evidence.not_asked is None
        if (margin := policy.limit(evidence.slo).margin(evidence.value)) is not None
    ]
    history.margins[model_id] = min(known, default=None)


def _trials(
    artifacts: Artifacts, policy: Policy, unread: list[str], models: Sequence[str] | None
) -> Iterator[tuple[str, datetime]]:
    """Give each gate that failed a twin, and when."""
    names = {path.name.partition(".")[0] for path in entries(artifacts.proofs, "*.json")}
    names &= names if models is None else set(models)
    for name in sorted(filter(is_id, names)):
        stored = read_proof(artifacts.proof(name), keys=policy.evidence.keys)
        if not isinstance(stored, StoredProof):
            unread.append(f"{artifacts.proof(name)}: {first_line(stored) if stored else 'no proof'}")
            continue
        yield from ((trial.gate, stored.proof.created) for trial in stored.proof.trials if trial.red(policy))


def _rolled_back(artifacts: Artifacts, gates: Sequence[GateHistory]) -> Iterator[RolledBack]:
    """Give each model that somebody or something went back from, the latest first and each once."""
    seen = set[str]()
    for change in went_live(artifacts):
        model_id = change.from_
        if change.action != "rollback" or model_id is None or model_id in seen:
            continue
        seen.add(model_id)
        passed = sum(history.verdicts.get(model_id) is Verdict.PASSED for history in gates)
        yield RolledBack(model_id=model_id, time=change.time, reason=change.reason, passed=passed)


def _refused(artifacts: Artifacts, policy: Policy, gates: Sequence[GateHistory]) -> Iterator[Refused]:
    """Give each model that a hard gate failed and that never went live, the newest first."""
    by: dict[str, list[str]] = {}
    for history in gates:
        slo = policy.slo.get(base_name(history.gate))
        for model_id, verdict in history.verdicts.items():
            if slo and slo.severity == "hard" and verdict is Verdict.FAILED:
                by.setdefault(model_id, []).append(history.gate)
    with closing(went_live(artifacts)) as changes:
        let_through = {change.to for change in changes}
    for model_id in sorted(by.keys() - let_through, key=int, reverse=True):
        more, why = None, "no outcome is known yet; see: modelgates outcomes add"
        if is_folder(artifacts.outcomes):
            try:
                compared = compare(artifacts, policy, artifacts.model(model_id))
                more, why = compared.earned_more, compared.not_earned or why
            except ModelgatesError as error:
                why = first_line(error)
        yield Refused(model_id=model_id, by=tuple(by[model_id]), earned_more=more, why=None if more else why)
