"""The ledger: an event of the audit log for each distinct trial, and a file with what is kept of it.

Nothing takes a trial back. Where its file is lost, it counts as a trial on any data.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np

from ..artifacts import Artifacts, is_id
from ..audit.chain import Event, append, decoded
from ..audit.events import event_of
from ..audit.kinds import ADDED, OF_TRIALS, TRIAL
from ..audit.whole import logs
from ..errors import FormatError, GoneError, IntegrityError
from ..model.directory import LocalDirectory
from ..model.panel import Panel
from ..stats.families import Hashes, one_family
from ..storage.digests import sha256
from ..storage.paths import is_folder
from ..storage.strict_json import read_bytes
from .kept import ROW, Kept, market_of, trial_of

Unknown = tuple[str, Panel]  # a trial that the ledger lacks
MOST_OTHERS = 999  # are kept in memory; where there are more, no test of all at once is made
LARGEST = 2**30  # of a file [bytes]; one of 50 years of days has 1 MB


@dataclass(frozen=True, slots=True)
class Seen:
    """The trials of this registry on the data of one panel, and what is kept of those that are not the model's own.

    `trials` counts distinct candidates, the model itself among them; `added` those that somebody tried elsewhere.
    `others` are the newest, at most 999.
    """

    trials: int
    added: int
    others: list[Kept]

    @property
    def count(self) -> int:
        """All of them."""
        return self.trials + self.added


def read_ledger(artifacts: Artifacts) -> list[Event]:
    """Read the events of trials, the newest first and each trial once, through logs that were set aside.

    Each is believed by itself, so that damage elsewhere in the log takes none away. The whole log is looked through: a
    list of where the trials stand could be cut short unseen, as the chain of the log cannot.
    """
    return list(_entries(artifacts))


def _entries(artifacts: Artifacts) -> Iterator[Event]:
    known = set[str]()
    for log in logs(artifacts):
        with closing(log.from_end(holding=OF_TRIALS)) as found:
            for line in found:
                with suppress(FormatError):
                    event = decoded(line, "line")
                    if isinstance(event, Event) and (_adds(event) or _is_new(event, known)):
                        yield event


def _adds(event: Event) -> bool:
    return event.kind == ADDED and event.subject.isascii() and event.subject.isdecimal()


def _is_new(event: Event, known: set[str]) -> bool:
    new = event.kind == TRIAL and event.subject not in known
    known.add(event.subject)
    return new


def enter(artifacts: Artifacts, ledger: list[Event], trial: str, kept: Callable[[], Kept], reason: str) -> bool:
    """Write a trial down unless it is in the ledger, with its file; say whether it was.

    The caller holds the registry's lock. A trial whose file is lost, or of an older kind, is entered anew.

    Parameters
    ----------
    artifacts : Artifacts
    ledger : list of Event
        As it was read under the lock.
    trial : str
        Its name, by `trial_id`.
    kept : callable
        What is to be kept of it; not asked for if it is known.
    reason : str
        For people: what the model is, or where it was seen first.
    """
    if any(event.subject == trial and kept_by(artifacts, event) for event in ledger if event.kind == TRIAL):
        return False
    content = kept().encoded()
    digest = sha256(content)
    # The file comes first: an event whose file a crash has kept from being written would count on any data.
    artifacts.write(artifacts.trial(digest), content)
    append(artifacts.log, event_of(TRIAL, trial, reason, digest), mode=artifacts.file_mode)
    return True


def unknown_models(artifacts: Artifacts, ledger: list[Event], *, besides: str | None = None) -> Iterator[Unknown]:
    """Find the trials among the model directories that the ledger lacks, but for one, each with its panel.

    There are some where the log was lost, or where models were packed by a version without a ledger.
    """
    known = {besides, *(event.subject for event in ledger if event.kind == TRIAL)}
    for name in _ids(artifacts):
        found = None
        # What cannot be read cannot be judged either.
        with suppress(FormatError, IntegrityError, GoneError), LocalDirectory(artifacts.model(name)) as model:
            trial = trial_of(model)
            if trial and trial not in known:
                known.add(trial)
                found = trial, Panel.read(model.verified_panel(), model.sidecar).require_readable()
        if found:
            yield found


def models_here(artifacts: Artifacts) -> dict[str, list[str]]:
    """Find the ids of the model directories that are here, by the trial that each is; several may be the same one."""
    found: dict[str, list[str]] = {}
    for name in _ids(artifacts):
        with suppress(FormatError, IntegrityError, GoneError), LocalDirectory(artifacts.model(name)) as model:
            if trial := trial_of(model):
                found.setdefault(trial, []).append(name)
    return found


def _ids(artifacts: Artifacts) -> list[str]:
    names = (path.name for path in artifacts.models.iterdir()) if is_folder(artifacts.models) else ()
    return sorted(filter(is_id, names))


def enter_unknown(artifacts: Artifacts, ledger: list[Event], found: dict[str, Kept]) -> None:
    """Write down trials of `unknown_models`, with what is kept of them. The caller holds the registry's lock."""
    for trial in found:
        why = "its directory was here, and the ledger lacked it"
        enter(artifacts, ledger, trial, partial(found.__getitem__, trial), why)


