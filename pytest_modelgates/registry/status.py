"""What people ask of the registry: what is live, and which models there are."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from ..artifacts import Artifacts, newest_id
from ..audit.ab import read_plan
from ..audit.chain import EMPTY, Intent, Tail
from ..audit.kill import killed
from ..audit.whole import Chain, read_chain, remember, remembered
from ..audit.writer import link_target
from ..errors import FormatError, IntegrityError, ModelgatesError
from ..model.directory import CHANGES, LocalDirectory, verify
from ..storage.disk import staged_link
from ..storage.lines import first
from ..storage.lock import no_lock
from .audit_check import check_log_end, newest_that_keeps_a_head
from .in_force import InForce
from .recover import MOST, SEE, goldens_problem
from .sharing import EITHER, standing
from .store import (
    ONNX_LINK,
    is_model,
    link_text,
    model_ids,
    onnx_link_broken,
    past_live,
    sound_tail,
    state,
    went_live,
)

T = TypeVar("T")

Standing = Literal["live", "past", "candidate", "damaged"]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is live, since when and by whom, how sure that is, and what is wrong."""

    live: str | None
    digest: str | None
    since: datetime | None
    actor: str | None
    assurance: str
    audit_log: str
    policy: str
    way_back: str
    waivers: list[str]
    killed: list[str]
    newest: str | None
    problems: list[str]
    notes: list[str] = []
    """What is odd, and no problem."""
    log_read: bool = True
    ab: str | None = None
    """The A/B test whose plan lies there."""
    bucket: str | None = None
    """The last record that this machine has of a bucket, and whether it says the same."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def lines(self) -> list[str]:
        """Say the same to people, line by line."""
        live = (
            "nothing is live"
            if self.live is None
            else f"live: {self.live} since {self.since:%Y-%m-%d %H:%M:%S} UTC, by {self.actor}"
            if self.since
            else f"live: {self.live}, says the link; the log {'does not know it' if self.log_read else 'is damaged'}"
        )
        return [
            live,
            *self.killed,
            *([self.ab] if self.ab else []),
            *([f"digest: sha256:{self.digest}"] if self.digest else []),
            f"newest candidate: {self.newest or 'none'}",
            f"assurance: {self.assurance}",
            f"audit log: {self.audit_log}",
            f"policy: {self.policy}",
            *([f"bucket: {self.bucket}"] if self.bucket else []),
            f"way back: {self.way_back}",
            *self.waivers,
            *(f"note: {note}" for note in self.notes),
            *(f"problem: {problem}" for problem in self.problems),
        ]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model directory."""

    id: str
    created: datetime | None
    state: Standing
    changes: str


def status(artifacts: Artifacts, in_force: InForce) -> Status:
    """Look at link, log and live model, and say everything that is wrong with them.

    Of a log that was verified before and only grew since, the rest is read.
    """
    problems: list[str] = []
    chain = _unless(problems, lambda: read_chain(artifacts.log, known=remembered(artifacts))) or Chain()
    remember(artifacts, chain)
    damage = [f"{artifacts.promotions}: {problem}" for problem in chain.problems]
    problems += [f"{problem}{SEE}" for problem in damage[:MOST]]
    # What is wrong with the log is said by now, and need not be said again by all who read it.
    log = [] if damage else problems
    end = _unless(log, lambda: sound_tail(artifacts)) or Tail(EMPTY, None, None)
    live = _unless(problems, lambda: link_target(artifacts))
    _unless(log, lambda: state(artifacts))
    newest = _unless(problems, lambda: newest_id(artifacts))
    if newest and not is_model(artifacts, newest):
        problems.append(f"{artifacts.latest_id}: names a model that is not there; write the newest model's id into it")
    if end.open and not artifacts.disk.is_locked(artifacts.lock) and _unless(log, lambda: sound_tail(artifacts)) == end:
        # Read again, because a writer may have ended between the first look at the log and the one at the lock.
        problems.append(
            f"a {end.open.action} to {end.open.to} was cut short; the next change settles it, or: modelgates recover"
        )
    problems += _odd_places(artifacts, live)
    change = end.change_to(live)
    digest = None
    if live is not None:
        try:
            digest = verify(artifacts.model(live))
        except ModelgatesError as error:
            problems += [f"{problem}{SEE}" for problem in str(error).splitlines()]
        if digest and change and digest != change.digest:
            problems.append(f"{live} has other bytes than when it was promoted (sha256:{change.digest[:16]}…){SEE}")
    # A manifest keeps an end of the log. Without one, a log that was cut off would pass unnoticed here.
    ids = model_ids(artifacts)
    keeps = newest_that_keeps_a_head(artifacts, ids)
    level, doubts = _unless(log, lambda: check_log_end(artifacts, in_force.keys, keeps)) or ("not sound", [])
    problems += doubts
    plan = _unless(problems, lambda: read_plan(artifacts))
    bucket = (
        _unless(problems, lambda: _bucket(artifacts, change, problems))
        if artifacts.disk.is_there(artifacts.shared)
        else None
    )
    if in_force.found == "broken":
        problems.append("the policy cannot be read, and nothing is promoted until it is mended")
    return Status(
        live=live,
        digest=digest,
        since=change.time if change else None,
        actor=change.actor if change else None,
        assurance=f"signed by {change.sealed_by}" if change and change.sealed_by else "digest-bound, unsigned",
        audit_log="not sound" if damage else level,
        policy=_policy_of(in_force, change),
        way_back=_way_back(artifacts, live, change),
        waivers=list(change.waivers) if change else [],
        killed=[str(each) for each in killed(artifacts)],
        newest=newest,
        problems=problems,
        notes=[*chain.notes, *_not_noted(artifacts, ids, newest, live)],
        log_read=not damage,
        ab=str(plan) if plan else None,
        bucket=bucket,
    )


