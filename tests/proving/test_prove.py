"""Proofs that gates can fail, from the command line to what promotion says of them."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.evidence.proof import (
    ControlRun,
    Proof,
    StoredProof,
    proof_reasons,
    read_proof,
    seal_proof,
    store_proof,
    suite_digest,
)
from pytest_modelgates.evidence.seal import generate_key, load_key, open_seal, seal, statement
from pytest_modelgates.evidence.trust import shipped_gates, trust
from pytest_modelgates.evidence.verdict import Verdict
from pytest_modelgates.model.directory import SIDECAR
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.storage.digests import listing, tree_digest
from pytest_modelgates.storage.strict_json import canonical, read_json, readable
from tests.support.handmade import LENIENT, green_ledger, modelgates, write_report

ROOT = Path(__file__).parents[2]
ALL = ("integrity", "schema", "data", "leak", "parity", "significance", "ablation", "pnl", "drift", "wf")


def only(*families: str) -> str:
    """A policy in which only some families apply."""
    return f"not_applicable = {json.dumps([family for family in ALL if family not in families])}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def kept(directory: Path) -> Proof:
    """The proof of a model that lies where promotion looks for it."""
    stored = read_proof(Artifacts.of(directory).proof(directory.name))
    assert isinstance(stored, StoredProof)
    return stored.proof


@pytest.fixture(scope="module")
def proven(
    packed_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """A good model, and what `modelgates prove` printed of it."""
    directory = tmp_path_factory.mktemp("proven") / "artifacts" / "models" / packed_once.name
    shutil.copytree(packed_once, directory)
    return directory, modelgates("prove", directory, cwd=directory.parents[2])


@pytest.mark.integration
def test_every_shipped_hard_gate_goes_red_on_its_twin(
    proven: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    directory, done = proven
    assert done.returncode == 0, done.stdout + done.stderr
    proof = kept(directory)
    policy = load_policy(None)
    assert {trial.gate for trial in proof.trials} == set(policy.required_gates(read_json(directory / SIDECAR, Sidecar)))
    assert {trial.verdict for trial in proof.trials} == {Verdict.FAILED}
    *lines, place = done.stdout.splitlines()
    assert len(lines) == len(proof.trials) == len(set(lines))
    # What was found follows.
    finite = "red    data.finite on its twin infinite_feature: failed, measured 1 columns, limit ≤ 0: "
    assert any(line.startswith(finite) for line in lines)
    assert all(line.startswith("red    ") for line in lines)
    assert place == f"kept: {Artifacts.of(directory).proof(directory.name)}"


MADE_HARD = ["significance.rank_ic", "significance.deflated_sharpe", "significance.track_record"]
MADE_HARD += ["pnl.after_costs", "pnl.sharpe", "pnl.within_limits"]


@pytest.mark.integration
def test_soft_gates_that_a_policy_makes_hard_have_twins_too(good_model: Path, tmp_path: Path) -> None:
    rows = "".join(f'[slo."{gate}"]\nseverity = "hard"\n' for gate in MADE_HARD)
    policy = write(tmp_path / "policy.toml", only("significance", "pnl") + rows)
    assert prove(good_model, policy) == 0
    hard = {"significance.p_against", "significance.p_adjusted", "significance.placebo", "pnl.p_value"}
    assert {trial.gate for trial in kept(good_model).trials} == hard | set(MADE_HARD)


def test_a_proof_names_what_it_is_of(proven: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    directory, _ = proven
    proof = kept(directory)
    known, policy = trust(load_policy(None), ROOT), load_policy(None)
    required = policy.required_gates(read_json(directory / SIDECAR, Sidecar))
    stored = StoredProof(proof=proof, sealed_by=None)
    assert proof_reasons(stored, required, policy, known, digest=tree_digest(directory), repair="") == []


def prove(directory: Path, policy: Path, *more: str) -> int:
    return main(["prove", str(directory), "--policy", str(policy), *more])


@pytest.mark.integration
def test_a_limit_so_wide_that_nothing_breaks_it_is_found_out(
    good_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = write(tmp_path / "policy.toml", only("data") + '[slo."data.finite"]\nat_most = 99\n')
    assert prove(good_model, policy) == 1
    assert "GREEN  data.finite stayed green on its twin infinite_feature\n" in capsys.readouterr().out


@pytest.mark.integration
def test_a_gate_made_toothless_is_found_out(good_model: Path, tmp_path: Path) -> None:
    """A copy of the whole package, in whose suite one gate always measures 0."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "pytest_modelgates", copy / "pytest_modelgates")
    shutil.copytree(shipped_gates(), copy / "gates")
    gates = copy / "gates" / "test_data.py"
    gates.write_text(gates.read_text().replace("gate.check_none(panel.not_finite())", "gate.check(0)"))
    policy = write(tmp_path / "policy.toml", only("data"))
    script = f"import sys; sys.path.insert(0, {str(copy)!r}); from pytest_modelgates.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "prove", str(good_model), "--policy", str(policy)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert [line for line in done.stdout.splitlines() if not line.startswith("red ")][:-1] == [
        "GREEN  data.finite stayed green on its twin infinite_feature"
    ]


