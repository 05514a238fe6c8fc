"""Packing: the directory it writes, whole or not at all, and what it refuses."""

import errno
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pytest_modelgates import pack
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.chain import Commit, append
from pytest_modelgates.audit.events import event_of
from pytest_modelgates.drift import save_golden_predictions
from pytest_modelgates.errors import FormatError, GoneError, IntegrityError, ModelgatesError, PackError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import FILES, LocalDirectory, verify
from pytest_modelgates.packing import publish
from pytest_modelgates.packing.kinds import SCOPE
from pytest_modelgates.registry.status import listing
from pytest_modelgates.registry.store import model_ids
from pytest_modelgates.storage.atomic import rename_new, write_atomic
from pytest_modelgates.storage.digests import sha256
from tests.support.handmade import log_predictions, predictions
from tests.support.onnx_models import linear, one_node, write_with_data_outside
from tests.support.panels import invented_panel, pack_ridge

FEATURES = {"a": "price", "b": "size"}


def rows(days: int = 4, assets: int = 3, dtype: str = "float32") -> pd.DataFrame:
    """Rows for a ready ONNX model, whose score is ten times `a` plus `b`."""
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"A{number}" for number in range(assets)]],
        names=["time", "asset"],
    )
    frame = index.to_frame(index=False)
    frame["a"] = (np.arange(len(frame)) % 5).astype(dtype)
    frame["b"] = (np.arange(len(frame)) % 2).astype(dtype)
    frame["target"] = frame["ret_next"] = np.arange(len(frame)) / 1000
    frame["reference"] = 10.0 * frame["a"].astype(float) + frame["b"].astype(float)
    return frame


def pack_ready(artifacts: Path, panel: pd.DataFrame | None = None, model: Any = None, **changes: Any) -> Path:
    """Pack a model built by hand."""
    given: dict[str, Any] = {
        "features": FEATURES,
        "horizon": 1,
        "trained_until": date(2019, 12, 31),
        "changes": "By hand.",
        "artifacts": artifacts,
    }
    ready = linear([10, 1]).SerializeToString() if model is None else model
    return pack(ready, rows() if panel is None else panel, **(given | changes))


def refusal(message: str) -> str:
    """A pattern of all that a refusal of `pack` says: the message, in which * stands for anything, and the scope."""
    return rf"^{re.escape(message)}\n{SCOPE}$".replace(r"\*", ".*")


def flaws(directory: Path) -> list[str]:
    """What verify and the gates on schema, data and parity would say."""
    candidate = Candidate(directory)
    panel = candidate.panel
    return [
        *LocalDirectory(directory).problems(),
        *candidate.soundness_problems(("", "ai.onnx.ml")),
        *candidate.model.input_problems(),
        *panel.column_problems(),
        *panel.dtype_problems(),
        *panel.not_finite(),
        *panel.repeated_rows(),
        *panel.unordered_rows(),
        *panel.overlapping_rows(),
        *candidate.parity_claim_problems(1e-5),
    ]


def test_a_packed_estimator_has_every_file_and_no_flaw(packed_once: Path) -> None:
    assert {entry.name for entry in packed_once.iterdir()} == set(FILES)
    assert flaws(packed_once) == []
    candidate = Candidate(packed_once)
    assert candidate.parity_claim.ok
    assert candidate.parity_claim.rows == len(candidate.panel.frame)
    assert [batch["rows"] for batch in json.loads((packed_once / "bench.json").read_bytes())["batches"]] == [
        1,
        32,
        1024,
    ]
    assert (packed_once / "CHANGES.md").read_text() == "A ridge for tests.\n"
    manifest = candidate.manifest
    assert manifest.id == packed_once.name == str(int(manifest.created.timestamp()))
    assert manifest.audit_head is None
    assert {"python", "numpy", "onnx", "scikit-learn"} <= manifest.lineage.libraries.keys()
    assert (candidate.artifacts.latest_id).read_text() == f"{packed_once.name}\n"


