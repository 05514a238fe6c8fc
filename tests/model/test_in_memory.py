"""What reads a model asks a `ModelDirectory` alone: one that lies on no disk is verified, judged and scored alike."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pytest_modelgates.errors import IntegrityError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import CHANGES, MODEL, PANEL, LocalDirectory, ModelDirectory
from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.pages.pictures import of_panel
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.golden import panel_predictions
from pytest_modelgates.serving.scorer import Scorer
from pytest_modelgates.trials.kept import trial_of
from tests.support.in_memory import InMemory


def scored(files: ModelDirectory) -> np.ndarray:
    files.verify(keep={MODEL})
    scorer = Scorer(OnnxModel(files.verified(MODEL), files.sidecar), files.sidecar)
    panel = Panel.read(files.verified_panel(), files.sidecar)
    return np.concatenate([scorer.score(rows).scores for rows in panel.blocks()])


def test_a_model_in_memory_is_verified_and_scored_as_the_one_on_the_disk(good_model: Path) -> None:
    there = InMemory.of(good_model)
    with LocalDirectory(good_model) as here:
        wanted, digest = scored(here), here.verify()
        golden, trial, pictures = panel_predictions(here), trial_of(here), of_panel(here, load_policy(None))
    shutil.rmtree(good_model)
    np.testing.assert_array_equal(scored(there), wanted)
    assert (there.verify(), there.manifest.id, trial_of(there)) == (digest, good_model.name, trial)
    np.testing.assert_array_equal(panel_predictions(there), golden)
    assert of_panel(there, load_policy(None)) == pictures


def test_the_gates_measure_a_model_in_memory_as_the_one_on_the_disk(good_model: Path) -> None:
    here, there = Candidate(good_model), InMemory.of(good_model)
    wanted = here.parity, here.panel_digest, here.model_digest, here.first_rows, here.digest
    problems = here.missing_files(), here.changed_files(), here.parity_claim_problems(1e-6)
    del here
    shutil.rmtree(good_model)
    found = Candidate(good_model, digest=there.verify(), files=there)
    assert (found.parity, found.panel_digest, found.model_digest, found.first_rows, found.digest) == wanted
    assert (found.missing_files(), found.changed_files(), found.parity_claim_problems(1e-6)) == problems


@pytest.mark.parametrize("name", [MODEL, PANEL, CHANGES])
def test_a_model_in_memory_with_other_bytes_is_refused(good_model: Path, name: str) -> None:
    files = InMemory.of(good_model)
    content = files.files[name]
    files.files[name] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(IntegrityError, match=f"{good_model.name}: {name}: SHA-256 .*, the manifest says"):
        files.verify()


def test_a_model_in_memory_that_changes_while_it_is_used_is_refused(good_model: Path) -> None:
    files = InMemory.of(good_model)
    files.verify()
    files.files[MODEL] += b"\0"
    with pytest.raises(IntegrityError, match="changed while it was in use"):
        files.verified(MODEL)


def test_what_hands_out_no_bytes_is_not_a_model_directory() -> None:
    class Nothing(InMemory):
        read = ModelDirectory.read

    with pytest.raises(TypeError, match="abstract"):
        Nothing("1700000000", {})  # type: ignore[abstract]
