"""A model directory as gates see it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pytest_modelgates.errors import FormatError, OnnxError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.sidecar import FirstRows, ParityClaim
from pytest_modelgates.storage.strict_json import canonical


def test_a_good_model_is_read_in_all_its_parts(packed_once: Path) -> None:
    candidate = Candidate(packed_once)
    assert candidate.model_id == candidate.manifest.id == packed_once.name
    assert candidate.artifacts.root == packed_once.parent.parent
    assert candidate.missing_files() == candidate.changed_files() == candidate.parity_claim_problems(1e-5) == []
    assert candidate.recorded_schema() == (candidate.sidecar.names, candidate.sidecar.schema_crc32)
    assert candidate.soundness_problems(("", "ai.onnx.ml")) == []
    assert np.abs(candidate.scores - candidate.panel.native_scores).max() <= 1e-5


def test_the_seed_depends_on_the_panel_alone(packed_once: Path, good_model: Path) -> None:
    (good_model / "CHANGES.md").write_text("other")
    assert Candidate(good_model).seed == Candidate(packed_once).seed
    (good_model / "evaluation.parquet").write_bytes(b"other")
    assert Candidate(good_model).seed != Candidate(packed_once).seed
    assert 0 <= Candidate(good_model).seed < 2**32


def test_a_model_behind_a_link_has_the_artifacts_root_of_its_own_place(good_model: Path) -> None:
    (good_model.parent / "latest").symlink_to(good_model.name)
    assert Candidate(good_model.parent / "latest").artifacts == Candidate(good_model).artifacts


BROKEN = {
    "manifest.json": lambda candidate: candidate.manifest,
    "sidecar.json": lambda candidate: candidate.sidecar,
    "parity.json": lambda candidate: candidate.parity_claim,
    "model.onnx": lambda candidate: candidate.model,
    "evaluation.parquet": lambda candidate: candidate.panel,
}


@pytest.mark.parametrize("state", ["missing", "empty", "garbage", "folder"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_part_is_an_error_of_its_own_and_leaves_the_others(good_model: Path, name: str, state: str) -> None:
    path = good_model / name
    path.unlink()
    match state:
        case "empty":
            path.touch()
        case "garbage":
            path.write_bytes(b"\x00garbage")
        case "folder":
            path.mkdir()
    candidate = Candidate(good_model)
    with pytest.raises((FormatError, OnnxError), match=name):
        BROKEN[name](candidate)
    needs = {"sidecar.json": {"model.onnx", "evaluation.parquet"}}
    for other in BROKEN.keys() - {name} - needs.get(name, set()):
        assert BROKEN[other](candidate)


def _claim(**changes: Any) -> Callable[[ParityClaim], ParityClaim]:
    return lambda claim: msgspec.structs.replace(claim, **changes)


CLAIMS = [
    pytest.param(_claim(), [], id="honest"),
    pytest.param(_claim(max_abs_diff=1e-8), [], id="within-the-tolerance"),
    pytest.param(_claim(max_abs_diff=0.5), ["claims a difference of 0.5, measured *"], id="other-difference"),
    pytest.param(_claim(ok=False), ["claims ok = False, measured * against a limit of 1e-05"], id="other-verdict"),
    pytest.param(_claim(rows=7), ["claims 7 rows, the panel has 15000"], id="other-rows"),
    pytest.param(
        _claim(first=FirstRows(rows=b"12345678", native=b"12345678")),
        ["keeps other first rows than the panel's"],
        id="other-first-rows",
    ),
    pytest.param(_claim(first=FirstRows()), [], id="no-first-rows"),  # as earlier versions wrote it
    pytest.param(
        _claim(batch_sizes=(1, 32)), ["claims batch sizes (1, 32), measured (1, 32, 1024)"], id="other-batches"
    ),
]


@pytest.mark.parametrize(("change", "expected"), CLAIMS)
def test_a_claim_is_held_against_what_is_measured(
    good_model: Path, change: Callable[[ParityClaim], ParityClaim], expected: list[str]
) -> None:
    (good_model / "parity.json").write_bytes(canonical(change(Candidate(good_model).parity_claim)))
    found = Candidate(good_model).parity_claim_problems(1e-5)
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert re.fullmatch(re.escape(words).replace(r"\*", ".*"), line)


def test_a_claim_about_another_models_panel_does_not_hold(good_model: Path) -> None:
    candidate = Candidate(good_model)
    frame = candidate.panel.frame
    frame["reference"] += 1
    frame.to_parquet(good_model / "evaluation.parquet", index=False)
    fresh = Candidate(good_model)
    assert [line.partition(",")[0] for line in fresh.parity_claim_problems(1e-5)] == [
        f"claims a difference of {fresh.parity_claim.max_abs_diff:.3g}",
        "claims ok = True",
        "keeps other first rows than the panel's",
    ]
    assert fresh.changed_files()[0].startswith("evaluation.parquet: ")