def test_packing_twice_gives_the_same_model_under_two_ids(tmp_path: Path) -> None:
    first, second = (pack_ridge(tmp_path) for _ in range(2))
    assert first != second
    for name in ("model.onnx", "sidecar.json", "parity.json", "CHANGES.md", "evaluation.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (tmp_path / "latest_id.txt").read_text() == f"{second.name}\n"


def test_the_manifest_says_where_the_model_came_from_and_where_the_log_stood(tmp_path: Path) -> None:
    log = tmp_path / "promotions.log"
    append(log, event_of("kill", "a", "A model drifts."))
    manifest = Candidate(pack_ready(tmp_path, code="abc", data="def")).manifest
    assert (manifest.lineage.code, manifest.lineage.data) == ("abc", "def")
    # The trial itself is the second record.
    assert manifest.audit_head == "2:" + sha256(log.read_bytes().splitlines()[1])


def test_where_the_log_stood_is_read_from_a_long_line_too(tmp_path: Path) -> None:
    log = tmp_path / "promotions.log"
    append(log, msgspec.structs.replace(event_of("kill", "a", "x"), reason="x" * 100_000))
    pack_ready(tmp_path)
    append(log, msgspec.structs.replace(event_of("kill", "a", "x"), reason="x" * 100_000))
    again = Candidate(pack_ready(tmp_path))  # no new trial
    assert again.manifest.audit_head == "3:" + sha256(log.read_bytes().splitlines()[2])


def test_a_log_that_is_none_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    (tmp_path / "promotions.log").write_bytes(b"{}\n")
    with pytest.raises(FormatError, match=r"promotions\.log, line 1: not a record of the audit log \(Object missing"):
        pack_ready(tmp_path)
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("columns", [(), ("a", "b"), ("b", "a")], ids=["matrix", "columns", "columns-in-other-order"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_ready_models_of_every_dtype_and_form_are_packed(tmp_path: Path, dtype: str, columns: tuple[str, ...]) -> None:
    panel = rows(dtype=dtype)
    panel["reference"] = 10.0 * panel["a"].astype(float) + panel["b"].astype(float)
    weights = [1, 10] if columns == ("b", "a") else [10, 1]
    directory = pack_ready(tmp_path, panel, linear(weights, dtype=dtype, columns=columns).SerializeToString())
    assert flaws(directory) == []
    candidate = Candidate(directory)
    assert candidate.parity_claim.ok
    assert {feature.dtype for feature in candidate.sidecar.features} == {dtype}


def test_data_beside_a_file_are_moved_inside(tmp_path: Path) -> None:
    path = write_with_data_outside(linear([10, 1]), tmp_path)
    first, second = (pack_ready(tmp_path / kind.__name__, model=kind(path)) for kind in (Path, str))
    assert (first / "model.onnx").read_bytes() == (second / "model.onnx").read_bytes()
    (tmp_path / "outside.bin").unlink()
    assert flaws(first) == []
    assert Candidate(first).parity_claim.max_abs_diff == 0


def test_data_that_lie_elsewhere_are_refused_from_bytes_and_through_paths_that_lead_away(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    path = write_with_data_outside(linear([10, 1]), tmp_path / "model")
    with pytest.raises(PackError, match=r"^tensor 'weights' lies outside the file \(external data\); give the path"):
        pack_ready(tmp_path / "artifacts", model=path.read_bytes())
    (tmp_path / "model" / "outside.bin").rename(tmp_path / "secret")
    model = onnx.load(path, load_external_data=False)
    for location in ("../secret", str(tmp_path / "secret")):
        model.graph.initializer[0].external_data[0].value = location
        path.write_bytes(model.SerializeToString())
        with pytest.raises(PackError, match=f"^{path}: not an ONNX model that can be read"):
            pack_ready(tmp_path / "artifacts", model=path)
    assert not (tmp_path / "artifacts").exists()


def test_nan_may_stand_in_features_that_are_declared_nullable(tmp_path: Path) -> None:
    panel = rows()
    panel.loc[3, "a"] = panel.loc[3, "reference"] = np.nan
    panel.loc[3, "reference"] = 0
    model = onnx.load_model_from_string(linear([0, 1]).SerializeToString())
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Where", ["isnan", "zeros", "features"], ["features/float"]))
    model.graph.node.insert(0, onnx.helper.make_node("IsNaN", ["features"], ["isnan"]))
    model.graph.node.insert(1, onnx.helper.make_node("Sub", ["one", "one"], ["zeros"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1, np.float32), "one"))
    panel["reference"] = panel["b"].astype(float)
    directory = pack_ready(tmp_path, panel, model.SerializeToString(), nullable=["a"])
    assert flaws(directory) == []
    assert [feature.nullable for feature in Candidate(directory).sidecar.features] == [True, False]


def test_an_estimator_that_scales_in_place_scales_rows_of_its_own(tmp_path: Path) -> None:
    frame = rows()
    model = make_pipeline(StandardScaler(copy=False), Ridge(alpha=1e-6))
    model.fit(frame[["a", "b"]].to_numpy(np.float32, copy=True), frame["reference"])
    directory = pack_ready(tmp_path, frame.drop(columns="reference"), model)
    assert flaws(directory) == []
    assert Candidate(directory).panel.frame["a"].tolist() == frame["a"].tolist()


def test_a_panel_of_one_row_is_packed(tmp_path: Path) -> None:
    assert flaws(pack_ready(tmp_path, rows(1, 1))) == []


def test_rows_are_sorted_and_other_columns_left_out(tmp_path: Path) -> None:
    panel = rows().assign(extra=1).iloc[::-1].set_axis([7] * 12)
    panel = panel[[*reversed(panel.columns)]]
    assert (pack_ready(tmp_path / "a", panel) / "evaluation.parquet").read_bytes() == (
        pack_ready(tmp_path / "b") / "evaluation.parquet"
    ).read_bytes()


@pytest.mark.parametrize("named", [True, False], ids=["fitted-on-a-frame", "fitted-on-a-matrix"])
def test_native_scores_are_sorted_with_their_rows(tmp_path: Path, named: bool) -> None:
    panel = invented_panel(days=30)
    features = panel[["momentum", "value"]]
    model = Ridge(alpha=1e-6).fit(features if named else features.to_numpy(), panel["target"])
    shuffled = panel.sample(frac=1, random_state=1)
    given: dict[str, Any] = {"features": dict.fromkeys(features, "g"), "tried": 1}
    first, second = (pack_ready(tmp_path / str(len(rows)), rows, model, **given) for rows in (panel, shuffled[:-1]))
    kept = Candidate(second).panel.frame.merge(Candidate(first).panel.frame, on=["time", "asset", "reference"])
    assert len(kept) == len(panel) - 1


def test_the_frame_that_was_given_stays_as_it_was(tmp_path: Path) -> None:
    panel = rows().iloc[::-1].astype({"a": "float64", "asset": "category"})
    before = panel.copy(deep=True)
    pack_ready(tmp_path, panel)
    pd.testing.assert_frame_equal(panel, before)


ASSETS = [
    pytest.param(lambda names: names.astype("category"), ["A0", "A1", "A2"], id="categories"),
    pytest.param(
        lambda names: pd.Categorical(names, categories=["A2", "A0", "A1"], ordered=True),
        ["A0", "A1", "A2"],
        id="categories-of-another-order",
    ),
    pytest.param(lambda names: [2, 10, 30] * 4, ["10", "2", "30"], id="numbers"),
    pytest.param(lambda names: [1, "x", 2.5] * 4, ["1", "2.5", "x"], id="mixed"),
]


@pytest.mark.parametrize(("kind", "expected"), ASSETS)
def test_assets_are_written_as_text(tmp_path: Path, kind: Callable[["pd.Series"], Any], expected: list[str]) -> None:
    panel = rows()
    panel["asset"] = kind(panel["asset"])
    directory = pack_ready(tmp_path, panel)
    assert flaws(directory) == []
    assert Candidate(directory).panel.frame["asset"].tolist() == expected * 4


def test_dates_may_be_text(tmp_path: Path) -> None:
    panel = rows()
    panel["time"] = panel["time"].dt.strftime("%Y-%m-%d")
    assert flaws(pack_ready(tmp_path, panel)) == []


def _with(**columns: Any) -> Callable[[], pd.DataFrame]:
    return lambda: rows().assign(**columns)


def _holed(column: str) -> Callable[[], pd.DataFrame]:
    def make() -> pd.DataFrame:
        panel = rows()
        panel[column] = panel[column].astype(object)
        panel.loc[[2, 5], column] = None
        return panel

    return make


BAD_PANELS = [
    pytest.param(
        lambda: rows().drop(columns=["b", "ret_next"]),
        "the panel has no column 'b', 'ret_next'; it holds time, asset, a, target, reference; "
        "'ret_next' is the return from each day's close to the next, as a share",
        id="missing-columns",
    ),
    pytest.param(
        lambda: rows().rename(columns={"time": "date", "asset": "name"}),
        "the panel has no column 'time', 'asset'; it holds date, name, a, b, target, ret_next, reference; "
        "say what yours is called, with time= and asset=",
        id="other-names",
    ),
    pytest.param(
        lambda: pd.concat([rows(), rows().iloc[2:4].assign(time=lambda two: two["time"] + pd.Timedelta("1h"))]),
        "the panel has 2 rows of a day and asset that has one already, such as 20*; keep one row per day and asset",
        id="rows-that-come-twice",
    ),
    pytest.param(
        _holed("target"),
        "the panel's 'target' is missing or infinite in 2 rows, such as 20*; drop these rows; "
        "of the last 2 days no target is known yet",
        id="missing-targets",
    ),
    pytest.param(
        _with(ret_next=np.inf),
        "the panel's 'ret_next' is missing or infinite in 12 rows, such as 20*; drop these rows; *",
        id="infinite-returns",
    ),
    pytest.param(
        lambda: rows().drop(columns="reference"),
        "the panel has no column 'reference'; it holds time, asset, a, b, target, ret_next; "
        "'reference' is the native model's score, which a ready ONNX model needs",
        id="no-native-scores",
    ),
    pytest.param(
        lambda: rows().head(0), "the panel has no rows; give out-of-sample rows to measure the model on", id="no-rows"
    ),
    pytest.param(
        lambda: pd.concat([rows(), rows()[["a"]]], axis=1),
        "the panel has two columns 'a'; keep one",
        id="two-columns-of-a-name",
    ),
    pytest.param(
        _with(a="much"),
        "the panel's 'a' holds text, such as 'much'; give numbers, or declare its texts: categories={'a': ['much']}",
        id="text-much",
    ),
    pytest.param(
        _with(ret_next="much"), "the panel's 'ret_next' holds text, such as 'much'; give numbers", id="text-as-return"
    ),
    *(
        pytest.param(_with(a=text), f"the panel's 'a' holds text, such as {text!r}; give numbers", id=f"text-{text}")
        for text in ("0.5", "1_000", "１２", "nan", "")
    ),
    pytest.param(
        lambda: rows().assign(a=pd.Categorical(["0.5", "1.5"] * 6)),
        "the panel's 'a' holds text, such as '0.5'; give numbers",
        id="text-in-categories",
    ),
    pytest.param(
        lambda: rows().assign(a=pd.Series([0.5, b"1"] * 6, dtype=object)),
        "the panel's 'a' holds text, such as b'1'; give numbers",
        id="bytes-among-numbers",
    ),
    pytest.param(_with(a=pd.Timestamp("2020")), "the panel's 'a' cannot be float32 (*)", id="dates-as-feature"),
    pytest.param(_with(a=1j), "the panel's 'a' cannot be float32 (*)", id="complex-feature"),
    pytest.param(
        _with(target="up"),
        "the panel's 'target' holds text, such as 'up'; give numbers",
        id="text-target",
    ),
    pytest.param(
        _with(reference="x"),
        "the panel's 'reference' holds text, such as 'x'; give numbers",
        id="text-score",
    ),
    pytest.param(_with(time=range(12)), "the panel's 'time' is int64; give dates", id="numbers-as-dates"),
    pytest.param(_with(time="soon"), "the panel's 'time' does not hold ISO dates (*)", id="words-as-dates"),
    pytest.param(
        lambda: rows().assign(time=rows()["time"].dt.tz_localize("Asia/Tokyo")),
        "the panel's 'time' is datetime64[*, Asia/Tokyo]; give local dates without a time zone: .dt.tz_localize(None)",
        id="time-zone",
    ),
    *(
        pytest.param(
            lambda year=year: rows().assign(time=np.datetime64(f"{year}-06-01", "s")),
            f"the panel's 'time' holds times of the year {said}, expected years from 1 to 9999",
            id=f"year-{said}",
        )
        for year, said in (("10000", "10000"), ("0000", "0"), ("-0044", "-44"))
    ),
    pytest.param(_with(time="01/02/2020"), "the panel's 'time' does not hold ISO dates (*)", id="day-or-month-first"),
    pytest.param(
        lambda: rows().assign(time=["2020-01-01T00:00:00+09:00", "2020-01-01T00:00:00-05:00"] * 6),
        "the panel's 'time' does not hold ISO dates (*)",
        id="two-time-zones",
    ),
    pytest.param(_holed("time"), "the panel's 'time' is missing in 2 rows; drop them", id="missing-times"),
    pytest.param(
        lambda: rows().assign(asset=["A", ""] * 6),
        "the panel's 'asset' is missing in 6 rows; drop them",
        id="empty-assets",
    ),
    pytest.param(_holed("asset"), "the panel's 'asset' is missing in 2 rows; drop them", id="missing-assets"),
    pytest.param(
        _holed("reference"),
        "the ONNX model or the native model gives scores that are not finite; look for NaN in the panel",
        id="missing-scores",
    ),
    pytest.param(
        _with(a=np.inf),
        "the ONNX model or the native model gives scores that are not finite; look for NaN in the panel",
        id="infinite-feature",
    ),
    pytest.param(
        _with(a=1e300),
        "the ONNX model or the native model gives scores that are not finite; look for NaN in the panel",
        id="beyond-float32",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD_PANELS)
def test_panels_that_cannot_be_packed_are_refused_in_a_line(
    tmp_path: Path, make: Callable[[], pd.DataFrame], message: str
) -> None:
    with pytest.raises(PackError, match=refusal(message)):
        pack_ready(tmp_path / "artifacts", make())
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(("dtype", "value"), [("int64", 1.5), ("int64", 2.0**63), ("int32", 2.0**40), ("bool", 2.0)])
def test_values_that_a_dtype_does_not_hold_are_refused(tmp_path: Path, dtype: str, value: float) -> None:
    panel = rows().assign(a=value, reference=0.0)
    message = f"the panel's 'a' (holds 12 values that {dtype} cannot hold; fix them|cannot be {dtype} .*)"
    with pytest.raises(PackError, match=f"^{message}\n{SCOPE}$"):
        pack_ready(tmp_path, panel, linear([10, 1], dtype=dtype).SerializeToString())


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_nan_never_becomes_a_number(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(PackError, match=r"^the panel's 'a' (holds|cannot be)"):
        pack_ready(tmp_path, rows().assign(a=np.nan), linear([10, 1], dtype=dtype).SerializeToString(), nullable=["a"])


BAD_ARGUMENTS = [
    pytest.param(
        {"changes": " \n"},
        PackError,
        "no changes given: say in a line what changed and why, for the readers of CHANGES.md",
        id="no-changes",
    ),
    pytest.param(
        {"features": {}},
        PackError,
        "no features given: name them with their groups, in the order the model takes them",
        id="no-features",
    ),
    pytest.param(
        {"features": {"a": "x", "b": ""}},
        PackError,
        "features['b']: Expected `str` of length >= 1",
        id="no-group",
    ),
    pytest.param(
        {"features": {"a": "x", "a:b": "y"}},
        FormatError,
        "column 'a:b' holds a colon or a newline; rename it",
        id="colon",
    ),
    pytest.param(
        {"features": {"a": "x", "asset": "y"}},
        PackError,
        "Column `asset` has two meanings; rename one",
        id="key-as-feature",
    ),
    pytest.param(
        {"features": {"a": "x", "target": "y"}},
        PackError,
        "Column `target` has two meanings; rename one",
        id="target-as-feature",
    ),
    pytest.param(
        {"features": {"a": "x"}},
        PackError,
        "model.onnx: input 'features' has shape [None, 2] for 1 features",
        id="fewer-features",
    ),
    pytest.param(
        {"nullable": ["c"]},
        PackError,
        "nullable names 'c', not among the features; give a list of feature names",
        id="unknown-nullable",
    ),
    pytest.param(
        {"nullable": "ac"},
        PackError,
        "nullable: Expected `array`, got `str`; give a list of feature names",
        id="nullable-as-text",
    ),
    pytest.param(
        {"trained_until": None},
        PackError,
        "trained_until is missing: give the last date, of prices or others, that any training label used",
        id="no-end-of-training",
    ),
    pytest.param({"horizon": 0}, PackError, "A signal model must say its `horizon`", id="no-horizon"),
    pytest.param(
        {"horizon": 1.5},
        PackError,
        "horizon: Expected `int`, got `float`",
        id="fractional-horizon",
    ),
    pytest.param(
        {"horizon": np.int64(1)},
        PackError,
        "horizon: Expected `int`, got `numpy.int64`",
        id="numpy-horizon",
    ),
    pytest.param({"tried": 0}, PackError, "tried: Expected `int` >= 1", id="nothing-tried"),
    pytest.param(
        {"trained_until": datetime(2019, 12, 31, tzinfo=UTC)},
        PackError,
        "trained_until: Expected `date | null`, got `datetime`; give a date, such as timestamp.date()",
        id="moment",
    ),
    pytest.param(
        {"output": ("chance", 0)},
        ModelgatesError,
        "model.onnx: has no output 'chance', only score; choose one of them",
        id="unknown-output",
    ),
    pytest.param(
        {"output": ("score", -1)},
        PackError,
        "output: Expected `int` >= 0",
        id="column-before-first",
    ),
    pytest.param(
        {"output": ("score", 1)},
        ModelgatesError,
        "model.onnx: output 'score' has shape (1, 1) for 1 rows, "
        "expected one row each with a column 1; choose another output or column",
        id="unknown-column",
    ),
    pytest.param({"time": "day"}, PackError, "the panel has no column 'day'; it holds *", id="unknown-time"),
    pytest.param(
        {"features": ["a"]},
        PackError,
        "features: expected a mapping from each feature to its group, such as {'momentum': 'price'}, got list",
        id="features-as-a-list",
    ),
    pytest.param(
        {"features": {"a": 1}},
        PackError,
        "features['a']: expected text for feature and group, got 1",
        id="group-as-a-number",
    ),
    pytest.param({"features": {0: "x"}}, PackError, "features[0]: expected text *", id="feature-as-a-number"),
    pytest.param({"nullable": True}, PackError, "nullable: Expected `array`, got `bool`; *", id="nullable-as-truth"),
    pytest.param({"output": "score"}, PackError, "output: Expected `array | null`, got `str`", id="output-as-text"),
    pytest.param({"output": ("score",)}, PackError, "output: Expected `array` of length 2, got 1", id="half-an-output"),
    pytest.param({"code": 5}, PackError, "code: Expected `str | null`, got `int`", id="code-as-a-number"),
    pytest.param({"time": 5}, PackError, "time: Expected `str | null`, got `int`", id="time-as-a-number"),
    pytest.param({"task": "ranking"}, PackError, "task: Invalid enum value 'ranking'", id="unknown-task"),
    pytest.param({"changes": 5}, PackError, "changes: Expected `str`, got `int`", id="changes-as-a-number"),
    pytest.param({"target": "\udcff"}, PackError, "target: 'utf-8' codec can't encode *", id="target-not-in-utf-8"),
    pytest.param(
        {"panel": "panel.csv"}, PackError, "panel: expected a DataFrame of pandas, got str", id="panel-as-a-path"
    ),
    pytest.param({"artifacts": 5}, PackError, "artifacts: expected a path, got int", id="artifacts-as-a-number"),
    pytest.param(
        {"features": {f"f{number:03}": "x" for number in range(600)}, "nullable": [f"g{n:03}" for n in range(600)]},
        PackError,
        "nullable names 'g000', 'g001', 'g002', 'g003', 'g004', 'g005', 'g006', 'g007' and 592 more, not among *",
        id="hundreds-of-names",
    ),
]


@pytest.mark.parametrize(("change", "kind", "message"), BAD_ARGUMENTS)
def test_arguments_that_cannot_be_true_are_refused(
    tmp_path: Path, change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=refusal(message)) as refused:
        pack_ready(**({"artifacts": tmp_path / "artifacts"} | change))
    assert "sidecar" not in str(refused.value), "nobody wrote a sidecar"
    assert len(str(refused.value)) < 300
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1, "horizont": 5}, "pack() got an unexpected keyword argument 'colour'"),
        ({"changes": None}, "pack() missing 1 required keyword-only argument: 'changes'"),
    ],
    ids=["unknown", "missing"],
)
def test_keywords_are_checked_as_of_any_function(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    given = {"features": FEATURES, "horizon": 1, "changes": "x", "artifacts": tmp_path} | change
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        pack(b"", rows(), **{name: value for name, value in given.items() if value is not None})


def test_a_keyword_that_is_none_is_as_if_left_out(tmp_path: Path) -> None:
    left_out = pack_ready(tmp_path / "a")
    none = dict.fromkeys(["metric", "tried", "time", "asset", "volume", "output", "code", "data"])
    assert (pack_ready(tmp_path / "b", **none) / "sidecar.json").read_bytes() == (
        left_out / "sidecar.json"
    ).read_bytes()


BAD_MODELS = [
    pytest.param(
        lambda tmp: b"", "model.onnx: takes ; expected one matrix, or one input for each of a, b", id="no-bytes"
    ),
    pytest.param(lambda tmp: b"nonsense", "model.onnx: not an ONNX file (*)", id="nonsense"),
    pytest.param(
        lambda tmp: tmp / "nowhere.onnx", "*/nowhere.onnx: not an ONNX model that can be read (*)", id="no-file"
    ),
    pytest.param(
        lambda tmp: linear([10, 1], rows=1).SerializeToString(),
        "model.onnx: input 'features' takes 1 rows at a time, expected any number",
        id="one-row-at-a-time",
    ),
    pytest.param(
        lambda tmp: linear([10, 1], columns=["b", "c"]).SerializeToString(),
        "model.onnx: takes b, c; expected one matrix, or one input for each of a, b",
        id="other-inputs",
    ),
    pytest.param(
        lambda tmp: one_node("NoSuchOperator").SerializeToString(),
        "model.onnx: ONNX Runtime cannot load it (*)",
        id="no-such-operator",
    ),
    pytest.param(
        lambda tmp: {"weights": [10, 1]}, "dict is not a model to pack: expected ONNX bytes, *", id="dictionary"
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD_MODELS)
def test_models_that_cannot_be_packed_are_refused_in_a_line(
    tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    with pytest.raises(ModelgatesError, match=refusal(message)):
        pack_ready(tmp_path / "artifacts", model=make(tmp_path))
    assert not (tmp_path / "artifacts").exists()


def test_what_gates_measure_is_packed_and_left_to_the_gates(tmp_path: Path) -> None:
    panel = rows()
    panel["reference"] += 2**-8
    panel.loc[3, "target"] = 7.0
    with pytest.warns(UserWarning, match="the packaged policy admits 1e-05: ONNX Runtime's score is 1 times"):
        directory = pack_ready(tmp_path, panel, trained_until=date(2020, 1, 1))
    assert verify(directory)
    candidate = Candidate(directory)
    assert not candidate.parity_claim.ok
    assert candidate.parity_claim.max_abs_diff == 2**-8
    assert candidate.panel.overlapping_rows() == ["2020-01-01"] * 3


def test_packs_of_one_second_never_merge(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        packed = list(pool.map(lambda changes: pack_ready(tmp_path, changes=changes), ("one", "two", "three")))
    assert len(set(packed)) == 3
    assert sorted((directory / "CHANGES.md").read_text() for directory in packed) == ["one\n", "three\n", "two\n"]
    assert [flaws(directory) for directory in packed] == [[], [], []]
    assert sorted(os.listdir(tmp_path / "models")) == sorted(directory.name for directory in packed)


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    now = int(datetime.now(UTC).timestamp())
    taken = [tmp_path / "models" / str(now + later) for later in range(4)]
    for folder in (taken[0], taken[2]):
        folder.mkdir(parents=True)
    (taken[0] / "mine").touch()
    taken[1].touch()
    taken[3].symlink_to("nowhere")
    directory = pack_ready(tmp_path)
    assert directory.name not in {path.name for path in taken}
    assert os.listdir(taken[0]) == ["mine"]
    assert taken[1].read_bytes() == b""
    # An ordinary rename would have silently replaced this one.
    assert os.listdir(taken[2]) == []
    assert os.readlink(taken[3]) == "nowhere"


def test_the_newest_id_never_goes_back(tmp_path: Path) -> None:
    """Two packs of neighbouring seconds may note their ids in either order."""
    newest = tmp_path / "latest_id.txt"
    for noted, then in (("9999999999\n", "9999999999\n"), ("1000000000\n", None), ("garbage\xff", None), (None, None)):
        newest.unlink(missing_ok=True)
        if noted:
            newest.write_text(noted)
        directory = pack_ready(tmp_path)
        assert newest.read_text() == (then or f"{directory.name}\n")


def test_a_model_that_cannot_be_noted_as_the_newest_is_said_to_be_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Artifacts, path: Path, content: bytes) -> None:
        if path.name == "latest_id.txt":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_atomic(path, content)

    monkeypatch.setattr(Artifacts, "write", refuse)
    with pytest.raises(OSError, match="No space left on device") as raised:
        pack_ready(tmp_path)
    (packed,) = (tmp_path / "models").iterdir()
    why = f"{packed.name} is packed, but could not be noted as the newest (No space left on device)"
    assert (raised.value.strerror, raised.value.filename) == (why, str(tmp_path / "latest_id.txt"))


def test_a_clock_whose_time_is_no_id_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stopped":
            return cls(1970, 1, 1, 0, 5, tzinfo=tz)

    monkeypatch.setattr(publish, "datetime", Stopped)
    message = "the clock says 1970-01-01 00:05 UTC, and a model's id is the time; set it right"
    with pytest.raises(PackError, match=f"^{message}"):
        pack_ready(tmp_path)
    assert os.listdir(tmp_path / "models") == []


def test_a_disk_that_keeps_other_bytes_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(_: Artifacts, path: Path, content: bytes) -> None:
        write_atomic(path, content[:-1] if path.name == "bench.json" else content)

    monkeypatch.setattr(Artifacts, "write", forget)
    message = f"{tmp_path}/models: the files read back are not those that were written; check the disk"
    with pytest.raises(IntegrityError, match=f"^{re.escape(message)}$"):  # without a scope: the disk is to blame
        pack_ready(tmp_path)
    assert os.listdir(tmp_path / "models") == []


def test_a_rename_that_only_says_that_it_was_done_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "rename_new", lambda source, target: None)
    with pytest.raises(GoneError, match=r"no such directory$"):
        pack_ready(tmp_path)
    assert os.listdir(tmp_path / "models") == []


def test_what_is_being_packed_is_leased_until_it_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[bool] = []

    def look(source: Path, target: Path) -> None:
        assert source.name.startswith(".staging-")
        descriptor = os.open(source, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked.append(True)
        finally:
            os.close(descriptor)
        rename_new(source, target)

    monkeypatch.setattr(publish, "rename_new", look)
    pack_ready(tmp_path)
    assert locked == [True]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_are_those_of_the_artifacts_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    usual, shared, narrow = (Artifacts(tmp_path / name) for name in ("usual", "shared", "narrow"))
    for artifacts, mode in ((shared, 0o2775), (narrow, 0o750)):
        artifacts.root.mkdir()
        artifacts.root.chmod(mode)
    before = os.umask(umask)
    try:
        for artifacts in (usual, shared, narrow):
            pack_ready(artifacts.root)
            append(artifacts.promotions, Commit(time=datetime.now(UTC)), mode=artifacts.file_mode)
            log_predictions(artifacts, predictions("0" * 64, [1.0]))
            save_golden_predictions([1.0], "1700000000", folder=artifacts.golden)
    finally:
        os.umask(before)
    for artifacts, folders, files in ((usual, 0o755, 0o644), (shared, 0o2775, 0o664), (narrow, 0o750, 0o640)):
        for path in artifacts.root.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (folders if path.is_dir() else files), path


# The tests below pack in another process, so that every step in turn can be denied, or the process killed there.
SETUP = """
import os, signal, sys, warnings
from pathlib import Path

sys.path[:0] = {path!r}
from pytest_modelgates.model.directory import LocalDirectory
from tests.packing.test_pack import pack_ready

root, at, counting = Path(sys.argv[1]), -1, [0]
EVENTS = {{"open", "os.rename", "os.mkdir", "os.chmod"}}


def watch(event, arguments):
    global at
    if at < 0 or event not in EVENTS or str(root) not in str(arguments):
        return
    counting[0] += 1
    if counting[0] == at:
        strike(arguments)


sys.addaudithook(watch)
pack_ready(root / "warm")
"""

DENY = """
def strike(arguments):
    raise OSError(28, "No space left on device", str(arguments[0]))

step, published = 0, []
while True:
    step, counting[0] = step + 1, 0
    artifacts, at = root / str(step), step
    try:
        pack_ready(artifacts)
        denied = False
    except OSError:
        denied = True
    at = -1
    if counting[0] < step:
        break
    left = os.listdir(artifacts / "models") if (artifacts / "models").exists() else []
    whole = [name for name in left if not LocalDirectory(artifacts / "models" / name).problems()]
    assert left == whole, f"step {step} left {left}"
    # Making a folder that already exists may fail, and packing then goes on to its end.
    assert denied or (artifacts / "latest_id.txt").exists()
    published.append(denied and bool(whole))
    noted = os.listdir(artifacts) if artifacts.exists() else []
    assert set(noted) <= {"models", "latest_id.txt", ".lock", "promotions.log", "trials"}, f"step {step} left {noted}"
# The last steps make the directory's name durable and note the newest id.
assert not any(published[:-5])
print(len(published))
"""

KILL = """
def strike(arguments):
    os.kill(os.getpid(), signal.SIGKILL)

step = 0
while True:
    step += 1
    child = os.fork()
    if not child:
        at = step
        pack_ready(root / str(step))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(step - 1)
"""


def _run(script: str, root: Path) -> int:
    setup = SETUP.format(path=[str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", setup + script, root],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.integration
def test_a_step_that_fails_leaves_no_directory_or_a_whole_one(tmp_path: Path) -> None:
    # Packing makes three folders, writes and renames seven files, renames the directory and notes its id.
    assert _run(DENY, tmp_path) >= 20


@pytest.mark.integration
def test_a_killed_pack_leaves_no_directory_or_a_whole_one(tmp_path: Path) -> None:
    steps = _run(KILL, tmp_path)
    assert steps >= 20
    found = {
        step: model_ids(Candidate(tmp_path / str(step) / "models" / "x").artifacts) for step in range(1, steps + 1)
    }
    for step, ids in found.items():
        for model_id in ids:
            assert LocalDirectory(tmp_path / str(step) / "models" / model_id).problems() == []
    # The last steps make the directory's name durable and note the newest id.
    assert all(step > steps - 5 for step, ids in found.items() if ids)
    staged = [entry for step in found for entry in (tmp_path / str(step)).glob("models/.staging-*")]
    assert len(staged) >= 10


def test_what_a_killed_pack_left_is_no_model_and_in_nobodys_way(tmp_path: Path) -> None:
    left = tmp_path / "models" / ".staging-abcdefgh"
    left.mkdir(parents=True)
    (left / "model.onnx").touch()
    directory = pack_ready(tmp_path)
    assert [row.id for row in listing(Candidate(directory).artifacts)] == [directory.name]


@pytest.mark.integration
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    script = """
import resource
artifacts = root / "full"
for size in (10, 300, 1000, 2000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        pack_ready(artifacts)
    except OSError as error:
        assert error.errno == 27, error
    else:
        raise AssertionError(f"packing fitted into files of {size} bytes")
    assert os.listdir(artifacts / "models") == [], os.listdir(artifacts / "models")
left = set(os.listdir(artifacts)) - {".lock", "promotions.log", "trials"}
print(len(left))
"""
    assert _run(script, tmp_path) == 1


DIFFERS = "the ONNX model differs from the panel's 'reference' by {} times the spread of its scores, "
MISTAKEN = [
    pytest.param(
        {"features": {"b": "size", "a": "price"}},
        None,
        DIFFERS.format("*") + "expected at most 1e-05: look whether features names them in the order that the model "
        "takes, whether its output is the one that you mean, and whether reference is of the same rows",
        id="columns-in-another-order",
    ),
    pytest.param(
        {"output": ("both", 1)},
        None,
        DIFFERS.format("*") + "expected at most 1e-05: column 0 of output 'score' agrees: pack with output = "
        "('score', 0)",
        id="another-output",
    ),
    pytest.param(
        {},
        lambda panel: panel.assign(reference=-panel["reference"]),
        DIFFERS.format("*") + "expected at most 1e-05: ONNX Runtime's score is -1 times the native one plus *: look "
        "for a sign, a unit or a scaling that only one of them has",
        id="another-sign",
    ),
]


@pytest.mark.parametrize(("described", "changed", "message"), MISTAKEN)
def test_a_ready_model_that_scores_otherwise_than_its_reference_is_refused(
    tmp_path: Path, described: dict[str, Any], changed: Callable[[pd.DataFrame], pd.DataFrame] | None, message: str
) -> None:
    model = linear([10, 1])
    both = onnx.helper.make_node("Add", [model.graph.input[0].name] * 2, ["both"])
    model.graph.node.append(both)
    model.graph.output.append(onnx.helper.make_tensor_value_info("both", onnx.TensorProto.FLOAT, [None, 2]))
    wanted = {"output": ("score", 0), **described}
    with pytest.raises(PackError, match=refusal(message)):
        pack_ready(tmp_path, changed(rows()) if changed else rows(), model.SerializeToString(), **wanted)
    assert not (tmp_path / "models").exists()
    assert pack_ready(tmp_path, model=model.SerializeToString(), output=("score", 0)).exists()


def test_a_ready_model_that_is_a_little_off_its_reference_is_packed_with_a_warning(tmp_path: Path) -> None:
    panel = rows()
    panel["reference"] += 1e-3 * (np.arange(len(panel)) % 3)
    with pytest.warns(UserWarning, match=r"^the ONNX model differs from the panel's 'reference' by .*, the packaged"):
        pack_ready(tmp_path, panel)
