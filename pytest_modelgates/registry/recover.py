"""Repairing the registry after a crash or a change by hand: first as a list of steps, then, if asked, in fact.

A link that says nothing is made to follow the log, because the log is chained. Where both say something and contradict
each other, or a head that was kept elsewhere contradicts the log, nothing is chosen here: the ways on are listed.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from ..artifacts import Artifacts, is_id
from ..audit.chain import Abort, Tail, append, stray_end
from ..audit.events import event_of
from ..audit.head import Head
from ..audit.kinds import RECOVER
from ..audit.whole import Chain, read_chain, remembered
from ..audit.writer import finish_interrupted, lock
from ..errors import FormatError, ModelgatesError
from ..model.directory import verify
from ..policy.operations import LockRules
from ..storage.digests import sha256
from ..storage.lines import first
from ..storage.strict_json import parse_json, read_bytes
from .audit_check import kept_heads, lost_heads
from .store import (
    ONNX_LINK,
    append_signed,
    ever_live,
    in_the_links_way,
    is_model,
    link_text,
    onnx_link_broken,
    past_live,
    point_latest_at,
    set_stray_end_aside,
    sound_tail,
)

SEE = "; see: modelgates recover"
ARROW = "  → "
MOST = 8  # lines of a damaged log that are named


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: in words, and as a function."""

    text: str
    do: Callable[[], object]


@dataclass(slots=True)
class Findings:
    """What the evidence says how to repair, and what it does not: what is wrong there, and what to type."""

    log_steps: list[Step] = field(default_factory=list)
    link_steps: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    live: str | None = None
    evidence: str | None = None
    """The digest of lines at the log's end that are not records."""
    contradicted: bool = False
    """Whether the log is damaged, or the link or a kept head contradicts it."""

    @property
    def steps(self) -> list[Step]:
        """All of them, in their order."""
        return [*self.log_steps, *self.link_steps]


def recover(artifacts: Artifacts, rules: LockRules, *, do: bool) -> Findings:
    """Find what is wrong with link, log and live model, and repair what can be if `do` is set.

    A repair is an event in the log, which is written once the log can take it and before the link is touched.
    """
    with lock(artifacts, rules, writes=do):
        found = diagnose(artifacts)
        if do and found.steps:
            for step in found.log_steps:
                step.do()
            reason = "; ".join(step.text for step in found.steps)
            append_signed(artifacts, event_of(RECOVER, found.live or "nothing", reason, found.evidence), None)
            for step in found.link_steps:
                step.do()
        return found


def diagnose(artifacts: Artifacts) -> Findings:
    """Find what is wrong with log, link and live model; changes nothing. The caller holds the lock."""
    found = Findings()
    try:
        chain, kept = _read(artifacts)
        damage = chain.older_problems if stray_end(artifacts.log) else chain.problems
        found.problems = [f"{artifacts.promotions}: {problem}" for problem in damage[:MOST]]
        found.problems += lost_heads(kept, chain)
        end = sound_tail(artifacts)
    except FormatError as error:
        found.problems, found.contradicted = found.problems or [str(error).removesuffix(SEE)], True
        found.problems += _ways_on(artifacts, None)
        return found
    link, logged = link_text(artifacts), end.change.to if end.change else None
    live = link if end.open and link == end.open.to else logged
    claims = link if link and is_id(link) and is_model(artifacts, link) else None
    if (claims and claims != live) or (live is None and artifacts.disk.is_there(artifacts.latest)):
        found.problems.append(
            f"promotions.log says {live or 'nothing'} is live, latest points at {link or 'nothing that is a model'}"
        )
    if found.problems:
        found.contradicted = True
        found.problems += _ways_on(artifacts, end)
        return found
    found.live = live
    found.log_steps, found.link_steps = (
        list(_log_steps(artifacts, end, link, found)),
        list(_link_steps(artifacts, live)),
    )
    found.problems += _live_problems(artifacts, live)
    return found


def _read(artifacts: Artifacts) -> tuple[Chain, dict[str, Head]]:
    kept = kept_heads(artifacts)
    return read_chain(artifacts.log, heads=list(kept.values()), known=remembered(artifacts)), kept


