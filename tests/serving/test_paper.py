"""The paper broker: cents that add up, the gates' positions and costs, caps, and a ledger that survives any end."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.kill import kill
from pytest_modelgates.errors import (
    FormatError,
    InsufficientDataError,
    IntegrityError,
    KilledError,
    RefusedError,
    RegistryError,
    StatisticsError,
)
from pytest_modelgates.policy.operations import PaperLimits
from pytest_modelgates.predictions.parts import PartWriter
from pytest_modelgates.predictions.records import FORMAT, Prediction
from pytest_modelgates.serving.paper import Booked, next_day, read_scores, signal_of, trade_on_paper
from pytest_modelgates.serving.paper_ledger import Day, Ledger, Limits, Opening, read_ledger
from pytest_modelgates.serving.prices import Quotes, read_prices
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.holdings import evaluate_positions, rank_weights, tranche_weights
from pytest_modelgates.storage.lock import locked_file
from tests.serving.test_drill import RULES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NONE = {"weight": 1e9, "gross": 1e9, "net": 1e9, "turnover": 1e9}
COSTS = Costs(half_spread_bps=2, commission_bps=0.5, borrow_bps_per_year=300)
FIRST = date(2026, 1, 5)


def on(day: int) -> date:
    return FIRST + timedelta(days=day)


def opened(capital_cents: int = 10**8) -> Ledger:
    return Ledger(Opening(arm="live", capital_cents=capital_cents, opened=NOW))


def follow(
    ledger: Ledger,
    scores: list[dict[str, float]],
    prices: list[dict[str, float]],
    *,
    horizon: int = 1,
    costs: Costs = COSTS,
    volumes: list[dict[str, float]] | None = None,
    **limits: float,
) -> Ledger:
    """Book days, each by the scores of the day before."""
    for number, quoted in enumerate(prices):
        said = scores[number - 1] if number else {}
        line = next_day(
            ledger,
            on(number),
            Quotes(quoted, volumes[number] if volumes else None),
            signal=signal_of(said),
            model_id="1700000000" if said else None,
            horizon=horizon if said else None,
            costs=costs,
            limits=Limits(**(NONE | limits)),
        )
        ledger.add(line)
    return ledger


def held(day: Day) -> dict[str, int]:
    return {asset: each.position_cents for asset, each in day.positions.items()}


def test_a_position_follows_the_scores_of_the_day_before() -> None:
    prices = [{"A": 10.0, "B": 20.0}, {"A": 10.0, "B": 20.0}, {"A": 11.0, "B": 19.0}]
    ledger = follow(opened(), [{"A": 1.0, "B": 0.0}] * 2, prices, costs=Costs(half_spread_bps=2))
    start, entered, earned = ledger.days
    assert (held(start), start.value_cents, start.model_id) == ({}, 10**8, None)
    # Long A and short B, half of a million each, at 2 bps of what is traded.
    assert held(entered) == {"A": 50_000_000, "B": -50_000_000}
    assert (entered.cost_cents, entered.gross_cents, entered.cash_cents) == (20_000, 0, 10**8 - 20_000)
    # A rose by a tenth, B fell by a twentieth; what they earned is settled, and nothing is traded.
    assert [(each.asset, each.gross_cents, each.trade_cents) for each in earned.names] == [
        ("A", 5_000_000, 0),
        ("B", 2_500_000, 0),
    ]
    assert (earned.net_cents, earned.value_cents) == (7_500_000, 10**8 - 20_000 + 7_500_000)


def test_a_name_without_a_price_is_closed_at_its_last_one() -> None:
    whole = {"A": 10.0, "B": 20.0, "C": 30.0}
    scores = [{"A": 3.0, "B": 2.0, "C": 1.0}] * 3
    ledger = follow(opened(), scores, [whole, whole, {"B": 20.0, "C": 33.0}, whole])
    closed = ledger.days[2]
    (a,) = (each for each in closed.names if each.asset == "A")
    assert (a.price, a.trade_cents, a.position_cents, a.gross_cents, a.priced) == (10.0, -50_000_000, 0, 0, False)
    assert a.cost_cents > 0
    assert held(ledger.days[3])["A"] == 50_000_000


def test_days_without_scores_let_a_position_run_off() -> None:
    prices = [{"A": 1.0, "B": 1.0}] * 5
    days = follow(opened(), [{"A": 1.0, "B": 0.0}, {}, {}, {}], prices, horizon=2).days
    assert [held(day).get("A", 0) for day in days] == [0, 25_000_000, 25_000_000, 0, 0]


CUTS: list[Any] = [
    pytest.param({"weight": 0.3}, [30, 0, -30], "weight cut from 0.5 to 0.3", id="weight"),
    pytest.param({"gross": 0.4}, [20, 0, -20], "gross cut from 1 to 0.4", id="gross"),
    pytest.param({"turnover": 0.2}, [10, 0, -10], "turnover cut from 1 to 0.2", id="turnover"),
    pytest.param({"weight": 0.3, "gross": 0.7}, [30, 0, -30], "weight cut from 0.5 to 0.3", id="weight-before-gross"),
]


@pytest.mark.parametrize(("limits", "percent", "told"), CUTS)
def test_what_a_cap_cuts_is_kept_with_what_was_asked(limits: dict[str, float], percent: list[int], told: str) -> None:
    prices = [{"A": 1.0, "B": 1.0, "C": 1.0}] * 2
    ledger = follow(opened(), [{"A": 3.0, "B": 2.0, "C": 1.0}], prices, **limits)
    day = ledger.days[1]
    assert [each.position_cents / 10**6 for each in day.names] == percent
    assert [each.wanted for each in day.names] == [0.5, 0, -0.5]
    assert [str(cut) for cut in day.cuts] == [told]
    assert day.limits == Limits(**(NONE | limits))


def test_the_net_is_capped_when_a_price_is_missing() -> None:
    ledger = follow(opened(), [{"A": 3.0, "B": 2.0, "C": 1.0}], [{"A": 1.0}, {"A": 1.0, "B": 1.0}], net=0.1)
    assert held(ledger.days[1]) == {"A": 10_000_000}
    assert [str(cut) for cut in ledger.days[1].cuts] == ["net cut from 0.5 to 0.1"]


def test_what_the_net_cuts_the_gross_need_not() -> None:
    scores, priced = [{"A": 3.0, "B": 2.0, "C": 1.0}], {"A": 1.0, "B": 1.0}
    day = follow(opened(), scores, [priced] * 2, net=0.1, gross=0.3).days[1]
    assert [str(cut) for cut in day.cuts] == ["net cut from 0.5 to 0.1"]


def test_a_name_without_a_market_is_closed_whatever_the_turnover() -> None:
    whole = {"A": 1.0, "B": 1.0, "C": 1.0}
    scores = [{"A": 3.0, "B": 2.0, "C": 1.0}, {"A": 1.0, "B": 2.0, "C": 3.0}]
    ledger = follow(opened(), scores, [whole, whole, {"B": 1.0, "C": 1.0}], turnover=1.1)
    assert held(ledger.days[2]) == {"C": 10_000_000}


def test_impact_is_charged_by_the_volume_or_asked_for() -> None:
    prices, scores = [{"A": 1.0, "B": 1.0}] * 2, [{"A": 1.0, "B": 0.0}]
    costs = Costs(impact_bps=10)
    volumes = [{"A": 2e6, "B": 5e5}] * 2
    a, b = follow(opened(), scores, prices, costs=costs, volumes=volumes).days[1].names
    assert (a.cost_cents, b.cost_cents) == (round(5e7 * 1e-3 * math.sqrt(0.25)), round(5e7 * 1e-3))
    with pytest.raises(StatisticsError, match="impact is charged by participation: give the volumes, or set impact"):
        follow(opened(), scores, prices, costs=costs)


def test_closing_for_want_of_a_price_has_no_impact() -> None:
    scores, whole = [{"A": 3.0, "B": 2.0, "C": 1.0}] * 3, {"A": 1.0, "B": 1.0, "C": 1.0}
    prices = [whole, whole, {"B": 1.0, "C": 1.0}]
    volumes = [dict.fromkeys(quoted, 1e6) for quoted in prices]
    costs = Costs(half_spread_bps=2, impact_bps=10)
    closed = follow(opened(), scores, prices, costs=costs, volumes=volumes).days[2].names[0]
    assert (closed.position_cents, closed.trade_cents, closed.cost_cents) == (0, -50_000_000, 10_000)


NAMES = "ABCDEF"


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Scores and prices of some days; names come and go."""
    days = draw(st.integers(2, 7))
    score, price = st.floats(-3, 3), st.floats(0.01, 1e4)
    some = lambda values: st.dictionaries(st.sampled_from(NAMES), values, max_size=6)  # noqa: E731
    return draw(st.lists(some(score), min_size=days, max_size=days)), draw(
        st.lists(some(price), min_size=days, max_size=days)
    )


