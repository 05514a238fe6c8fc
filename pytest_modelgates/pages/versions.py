"""What is drawn over versions: how the newest models did by the same gates, one after the other."""

from collections.abc import Sequence

from ..evidence.report import Evidence
from ..evidence.verdict import base_name
from ..monitoring.liveness import GateHistory
from ..policy.policy import Policy
from .charts import Chart, bars, line
from .pictures import ABLATION, PARITY, number

_CHARTS = 12  # of margins, and as many of feature groups


def over_versions(histories: Sequence[GateHistory], policy: Policy) -> dict[str, list[Chart]]:
    """Draw parity, ablations and margins, by the heading that they stand under.

    Parameters
    ----------
    histories : sequence of GateHistory
        With what was measured; see `liveness`.
    policy : Policy
    """
    found = {
        "Parity over versions": [_parity(each) for each in histories if each.gate == PARITY and each.measured],
        "Ablations over versions": [
            _ablation(each) for each in histories if base_name(each.gate) == ABLATION and each.measured
        ][:_CHARTS],
        "Margins over versions": _margins([each for each in histories if each.gate != PARITY], policy),
    }
    return {heading: charts for heading, charts in found.items() if charts}


def _measured(history: GateHistory) -> dict[str, Evidence]:
    """Give what was measured by version, the oldest first."""
    return {version: history.measured[version] for version in sorted(history.measured, key=int)}


def _parity(history: GateHistory) -> Chart:
    found = _measured(history)
    newest = [*found.values()][-1]
    return line(
        "Parity",
        "The farthest that ONNX Runtime is from the native model, by version, as a share of the spread of a day's "
        "scores; the dashed line is the limit.",
        [*found],
        {"farthest": [each.value for each in found.values()]},
        of="model",
        limit=newest.at_most,
    )


def _ablation(history: GateHistory) -> Chart:
    details = {version: each.detail for version, each in _measured(history).items()}
    between = {
        version: (low, high)
        for version, detail in details.items()
        if (low := number(detail, "gain_from")) is not None and (high := number(detail, "gain_to")) is not None
    }
    group = history.gate.partition("[")[2].removesuffix("]")
    return bars(
        f"Without {group}",
        f"What the daily IC after costs gains without {group}, by version, with 90 % intervals. A gain beyond the "
        "dashed line, the bound of the newest version, would speak against the group.",
        {version: number(detail, "gain") for version, detail in details.items()},
        of="model",
        unit="gain of IC",
        intervals=between,
        limit=number([*details.values()][-1], "bound"),
    )


def _margins(histories: Sequence[GateHistory], policy: Policy) -> list[Chart]:
    """Draw the margins of gates that differ from version to version: those first that are nearest to a miss."""
    drawn = list[tuple[float, Chart]]()
    for history in histories:
        versions = sorted(history.margins, key=int)
        known = [margin for version in versions if (margin := history.margins[version]) is not None]
        if len(set(known)) < 2:
            continue
        slo = policy.slo.get(base_name(history.gate))
        chart = line(
            f"Margin of {history.gate}",
            f"The distance to the nearer bound of its limit [{slo.unit if slo else 'its unit'}], by version; below 0 "
            "the gate is missed.",
            versions,
            {"margin": [history.margins[version] for version in versions]},
            of="model",
            limit=0.0,
        )
        drawn.append((known[-1] / max(map(abs, known)), chart))
    return [chart for _, chart in sorted(drawn, key=lambda each: each[0])[:_CHARTS]]
