"""Golden predictions: saved whole, loaded only if they are what was saved."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pytest_modelgates.drift.golden as golden_module
from pytest_modelgates.drift import load_golden_predictions, save_golden_predictions
from pytest_modelgates.drift.golden import (
    golden_content,
    made_for,
    put_golden,
    read_golden,
    version_content,
    version_of,
)
from pytest_modelgates.drift.versions import golden_metadata
from pytest_modelgates.errors import FormatError, IntegrityError, RegistryError, StatisticsError
from pytest_modelgates.storage.digests import sha256
from pytest_modelgates.storage.disk import LocalDisk

A, B = "1700000001", "1700000002"
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(values=arrays.arrays(np.float64, st.integers(1, 50), elements=FINITE))
def test_what_is_saved_is_loaded_bit_by_bit(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("golden")
    save_golden_predictions(values, A, folder=folder)
    assert load_golden_predictions(A, folder=folder).tobytes() == values.tobytes()


def test_each_model_has_its_own_and_the_last_is_the_default(tmp_path: Path) -> None:
    path = save_golden_predictions([1, 2], B, folder=tmp_path, digest="0" * 64)
    save_golden_predictions([3.5], A, folder=tmp_path)
    assert path == tmp_path / f"{B}.parquet"
    assert load_golden_predictions(folder=tmp_path).tolist() == [3.5]
    assert load_golden_predictions(B, folder=tmp_path).tolist() == [1, 2]
    found = golden_metadata(tmp_path).goldens
    assert (found[B].rows, found[B].digest, found[A].digest) == (2, "0" * 64, None)
    assert (found[B].origin, found[B].history) == ("hand", ())
    assert found[B].sha256 == sha256(path.read_bytes())


def test_by_default_goldens_lie_under_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_golden_predictions([1.0], A)
    assert (tmp_path / "artifacts" / "golden" / f"{A}.parquet").is_file()
    assert load_golden_predictions().tolist() == [1.0]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="empty"),
        pytest.param([1.0, np.nan], id="nan"),
        pytest.param([np.inf], id="infinite"),
        pytest.param([[1.0]], id="matrix"),
        pytest.param(1.0, id="scalar"),
        pytest.param(["high"], id="text"),
        pytest.param([None], id="none"),
        pytest.param([1j], id="complex"),
        pytest.param(np.array([1j]), id="complex-array"),
        pytest.param(np.ma.array([1.0, 2.0], mask=[0, 1]), id="masked"),
    ],
)
def test_only_finite_numbers_become_a_golden(tmp_path: Path, values: object) -> None:
    with pytest.raises(StatisticsError, match="expected one finite number a row"):
        save_golden_predictions(values, A, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_finite_is_counted(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match="golden predictions: 2 of 3 are NaN or infinite, expected one"):
        save_golden_predictions([np.nan, 0.0, np.inf], A, folder=tmp_path)


@pytest.mark.parametrize("model_id", ["../../x", "", "１７０００００００１", "1700000001\n", "latest"])
def test_only_a_model_id_names_a_golden(tmp_path: Path, model_id: str) -> None:
    with pytest.raises(RegistryError, match="is not a model id"):
        save_golden_predictions([1.0], model_id, folder=tmp_path / "golden")
    assert list(tmp_path.iterdir()) == []


def test_a_golden_that_is_not_there_says_how_to_set_one(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no golden of any model; set one: modelgates golden set ID"):
        load_golden_predictions(folder=tmp_path)
    save_golden_predictions([1.0], A, folder=tmp_path)
    with pytest.raises(FormatError, match=f"no golden of {B}; set one: modelgates golden set {B}"):
        load_golden_predictions(B, folder=tmp_path)


def test_a_file_that_is_not_the_one_saved_is_refused(tmp_path: Path) -> None:
    path = save_golden_predictions([1.0], A, folder=tmp_path)
    pd.DataFrame({"prediction": [2.0]}).to_parquet(path)
    with pytest.raises(IntegrityError, match=f"not the file that metadata.json lists; .*: modelgates golden set {A}"):
        load_golden_predictions(A, folder=tmp_path)
    path.unlink()
    with pytest.raises(FormatError, match="no such file"):
        load_golden_predictions(A, folder=tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n"])
def test_bytes_that_are_no_golden_are_refused_though_listed(tmp_path: Path, content: bytes) -> None:
    path = save_golden_predictions([1.0], A, folder=tmp_path)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    metadata["goldens"][A]["sha256"] = sha256(content)
    path.write_bytes(content)
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(FormatError, match=f"holds no predictions .*set it again: modelgates golden set {A}"):
        load_golden_predictions(A, folder=tmp_path)


def test_a_listed_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    save_golden_predictions([1.0], A, folder=tmp_path)
    text = (tmp_path / "metadata.json").read_text()
    (tmp_path / "metadata.json").write_text(text.replace(A, "../../x"))
    with pytest.raises(RegistryError, match="is not a model id"):
        load_golden_predictions(folder=tmp_path)


NO_METADATA = [
    b"",
    b"[]",
    b"\xff",
    b'{"format":1,"goldens":{"x":1}}',
    b'{"format":1,"extra":1}',
    b'{"format":2,"goldens":{"x":{}}}',
    b'{"format":"2"}',
    b'{"format":2,"extra":1}',
]


@pytest.mark.parametrize("content", NO_METADATA)
def test_metadata_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metadata.json"
    path.write_bytes(content)
    anew = f"; put it back from a copy, or begin anew: mv {path} {path}.moved && modelgates golden set ID"
    for read in (golden_metadata, load_golden_predictions):
        with pytest.raises(FormatError, match=rf"metadata\.json: .*{re.escape(anew)}$"):
            read(folder=tmp_path)
    with pytest.raises(FormatError, match=r"metadata\.json: "):
        save_golden_predictions([1.0], A, folder=tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["metadata.json"]


def test_metadata_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"format": 3, "more": true}')
    message = f"{tmp_path}/metadata.json: in format 3, expected at most 2; use the version that wrote it, or newer"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        golden_metadata(tmp_path)


FORMAT_1 = {
    "format": 1,
    "goldens": {
        A: {"rows": 2, "sha256": "", "saved": "2026-01-01T00:00:00Z", "digest": "a" * 64},
        B: {"rows": 2, "sha256": "", "saved": "2026-01-02T00:00:00Z", "digest": None},
    },
}


@pytest.fixture
def of_0_1(tmp_path: Path) -> Path:
    """Goldens as version 0.1 left them: one of a panel, and one that was set by hand."""
    metadata = json.loads(json.dumps(FORMAT_1))
    for model_id in (A, B):
        pd.DataFrame({"prediction": [1.0, 2.0]}).to_parquet(tmp_path / f"{model_id}.parquet", index=False)
        metadata["goldens"][model_id]["sha256"] = sha256((tmp_path / f"{model_id}.parquet").read_bytes())
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    return tmp_path


def test_goldens_of_0_1_are_read(of_0_1: Path) -> None:
    found = golden_metadata(of_0_1).goldens
    assert [(each.origin, each.of, each.digest) for each in found.values()] == [
        ("panel", "a" * 64, "a" * 64),
        ("hand", None, None),
    ]
    assert load_golden_predictions(folder=of_0_1).tolist() == [1, 2]


def test_the_first_golden_that_is_saved_over_those_of_0_1_keeps_them(of_0_1: Path) -> None:
    before = golden_metadata(of_0_1).goldens
    save_golden_predictions([3.0], A, folder=of_0_1)
    written = json.loads((of_0_1 / "metadata.json").read_text())
    assert (written["format"], written["checks"]) == (2, "../drift/checks.jsonl")
    found = golden_metadata(of_0_1).goldens
    assert found[B] == before[B]
    assert found[A].history == (before[A].in_force,)
    assert version_content(of_0_1, A, before[A]) is not None
    assert load_golden_predictions(A, folder=of_0_1).tolist() == [3]


def test_what_was_in_force_is_kept_in_its_order(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 2.0, 3.0):
        save_golden_predictions([value], A, folder=tmp_path)
    golden = golden_metadata(tmp_path).goldens[A]
    kept = [version_content(tmp_path, A, each) for each in golden.versions]
    assert [read_golden(tmp_path, content)[0].tolist() for content in kept if content] == [[3], [2], [1]]
    assert golden.history[0].saved < golden.history[1].saved < golden.saved
    assert sorted(path.stem for path in (tmp_path / "earlier").iterdir()) == sorted(
        each.sha256 for each in golden.history
    )


def test_a_damaged_golden_can_be_replaced_and_is_named_in_the_history(tmp_path: Path) -> None:
    save_golden_predictions([1.0], A, folder=tmp_path).write_bytes(b"")
    save_golden_predictions([2.0], A, folder=tmp_path)
    (lost,) = golden_metadata(tmp_path).goldens[A].history
    assert version_content(tmp_path, A, lost) is None
    assert load_golden_predictions(A, folder=tmp_path).tolist() == [2]


@pytest.mark.parametrize("after", [False, True], ids=["before-the-write", "after-the-write"])
@pytest.mark.parametrize("write", [0, 1, 2], ids=["earlier", "parquet", "metadata"])
def test_whichever_write_breaks_the_golden_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int, after: bool
) -> None:
    save_golden_predictions([1.0], A, folder=tmp_path)
    old, done, genuine = golden_metadata(tmp_path), [], LocalDisk.write

    def breaks(path: Path, content: bytes, **modes: int) -> None:
        done.append(path)
        if len(done) == write + 1 and not after:
            raise OSError(28, "No space left on device", str(path))
        genuine(path, content, **modes)
        if len(done) == write + 1:
            raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(LocalDisk, "write", staticmethod(breaks))
        with pytest.raises(OSError, match=r"space|output"):
            save_golden_predictions([2.0], A, folder=tmp_path)
    new = (write, after) == (2, True)
    assert load_golden_predictions(A, folder=tmp_path).tolist() == [2.0 if new else 1.0]
    assert (golden_metadata(tmp_path) == old) is not new
    save_golden_predictions([3.0], A, folder=tmp_path)
    golden = golden_metadata(tmp_path).goldens[A]
    kept = [version_content(tmp_path, A, each) for each in golden.versions]
    assert [read_golden(tmp_path, content)[0].tolist() for content in kept if content] == [
        *([[3], [2], [1]] if new else [[3], [1]])
    ]


def test_a_golden_that_is_replaced_and_collected_while_it_is_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_golden_predictions([1.0], A, folder=tmp_path)
    genuine = golden_module.version_content

    def replaced(*arguments: object) -> bytes | None:
        monkeypatch.setattr(golden_module, "version_content", genuine)
        save_golden_predictions([2.0], A, folder=tmp_path)
        for path in (tmp_path / "earlier").iterdir():
            path.unlink()
        return genuine(*arguments)

    monkeypatch.setattr(golden_module, "version_content", replaced)
    assert load_golden_predictions(A, folder=tmp_path).tolist() == [2]


def test_a_golden_says_for_which_model_it_was_made_and_of_which_days(tmp_path: Path) -> None:
    days = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")
    content = golden_content([1.0, 2.0], A, "b" * 64, days=days)
    assert made_for(content) == (A, "b" * 64)
    assert made_for(golden_content([1.0], A, None)) == (A, None)
    assert [made_for(each) for each in (b"", b"PAR1", b"prediction\n1\n")] == [None] * 3
    put_golden(tmp_path, A, content, version_of(content, 2, digest="b" * 64, origin="log"))
    values, read = read_golden(tmp_path, content)
    assert values.tolist() == [1, 2]
    assert read is not None
    assert read.tolist() == days.tolist()
    assert load_golden_predictions(A, folder=tmp_path).tolist() == [1, 2]


def test_without_a_model_the_live_one_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    save_golden_predictions([1.0], A, folder=folder)
    save_golden_predictions([2.0], B, folder=folder)
    message = f"nothing is live under {tmp_path / 'models'}: say whose golden it is, by model_id="
    with pytest.raises(RegistryError, match=f"^{re.escape(message)}$"):
        save_golden_predictions([3.0], folder=folder)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "latest").symlink_to(A)
    assert load_golden_predictions(folder=folder).tolist() == [1]
    save_golden_predictions([3.0], folder=folder)
    assert load_golden_predictions(folder=folder).tolist() == [3]
    assert load_golden_predictions(B, folder=folder).tolist() == [2]