LIMIT = st.one_of(st.just(1e9), st.floats(0.01, 1.5))


@settings(deadline=None)
@given(
    market=markets(),
    horizon=st.integers(1, 4),
    cents=st.integers(10**4, 10**13),
    bps=st.floats(0, 100),
    borrow=st.floats(0, 2000),
    limits=st.fixed_dictionaries(dict.fromkeys(NONE, LIMIT)),
)
def test_cash_positions_and_costs_are_conserved_to_the_last_cent(
    market: tuple[list[dict[str, float]], list[dict[str, float]]],
    horizon: int,
    cents: int,
    bps: float,
    borrow: float,
    limits: dict[str, float],
) -> None:
    costs = Costs(half_spread_bps=bps, borrow_bps_per_year=borrow)
    ledger = follow(opened(cents), *market, horizon=horizon, costs=costs, **limits)
    cash, owned, gross, cost = cents, dict.fromkeys(NAMES, 0), 0, 0
    for day in ledger.days:
        for each in day.names:
            owned[each.asset] += each.trade_cents
            cash += each.gross_cents - each.trade_cents - each.cost_cents
            gross, cost = gross + each.gross_cents, cost + each.cost_cents
            assert owned[each.asset] == each.position_cents
            assert each.cost_cents >= 0
        invested = sum(owned.values())
        assert (day.cash_cents, day.value_cents) == (cash, cash + invested)
        assert day.value_cents == cents + gross - cost
        shares = np.array([position / cents for position in owned.values()])
        error = len(NAMES) / cents + 1e-9
        assert np.abs(shares).max() <= limits["weight"] + error
        # The cap of turnover comes last, and may keep the net beyond its own while names are closed.
        assert np.abs(shares).sum() <= limits["gross"] + error
        forced = sum(abs(each.trade_cents) for each in day.names if not each.priced)
        traded = sum(abs(each.trade_cents) for each in day.names)
        assert traded / cents <= max(limits["turnover"], forced / cents) + error
    # Lines that were written are the same days when they are read.
    content = msgspec.json.encode(ledger.days)
    assert msgspec.json.decode(content, type=list[Day]) == ledger.days


