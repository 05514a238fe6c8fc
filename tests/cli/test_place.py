"""The policy belongs to the registry: which one counts for each verb, and what is said when it is lost or broken."""

import fcntl
import shutil
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit.chain import Commit, append, read_log
from pytest_modelgates.cli import main
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.store import live_id
from tests.support.handmade import Registry, green_report, modelgates

Capture = pytest.CaptureFixture[str]

STRICT = """
[registry]
may_promote = ["ada"]
may_roll_back = ["ada"]
"""


def words(registry: Registry, *given: object) -> list[str]:
    return [*map(str, given), "--artifacts", str(registry.artifacts.root)]


def promoted(registry: Registry, *given: object) -> int:
    return main(words(registry, "promote", "--report", green_report(registry), *given))


def lose(registry: Registry) -> None:
    registry.policy_file.unlink()


def break_(registry: Registry) -> None:
    registry.policy_file.write_text("[nonsense")


@pytest.mark.integration
@pytest.mark.parametrize("folder", ["/", "artifacts", "elsewhere"])
def test_the_registrys_own_policy_counts_wherever_one_stands(registry: Registry, tmp_path: Path, folder: str) -> None:
    root = registry.artifacts.root.parent
    with registry.policy_file.open("a") as file:
        file.write(STRICT)
    place = {"/": Path("/"), "artifacts": registry.artifacts.root, "elsewhere": tmp_path / "elsewhere"}[folder]
    (tmp_path / "elsewhere" / "registry").mkdir(parents=True)
    (tmp_path / "elsewhere" / "registry" / "policy.toml").write_text("format = 1\n")
    for command in (
        ["promote", registry.artifacts.model(registry.candidate)],
        words(registry, "promote", "--report", green_report(registry)),
    ):
        done = modelgates(*command, cwd=place)
        assert done.returncode == 1, done.stdout
        assert "may not promote; the policy lets ada" in done.stderr
    assert live_id(registry.artifacts) == registry.live
    assert root == registry.policy_file.parent.parent


def test_every_change_keeps_the_policy_it_was_made_under(registry: Registry, capsys: Capture) -> None:
    strict = registry.policy_file.with_name("strict.toml")
    strict.write_text(registry.policy_file.read_text() + "[costs]\nhalf_spread_bps = 4\n")
    report = green_report(registry, policy=load_policy(strict))
    assert main(words(registry, "promote", "--report", report, "--policy", strict)) == 0
    assert main(words(registry, "rollback", registry.live, "--reason", "back")) == 0
    kept = [change.policy for change in read_log(registry.artifacts.promotions)]
    assert [(found.policy_file, found.policy_digest) for found in kept if found] == [
        ("registry/policy.toml", registry.policy.digest),
        ("registry/strict.toml", load_policy(strict).digest),
        ("registry/policy.toml", registry.policy.digest),
    ]
    assert f"\npolicy: registry/strict.toml sha256:{load_policy(strict).digest[:16]}\n" in capsys.readouterr().out
    assert main(words(registry, "log")) == 0
    shown = [line.strip() for line in capsys.readouterr().out.splitlines() if "policy:" in line]
    assert shown == [f"policy: {found}" for found in kept]


def test_status_says_that_the_policy_changed(registry: Registry, capsys: Capture) -> None:
    before = registry.policy.digest
    with registry.policy_file.open("a") as file:
        file.write("[costs]\nhalf_spread_bps = 4\n")
    assert main(words(registry, "status")) == 0
    assert (
        f"policy: registry/policy.toml sha256:{registry.policy.digest[:16]}, another than at the last change "
        f"(registry/policy.toml sha256:{before[:16]})\n"
    ) in capsys.readouterr().out


LOST = (
    "the last change was made under the policy registry/policy.toml, and there is none now; "
    "put it back, or give one as --policy"
)


def test_a_lost_policy_stops_what_acts_and_judges(registry: Registry, capsys: Capture) -> None:
    report, before = green_report(registry), registry.state()
    lose(registry)
    model = str(registry.artifacts.model(registry.candidate))
    for command in (
        words(registry, "promote", "--report", report),
        ["promote", model],
        ["gate", model],
        ["prove", model],
        words(registry, "gc", "--keep", "0"),
    ):
        assert main(command) == 1
        assert capsys.readouterr().err == f"modelgates: {LOST}\n"
    assert registry.state() == before


