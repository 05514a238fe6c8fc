"""The rows that a model is judged by, and what is said of hostile ones."""

import io
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError, UnreadableError
from pytest_modelgates.model.panel import Panel, read_native_scores
from tests.support.onnx_models import sidecar

SIDECAR = sidecar("a", "b")
Change = Callable[[pd.DataFrame], object]


def rows(days: int = 3, assets: int = 4) -> pd.DataFrame:
    """Rows as packing writes them."""
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"A{number}" for number in range(assets)]],
        names=["time", "asset"],
    )
    frame = index.to_frame(index=False)
    values = np.arange(len(frame), dtype=np.float64)
    for number, name in enumerate(["a", "b", "target", "ret_next", "reference"]):
        frame[name] = (values + number).astype(np.float32 if name in "ab" else np.float64)
    return frame


def panel_of(frame: pd.DataFrame, *, nullable: bool = False) -> Panel:
    """Write rows to Parquet and read them as a gate does."""
    return Panel.read(frame.to_parquet(), sidecar("a", "b", nullable=nullable))


def problems(panel: Panel) -> list[str]:
    """Everything that the schema and data gates would say."""
    return [
        *panel.column_problems(),
        *panel.dtype_problems(),
        *panel.not_finite(),
        *panel.repeated_rows(),
        *panel.unordered_rows(),
        *panel.overlapping_rows(),
    ]


def with_volume(frame: pd.DataFrame) -> Panel:
    """The panel whose sidecar names a column of volumes."""
    frame.insert(6, "dollars", np.arange(1, len(frame) + 1, dtype=np.float64))
    return Panel(frame, msgspec.structs.replace(SIDECAR, volume="dollars"))


def test_a_panel_may_say_what_the_market_traded() -> None:
    panel = with_volume(rows())
    assert problems(panel) == []
    assert panel.schema() == [("a", "float32"), ("b", "float32")]
    assert panel.volume is not None
    assert panel.volume.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert panel_of(rows()).volume is None


def test_an_asset_without_a_row_keeps_its_last_volume() -> None:
    # The position in it is closed that day, and its cost needs a volume.
    panel = with_volume(rows())
    gone = Panel(panel.frame.drop(index=[7, 11]).reset_index(drop=True), panel.sidecar)
    assert gone.volume is not None
    assert gone.volume[:, 3].tolist() == [4, 4, 4]


def test_a_volume_column_that_is_missing_or_no_number_is_named() -> None:
    panel = with_volume(rows())
    without = Panel(panel.frame.drop(columns="dollars"), panel.sidecar)
    assert without.column_problems() == ["dollars is missing from the panel"]
    gap = Panel(panel.frame.assign(dollars=[np.nan, *range(1, 12)]), panel.sidecar)
    assert gap.not_finite() == ["dollars in 1 rows"]
    whole = Panel(panel.frame.astype({"dollars": "int64"}), panel.sidecar)
    assert whole.dtype_problems() == ["dollars is int64, expected float64"]


def test_sound_rows_have_no_problems() -> None:
    panel = panel_of(rows())
    assert problems(panel) == []
    assert panel.schema() == [("a", "float32"), ("b", "float32")]
    assert panel.features.dtype == np.float32
    assert panel.features.tolist() == [[value, value + 1] for value in range(12)]
    assert panel.native_scores.dtype == np.float64


@given(order=st.permutations(range(12)))
def test_a_matrix_by_day_holds_each_value_at_its_day_and_asset(order: list[int]) -> None:
    panel = Panel(rows().iloc[order].reset_index(drop=True), SIDECAR)
    assert panel.by_day(panel.native_scores).tolist() == np.arange(4.0, 16).reshape(3, 4).tolist()


def test_markets_that_close_at_different_hours_share_a_day() -> None:
    # With a matrix row for each hour, every position would be closed at the other market's hour.
    late = rows().assign(hour=lambda frame: np.where(frame["asset"] < "A2", 16, 18))
    late = late.assign(time=late["time"] + pd.to_timedelta(late.pop("hour"), unit="h"))
    panel = panel_of(late.sort_values(["time", "asset"]))
    assert problems(panel) == []
    np.testing.assert_array_equal(panel.returns, panel_of(rows()).returns)
    assert panel.days.equals(panel_of(rows()).days)


def test_a_missing_row_is_nan_in_the_matrix() -> None:
    panel = panel_of(rows().drop(5))
    assert np.argwhere(np.isnan(panel.returns)).tolist() == [[1, 1]]


def test_one_row_is_a_panel() -> None:
    panel = panel_of(rows(1, 1))
    assert problems(panel) == []
    assert panel.returns.shape == (1, 1)


