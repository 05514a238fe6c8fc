"""Trials of directories that came from elsewhere: they count from their first attempt at promotion on."""

import shutil
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.errors import RefusedError
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.storage.digests import sha256_of
from pytest_modelgates.trials.ledger import read_ledger
from tests.support.handmade import Registry, green_report, green_run
from tests.support.panels import invented_panel, pack_ridge


def bring(registry: Registry, folder: Path) -> str:
    """Pack a model under a root of its own, and copy it here."""
    packed = pack_ridge(folder / "artifacts", invented_panel(days=60, seed=3))
    shutil.copytree(packed, registry.artifacts.model("1700000009"))
    manifest = registry.artifacts.model("1700000009") / "manifest.json"
    manifest.write_text(manifest.read_text().replace(packed.name, "1700000009"))
    return "1700000009"


def reasons(registry: Registry) -> list[str]:
    return [event.reason for event in read_ledger(registry.artifacts)][::-1]


@pytest.mark.parametrize("refused", [False, True])
def test_it_is_entered_whether_it_is_promoted_or_not(registry: Registry, tmp_path: Path, refused: bool) -> None:
    model_id = bring(registry, tmp_path)
    before = reasons(registry)
    report = green_report(registry, model_id, **({"exit_status": 1} if refused else {}))
    for _ in range(2):
        try:
            promote(registry.artifacts, model_id, report, registry.in_force, reason="x")
        except RefusedError:
            assert refused or registry.artifacts.latest.readlink().name == model_id
    assert reasons(registry) == [*before, f"first seen when {model_id} was to be promoted"]
    assert (registry.artifacts.latest.readlink().name == registry.live) is refused
    assert main(["log", "--verify", "--artifacts", str(registry.artifacts.root)]) == 0


def test_a_dry_run_enters_nothing(registry: Registry, tmp_path: Path) -> None:
    report = green_report(registry, bring(registry, tmp_path))
    before = {path: sha256_of(path) for path in registry.artifacts.root.rglob("*") if path.is_file()}
    words = ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    main(["promote", "--report", str(report), "--dry-run", "--no-way-back", *words])
    assert before == {path: sha256_of(path) for path in registry.artifacts.root.rglob("*") if path.is_file()}


def test_one_that_was_packed_here_is_known(registry: Registry) -> None:
    before = reasons(registry)
    assert before == ["A ridge for tests.", "Another ridge."]
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="x")
    assert reasons(registry) == before


def test_one_whose_panel_is_not_what_its_manifest_says_is_refused_and_not_entered(
    registry: Registry, tmp_path: Path
) -> None:
    model_id = bring(registry, tmp_path)
    report = green_report(registry, model_id)
    (registry.artifacts.model(model_id) / "evaluation.parquet").write_bytes(b"PAR1")
    before = reasons(registry)
    with pytest.raises(RefusedError, match=r"evaluation\.parquet: 4 bytes, the manifest says"):
        promote(registry.artifacts, model_id, report, registry.in_force, reason="x")
    assert reasons(registry) == before


@pytest.mark.parametrize("counted", [1, 2])
def test_a_run_that_counted_elsewhere_is_refused(
    registry: Registry, capsys: pytest.CaptureFixture[str], counted: int
) -> None:
    """Run where no ledger was at hand, the gates know of one trial; the live model is another on the same data."""
    packed = pack_ridge(registry.artifacts.root, weights=(1, 1))
    run = green_run(packed, registry.policy)
    gates = tuple(
        msgspec.structs.replace(
            gate, evidence=tuple(msgspec.structs.replace(e, detail={"tried": counted}) for e in gate.evidence)
        )
        if gate.gate == "significance.p_adjusted"
        else gate
        for gate in run.gates
    )
    report = green_report(registry, packed.name, run=msgspec.structs.replace(run, gates=gates))
    words = ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file), "--no-way-back"]
    refused = counted == 1
    assert main(["promote", "--report", str(report), *words]) == refused
    said = (
        f"modelgates: {packed.name} is not promoted:\n"
        "  significance.p_adjusted counts 1 trials on this market data, 2 were known here when the run began → "
        f"modelgates gate {packed}\n"
    )
    assert capsys.readouterr().err == (said if refused else "")
