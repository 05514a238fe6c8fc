"""No verb writes over what a registry keeps, wherever it is told to write."""

from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from tests.support.handmade import Registry

Capture = pytest.CaptureFixture[str]

PLACES = [
    "artifacts/promotions.log",
    "artifacts/models/latest/new",
    "artifacts/policy",
    "artifacts/KILL",
    "link-to-policy",
]
VERBS = [["metrics", "--textfile"], ["nightly", "--summary"]]


@pytest.fixture
def repository(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder above the artifacts root, which one is in."""
    folder = registry.artifacts.root.parent
    (folder / "link-to-policy").symlink_to("registry/policy.toml")
    monkeypatch.chdir(folder)
    return folder


def files_below(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*") if path.name != ".lock"}


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("place", [*PLACES, "registry/policy.toml", "registry/operations.toml"])
def test_what_a_verb_writes_goes_nowhere_else(repository: Path, capsys: Capture, verb: list[str], place: str) -> None:
    before = files_below(repository)
    assert main([*verb, place]) == 1
    said = f"modelgates: {place}: kept by the registry; give {verb[1]} another place"
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert files_below(repository) == before


def test_the_summary_that_ci_names_goes_nowhere_else(
    repository: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "artifacts/promotions.log")
    before = files_below(repository)
    assert main(["nightly"]) == 1
    assert "modelgates: artifacts/promotions.log: kept by the registry" in capsys.readouterr().err
    assert files_below(repository) == before


@pytest.mark.parametrize("place", [each for each in PLACES if each != "link-to-policy"])
def test_a_key_is_not_made_among_models(repository: Path, capsys: Capture, place: str) -> None:
    Path("artifacts/policy").unlink(missing_ok=True)
    before = files_below(repository)
    assert main(["keygen", place]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: {place}: the registry {repository / 'artifacts'} keeps its own files there, which others may "
        "read; give the key a place outside it, such as ~/.config/modelgates.pem\n"
    )
    assert files_below(repository) == before


@pytest.mark.parametrize("place", ["artifacts", "artifacts/models", "artifacts/models/latest", "artifacts/golden"])
def test_a_registry_is_no_repository(repository: Path, capsys: Capture, place: str) -> None:
    before = files_below(repository)
    assert main(["init", place]) == 1
    assert capsys.readouterr().err == (
        f"modelgates: {place}: the registry {repository / 'artifacts'} keeps its own files there; give the "
        f"repository, such as {repository}\n"
    )
    assert files_below(repository) == before


@pytest.mark.parametrize(
    "verb", [["verify", "loop/x"], ["status", "--artifacts", "loop"], ["serve", "--onnx", "loop/x"]]
)
def test_a_link_to_itself(repository: Path, capsys: Capture, verb: list[str]) -> None:
    (repository / "loop").symlink_to("loop")
    assert main([*verb, *(["--csv", "x.csv"] if verb[0] == "serve" else [])]) in (1, 3)
    said = capsys.readouterr()
    assert "loop" in (said.err or said.out)  # Python 3.14 follows such a link as far as it goes, and verify looks there
    assert said.err.startswith("modelgates: ") or verb[0] == "verify"


@pytest.mark.parametrize("verb", [["rollback", "--reason=--"], ["recover", "--adopt-link", "--reason=--"]])
def test_two_dashes_are_no_value(repository: Path, capsys: Capture, verb: list[str]) -> None:
    assert main(verb) == 2
    assert capsys.readouterr().err == (
        "modelgates: --reason=--: `--` ends the options, so it cannot be the value of one; write another\n"
    )