OWN_GATE = """
import pytest

@pytest.mark.hard
@pytest.mark.gate("own.rows")
def test_rows(panel, gate):
    gate.check({value})
"""
OWN_TWIN = """
import pandas as pd

def short_panel(source, target):
    assert (source / "evaluation.parquet").read_bytes() == (target / "evaluation.parquet").read_bytes()
    pd.read_parquet(target / "evaluation.parquet").head(5).to_parquet(target / "evaluation.parquet", index=False)

def broken(source, target):
    raise RuntimeError("no such thing")
"""
OWN_POLICY = """
evidence.suites = ["model_gates"]
[slo."own.rows"]
at_least = 100
unit = "rows"
severity = "hard"
advice = "pack a longer panel"
"""


@pytest.fixture
def own(good_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Prove a model with a gate of the team's own, in the team's repository."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "model_gates" / "twins.py", OWN_TWIN)
    shutil.copy(tmp_path / "model_gates" / "twins.py", tmp_path / "elsewhere.py")

    def run(twin: str | None, *, value: str = "len(panel.frame)") -> int:
        write(tmp_path / "model_gates" / "test_own.py", OWN_GATE.format(value=value))
        line = f'twin = "{twin}"\n' if twin else ""
        return prove(good_model, write(tmp_path / "policy.toml", only() + OWN_POLICY + line))

    return run


@pytest.mark.integration
def test_a_gate_of_ones_own_is_proved_by_its_own_twin(
    own: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert own("model_gates/twins.py:short_panel") == 0
    wanted = "red    own.rows on its twin model_gates/twins.py:short_panel: failed, measured 5 rows, limit ≥ 100\n"
    assert capsys.readouterr().out.startswith(wanted)


@pytest.mark.integration
def test_a_toothless_gate_of_ones_own_is_found_out(own: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert own("model_gates/twins.py:short_panel", value="8000") == 1
    assert "GREEN  own.rows stayed green on its twin model_gates/twins.py:short_panel\n" in capsys.readouterr().out


@pytest.mark.integration
def test_a_gate_that_stumbles_over_its_twin_proves_nothing(
    own: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert own("model_gates/twins.py:short_panel", value="panel.frame['x' * (len(panel.frame) < 9)]") == 1
    assert "?      own.rows on its twin model_gates/twins.py:short_panel: errored" in capsys.readouterr().out


def test_a_gate_without_a_twin_is_named(own: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert own(None) == 1
    wanted = '?      own.rows has no twin; give it one: [slo."own.rows"] twin = "file.py:function"\n'
    assert capsys.readouterr().out.startswith(wanted)


@pytest.mark.parametrize(
    ("twin", "message"),
    [
        pytest.param("elsewhere.py:short_panel", "which lies in none of suites = […]; put it there", id="outside"),
        pytest.param("model_gates/../elsewhere.py:short_panel", "which lies in none of suites", id="dots"),
        pytest.param("model_gates/none.py:short_panel", "which cannot be loaded", id="no-file"),
        pytest.param("model_gates/twins.py:none", "which cannot be loaded ('none')", id="no-function"),
        pytest.param(
            "short_panel",
            "'short_panel', which is not shipped; name a function as file",
            id="no-colon",
        ),
        pytest.param("model_gates/twins.py:broken", "cannot be made: no such thing", id="raises"),
    ],
)
def test_a_twin_that_cannot_be_had_is_refused(
    own: Callable[..., int], capsys: pytest.CaptureFixture[str], twin: str, message: str
) -> None:
    assert own(twin) == 1
    assert message in capsys.readouterr().err


def test_a_model_that_is_not_sound_is_not_proved(
    good_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good_model / "CHANGES.md").unlink()
    assert prove(good_model, write(tmp_path / "policy.toml", only("data"))) == 1
    assert "CHANGES.md: missing" in capsys.readouterr().err
    assert not Artifacts.of(good_model).proof(good_model.name).exists()


@pytest.mark.integration
def test_json_is_what_is_kept(good_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove(good_model, write(tmp_path / "policy.toml", only("integrity")), "--json") == 0
    content = Artifacts.of(good_model).proof(good_model.name).read_text("utf-8")
    assert capsys.readouterr().out == content


def trial(gate: str, **changes: object) -> ControlRun:
    red = ControlRun(gate=gate, twin="a_twin", verdict=Verdict.FAILED, why="measured", slo=gate, measured=1e9)
    return msgspec.structs.replace(red, **changes)


GREEN = {"verdict": Verdict.PASSED, "why": "", "measured": 0.0}
TRIALS = [
    pytest.param({}, True, id="failed"),
    pytest.param({"measured": None}, True, id="failed-on-what-is-not-finite"),
    pytest.param({"measured": 0.0}, False, id="failed-by-a-number-that-keeps-the-limit"),
    pytest.param(GREEN, False, id="passed"),
    pytest.param({"twin": None}, False, id="no-twin"),
    *(
        pytest.param({"verdict": verdict}, False, id=verdict.replace(" ", "-"))
        for verdict in (Verdict.ERRORED, Verdict.INCONCLUSIVE, Verdict.NOT_RUN, Verdict.NO_REFERENCE)
    ),
]


@pytest.mark.parametrize(("changes", "red"), TRIALS)
def test_only_a_failure_with_its_number_is_red(changes: dict[str, object], red: bool) -> None:
    assert trial("data.finite", **changes).red(load_policy(None)) is red


@pytest.mark.parametrize(
    ("gate", "red"), [("integrity.onnx_is_sound", True), ("integrity.sha256", True), ("schema.crc32", False)]
)
def test_an_error_is_an_answer_only_where_reading_is_the_question(gate: str, red: bool) -> None:
    assert trial(gate, verdict=Verdict.ERRORED, measured=None).red(load_policy(None)) is red


@pytest.fixture
def strict(tmp_path: Path) -> tuple[Path, Policy]:
    """A policy that asks for a proof."""
    path = write(tmp_path / "strict.toml", LENIENT + "[evidence]\nproof = true\n")
    return path, load_policy(path)


def full_proof(directory: Path, policy: Policy, **changes: object) -> Proof:
    """A proof in which every required gate went red."""
    gates = policy.required_gates(read_json(directory / SIDECAR, Sidecar))
    known = trust(policy, ROOT)
    proof = Proof(
        model_id=directory.name,
        digest=tree_digest(directory),
        package_digest=known.package,
        suite_digest=suite_digest(known.gates),
        policy_digest=policy.digest,
        created=datetime.now(UTC),
        trials=tuple(trial(gate, slo=None) for gate in gates),
    )
    return msgspec.structs.replace(proof, **changes)


def promote(directory: Path, strict: tuple[Path, Policy], proof: Proof | bytes | None) -> int:
    """Promote a first model by a green report and a proof."""
    path, policy = strict
    artifacts = Artifacts.of(directory)
    if proof is not None:
        content = proof if isinstance(proof, bytes) else readable(proof)
        artifacts.proof(directory.name).parent.mkdir()
        artifacts.proof(directory.name).write_bytes(content)
    report = write_report(artifacts.root / "report.json", green_ledger(directory, policy))
    return main(["promote", "--report", str(report), "--artifacts", str(artifacts.root), "--policy", str(path)])


def test_a_model_with_its_proof_goes_live(good_model: Path, strict: tuple[Path, Policy]) -> None:
    assert promote(good_model, strict, full_proof(good_model, strict[1])) == 0


def test_a_proof_outlives_another_word_of_advice(good_model: Path, strict: tuple[Path, Policy]) -> None:
    path, policy = strict
    proof = full_proof(good_model, policy)
    write(path, path.read_text() + '[slo."parity.claim"]\nadvice = "ask Ada, who packs"\n')
    assert promote(good_model, (path, load_policy(path)), proof) == 0


def test_nobody_asks_for_a_proof_by_default() -> None:
    assert load_policy(None).evidence.proof is False


def test_a_model_without_a_proof_is_refused(
    good_model: Path, strict: tuple[Path, Policy], capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote(good_model, strict, None) == 1
    wanted = f"  nothing proves that the gates can fail on this model → modelgates prove {good_model}\n"
    assert capsys.readouterr().err == f"modelgates: {good_model.name} is not promoted:\n{wanted}"


STALE = [
    pytest.param({"digest": "0" * 64}, "the proof is of other bytes (000000000000…) than the model has", id="bytes"),
    pytest.param({"policy_digest": "0" * 64}, "the proof is of another policy than this promotion's", id="policy"),
    pytest.param({"package_digest": "0" * 64}, "the proof is of another version of pytest-modelgates", id="package"),
    pytest.param({"suite_digest": "0" * 64}, "the proof is of other gate files than those that count", id="gates"),
    pytest.param({"trials": ()}, "data.finite is not in the proof", id="no-trial"),
]


@pytest.mark.parametrize(("changes", "message"), STALE)
def test_a_stale_proof_is_refused(
    good_model: Path,
    strict: tuple[Path, Policy],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    message: str,
) -> None:
    assert promote(good_model, strict, full_proof(good_model, strict[1], **changes)) == 1
    said = capsys.readouterr().err
    assert message in said
    assert f" → modelgates prove {good_model}\n" in said


def test_one_twin_that_stayed_green_refuses_the_model(
    good_model: Path, strict: tuple[Path, Policy], capsys: pytest.CaptureFixture[str]
) -> None:
    proof = full_proof(good_model, strict[1])
    more = (*proof.trials, trial("data.finite", twin="another", **GREEN))
    assert promote(good_model, strict, msgspec.structs.replace(proof, trials=more)) == 1
    (_, line) = capsys.readouterr().err.splitlines()
    assert line == f"  data.finite stayed green on its twin another → modelgates prove {good_model}"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 2}', b"[1e999]"], ids=["empty", "bare", "new", "huge"])
def test_a_file_that_is_not_a_proof_is_refused(
    good_model: Path, strict: tuple[Path, Policy], capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    assert promote(good_model, strict, content) == 1
    assert f"{good_model.name}.json: " in capsys.readouterr().err


SHOWN = [
    pytest.param({}, "passed", id="red"),
    pytest.param(GREEN, "failed", id="green"),
    pytest.param({"twin": None, "verdict": Verdict.NOT_RUN}, "not run", id="no-twin"),
    pytest.param({"verdict": Verdict.ERRORED}, "errored", id="errored"),
]


@pytest.mark.parametrize(("changes", "verdict"), SHOWN)
def test_a_proof_amounts_to_its_worst_trial(packed_once: Path, changes: dict[str, object], verdict: str) -> None:
    policy = load_policy(None)
    proof = full_proof(packed_once, policy, trials=(trial("schema.crc32"), trial("data.finite", **changes)))
    assert proof.verdict(policy) == verdict


def test_a_proof_without_a_trial_shows_nothing(packed_once: Path) -> None:
    assert full_proof(packed_once, load_policy(None), trials=()).verdict(load_policy(None)) is Verdict.NOT_RUN


@pytest.fixture
def sealing(tmp_path: Path) -> tuple[Path, Path, Policy]:
    """A key, and a policy that lists it and asks for a proof and for seals."""
    key = tmp_path / "key.pem"
    public = generate_key(key)
    rules = f"[evidence]\nproof = true\nlevel = 'sealed'\nkeys = ['{public}']\n"
    path = write(tmp_path / "sealing.toml", LENIENT + rules)
    return key, path, load_policy(path)


def reasons_of(directory: Path, policy: Policy) -> list[str]:
    """What speaks against the proof of a model."""
    stored = read_proof(Artifacts.of(directory).proof(directory.name), keys=policy.evidence.keys)
    required = policy.required_gates(read_json(directory / SIDECAR, Sidecar))
    known = trust(policy, ROOT)
    found = proof_reasons(stored, required, policy, known, digest=tree_digest(directory), repair="PROVE")
    return [str(reason) for reason in found]


def keep(directory: Path, content: bytes, *, sealed: bool) -> Path:
    return store_proof(Artifacts.of(directory), directory.name, content, sealed=sealed)


def test_a_sealed_proof_is_taken_where_seals_are_asked_for(
    good_model: Path, sealing: tuple[Path, Path, Policy]
) -> None:
    key, _, policy = sealing
    proof = full_proof(good_model, policy)
    place = keep(good_model, seal_proof(proof, listing(good_model), policy, key), sealed=True)
    assert place.name == f"{good_model.name}.dsse.json"
    assert reasons_of(good_model, policy) == []
    assert '"result":"PASSED"' in base64.b64decode(json.loads(place.read_text())["payload"]).decode()


def test_an_unsealed_proof_is_refused_where_seals_are_asked_for(
    good_model: Path, sealing: tuple[Path, Path, Policy]
) -> None:
    _, _, policy = sealing
    keep(good_model, readable(full_proof(good_model, policy)), sealed=False)
    wanted = "the proof is not sealed, and the policy asks for one that is → PROVE --key FILE"
    assert reasons_of(good_model, policy) == [wanted]


def test_a_proof_sealed_by_an_unlisted_key_is_refused(
    good_model: Path, sealing: tuple[Path, Path, Policy], tmp_path: Path
) -> None:
    _, _, policy = sealing
    generate_key(tmp_path / "theirs.pem")
    theirs = seal_proof(full_proof(good_model, policy), listing(good_model), policy, tmp_path / "theirs.pem")
    keep(good_model, theirs, sealed=True)
    (said,) = reasons_of(good_model, policy)
    assert said.endswith(".dsse.json: signed by none of the 1 keys that the policy lists → PROVE --key FILE")


def test_a_seal_over_other_files_than_the_proof_is_refused(
    good_model: Path, sealing: tuple[Path, Path, Policy]
) -> None:
    key, _, policy = sealing
    other = listing(good_model) | {"CHANGES.md": "0" * 64}
    keep(good_model, seal_proof(full_proof(good_model, policy), other, policy, key), sealed=True)
    (said,) = reasons_of(good_model, policy)
    assert "the statement's subject is not the model that its proof is of" in said


SEALED_OTHERWISE = [
    pytest.param({"result": "FAILED"}, "the seal says FAILED, and lists no gate that did", id="failed"),
    pytest.param({"failedTests": ["wf.worst_fold"]}, "the seal lists failed gates: wf.worst_fold", id="a-failed-gate"),
    pytest.param({"passedTests": []}, "the seal and what is in it do not say the same of ", id="a-list-cut"),
]


@pytest.mark.parametrize(("change", "message"), SEALED_OTHERWISE)
def test_a_proof_whose_seal_says_otherwise_is_refused(
    good_model: Path, sealing: tuple[Path, Path, Policy], change: dict[str, object], message: str
) -> None:
    key, _, policy = sealing
    sealed = seal_proof(full_proof(good_model, policy), listing(good_model), policy, key)
    said = json.loads(open_seal(sealed, policy.evidence.keys, "")[0])
    said["predicate"].update(change)
    keep(good_model, seal(canonical(said), load_key(key)), sealed=True)
    assert reasons_of(good_model, policy)[0].startswith(message)


def test_a_sealed_report_is_not_a_proof(good_model: Path, sealing: tuple[Path, Path, Policy]) -> None:
    key, _, policy = sealing
    report = seal(statement(listing(good_model), {}, {"report": {}}, result="PASSED"), load_key(key))
    keep(good_model, report, sealed=True)
    (said,) = reasons_of(good_model, policy)
    assert "Expected `object`, got `null`" in said


def test_the_newer_proof_takes_the_place_of_the_older(good_model: Path, sealing: tuple[Path, Path, Policy]) -> None:
    key, _, policy = sealing
    proof = full_proof(good_model, policy)
    keep(good_model, seal_proof(proof, listing(good_model), policy, key), sealed=True)
    place = keep(good_model, readable(proof), sealed=False)
    assert [path.name for path in place.parent.iterdir()] == [place.name]


@pytest.mark.integration
def test_the_command_seals_with_the_key_at_hand(
    good_model: Path, sealing: tuple[Path, Path, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, path, _ = sealing
    path.write_text(only("integrity") + path.read_text())
    monkeypatch.setenv("MODELGATES_KEY", str(key))
    assert prove(good_model, path) == 0
    stored = read_proof(Artifacts.of(good_model).proof(good_model.name), keys=load_policy(path).evidence.keys)
    assert isinstance(stored, StoredProof)
    assert stored.sealed_by == load_policy(path).evidence.keys[0]
