"""Panels that are not what they say: all other hard gates pass them, and one refuses each by name."""

import warnings
from collections.abc import Callable
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates import pack
from pytest_modelgates.evidence.verdict import Verdict, judge
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.ranks import centred_ranks
from pytest_modelgates.stats.target import compounded
from tests.support.gate_runs import ledger_of, run
from tests.support.onnx_models import linear

DAYS, NAMES = 756, 20
Matrix = np.ndarray


def signal(persistence: float, *, seed: int) -> Matrix:
    """What is known of each name, of variance 1."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((DAYS, NAMES)) * np.sqrt(1 - persistence**2)
    steps[0] = random.standard_normal(NAMES)
    for day in range(1, DAYS):
        steps[day] += persistence * steps[day - 1]
    return steps


def market(known: Matrix, *, seed: int, strength: float = 0.045) -> Matrix:
    """Returns with a common factor and fat tails, of which a little follows what was known the day before."""
    random = np.random.default_rng(seed)
    returns = 0.008 * random.standard_t(4, (DAYS, 1)) + 0.01 * random.standard_t(5, (DAYS, NAMES))
    returns[1:] += strength * 0.012 * known[:-1]
    return returns


def frame_of(returns: Matrix, known: Matrix, *, horizon: int = 1, target: Matrix | None = None) -> pd.DataFrame:
    """Lay a panel out in rows."""
    days, names = returns.shape
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2015-01-01", periods=days), [f"n{i:02d}" for i in range(names)]]
    )
    frame = index.to_frame(index=False, name=["time", "asset"])
    frame["known"] = known.astype(np.float32).ravel()
    forward = compounded(returns, horizon=horizon) if target is None else target
    return frame.assign(target=np.nan_to_num(forward).ravel(), ret_next=returns.ravel())


def packed(root: Path, frame: pd.DataFrame, *, horizon: int = 1, **more: Any) -> Path:
    """Pack a model that scores by what is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pack(
            linear([1.0]).SerializeToString(),
            frame.assign(reference=frame["known"].astype(float)),
            features={"known": "price"},
            horizon=horizon,
            trained_until=date(2014, 12, 30),
            changes="For panels.",
            tried=1,
            artifacts=root,
            **more,
        )


SLOW = signal(0.97, seed=11)
HONEST = market(SLOW, seed=12)


def verdicts(pytester: pytest.Pytester, frame: pd.DataFrame, *, horizon: int = 1, **more: Any) -> tuple[set[str], str]:
    """Names of the hard gates that refuse a panel, and what the run printed."""
    directory = packed(pytester.path / "artifacts", frame, horizon=horizon, **more)
    result = run(pytester, f"--model-dir={directory}", "-m", "hard")
    policy = load_policy(None)
    found = {record.gate: judge(record, policy)[0] for record in ledger_of(directory).models[directory.name].gates}
    passing = (Verdict.PASSED, Verdict.NO_REFERENCE)
    return {gate for gate, verdict in found.items() if verdict not in passing}, result.stdout.str()


def later(returns: Matrix, days: int) -> Matrix:
    return np.vstack([returns[days:], np.zeros((days, NAMES))])


def leak(noise: float) -> pd.DataFrame:
    """What is known is the return that a position of it earns, and noise."""
    returns = market(SLOW, seed=2, strength=0)
    return frame_of(returns, later(returns, 1) / 0.01 + noise * signal(0, seed=3))


def perfect() -> pd.DataFrame:
    """The same without the market and without noise: the rank IC is 1 every day."""
    returns = 0.01 * signal(0, seed=4)
    return frame_of(returns, later(returns, 1))


def peek_that_earns() -> pd.DataFrame:
    """What is known peeks at the day's own return, and returns are dated a day late, so that it earns."""
    returns = market(SLOW, seed=5, strength=0)
    frame = frame_of(returns, returns / 0.016 + 11 * signal(0, seed=6))
    late = np.vstack([np.zeros((1, NAMES)), returns[:-1]])
    return frame.assign(ret_next=late.ravel())


def noise_for_a_target() -> pd.DataFrame:
    return frame_of(HONEST, SLOW, target=0.01 * signal(0, seed=7))


