"""`modelgates policy check` and `policy show`, as people and programs see them."""

import json
from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import load_operations

Capture = pytest.CaptureFixture[str]
POLICY = """format = 1
[promotion]
parity_nights = 3
[registry]
may_promote = ["ada"]
[evidence]
plugins = ["xdist", "pytest_benchmark", "pytest_cov", "pytest_metadata"]
[slo."latency.onnx_p95_ms"]
severity = "hard"
at_most = 20
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository as `init` leaves it, with a policy and an operations.toml of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODELGATES_KEY", raising=False)
    assert main(["init"]) == 0
    (tmp_path / "registry" / "policy.toml").write_text(POLICY)
    (tmp_path / "registry" / "operations.toml").write_text("[log]\nfeatures = 0.1\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _no_words_of_before(root: Path, capsys: Capture) -> None:
    capsys.readouterr()


def test_clean_files_end_with_nought(capsys: Capture) -> None:
    assert main(["policy", "check"]) == 0
    assert capsys.readouterr().out == "registry/operations.toml and registry/policy.toml: nothing is wrong\n"
    assert main(["policy", "check", "registry/policy.toml"]) == 0
    assert capsys.readouterr().out == "registry/policy.toml: nothing is wrong\n"


def test_what_init_writes_is_clean_but_for_a_note(root: Path, capsys: Capture) -> None:
    for name in ("policy.toml", "operations.toml"):
        (root / "registry" / name).unlink()
    assert main(["init"]) == 0
    capsys.readouterr()
    assert main(["policy", "check"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        "registry/policy.toml: note: [registry] may_promote is empty: everybody may promote"
    )


def test_problems_end_with_one_and_are_printed_with_their_places(root: Path, capsys: Capture) -> None:
    (root / "registry" / "policy.toml").write_text(POLICY.replace("parity_nights", "parity_night"))
    (root / "registry" / "operations.toml").write_text("[log]\npart_mb = 0\nhash_keys = 0\n")
    assert main(["policy", "check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "registry/operations.toml:2:1: [log] part_mb: expected `float` > 0.0, got 0",
        "registry/operations.toml:3:1: [log] hash_keys: expected `bool`, got `int`",
        "registry/policy.toml:3:1: [promotion] parity_night: unknown key; did you mean parity_nights?",
        "registry/operations.toml and registry/policy.toml: 3 problems",
    ]
    assert main(["policy", "check", "registry/operations.toml", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["registry/operations.toml"]
    assert found["found"][0] == {
        "file": "registry/operations.toml",
        "line": 2,
        "column": 1,
        "text": "[log] part_mb: expected `float` > 0.0, got 0",
        "note": False,
    }


def test_a_key_of_the_environment_that_is_not_there_is_a_problem(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELGATES_KEY", "gone")
    assert main(["policy", "check"]) == 1
    assert "$MODELGATES_KEY: gone: no such file" in capsys.readouterr().out


def test_what_is_not_there_is_used_wrongly_or_refused(capsys: Capture) -> None:
    assert main(["policy", "check", "gone.toml"]) == 2
    assert capsys.readouterr().err == "modelgates: gone.toml: no such file; give a policy or an operations.toml\n"
    for verb in ("check", "show"):
        assert main(["policy", verb, "--artifacts", "else/where"]) == 1
        assert "no such artifacts folder" in capsys.readouterr().err


def test_a_root_without_files_of_its_own_has_the_packaged_ones(root: Path, capsys: Capture) -> None:
    (root / "bare" / "artifacts" / "models").mkdir(parents=True)
    for words in (["check"], ["show"]):
        assert main(["policy", *words, "--artifacts", "bare/artifacts"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "no file of your own, the packaged ones are in force: nothing is wrong"
    assert said[1] == "policy: the packaged one alone"
    assert "operations: the packaged one alone" in said


def test_what_is_in_force_is_shown_with_its_source_in_80_columns(root: Path, capsys: Capture) -> None:
    assert main(["policy", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "policy: registry/policy.toml, named by artifacts/policy",
        f"  sha256:{load_policy(root / 'registry' / 'policy.toml').digest}",
        "format = 1                                                policy.toml:1",
    ]
    for line in (
        "parity_nights = 3                                         policy.toml:3",
        "shadow_hours = 24                                         packaged",
        'may_promote = ["ada"]                                     policy.toml:5',
        'plugins = ["xdist", "pytest_benchmark", "pytest_cov",     policy.toml:7',
        '    "pytest_metadata"]',
        "latency.onnx_p95_ms           hard  0 < · ≤ 20 ms               policy.toml:9",
        "latency.serve_p95_ms          soft  0 < · ≤ 200 ms              packaged",
        "pnl.break_even                soft  2 < · ≤ 1000 bps            computed",
        "operations: registry/operations.toml, beside the registry's policy",
        f"  sha256:{load_operations(root / 'registry' / 'operations.toml', policy=None)[0].digest}",
        "features = 0.1                                            operations.toml:2",
        "hash_keys = false                                         packaged",
    ):
        assert line in lines
    assert max(map(len, lines)) <= 80


def test_a_policy_that_is_asked_for_is_shown_as_such(root: Path, capsys: Capture) -> None:
    (root / "other.toml").write_text("[promotion]\nparity_nights = 9\n")
    assert main(["policy", "show", "--policy", "other.toml"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("policy: other.toml, given by --policy\n")
    assert "parity_nights = 9                                         other.toml:2\n" in out
    assert "operations: registry/operations.toml, beside the registry's policy\n" in out


def test_a_key_that_still_stands_in_the_policy_is_shown_from_there(root: Path, capsys: Capture) -> None:
    (root / "registry" / "policy.toml").write_text(POLICY + "[hermetic]\nminutes = 9\n")
    assert main(["policy", "show"]) == 0
    assert "minutes = 9                                               policy.toml:12\n" in capsys.readouterr().out


def test_programs_get_every_value_with_its_key_file_and_line(capsys: Capture) -> None:
    assert main(["policy", "show", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["policy"]["file"], found["policy"]["found"]) == ("registry/policy.toml", "named by artifacts/policy")
    assert found["operations"]["digest"] == load_operations(Path("registry/operations.toml"), policy=None)[0].digest
    by_key = {tuple(value["key"]): value for value in found["policy"]["values"]}
    at_most = by_key["slo", "latency.onnx_p95_ms", "at_most"]
    assert (at_most["value"], at_most["file"], at_most["line"]) == (20, "registry/policy.toml", 10)
    advice = by_key["slo", "latency.onnx_p95_ms", "advice"]
    assert (advice["file"], advice["line"]) == (None, None)


def test_a_broken_policy_is_refused_by_show(root: Path, capsys: Capture) -> None:
    (root / "registry" / "policy.toml").write_text("[promotion]\nparity_night = 3\n")
    assert main(["policy", "show"]) == 1
    assert "Object contains unknown field `parity_night`" in capsys.readouterr().err