def test_rows_labelled_otherwise_are_counted_from_the_first() -> None:
    frame = pd.concat([rows(), rows().tail(1)])
    assert panel_of(frame.set_axis(range(100, 113))).repeated_rows() == ["2020-01-03 A3"]
    assert panel_of(frame.set_axis([7] * 13)).repeated_rows() == ["2020-01-03 A3"]


def test_a_customer_may_not_come_twice_where_rows_have_no_time() -> None:
    described = msgspec.structs.replace(
        SIDECAR, task="regression", metric="r2", time=None, trained_until=None, horizon=0
    )
    frame = rows(days=1).drop(columns="time")
    assert Panel(frame, described).repeated_rows() == []
    assert Panel(pd.concat([frame, frame.head(1)], ignore_index=True), described).repeated_rows() == ["A0"]


def _set(column: str, value: object, row: int = 2) -> Change:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[row, column] = value

    return change


def _replace(column: str, values: Callable[["pd.Series"], object]) -> Change:
    return lambda frame: frame.__setitem__(column, values(frame[column]))


FLAWS = [
    pytest.param(_set("a", np.nan), ["a in 1 rows"], id="nan"),
    pytest.param(_set("a", np.inf), ["a in 1 rows"], id="infinity"),
    pytest.param(_set("target", np.nan), ["target in 1 rows"], id="nan-target"),
    pytest.param(_set("ret_next", -np.inf), ["ret_next in 1 rows"], id="infinite-return"),
    pytest.param(_set("reference", np.nan), ["reference in 1 rows"], id="nan-score"),
    pytest.param(_set("asset", "A1"), ["2020-01-01 A1"], id="row-twice"),
    pytest.param(
        lambda frame: frame.update(frame.iloc[::-1].reset_index(drop=True)[["asset"]]),
        [f"row {row}" for row in (1, 2, 3, 5, 6, 7, 9, 10, 11)],
        id="assets-descend",
    ),
    pytest.param(_set("time", pd.Timestamp("2020-01-06"), row=0), ["row 1"], id="late-row-first"),
    pytest.param(_set("time", pd.Timestamp("2019-12-31"), row=0), ["2019-12-31"], id="last-training-day"),
    pytest.param(_set("time", pd.Timestamp("2019-12-31 23:59"), row=0), ["2019-12-31"], id="end-of-last-training-day"),
    pytest.param(
        _replace("a", lambda values: values.astype("float64")), ["a is float64, expected float32"], id="float64"
    ),
    pytest.param(
        _replace("target", lambda values: values.astype("float32")),
        ["target is float32, expected float64"],
        id="float32-target",
    ),
    pytest.param(lambda frame: frame.pop("b"), ["b is missing from the panel"], id="no-column"),
    pytest.param(lambda frame: frame.insert(2, "c", 0.0), ["c does not belong in the panel"], id="more-columns"),
    pytest.param(
        lambda frame: frame.insert(2, "b", frame.pop("b")),
        [
            "the panel's order is time, asset, b, a, target, ret_next, reference, "
            "expected time, asset, a, b, target, ret_next, reference"
        ],
        id="other-order",
    ),
]


@pytest.mark.parametrize(("change", "expected"), FLAWS)
def test_each_flaw_is_named_once(change: Change, expected: list[str]) -> None:
    frame = rows()
    change(frame)
    panel = panel_of(frame)
    if "b is missing from the panel" in expected:
        assert panel.column_problems() == expected
        for ask in (panel.not_finite, panel.dtype_problems, lambda: panel.features):
            with pytest.raises(
                FormatError, match=r"^evaluation\.parquet: has no column 'b'; it holds time, asset, a, target"
            ):
                ask()
    else:
        assert problems(panel) == expected


def test_nan_is_no_flaw_in_a_feature_that_may_be_nan_and_infinity_still_is() -> None:
    frame = rows()
    frame.loc[2, "a"], frame.loc[3, "b"] = np.nan, np.inf
    assert panel_of(frame, nullable=True).not_finite() == ["b in 1 rows"]


def test_a_panel_may_start_the_day_after_training_ended() -> None:
    day_before = msgspec.structs.replace(SIDECAR, trained_until=date(2019, 12, 31))
    assert Panel(rows(), day_before).overlapping_rows() == []
    same_day = msgspec.structs.replace(SIDECAR, trained_until=date(2020, 1, 1))
    assert Panel(rows(), same_day).overlapping_rows() == ["2020-01-01"] * 4