def keep_data_of(artifacts: Artifacts, model_id: str) -> str:
    """Write down the market data of a model's panel, and return the digest of the file.

    Raises
    ------
    FormatError, IntegrityError, GoneError
        If the model is not there, or its panel cannot be read.
    """
    with LocalDirectory(artifacts.model(model_id)) as model:
        market = market_of(Panel.read(model.verified_panel(), model.sidecar))
    if not market.size:
        raise FormatError(
            f"{model_id}: its panel does not tell its market data, for which a name needs 21 days; leave --model out"
        )
    content = Kept(np.empty(0, dtype=ROW), market).encoded()
    artifacts.write(artifacts.trial(sha256(content)), content)
    return sha256(content)


def kept_by(artifacts: Artifacts, event: Event) -> Kept | None:
    """Read what is kept of a trial; None if that is lost, or is not what the log says."""
    if event.evidence is None:
        return None
    path = artifacts.trial(event.evidence)
    try:
        content = read_bytes(path, limit=LARGEST)
        return Kept.decoded(content, str(path)) if sha256(content) == event.evidence else None
    except (FormatError, OSError):
        return None


def seen_on(
    artifacts: Artifacts,
    ledger: list[Event],
    market: Callable[[], Hashes],
    trial: str,
    *,
    before: datetime | None = None,
    unknown: Iterable[Unknown] = (),
) -> Seen:
    """Count the trials on the data of a panel.

    Parameters
    ----------
    artifacts : Artifacts
    ledger : list of Event
    market : callable
        The hashes of the panel's data; not asked for if the ledger keeps them.
    trial : str
        The model's own name; it counts once, whether it is in the ledger or not.
    before : datetime, optional
        Leave out what was entered from then on.
    unknown : iterable of (trial, Panel)
        Other trials, which the ledger lacks; they count, and are not at hand.
    """
    found, added, others = 1, 0, list[Kept]()
    own = next((event for event in ledger if event.kind == TRIAL and event.subject == trial), None)
    known = kept_by(artifacts, own) if own else None
    data = known.market if known and known.market.size else market()
    for event in ledger:
        if event is own or (before and event.time >= before):
            continue
        kept = kept_by(artifacts, event)
        # What is lost counts, and what could be of any data: nobody gains by deleting it.
        if kept and not one_family(kept.market, data):
            continue
        if event.kind == ADDED:
            added += int(event.subject)
            continue
        found += 1
        if kept and len(others) < MOST_OTHERS:
            others.append(Kept(kept.rows, np.empty(0, dtype=np.uint64)))
    found += sum(one_family(market_of(panel), data) for _, panel in unknown)
    return Seen(found, added, others)
