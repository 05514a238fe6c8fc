"""How far the audit log can be believed.

The chain by itself shows an edited line. It does not show that the end was cut off, or that the whole log was
rewritten. Those two show against a head, the number and digest of one record, that is kept elsewhere: in the manifest
of a model packed later, or in a printout. A signature shows them too.
"""

from collections.abc import Sequence

from ..artifacts import Artifacts
from ..audit.chain import Commit, Event, lines, read_chain, signed_content
from ..audit.head import Head
from ..errors import FormatError, IntegrityError
from ..evidence.seal import signer
from ..model.directory import ModelDirectory
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
    kept = _kept_head(artifacts, newest) if newest else None
    end: int | None = None
    last: Commit | Event | None = None
    holds = False
    for record, digest in lines(artifacts.promotions):
        end = end or record.n
        # An event without a signature says nothing about the one of the change before it.
        if last is None and (isinstance(record, Commit) or (isinstance(record, Event) and record.signature)):
            last = record
        # The kept head may be newer than the last commit: that of an abort, or of a change under way.
        holds = holds or Head(record.n, digest) == kept
        if last and (kept is None or record.n <= kept.n):
            break
    levels, problems = ["chained"], []
    if kept and holds:
        levels.append(f"head kept by {newest}")
    elif kept:
        problems.append(LOST.format(kept.n, newest))
    if last and last.signature:
        by, problem = _signer(last, keys)
        levels.append(f"head signed by {by}" if last.n == end else f"signed by {by} up to record {last.n}")
        problems += problem
    return ", ".join(levels) if len(levels) > 1 else "chained only", problems


def verify_log(artifacts: Artifacts, keys: Sequence[str] | None, head: Head | None = None) -> tuple[str, list[str]]:
    """Judge the whole log: every line, every signature, and the heads that all models and the caller kept.

    Returns
    -------
    str
        What was found, in words.
    list of str
        What speaks against the log; empty if nothing does.
    """
    chain = read_chain(artifacts.promotions)
    problems = list(chain.problems)
    heads = {model_id: _kept_head(artifacts, model_id) for model_id in model_ids(artifacts)}
    kept = {model_id: head for model_id, head in heads.items() if head}
    problems += [LOST.format(found.n, model_id) for model_id, found in kept.items() if not chain.holds(found)]
    for record in chain.signed:
        problems += _signer(record, keys)[1]
    if head and not chain.holds(head):
        problems.append(LOST.format(head.n, "--head"))
    end = Head(len(chain.digests), chain.digests[-1] if chain.digests else None)
    return f"{end.n} records, {len(chain.signed)} signed, {len(kept)} heads kept by models; head {end}", problems


def _kept_head(artifacts: Artifacts, model_id: str) -> Head | None:
    try:
        with ModelDirectory(artifacts.model(model_id)) as model:
            kept = model.manifest.audit_head
    except (FormatError, IntegrityError):
        return None  # `modelgates verify` says what is wrong with the manifest
    return Head.parse(kept) if kept else None


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
