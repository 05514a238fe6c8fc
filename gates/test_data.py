"""Whether the panel is fit to judge a model by."""

from typing import Any

import pytest

from pytest_modelgates import Gate, Panel, why_nobody_left


@pytest.mark.hard
@pytest.mark.gate("data.finite")
def test_finite(panel: Panel, gate: Gate) -> None:
    """No infinity anywhere, and NaN only in features that may be NaN."""
    gate.check_none(panel.not_finite())


@pytest.mark.hard
@pytest.mark.gate("data.unique_keys")
def test_unique_keys(panel: Panel, gate: Gate) -> None:
    """One row per day and asset."""
    gate.check_none(panel.repeated_rows())


@pytest.mark.hard
@pytest.mark.gate("data.ordered")
def test_ordered(panel: Panel, gate: Gate) -> None:
    """Rows ascend by time, then asset."""
    gate.check_none(panel.unordered_rows())


@pytest.mark.hard
@pytest.mark.gate("data.no_overlap")
def test_no_overlap(panel: Panel, gate: Gate) -> None:
    """No row lies on or before the last price date that a training label used."""
    gate.check_none(panel.overlapping_rows())


@pytest.mark.hard
@pytest.mark.gate("data.window")
def test_window(panel: Panel, window_problems: list[str], gate: Gate) -> None:
    """Nobody chose the days: they begin after training, end when the model was packed, or are of a panel kept apart."""
    starts, ends = (f"{panel.days[end]:%Y-%m-%d}" if len(panel.days) else "no row" for end in (0, -1))
    gate.check_none(window_problems, starts=starts, ends=ends, panel=panel.rows_digest)


@pytest.mark.hard
@pytest.mark.gate("data.target_agrees")
def test_target_agrees(panel: Panel, gate: Gate) -> None:
    """The target of a day ranks its names like the returns over the horizon from the day after, and no others better.

    A target that is declared neutralised may differ.
    """
    found = panel.target_agreement
    there: dict[str, Any] = {"lead": found.lead, "rho_there": found.largest, "worst_day": panel.day(found.worst_day)}
    neutralised = panel.sidecar.target_neutralised
    why_not = "the sidecar declares the target neutralised; days that were left out show less in such a target"
    values = {
        "data.target_agrees": found.rank_corr,
        "data.target_lead": found.lead,
        "data.target_differs": 0.0 if neutralised else 1 - found.rank_corr,
        "data.target_breaks": 0 if neutralised else found.broken,
    }
    sizes, limit = panel.return_sizes, gate.policy.limit
    odd = len(sizes.impossible) > 0 or not limit("data.return_size").contains(sizes.median)
    if odd and not all(limit(slo).contains(value) for slo, value in values.items()):
        gate.inconclusive("these are no returns to compare a target with: see data.returns_plausible")
    gate.check_each(
        values,
        sample=found.days,
        by_slo={
            "data.target_agrees": there,
            "data.target_lead": {"rho_there": found.largest, "rho": found.rank_corr},
            "data.target_differs": there,
            "data.target_breaks": there,
        },
        not_asked=dict.fromkeys(("data.target_differs", "data.target_breaks"), why_not if neutralised else None),
    )


@pytest.mark.hard
@pytest.mark.gate("data.returns_plausible")
def test_returns_plausible(panel: Panel, gate: Gate) -> None:
    """Returns are shares of the usual size, none is below -100 % or cut off, and every price moves in its own way."""
    found = panel.return_sizes
    impossible = [panel.row(*cell) for cell in found.impossible.tolist()]
    still, odd = ([panel.asset(code) for code in codes.tolist()] for codes in (found.constant, found.odd))
    copies = panel.repeated_names()
    gate.check_each(
        {
            "data.returns_plausible": len(impossible),
            "data.return_size": found.median,
            "data.constant_names": len(still),
            "data.odd_names": len(odd),
            "data.repeated_names": len(copies),
            "data.clipped_returns": found.clipped,
        },
        sample=panel.rows,
        by_slo={
            "data.returns_plausible": {"first": impossible[0]} if impossible else {},
            "data.constant_names": {"first": still[0]} if still else {},
            "data.odd_names": {"first": odd[0]} if odd else {},
            "data.repeated_names": {"first": copies[0]} if copies else {},
        },
    )


@pytest.mark.hard
@pytest.mark.gate("data.calendar")
def test_calendar(panel: Panel, gate: Gate) -> None:
    """The dates keep one frequency, leave no long gap, and no day that the target or a feature still knows."""
    found, cut = panel.calendar, panel.left_out
    counted = {"periods_per_year": found.periods_per_year, "counted_a_year": found.counted}
    missing: dict[str, Any] = {"periods_without_rows": found.missing}
    if found.missing:
        missing["first_of_them"] = str(found.first_missing)
    known: dict[str, Any] = {"asked": ", ".join(cut.columns) or "none"}
    gaps = [f"after {panel.day(day)}" for day in cut.days.tolist()]
    gate.check_each(
        {
            "data.calendar": found.gap,
            "data.frequency": found.irregularity,
            "data.days_left_out": len(gaps),
            "data.days_left_out_p": cut.p_value,
        },
        sample=len(panel.days),
        by_slo={
            "data.calendar": {"gap_from": str(found.gap_from), "gap_to": str(found.gap_to), **missing, **counted},
            "data.frequency": counted,
            "data.days_left_out": {"first": gaps[0], "by": cut.column, **known} if gaps else known,
            "data.days_left_out_p": {"gaps": cut.gaps, **missing, **known},
        },
    )


@pytest.mark.hard
@pytest.mark.gate("data.holes")
def test_holes(panel: Panel, gate: Gate) -> None:
    """Hardly a row is missing between others, and those that are missing are not the ones that the position lost by."""
    found = panel.holes
    known: dict[str, Any] = {"holes": len(found.places), "exits": found.exits}
    if len(found.places):
        known["first"] = panel.row(*found.places[0].tolist())
    gate.check_each(
        {"data.holes": found.share, "data.holes_p": found.p_value},
        sample=panel.rows,
        by_slo={"data.holes": known, "data.holes_p": known},
    )


@pytest.mark.hard
@pytest.mark.gate("data.repeated_days")
def test_repeated_days(panel: Panel, gate: Gate) -> None:
    """No day has the returns of an earlier one, but for a few names."""
    gate.check_none(panel.repeated_days())


@pytest.mark.soft
@pytest.mark.gate("data.survivors")
def test_survivors(panel: Panel, gate: Gate) -> None:
    """Some names leave the panel, as they do in every market."""
    gate.check(
        panel.share_of_survivors,
        sample=panel.returns.shape[1],
        doubt_miss=why_nobody_left(rows=panel.rows, periods_per_year=panel.calendar.periods_per_year),
    )


@pytest.mark.hard
@pytest.mark.gate("data.repeated_rows")
def test_repeated_rows(panel: Panel, gate: Gate) -> None:
    """Hardly a row of a model that is not a signal comes twice."""
    share, first = panel.share_of_repeated_rows()
    gate.check(share, sample=panel.rows, first_row=first)
