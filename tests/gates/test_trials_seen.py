"""How many models of a registry were judged on the same rows."""

from pathlib import Path

import numpy as np

from pytest_modelgates.model.candidate import Candidate
from tests.support.panels import invented_panel, pack_ridge


def test_models_of_the_same_panel_count_and_others_do_not(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    first = pack_ridge(artifacts)
    second = pack_ridge(artifacts, changes="Another try.")
    other = pack_ridge(artifacts, invented_panel(seed=2))
    (artifacts / "models" / "1700000000").mkdir()
    (artifacts / "models" / "latest").symlink_to(first.name)
    assert [Candidate(model).seen for model in (first, second, other)] == [2, 2, 1]


def test_the_newest_come_first_and_their_scores_are_read_alone(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    models = [pack_ridge(artifacts, weights=(1, weight)) for weight in (0, 1, 2)]
    pack_ridge(artifacts, invented_panel(days=200))
    candidate = Candidate(models[0])
    assert [other.directory for other in candidate.others] == [models[2], models[1]]
    newest = candidate.others[0]
    np.testing.assert_array_equal(newest.read_native_scores(), newest.panel.native_scores)


def test_one_that_cannot_be_read_is_not_counted(tmp_path: Path) -> None:
    first, second, third = (pack_ridge(tmp_path / "artifacts", weights=(1, weight)) for weight in (0, 1, 2))
    (second / "evaluation.parquet").write_bytes(b"PAR1")
    (third / "sidecar.json").unlink()
    assert Candidate(first).seen == 1
