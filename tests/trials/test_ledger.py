"""The ledger of trials: what counts as one, and that nothing makes it count less."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Event, read_history, tail
from pytest_modelgates.errors import RegistryError, UnreadableError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import MANIFEST, MODEL, PANEL, LocalDirectory
from pytest_modelgates.model.manifest import FileEntry
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.registry.garbage import collect
from pytest_modelgates.storage.lock import locked_file
from pytest_modelgates.storage.strict_json import canonical
from pytest_modelgates.trials.kept import kept_of, market_of, trial_id
from pytest_modelgates.trials.ledger import Seen, read_ledger, seen_on, unknown_models
from tests.gates.test_signal import measured
from tests.support.panels import invented_panel, pack_ridge

DAYS = 90
Change = Callable[[pd.DataFrame], pd.DataFrame]


def panel(seed: int = 1) -> pd.DataFrame:
    return invented_panel(days=DAYS, seed=seed)


def seen(directory: Path, artifacts: Path | None = None) -> Seen:
    with LocalDirectory(directory) as model:
        files, sidecar = model.manifest.files, model.sidecar
        market = market_of(Panel.read(model.verified_panel(), sidecar))
    own = trial_id(model=files[MODEL].sha256, panel=files[PANEL].sha256, horizon=sidecar.horizon)
    root = Artifacts.at(artifacts or directory.parent.parent)
    return seen_on(root, read_ledger(root), lambda: market, own)


def events(artifacts: Path) -> list[Event]:
    return [record for record in read_history(artifacts / "promotions.log") if isinstance(record, Event)]


def test_each_distinct_candidate_is_an_event_with_a_file(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    pack_ridge(root, panel(), changes="The first.\nAnd more.")
    pack_ridge(root, panel(), weights=(1, 1), changes="The second.")
    found = events(root)
    assert [(event.kind, event.reason) for event in found] == [("trial", "The first."), ("trial", "The second.")]
    assert sorted(path.name for path in (root / "trials").iterdir()) == sorted(f"{e.evidence}.npy" for e in found)
    assert len({event.subject for event in found}) == 2


def test_the_same_bytes_packed_again_are_no_new_trial(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel(), changes=words) for words in ("Once.", "Twice.")]
    assert len(events(root)) == 1
    assert [(seen(model).count, len(seen(model).others)) for model in models] == [(1, 0), (1, 0)]


def other_target(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(target=-frame["target"])


def a_day_less(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["time"] > frame["time"].iloc[0]].reset_index(drop=True)


def other_names(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(asset="B" + frame["asset"])


def half_of_the_names(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["asset"] < "A10"].reset_index(drop=True)


def other_features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(momentum=frame["value"])


def returns_from_float32_prices(frame: pd.DataFrame) -> pd.DataFrame:
    growth = (1 + frame.pivot(index="time", columns="asset", values="ret_next")).cumprod()
    prices = (50 * pd.concat([growth.iloc[:1] * 0 + 1, growth])).astype("float32")
    later = prices.pct_change().iloc[1:].set_axis(growth.index).stack().rename("ret_next")
    return frame.drop(columns="ret_next").join(later.astype(float), on=["time", "asset"])


def in_excess_of_a_bill(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ret_next=frame["ret_next"] - 1e-4)


def in_excess_of_the_day(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ret_next=frame["ret_next"] - frame.groupby("time")["ret_next"].transform("mean"))


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.round({"ret_next": 5})


def a_day_later(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(time=frame["time"] + pd.Timedelta(days=1))


def log_returns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ret_next=np.log1p(frame["ret_next"]))


CHANGES = [
    other_target,
    a_day_less,
    other_names,
    half_of_the_names,
    other_features,
    returns_from_float32_prices,
    in_excess_of_a_bill,
    in_excess_of_the_day,
    rounded,
    a_day_later,
    log_returns,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.replace("_", "-"))
def test_trials_on_the_same_prices_count_however_they_are_presented(tmp_path: Path, change: Change) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel()), pack_ridge(root, change(panel()))]
    pack_ridge(root, panel(seed=2))
    assert [(seen(model).count, len(seen(model).others)) for model in models] == [(2, 1), (2, 1)]


def test_another_horizon_of_the_same_files_is_a_trial_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel(), horizon=horizon) for horizon in (1, 2, 5)]
    assert [seen(model).count for model in models] == [3, 3, 3]


def test_a_directory_that_was_deleted_still_counts(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel(), weights=(1, weight)) for weight in range(3)]
    for model in models[:2]:
        shutil.rmtree(model)
    assert (seen(models[2]).count, len(seen(models[2]).others)) == (3, 2)


def lose(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize("spoil", [lose, damage])
def test_a_trial_whose_file_is_lost_counts_on_any_data(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    root = tmp_path / "artifacts"
    pack_ridge(root, panel(seed=2))
    model = pack_ridge(root, panel())
    assert seen(model).count == 1
    spoil(root / "trials" / f"{events(root)[0].evidence}.npy")
    assert (seen(model).count, seen(model).others) == (2, [])


def test_a_trial_whose_file_was_lost_is_kept_again_when_it_is_packed_again(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    pack_ridge(root, panel(seed=2))
    model = pack_ridge(root, panel())
    lose(root / "trials" / f"{events(root)[0].evidence}.npy")
    assert seen(model).count == 2
    again = pack_ridge(root, panel(seed=2))
    assert [event.kind for event in events(root)] == ["trial"] * 3
    assert (seen(model).count, seen(again).count) == (1, 1)


def test_only_what_was_earned_is_held_of_other_trials(tmp_path: Path) -> None:
    models = [pack_ridge(tmp_path / "artifacts", panel(), weights=(1, weight)) for weight in range(2)]
    (other,) = seen(models[1]).others
    assert (other.rows.size > 0, other.market.size, other.market.base) == (True, 0, None)


def test_a_model_that_is_in_no_ledger_counts_itself(tmp_path: Path) -> None:
    model = pack_ridge(tmp_path / "artifacts", panel())
    pack_ridge(tmp_path / "other", panel(), weights=(1, 1))
    assert seen(model, tmp_path / "other").count == 2
    shutil.rmtree(tmp_path / "artifacts" / "trials")
    (tmp_path / "artifacts" / "promotions.log").unlink()
    assert seen(model).count == 1


def lose_the_log(root: Path) -> None:
    (root / "promotions.log").unlink()
    shutil.rmtree(root / "trials")


def test_a_lost_log_takes_no_model_away_whose_directory_is_there(pytester: pytest.Pytester, tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, invented_panel(days=150), weights=(1, weight)) for weight in range(3)]
    pack_ridge(root, invented_panel(days=150, seed=2))
    lose_the_log(root)
    found = measured(pytester, models[0], "significance.p_adjusted")["significance.p_adjusted"]
    assert (found.detail["seen"], found.detail["tried"], found.detail["at_hand"]) == (3, 3, 1)


def test_packing_enters_what_the_ledger_lacks(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel(), weights=(1, weight)) for weight in range(2)]
    lose_the_log(root)
    (root / "models" / "1700000000").mkdir()
    models.append(pack_ridge(root, panel(), weights=(1, 2), changes="After the loss."))
    why = "its directory was here, and the ledger lacked it"
    assert [event.reason for event in events(root)] == [why, why, "After the loss."]
    assert [(seen(model).count, len(seen(model).others)) for model in models] == [(3, 2)] * 3


def forged(root: Path, **changes: object) -> None:
    log = root / "promotions.log"
    end, event = tail(log).head, events(root)[0]
    record = msgspec.structs.replace(event, n=end.n + 1, prev=end.digest, time=datetime.now(UTC), **changes)
    log.write_bytes(log.read_bytes() + canonical(record))


def test_there_is_no_subtraction(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    pack_ridge(root, panel(), weights=(1, 1))
    model = pack_ridge(root, panel())
    for subject in ("-1", "²", "", "1.5"):
        forged(root, kind="trials-added", subject=subject, evidence=None)
    assert seen(model).count == 2
    forged(root, kind="trials-added", subject="45", evidence=None)
    assert (seen(model).trials, seen(model).added, seen(model).count) == (2, 45, 47)


def test_damage_elsewhere_in_the_log_takes_no_trial_away(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel(), weights=(1, weight)) for weight in range(3)]
    lines = (root / "promotions.log").read_bytes().splitlines(keepends=True)
    (root / "promotions.log").write_bytes(b"stray\n".join([b"", *lines, b""]))
    assert seen(models[0]).count == 3


def test_a_model_that_is_no_signal_is_no_trial(tmp_path: Path) -> None:
    frame = panel().drop(columns=["ret_next", "time", "asset"]).assign(baseline=0.0)
    more = {"task": "regression", "metric": "r2", "horizon": 0, "trained_until": None}
    pack_ridge(tmp_path / "artifacts", frame, **more)
    assert not (tmp_path / "artifacts" / "promotions.log").exists()


def test_while_nothing_went_live_a_manifest_keeps_no_head_of_trials(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    models = [pack_ridge(root, panel(), weights=(1, weight)) for weight in range(2)]
    for model in models:
        with LocalDirectory(model) as files:
            assert files.manifest.audit_head is None


def test_packing_waits_for_the_lock_and_publishes_nothing_that_is_not_counted(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    pack_ridge(root, panel())
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "operations.toml").write_text("format = 1\n[registry]\nlock_timeout_s = 0\n")
    before = sorted(path.name for path in (root / "models").iterdir())
    with (
        locked_file(root / ".lock", timeout_s=1),
        pytest.raises(RegistryError, match=r"\.lock is held by process .*; waited 0 s: let it end"),
    ):
        pack_ridge(root, panel(), weights=(1, 1))
    assert sorted(path.name for path in (root / "models").iterdir()) == before
    assert len(events(root)) == 1


def test_a_broken_policy_bars_no_packing(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "policy.toml").write_text("format = 1\n[registry]\nlock_timeout_s = -1\n")
    assert seen(pack_ridge(tmp_path / "artifacts", panel())).count == 1


def test_garbage_collection_keeps_trials_and_takes_what_a_killed_pack_left_among_them(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    model = pack_ridge(root, panel())
    kept = sorted((root / "trials").iterdir())
    left = root / "trials" / f".{kept[0].name}.0123456789abcdef"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))

    class Rules:
        lock_timeout_s, network_file_system = 1.0, False

    found = collect(Artifacts.at(root), Rules(), keep=0)
    assert [removed.name for removed in found.removed] == [f"trials/{left.name}"]
    assert (sorted((root / "trials").iterdir()), seen(model).count) == (kept, 1)


def test_a_long_log_is_read_past_what_is_no_trial(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    model = pack_ridge(root, panel())
    log = root / "promotions.log"
    other = canonical(msgspec.structs.replace(events(root)[0], kind="alert"))
    log.write_bytes(log.read_bytes() + other * 100_000)
    assert len(read_ledger(Artifacts.at(root))) == seen(model).count == 1


def test_what_cannot_be_changed_can_be_counted(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    model = pack_ridge(root, panel())
    paths = [root, *root.rglob("*")]
    before = [(path, path.stat().st_mtime_ns) for path in paths]
    assert seen(model).count == 1
    assert [(path, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")]] == before


def test_a_model_whose_panel_cannot_be_decoded_is_no_trial_of_a_ledger_that_lacks_it(tmp_path: Path) -> None:
    """Of a footer that can be read, and a column that cannot."""
    artifacts = Artifacts.at(tmp_path / "artifacts")
    sound, damaged = (pack_ridge(artifacts.root, panel(seed)) for seed in (1, 2))
    content = bytearray((damaged / PANEL).read_bytes())
    chunk = parquet.ParquetFile(damaged / PANEL).metadata.row_group(0).column(5)
    assert chunk.path_in_schema == "ret_next"
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + 40] = b"\xff" * 40
    (damaged / PANEL).write_bytes(content)
    with LocalDirectory(damaged) as model:
        files = model.manifest.files | {PANEL: FileEntry.of(bytes(content))}
        (damaged / MANIFEST).write_bytes(canonical(msgspec.structs.replace(model.manifest, files=files)))
    with LocalDirectory(damaged) as model:
        lost = Panel.read(model.verified_panel(), model.sidecar)
    for ask in (market_of, kept_of, Panel.require_readable):
        with pytest.raises(UnreadableError, match=r"^evaluation\.parquet: cannot be read as Parquet \(.+\)$"):
            ask(lost)
    found = list(unknown_models(artifacts, []))
    assert [panel.rows_digest for _, panel in found] == [Candidate(sound).panel.rows_digest]
