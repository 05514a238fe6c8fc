"""Rows that were served are scored once more in a process of its own, from the bytes of their model."""

from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.model.directory import PANEL, LocalDirectory
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.monitoring.lately import Sampled
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.proving.rescoring import rescore, score_again
from pytest_modelgates.storage.digests import tree_digest
from tests.support.panels import served_rows

LIMITS = load_operations(None, policy=None)[0].hermetic
PARITY = load_policy(None).limit("parity.max_abs_diff")


@pytest.mark.integration
def test_rows_that_were_served_rightly_are_scored_alike_in_another_process(good_model: Path) -> None:
    rows = served_rows(good_model, 100)
    found = rescore(good_model, rows, LIMITS)
    assert found == score_again(good_model, rows)
    assert (found.digest, found.rows, found.problem) == (tree_digest(good_model), 100, None)
    assert PARITY.contains(found.difference)
    assert found.rank_corr == pytest.approx(1)


def test_one_wrong_row_of_twenty_is_found_and_named(good_model: Path) -> None:
    rows = served_rows(good_model, 20)
    rows[7] = msgspec.structs.replace(rows[7], prediction=rows[7].prediction * 1.01 + 1e-4)
    found = score_again(good_model, rows)
    assert not PARITY.contains(found.difference)
    assert found.key == rows[7].key


def test_scores_of_other_rows_are_ranked_otherwise(good_model: Path) -> None:
    rows = served_rows(good_model, 40)
    turned = [
        msgspec.structs.replace(row, prediction=other.prediction) for row, other in zip(rows, rows[::-1], strict=True)
    ]
    found = score_again(good_model, turned)
    assert found.rank_corr is not None
    assert found.rank_corr < 0.95
    assert score_again(good_model, rows[:19]).rank_corr is None


def test_what_cannot_be_scored_is_a_problem_that_is_named(good_model: Path) -> None:
    rows = served_rows(good_model, 3)
    short = [msgspec.structs.replace(row, features=row.features[:-1]) for row in rows]
    assert "ONNX Runtime cannot score these rows" in (score_again(good_model, short).problem or "")
    small = msgspec.structs.replace(LIMITS, memory_gib=0.001)  # as for a rehearsal
    assert "the scoring of rows ended with " in (rescore(good_model, rows, small).problem or "")
    (good_model / "CHANGES.md").write_text("!")
    assert score_again(good_model, rows).problem == "CHANGES.md: 1 bytes, the manifest says 19"


def test_a_row_is_kept_as_the_model_got_it(good_model: Path) -> None:
    with LocalDirectory(good_model) as files:
        files.verify(keep={PANEL})
        panel = Panel.read(files.verified_panel(), files.sidecar)
    (row,) = served_rows(good_model, 1)
    assert isinstance(row, Sampled)
    assert row.features == panel.features[0].astype(float).tolist()
