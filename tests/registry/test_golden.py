"""Setting a model's golden: from its panel, or from a file."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.audit.chain import Event, read_history, signed_content
from pytest_modelgates.audit.head import head_of
from pytest_modelgates.audit.kinds import GOLDEN_SET
from pytest_modelgates.drift import load_golden_predictions
from pytest_modelgates.drift.golden import golden_metadata
from pytest_modelgates.errors import FormatError, IntegrityError, StatisticsError
from pytest_modelgates.evidence.seal import generate_key, signer
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.registry.golden import set_golden
from pytest_modelgates.storage.digests import sha256_of, tree_digest
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


def test_setting_a_golden_is_an_event_whose_evidence_is_its_file(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("prediction\n1\n2\n")
    log, model = registry.artifacts.promotions, registry.candidate
    file = registry.artifacts.golden / f"{model}.parquet"
    set_golden(registry.artifacts, model, None, RULES)
    first = sha256_of(file)
    set_golden(registry.artifacts, model, tmp_path / "own.csv", RULES)
    set_golden(registry.artifacts, model, tmp_path / "own.csv", RULES, reason="the feed\nchanged")
    events = [record for record in read_history(log) if isinstance(record, Event) and record.kind == GOLDEN_SET]
    assert [(event.subject, event.evidence, event.reason) for event in events] == [
        (model, first, "from its own panel"),
        (model, sha256_of(file), "from own.csv"),
        (model, sha256_of(file), "the feed changed"),
    ]


def test_the_event_comes_before_the_golden_so_that_none_changes_unseen(registry: Registry) -> None:
    (registry.artifacts.golden / f"{registry.candidate}.parquet").mkdir()
    with pytest.raises(OSError, match="directory"):
        set_golden(registry.artifacts, registry.candidate, None, RULES)
    assert read_history(registry.artifacts.promotions)[-1].kind == GOLDEN_SET


def test_a_golden_that_cannot_be_written_down_is_not_changed(registry: Registry) -> None:
    log, before = registry.artifacts.promotions, registry.state()
    log.write_bytes(log.read_bytes() + b"no record\n")
    with pytest.raises(FormatError, match="see: modelgates recover"):
        set_golden(registry.artifacts, registry.live, None, RULES)
    assert registry.state()[2] == before[2]


def test_a_signed_golden_is_found_signed(registry: Registry, tmp_path: Path) -> None:
    public = generate_key(tmp_path / "key")
    set_golden(registry.artifacts, registry.live, None, RULES, key=tmp_path / "key")
    event = read_history(registry.artifacts.promotions)[-1]
    assert signer(signed_content(event), event.signature, [public]) == public


def test_before_the_first_promotion_a_golden_ties_no_model_to_this_log(empty_registry: Registry) -> None:
    set_golden(empty_registry.artifacts, empty_registry.live, None, RULES)
    assert len(read_history(empty_registry.artifacts.promotions)) == 1
    assert head_of(empty_registry.artifacts.promotions) is None


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
