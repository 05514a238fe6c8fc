"""The verb that does what is due every night: `nightly`."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..artifacts import Artifacts, newest_id
from ..errors import InsufficientDataError, ModelgatesError, NoReference, RefusedError, StatisticsError
from ..pages.markdown import SUMMARY_VARIABLE, append_summary, summary_place, table, titled
from ..policy.place import keeps
from ..storage.text import counted, printable
from .alerts import happened
from .gates import run_gates_as_read, write_page
from .options import ARTIFACTS, JUNIT, POLICY, Verbs, acting, argument, artifacts_of, junit_of, key_of, key_option
from .registry import rehearsed
from .serving import drilled

if TYPE_CHECKING:
    from ..evidence.report import StoredReport
    from ..registry.in_force import InForce

DRILL = "safety.kill_drill"
SHOWN = 5  # differences between ledger and simulation
_TRADING_DAY = timedelta(days=7)  # at most, from one to the next
Outcome = Literal["good", "not measured", "waits", "BAD", "ERROR"]
STATUS: dict[Outcome, int] = {"good": 0, "not measured": 0, "waits": 0, "BAD": 1, "ERROR": 3}


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one thing that was due."""

    what: str
    outcome: Outcome
    text: str

    def __str__(self) -> str:
        """Format it for a terminal; what follows the first line of the text is set below it."""
        first, *more = map(printable, self.text.splitlines())
        return "\n".join([f"  {self.what:9}  {self.outcome:12}  {first}", *(f"    {line.strip()}" for line in more)])


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "nightly",
        nightly,
        argument("--promote", action="store_true", help="promote the newest candidate if nothing speaks against it"),
        argument(
            "--summary",
            type=Path,
            metavar="FILE",
            help=f"append the summary to this file, in Markdown; default: the file that ${SUMMARY_VARIABLE} names",
        ),
        JUNIT,
        key_option("seal the reports and sign the log"),
        ARTIFACTS,
        POLICY,
        announces=True,
    )


def nightly(arguments: argparse.Namespace) -> int:
    """Gate the live model and the newest candidate, look for drift, delete what is old, and say what is missing.

    The gates run as `modelgates gate` runs them, and their reports are kept, so that nights add up. The ledger of
    `paper` is reconciled. The kill switch is drilled when that is due, which stops every server for a moment. With
    --promote the candidate goes live once every criterion holds; without, the summary says what speaks against it.
    JUnit XML is of the candidate's gates, or of the live model's where there is no candidate.

    Ends with 0 if all is well or the candidate lacks nothing but time: nights, or hours in shadow. Ends with 1 if a
    gate fails or a criterion is violated. What could not be measured is named, and never called good.
    """
    artifacts = artifacts_of(arguments)
    summary = summary_place(arguments.summary)
    if summary and keeps(artifacts, summary):
        raise RefusedError(f"{summary}: kept by the registry; give --summary another place")
    night = _Night(artifacts, acting(artifacts, arguments), key_of(arguments), junit_of(arguments))
    lines = list(night.work(promote=arguments.promote))
    title = f"modelgates nightly, {night.now:%Y-%m-%d %H:%M} UTC"
    print("", title, *map(str, lines), sep="\n")
    append_summary(_markdown(title, lines), summary)
    return max(STATUS[line.outcome] for line in lines)


