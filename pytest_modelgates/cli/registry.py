"""Verbs of the registry: what goes live, what is live, and what was."""

import argparse
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..artifacts import Artifacts, checked_id, is_id
from ..audit.kinds import KINDS, SHOWN
from ..errors import RefusedError, UsageError
from ..storage.paths import is_file, is_folder
from .gates import refusals_summarised, run_gates_as_read, summarise, summarise_line
from .options import (
    ARTIFACTS,
    JSON,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    count,
    emergency,
    head,
    key_of,
    key_option,
    model_directory,
    moment,
    note,
    print_json,
)
from .progress import working

if TYPE_CHECKING:
    from ..audit.chain import Event, Intent, Unknown
    from ..registry.in_force import InForce
    from ..registry.way_back import WayBack


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "promote",
        promote,
        argument(
            "model",
            nargs="?",
            help="a model directory or its id (its hard gates are run first), or a report",
        ),
        argument("--report", type=Path, help="promote by this report of a gate run, instead of running the gates"),
        argument("--reason", default="all hard gates passed", help="why, for the audit log"),
        argument(
            "--dry-run", action="store_true", help="print the plan and every reason against it, and change nothing"
        ),
        argument("--no-way-back", action="store_true", help="go ahead without rehearsing a rollback to the live model"),
        key_option("seal the report and sign the log"),
        ARTIFACTS,
        POLICY,
        announces=True,
    )
    verbs.add(
        "rollback",
        rollback,
        argument("model", nargs="?", help="the model's id or its path; if left out, a terminal asks for it"),
        argument("--reason", default="", help="why, for the audit log; required"),
        argument("--evidence", type=Path, metavar="FILE", help="what shows why; the audit log keeps its SHA-256"),
        key_option("sign the log"),
        ARTIFACTS,
        POLICY,
        announces=True,
    )
    verbs.add("status", status, ARTIFACTS, POLICY, JSON)
    verbs.add(
        "list",
        list_models,
        argument("--last", type=count, default=20, metavar="N", help="show only the newest N; default: 20"),
        argument("--all", action="store_true", help="show every model"),
        ARTIFACTS,
        JSON,
    )
    verbs.add(
        "log",
        log,
        argument(
            "--at", type=moment, metavar="TIME", help="say what was live then (ISO 8601; UTC unless it says otherwise)"
        ),
        argument(
            "--kind",
            type=kinds,
            action="extend",
            metavar="KIND",
            help=f"show only records of this kind, or of several, with commas between: {', '.join(SHOWN)}",
        ),
        argument(
            "--verify",
            action="store_true",
            help="check that no line was changed, added or taken away: every line and signature, and the ends of the "
            "log that model directories keep; ends with 1 if one is wrong",
        ),
        argument(
            "--head",
            type=head,
            metavar="N:SHA256",
            help="the same, and that the log still holds this end, which promote printed",
        ),
        ARTIFACTS,
        POLICY,
        JSON,
    )


def promote(arguments: argparse.Namespace) -> int:
    """Make a model live, if a report shows that every hard gate passed.

    A refusal lists every reason, each with the command that repairs it. On GitHub the step's summary shows this too.
    """
    with refusals_summarised("modelgates promote"):
        return _promote(arguments)


def _promote(arguments: argparse.Namespace) -> int:
    from ..audit.writer import require_root
    from ..evidence.report import read_report
    from ..evidence.seal import load_key, refuse_unlisted
    from ..registry import promote as promotion
    from ..registry.sharing import Sharing

    key, report = key_of(arguments), arguments.report
    if report is None and arguments.model and is_file(Path(arguments.model)):
        report, arguments.model = Path(arguments.model), None
    if report is None and arguments.model is None:
        raise UsageError("promote what? Give a model directory, or --report FILE")
    if report is None:
        directory, artifacts = model_directory(arguments)
        require_root(artifacts)
        in_force, model_id = acting(artifacts, arguments), directory.name
        refuse_unlisted(key, in_force.policy.evidence.keys)
        # A dry run leaves nothing behind, not even a report.
        with TemporaryDirectory() if arguments.dry_run else nullcontext(artifacts.root) as place:
            kept = Artifacts(Path(place))
            path, stored = run_gates_as_read(directory, kept, in_force, key=key, selection=["-m", "hard"])
        if not arguments.dry_run:
            print(f"kept: {path}")
        summarise(stored, in_force)
    else:
        artifacts = artifacts_of(arguments)
        in_force = acting(artifacts, arguments)
        refuse_unlisted(key, in_force.policy.evidence.keys)
        stored = read_report(report, keys=in_force.policy.evidence.keys)
        model_id = promotion.model_of(stored) if arguments.model is None else arguments.model
    way_back = None if arguments.no_way_back else rehearsed(artifacts, in_force)
    if arguments.dry_run:
        now = datetime.now(UTC)
        plan = promotion.plan_promotion(artifacts, model_id, stored, in_force, way_back=way_back, now=now)
        by = report or "this run of its gates"
        print(f"plan: promote {model_id} in place of {plan.facts.live or 'nothing'}, by {by}")
        print(f"policy: {in_force.kept}")
        plan.refuse()
        if sharing := Sharing.of(artifacts, in_force, load_key(key) if key else None):
            sharing.refuse_behind()
        print("nothing speaks against it")
        return 0
    reason = arguments.reason
    done = promotion.promote(artifacts, model_id, stored, in_force, reason=reason, way_back=way_back, key=key)
    live = f"{model_id} is live, in place of {done.change.from_ or 'nothing'} (sha256:{done.change.digest[:16]})"
    print(live)
    print(f"policy: {in_force.kept}")
    if way_back:
        print(f"way back: {way_back}")
    print(f"audit log: {done.head}")
    summarise_line("modelgates promote", f"{live}\naudit log: {done.head}")
    return 0