def _not_noted(artifacts: Artifacts, ids: list[str], newest: str | None, live: str | None) -> Iterator[str]:
    """Name a candidate that is newer than the one noted as the newest: a pack was cut short, or a copy was put here."""
    last = ids[-1:] if newest else []
    # What came from a bucket and went live was never a candidate here.
    if newest and last and int(last[0]) > int(newest) and last[0] not in (live, *past_live(artifacts, live)):
        yield f"{last[0]} is newer than {artifacts.latest_id} says; if that is the candidate, write its id there"


def _bucket(artifacts: Artifacts, change: Intent | None, problems: list[str]) -> str:
    """Say how this machine stands to what it last heard from its bucket; nobody is asked now."""
    found = standing(artifacts, change)
    if found.said is None or found.agrees:
        return f"record {found.head.n}" + (", says the same" if found.said else "")
    if found.in_step:
        problems.append(f"record {found.head.n} of the bucket makes {found.said.change.to} live: modelgates pull")
    else:
        problems.append(f"{found.apart(change)}; {EITHER}")
    return f"record {found.head.n}, says {found.said.change.to}"


def _way_back(artifacts: Artifacts, live: str | None, change: Intent | None) -> str:
    """Name the model that a rollback would go to, and say whether that was rehearsed."""
    back = first(past_live(artifacts, live)) if live else None
    if back is None:
        return "none"
    if not is_model(artifacts, back):
        return f"{back}, which is not there any more"
    rehearsed = change is not None and change.from_ == back and isinstance(change.way_back, str)
    return f"{back}, {'rehearsed at the promotion' if rehearsed else 'not rehearsed'}"


def _policy_of(in_force: InForce, change: Intent | None) -> str:
    """Name the policy in force, and say whether the last change was made under another."""
    if in_force.found != "found":
        return f"{in_force.found}; at the last change: {in_force.kept}"
    before = change.policy if change else None
    if before and before.policy_digest != in_force.kept.policy_digest:
        return f"{in_force.kept}, another than at the last change ({before})"
    return str(in_force.kept)


def _odd_places(artifacts: Artifacts, live: str | None) -> Iterator[str]:
    """Name what lies where only the registry's own links and files should."""
    disk = artifacts.disk
    if live is not None and onnx_link_broken(artifacts):
        yield f"{artifacts.latest_onnx} does not lead to {ONNX_LINK}{SEE}"
    for staged in map(staged_link, (artifacts.latest, artifacts.latest_onnx)):
        if disk.is_folder(staged) and not disk.is_link(staged):
            yield f"{staged}: a folder, where the link is made before it is moved{SEE}"
    if disk.is_there(artifacts.lock) and (disk.is_link(artifacts.lock) or not disk.is_file(artifacts.lock)):
        yield str(no_lock(artifacts.lock))
    for folder in (artifacts.golden, artifacts.trials, artifacts.attestations, artifacts.all_reports):
        if disk.is_there(folder) and not disk.is_folder(folder):
            yield f"{folder}: not a folder, and every promotion writes into it; move it away"
    if problem := goldens_problem(artifacts):
        yield f"{problem}{SEE}"


def _unless(problems: list[str], ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except ModelgatesError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None


def listing(artifacts: Artifacts, *, last: int | None = None) -> list[Row]:
    """List model directories, oldest first; only the newest `last` of them if that is given."""
    live, ids = link_text(artifacts), model_ids(artifacts)
    rows = [_row(artifacts.model(model_id)) for model_id in (ids[-last:] if last else ids)]
    # No model was promoted before it was packed, so the log need not be read further back.
    oldest = min((row.created for row in rows if row.created), default=None)
    past = set()
    with closing(went_live(artifacts)) as found:
        for change in found:
            if oldest is None or change.time < oldest:
                break
            past.add(change.to)

    def placed(row: Row) -> Row:
        standing: Standing = "live" if row.id == live else "past" if row.id in past else "candidate"
        return msgspec.structs.replace(row, state=standing)

    return [placed(row) if row.created else row for row in rows]


def _row(directory: Path) -> Row:
    try:
        with LocalDirectory(directory) as model:
            created, text = model.manifest.created, model.read(CHANGES).decode(errors="replace")
    except (FormatError, IntegrityError, PermissionError) as error:
        return Row(id=directory.name, created=None, state="damaged", changes=str(error))
    return Row(id=directory.name, created=created, state="candidate", changes=(text.splitlines() or [""])[0])
