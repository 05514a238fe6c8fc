"""What Prometheus reads of a registry: the live model, what its gates measured, drift, what came of its predictions."""

from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from ..artifacts import Artifacts
from ..audit.kill import killed
from ..errors import FormatError, ModelgatesError
from ..evidence.report import StoredReport, read_report, reports_in
from ..evidence.verdict import Verdict, base_name, judge
from ..extras import extra
from ..model.directory import LocalDirectory
from ..policy.policy import Policy
from ..predictions.counting import Window
from ..registry.in_force import InForce
from ..registry.status import status
from ..serving.paper_ledger import read_ledger
from ..storage.paths import is_folder
from .checks import checks
from .realised import realised

_MOST_CHECKS = 500  # lines of the list of checks, from its end


class _Gauges:
    """Gauges in a registry of their own, made when they are first set."""

    def __init__(self) -> None:
        self._client = extra("prometheus_client", "serve")
        self._registry = self._client.CollectorRegistry()
        self._gauges: dict[str, Any] = {}

    def set(
        self, name: str, about: str, value: float | datetime | None, labels: Mapping[str, str] | None = None
    ) -> None:
        """Set a gauge; what is not known is left out."""
        if value is None:
            return
        if name not in self._gauges:
            self._gauges[name] = self._client.Gauge(
                name, about, list(labels or ()), namespace="modelgates", registry=self._registry
            )
        gauge = self._gauges[name].labels(*labels.values()) if labels else self._gauges[name]
        gauge.set(value.timestamp() if isinstance(value, datetime) else value)

    def text(self) -> bytes:
        """Write them as Prometheus reads them."""
        text: bytes = self._client.generate_latest(self._registry)
        return text


def exposition(artifacts: Artifacts, in_force: InForce) -> bytes:
    """Write what is known of a registry in the text format of Prometheus.

    What nothing is known of is left out: a series that is absent can be asked for, and 0 would be a claim.

    Parameters
    ----------
    artifacts : Artifacts
    in_force : InForce

    Raises
    ------
    MissingExtraError
        Without the client of Prometheus.
    """
    gauges, found = _Gauges(), status(artifacts, in_force)
    gauges.set("registry_problems", "What `modelgates status` finds wrong.", len(found.problems))
    for each in killed(artifacts):
        gauges.set("arm_killed", "1 for each arm that is stopped, or for all.", 1, {"arm": each.arm})
    if found.live and found.digest:
        gauges.set("live_since_seconds", "When the live model was promoted or rolled back to.", found.since)
        try:
            with LocalDirectory(artifacts.model(found.live)) as model:
                sidecar = model.sidecar
        except (ModelgatesError, OSError):  # `status` has counted it as a problem
            return gauges.text()
        labels = {"name": sidecar.name, "version": found.live, "digest": found.digest}
        gauges.set("live_model_info", "The live model.", 1, labels)
        if stored := _newest_report(artifacts, found.live, found.digest, in_force.policy):
            _gates(gauges, stored, found.live, in_force.policy)
        _drift(gauges, artifacts, found.digest)
        _paper(gauges, artifacts)
        if is_folder(artifacts.outcomes):
            window = Window(digest=found.digest)
            try:
                came = realised(artifacts, in_force.policy, sidecar, found.live, "live", window)
            except ModelgatesError:  # too little is known yet
                return gauges.text()
            gauges.set("realised_rows", "Rows that were predicted live, and whose outcome is known.", came.rows)
            if traded := came.traded:
                gauges.set("realised_ic", "Mean of the daily IC.", traded.ic.value)
                gauges.set("realised_ic_after_costs", "The same after costs.", traded.ic_net.value)
                gauges.set("realised_pnl", "Sum of the net returns on paper [share of capital].", traded.earned)
            elif came.metric:
                gauges.set("realised_metric", "The metric of the model.", came.metric[1], {"metric": came.metric[0]})
    return gauges.text()


def _newest_report(artifacts: Artifacts, model_id: str, digest: str, policy: Policy) -> StoredReport | None:
    """Find the newest report of these bytes."""
    for path in reversed(reports_in(artifacts.reports(model_id))):
        try:
            stored = read_report(path, keys=policy.evidence.keys)
        except (ModelgatesError, OSError):
            continue
        run = stored.report.modelgates.models.get(model_id)
        if run and run.digest_before == run.digest_after == digest:
            return stored
    return None


def _gates(gauges: _Gauges, stored: StoredReport, model_id: str, policy: Policy) -> None:
    ledger = stored.report.modelgates
    gauges.set("gates_finished_seconds", "When the gates last ran on the live model.", ledger.run.finished)
    for record in ledger.models[model_id].gates:
        if base_name(record.gate) not in policy.slo:
            continue
        verdict, _ = judge(record, policy)
        labels = {"gate": record.gate, "severity": record.severity}
        gauges.set("gate_passed", "1 for a gate that passed, 0 for any other.", verdict is Verdict.PASSED, labels)
        gauges.set(
            "gate_failed", "1 for a gate that measured a miss, 0 for any other.", verdict is Verdict.FAILED, labels
        )
        for evidence in record.evidence:
            if evidence.slo not in policy.slo or evidence.value is None:
                continue
            slo = policy.limit(evidence.slo)
            of = {"slo": evidence.slo, "gate": record.gate, "unit": slo.unit}
            gauges.set("slo_value", "What a gate measured on the live model.", evidence.value, of)
            gauges.set("slo_margin", "Its distance to the nearer bound of the limit.", slo.margin(evidence.value), of)


def _drift(gauges: _Gauges, artifacts: Artifacts, digest: str) -> None:
    """Set what the newest check of the live predictions found, and the newest look whether an alarm is on."""
    found = (check for check in checks(artifacts, most=_MOST_CHECKS, digest=digest) if check.arm == "live")
    try:
        newest = next(found, None)
        # A check that spent nothing of the budget does not tell of the alarm.
        look = next((check for check in chain([newest], found) if check and check.over_time), None)
    except (FormatError, OSError):
        return
    if newest:
        gauges.set("drift_checked_seconds", "When the live predictions were last compared.", newest.time)
        gauges.set("drift_psi", "PSI of the live predictions against the golden.", newest.psi.value)
        gauges.set("drift_ks", "Largest distance of the two distributions.", newest.ks.statistic)
        gauges.set("drift", "1 for drift, 0 for none, absent if it could not be told.", newest.overall_drift)
    if look and look.over_time:
        gauges.set("drift_alarm", "1 while an alarm over time is on.", look.over_time.alarm is not None)


def _paper(gauges: _Gauges, artifacts: Artifacts) -> None:
    """Set what the ledger of the live arm says of its last day."""
    try:
        ledger = read_ledger(artifacts.paper("live"))
    except (ModelgatesError, OSError):  # `modelgates reconcile` says what is wrong with it
        return
    if ledger is None or not ledger.days:
        return
    capital, last = ledger.opening.capital_cents, ledger.days[-1]
    held = [each.position_cents for each in last.names]
    shares = {
        "pnl": ("Earned after costs since the beginning", last.value_cents - capital),
        "day": ("Earned after costs on the last day", last.net_cents),
        "turnover": ("Traded on the last day", sum(abs(each.trade_cents) for each in last.names)),
        "gross_exposure": ("Sum of the sizes of all positions", sum(map(abs, held))),
        "net_exposure": ("Long less short", sum(held)),
    }
    for name, (about, cents) in shares.items():
        gauges.set(f"paper_{name}", f"{about} on paper [share of capital].", cents / capital)
    gauges.set("paper_booked_seconds", "When the last day was booked.", last.booked)
