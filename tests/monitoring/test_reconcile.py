"""The paper ledger against the gates' own simulation: it agrees, or says which of signal, fill and cost differs."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import InsufficientDataError, NoReference
from pytest_modelgates.monitoring.reconcile import Reconciled, reconcile
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import PaperLimits
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.serving.paper_ledger import Day, Ledger, Opening, read_ledger, write_line
from pytest_modelgates.serving.prices import Quotes
from pytest_modelgates.stats.costs import Costs
from tests.serving.test_drill import RULES
from tests.serving.test_paper import NAMES, on, predict, quotes, trade

POLICY = load_policy(None)
CHARGED = Costs(half_spread_bps=2)
NO_CAPS = PaperLimits(weight=1e9, gross=1e9, net=1e9, turnover=1e9)
DAYS = 5


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An artifacts root in which some days were predicted and traded on as the policy charges."""
    (tmp_path / "artifacts" / "models").mkdir(parents=True)
    artifacts = Artifacts(tmp_path / "artifacts")
    for day in range(DAYS):
        predict(artifacts, day)
    trade(artifacts, quotes(*range(DAYS)), costs=CHARGED, limits=NO_CAPS)
    return artifacts


def compared(artifacts: Artifacts, policy: Policy = POLICY, *, since: date = date.min) -> Reconciled:
    return reconcile(artifacts, policy, "live", since=since)


def test_what_was_booked_as_the_gates_hold_it_agrees(artifacts: Artifacts) -> None:
    found = compared(artifacts)
    assert (found.differences, found.causes, found.differing_days) == ((), [], [])
    assert (found.days, found.first_day, found.last_day, found.outcomes, found.cuts) == (4, on(1), on(4), 0, 0)
    # Each of some hundred amounts is rounded to a cent.
    assert found.booked == pytest.approx(found.simulated, abs=1e-7)
    assert abs(found.booked) > 1e-4


@settings(deadline=None, max_examples=20)
@given(turnover=st.floats(0.05, 1.5), weight=st.floats(0.05, 0.6), net=st.floats(0, 0.5), gone=st.integers(1, DAYS - 1))
def test_caps_and_missing_prices_agree_too(
    tmp_path_factory: pytest.TempPathFactory, turnover: float, weight: float, net: float, gone: int
) -> None:
    artifacts = Artifacts(tmp_path_factory.mktemp("root") / "artifacts")
    artifacts.models.mkdir(parents=True)
    for day in range(DAYS):
        predict(artifacts, day)
    prices = quotes(*range(DAYS))
    del prices[on(gone)].prices["F"]
    limits = PaperLimits(weight=weight, gross=0.8, net=net, turnover=turnover)
    trade(artifacts, prices, costs=CHARGED, limits=limits)
    found = compared(artifacts)
    assert found.differences == ()
    assert found.booked == pytest.approx(found.simulated, abs=1e-6)


def test_impact_of_a_name_without_a_price_agrees_too(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "models").mkdir(parents=True)
    artifacts = Artifacts(tmp_path / "artifacts")
    prices = {day: Quotes(quoted.prices, dict.fromkeys(NAMES, 1e6)) for day, quoted in quotes(*range(DAYS)).items()}
    gone = prices[on(2)]
    for name in "AF":
        del gone.prices[name], gone.volumes[name]  # type: ignore[union-attr]
    for day in range(DAYS):
        predict(artifacts, day)
    costs = Costs(half_spread_bps=2, impact_bps=10)
    trade(artifacts, prices, costs=costs, limits=NO_CAPS)
    policy = msgspec.structs.replace(POLICY, costs=msgspec.structs.replace(POLICY.costs, impact_bps=10.0))
    found = compared(artifacts, policy)
    assert found.differences == ()
    assert found.booked == pytest.approx(found.simulated, abs=1e-6)


def test_predictions_that_came_late_or_changed_differ_by_signal_alone(artifacts: Artifacts) -> None:
    predict(artifacts, 2, sign=-1)
    found = compared(artifacts)
    assert found.causes == ["signal"]
    assert found.differing_days == [f"signal on {on(3)}"]
    assert str(found.differences[0]) == (f"{on(3)} A: weight -0.111111 by {on(2)} was booked, the log says 0.111111")
    assert found.booked != pytest.approx(found.simulated, abs=1e-5)


def test_predictions_that_are_lost_differ_by_signal(artifacts: Artifacts) -> None:
    ledger = read_ledger(artifacts.paper("live"))
    assert ledger
    (name,) = ledger.days[1].parts
    (artifacts.predictions / "live" / f"{name}.jsonl").unlink()
    found = compared(artifacts)
    assert {each.cause for each in found.differences} == {"signal"}
    assert str(found.differences[0]).endswith("the log says none, as it has no prediction of it")


def test_a_name_that_was_left_out_differs_by_signal(artifacts: Artifacts) -> None:
    predict(artifacts, 1, key="{day}|new-{name}")
    found = compared(artifacts)
    wanted = f"{on(2)} new-B: weight none by {on(1)} was booked, the log says "
    assert any(str(each).startswith(wanted) for each in found.of("signal"))


