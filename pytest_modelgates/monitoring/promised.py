"""What the gates promised of the live model, and whether what came of its predictions falls short of it."""

import math
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..audit.chain import Intent
from ..errors import InsufficientDataError
from ..evidence.report import Report, read_report
from ..policy.operations import Mode, ModeRules
from ..policy.policy import Policy
from ..registry.store import went_live
from ..stats.portfolio import worst
from ..stats.quantiles import is_constant
from ..stats.sequential import mean_radius
from ..storage.digests import sha256_of
from ..storage.paths import entries
from ..storage.text import counted
from .triggers import Finding, inconclusive

PROMISES = {"ic": ("significance.p_against", "ic_net"), "pnl": ("pnl.p_value", "net_return")}
"""Which number of which evidence is the promise that a trigger holds what came against."""
EXPOSURE = "exposure"
_NAMES = {"ic": "the daily IC after costs", "pnl": "the daily return after costs"}
LEVEL = 0.025
"""The probability that one series ever falls short by chance, of one model [share]."""
_QUANTILE = 1.645  # of the normal distribution at 95 %: a promise is the mean of a sample, too


@dataclass(frozen=True, slots=True)
class Promise:
    """The mean of a day that the gates found on the panel, and over how many days."""

    value: float
    days: int


def promises(artifacts: Artifacts, live: Intent, policy: Policy) -> dict[str, Promise]:
    """Read what the report promised by which a model was promoted.

    Raises
    ------
    InsufficientDataError
        If that report is not kept.
    FormatError, SealError, OSError
        If it cannot be read.
    """
    digest = live.report_digest
    if digest is None:  # it went live by a rollback
        with closing(went_live(artifacts, live.to)) as found:
            digest = next((change.report_digest for change in found if change.report_digest), None)
    folder = artifacts.reports(live.to)
    for path in reversed(entries(folder, "*.json")) if digest else ():
        if sha256_of(path) == digest:
            return _in_report(read_report(path, keys=policy.evidence.keys).report, live.to)
    raise InsufficientDataError(f"the report by which {live.to} was promoted is not in {folder}")


def _in_report(report: Report, model_id: str) -> dict[str, Promise]:
    run, found = report.modelgates.models.get(model_id), dict[str, Promise]()
    for record in run.gates if run else ():
        for evidence in record.evidence:
            for trigger, (slo, name) in PROMISES.items():
                value = evidence.detail.get(name)
                if evidence.slo == slo and evidence.sample and isinstance(value, (int, float)) and math.isfinite(value):
                    found[trigger] = Promise(float(value), evidence.sample)
    return found


def exposure(
    net: NDArray[np.float64], exposures: NDArray[np.float64], policy: Policy, rules: ModeRules, mode: Mode
) -> Finding:
    """Hold the positions that follow the predictions on paper against the limits of the policy, on the worst day.

    Parameters
    ----------
    net : ndarray of float, shape (n_days,)
        What they earned.
    exposures : ndarray of float, shape (n_days, 3)
        As `portfolio.exposures` gives them.
    policy : Policy
    rules : ModeRules
    mode : str
    """
    if why := _too_few(net, rules):
        return inconclusive(EXPOSURE, mode, why)
    found = dict(zip(("pnl.exposure", "pnl.net_exposure", "pnl.largest_weight"), worst(exposures), strict=True))
    beyond = [name for name, value in found.items() if not policy.limit(name).contains(value)]
    said = (f"{name} {value:.3g} ({policy.limit(name)})" for name, value in found.items())
    return Finding(
        trigger=EXPOSURE,
        mode=mode,
        verdict="breach" if beyond else "clean",
        text=", ".join(said),
        value=found[(beyond or ["pnl.exposure"])[0]],
        unit="of capital",
        sample=net.size,
        beyond=bool(beyond),
    )


def _too_few(series: NDArray[np.float64], rules: ModeRules) -> str | None:
    if series.size >= rules.min_sample and not is_constant(series):
        return None
    days = counted(series.size, "day")
    return f"{days} with outcomes that differ, at least {rules.min_sample} are needed"


def falls_short(
    trigger: str, series: NDArray[np.float64], promise: Promise | None, rules: ModeRules, mode: Mode
) -> Finding:
    """Hold the mean of a daily series against what was promised, at all times at once.

    Parameters
    ----------
    trigger : {"ic", "pnl"}
    series : ndarray of float, shape (n_days,)
        In order of time.
    promise : Promise or None
    rules : ModeRules
    mode : str
    """
    if promise is None:
        return inconclusive(trigger, mode, "the report by which it was promoted promises nothing of it")
    if why := _too_few(series, rules):
        return inconclusive(trigger, mode, why)
    mean, radius = float(series.mean()), mean_radius(series, LEVEL)
    promised = promise.value - _QUANTILE * float(series.std()) / math.sqrt(promise.days)
    short = mean + radius < promised
    text = (
        f"{_NAMES[trigger]} is {mean:.4g} over {counted(series.size, 'day')}, at most {mean + radius:.4g}; promised "
        f"{promise.value:.4g}, at least {promised:.4g}"
    )
    return Finding(
        trigger=trigger,
        mode=mode,
        verdict="breach" if short else "clean",
        text=text,
        value=mean,
        unit="a day",
        limit=f"≥ {promised:.4g}",
        sample=series.size,
        level=LEVEL,
        beyond=short,
    )