def cheap_in_percent() -> pd.DataFrame:
    """A fast signal that costs would eat, were its returns not in percent."""
    fast = signal(0, seed=8)
    returns = 100 * market(fast, seed=9, strength=0.05)
    return frame_of(returns, fast, target=compounded(returns / 100, horizon=1))


def lost_more_than_all() -> pd.DataFrame:
    returns = HONEST.copy()
    returns[5, 3] = -1.7
    return frame_of(returns, SLOW)


def still_name() -> pd.DataFrame:
    returns = HONEST.copy()
    returns[:, 7] = 0.0
    return frame_of(returns, SLOW)


def quarter_cut_out() -> pd.DataFrame:
    frame = frame_of(HONEST, SLOW)
    return frame[(frame["time"] < "2016-03-01") | (frame["time"] > "2016-05-31")]


def year_cut_out() -> pd.DataFrame:
    frame = frame_of(HONEST, SLOW)
    return frame[frame["time"].dt.year != 2016]


def days_written_twice() -> pd.DataFrame:
    half = DAYS // 2
    return frame_of(np.tile(HONEST[:half], (2, 1)), np.tile(SLOW[:half], (2, 1)))


def losing_rows_left_out() -> pd.DataFrame:
    """What is known knows nothing; one row in 200 is left out, of those that lose most."""
    returns = market(SLOW, seed=2, strength=0)
    earned = simulate(SLOW, returns, horizon=1, cost_bps=0).weights * returns[1:]
    gone = np.vstack([np.zeros((1, NAMES), dtype=bool), earned < np.quantile(earned, 0.005)])
    return frame_of(returns, SLOW)[~gone.ravel()]


def position_earns(returns: Matrix) -> Matrix:
    """What each row will earn by a position of what was known the day before."""
    return np.vstack([np.zeros((1, NAMES)), simulate(SLOW, returns, horizon=1, cost_bps=0).weights * returns[1:]])


def renamed_after_losing_rows() -> pd.DataFrame:
    """The same, but the name goes on as another one, so that no row is missing between two others."""
    returns = market(SLOW, seed=2, strength=0)
    earned = position_earns(returns)
    gone = earned < np.quantile(earned, 0.004)
    frame = frame_of(returns, SLOW)
    frame["asset"] += "-" + pd.Series(np.cumsum(gone, axis=0).ravel().astype(str)).str.zfill(2)
    return frame[~gone.ravel()].sort_values(["time", "asset"], ignore_index=True)


def losing_spells_left_out() -> pd.DataFrame:
    """What is known knows nothing; fifteen times a name is absent for sixty days, those on which it loses most."""
    returns = market(SLOW, seed=2, strength=0)
    spells = position_earns(returns)[6:726].reshape(12, 60, NAMES).sum(axis=1)
    gone = np.zeros(returns.shape, dtype=bool)
    for place in np.argsort(spells, axis=None)[:15]:
        spell, name = np.unravel_index(place, spells.shape)
        gone[6 + 60 * spell : 66 + 60 * spell, name] = True
    return frame_of(returns, SLOW)[~gone.ravel()]


def losing_blocks_left_out() -> pd.DataFrame:
    """What is known knows nothing; six times nine days are left out, those on which the IC is lowest."""
    returns = market(SLOW, seed=2, strength=0)
    ic = np.concatenate([[0.0], simulate(SLOW, returns, horizon=1, cost_bps=0).ic])
    blocks = ic[9:].reshape(-1, 9).sum(axis=1)[1:-1]
    kept = np.ones(DAYS, dtype=bool)
    # No two of them beside each other: a gap may be ten days long.
    for block in np.argsort(blocks[::2])[:6]:
        kept[18 + 18 * block : 27 + 18 * block] = False
    return frame_of(returns, SLOW)[np.repeat(kept, NAMES)]


def clipped() -> pd.DataFrame:
    """No name loses more than 2 %, and what is known is how much a name moves."""
    random = np.random.default_rng(2)
    moves = np.linspace(0.6, 1.4, NAMES)
    return frame_of(np.maximum(0.012 * random.standard_normal((DAYS, NAMES)) * moves, -0.02), np.tile(moves, (DAYS, 1)))


def six_in_percent() -> pd.DataFrame:
    returns = HONEST.copy()
    returns[:, :6] *= 15
    return frame_of(np.maximum(returns, -1), SLOW)