@pytest.mark.parametrize("day", [date(1, 1, 1), date(9999, 12, 31)])
def test_any_day_may_end_training(day: date) -> None:
    panel = panel_of(rows())
    described = msgspec.structs.replace(panel.sidecar, trained_until=day)
    assert len(Panel(panel.frame, described).overlapping_rows()) == (12 if day.year > 2020 else 0)


ZONE = "evaluation.parquet: time is {}, expected dates without a zone; pack again"
BAD_KEYS = [
    pytest.param(
        _replace("time", lambda time: time.dt.tz_localize("America/New_York")), "America/New_York]", id="time-zone"
    ),
    pytest.param(_replace("time", lambda time: time.dt.strftime("%Y-%m-%d")), "", id="dates-as-text"),
    pytest.param(_replace("time", lambda time: time.dt.strftime("%Y%m%d").astype(int)), "int64", id="dates-as-numbers"),
]


@pytest.mark.parametrize(("change", "dtype"), BAD_KEYS)
def test_times_that_are_not_dates_without_a_zone_fail_whatever_needs_them(change: Change, dtype: str) -> None:
    frame = rows()
    change(frame)
    panel = panel_of(frame)
    found = str(panel.frame["time"].dtype)
    assert dtype in found
    assert panel.dtype_problems() == [f"time is {found}, expected dates without a time zone"]
    for ask in (
        panel.repeated_rows,
        panel.unordered_rows,
        panel.overlapping_rows,
        lambda: panel.returns,
        lambda: panel.days,
    ):
        with pytest.raises(FormatError, match=f"^{re.escape(ZONE.format(found))}$"):
            ask()


@pytest.mark.parametrize("column", ["time", "asset"])
def test_a_row_without_time_or_asset_is_a_flaw_and_lands_in_no_matrix(column: str) -> None:
    frame = rows()
    frame.loc[[4, 5], column] = None
    panel = panel_of(frame)
    assert panel.not_finite() == [f"{column} is missing in 2 rows"]
    message = f"evaluation.parquet: {column} is missing in 2 rows; drop them and pack again"
    for ask in (panel.repeated_rows, panel.unordered_rows, lambda: panel.returns):
        with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
            ask()


def test_years_that_no_date_can_have_are_named() -> None:
    frame = rows()
    frame["time"] = frame["time"].to_numpy().astype("M8[s]") + np.timedelta64(8000 * 365, "D")
    panel = panel_of(frame)
    message = "evaluation.parquet: time holds times of the year 10\\d+, expected years from 1 to 9999; pack again"
    for ask in (lambda: panel.days, lambda: panel.returns, panel.overlapping_rows):
        with pytest.raises(FormatError, match=f"^{message}$"):
            ask()


def test_the_row_of_no_asset_would_have_taken_another_ones_place() -> None:
    # Without a code of its own, the row would land on the last asset, which has no row that day.
    frame = rows().drop(7).reset_index(drop=True)
    frame.loc[4, "asset"] = None
    with pytest.raises(FormatError, match="asset is missing in 1 rows"):
        panel_of(frame).by_day(np.zeros(11))


def test_two_rows_of_one_time_and_asset_make_no_matrix() -> None:
    message = "evaluation.parquet: two rows share a day and an asset; keep one"
    with pytest.raises(FormatError, match=f"^{message}$"):
        panel_of(pd.concat([rows(), rows().tail(1)])).by_day(np.zeros(13))


@pytest.mark.parametrize("kind", ["category", "int64", "string"])
def test_assets_may_be_categories_numbers_or_text(kind: str) -> None:
    frame = rows()
    if kind == "int64":
        frame["asset"] = frame["asset"].str[1:]
    frame["asset"] = frame["asset"].astype(kind)
    panel = panel_of(frame)
    assert problems(panel) == []
    assert panel.asset_codes.tolist() == [0, 1, 2, 3] * 3


def test_numbers_count_as_assets_by_size() -> None:
    frame = rows()
    frame["asset"] = [1, 2, 10, 20] * 3
    assert panel_of(frame).unordered_rows() == []


def test_assets_that_are_no_names_are_refused() -> None:
    frame = rows()
    frame["asset"] = [[1, 2]] * 12
    with pytest.raises(
        FormatError, match=r"^evaluation\.parquet: asset holds a value that is not a name \(.+\); pack again$"
    ):
        panel_of(frame).repeated_rows()


NO_NUMBERS = [
    pytest.param(lambda values: values.astype(str), id="text"),
    pytest.param(lambda values: values.astype("Float32"), id="nullable-floats"),
    pytest.param(lambda values: pd.to_datetime(values), id="dates"),
    pytest.param(lambda values: [[1]] * len(values), id="lists"),
]


