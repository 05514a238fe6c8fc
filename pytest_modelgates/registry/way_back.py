"""The way back: what was seen of the live model, to which a rollback would go, before another takes its place."""

import msgspec

from ..evidence.reasons import Reason
from ..policy.policy import Policy
from ..storage.digests import Sha256

PARITY = "parity.max_abs_diff"


class WayBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a rehearsal of a rollback found: whether the model verifies, loads, and scores its golden rows."""

    model_id: str
    digest: Sha256 | None = None
    rows: int = 0
    """Of its panel that were scored [count]."""
    difference: float | None = None
    """The largest from its golden, as a share of how far the score of its row reaches; see `stats.spread`."""
    problem: str | None = None

    def __str__(self) -> str:
        """Say for people how it went."""
        return f"{self.model_id}, rehearsed: it verifies, loads and scores {self.rows} golden rows"


def way_back_reasons(
    found: WayBack, policy: Policy, *, live: str | None, digest: str | None, repair: str
) -> list[Reason]:
    """Find what speaks against a promotion because there would be no way back.

    Parameters
    ----------
    found : WayBack
        What the rehearsal found.
    policy : Policy
    live : str or None
        The live model, and
    digest : str or None
        its digest when it went live.
    repair : str
        The command that promotes.
    """
    anyway = f"roll back to a model that is sound first, or go without: {repair} --no-way-back"
    if found.model_id != live:
        return [Reason(f"rollback was rehearsed to {found.model_id}, and {live or 'nothing'} is live now", repair)]
    if found.problem:
        return [Reason(f"there is no way back to {live}: {found.problem}", anyway)]
    if found.digest != digest:
        return [Reason(f"there is no way back to {live}: it has other bytes than when it went live", anyway)]
    limit = policy.limit(PARITY)
    if policy.applies(PARITY, None) and not limit.contains(found.difference):
        text = f"its scores differ from its golden by {found.difference:.3g}, limit {limit}"
        return [Reason(f"there is no way back to {live}: {text}", anyway)]
    return []