def names_twice() -> pd.DataFrame:
    half = NAMES // 2
    returns = np.tile(HONEST[:, :half], (1, 2)) + 1e-7 * signal(0, seed=9)
    return frame_of(returns, SLOW)


def knows_some_days() -> pd.DataFrame:
    """On one day in twelve what is known ranks the next return perfectly."""
    returns = market(SLOW, seed=2, strength=0)
    known = np.where(np.arange(DAYS)[:, np.newaxis] % 12 == 0, later(returns, 1) / 0.016, SLOW)
    return frame_of(returns, known)


def knows_one_name() -> pd.DataFrame:
    returns, known = HONEST, SLOW.copy()
    known[:, 3] = later(returns, 1)[:, 3] / 0.016
    return frame_of(returns, known)


def hidden_copy() -> pd.DataFrame:
    """Half of the days come twice; in the copy one name is another, and noise is added."""
    half = DAYS // 2
    returns, known = np.tile(HONEST[:half], (2, 1)), np.tile(SLOW[:half], (2, 1))
    returns[half:] += 1e-6 * np.random.default_rng(3).uniform(-1, 1, (half, NAMES))
    returns[half:, 4] = HONEST[half:, 4]
    return frame_of(returns, known)


def losing_days_left_out() -> pd.DataFrame:
    """The same, but whole days, one in 50."""
    returns = market(SLOW, seed=2, strength=0)
    ic = simulate(SLOW, returns, horizon=1, cost_bps=0).ic
    kept = np.concatenate([[True], ic >= np.quantile(ic, 0.02)])
    return frame_of(returns, SLOW)[np.repeat(kept, NAMES)]


def peek_of_one_day() -> pd.DataFrame:
    """What is known is the next day's return and noise; the horizon is five days."""
    returns = market(SLOW, seed=2, strength=0)
    return frame_of(returns, later(returns, 1) / 0.016 + 6 * signal(0, seed=3), horizon=5)


