"""Golden predictions: saved whole, loaded only if they are what was saved."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_modelgates.drift import load_golden_predictions, save_golden_predictions
from pytest_modelgates.drift.golden import golden_metadata
from pytest_modelgates.errors import FormatError, IntegrityError, RegistryError, StatisticsError
from pytest_modelgates.storage.digests import sha256

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


@pytest.mark.parametrize("model_id", ["../../x", "", "１７０００００００１", "1700000001\n", "latest"])
def test_only_a_model_id_names_a_golden(tmp_path: Path, model_id: str) -> None:
    with pytest.raises(RegistryError, match="is not a model id"):
        save_golden_predictions([1.0], model_id, folder=tmp_path / "golden")
    assert list(tmp_path.iterdir()) == []


def test_a_golden_that_is_not_there_says_how_to_set_one(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no golden of any model; set one: modelgates golden set ID"):
        load_golden_predictions(folder=tmp_path)
    save_golden_predictions([1.0], A, folder=tmp_path)
    with pytest.raises(FormatError, match=f"no golden of {B}; set one: modelgates golden set ID"):
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


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format":1,"goldens":{"x":1}}', b'{"format":1,"extra":1}'])
def test_metadata_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"metadata\.json: "):
        golden_metadata(tmp_path)
