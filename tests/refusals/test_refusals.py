"""Every run that must not promote, and every one that must: the rows of the TOML files beside this one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.store import live_id
from tests.refusals.deeds import Run
from tests.refusals.rows import Case, cases_of, rows_of
from tests.refusals.workshop import Workshop
from tests.support.once import once
from tests.support.panels import pack_ridge
from tests.support.warm import Server

pytestmark = pytest.mark.integration

GROUPS = ("smaller", "uncalled", "softened", "repeated", "mistaken", "imported", "stale", "tampered")
# Rows that are run in shards each time; the others at night.
QUICK = {
    "smaller-by-keyword",
    "uncalled-set-up-only",
    "softened-skip-in-words",
    "softened-xfail-marker",
    "repeated-reruns",
    "mistaken-gate-from-a-file-that-does-not-count",
    "imported-helper-that-is-another-since",
    "stale-model-edited-since",
    "tampered-evidence-removed",
    "tampered-sealed-as-failed",
    "legitimate-plain",
    "legitimate-two-workers",
    "legitimate-hard-ones-alone",
}
MAKES_A_REPORT = ("→ pytest --model-dir=", "→ modelgates gate ")


@pytest.fixture(scope="session")
def workshop(
    request: pytest.FixtureRequest, packed_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workshop]:
    """Where repositories and their runs are made, of a good model and of one that a hard gate finds broken."""
    broken = once(request, "broken", lambda folder: pack_ridge(folder / "artifacts", changes="A broken ridge."))
    with Server() as server:
        yield Workshop(packed_once, broken, tmp_path_factory.mktemp, server)


@pytest.fixture
def run(case: Case, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The repository of a case after its run, as the folder that one works in."""
    done = workshop.make(case)
    monkeypatch.chdir(done.root)
    for key, value in case.row.get("environment", {}).items():
        if case.text("by") == "gates":
            monkeypatch.setenv(key, str(value))
    print(done.output)
    return done


def promote(case: Case, run: Run) -> int:
    """The real promotion."""
    if case.text("by") == "gates":
        return main(["promote", str(run.model)])
    sealed = run.report.with_suffix(".dsse.json")
    report = sealed if sealed.is_file() else run.report
    return main(["promote", "--report", str(report), run.model.name])


@pytest.mark.parametrize("case", cases_of(*GROUPS))
def test_what_proves_nothing_is_refused_with_the_reason_and_the_repair(
    case: Case, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    before = run.state()
    status = promote(case, run)
    output = capfd.readouterr()
    said = output.err
    print(output.out, said)
    assert status == 1
    assert run.state() == before
    assert live_id(run.artifacts) is None
    lines = said.splitlines()
    for text in case.says():
        assert any(text in line for line in lines), text
    (first, *_) = [line for line in lines if case.says()[0] in line]
    wanted = case.text("repair")
    assert wanted in first if wanted else any(command in first for command in MAKES_A_REPORT)


@pytest.mark.parametrize("case", cases_of("legitimate"))
def test_an_honest_run_promotes(case: Case, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    status = promote(case, run)
    output = capfd.readouterr()
    print(output.out, output.err)
    assert (status, live_id(run.artifacts)) == (0, run.model.name)
    if case.text("by") != "gates" and run.report.is_file():
        assert set(read_report(run.report).report.modelgates.models) >= {run.model.name}


def test_the_good_suite_finds_the_broken_model_broken(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = workshop.make(Case("broken", {"model": "broken"}))
    monkeypatch.chdir(run.root)
    assert main(["promote", "--report", str(run.report), run.model.name]) == 1
    assert "own.notes failed: measured 1 words, limit ≤ 0 → fix the model" in capfd.readouterr().err
    assert load_policy(run.root / "registry" / "policy.toml").evidence.suites == ("checks",)


def shared(*names: str) -> list[Any]:
    """Rows whose runs can be shared between shards: those that pytest makes, and that say nothing of a seal."""
    rows = [case for name in names for case in rows_of(name) if not case.text("by") and "alone" not in case.row]
    cases = [replace(case, fresh=case.only_fresh) for case in rows]
    return [pytest.param(case, id=case.id, marks=() if case.id in QUICK else pytest.mark.slow) for case in cases]


def promote_shards(workshop: Workshop, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Run]:
    """Run a case in two shards, merge what they left, and promote by that if it could be merged."""
    run, reports = workshop.make_shards(case)
    monkeypatch.chdir(run.root)
    print(run.output)
    status = main(["report", "merge", run.model.name, *map(str, reports)])
    kept = sorted(run.artifacts.reports(run.model.name).glob("*.json"))
    return (main(["promote", "--report", str(kept[-1]), run.model.name]) if kept else status), run


@pytest.mark.parametrize("case", shared(*GROUPS))
def test_what_proves_nothing_is_refused_from_shards_too(
    case: Case, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, run = promote_shards(workshop, case, monkeypatch)
    assert status != 0
    assert live_id(run.artifacts) is None


@pytest.mark.parametrize("case", [each for each in shared("legitimate") if "seal" not in str(each.values[0].row)])
def test_an_honest_run_promotes_from_shards_too(
    case: Case, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, run = promote_shards(workshop, case, monkeypatch)
    assert (status, live_id(run.artifacts)) == (0, run.model.name)