def _log_steps(artifacts: Artifacts, end: Tail, link: str | None, found: Findings) -> Iterator[Step]:
    log = artifacts.log
    torn, stray = log.torn(), stray_end(log)
    if torn:
        yield Step(f"cut off the {torn} bytes that a crash left behind the log's end", log.drop_torn)
    if stray:
        found.evidence = sha256(log.end(torn + stray.size)[: stray.size])
        yield Step(stray.in_words(artifacts.promotions, found.evidence), lambda: set_stray_end_aside(artifacts))
    if end.open and link == end.open.to:
        yield Step(f"finish the {end.open.action} to {link} that was cut short", lambda: finish_interrupted(artifacts))
    elif end.open:
        text = f"forget the {end.open.action} to {end.open.to} that was cut short"
        yield Step(text, lambda: append(log, Abort(time=datetime.now(UTC)), after=end.head))


def _link_steps(artifacts: Artifacts, live: str | None) -> Iterator[Step]:
    for text, place, aside in in_the_links_way(artifacts):
        yield Step(text, partial(artifacts.disk.rename, place, aside))
    if live is None:
        return
    link = link_text(artifacts)
    if link != live:
        was = f"points at {link!r}" if link else "is missing or not a link"
        text = f"point latest at {live}, which the log says is live; it {was}"
        yield Step(text, lambda: point_latest_at(artifacts, live))
    elif onnx_link_broken(artifacts):
        yield Step(f"point latest.onnx at {ONNX_LINK}", lambda: point_latest_at(artifacts, live))


def _live_problems(artifacts: Artifacts, live: str | None) -> Iterator[str]:
    """Say what is wrong with the live model and the goldens, which no step repairs, and what to type."""
    if live and (problem := _damage(artifacts, live)):
        yield f"{live} is live and damaged: {problem}"
        if back := _back(artifacts, live):
            yield f'{ARROW}modelgates rollback {back} --reason "…"'
        yield f"{ARROW}or put {artifacts.model(live)} back from a copy" + ("" if back else ", or promote another model")
    if problem := goldens_problem(artifacts):
        metadata = artifacts.golden_metadata
        yield problem
        yield f"{ARROW}mv {metadata} {metadata}.moved" + (f" && modelgates golden set {live}" if live else "")


def goldens_problem(artifacts: Artifacts) -> str | None:
    """Say what is wrong with the list of goldens, without which no promotion can save its own; None if nothing is."""
    path = artifacts.golden_metadata
    if not artifacts.disk.is_there(path):
        return None
    if not artifacts.disk.is_file(path):
        return f"{path}: not a regular file"
    try:  # as JSON only: its types would bring NumPy along
        parse_json(read_bytes(path), str(path))
    except FormatError as error:
        return str(error)
    return None


def _damage(artifacts: Artifacts, model_id: str) -> str | None:
    """Say what is wrong with a model that went live, in a few words; None if it is what it was then."""
    record = first(ever_live(artifacts, model_id))
    was = record.digest if record else None
    try:
        digest = verify(artifacts.model(model_id))
    except ModelgatesError as error:
        return str(error).splitlines()[0]
    return None if was in (digest, None) else f"it has other bytes than when it went live (sha256:{str(was)[:16]}…)"


def _back(artifacts: Artifacts, live: str | None) -> str | None:
    """Find the model that was live last, is not now, and is what it was then."""
    with closing(past_live(artifacts, live)) as found:
        for model_id in found:
            with suppress(OSError):
                if not _damage(artifacts, model_id):
                    return model_id
    return None


def _ways_on(artifacts: Artifacts, end: Tail | None) -> Iterator[str]:
    """List what a person may choose where log and link cannot both be right."""
    yield f"{ARROW}put the newest copy of {artifacts.promotions} back, and look again: modelgates recover"
    link = link_text(artifacts)
    claims = link if link and is_id(link) and not _damage(artifacts, link) else None
    if claims:
        yield f'{ARROW}or keep {claims} live, and begin a new log: modelgates recover --adopt-link --reason "…"'
    back = _back(artifacts, link) if end else None  # to go back, there must be an end to write behind
    if back:
        yield f'{ARROW}or make {back} live: modelgates rollback {back} --reason "…"'
    if claims is None and back is None:
        yield (
            f"{ARROW}or lead latest to the model that should be live, and adopt it: "
            f'ln -sfn ID {artifacts.latest} && modelgates recover --adopt-link --reason "…"'
        )