def test_other_costs_than_the_policys_differ_by_cost_alone(artifacts: Artifacts, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("[costs]\nhalf_spread_bps = 5\n")
    found = compared(artifacts, load_policy(file))
    assert found.causes == ["cost"]
    first = found.differences[0]
    assert (first.day, first.text) == (on(1), "22.22 was paid, 55.56 is charged")


def edited(artifacts: Artifacts, change: Callable[[int, dict[str, Any]], None]) -> None:
    """Book other lines: each day is changed, and its sums are made to agree."""
    path = artifacts.paper("live")
    opening, *days = (json.loads(line) for line in path.read_bytes().splitlines())
    path.unlink()
    ledger = Ledger(msgspec.convert(opening, Opening))
    write_line(path, ledger.opening, mode=0o644)
    cash = value = opening["capital_cents"]
    for number, day in enumerate(days):
        change(number, day)
        gross, cost, traded = (
            sum(each.get(name, 0) for each in day["names"]) for name in ("gross_cents", "cost_cents", "trade_cents")
        )
        cash, value = cash - traded - cost + gross, value + gross - cost
        day |= {"gross_cents": gross, "cost_cents": cost, "net_cents": gross - cost}
        line = msgspec.convert(day | {"cash_cents": cash, "value_cents": value}, Day)
        ledger.add(line)
        write_line(path, line, mode=0o644)


def test_a_fill_that_the_signals_do_not_ask_for_differs_by_fill_alone(artifacts: Artifacts) -> None:
    def more_of_the_first(number: int, day: dict[str, Any]) -> None:
        for each in day["names"][:1]:
            if number == DAYS - 1:
                each["position_cents"] += 1000
                each["trade_cents"] = each.get("trade_cents", 0) + 1000

    edited(artifacts, more_of_the_first)
    found = compared(artifacts)
    assert found.causes == ["fill"]
    (one,) = found.differences
    assert (one.day, one.asset) == (on(4), "A")
    assert one.text.endswith(" asked for")


def test_earnings_that_the_prices_do_not_make_differ_by_fill(artifacts: Artifacts) -> None:
    def richer(number: int, day: dict[str, Any]) -> None:
        for each in day["names"]:
            if number == 3 and each["asset"] == "B":
                each["gross_cents"] = each.get("gross_cents", 0) + 500

    edited(artifacts, richer)
    (one,) = compared(artifacts).differences
    assert (one.cause, one.asset, one.day) == ("fill", "B", on(3))
    assert "earned, prices say" in one.text


def outcomes(artifacts: Artifacts, tmp_path: Path, *, wrong: str | None = None) -> None:
    """Add what the prices returned from day 2 to day 3, but for one name."""
    first, second = quotes(2, 3).values()
    lines = ["time,asset,return"]
    for name in NAMES:
        back = second.prices[name] / first.prices[name] - 1 + 0.01 * (name == wrong)
        lines.append(f"{on(2)},{name},{back!r}")
    (tmp_path / "outcomes.csv").write_text("\n".join(lines) + "\n")
    add_outcomes(artifacts, tmp_path / "outcomes.csv", ["time", "asset"], RULES)


def test_outcomes_that_agree_with_the_prices_are_counted(artifacts: Artifacts, tmp_path: Path) -> None:
    outcomes(artifacts, tmp_path)
    found = compared(artifacts)
    assert found.differences == ()
    assert found.outcomes >= len(NAMES) - 1


def test_an_outcome_that_the_prices_contradict_differs_by_fill(artifacts: Artifacts, tmp_path: Path) -> None:
    outcomes(artifacts, tmp_path, wrong="A")
    (one,) = compared(artifacts).differences
    assert (one.cause, one.asset, one.day) == ("fill", "A", on(3))
    assert one.text == "returned 0.0000% by the prices, 1.0000% by the outcome"


def test_days_before_are_left_out(artifacts: Artifacts) -> None:
    predict(artifacts, 0, sign=-1)
    assert compared(artifacts).causes == ["signal"]
    found = compared(artifacts, since=on(2))
    assert (found.causes, found.days, found.first_day) == ([], 3, on(2))


def test_a_day_that_was_predicted_and_not_traded_on_differs_by_fill(artifacts: Artifacts) -> None:
    predict(artifacts, DAYS)
    predict(artifacts, DAYS + 1)
    trade(artifacts, quotes(DAYS + 1), costs=CHARGED, limits=NO_CAPS)
    (one,) = compared(artifacts).differences
    assert (one.cause, str(one)) == ("fill", f"{on(DAYS)} *: 6 names were predicted, and not traded at its prices")


def test_a_position_that_runs_off_while_nothing_is_predicted_agrees(artifacts: Artifacts) -> None:
    trade(artifacts, quotes(*range(DAYS, DAYS + 3)), costs=CHARGED, limits=NO_CAPS)
    assert compared(artifacts).differences == ()


def test_impact_is_reconciled_by_the_booked_volumes(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    artifacts.models.mkdir(parents=True)
    prices = {day: Quotes(each.prices, dict.fromkeys(NAMES, 3e6)) for day, each in quotes(0, 1, 2).items()}
    for day in range(3):
        predict(artifacts, day)
    trade(artifacts, prices, costs=Costs(half_spread_bps=2, impact_bps=10), limits=NO_CAPS)
    file = tmp_path / "policy.toml"
    file.write_text("[costs]\nimpact_bps = 10\n")
    found = compared(artifacts, load_policy(file))
    assert found.differences == ()
    assert found.booked == pytest.approx(found.simulated, abs=1e-7)
    assert compared(artifacts).causes == ["cost"]


def test_what_cannot_be_compared_says_why(artifacts: Artifacts) -> None:
    with pytest.raises(InsufficientDataError, match=r"no day with one before it to compare, of 5; book more, or leave"):
        compared(artifacts, since=on(DAYS) + timedelta(days=1))
    for part in (artifacts.predictions / "live").rglob("*.jsonl"):
        part.unlink()
    with pytest.raises(InsufficientDataError, match="the log of live predictions holds none of the days that were"):
        compared(artifacts)
    artifacts.paper("live").unlink()
    with pytest.raises(NoReference, match="nothing was booked on paper yet; run: modelgates paper --prices FILE"):
        compared(artifacts)
