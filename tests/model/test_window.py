"""Which days a panel may cover: known answers by hand, and a digest that holds what a desk keeps."""

import hashlib
import json
from datetime import date
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.window import periods_after, rows_digest
from tests.support.onnx_models import sidecar


def panel_on(days: pd.DatetimeIndex, *, trained_until: str = "2020-12-31", horizon: int = 1) -> Panel:
    """Two assets on some days."""
    frame = pd.MultiIndex.from_product([days, ["A", "B"]]).to_frame(index=False, name=["time", "asset"])
    values = np.random.default_rng(5).standard_normal((5, len(frame)))
    frame[["a", "b"]] = values[:2].T.astype(np.float32)
    frame[["target", "ret_next", "reference"]] = values[2:].T
    side = msgspec.structs.replace(sidecar("a", "b"), trained_until=date.fromisoformat(trained_until), horizon=horizon)
    return Panel(frame, side)


def asked(panel: Panel, **rules: Any) -> list[str]:
    return panel.window_problems(**({"start_days": 0, "end_days": 0, "as_of": date(2021, 6, 30)} | rules))


YEAR = pd.bdate_range("2021-01-01", "2021-06-30")
# 2020-12-31 is a Thursday. Two periods of purge end on Monday, 4 January, and ten more on 18 January.
STARTS = [
    pytest.param("2021-01-01", 1, 10, [], id="at-once"),
    pytest.param("2021-01-18", 1, 10, [], id="on-the-last-day-of-grace"),
    pytest.param(
        "2021-01-19",
        1,
        10,
        [
            "starts on 2021-01-19, expected by 2021-01-18: training ended on 2020-12-31, then come 2 periods of purge "
            "and 10 that window_start_days admits"
        ],
        id="a-day-later",
    ),
    pytest.param("2021-01-19", 2, 10, [], id="a-longer-purge"),
    pytest.param("2021-06-01", 1, 0, [], id="not-asked"),
]


@pytest.mark.parametrize(("start", "horizon", "grace", "said"), STARTS)
def test_a_panel_starts_soon_after_training(start: str, horizon: int, grace: int, said: list[str]) -> None:
    panel = panel_on(pd.bdate_range(start, "2021-06-30"), horizon=horizon)
    assert asked(panel, start_days=grace) == said


# Wednesday, 30 June 2021, with the outcomes of two more weekdays: known on 2 July.
ENDS = [
    pytest.param("2021-07-01", 30, [], id="the-day-after"),
    pytest.param("2021-08-01", 30, [], id="on-the-last-day-of-grace"),
    pytest.param(
        "2021-08-02",
        30,
        [
            "ends on 2021-06-30, with outcomes until 2021-07-02, expected to reach 2021-07-03 or later: 30 days, "
            "window_end_days, before 2021-08-02"
        ],
        id="a-day-later",
    ),
    pytest.param("2021-06-29", 30, [], id="a-day-ahead-of-the-clock"),
    pytest.param(
        "2021-06-28",
        30,
        ["ends on 2021-06-30, after 2021-06-28, the policy's as_of or the day of packing"],
        id="from-the-future",
    ),
    pytest.param("2031-01-01", 0, [], id="not-asked"),
]


@pytest.mark.parametrize(("as_of", "grace", "said"), ENDS)
def test_a_panel_ends_soon_before_it_was_new(as_of: str, grace: int, said: list[str]) -> None:
    assert asked(panel_on(YEAR), end_days=grace, as_of=date.fromisoformat(as_of)) == said


def test_a_panel_that_somebody_keeps_is_known_by_its_digest() -> None:
    panel = panel_on(YEAR)
    assert asked(panel, wanted=panel.rows_digest) == []
    shorter = panel_on(YEAR[:-1])
    assert asked(shorter, wanted=panel.rows_digest) == [
        f"is {shorter.rows_digest}, {len(shorter.frame)} rows of {shorter.asset_codes.max() + 1} assets from "
        f"{YEAR[0].date()} to {YEAR[-2].date()}, expected {panel.rows_digest}: other times, assets or returns"
    ]


