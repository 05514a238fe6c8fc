"""What people ask of the registry: what is live, and which models there are."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from ..artifacts import Artifacts, newest_id
from ..audit.chain import EMPTY, Intent, Tail, changes, tail
from ..audit.lock import is_locked
from ..errors import FormatError, IntegrityError, ModelgatesError
from ..model.directory import CHANGES, ModelDirectory, verify
from .audit_check import check_log_end
from .in_force import InForce
from .store import ONNX_LINK, is_model, link_target, live_id, model_ids, onnx_link_broken, state

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
    waivers: list[str]
    newest: str | None
    problems: list[str]

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
            else f"live: {self.live}, says the link; the log does not know it"
        )
        return [
            live,
            *([f"digest: sha256:{self.digest}"] if self.digest else []),
            f"newest candidate: {self.newest or 'none'}",
            f"assurance: {self.assurance}",
            f"audit log: {self.audit_log}",
            f"policy: {self.policy}",
            *self.waivers,
            *(f"problem: {problem}" for problem in self.problems),
        ]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model directory."""

    id: str
    created: datetime | None
    state: Standing
    changes: str


def status(artifacts: Artifacts, in_force: InForce) -> Status:
    """Look at link, log and live model, and say everything that is wrong with them. Reads only the end of the log."""
    problems: list[str] = []
    end = _unless(problems, lambda: tail(artifacts.promotions)) or Tail(EMPTY, None, None)
    live = _unless(problems, lambda: link_target(artifacts))
    _unless(problems, lambda: state(artifacts))
    newest = _unless(problems, lambda: newest_id(artifacts))
    # The newest model's manifest keeps an end of the log. Without it, a log that was cut off would pass unnoticed here.
    if newest and not is_model(artifacts.model(newest)):
        problems.append(f"{artifacts.latest_id}: names a model that is not there; write the newest model's id into it")
    if end.open and not is_locked(artifacts.lock):
        problems.append(
            f"a {end.open.action} to {end.open.to} was cut short; the next change settles it, or: modelgates recover"
        )
    if live is not None and onnx_link_broken(artifacts):
        problems.append(f"{artifacts.latest_onnx} does not lead to {ONNX_LINK}; see: modelgates recover")
    change = end.change_to(live)
    digest = None
    if live is not None:
        try:
            digest = verify(artifacts.model(live))
        except ModelgatesError as error:
            problems += str(error).splitlines()
        if digest and change and digest != change.digest:
            problems.append(f"{live} has other bytes than when it was promoted (sha256:{change.digest[:16]}…)")
    level, doubts = _unless(problems, lambda: check_log_end(artifacts, in_force.keys, newest)) or (
        "not sound",
        [],
    )
    problems += doubts
    if in_force.found == "broken":
        problems.append("the policy cannot be read, and nothing is promoted until it is mended")
    return Status(
        live=live,
        digest=digest,
        since=change.time if change else None,
        actor=change.actor if change else None,
        assurance=f"signed by {change.sealed_by}" if change and change.sealed_by else "digest-bound, unsigned",
        audit_log=level,
        policy=_policy_of(in_force, end.change),
        waivers=list(change.waivers) if change else [],
        newest=newest,
        problems=problems,
    )


def _policy_of(in_force: InForce, change: Intent | None) -> str:
    """Name the policy in force, and say whether the last change was made under another."""
    if in_force.found != "found":
        return f"{in_force.found}; at the last change: {in_force.kept}"
    before = change.policy if change else None
    if before and before.policy_digest != in_force.kept.policy_digest:
        return f"{in_force.kept}, another than at the last change ({before})"
    return str(in_force.kept)


def _unless(problems: list[str], ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except ModelgatesError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None


def listing(artifacts: Artifacts, *, last: int | None = None) -> list[Row]:
    """List model directories, oldest first; only the newest `last` of them if that is given."""
    live, ids = live_id(artifacts), model_ids(artifacts)
    rows = [_row(artifacts.model(model_id)) for model_id in (ids[-last:] if last else ids)]
    # No model was promoted before it was packed, so the log need not be read further back.
    oldest = min((row.created for row in rows if row.created), default=None)
    past = set()
    for change in changes(artifacts.promotions):
        if oldest is None or change.time < oldest:
            break
        past.add(change.to)

    def placed(row: Row) -> Row:
        standing: Standing = "live" if row.id == live else "past" if row.id in past else "candidate"
        return msgspec.structs.replace(row, state=standing)

    return [placed(row) if row.created else row for row in rows]


def _row(directory: Path) -> Row:
    try:
        with ModelDirectory(directory) as model:
            created, text = model.manifest.created, model.read(CHANGES).decode(errors="replace")
    except (FormatError, IntegrityError) as error:
        return Row(id=directory.name, created=None, state="damaged", changes=str(error))
    return Row(id=directory.name, created=created, state="candidate", changes=(text.splitlines() or [""])[0])
