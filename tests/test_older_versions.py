"""What 0.1 wrote is still read and used: a registry in `data/0.1`, whose README.md says how it was made."""

import shutil
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.drift import load_golden_predictions
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.registry.events import record_event
from tests.support.handmade import modelgates

WRITTEN = Path(__file__).parent / "data" / "0.1"
FIRST, LIVE, CANDIDATE = "1795913218", "1795913223", "1795913230"
DIGESTS = {
    FIRST: "f5d1d844f4f714f06f36f554848b035c619884b7dc41b38fc701ce8f4975506c",
    LIVE: "7ad5501be7313ecba4441ccae154e3ac0c365032cb1873aba45127ed5dbccd59",
    CANDIDATE: "3337449929857c58907f01d7bf44e60c57999e101656feb3b238ccab6d8c84f4",
}
HEAD = "8:95ed800aed389f4b3ba22bc3afc4eca24217a51ee05aa644659813c7ebb671b4"
KEY = "ed25519:464bef839c4d3fcfc6ef4bda40644aa500ef3acc3709a2bb550deb6be4109233"
REPORTS = f"artifacts/reports/{CANDIDATE}"
UNSEALED, SEALED = f"{REPORTS}/20261129T004711.986865Z.json", f"{REPORTS}/20261129T004720.428582Z.dsse.json"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A copy of the folder that 0.1 was called from; its policy asks for no nights, no hours and no drift."""
    copy = shutil.copytree(WRITTEN, tmp_path / "desk", symlinks=True)
    latest = copy / "artifacts" / "models" / "latest"
    if not latest.is_symlink():  # a source distribution leaves out links to folders
        latest.symlink_to(LIVE)
    return copy


def said(desk: Path, *arguments: object, status: int = 0) -> str:
    """Run a command there and return what it printed: its result, or why it refused."""
    done = modelgates(*arguments, cwd=desk)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


@pytest.mark.parametrize("model_id", [FIRST, LIVE, CANDIDATE])
def test_a_model_directory_is_sound_and_its_digest_is_the_same(desk: Path, model_id: str) -> None:
    found = said(desk, "verify", f"artifacts/models/{model_id}")
    assert found == f"{model_id}: sound, sha256:{DIGESTS[model_id]}\n"


def test_the_log_is_whole_with_its_signatures_and_the_heads_that_models_kept(desk: Path) -> None:
    found = said(desk, "log", "--verify", "--head", HEAD)
    assert found.endswith(f"promotions.log: 8 records, 4 signed, 2 heads kept by models; head {HEAD}\n")


def test_the_log_tells_what_happened(desk: Path) -> None:
    assert said(desk, "log").splitlines() == [
        f"2026-11-29 00:47:01  promote   - → {FIRST}  alice  all hard gates passed",
        f"2026-11-29 00:47:07  promote   {FIRST} → {LIVE}  alice  the second ridge sees more",
        f"2026-11-29 00:47:07  rollback  {LIVE} → {FIRST}  alice  the second ridge is looked at again",
        f"2026-11-29 00:47:08  rollback  {FIRST} → {LIVE}  alice  nothing was found",
    ]
    assert said(desk, "log", "--at", "2026-11-29T00:47:05") == f"{FIRST}\n"


def test_an_event_is_chained_to_the_log_and_leaves_its_lines_as_they_are(desk: Path) -> None:
    before = (desk / "artifacts" / "promotions.log").read_bytes()
    rules = load_operations(None, policy=desk / "registry" / "policy.toml")[0].registry
    record_event(Artifacts(desk / "artifacts"), rules, kind="drill", subject=LIVE, reason="nothing was found")
    assert (desk / "artifacts" / "promotions.log").read_bytes().startswith(before)
    assert "promotions.log: 9 records, 4 signed, 2 heads kept by models; " in said(
        desk, "log", "--verify", "--head", HEAD
    )
    assert f"audit log: chained, head kept by {CANDIDATE}, signed by {KEY} up to record 8\n" in said(desk, "status")


def test_the_registry_is_sound_and_its_models_are_known(desk: Path) -> None:
    found = said(desk, "status")
    assert f"live: {LIVE} since 2026-11-29 00:47:08 UTC, by alice\n" in found
    assert f"newest candidate: {CANDIDATE}\n" in found
    assert f"audit log: chained, head kept by {CANDIDATE}, head signed by {KEY}\n" in found
    assert said(desk, "recover") == "nothing to recover\n"
    assert said(desk, "list").splitlines() == [
        f"{FIRST}  2026-11-29 00:46:58  past       The first ridge.",
        f"{LIVE}  2026-11-29 00:47:03  live       The second ridge.",
        f"{CANDIDATE}  2026-11-29 00:47:10  candidate  The third ridge.",
    ]


@pytest.mark.parametrize(
    ("name", "sealed_by"), [pytest.param(UNSEALED, None, id="unsealed"), pytest.param(SEALED, KEY, id="sealed")]
)
def test_a_report_is_read_and_then_refused_since_its_gates_were_those_of_0_1(
    desk: Path, name: str, sealed_by: str | None
) -> None:
    stored = read_report(desk / name, keys=(KEY,))
    report = stored.report
    assert (report.exitcode, stored.sealed_by, list(report.modelgates.models)) == (0, sealed_by, [CANDIDATE])
    assert report.modelgates.models[CANDIDATE].digest_after == DIGESTS[CANDIDATE]
    assert len(report.modelgates.models[CANDIDATE].gates) == 36

    refusal = said(desk, "promote", "--report", name, status=1)
    assert refusal.startswith(f"modelgates: {CANDIDATE} is not promoted:\n")
    repair = f"modelgates gate {desk / 'artifacts' / 'models' / CANDIDATE}"
    assert f"  the run used another version of pytest-modelgates than this promotion → {repair}\n" in refusal
    # It is in no ledger of trials yet.
    assert "promotions.log: 9 records, 4 signed" in said(desk, "log", "--verify", "--head", HEAD)


def test_a_proof_is_read_and_then_refused_since_its_gates_were_those_of_0_1(desk: Path) -> None:
    with (desk / "registry" / "policy.toml").open("a") as file:
        file.write("proof = true\n")  # its last section is [evidence]
    refusal = said(desk, "promote", "--report", SEALED, status=1)
    repair = f"modelgates prove {desk / 'artifacts' / 'models' / CANDIDATE}"
    assert f"  the proof is of another version of pytest-modelgates → {repair}\n" in refusal
    assert "the proof is of other bytes" not in refusal


def test_goldens_and_the_logs_of_predictions_are_read(desk: Path) -> None:
    assert said(desk, "golden", "list").splitlines() == [
        f"{FIRST}  1250 rows  2026-11-29 00:47  sha256:43879b45924d3e5c",
        f"{LIVE}  1250 rows  2026-11-29 00:47  sha256:8ea007dff85f7dbb",
    ]
    assert said(desk, "golden", "show").splitlines()[:2] == [
        f"{LIVE}: sha256:8ea007dff85f7dbb is in force",
        "  1250 rows, the panel, since 2026-11-29 00:47:07",
    ]
    assert load_golden_predictions(folder=desk / "artifacts" / "golden").shape == (1250,)
    assert said(desk, "drift-check").startswith(f"{LIVE}: no drift over 200 live predictions of 20 days\n")
    found = said(desk, "compare")
    assert found.startswith(f"{CANDIDATE}: rank correlation by day 1.0000 with the live model")
    assert " over 20 days, 200 rows; " in found


def test_the_older_model_goes_live_again_and_is_served(desk: Path) -> None:
    found = said(desk, "rollback", FIRST, "--reason", "the second ridge fell behind")
    assert found.startswith(f"{FIRST} is live again, in place of {LIVE} (sha256:{DIGESTS[FIRST][:16]})\n")
    assert "promotions.log: 10 records, 4 signed, 2 heads kept by models; " in said(
        desk, "log", "--verify", "--head", HEAD
    )
    assert f"live: {FIRST} since " in said(desk, "status")

    served = said(desk, "serve", "--onnx", "artifacts/models/latest.onnx", "--csv", "live_data.csv")
    assert served.startswith(f"{FIRST} (live): 200 rows scored, 0 refused; ")
    assert said(desk, "drift-check").startswith(f"{FIRST}: no drift over 200 live predictions of 20 days\n")


def test_a_candidate_is_judged_by_the_gates_as_they_are_now(desk: Path) -> None:
    refused = said(desk, "promote", f"artifacts/models/{CANDIDATE}", status=1)
    assert refused.startswith(f"modelgates: {CANDIDATE} is not promoted:\n")
    # Its target is the return of the same day, and its score knows it: no later gate lets that pass.
    assert "\n  data.target_agrees failed: measured 0.008798 rho, limit ≥ 0.5, worst_day 20" in refused
    assert "\n  leak.too_good failed: measured 0.4638 rho, limit 0 ≤ · ≤ 0.15, column " in refused
    # It counts as a trial, and nothing else has changed.
    assert "promotions.log: 9 records, 4 signed, 2 heads kept by models; " in said(
        desk, "log", "--verify", "--head", HEAD
    )
    assert f"live: {LIVE} since " in said(desk, "status")
