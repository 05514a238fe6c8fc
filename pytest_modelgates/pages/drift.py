"""What is shown of checks for drift: their index, what was compared, and for how long they said the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..monitoring.checks import CheckLine
from ..policy.limits import Bounds
from ..storage.text import counted
from .charts import Chart, line
from .pictures import distributions


@dataclass(slots=True, kw_only=True)
class Spell:
    """Checks in an arm that followed one another, of one model, and said the same; `why` is what the last one gave."""

    since: datetime
    until: datetime
    model_id: str
    arm: str
    said: str
    why: str
    checks: int = 1

    @property
    def state(self) -> str:
        """How it is coloured."""
        return "bad" if self.said.startswith("drift") else "warn" if self.said == "cannot tell" else ""


def spells(found: Sequence[CheckLine]) -> list[Spell]:
    """Put checks together that say the same, so that one look shows what changed.

    Parameters
    ----------
    found : sequence of CheckLine
        The oldest first.

    Returns
    -------
    list of Spell
        The newest first.
    """
    last, listed = dict[str, Spell](), list[Spell]()
    for check in found:
        arm = check.arm or "files"
        spell = last.get(arm)
        if spell and (spell.model_id, spell.said) == (check.model_id, check.said):
            spell.until, spell.why, spell.checks = check.time, check.why, spell.checks + 1
            continue
        last[arm] = Spell(
            since=check.time, until=check.time, model_id=check.model_id, arm=arm, said=check.said, why=check.why
        )
        listed.append(last[arm])
    return sorted(listed, key=lambda each: each.until, reverse=True)


def of_drift(found: Sequence[CheckLine], limit: Bounds) -> list[Chart]:
    """Draw the index of all checks, that of the rows that were new to each look, and the newest histograms.

    Parameters
    ----------
    found : sequence of CheckLine
        The oldest first.
    limit : Bounds
        Of the index.
    """
    if not found:
        return []
    charts = [
        line(
            "PSI of each check for drift",
            f"The index of all rows of each of the last {counted(len(found), 'check')}, and what chance alone may "
            f"give; the limit is {limit.upper:g}.",
            [_when(check) for check in found],
            {"PSI": [each.psi.value for each in found], "by chance": [each.psi.critical for each in found]},
            of="check",
            limit=limit.upper,
        )
    ]
    newest = {_when(check): check.over_time.window.psi for check in found if check.over_time and check.over_time.window}
    if newest:
        charts.append(
            line(
                "PSI of the newest rows",
                f"The index of the rows that were new to each look over time; the limit is {limit.upper:g}, and a look "
                "alarms beyond it if chance does not explain it.",
                [*newest],
                {"PSI": [*newest.values()]},
                of="look",
                limit=limit.upper,
            )
        )
    return charts + [distributions(check) for check in [each for each in found if each.psi.bins][-1:]]


def _when(check: CheckLine) -> str:
    return f"{check.time:%Y-%m-%d %H:%M}"
