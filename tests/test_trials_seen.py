"""How many models of a registry were judged on the same rows."""

from pathlib import Path

from conftest import invented_panel, pack_ridge
from pytest_modelgates.model.candidate import Candidate


def test_models_of_the_same_panel_count_and_others_do_not(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    first = pack_ridge(artifacts)
    second = pack_ridge(artifacts, changes="Another try.")
    other = pack_ridge(artifacts, invented_panel(seed=2))
    (artifacts / "models" / "1700000000").mkdir()
    (artifacts / "models" / "latest").symlink_to(first.name)
    assert [Candidate(model).seen for model in (first, second, other)] == [2, 2, 1]