class _Night:
    """One night's work on one registry."""

    def __init__(self, artifacts: Artifacts, in_force: "InForce", key: Path | None, selection: Sequence[str]) -> None:
        self.artifacts, self.in_force, self.key, self.selection = artifacts, in_force, key, selection
        self.now = datetime.now(UTC)

    def work(self, *, promote: bool) -> Iterator[Line]:
        """Do what is due, one after the other; what goes wrong with one does not stop the next."""
        live, candidate = self._models()
        if live:
            yield self._line("live", lambda: self._live(live))
            yield self._line("drift", lambda: self._drift(live))
            yield self._line("reconcile", self._reconcile)
            yield self._line("drill", self._drill)
        if candidate:
            yield from self._candidate(candidate, promote=promote)
        yield self._line("retention", self._retention)

    def _models(self) -> tuple[str | None, str | None]:
        """Find the live model, and the newest one if it never was live."""
        from ..registry.store import live_id, past_live

        live, newest = live_id(self.artifacts), newest_id(self.artifacts)
        with closing(past_live(self.artifacts, live)) as past:
            candidate = newest if newest and newest != live and newest not in past else None
        if not (live or candidate):
            raise RefusedError(
                f"{self.artifacts.root}: no live model and no candidate, so there is nothing to gate; pack a model, or "
                "restore the artifacts"
            )
        return live, candidate

    def _line(self, what: str, do: Callable[[], tuple[Outcome, str]]) -> Line:
        try:
            return Line(what, *do())
        except ModelgatesError as error:
            return Line(what, "BAD", str(error))
        except OSError as error:
            return Line(what, "ERROR", f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))

    def _live(self, model_id: str) -> tuple[Outcome, str]:
        outcome, text = self._gated(model_id)[0]
        failed = outcome == "BAD"
        happened(self.artifacts, lambda alerts: alerts.gates_failed(self.artifacts, model_id, text, failed=failed))
        return outcome, text

    def _gated(self, model_id: str) -> tuple[tuple[Outcome, str], "StoredReport"]:
        from ..evidence.results import results_of

        directory = self.artifacts.model(model_id)
        path, stored = run_gates_as_read(
            directory, self.artifacts, self.in_force, key=self.key, selection=self.selection
        )
        print(f"kept: {path}")
        write_page(self.artifacts, path, stored, self.in_force)
        ledger = stored.report.modelgates
        found = results_of(ledger.models[model_id], self.in_force.policy, day=ledger.run.started.date())
        text = f"{model_id}: {len(found.passed)} gates passed"
        text += f", {len(found.warned)} warned or measured nothing" if found.warned else ""
        text += f", failed: {', '.join(found.failed)}" if found.failed else ""
        green = ledger.run.exit_status == 0
        return ("good" if green else "BAD", f"{text} ({path.relative_to(self.artifacts.root)})"), stored

    def _drift(self, model_id: str) -> tuple[Outcome, str]:
        from ..monitoring.drift_check import check_log, limits_of, record
        from ..monitoring.drift_words import in_words
        from ..monitoring.watch import watched_until

        # Looks share a budget of false alarms, and one of ours would take the newest rows from the watch.
        until = watched_until(self.artifacts)
        watched = until is not None and self.now - until < timedelta(days=1)
        rules = None if watched else self.in_force.operations.drift
        try:
            check = check_log(self.artifacts, self.in_force.policy, rules=rules)
        except InsufficientDataError:  # the log is not whole
            raise
        except StatisticsError as error:  # the live model has predicted nothing
            return "not measured", str(error)
        record(self.artifacts, check)
        said = [in_words(check, limits_of(self.in_force.policy)), check.over_time_words]
        words, drift = "\n".join(filter(None, said)), check.report["overall_drift"]
        alarm = bool(check.over_time and check.over_time["alarm"])
        if drift is None:
            return "BAD" if alarm else "not measured", words
        happened(self.artifacts, lambda alerts: alerts.drifted(self.artifacts, model_id, words, drift=drift))
        return "BAD" if drift or alarm else "good", words

    def _reconcile(self) -> tuple[Outcome, str]:
        from ..monitoring.drift_check import LIVE
        from ..monitoring.reconcile import reconcile

        # Of days whose parts of the log went as too old nothing can be told, nor of the trading day after them.
        since = self.now - timedelta(days=self.in_force.operations.retention.prediction_days) + _TRADING_DAY
        try:
            found = reconcile(self.artifacts, self.in_force.policy, LIVE, since=since.date())
        except (InsufficientDataError, NoReference) as error:
            return "not measured", str(error)
        text = f"{counted(found.days, 'day')} on paper, booked {found.booked:+.4%} of capital after costs"
        if found.causes:
            return "BAD", "\n".join(
                [f"{text}, differs: {', '.join(found.causes)}", *map(str, found.differences[:SHOWN])]
            )
        return "good", f"{text}, as the gates simulate them"

    def _drill(self) -> tuple[Outcome, str]:
        """Drill the kill switch if the policy's limit says that it is due."""
        from ..serving.drill import last_drill
        from ..serving.running import running

        last = last_drill(self.artifacts)
        days = (self.now - last.ended) / timedelta(days=1) if last else None
        if days is not None and self.in_force.policy.limit(DRILL).contains(days):
            return "good", f"the kill switch was proved {days:.0f} days ago"
        replicas = running(self.artifacts)
        if not replicas:
            return "not measured", "a drill of the kill switch is due, and no server runs that could show anything"
        if run := next((each for each in replicas if each.address is None), None):
            return (
                "not measured",
                f"a drill of the kill switch is due, and would end {run}; see: kill --drill --end-runs",
            )
        found = drilled(self.artifacts, self.in_force.operations.registry, reason="nightly")
        return "good" if found.proved else "BAD", "\n".join(map(str, [found, *found.servers]))

    def _candidate(self, model_id: str, *, promote: bool) -> Iterator[Line]:
        """Gate the candidate, and promote it, or say what speaks against it."""
        ran: list[StoredReport] = []

        def gated() -> tuple[Outcome, str]:
            line, stored = self._gated(model_id)
            ran.append(stored)
            return line

        yield self._line("candidate", gated)
        if ran:
            yield self._line("promotion", lambda: self._promotion(model_id, ran[0], promote=promote))

    def _promotion(self, model_id: str, stored: "StoredReport", *, promote: bool) -> tuple[Outcome, str]:
        from ..registry import promote as promotion

        way_back = rehearsed(self.artifacts, self.in_force)
        plan = promotion.plan_promotion(
            self.artifacts, model_id, stored, self.in_force, way_back=way_back, now=datetime.now(UTC)
        )
        if reasons := plan.decision.reasons:
            text = "\n".join([f"{model_id} is not promoted:", *map(str, reasons)])
            if all(reason.waits for reason in reasons):
                return "waits", text
            if promote:
                happened(self.artifacts, lambda alerts: alerts.refused(self.artifacts, model_id, text))
            return "BAD", text
        if not promote:
            return "good", f"nothing speaks against {model_id}: modelgates nightly --promote"
        done = promotion.promote(
            self.artifacts,
            model_id,
            stored,
            self.in_force,
            reason="nightly: every criterion holds",
            way_back=way_back,
            key=self.key,
        )
        return "good", f"{model_id} is live, in place of {done.change.from_ or 'nothing'}; audit log: {done.head}"

    def _retention(self) -> tuple[Outcome, str]:
        from ..registry.garbage import collect
        from ..registry.retention import delete_each, old_parts, old_reports

        rules, now = self.in_force.operations.retention, self.now
        reports = old_reports(self.artifacts, self.in_force.policy, days=rules.report_days, now=now)
        parts = old_parts(self.artifacts, days=rules.prediction_days, now=now)
        found = collect(self.artifacts, self.in_force.operations.registry, keep=rules.models)
        files, failed = delete_each((*reports, *parts))
        went = [each.name for each in found.removed] + [self._inside(path) for path in files]
        text = f"deleted {', '.join(went)}" if went else "nothing is old enough to be deleted"
        if not_gone := [*found.failed, *((self._inside(path), why) for path, why in failed)]:
            return "ERROR", "; ".join([text, *(f"{name} cannot be deleted: {why}" for name, why in not_gone)])
        return "good", text

    def _inside(self, path: Path) -> str:
        return str(path.relative_to(self.artifacts.root))


def _markdown(title: str, lines: list[Line]) -> str:
    return titled(title, table(("what", "outcome", ""), [(line.what, line.outcome, line.text) for line in lines]))
