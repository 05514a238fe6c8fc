"""A panel in many row groups, read a part at a time, says to the last bit what it says in one."""

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import IntegrityError, UnreadableError
from pytest_modelgates.model import panel as model_panel
from pytest_modelgates.model.blocks import in_blocks
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import PANEL, LocalDirectory
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.parity import Comparison
from pytest_modelgates.stats.agreement import disordered
from pytest_modelgates.stats.caps import Caps, simulate_within
from pytest_modelgates.stats.copy_effects import tied_rows, trade_difference
from pytest_modelgates.stats.costs import Costs
from pytest_modelgates.stats.decay import rank_ic_decay, top_turnover
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.leakage import look_ahead, one_day_later
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.portfolio import paper_pnl
from pytest_modelgates.stats.spread import spread
from pytest_modelgates.storage import parquet, scratch
from pytest_modelgates.storage.digested_file import DigestedFile
from pytest_modelgates.trials.kept import market_of
from tests.support.onnx_models import sidecar
from tests.support.panels import invented_panel, pack_ridge


def grouped(frame: pd.DataFrame, rows: int) -> bytes:
    """Write rows in groups of so many."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, row_group_size=rows)
    return sink.getvalue()


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """A ridge on two features, whose last bits depend on how many rows are scored together if anything's do."""
    return Candidate(
        pack_ridge(tmp_path_factory.mktemp("artifacts"), invented_panel(days=70), weights=(0.3, 0.7), tried=1)
    )


@pytest.fixture(scope="module", params=[7, 999, 1400], ids=lambda rows: f"groups-of-{rows}")
def panels(candidate: Candidate, request: pytest.FixtureRequest) -> tuple[Panel, Panel]:
    """The panel as a frame, and read from row groups that cut days and blocks anywhere."""
    frame = candidate.panel.frame
    return Panel(frame, candidate.sidecar), Panel.read(grouped(frame, request.param), candidate.sidecar)


def of_panel(panel: Panel) -> Iterator[Any]:
    """What gates ask a panel for."""
    yield from (panel.rows, panel.schema(), panel.column_problems(), panel.dtype_problems(), panel.not_finite())
    yield from (panel.days.to_numpy(), panel.day_codes, panel.asset_codes, panel.outcome, panel.native_scores)
    yield from (
        panel.rows_digest,
        panel.returns,
        panel.share_of_repeated_rows(),
        panel.head(3),
        *panel.features_by_day.values(),
    )
    scores, returns, days = panel.by_day(panel.native_scores), panel.returns, panel.day_codes
    yield look_ahead(scores, panel.features_by_day, returns, horizon=1)
    yield from (panel.repeated_rows(), panel.unordered_rows(), panel.overlapping_rows())
    yield from (panel.repeated_days(), panel.repeated_names(), market_of(panel))
    yield from map(asdict, (panel.target_agreement, panel.left_out, panel.return_sizes, panel.holes))
    held = simulate(scores, returns, horizon=3, cost_bps=Costs(half_spread_bps=2, borrow_bps_per_year=50))
    placebo = placebo_test(held, returns[: len(returns)], n_resamples=99) if len(held.net) > 100 else None
    within = simulate_within(held, returns, Caps(weight=0.08, gross=0.9, net=0.01), cost_bps=2)
    yield from (asdict(held), placebo, paper_pnl(held), asdict(within))
    yield from (one_day_later(scores, returns, horizon=3), rank_ic_decay(scores, returns, horizons=[1, 5]))
    yield from (top_turnover(scores), trade_difference(scores, np.round(scores, 2), returns, horizon=1, cost_bps=2))
    rounded = np.round(panel.native_scores, 2)
    yield from (disordered(panel.native_scores, rounded, days, margin=0.1), tied_rows(rounded, days))
    yield asdict(spread(panel.native_scores, days))


def test_what_gates_ask_a_panel_for_is_the_same(panels: tuple[Panel, Panel]) -> None:
    for whole, grouped_one in zip(*map(of_panel, panels), strict=True):
        np.testing.assert_equal(grouped_one, whole)