def test_a_lost_policy_is_a_warning_to_what_looks(registry: Registry, capsys: Capture) -> None:
    lose(registry)
    assert main(words(registry, "drift-check")) == 1
    assert capsys.readouterr().err.startswith(f"modelgates: warning: {LOST}\nmodelgates: ")
    assert main(words(registry, "status")) == 0
    said = capsys.readouterr()
    assert said.err == f"modelgates: warning: {LOST}; as at the last change in the log, anybody may roll back\n"
    assert "policy: lost; at the last change: registry/policy.toml sha256:" in said.out
    for verb in (["list"], ["log"], ["log", "--verify"], ["golden", "show"]):
        assert main(words(registry, *verb)) == 0


def test_pytest_refuses_a_lost_policy_too(registry: Registry, pytester: pytest.Pytester) -> None:
    lose(registry)
    result = pytester.runpytest_subprocess(f"--model-dir={registry.artifacts.model(registry.candidate)}")
    assert result.ret == 4
    assert f"ERROR: {LOST}" in result.stderr.lines


@pytest.mark.parametrize("spoil", [lose, break_])
def test_rollback_goes_ahead_by_whom_the_log_lets(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch, spoil: object
) -> None:
    with registry.policy_file.open("a") as file:
        file.write(STRICT)
    monkeypatch.setenv("MODELGATES_ACTOR", "ada")
    digest = registry.policy.digest
    assert promoted(registry) == 0
    spoil(registry)  # type: ignore[operator]
    capsys.readouterr()
    monkeypatch.setenv("MODELGATES_ACTOR", "eve")
    assert main(words(registry, "rollback", registry.live, "--reason", "x")) == 1
    warned, refused = capsys.readouterr().err.splitlines()[0], "modelgates: eve may not roll back; the policy lets ada"
    assert warned.startswith("modelgates: warning: ")
    assert warned.endswith("; as at the last change in the log, ada may roll back")
    monkeypatch.setenv("MODELGATES_ACTOR", "ada")
    assert main(words(registry, "rollback", registry.live, "--reason", "x")) == 0
    assert refused not in capsys.readouterr().err
    assert live_id(registry.artifacts) == registry.live
    kept = read_log(registry.artifacts.promotions)[-1].policy
    assert kept is not None
    assert (kept.policy_digest, kept.may_roll_back) == (digest, ("ada",))


def test_a_log_that_kept_no_policy_is_not_a_change_of_it(registry: Registry, capsys: Capture) -> None:
    (change,) = read_log(registry.artifacts.promotions)
    registry.artifacts.promotions.unlink()
    unset = dict.fromkeys(("policy_digest", "policy_file", "may_roll_back"), msgspec.UNSET)
    append(registry.artifacts.promotions, msgspec.structs.replace(change, **unset))
    append(registry.artifacts.promotions, Commit(time=change.time))
    assert b"policy" not in registry.artifacts.promotions.read_bytes()
    lose(registry)
    assert main(words(registry, "gc", "--keep", "0")) == 0
    assert main(words(registry, "log")) == 0
    assert "policy" not in capsys.readouterr().out
    break_(registry)
    assert main(words(registry, "status")) == 1
    said = "; the log does not say who may, so by the packaged policy, anybody may roll back\n"
    assert said in capsys.readouterr().err


def test_a_broken_policy_shows_in_status_beside_the_rest(registry: Registry, capsys: Capture) -> None:
    break_(registry)
    assert main(words(registry, "status")) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"live: {registry.live} since ")
    assert err.startswith(f"modelgates: warning: {registry.policy_file}: not TOML (")
    assert "policy: broken; at the last change: registry/policy.toml sha256:" in out
    assert "problem: the policy cannot be read, and nothing is promoted until it is mended\n" in out
    assert main(words(registry, "recover")) == 0
    assert main(words(registry, "drift-check")) == 1