@pytest.mark.parametrize("column", ["a", "ret_next", "reference"])
@pytest.mark.parametrize("values", NO_NUMBERS)
def test_columns_without_numbers_are_named(values: Callable[["pd.Series"], object], column: str) -> None:
    frame = rows()
    frame[column] = values(frame[column])
    panel = panel_of(frame)
    found = panel.frame[column].dtype
    assert panel.not_finite() == [f"{column} is {found}, expected numbers"]
    assert [problem.partition(",")[0] for problem in panel.dtype_problems()] == [f"{column} is {found}"]
    part = {"a": "features", "ret_next": "returns", "reference": "native_scores"}[column]
    message = f"evaluation.parquet: {column} is {found}, expected numbers; cast the column first"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        getattr(panel, part)


def test_truth_values_beside_numbers_stay_numbers() -> None:
    frame = rows()
    frame["a"] = frame["a"] > 5
    features = panel_of(frame).features
    assert features.dtype == np.float32
    assert features[:, 0].tolist() == [0] * 6 + [1] * 6


def test_a_neutralised_feature_is_its_median_of_the_day() -> None:
    panel = panel_of(rows())
    (neutral,) = panel.blocks(neutral=[1])
    assert neutral[:, 0].tolist() == panel.features[:, 0].tolist()
    assert neutral[:, 1].tolist() == [2.5] * 4 + [6.5] * 4 + [10.5] * 4


def _parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(list(columns.values()), names=list(columns)), sink)
    return sink.getvalue()


def _two_of_a_name() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"]), sink)
    return sink.getvalue()


GARBAGE = [
    pytest.param(b"", id="empty"),
    pytest.param(b"not Parquet", id="text"),
    pytest.param(b"PAR1" + bytes(100) + b"PAR1", id="only-the-mark"),
    pytest.param(rows().to_parquet()[:-9], id="cut-off"),
    pytest.param(rows().to_parquet()[:100] + rows().to_parquet()[200:], id="hole"),
    pytest.param(_two_of_a_name(), id="two-columns-of-a-name"),
]


@pytest.mark.parametrize("content", GARBAGE)
def test_what_is_no_parquet_is_refused_in_a_line(content: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"^evaluation\.parquet: cannot be read as Parquet \(.+\)$"):
        Panel.read(content, SIDECAR).not_finite()
    with pytest.raises(FormatError, match=r"^evaluation\.parquet: cannot be read as Parquet \(.+\)$"):
        read_native_scores(content)


def test_the_native_scores_alone_are_those_of_the_panel() -> None:
    content = rows().to_parquet()
    np.testing.assert_array_equal(read_native_scores(content), Panel.read(content, SIDECAR).native_scores)
    with pytest.raises(
        FormatError, match=r"^evaluation\.parquet: reference is (str|object), expected numbers; cast the "
    ):
        read_native_scores(_parquet(reference=pa.array(["high"])))


def test_rows_without_any_expected_column_are_all_missing() -> None:
    panel = Panel.read(_parquet(x=pa.array([1.0])), SIDECAR)
    expected = SIDECAR.panel_columns
    assert panel.column_problems() == [f"{name} is missing from the panel" for name in expected] + [
        "x does not belong in the panel"
    ]


@pytest.mark.integration
def test_no_thread_is_left_with_the_bytes_of_a_panel_when_python_ends(good_model: Path) -> None:
    """Such a thread, letting go of them while the interpreter ends, aborts the process with its answer in doubt."""
    code = (
        "import os, sys; from pathlib import Path; import pyarrow.parquet; "
        "from pytest_modelgates.model.candidate import Candidate; "
        "before = set(os.listdir('/proc/self/task')); "
        "Candidate(Path(sys.argv[1])).panel; "
        "sys.exit(len(set(os.listdir('/proc/self/task')) - before))"
    )
    assert subprocess.run([sys.executable, "-c", code, good_model]).returncode == 0


def test_features_are_laid_out_one_by_one() -> None:
    frame = rows()
    panel = panel_of(frame.drop(index=5), nullable=True)
    assert list(panel.features_by_day) == ["a", "b"]
    assert len(panel.features_by_day) == 2
    laid_out = panel.features_by_day["b"]
    assert (laid_out.shape, laid_out[0].tolist(), laid_out.dtype) == ((3, 4), [1, 2, 3, 4], np.float64)
    assert np.isnan(laid_out[1, 1])


def test_a_cell_is_named_by_its_date_and_its_asset() -> None:
    panel = panel_of(rows().replace({"asset": {"A2": "B\x1b[2J"}}).sort_values(["time", "asset"]))
    assert (panel.row(1, 0), panel.day(2)) == ("2020-01-02 A0", "2020-01-03")
    assert panel.asset(3) == "B\\x1b[2J"


