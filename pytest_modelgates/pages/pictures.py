"""What is drawn of a panel, of a report's evidence and of checks for drift; every number is computed in `stats`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from ..artifacts import Artifacts
from ..errors import ModelgatesError
from ..evidence.report import Evidence, GateRecord
from ..model.directory import ModelDirectory
from ..monitoring.checks import CheckLine, checks
from ..policy.limits import short
from ..policy.policy import Policy
from ..storage.text import first_line
from .charts import Chart, bars, histograms, line

PARITY, ABLATION = "parity.max_abs_diff", "ablation.harmless"
NATIVE = "by the native model's scores in the panel"
_GREATEST = 1e300
_MOST_CHECKS = 500  # lines of the list of checks, from its end


def of_panel(model: ModelDirectory, policy: Policy) -> tuple[list[Chart], list[str]]:
    """Draw what following the native scores of a panel would have come to; say also what is not drawn, and why.

    Raises
    ------
    ModelgatesError
        If the sidecar or the panel cannot be read.
    """
    import numpy as np

    from ..model.panel import Panel
    from ..stats.days import DAYS_PER_YEAR, periods_per_year
    from ..stats.holdings import simulate
    from ..stats.risk import drawdowns
    from ..stats.walkforward import folds_of_days

    sidecar = model.sidecar
    if sidecar.task != "signal":
        return [], [f"positions of a {sidecar.task} model, which has none"]
    panel = Panel.read(model.panel_file(), sidecar)
    rate = policy.costs.borrow_bps_per_year
    costs = policy.costs.charged(days_per_year=periods_per_year(panel.days) if rate else DAYS_PER_YEAR)
    volume = None if panel.volume is None else panel.volume / policy.costs.capital
    scores = panel.by_day(panel.native_scores)
    holdings = simulate(scores, panel.returns, horizon=sidecar.horizon, cost_bps=costs, volume=volume)
    times = panel.days.to_numpy()[holdings.first :].astype("datetime64[D]")
    days = [str(day) for day in times]
    charts = [
        line(
            "Cumulative IC",
            f"Sum of the daily IC, {NATIVE}; its mean is {holdings.ic.mean():.4f} before costs and "
            f"{holdings.ic_net.mean():.4f} after them.",
            days,
            {"before costs": _list(np.cumsum(holdings.ic)), "after costs": _list(np.cumsum(holdings.ic_net))},
        ),
        line(
            "Cumulative return on paper",
            f"Sum of the daily returns as a share of capital, {NATIVE}: {holdings.net.sum():.2%} after costs.",
            days,
            {"before costs": _list(np.cumsum(holdings.gross)), "after costs": _list(np.cumsum(holdings.net))},
        ),
        line(
            "Drawdown",
            "How far capital lies below its highest so far, after costs, with returns reinvested; at most "
            f"{drawdowns(holdings.net).max():.2%}.",
            days,
            {"share of capital": _list(-drawdowns(holdings.net))},
        ),
    ]
    try:
        folds = folds_of_days(holdings.ic_net, times, purge=holdings.first)
    except ModelgatesError as error:
        return charts, [f"folds, {first_line(error)}"]
    errors = [mean / z if z else 0.0 for mean, z in zip(folds.means, folds.z, strict=True)]
    names = [str(label) for label in folds.labels]
    charts.append(
        bars(
            "IC by fold",
            f"Mean IC after costs of each stretch of the calendar, with two standard errors either side; "
            f"{folds.share_positive:.0%} are above 0.",
            dict(zip(names, _list(folds.means), strict=True)),
            of="fold",
            unit="mean IC",
            intervals={
                name: (float(mean - 2 * error), float(mean + 2 * error))
                for name, mean, error in zip(names, folds.means, errors, strict=True)
            },
        )
    )
    return charts, []


def of_evidence(gates: Iterable[GateRecord]) -> list[Chart]:
    """Draw what the gates recorded besides their values."""
    records = list(gates)
    found = {evidence.slo: evidence for record in records for evidence in record.evidence if evidence.detail}
    charts = list[Chart]()
    if parity := _parity(found.get(PARITY)):
        charts.append(parity)
    if decay := _decay(found.get("significance.rank_ic")):
        charts.append(decay)
    if placebo := _placebo(found.get("significance.placebo")):
        charts.append(placebo)
    ablations = {
        record.gate.partition("[")[2].removesuffix("]"): record.evidence[0].detail
        for record in records
        if record.gate.startswith(f"{ABLATION}[") and record.evidence
    }
    gains = {group: number(detail, "gain") for group, detail in ablations.items()}
    if any(gain is not None for gain in gains.values()):
        between = {
            group: (low, high)
            for group, detail in ablations.items()
            if (low := number(detail, "gain_from")) is not None and (high := number(detail, "gain_to")) is not None
        }
        bound = next((number(detail, "bound") for detail in ablations.values() if detail), None)
        charts.append(
            bars(
                "Ablation",
                "What the daily IC after costs gains without each feature group, with 90 % intervals. A gain beyond "
                "the dashed line would speak against the group.",
                gains,
                of="without",
                unit="gain of IC",
                intervals=between,
                limit=bound,
            )
        )
    return charts + _intervals(records)


def _parity(evidence: Evidence | None) -> Chart | None:
    farthest, limit = (evidence.value, evidence.at_most) if evidence else (None, None)
    if evidence is None or farthest is None or not limit or limit <= 0:
        return None
    apart = {
        "half of the rows": number(evidence.detail, "half_within"),
        "99 in 100 rows": number(evidence.detail, "p99_within"),
        "every row": farthest,
    }
    said = ", ".join(f"{name} at most {short(value)}" for name, value in apart.items() if value is not None)
    return bars(
        "Parity",
        f"How far the scores of ONNX Runtime are from the native ones, as a share of the spread of a day's: {said}; "
        f"the limit is {limit:g}. A bar shows by how many powers of ten that is below the limit, and lies left of 0 if "
        "it is above; where nothing differs there is none.",
        {name: math.log10(limit / value) if value and value > 0 else None for name, value in apart.items()},
        of="rows and probes",
        unit="powers of ten below the limit",
    )


def _decay(evidence: Evidence | None) -> Chart | None:
    detail = evidence.detail if evidence else {}
    horizons = {
        f"{name.removeprefix('ic_')} d": value
        for name in detail
        if name.removeprefix("ic_").isdecimal() and (value := number(detail, name)) is not None
    }
    if len(horizons) < 2:
        return None
    return bars(
        "Decay", "Mean rank IC of the scores over longer horizons.", horizons, of="horizon", unit="mean rank IC"
    )


def _placebo(evidence: Evidence | None) -> Chart | None:
    detail = evidence.detail if evidence else {}
    ic, spread = number(detail, "ic"), number(detail, "sd_names")
    if ic is None or spread is None:
        return None
    return bars(
        "Placebo",
        "IC of the position before costs, and where the same position on other names would lie: two standard "
        "deviations either side of 0.",
        {"the position": ic, "on other names": 0.0},
        of="position",
        unit="IC",
        intervals={"on other names": (-2 * spread, 2 * spread)},
    )


def _intervals(records: Sequence[GateRecord]) -> list[Chart]:
    """Draw each value that was recorded with an interval, those of one unit together."""
    units = dict[str, list[Evidence]]()
    for record in records:
        for evidence in record.evidence:
            if evidence.interval and evidence.value is not None:
                units.setdefault(evidence.unit, []).append(evidence)
    return [
        bars(
            f"Values with their intervals [{unit}]",
            "What was measured, and the interval that was recorded with it.",
            {evidence.slo: evidence.value for evidence in some},
            of="gate",
            unit=unit,
            intervals={evidence.slo: evidence.interval for evidence in some if evidence.interval},
        )
        for unit, some in units.items()
    ]


def of_checks(artifacts: Artifacts, digest: str) -> list[Chart]:
    """Draw the newest check for drift of a model."""
    found = (check for check in checks(artifacts, most=_MOST_CHECKS, digest=digest) if check.psi.bins)
    return [distributions(newest) for newest in islice(found, 1)]


def distributions(check: CheckLine) -> Chart:
    """Draw what a check compared."""
    index = "–" if check.psi.value is None else f"{check.psi.value:.3f}"
    chance = "" if check.psi.critical is None else f", by chance up to {check.psi.critical:.3f}"
    return histograms(
        "Predictions: golden and current",
        f"Shares of {check.model_id}'s predictions in each bin, {check.said} on {check.time:%Y-%m-%d %H:%M} UTC; PSI "
        f"{index}{chance}.",
        [each.values for each in check.psi.bins],
        [each.golden for each in check.psi.bins],
        [each.current for each in check.psi.bins],
        "golden",
        check.arm or "files",
    )


def number(detail: Mapping[str, Any], name: str) -> float | None:
    """Read a number from what was recorded with a value; None if it is another thing, or too large to be drawn."""
    value = detail.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _GREATEST else None


def _list(values: Any) -> list[float]:
    found: list[float] = values.tolist()
    return found
