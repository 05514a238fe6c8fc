"""Setting a model's golden: from its panel, or from a file."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.drift import load_golden_predictions
from pytest_modelgates.drift.golden import golden_metadata
from pytest_modelgates.errors import FormatError, IntegrityError, StatisticsError
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.registry.golden import set_golden
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Registry, golden_of

RULES = load_operations(None, policy=None)[0].registry


def test_a_golden_is_set_from_the_panel_or_from_a_file(registry: Registry, tmp_path: Path) -> None:
    folder, directory = registry.artifacts.golden, registry.artifacts.model(registry.candidate)
    set_golden(registry.artifacts, registry.candidate, None, RULES)
    assert load_golden_predictions(registry.candidate, folder=folder).tolist() == golden_of(directory)
    assert golden_metadata(folder).goldens[registry.candidate].digest == tree_digest(directory)
    frame = pd.DataFrame({"prediction": [1.0, 2.0], "more": ["a", "b"]})
    frame.to_csv(tmp_path / "own.csv", index=False)
    frame.to_parquet(tmp_path / "own.parquet")
    (tmp_path / "own.csv.gz").write_bytes(gzip.compress((tmp_path / "own.csv").read_bytes()))
    for name in ("own.csv", "own.csv.gz", "own.parquet"):
        set_golden(registry.artifacts, registry.candidate, tmp_path / name, RULES)
        np.testing.assert_array_equal(load_golden_predictions(registry.candidate, folder=folder), [1, 2])
    assert golden_metadata(folder).goldens[registry.candidate].digest is None
    assert registry.live in golden_metadata(folder).goldens


def test_a_golden_file_of_another_form_is_refused(registry: Registry, tmp_path: Path) -> None:
    before = registry.state()
    for name, content, said, error in (
        ("gone.csv", None, "no such file", FormatError),
        ("random.parquet", b"\0\1\2", r"random\.parquet: neither Parquet by its content nor CSV", FormatError),
        ("random.csv", b"\xff\xfe\0", r"random\.csv, line 1: not the header of a CSV file", FormatError),
        ("empty.csv", b"", "no header", FormatError),
        ("none.csv", b"prediction\n", "expected one finite number a row", StatisticsError),
        ("other.csv", b"a,b\n1,2\n", "has no column 'prediction'; it holds a, b", FormatError),
        ("twice.csv", b"prediction,prediction\n1,2\n", "two columns are called 'prediction'", FormatError),
        (
            "words.csv",
            b"prediction\nhigh\n",
            "line 2: column 'prediction' holds 'high', expected a number",
            FormatError,
        ),
        ("truths.csv", b"prediction\n1\nTrue\n", "line 3: column 'prediction' holds 'True', expected", FormatError),
        ("gaps.csv", b'prediction\n1\n""\n2\n', "line 3: column 'prediction' is empty, and it may not", FormatError),
        ("blank.csv", b"prediction\n1\n\n2\n", "line 3: a blank line, expected 1 field; delete it", FormatError),
        ("short.csv", b"prediction,more\n1\n", "line 2: 1 field, the header has 2", FormatError),
        ("half.csv.gz", gzip.compress(b"prediction\n1\n")[:-4], "not a whole .gz file", FormatError),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=said):
            set_golden(registry.artifacts, registry.live, tmp_path / name, RULES)
    with pytest.raises(FormatError):
        set_golden(registry.artifacts, registry.live, tmp_path, RULES)
    pd.DataFrame({"prediction": [True, False]}).to_parquet(tmp_path / "truths.parquet")
    with pytest.raises(FormatError, match=r"truths\.parquet: prediction is bool, expected numbers$"):
        set_golden(registry.artifacts, registry.live, tmp_path / "truths.parquet", RULES)
    assert registry.state() == before


def test_only_a_sound_model_gets_a_golden(registry: Registry) -> None:
    with (registry.artifacts.model(registry.candidate) / "evaluation.parquet").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match=r"evaluation\.parquet"):
        set_golden(registry.artifacts, registry.candidate, None, RULES)
