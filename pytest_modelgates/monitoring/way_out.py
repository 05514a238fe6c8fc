"""What the watch does about a breach: back to a model that is known to be sound, or the kill switch. Never forward."""

from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from ..artifacts import Artifacts
from ..audit.chain import Intent
from ..audit.kill import kill
from ..audit.kinds import KILL
from ..audit.writer import settle
from ..errors import IntegrityError, ModelgatesError, RefusedError
from ..policy.operations import WatchRules
from ..registry.in_force import InForce
from ..registry.rollback import rollback
from ..registry.sharing import tell_rollback
from ..registry.store import ever_live, live_change, past_live, went_live
from ..registry.way_back import WayBack, way_back_reasons
from ..storage.paths import is_folder
from ..storage.text import counted, first_line

ACTOR = "modelgates-watch"
ARM = "live"
_WEEK = timedelta(days=7)
Rehearse = Callable[[Path], WayBack]


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What the watch did about a breach, or would have done, and why not something else."""

    did: Literal["rolled back", "would roll back", "killed", "would kill", "waits"]
    to: str | None = None
    text: str


def own_rollbacks(changes: Iterable[Intent], *, now: datetime) -> list[datetime]:
    """Say when the watch rolled back within the last seven days, the newest first; what is dated later counts too."""
    return [each.time for each in changes if _is_own(each) and each.time > now - _WEEK]


def given_up(changes: Iterable[Intent]) -> set[str]:
    """Name the models that the watch rolled back and that were not promoted again; `changes` from the newest on."""
    promoted, found = set[str](), set[str]()
    for each in changes:
        if each.action != "rollback":
            promoted.add(each.to)
        elif _is_own(each) and each.from_ and each.from_ not in promoted:
            found.add(each.from_)
    return found


def _is_own(change: Intent) -> bool:
    return change.action == "rollback" and change.actor == ACTOR


def act(
    artifacts: Artifacts,
    in_force: InForce,
    live: str,
    *,
    why: str,
    keep: Callable[[], str],
    rehearse: Rehearse,
    now: datetime,
    dry: bool = False,
) -> Deed:
    """Roll back to the newest model that was live before and is sound; if there is none, stop the arm.

    Parameters
    ----------
    artifacts : Artifacts
    in_force : InForce
    live : str
        The model that a breach was found of.
    why : str
        The reason for the audit log.
    keep : callable
        Keeps what was found, before a rollback, and gives its SHA-256.
    rehearse : callable
        Says of a model directory whether it verifies, loads and scores its golden, in another process.
    now : datetime
    dry : bool, default False
        Say what would be done, and do nothing.

    Raises
    ------
    ModelgatesError, OSError
        If the audit log cannot be read or written.
    """
    rules = in_force.operations.watch
    with closing(went_live(artifacts)) as found:
        changes = list(found)
    own = own_rollbacks(changes, now=now)
    if waits := _cool_down(own, rules, now=now):
        return Deed(did="waits", text=waits)
    if len(own) >= rules.per_week:
        text = f"{counted(len(own), 'rollback')} by the watch within seven days, and at most {rules.per_week} are made"
        return _killed(artifacts, in_force, live, f"{why}; {text}", dry=dry)
    skipped, bad = given_up(changes), list[str]()
    for name in past_live(artifacts, live):
        if name in skipped:
            bad.append(f"{name} was rolled back by the watch")
            continue
        digest = next(ever_live(artifacts, name)).digest
        if problem := _why_not(artifacts, in_force, name, digest, rehearse):
            bad.append(problem)
            continue
        if dry:
            return Deed(did="would roll back", to=name, text=f"{name} verifies, loads and scores its golden")
        try:
            done = rollback(artifacts, name, in_force, reason=why, evidence=keep(), instead_of=live)
        except (RefusedError, IntegrityError) as error:
            if (current := next(went_live(artifacts), None)) and current.to != live:
                return Deed(did="waits", text=first_line(error))
            bad.append(first_line(error))
            continue
        untold = tell_rollback(artifacts, in_force)
        text = f"audit log: {done.head}" + (f"; {untold}" if untold else "")
        return Deed(did="rolled back", to=name, text=text)
    none = "; ".join(bad) or "no other model was ever live"
    return _killed(artifacts, in_force, live, f"{why}; there is nothing to roll back to: {none}", dry=dry)


def _cool_down(own: list[datetime], rules: WatchRules, *, now: datetime) -> str | None:
    until = max(own, default=datetime.min.replace(tzinfo=UTC))
    if not own or (until := until + timedelta(hours=rules.cool_down_h)) <= now:
        return None
    return (
        f"the watch rolled back less than {rules.cool_down_h:g} h ago and does so again from {until:%Y-%m-%d %H:%M} "
        "UTC on (cool_down_h); if it cannot wait: modelgates rollback, or modelgates kill"
    )


def _why_not(artifacts: Artifacts, in_force: InForce, name: str, digest: str, rehearse: Rehearse) -> str | None:
    """Say why there is no going back to a model; None if it verifies, loads and scores its golden."""
    directory = artifacts.model(name)
    if not is_folder(directory):
        return f"{name} is not there any more"
    reasons = way_back_reasons(rehearse(directory), in_force.policy, live=name, digest=digest, repair="")
    return reasons[0].text if reasons else None


def _killed(artifacts: Artifacts, in_force: InForce, live: str, why: str, *, dry: bool) -> Deed:
    current = live_change(artifacts).to
    if current != live:  # somebody was quicker, while models were tried
        return Deed(did="waits", text=f"{current} is live now, and this was decided about {live}; look again")
    if dry:
        return Deed(did="would kill", text=why)
    stopped = kill(artifacts, ARM, why, KILL)
    # The arm is stopped. If the log cannot be written now, its next writer adds the event.
    with suppress(ModelgatesError, OSError):
        settle(artifacts, in_force.operations.registry)
    return Deed(did="killed", text=str(stopped))