@pytest.mark.parametrize("order", ["in-order", "shuffled"])
@pytest.mark.parametrize("size", [2**7, 2**10])
def test_what_gates_ask_for_is_the_same_on_disk_and_in_parts_of_any_size(
    candidate: Candidate, order: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panel with holes, names that leave, a day and a name twice."""
    rng, frame = np.random.default_rng(0), invented_panel(days=150).assign(baseline=0.0)
    frame = frame.reindex(columns=candidate.sidecar.panel_columns).assign(
        reference=0.3 * frame["momentum"] + 0.7 * frame["value"]
    )
    days, names = (pd.factorize(frame[name])[0] for name in candidate.sidecar.keys)
    frame.loc[days == 70, "ret_next"] = frame.loc[days == 30, "ret_next"].to_numpy()
    frame.loc[names == 3, "ret_next"] = frame.loc[names == 5, "ret_next"].to_numpy()
    frame = frame[(rng.random(len(frame)) > 0.02) & ((names > 2) | (days < 100 + names))].reset_index(drop=True)
    if order == "shuffled":
        frame = frame.sample(frac=1, random_state=1, ignore_index=True)
    content = grouped(frame, 300)
    wanted = list(of_panel(Panel.read(content, candidate.sidecar)))
    monkeypatch.setattr(scratch, "_LARGE", 1)
    monkeypatch.setattr(scratch, "_PART", size)
    monkeypatch.setattr(parquet, "_PIECE", size)
    for found, one in zip(of_panel(Panel.read(content, candidate.sidecar)), wanted, strict=True):
        np.testing.assert_equal(found, one)


def test_scores_and_parity_are_the_same_to_the_last_bit(candidate: Candidate, panels: tuple[Panel, Panel]) -> None:
    model, probes = candidate.model, candidate.parity_claim.probes
    one, other = (model.predict_blocks(panel.blocks(), panel.rows).tobytes() for panel in panels)
    assert one == other == candidate.scores.tobytes()
    one, other = (model.predict_blocks(panel.blocks(neutral=[0]), panel.rows).tobytes() for panel in panels)
    assert one == other != candidate.scores.tobytes()
    assert len({Comparison.of_panel(panel, probes).measure(model) for panel in panels}) == 1


def test_nothing_of_it_reads_all_features_at_once(
    candidate: Candidate, panels: tuple[Panel, Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for a column and for a row group, but neither for the whole nor for what statistics may take."""
    monkeypatch.setattr(parquet, "_memory", lambda: 4 * 8 * panels[0].rows)
    monkeypatch.setattr(model_panel, "_MEMORY_A_ROW", 350)
    content = grouped(panels[0].frame, 300)
    with pytest.raises(
        UnreadableError, match=r"^evaluation\.parquet: 1400 rows, expected at most 128: each takes some "
    ):
        Panel.read(content, candidate.sidecar)
    panel = Panel(parquet.ParquetRows(content, PANEL), candidate.sidecar)
    list(of_panel(panel))
    Comparison.of_panel(panel, candidate.parity_claim.probes).measure(candidate.model)
    monkeypatch.setattr(parquet, "_memory", lambda: 3 * 8 * panels[0].rows)
    with pytest.raises(UnreadableError, match=r"^evaluation\.parquet: 11200 bytes when decoded, expected at most 8400"):
        panel.column("asset")
    first = panel.column_head("asset", 400).tolist()  # of two row groups
    assert first == panels[0].frame["asset"].head(400).tolist()
    monkeypatch.setattr(parquet, "_memory", lambda: 4 * 8 * panels[0].rows)
    message = r"^evaluation\.parquet: 78400 bytes when decoded, expected at most 11200, .+; panel\.column\(name\) and "
    with pytest.raises(UnreadableError, match=message + r"panel\.blocks\(\) need less$"):
        _ = panel.frame
    with pytest.raises(UnreadableError, match=message):
        _ = panel.features
    with pytest.raises(UnreadableError, match=r"^evaluation\.parquet: row group 0 has 22400 bytes when decoded"):
        next(Panel(parquet.ParquetRows(grouped(panels[0].frame, 1400), PANEL), candidate.sidecar).blocks())


@given(sizes=st.lists(st.integers(0, 9), max_size=9), size=st.integers(1, 12))
def test_blocks_are_the_same_however_rows_come(sizes: list[int], size: int) -> None:
    rows = np.arange(2 * sum(sizes)).reshape(-1, 2)
    found = list(in_blocks(np.split(rows, np.cumsum(sizes)), size))
    assert [len(block) for block in found] == [len(rows[start : start + size]) for start in range(0, len(rows), size)]
    np.testing.assert_array_equal(np.concatenate([rows[:0], *found]), rows)


MEDIANS = ["float32", "float64", "int32", "int64", "bool"]


@pytest.mark.parametrize("dtype", MEDIANS)
def test_medians_are_those_of_pandas_in_the_dtype_of_the_features(dtype: str) -> None:
    rng = np.random.default_rng(0)
    frame = invented_panel(days=9).rename(columns={"momentum": "a", "value": "b"}).assign(reference=0.0)
    frame["a"], frame["b"] = (rng.integers(-9, 9, len(frame)).astype(dtype) for _ in "ab")
    panel = Panel(frame.sample(frac=1, random_state=1), sidecar("a", "b", dtype=dtype))
    wanted = panel.features.copy()
    wanted[:, 1] = pd.Series(wanted[:, 1]).groupby(panel.day_codes).transform("median").to_numpy()
    np.testing.assert_array_equal(np.concatenate([*panel.blocks(64, neutral=[1])]), wanted)
    assert wanted.dtype == next(panel.blocks(neutral=[1])).dtype == dtype


def long_rows(change: Callable[[pd.DataFrame], object]) -> Panel:
    """More rows of a model without a time than are compared whole."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.standard_normal((200_500, 4)), columns=["a", "b", "target", "reference"])
    change(frame)
    described = {"task": "regression", "metric": "r2", "time": None, "asset": None, "horizon": 0, "trained_until": None}
    return Panel(frame, msgspec.structs.replace(sidecar("a", "b", dtype="float64"), **described))


def test_rows_that_come_again_in_a_long_panel_are_found_by_their_hashes() -> None:
    def repeat(frame: pd.DataFrame) -> None:
        frame.loc[5, ["a", "b"]] = [np.nan, -0.0]
        frame.iloc[-3:] = frame.iloc[4:7].to_numpy()
        frame.loc[len(frame) - 2, "b"] = 0.0

    assert long_rows(lambda frame: None).share_of_repeated_rows() == (0, None)
    panel = long_rows(repeat)
    wanted = panel.frame[["a", "b", "target"]].duplicated()
    assert wanted.sum() == 3
    assert panel.share_of_repeated_rows() == (wanted.mean(), wanted.argmax())


def test_a_file_is_read_from_anywhere_and_is_the_one_that_was_digested(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(3 * 2**18 + 5)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("r+b") as writer:
        file = DigestedFile(writer.fileno(), "it")
    for start, size in [(0, 10), (2**18 - 3, 6), (5, 2 * 2**18), (len(content) - 2, 9), (len(content), 1)]:
        assert file.seek(start) == file.tell() == start
        assert file.read(size) == content[start : start + size]
    assert (file.seek(-5, io.SEEK_END), file.read()) == (len(content) - 5, content[-5:])
    with path.open("r+b") as writer:
        writer.seek(2**18 + 1)
        writer.write(b"changed")
    file.seek(0)
    assert file.read(2**18) == content[: 2**18]
    with pytest.raises(IntegrityError, match=r"^it changed while it was in use; leave a packed model alone$"):
        file.read(1)
    file.close()
    file.close()


@pytest.mark.parametrize("ask", [lambda panel: panel.frame, lambda panel: panel.returns, lambda panel: panel.head(1)])
def test_a_panel_that_changes_between_two_parts_is_refused(good_model: Path, ask: Callable[[Panel], object]) -> None:
    with LocalDirectory(good_model) as files:
        panel = Panel.read(files.verified_panel(), files.sidecar)
        content = bytearray((good_model / PANEL).read_bytes())
        content[100] ^= 1
        (good_model / PANEL).write_bytes(content)
        message = rf"^{good_model.name}: evaluation\.parquet changed while it was in use"
        with pytest.raises(IntegrityError, match=message):
            ask(panel)
        with pytest.raises(IntegrityError, match=message):
            files.panel_file()


@pytest.mark.integration
def test_no_descriptor_stays_open_once_a_panel_is_gone(good_model: Path) -> None:
    code = (
        "import gc, os, sys; from pathlib import Path; from pytest_modelgates.model.candidate import Candidate; "
        "Candidate(Path(sys.argv[1])).panel.returns; gc.collect(); before = len(os.listdir('/proc/self/fd')); "
        "[Candidate(Path(sys.argv[1])).panel.returns for _ in range(9)]; gc.collect(); "
        "sys.exit(len(os.listdir('/proc/self/fd')) - before)"
    )
    assert subprocess.run([sys.executable, "-c", code, good_model]).returncode == 0


@pytest.mark.slow
def test_a_long_panel_is_gated_in_the_memory_of_a_short_one(tmp_path: Path) -> None:
    """5 × 10^6 rows in 1 GiB. One gate fails, of the Sharpe ratio: nothing invented on so many names is luck."""
    words = ["benchmarks.panel", "5000000", "--features", "5", "--memory-gib", "1", "--folder", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-m", *words], cwd=root, capture_output=True, text=True, check=True)
    _, why, failed, said = done.stdout.splitlines()
    assert why.startswith("leak.too_good failed: leak.sharpe measured "), done.stdout
    assert failed.startswith("FAILED test_leak.py::test_too_good["), done.stdout
    assert re.match(r"5,000,000 rows of 5 features, .+: = 1 failed, \d+ passed, ", said), done.stdout