def test_every_question_is_answered_at_once() -> None:
    panel = panel_on(YEAR, trained_until="2019-12-31")
    answers = asked(panel, start_days=10, end_days=30, as_of=date(2022, 1, 1), wanted="sha256:" + 64 * "0")
    assert [answer.split()[0] for answer in answers] == ["starts", "ends", "is"]


def test_a_panel_without_rows_is_not_judged_by_its_days() -> None:
    assert asked(panel_on(YEAR[:0]), start_days=10) == ["has no rows"]


# A period is what the panel's own spacing says.
PERIODS = [
    pytest.param(pd.bdate_range("2021-01-01", periods=50), "2021-01-01", 5, "2021-01-08", id="weekdays"),
    pytest.param(pd.bdate_range("2021-01-01", periods=50), "2021-01-02", 1, "2021-01-04", id="from-a-saturday"),
    pytest.param(pd.date_range("2021-01-01", periods=50), "2021-01-01", 5, "2021-01-06", id="every-day"),
    pytest.param(pd.date_range("2021-01-01", periods=50, freq="7D"), "2021-01-01", 5, "2021-02-05", id="weeks"),
    pytest.param(pd.date_range("2021-01-31", periods=24, freq="ME"), "2021-01-31", 2, "2021-04-03", id="months"),
    pytest.param(pd.DatetimeIndex(["2021-01-01"]), "2021-01-01", 1, "2021-01-04", id="a-single-day"),
]


@pytest.mark.parametrize(("days", "begin", "count", "end"), PERIODS)
def test_periods_are_those_of_the_panel(days: pd.DatetimeIndex, begin: str, count: int, end: str) -> None:
    found = periods_after(np.datetime64(begin), count, days.to_numpy().astype("datetime64[D]"))
    assert found == np.datetime64(end)


def test_the_digest_is_that_of_the_documented_bytes() -> None:
    times = np.array(["2021-01-05", "2021-01-04", "2021-01-04"], "datetime64[us]")
    head = json.dumps(["A", "Ö"], ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    # Monday's A and Ö, then Tuesday's Ö.
    micros = [1_609_718_400_000_000, 1_609_718_400_000_000, 1_609_804_800_000_000]
    body = np.array([*micros, 0, 1, 1], "<i8").tobytes() + np.array([0.25, 0.5, 0.0], "<f8").tobytes()
    wanted = "sha256:" + hashlib.sha256(head + body).hexdigest()
    assert rows_digest(times, ["Ö", "Ö", "A"], np.array([-0.0, 0.5, 0.25])) == wanted


@given(order=st.permutations(range(12)), changed=st.integers(0, 11))
def test_the_digest_knows_the_rows_and_not_their_order(order: list[int], changed: int) -> None:
    times = np.repeat(pd.bdate_range("2021-01-01", periods=4).to_numpy(), 3)
    assets, returns = np.tile(["A", "B", "C"], 4), np.arange(12) / 8
    whole = rows_digest(times, assets.tolist(), returns)
    assert rows_digest(times[order], assets[order].tolist(), returns[order]) == whole
    # Seconds, microseconds and nanoseconds are the same moments.
    assert rows_digest(times.astype("datetime64[s]"), assets.tolist(), returns) == whole
    kept = np.arange(12) != changed
    one_other = np.where(kept, returns, returns + 1e-16 + 1e-12)
    others = [
        rows_digest(times[kept], assets[kept].tolist(), returns[kept]),
        rows_digest(times, assets.tolist(), one_other),
        rows_digest(times, np.where(kept, assets, "D").tolist(), returns),
        rows_digest(np.where(kept, times, times + np.timedelta64(90, "D")), assets.tolist(), returns),
        rows_digest(times, None, returns),
    ]
    assert whole not in others
    assert len(set(others)) == len(others)


def test_features_and_scores_do_not_enter_the_digest() -> None:
    panel = panel_on(YEAR)
    other = Panel(panel.frame.assign(a=np.float32(1), reference=2.0, target=3.0), panel.sidecar)
    assert other.rows_digest == panel.rows_digest
    moved = Panel(panel.frame.assign(ret_next=3.0), panel.sidecar)
    assert moved.rows_digest != panel.rows_digest