def test_what_the_panel_says_of_itself_is_measured_on_its_matrices() -> None:
    days, assets = 60, 12
    frame = rows(days, assets)
    returns = 0.01 * np.random.default_rng(1).standard_normal((days, assets))
    frame["ret_next"] = returns.ravel()
    frame["target"] = np.vstack([returns[1:], np.zeros((1, assets))]).ravel()
    one_day = msgspec.structs.replace(SIDECAR, horizon=1)
    panel = Panel(frame, one_day)
    assert (panel.target_agreement.rank_corr, panel.target_agreement.days) == (pytest.approx(1), days - 1)
    assert (panel.calendar.gap, panel.return_sizes.impossible.size, panel.holes.share) == (1, 0, 0)
    assert (panel.repeated_days(), panel.share_of_survivors) == ([], 1)
    copied = frame.assign(ret_next=np.vstack([returns[:40], returns[:20]]).ravel())
    copied = copied[~((copied["asset"] == "A3") & (copied["time"] > "2020-02-20"))]
    assert Panel(copied, one_day).repeated_days()[0] == "2020-02-26 repeats 2020-01-01"
    assert Panel(copied, one_day).share_of_survivors == 11 / 12


def test_rows_come_again_if_keys_features_and_target_do() -> None:
    unnamed = msgspec.structs.replace(
        SIDECAR, task="regression", metric="r2", horizon=0, time=None, asset=None, trained_until=None
    )
    frame = rows(10).drop(columns=["time", "asset"]).rename(columns={"ret_next": "baseline"})
    assert Panel(frame, unnamed).share_of_repeated_rows() == (0, None)
    twice = pd.concat([frame, frame.tail(10)], ignore_index=True)
    assert Panel(twice, unnamed).share_of_repeated_rows() == (10 / 50, 40)
    assert Panel(twice.assign(target=range(50)), unnamed).share_of_repeated_rows() == (0, None)
    # Ages and a yes or no: 40 people of 20 ages are 40 cases, though some look the same.
    ages = twice.assign(a=np.float32(1), b=np.arange(50, dtype=np.float32) % 20, target=np.arange(50) // 3 % 2)
    assert Panel(ages, unnamed).share_of_repeated_rows() == (0, None)
    coarse = twice.assign(a=np.float32(1), b=np.arange(50, dtype=np.float32) % 2, target=1.0)
    assert Panel(coarse, unnamed).share_of_repeated_rows() == (0, None)
    named = coarse.assign(asset=[f"C{number % 40}" for number in range(50)])
    by_name = msgspec.structs.replace(unnamed, asset="asset")
    assert Panel(named, by_name).share_of_repeated_rows() == (10 / 50, 40)


def cases(count: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(6)
    a, b = random.standard_normal((2, count))
    yes = random.integers(0, 2, count).astype(float)
    return pd.DataFrame({"asset": [f"C{i:03d}" for i in range(count)], "a": a, "b": b, "target": yes, "baseline": 0.5})


@pytest.mark.parametrize("blur", [0, 1e-6])
def test_rows_come_again_under_other_names_and_blurred(blur: float) -> None:
    by_name = msgspec.structs.replace(
        SIDECAR, task="classification", metric="roc_auc", horizon=0, time=None, trained_until=None
    )
    once = cases()
    assert Panel(once, by_name).share_of_repeated_rows() == (0, None)
    copies = [once.assign(asset=once["asset"] + f"_{k}", a=once["a"] + k * blur) for k in range(20)]
    assert Panel(pd.concat(copies, ignore_index=True), by_name).share_of_repeated_rows()[0] > 0.5
    # A case that is looked at again, and has not changed, is the same case and no other.
    again = pd.concat([once.assign(time=pd.Timestamp(day)) for day in ("2020-01-01", "2020-02-01")], ignore_index=True)
    timed = msgspec.structs.replace(by_name, time="time", trained_until=SIDECAR.trained_until)
    assert Panel(again, timed).share_of_repeated_rows() == (0, None)


@pytest.mark.parametrize("count", [300, 20_000])
def test_rows_that_are_near_by_chance_are_other_rows(count: int) -> None:
    unnamed = msgspec.structs.replace(
        SIDECAR, task="classification", metric="roc_auc", horizon=0, time=None, asset=None, trained_until=None
    )
    frame = cases(count).drop(columns="asset")
    for second in (0.0, 2 * frame["a"], np.round(frame["b"])):
        assert Panel(frame.assign(b=second), unnamed).share_of_repeated_rows() == (0, None)
