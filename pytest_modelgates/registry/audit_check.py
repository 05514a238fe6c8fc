"""How far the audit log can be believed.

The chain by itself shows an edited line. It does not show that the end was cut off, or that the whole log was
rewritten. Those two show against a head, the number and digest of one record, that is kept elsewhere: in the manifest
of a model packed later, or in a printout. A signature shows them too.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime

from ..artifacts import Artifacts
from ..audit.chain import Commit, Event, adoption, decoded, lines, signed_content
from ..audit.head import Head
from ..audit.kinds import PULL
from ..audit.whole import Chain, logs, read_chain, remember
from ..errors import FormatError, IntegrityError
from ..evidence.seal import signer
from ..model.directory import LocalDirectory
from ..storage.paths import is_there
from .store import model_ids

LOST = "record {} is not the one that {} kept: the log was cut off or rewritten"


def check_log_end(artifacts: Artifacts, keys: Sequence[str] | None, newest: str | None) -> tuple[str, list[str]]:
    """Judge the log by its end: by its last signature, and by the head that the newest model's manifest kept.

    Parameters
    ----------
    artifacts : Artifacts
    keys : sequence of str or None
        Public keys that the policy lists; None if the policy cannot be read, so that no signature can be checked.
    newest : str or None
        The newest model.

    Returns
    -------
    str
        The level of assurance, in words.
    list of str
        What speaks against the log.
    """
    begun = adopted(artifacts)
    kept = _kept_head(artifacts, newest, begun) if newest else None
    end: int | None = None
    last: Commit | Event | None = None
    holds = False
    with closing(lines(artifacts.log)) as found:
        for record, digest in found:
            end = end or record.n
            # An event without a signature says nothing about the one of the change before it.
            if last is None and (isinstance(record, Commit) or (isinstance(record, Event) and record.signature)):
                last = record
            # The kept head may be newer than the last commit: that of an abort, or of a change under way.
            holds = holds or Head(record.n, digest) == kept
            if last and (kept is None or record.n <= kept.n):
                break
    levels, problems = [f"chained since the link was adopted on {begun:%Y-%m-%d}" if begun else "chained"], []
    if kept and holds:
        levels.append(f"head kept by {newest}")
    elif kept:
        problems.append(LOST.format(kept.n, newest) + "; see: modelgates recover")
    if last and last.signature:
        by, problem = _signer(last, keys)
        levels.append(f"head signed by {by}" if last.n == end else f"signed by {by} up to record {last.n}")
        problems += problem
    return ", ".join(levels) if len(levels) > 1 or begun else "chained only", problems


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a whole log found, in words; what speaks against it; and what is odd and does not."""

    found: str
    problems: list[str]
    notes: list[str]


def verify_log(artifacts: Artifacts, keys: Sequence[str] | None, head: Head | None = None) -> Checked:
    """Judge the whole log: every line, every signature, and the heads that all models and the caller kept."""
    kept = kept_heads(artifacts)
    chain = read_chain(artifacts.log, heads=[*kept.values(), *([head] if head else [])])
    remember(artifacts, chain)
    problems = [*chain.problems, *lost_heads(kept, chain)]
    for record in chain.signed:
        problems += _signer(record, keys)[1]
    if head and head not in chain.held:
        problems.append(LOST.format(head.n, "--head"))
    found = f"{chain.end.n} records, {len(chain.signed)} signed, {len(kept)} heads kept by models; head {chain.end}"
    return Checked(found, problems, chain.notes)


def kept_heads(artifacts: Artifacts) -> dict[str, Head]:
    """Read the ends of the log that models' manifests kept, by model; a link that was adopted since ends them."""
    begun, elsewhere = adopted(artifacts), pulled(artifacts)
    ids = [model_id for model_id in model_ids(artifacts) if model_id not in elsewhere]
    found = {model_id: _kept_head(artifacts, model_id, begun) for model_id in ids}
    return {model_id: head for model_id, head in found.items() if head}


def newest_that_keeps_a_head(artifacts: Artifacts, ids: Sequence[str]) -> str | None:
    """Find the newest of the models, oldest first, whose manifest can be read and keeps an end of the log."""
    begun, elsewhere = adopted(artifacts), pulled(artifacts)
    newest_first = (model_id for model_id in reversed(ids) if model_id not in elsewhere)
    return next((found for found in newest_first if _kept_head(artifacts, found, begun)), None)


def pulled(artifacts: Artifacts) -> set[str]:
    """Name the models that came from a bucket: an end of a log that they keep is of another machine's log."""
    found = set[str]()
    if not is_there(artifacts.shared):
        return found
    for log in logs(artifacts):
        with suppress(FormatError), closing(log.from_end(holding=f'"kind":"{PULL}"'.encode())) as marked:
            for line in marked:
                with suppress(FormatError):
                    record = decoded(line, "line")
                    if isinstance(record, Event) and record.kind == PULL:
                        found.add(record.subject)
    return found


def lost_heads(kept: Mapping[str, Head], chain: Chain) -> list[str]:
    """Name the kept heads that the log does not hold."""
    return [LOST.format(head.n, model_id) for model_id, head in kept.items() if head not in chain.held]


def adopted(artifacts: Artifacts) -> datetime | None:
    """Find out when the log was begun anew from the link; None for a log that began with a promotion."""
    first = adoption(artifacts.log)
    return first.time if first else None


def _kept_head(artifacts: Artifacts, model_id: str, begun: datetime | None) -> Head | None:
    try:
        with LocalDirectory(artifacts.model(model_id)) as model:
            manifest = model.manifest
    except (FormatError, IntegrityError, PermissionError):
        return None  # `modelgates verify` says what is wrong with the manifest
    # A log that was begun anew holds none of the heads kept before. Its first record names the log that it replaced.
    return Head.parse(manifest.audit_head) if manifest.audit_head and not (begun and manifest.created < begun) else None


def _signer(record: Commit | Event, keys: Sequence[str] | None) -> tuple[str, list[str]]:
    """Say who signed a record, and what is wrong about it."""
    assert record.signature is not None, "asked for signed records only"
    if keys is None:
        return "a key that cannot be checked without the policy", []
    by = signer(signed_content(record), record.signature, keys)
    if by is None:
        problem = f"record {record.n} is signed by none of the {len(keys)} keys that the policy lists"
        return "no listed key", [problem]
    return by, []