def rehearsed(artifacts: Artifacts, in_force: "InForce") -> "WayBack | None":
    """Rehearse a rollback to the live model; None if nothing is live."""
    from ..proving.rehearsal import rehearse
    from ..registry.store import link_text

    live = link_text(artifacts)
    if not live or not is_id(live):
        return None
    with working("rehearsing a rollback"):
        return rehearse(artifacts.model(live), in_force.operations.hermetic)


def _no_way_back(artifacts: Artifacts, live: str | None, before: list[str]) -> str:
    """Say why there is no model to roll back to, given those that were live before and are not there."""
    from ..registry.store import went_live
    from ..storage.lines import first

    if before:
        return f"was live before, and not there any more: {', '.join(before)}; put one back from a copy of models/"
    if live and first(went_live(artifacts, live)) is None:
        return f"the audit log cannot be read, or does not say that {live} is live; see: modelgates recover"
    return "no other model was ever live; there is nothing to roll back to"


def rollback(arguments: argparse.Namespace) -> int:
    """Go back to a model that was live before."""
    from ..registry import rollback as registry
    from ..registry.sharing import tell_rollback
    from ..registry.store import past_live
    from ..storage.digests import sha256_of

    artifacts = artifacts_of(arguments)
    model_id, reason = arguments.model, arguments.reason
    if arguments.evidence and not is_file(arguments.evidence):
        raise UsageError(f"{arguments.evidence}: no such file; give what the rollback was decided on")
    evidence = sha256_of(arguments.evidence) if arguments.evidence else None
    in_force = emergency(artifacts, arguments)
    if model_id is None:
        live = registry.live_by_link(artifacts)  # what the log says may be what is wrong
        before = list(past_live(artifacts, live))
        past = [name for name in before if is_folder(artifacts.model(name))]
        if not past:
            raise RefusedError(_no_way_back(artifacts, live, before))
        if not sys.stdin.isatty():
            raise UsageError(f"roll back to which model? Give one of {', '.join(past)}")
        print(f"live: {live or 'unknown'}\nwas live before: {', '.join(past)}")
        try:
            model_id = input(f"roll back to [{past[0]}]: ").strip() or past[0]
            reason = reason or input("reason: ")
        except EOFError:
            raise RefusedError("nothing was chosen, nothing is rolled back") from None
    done = registry.rollback(
        artifacts, checked_id(model_id), in_force, reason=reason, evidence=evidence, key=key_of(arguments)
    )
    print(f"{model_id} is live again, in place of {done.change.from_ or 'nothing'} (sha256:{done.change.digest[:16]})")
    print(f"audit log: {done.head}", flush=True)
    if untold := tell_rollback(artifacts, in_force, key=key_of(arguments)):  # it may take long, and the model is live
        note(f"warning: {untold}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Show what is live, and everything that is wrong; ends with 1 if something is wrong."""
    from ..registry import status as registry
    from ..storage.text import printable

    artifacts = artifacts_of(arguments)
    found = registry.status(artifacts, emergency(artifacts, arguments))
    if arguments.json:
        print_json(found)
    else:
        print("\n".join(map(printable, found.lines())))
    return 0 if found.sound else 1


def list_models(arguments: argparse.Namespace) -> int:
    """List the model directories, oldest first; times are UTC."""
    from ..registry.status import listing
    from ..storage.text import printable

    rows = listing(artifacts_of(arguments), last=None if arguments.all else arguments.last)
    if arguments.json:
        print_json(rows)
    else:
        for row in rows:
            created = f"{row.created:%Y-%m-%d %H:%M:%S}" if row.created else "-"
            print(f"{row.id}  {created:19}  {row.state:9}  {printable(row.changes)}")
        if not rows:
            print("no model was packed yet")
    return 0


def log(arguments: argparse.Namespace) -> int:
    """Show the audit log: every promotion and rollback, and what else was recorded, but trials; times are UTC.

    A line names the time, what was done, who did it and why. `modelgates trials` shows trials, and so do --kind trial
    and --json. Each line of the log holds the digest of the one before it, so that --verify finds what was changed.
    """
    from ..audit.chain import Event, Intent, changes, live_at, plain, read_history
    from ..audit.kinds import TRIAL
    from ..audit.whole import read_chain, remembered
    from ..registry.store import link_text
    from ..storage.lines import first
    from ..storage.text import printable

    if arguments.kind and (arguments.at or arguments.verify or arguments.head):
        raise UsageError("--kind goes with neither --at nor --verify nor --head; give it alone, or with --json")
    artifacts = artifacts_of(arguments)
    if arguments.verify or arguments.head:
        return _verify_log(arguments, artifacts)
    for odd in read_chain(artifacts.log, known=remembered(artifacts)).notes:
        note(f"note: {odd}")
    link = link_text(artifacts)
    if link and first(changes(artifacts.log)) is None:
        note(f"latest points at {link}, and the log knows no change; see: modelgates recover")
    if arguments.at is not None:
        found = live_at(artifacts.log, arguments.at)
        if arguments.json:
            print_json({"live": found.to if found else None})
        else:
            print(found.to if found else "nothing was live then")
        return 0
    history = read_history(artifacts.log)
    # A registry packs far more models than it promotes; `modelgates trials` shows these.
    shown = [record for record in history if not (isinstance(record, Event) and record.kind == TRIAL)]
    if arguments.kind:
        shown = history = [record for record in history if _kind_of(record) in arguments.kind]
    kept: str | None = None
    if arguments.json:
        print_json([plain(record) for record in history])
    else:
        for record in shown:
            words, before = _in_words(record), kept
            if isinstance(record, Intent) and record.policy:
                kept = printable(str(record.policy))
            print(*words, *([f"policy: {kept}"] if kept != before else []), sep="\n    ")
        if not shown:
            print(f"no record of kind {', '.join(arguments.kind)}" if arguments.kind else "nothing was promoted yet")
    return 0


def kinds(text: str) -> list[str]:
    """Read kinds of records, with commas between them."""
    found = [word.strip() for word in text.split(",")]
    if unknown := [word for word in found if word not in SHOWN]:
        raise argparse.ArgumentTypeError(f"no kind {unknown[0]!r}; there are {', '.join(SHOWN)}")
    return found


def _kind_of(record: "Intent | Event | Unknown") -> str:
    from ..audit.chain import Intent

    return record.action if isinstance(record, Intent) else record.kind


def _in_words(record: "Intent | Event | Unknown") -> list[str]:
    """Show a record as a line for people, and what belongs below it."""
    from ..audit.chain import Event, Intent
    from ..storage.text import printable

    match record:
        case Intent():
            words = [
                record.action,
                f"{record.from_ or '-'} → {record.to}",
                record.actor,
                " ".join(record.reason.split()),
            ]
            decided = record.evidence_digest
            below = (
                *record.waivers,
                *([f"decided on sha256:{decided[:16]}"] if decided else []),
                *([f"record {record.shared.partition(':')[0]} of the bucket"] if record.shared else []),
            )
        case Event():
            words = [record.kind, record.subject, record.actor, " ".join(record.reason.split())]
            what = f"{KINDS[record.kind].evidence}, " if record.kind in KINDS else ""
            below = (f"shown by {what}sha256:{record.evidence[:16]}",) if record.evidence else ()
        case _:
            words = [record.kind, f"record {record.n}, of a later version; to see it whole: modelgates log --json"]
            below = ()
    action, *rest = (printable(word) for word in words)
    return ["  ".join([f"{record.time:%Y-%m-%d %H:%M:%S}", f"{action:8}", *rest]), *map(printable, below)]


def _verify_log(arguments: argparse.Namespace, artifacts: Artifacts) -> int:
    from ..registry.audit_check import verify_log

    checked = verify_log(artifacts, emergency(artifacts, arguments).keys, arguments.head)
    if arguments.json:
        print_json({"found": checked.found, "problems": checked.problems, "notes": checked.notes})
    else:
        notes = [f"note: {note}" for note in checked.notes]
        problems = [f"problem: {problem}" for problem in checked.problems]
        print(f"{artifacts.promotions}: {checked.found}", *notes, *problems, sep="\n")
        if checked.problems:
            print("what to do about it: modelgates recover")
    return 1 if checked.problems else 0