@settings(deadline=None)
@given(market=markets(), horizon=st.integers(1, 4), bps=st.floats(0, 50), borrow=st.floats(0, 500))
def test_without_caps_it_holds_pays_and_earns_what_the_gates_simulate(
    market: tuple[list[dict[str, float]], list[dict[str, float]]], horizon: int, bps: float, borrow: float
) -> None:
    scores, prices = market
    costs = Costs(half_spread_bps=bps, borrow_bps_per_year=borrow)
    days = follow(opened(), scores, prices, horizon=horizon, costs=costs).days
    given_, quoted = (
        np.array([[day.get(name, np.nan) for name in NAMES] for day in table], dtype=float) for table in market
    )
    position = tranche_weights(rank_weights(given_), horizon=horizon)
    position[np.isnan(quoted)] = 0
    # What is closed for want of a price returns nothing since its last one.
    with np.errstate(invalid="ignore"):
        returns = np.nan_to_num(np.vstack([quoted[1:] / quoted[:-1] - 1, np.zeros(len(NAMES))]))
    held_ = evaluate_positions(position, returns, cost_bps=costs)
    shares = np.array([[held(day).get(name, 0) / 1e8 for name in NAMES] for day in days])
    np.testing.assert_allclose(shares, position, atol=1e-8)
    np.testing.assert_allclose([day.cost_cents / 1e8 for day in days], held_.cost, atol=1e-6)
    np.testing.assert_allclose([day.gross_cents / 1e8 for day in days[1:]], held_.gross[:-1], rtol=1e-6, atol=1e-4)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An empty artifacts root."""
    (tmp_path / "artifacts" / "models").mkdir(parents=True)
    return Artifacts(tmp_path / "artifacts")


def predict(artifacts: Artifacts, day: int, *, arm: str = "live", sign: float = 1.0, key: str = "{day}|{name}") -> None:
    """Log the predictions of a day as a part of its own."""
    records = [
        Prediction(
            time=NOW,
            row_key=key.format(day=on(day), name=name),
            model_id="1700000000",
            digest="0" * 64,
            schema_crc32="00000000",
            prediction=sign * ((number * 7 + day * 3) % 5),
            latency_ms=1.0,
            arm=arm,
            row_time=datetime.combine(on(day), datetime.min.time(), UTC),
            format=FORMAT,
        )
        for number, name in enumerate(NAMES)
    ]
    with PartWriter(artifacts, arm, RULES) as writer:
        writer.write(records)


def quotes(*days: int) -> dict[date, Quotes]:
    return {on(day): Quotes({name: 10.0 + (day * place) % 7 for place, name in enumerate(NAMES)}) for day in days}


def trade(artifacts: Artifacts, prices: dict[date, Quotes], **changes: Any) -> Booked:
    usual: dict[str, Any] = {
        "horizon_of": lambda model_id: 2,
        "costs": COSTS,
        "capital": 1e6,
        "limits": PaperLimits(weight=1e9, gross=1e9, net=1e9, turnover=0.7),
        "lock_timeout_s": 1,
    }
    return trade_on_paper(artifacts, changes.pop("arm", "live"), prices, **(usual | changes))


def untimed(artifacts: Artifacts) -> list[dict[str, Any]]:
    """The lines of the ledger without when they were written, and what is read again or not."""
    lines = [json.loads(line) for line in artifacts.paper("live").read_bytes().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("booked", "opened", "parts")} for line in lines]


def test_many_runs_book_what_one_run_books(artifacts: Artifacts, tmp_path: Path) -> None:
    for day in range(6):
        predict(artifacts, day)
    assert [line.day for line in trade(artifacts, quotes(*range(6))).days] == [on(day) for day in range(6)]
    whole = untimed(artifacts)
    artifacts.paper("live").unlink()
    for day in range(6):  # the file of prices grows, or holds one day alone
        (line,) = trade(artifacts, quotes(*range(day + 1)) if day % 2 else quotes(day)).days
        assert line.day == on(day)
    assert untimed(artifacts) == whole
    again = trade(artifacts, quotes(*range(6)))
    assert (again.days, again.restated, again.unpriced) == ([], 0, [])
    assert untimed(artifacts) == whole


def test_wherever_a_crash_cuts_the_ledger_nothing_is_lost_or_booked_twice(artifacts: Artifacts) -> None:
    for day in range(4):
        predict(artifacts, day)
    trade(artifacts, quotes(*range(4)))
    path, whole = artifacts.paper("live"), untimed(artifacts)
    content = path.read_bytes()
    for size in {*range(0, len(content), 97), len(content) - 1}:
        path.write_bytes(content[:size])
        trade(artifacts, quotes(*range(4)))
        assert untimed(artifacts) == whole


def test_parts_whose_days_were_traded_on_are_not_read_again(artifacts: Artifacts) -> None:
    for day in range(3):
        predict(artifacts, day)
    trade(artifacts, quotes(0, 1, 2))
    ledger = read_ledger(artifacts.paper("live"))
    assert ledger
    read = [name for day in ledger.days for name in day.parts]
    assert len(read) == 2
    found = read_scores(artifacts, "live", read=read)
    assert [*found.days] == [on(2)]
    # Even if they are gone.
    for name in read:
        (artifacts.predictions / "live" / f"{name}.jsonl").unlink()
    assert len(trade(artifacts, quotes(3)).days) == 1


def test_a_ledger_that_was_edited_is_refused(artifacts: Artifacts) -> None:
    for day in range(3):
        predict(artifacts, day)
    trade(artifacts, quotes(0, 1, 2))
    path = artifacts.paper("live")
    lines = path.read_bytes().splitlines(keepends=True)
    last = json.loads(lines[-1])
    first = last["names"][0]
    edits: list[tuple[dict[str, Any], str]] = [
        ({"cash_cents": last["cash_cents"] + 1}, r"cash_cents is \d+, expected \d+: the ledger was changed; put it"),
        ({"gross_cents": last["gross_cents"] + 1}, r"gross_cents is -?\d+, expected"),
        ({"value_cents": last["value_cents"] + 1}, r"value_cents is \d+, expected \d+:"),
        ({"names": last["names"][1:]}, r"A was held, and is not there any more"),
        ({"names": last["names"] + [first]}, r"a name stands there twice"),
        (
            {"names": [first | {"position_cents": 1}, *last["names"][1:]]},
            r"A has 1 cents, expected -?\d+ and the trade",
        ),
        ({"day": "2026-01-01"}, r"2026-01-01 comes after 2026-01-06"),
    ]
    for edit, said in edits:
        path.write_bytes(b"".join(lines[:-1]) + json.dumps(last | edit).encode() + b"\n")
        with pytest.raises(IntegrityError, match=rf"live.jsonl, line 4: {said}"):
            trade(artifacts, quotes(3))
    for spoiled, said in ((b"{}\n", "not a line of a paper ledger"), (lines[0], "expected a day")):
        path.write_bytes(lines[0] + spoiled)
        with pytest.raises(FormatError, match=rf"line 2: {said}"):
            trade(artifacts, quotes(3))
    path.write_bytes(lines[1])
    with pytest.raises(FormatError, match="line 1: expected the opening"):
        trade(artifacts, quotes(3))


def test_a_stopped_arm_trades_nothing(artifacts: Artifacts) -> None:
    predict(artifacts, 0)
    kill(artifacts, "live", "wrong", "kill")
    with pytest.raises(KilledError, match="arm live was killed"):
        trade(artifacts, quotes(0, 1))
    assert not artifacts.papers.exists()


def test_an_arm_that_is_stopped_meanwhile_trades_no_further_day(artifacts: Artifacts) -> None:
    for day in range(4):
        predict(artifacts, day)

    def stops(model_id: str) -> int:
        if len(artifacts.paper("live").read_bytes().splitlines()) > 2:
            kill(artifacts, "all", "fire", "kill")
        return 2

    with pytest.raises(KilledError, match="every arm was killed"):
        trade(artifacts, quotes(0, 1, 2, 3), horizon_of=stops)
    assert [line.get("day") for line in untimed(artifacts)] == [None, str(on(0)), str(on(1))]


def test_two_runs_at_once_are_one_after_the_other(artifacts: Artifacts) -> None:
    predict(artifacts, 0)
    trade(artifacts, quotes(0))
    with (
        locked_file(artifacts.paper("live").with_suffix(".lock"), timeout_s=1),
        pytest.raises(RegistryError, match=r"live.lock.*process \d+ on"),
    ):
        trade(artifacts, quotes(1), lock_timeout_s=0)


def test_what_cannot_be_traded_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(RefusedError, match="shadow never trades, not even on paper; `modelgates compare` says"):
        trade(artifacts, quotes(0), arm="shadow")
    with pytest.raises(InsufficientDataError, match="nothing has predicted as live yet"):
        trade(artifacts, quotes(0))
    predict(artifacts, 5)
    with pytest.raises(
        InsufficientDataError, match="first predictions are of 2026-01-10, and the newest prices of 2026"
    ):
        trade(artifacts, quotes(0))
    trade(artifacts, quotes(5))
    with pytest.raises(RefusedError, match=r"began with a capital of 1,000,000\.00, and the policy says 2,000,000\.00"):
        trade(artifacts, quotes(6), capital=2e6)
    (artifacts.predictions / "live" / "2026-01-01" / "odd.jsonl").write_text("no record\n")
    with pytest.raises(InsufficientDataError, match="the log of live predictions is not whole"):
        trade(artifacts, quotes(6))


NAMELESS = [
    pytest.param("hashed:0123", "names no asset, so nothing can be traded by it: its key is hidden", id="hidden"),
    pytest.param(
        "{day}|content:{name}", "names no asset, so nothing can be traded by it: serve rows with", id="content"
    ),
]


@pytest.mark.parametrize(("key", "said"), NAMELESS)
def test_rows_without_an_asset_are_named(artifacts: Artifacts, key: str, said: str) -> None:
    predict(artifacts, 0, key=key)
    with pytest.raises(StatisticsError, match=said):
        trade(artifacts, quotes(0))


def test_rows_that_name_nothing_are_counted_and_the_others_are_followed(artifacts: Artifacts) -> None:
    with PartWriter(artifacts, "live", RULES) as writer:
        writer.write([nameless()])
    with pytest.raises(InsufficientDataError, match="1 prediction of live, and all of rows that name neither a time"):
        trade(artifacts, quotes(0))
    predict(artifacts, 0)
    done = trade(artifacts, quotes(0, 1))
    assert (done.nameless, len(done.days)) == (1, 2)
    assert done.ledger.days[1].positions


def nameless() -> Prediction:
    return Prediction(
        time=NOW,
        row_key="content:0123456789abcdef",
        model_id="1700000000",
        digest="0" * 64,
        schema_crc32="00000000",
        prediction=1.0,
        latency_ms=1.0,
        arm="live",
        format=FORMAT,
    )


def test_two_rows_of_a_date_and_asset_are_refused_and_the_last_score_of_a_row_counts(artifacts: Artifacts) -> None:
    predict(artifacts, 0)
    predict(artifacts, 0, sign=-1)
    assert read_scores(artifacts, "live").days[on(0)].scores["B"] == -2
    predict(artifacts, 0, sign=2, key="{day}T00:00|{name}")
    assert read_scores(artifacts, "live").days[on(0)].scores["B"] == 4
    predict(artifacts, 0, key="{day}T16:00Z|{name}")
    with pytest.raises(StatisticsError, match="two rows are of 2026-01-05 and A: positions are held from day to day"):
        trade(artifacts, quotes(0, 1))


def test_days_without_prices_and_other_prices_are_told(artifacts: Artifacts) -> None:
    for day in range(3):
        predict(artifacts, day)
    assert trade(artifacts, quotes(0, 2)).unpriced == [on(1)]
    other = {on(2): Quotes({"A": 99.0})}
    assert trade(artifacts, other).restated == 1


def test_a_price_is_of_the_utc_date_of_its_moment(tmp_path: Path) -> None:
    tokyo = pd.to_datetime(["2026-01-06"]).tz_localize("Asia/Tokyo")
    pd.DataFrame({"time": tokyo, "asset": ["A"], "price": [2.0]}).to_parquet(tmp_path / "prices.parquet")
    assert list(read_prices(tmp_path / "prices.parquet", "time", "asset")) == [on(0)]


PRICES: list[Any] = [
    pytest.param("time,asset\n2026-01-05,A\n", "has no column 'price'", id="no-prices"),
    pytest.param("time,asset,price\n2026-01-05,A,0\n", "row 1: price is 0, expected a number above 0", id="nothing"),
    pytest.param("time,asset,price\n2026-01-05,A,x\n", "price", id="a-word"),
    pytest.param("time,asset,price\nsoon,A,1\n", "row 1: 'soon' is not a time of ISO 8601", id="no-time"),
    pytest.param(
        "time,asset,price\n2026-01-05,A,1\n2026-01-05T16:00,A,2\n", "two prices of A on 2026-01-05; keep", id="twice"
    ),
    pytest.param("time,asset,price\n", "a header and not a row", id="empty"),
    pytest.param("time,asset,price,volume\n2026-01-05,A,1,-3\n", "row 1: volume is -3, expected", id="volume"),
]


@pytest.mark.parametrize(("text", "said"), PRICES)
def test_prices_are_read_strictly(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "prices.csv").write_text(text)
    with pytest.raises(FormatError, match=said):
        read_prices(tmp_path / "prices.csv", "time", "asset")


def test_prices_are_read_by_date_and_asset(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("time,asset,price,volume\n2026-01-05T16:00Z,A,1.5,100\n2026-01-06,A,2,50\n")
    found = read_prices(tmp_path / "prices.csv", "time", "asset")
    assert found == {on(0): Quotes({"A": 1.5}, {"A": 100.0}), on(1): Quotes({"A": 2.0}, {"A": 50.0})}
