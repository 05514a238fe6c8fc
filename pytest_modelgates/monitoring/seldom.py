"""Triggers that read much, and so are judged seldom: when outcomes were added, and once a day.

In between, what was found last stands.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec

from ..artifacts import Artifacts, newest_id
from ..audit.ab import kept, read_plan
from ..audit.chain import Intent
from ..errors import InsufficientDataError, ModelgatesError, StatisticsError
from ..model.directory import LocalDirectory
from ..policy.operations import Mode, ShadowRules, WatchRules
from ..policy.policy import Policy
from ..predictions.counting import Window, count_whole
from ..storage.digests import sha256
from ..storage.paths import is_folder
from ..storage.strict_json import canonical
from ..storage.text import first_line
from . import triggers
from .compare import agreement
from .kept_days import followed_since
from .promised import EXPOSURE, PROMISES, exposure, falls_short, promises
from .triggers import Finding

RANKS = "shadow.rank_corr"
SHADOW = "shadow"
OF_OUTCOMES = (*PROMISES, EXPOSURE)


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A finding that stands as long as `of`, which says what it was found of, is the same."""

    of: str
    finding: Finding


def seldom(
    artifacts: Artifacts,
    policy: Policy,
    rules: WatchRules,
    live: Intent,
    modes: Mapping[str, Mode],
    held: Mapping[str, Held],
    *,
    now: datetime,
) -> dict[str, Held]:
    """Judge what changed since it was judged last; give all findings, by trigger."""
    found = dict[str, Held]()
    read = [_outcomes(artifacts), _tests(artifacts), policy.digest, canonical(rules).decode()]
    known = sha256(canonical([live.digest, live.time, *read]))
    if all(trigger in held and held[trigger].of == known for trigger in OF_OUTCOMES):
        found |= {trigger: held[trigger] for trigger in OF_OUTCOMES}
    else:
        judged = _against_promises(artifacts, policy, rules, live, modes)
        found |= {each.trigger: Held(of=known, finding=each) for each in judged}
    today = f"{live.digest} {newest_id(artifacts)} {now.astimezone(UTC).date()} {rules.shadow} {policy.limit(RANKS)}"
    if SHADOW in held and held[SHADOW].of == today:
        found[SHADOW] = held[SHADOW]
    else:
        found[SHADOW] = Held(of=today, finding=_in_shadow(artifacts, policy, rules.shadow, live, now=now))
    return found


def _outcomes(artifacts: Artifacts) -> list[tuple[str, int]]:
    """Say which files of outcomes there are, and of what size; none ever changes."""
    if not is_folder(artifacts.outcomes):
        return []
    with os.scandir(artifacts.outcomes) as entries:
        return sorted((entry.name, entry.stat().st_size) for entry in entries)


def _tests(artifacts: Artifacts) -> list[tuple[str, int, int]]:
    """Say which plans of A/B tests there are, and which of them ended."""
    found = []
    for path in (artifacts.ab, *(sorted(artifacts.ended_abs.iterdir()) if is_folder(artifacts.ended_abs) else ())):
        with suppress(FileNotFoundError):
            file = path.lstat()
            found.append((path.name, file.st_size, file.st_mtime_ns))
    return found


def _against_promises(
    artifacts: Artifacts, policy: Policy, rules: WatchRules, live: Intent, modes: Mapping[str, Mode]
) -> list[Finding]:
    try:
        with LocalDirectory(artifacts.model(live.to)) as model:
            sidecar = model.sidecar
        if sidecar.task != "signal":
            return [triggers.inconclusive(name, modes[name], "the live model is not a signal") for name in OF_OUTCOMES]
        plan = read_plan(artifacts)
        if plan and not plan.outlived(live):
            why = f"an A/B test deals its rows: {plan.name}"
            return [triggers.inconclusive(name, modes[name], why) for name in OF_OUTCOMES]
        # The trades that a split makes are those of the split, so what is held is followed anew from its end.
        tests, odd = kept(artifacts)
        ends = [each.stopped for each in tests if not each.plan.outlived(live)]
        ends += [datetime.fromtimestamp(path.lstat().st_mtime, UTC) for path in odd]
        since = max([live.time, *ends])
        first = since.astimezone(UTC).date() + timedelta(days=since > live.time)
        window = Window(digest=live.digest, since=since)
        of_days = followed_since(artifacts, policy, sidecar, window, first=first)
    except (InsufficientDataError, StatisticsError) as error:
        return [triggers.inconclusive(name, modes[name], first_line(error)) for name in OF_OUTCOMES]
    except (ModelgatesError, OSError) as error:
        return [triggers.unseen(name, modes[name], first_line(error)) for name in OF_OUTCOMES]
    series = {"ic": of_days.ic_net, "pnl": of_days.net}
    found = [exposure(of_days.net, of_days.exposures, policy, rules.exposure, modes[EXPOSURE])]
    try:
        promised = promises(artifacts, live, policy)
    except InsufficientDataError as error:
        return [*(triggers.inconclusive(name, modes[name], first_line(error)) for name in PROMISES), *found]
    except (ModelgatesError, OSError) as error:
        return [*(triggers.unseen(name, modes[name], first_line(error)) for name in PROMISES), *found]
    of = (falls_short(name, series[name], promised.get(name), getattr(rules, name), modes[name]) for name in PROMISES)
    return [*of, *found]


def _in_shadow(artifacts: Artifacts, policy: Policy, rules: ShadowRules, live: Intent, *, now: datetime) -> Finding:
    """Hold the agreement of the candidate packed last with the live model against its limit."""
    limit, since = policy.limit(RANKS), now - timedelta(days=rules.window_days)
    try:
        candidate = newest_id(artifacts)
        if candidate in (None, live.to):
            return triggers.inconclusive(SHADOW, rules.mode, "no candidate was packed since")
        with LocalDirectory(artifacts.model(str(candidate))) as model:
            digest = model.verify()
        ours = count_whole(artifacts, "shadow", Window(digest=digest, since=since))
        first = next(ours, None)
        if first is None:  # the live model's log may be long
            return triggers.inconclusive(SHADOW, rules.mode, f"{candidate} has no record in shadow")
        found = agreement(chain([first], ours), count_whole(artifacts, "live", Window(digest=live.digest, since=since)))
    except StatisticsError as error:
        return triggers.inconclusive(SHADOW, rules.mode, first_line(error))
    except (ModelgatesError, OSError) as error:
        return triggers.unseen(SHADOW, rules.mode, first_line(error))
    unlike = not limit.contains(found.mean)
    return Finding(
        trigger=SHADOW,
        mode=rules.mode,
        verdict="breach" if unlike else "clean",
        text=f"rank correlation {found.mean:.3f} of {candidate} over {found.days} days, limit {limit}",
        value=found.mean,
        unit="rho",
        limit=str(limit),
        sample=found.days,
        beyond=unlike,
    )
