"""What other plugins hear of each verdict, by the hook `pytest_modelgates_verdict`: copies, which change nothing."""

from __future__ import annotations  # the types below are imported for checkers alone

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evidence.shown import verdict_shown
from ..evidence.verdict import Judged, Verdict, advice
from ..policy.policy import Policy
from ..storage.text import first_line, printable

if TYPE_CHECKING:
    import pytest

HOOK = "pytest_modelgates_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredValue:
    """One value of a gate beside its limit.

    Parameters
    ----------
    slo : str
        The limit's name: the gate's own, or a further one of it.
    value : float or None
        In `unit`; None if nothing could be measured.
    unit, limit : str
        The limit as people are shown it, such as ``0 ≤ · ≤ 0.25``.
    margin : float or None
        The distance to the nearest bound that can be missed, negative beyond it [unit].
    sample : int or None
        How many values it was measured from [count].
    interval : (float, float) or None
        Its confidence interval [unit].
    not_asked : str or None
        Why the question does not arise for this model; the value then is one that keeps the limit.
    """

    slo: str
    value: float | None
    unit: str
    limit: str
    margin: float | None
    sample: int | None
    interval: tuple[float, float] | None
    not_asked: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """The verdict of one gate on one model.

    Parameters
    ----------
    gate, severity : str
        Its declared name with its parameter; ``hard`` or ``soft``.
    verdict : str
        passed, failed, errored, inconclusive, not run, no reference yet, warned (soft, missed) or waived.
    blocks : bool
        Whether it keeps the run from being green.
    reason, advice : str
        Why it did not pass, and what to do if it failed; else empty.
    waiver : str or None
        The row of the policy that excuses it, in words.
    model, model_digest : str
        The model's id, and the SHA-256 of its directory when the run began, in hex.
    node_id : str
        pytest's name of the test. Two gates may share one, so `gate` is what tells them apart.
    values : tuple of MeasuredValue
        In the order they were recorded.
    """

    gate: str
    severity: str
    verdict: str
    blocks: bool
    reason: str
    advice: str
    waiver: str | None
    model: str
    model_digest: str
    node_id: str
    values: tuple[MeasuredValue, ...]


def verdict_record(judged: Judged, policy: Policy, model_id: str, digest: str) -> VerdictRecord:
    """Copy what is told of a verdict; no part of it is one that the run goes on with."""
    values = []
    for evidence in judged.record.evidence:
        limit = policy.limit(evidence.slo)
        values.append(
            MeasuredValue(
                slo=evidence.slo,
                value=evidence.value,
                unit=limit.unit,
                limit=str(limit),
                margin=None if evidence.value is None else limit.margin(evidence.value),
                sample=evidence.sample,
                interval=evidence.interval,
                not_asked=evidence.not_asked,
            )
        )
    return VerdictRecord(
        gate=judged.record.gate,
        severity=judged.record.severity,
        verdict=verdict_shown(judged),
        blocks=judged.blocks,
        reason=judged.why,
        advice=advice(judged.record, policy) if judged.verdict is Verdict.FAILED else "",
        waiver=str(judged.waiver) if judged.waiver else None,
        model=model_id,
        model_digest=digest,
        node_id=judged.record.node_id,
        values=tuple(values),
    )


def tell(config: pytest.Config, record: VerdictRecord) -> list[str]:
    """Call every plugin that listens, each by itself; return what went wrong, which changes no outcome.

    Ctrl-C and `pytest.exit` go their way: they end the run, which is then not green. What ends a process otherwise,
    `sys.exit`, is one more error.
    """
    import pytest

    manager, problems = config.pluginmanager, []
    listening = {id(found.plugin): found.plugin for found in getattr(config.hook, HOOK).get_hookimpls()}
    for plugin in listening.values():
        others = [each for each in manager.get_plugins() if each is not plugin]
        try:
            manager.subset_hook_caller(HOOK, others)(record=record)
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        # Not only Exception: what pytest's skip and fail raise is none, and neither is SystemExit.
        except BaseException as error:
            name = manager.get_name(plugin) or type(plugin).__name__
            problems.append(printable(f"{HOOK} of {name}: {type(error).__name__}: {first_line(error)}"))
    return problems