@pytest.mark.parametrize("inside", ["models", "models/latest", "models/{live}"])
@pytest.mark.parametrize(
    "verb",
    [
        ["status"],
        ["list"],
        ["log"],
        ["recover", "--yes"],
        ["gc", "--keep", "0"],
        ["rollback", "1700000000", "--reason", "x"],
        ["golden", "set", "1700000000"],
        ["compare"],
        ["drift-check"],
    ],
    ids=" ".join,
)
def test_a_folder_inside_a_registry_is_not_taken_for_one(
    registry: Registry, capsys: Capture, verb: list[str], inside: str
) -> None:
    root = registry.artifacts.root
    before = sorted(root.rglob("*"))
    assert main([*verb, "--artifacts", str(root / inside.format(live=registry.live))]) == 1
    said = capsys.readouterr().err
    assert f"expected the artifacts root above it; give --artifacts {root}\n" in said
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("verb", [["status"], ["recover", "--yes"], ["gc", "--keep", "0"]], ids=" ".join)
def test_a_folder_without_models_is_not_a_registry(tmp_path: Path, capsys: Capture, verb: list[str]) -> None:
    assert main([*verb, "--artifacts", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: {tmp_path}: holds no folder `models`, so it is not an artifacts root; "
        "pack a model first, or give --artifacts\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_path_is_wrong_usage(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--artifacts", ""])
    assert ended.value.code == 2
    assert "argument --artifacts: an empty path, expected a folder such as artifacts" in capsys.readouterr().err


def test_models_behind_a_link_are_refused_by_every_door(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    models = registry.artifacts.models
    shutil.move(models, tmp_path / "big")
    models.symlink_to(tmp_path / "big")
    (tmp_path / "rows.csv").write_text("time,asset,momentum,value\n2020-01-01,A,1,2\n")
    for command in (
        words(registry, "status"),
        ["promote", str(models / registry.candidate)],
        ["gate", str(models / registry.candidate)],
        ["serve", "--onnx", str(models / "latest.onnx"), "--csv", str(tmp_path / "rows.csv")],
        ["shadow", "--onnx", str(models / registry.candidate / "model.onnx"), "--csv", str(tmp_path / "rows.csv")],
    ):
        assert main(command) == 1
        assert f"{models} is a link, by which one registry would become two; let it be a folder" in (
            capsys.readouterr().err
        )
    assert not (tmp_path / "predictions.jsonl").exists()


def test_a_dry_run_writes_nothing_and_needs_no_right_to(registry: Registry, capsys: Capture) -> None:
    artifacts = registry.artifacts
    report = green_report(registry)
    artifacts.lock.unlink(missing_ok=True)
    folders = [artifacts.root, *(path for path in artifacts.root.rglob("*") if path.is_dir() and not path.is_symlink())]
    before = sorted(artifacts.root.rglob("*"))
    for folder in folders:
        folder.chmod(0o555)
    try:
        for command, ends in (
            (["promote", "--report", str(report), "--dry-run"], 0),
            (["recover"], 0),
            (["gc", "--keep", "0", "--dry-run"], 0),
            (["status"], 0),
        ):
            assert main(words(registry, *command)) == ends, capsys.readouterr().err
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(artifacts.root.rglob("*")) == before


@pytest.mark.integration
def test_a_dry_run_of_the_gates_leaves_no_report(registry: Registry, capfd: Capture) -> None:
    before = sorted(registry.artifacts.root.rglob("*"))
    main(["promote", str(registry.artifacts.model(registry.candidate)), "--dry-run"])
    out = capfd.readouterr().out
    plan = f"plan: promote {registry.candidate} in place of {registry.live}, by this run of its gates\n"
    assert plan in out
    assert "kept: " not in out
    assert sorted(registry.artifacts.root.rglob("*")) == before


def test_a_dry_run_waits_for_the_one_who_writes(registry: Registry, capsys: Capture) -> None:
    registry.policy_file.with_name("operations.toml").write_text("[registry]\nlock_timeout_s = 0.03\n")
    for command in (["recover"], ["gc", "--keep", "0", "--dry-run"]):
        with registry.artifacts.lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert main(words(registry, *command)) == 1
        assert "waited 0.03 s" in capsys.readouterr().err
        assert main(words(registry, *command)) == 0