BAD = [
    pytest.param(
        lambda: leak(0),
        1,
        {"leak.too_good"},
        [
            "leak.too_good: measured 1 rho, limit 0 ≤ · ≤ 0.15, column the score, ranks the return of the day after",
            "leak.sharpe: measured * /year, limit ≤ 5",
            "no honest signal earns so steadily: look for a return, a price or a revision that was not known that day",
        ],
        id="leak-without-noise",
    ),
    pytest.param(
        perfect, 1, {"leak.too_good"}, ["leak.too_good: measured 1 rho, limit *, column the score, *"], id="perfect"
    ),
    pytest.param(
        lambda: leak(1.8),
        1,
        {"leak.too_good"},
        ["leak.too_good: measured 0.5* rho, *", "leak.sharpe: measured 3*"],
        id="leak",
    ),
    pytest.param(
        lambda: leak(6),
        1,
        {"leak.too_good"},
        ["leak.too_good: measured 0.18* rho, *", "leak.sharpe: measured 11*"],
        id="faint-leak",
    ),
    pytest.param(
        peek_of_one_day,
        5,
        {"leak.delay"},
        [
            "leak.delay: measured -0.0* rho, limit ≥ 0, ic 0.05*, ic_a_day_later 0.00*, ic_of_last_half *, horizon 5",
            "the signal is gone a day later: look for a feature that knows the next day; *",
        ],
        id="peek-of-one-day",
    ),
    pytest.param(
        peek_that_earns,
        1,
        {"data.target_agrees"},
        [
            "data.target_agrees: measured 0.0* rho, limit ≥ 0.5, lead 2, rho_there 1, worst_day 20*",
            "data.target_lead: measured 2 days ahead, limit 1 ≤ · ≤ 1, rho_there 1, rho 0.0*",
            "target or ret_next is dated by the wrong day: the target must begin with the ret_next of the day after",
        ],
        id="returns-a-day-late",
    ),
    pytest.param(
        noise_for_a_target,
        1,
        {"data.target_agrees"},
        ["data.target_differs: measured 0.98* rho, limit ≤ 0.01, lead 1, rho_there 0.0*, worst_day 20*"],
        id="noise-for-a-target",
    ),
    pytest.param(
        cheap_in_percent,
        1,
        {"data.returns_plausible"},
        [
            "data.returns_plausible: measured 3* rows, limit ≤ 0, first 2015-01-01 n01",
            "data.return_size: measured 1.0* share, limit 0.0001 ≤ · ≤ 0.1",
            "give target and ret_next as shares, 0.01 for one per cent; if returns are really of this size, change the "
            "limit",
        ],
        id="percent",
    ),
    pytest.param(
        lost_more_than_all,
        1,
        {"data.returns_plausible"},
        [
            "data.returns_plausible: measured 1 rows, limit ≤ 0, first 2015-01-08 n03",
            "nothing loses more than all of its value: look for a wrong price; returns in percent become shares by a "
            "hundredth",
        ],
        id="below-minus-100-percent",
    ),
    pytest.param(
        still_name,
        1,
        {"data.returns_plausible"},
        [
            "data.constant_names: measured 1 names, limit ≤ 0, first n07",
            "look for a price carried forward: a name has rows while it trades, the last with what its end lost",
        ],
        id="a-name-that-stands-still",
    ),
    pytest.param(
        quarter_cut_out,
        1,
        {"data.calendar", "data.target_agrees"},
        [
            "data.calendar: measured 67 periods, limit ≤ 10, gap_from 2016-02-29, gap_to 2016-06-01, "
            "periods_without_rows 66, first_of_them 2016-03-01, periods_per_year 252, counted_a_year 238.1",
            "rows are missing between two dates: pack them, or a panel that lies on one side of the gap",
        ],
        id="a-quarter-cut-out",
    ),
    pytest.param(
        year_cut_out,
        1,
        {"data.calendar", "data.target_agrees"},
        [
            "data.calendar: measured 262 periods, limit ≤ 10, gap_from 2015-12-31, gap_to 2017-01-02, *",
            "data.frequency: measured 0.3199 share, limit ≤ 0.1, periods_per_year 252, counted_a_year 170.7",
            "keep one frequency throughout: days, weeks or months",
        ],
        id="a-year-cut-out",
    ),
    pytest.param(
        days_written_twice,
        1,
        {"data.repeated_days"},
        [
            "data.repeated_days: measured 378 days, limit ≤ 0: 2016-06-14 repeats 2015-01-01; *; and 373 more",
            "the panel holds days twice under other dates: pack each day once",
        ],
        id="days-written-twice",
    ),
    pytest.param(
        losing_rows_left_out,
        1,
        {"data.holes"},
        [
            "data.holes: measured 0.0048* of the rows, limit ≤ 0.001, holes 7*, first 2015-01-0*",
            "names are missing between two days on which they trade: pack every row; while halted they return 0",
            "data.holes_p: measured * p, limit 0.01 < · ≤ 1, holes 7*, exits 0, first 2015-01-0*",
            "rows are missing where the position would have lost: pack every row, and names until they end",
        ],
        id="losing-rows-left-out",
    ),
    pytest.param(
        hidden_copy,
        1,
        {"data.repeated_days"},
        ["data.repeated_days: measured 378 days, limit ≤ 0: 2016-06-14 repeats 2015-01-01; *; and 373 more"],
        id="hidden-copy",
    ),
]


@pytest.mark.parametrize(("bad", "horizon", "refusing", "lines"), BAD)
def test_one_gate_refuses_what_all_others_pass(
    pytester: pytest.Pytester, bad: Callable[[], pd.DataFrame], horizon: int, refusing: set[str], lines: list[str]
) -> None:
    refused, said = verdicts(pytester, bad(), horizon=horizon)
    assert refused == refusing
    for line in lines:
        assert any(fnmatchcase(printed, line.replace("[", "[[]")) for printed in said.splitlines()), (line, said)


