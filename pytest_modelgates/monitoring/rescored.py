"""Rows that were served, scored once more from the same bytes by another process: what is asked, and what it found."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..policy.limits import Bounds, short
from ..policy.operations import Mode, ModeRules
from ..storage.digests import Sha256
from ..storage.text import counted, cut
from .lately import Sampled
from .triggers import Finding, inconclusive, unseen

SCORES = "scores"


class Rescored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What came of scoring rows once more.

    Parameters
    ----------
    model_id : str
    digest : str, optional
        Of the bytes that scored them.
    rows : int
        How many there were.
    difference : float, optional
        The largest difference from what was served, as a share of how far the score of its row reaches; see
        `stats.spread`. None if a score is missing.
    key : str
        The row that it is of.
    rank_corr : float, optional
        The rank correlation of both scores; None of fewer than 20 rows, or if all are alike.
    problem : str, optional
        Why they could not be scored.
    """

    model_id: str
    digest: Sha256 | None = None
    rows: int = 0
    difference: float | None = None
    key: str = ""
    rank_corr: float | None = None
    problem: str | None = None


Rescore = Callable[[Path, Sequence[Sampled]], Rescored]


def wrong_scores(
    found: Rescored | None, digest: str, parity: Bounds, agreement: Bounds, rules: ModeRules, mode: Mode
) -> Finding:
    """Hold the scores of rows against those that the same bytes give them now.

    Parameters
    ----------
    found : Rescored or None
        None if no row keeps its features.
    digest : str
        Of the model when it went live.
    parity : Bounds
        Of the difference.
    agreement : Bounds
        Of the rank correlation.
    rules : ModeRules
    mode : str
    """
    if found is None:
        return inconclusive(SCORES, mode, "no new row keeps its features; see: [log] features")
    if found.problem:
        return unseen(SCORES, mode, f"the rows cannot be scored again: {found.problem}")
    if found.digest != digest:
        return unseen(SCORES, mode, f"{found.model_id} has other bytes than when it went live; see: modelgates status")
    text = f"{counted(found.rows, 'row')} scored again"
    if found.rows < rules.min_sample:
        return inconclusive(SCORES, mode, f"{text}, at least {rules.min_sample} are needed")
    wrong, ranks = not parity.contains(found.difference), found.rank_corr
    unlike = ranks is not None and not agreement.contains(ranks)
    apart = "no finite score" if found.difference is None else f"apart by {short(found.difference)}"
    text = f"{text}, {apart}, limit {parity}"
    if wrong:
        text += f"; the furthest: {cut(found.key)}"
    if unlike:
        text += f"; rank correlation {ranks:.3f}, limit {agreement}"
    return Finding(
        trigger=SCORES,
        mode=mode,
        verdict="breach" if wrong or unlike else "clean",
        text=text,
        value=found.difference,
        unit="rel",
        limit=str(parity),
        sample=found.rows,
        beyond=wrong or unlike,
    )