OTHERS = [
    pytest.param(
        knows_some_days, "leak.perfect_days_p: measured * p, limit 0.001 < *, perfect_days 6*", id="some-days"
    ),
    pytest.param(knows_one_name, "leak.one_name: measured 1 rho, limit 0 ≤ · ≤ 0.5, name n03", id="one-name"),
    pytest.param(clipped, "data.clipped_returns: measured 0.0* of the rows, limit ≤ 0.001", id="clipped"),
    pytest.param(six_in_percent, "data.odd_names: measured 6 names, limit ≤ 0, first n00", id="six-in-percent"),
    pytest.param(
        names_twice, "data.repeated_names: measured 10 names, limit ≤ 0, first n10 repeats n00", id="names-twice"
    ),
    pytest.param(
        losing_blocks_left_out,
        "data.target_breaks: measured 6 days, limit ≤ 0, lead 1, rho_there 0.99*, worst_day 201*",
        id="losing-blocks-left-out",
    ),
    pytest.param(
        renamed_after_losing_rows,
        "data.holes_p: measured * p, limit 0.01 < · ≤ 1, holes 0, exits *",
        id="renamed-after-losing-rows",
    ),
    pytest.param(
        losing_spells_left_out,
        "data.holes: measured 0.0059* of the rows, limit ≤ 0.001, holes 1*, first 2015-0*",
        id="losing-spells-left-out",
    ),
]


@pytest.mark.parametrize(("bad", "line"), OTHERS)
def test_panels_that_are_not_what_they_say_in_other_ways_are_seen(
    pytester: pytest.Pytester, bad: Callable[[], pd.DataFrame], line: str
) -> None:
    refused, said = verdicts(pytester, bad())
    assert (load_policy(None).slo[line.split(":")[0]].gate or line.split(":")[0]) in refused
    assert any(fnmatchcase(printed, line) for printed in said.splitlines()), said


HONEST_TARGETS: list[Any] = [
    pytest.param(lambda forward: forward, {}, id="plain"),
    pytest.param(lambda forward: forward - np.nanmean(forward, axis=1, keepdims=True), {}, id="in-excess"),
    pytest.param(centred_ranks, {}, id="ranked"),
    pytest.param(lambda forward: forward - 0.6 * LOADINGS * forward[:, :1], {"target_neutralised": True}, id="neutral"),
]
LOADINGS = np.linspace(-1, 1, NAMES)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize(("kind", "declared"), HONEST_TARGETS)
def test_an_honest_panel_passes_whatever_its_target_is_in(
    pytester: pytest.Pytester, kind: Callable[[Matrix], Matrix], declared: dict[str, Any], horizon: int
) -> None:
    frame = frame_of(HONEST, SLOW, horizon=horizon, target=kind(compounded(HONEST, horizon=horizon)))
    assert verdicts(pytester, frame, horizon=horizon, **declared)[0] == set()


@pytest.mark.parametrize("horizon", [1, 21])
def test_two_exchanges_may_have_holidays_of_their_own(pytester: pytest.Pytester, horizon: int) -> None:
    """Ten names rest on six days a year, the others on eight."""
    random = np.random.default_rng(1)
    closed = np.zeros((DAYS, NAMES), dtype=bool)
    closed[random.integers(1, DAYS - 1, 18), :10] = closed[random.integers(1, DAYS - 1, 24), 10:] = True
    returns = np.where(closed, 0.0, HONEST)
    frame = frame_of(returns, SLOW, horizon=horizon)[~closed.ravel()]
    assert verdicts(pytester, frame, horizon=horizon)[0] & {"data.holes", "data.target_agrees"} == set()


def test_a_neutralised_target_that_is_not_declared_is_refused(pytester: pytest.Pytester) -> None:
    neutral = HONEST_TARGETS[-1].values[0](compounded(HONEST, horizon=1))
    refused, said = verdicts(pytester, frame_of(HONEST, SLOW, target=neutral))
    assert refused == {"data.target_agrees"}
    assert "data.target_differs: measured 0." in said
    assert "only if sectors, factors or volatility were taken out of it, pack with target_neutralised" in said


def test_days_left_out_for_their_loss_disagree_with_the_target(pytester: pytest.Pytester) -> None:
    refused, said = verdicts(pytester, losing_days_left_out())
    assert {"data.target_agrees", "data.calendar"} <= refused
    assert "data.target_differs: measured 0.019" in said
    assert "look at worst_day: if days are missing after it, pack them; else correct the target" in said


def test_a_panel_in_percent_is_told_of_its_unit_and_not_of_its_dates(pytester: pytest.Pytester) -> None:
    returns = market(SLOW, seed=12)
    percent = frame_of(100 * returns, SLOW, target=100 * compounded(returns, horizon=5))
    refused, said = verdicts(pytester, percent, horizon=5)
    assert {"data.returns_plausible", "data.target_agrees"} <= refused
    assert "data.target_agrees inconclusive: these are no returns to compare a target with: see data.returns_pl" in said
    assert "not of the same days" not in said


def test_to_declare_a_target_neutralised_hides_no_day_that_was_left_out(pytester: pytest.Pytester) -> None:
    refused, said = verdicts(pytester, losing_days_left_out(), target_neutralised=True)
    assert "data.calendar" in refused
    assert "data.days_left_out: measured 15 gaps, limit ≤ 0, first after 2015-" in said
    assert "a column knows returns of days that the panel does not hold: pack these days;" in said
    not_asked = "data.target_differs, data.target_breaks: not asked, the sidecar declares the target neutralised; days "
    assert not_asked in said


IDLE = [
    pytest.param(HONEST, 1, "the horizon is one day", id="horizon-of-a-day"),
    pytest.param(
        market(SLOW, seed=4, strength=0.0), 5, "the mean rank IC, *, is not above 0.02 ([leak] delay_ic)", id="no-ic"
    ),
]


@pytest.mark.parametrize(("returns", "horizon", "why"), IDLE)
def test_what_is_left_a_day_later_is_not_asked_of_every_signal(
    pytester: pytest.Pytester, returns: Matrix, horizon: int, why: str
) -> None:
    directory = packed(pytester.path / "artifacts", frame_of(returns, SLOW, horizon=horizon), horizon=horizon)
    said = run(pytester, f"--model-dir={directory}", "-m", "leak").outlines
    (row,) = (line for line in said if line.startswith("leak.delay "))
    assert row.split() == ["leak.delay", "hard", "not", "asked", "≥0", "-", "passed"]
    (line,) = (line for line in said if line.startswith("leak.delay: "))
    assert fnmatchcase(line, f"leak.delay: not asked, {why.replace('[', '[[]')}")


@pytest.mark.parametrize("gone", [slice(300, 301), slice(300, 305)], ids=["a-day", "a-week"])
def test_a_single_day_and_a_week_that_were_left_out_are_named(pytester: pytest.Pytester, gone: slice) -> None:
    kept = np.ones(DAYS, dtype=bool)
    kept[gone] = False
    refused, said = verdicts(pytester, frame_of(HONEST, SLOW, horizon=5)[np.repeat(kept, NAMES)], horizon=5)
    assert refused == {"data.calendar", "data.target_agrees"}
    assert "data.days_left_out: measured 1 gaps, limit ≤ 0, first after 2016-02-24, by the target, asked the" in said


def test_months_are_counted_as_months_in_every_annual_figure(pytester: pytest.Pytester) -> None:
    frame = frame_of(HONEST[:400], SLOW[:400])
    months = pd.date_range("2015-01-31", periods=400, freq="ME")
    frame["time"] = np.repeat(months.to_numpy(), NAMES)
    directory = packed(pytester.path / "artifacts", frame)
    run(pytester, f"--model-dir={directory}")
    details = {
        record.gate: record.evidence[0].detail
        for record in ledger_of(directory).models[directory.name].gates
        if record.evidence
    }
    assert details["data.calendar"]["periods_per_year"] == details["pnl.sharpe"]["periods_per_year"] == 12


def test_a_panel_no_longer_than_its_horizon_is_inconclusive(pytester: pytest.Pytester) -> None:
    refused, said = verdicts(pytester, frame_of(HONEST[:120], SLOW[:120], horizon=120), horizon=120)
    assert {"data.target_agrees", "leak.delay"} <= refused
    assert "data.target_agrees: inconclusive: no day of 120 has returns of 120 days after it to compare" in said
    assert "leak.delay: inconclusive: 0 days have a rank IC over 120 days and one from a day later" in said


def test_names_that_never_leave_warn_if_there_are_enough_of_them(pytester: pytest.Pytester) -> None:
    returns, known = np.tile(HONEST, (1, 3)), np.tile(SLOW, (1, 3))
    returns = returns + 0.002 * np.random.default_rng(1).standard_normal(returns.shape)
    directory = packed(pytester.path / "artifacts", frame_of(returns, known))
    result = run(pytester, f"--model-dir={directory}", "-m", "data")
    result.stdout.fnmatch_lines(
        ["*data.survivors WARN: measured 1 of the names, limit 0 ≤ · < 1 → no name ever leaves:*"]
    )
    assert result.ret == 0
