"""A model is named by its id or by its path, whatever the verb."""

import shlex
from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.cli.examples import EXAMPLES
from pytest_modelgates.cli.main import parser
from tests.cli.test_help import verbs
from tests.support.handmade import Registry

Capture = pytest.CaptureFixture[str]

MODEL = "MODEL"  # where it is not the last word
VERBS = [
    ["verify"],
    ["golden", "show"],
    ["golden", "set"],
    ["outcomes", "realised"],
    ["predictions", "--model"],
    ["drift-check", "--model"],
    ["compare"],
    ["rollback", "--reason", "tried"],
    ["trials", "add", "3", "--reason", "elsewhere", "--model"],
    ["outcomes", "add", "none.csv", "--reason", "late", "--model"],
    ["sign"],
    ["report", "merge", MODEL, "none.json"],
    ["ab", "start", "--share", "0.1", "--report", "none.json", "--reason", "tried"],
]
# Each is tried here in another way, or takes the file of a model.
OTHERS = ["pack", "gate", "prove", "promote", "golden diff"]


def said(registry: Registry, capsys: Capture, *words: object) -> tuple[int, str, str]:
    *verb, model = map(str, words)
    given = [model if word == MODEL else word for word in verb] if MODEL in verb else [*verb, model]
    status = main([*given, "--artifacts", str(registry.artifacts.root)])
    found = capsys.readouterr()
    return status, found.out, found.err


def test_every_verb_that_takes_a_model_is_tried() -> None:
    tried = [" ".join(verb) for verb in VERBS]
    takes = {
        " ".join(verb)
        for verb in verbs(parser())
        if {"model", "a"} & set(vars(parser().parse_args(shlex.split(EXAMPLES[" ".join(verb)]))))
    }
    assert {verb for verb in takes if not any(each.startswith(verb) for each in tried)} == set(OTHERS)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_path_says_what_its_id_says(registry: Registry, capsys: Capture, verb: list[str]) -> None:
    by_id = said(registry, capsys, *verb, registry.candidate)
    assert said(registry, capsys, *verb, registry.artifacts.model(registry.candidate)) == by_id


def test_a_link_to_a_model_names_it(registry: Registry, capsys: Capture) -> None:
    status, out, _ = said(registry, capsys, "golden", "show", registry.artifacts.latest)
    assert (status, out) == said(registry, capsys, "golden", "show", registry.live)[:2]


def test_a_goldens_path_in_diff(registry: Registry, capsys: Capture) -> None:
    live, path = registry.live, registry.artifacts.model(registry.live)
    assert said(registry, capsys, "golden", "diff", live, live) == said(registry, capsys, "golden", "diff", path, path)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != ["verify"]], ids=" ".join)
def test_a_model_of_another_root_is_refused(
    registry: Registry, capsys: Capture, tmp_path: Path, verb: list[str]
) -> None:
    other = tmp_path / "other" / "models" / registry.candidate
    other.mkdir(parents=True)
    models = registry.artifacts.models
    assert said(registry, capsys, *verb, other) == (
        1,
        "",
        f"modelgates: {other}: not a model of {models.parent}; give an id, or a path in {models}\n",
    )


def test_an_id_is_looked_up_in_the_folder_artifacts(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registry.artifacts.root.parent)
    registry.artifacts.root.rename("artifacts")
    assert main(["verify", registry.candidate]) == 0
    assert main(["promote", "1763884678", "--dry-run"]) == 1
    rows = Path("rows.csv")
    rows.write_text("time,asset\n")
    assert main(["shadow", "--onnx", "1763884678", "--csv", str(rows)]) == 1
    missing = "artifacts/models/1763884678"
    assert capsys.readouterr().err == (
        f"modelgates: 1763884678: no such model directory; give its path, such as {missing}, or its id\n"
        f"modelgates: {missing}/model.onnx: no model there; give artifacts/models/<id>/model.onnx, or "
        "artifacts/models/latest.onnx once a model is live\n"
    )


@pytest.mark.parametrize("verb", [["verify"], ["gate"], ["prove"], ["promote"]], ids=" ".join)
def test_a_path_beside_a_root_that_is_named_must_lie_in_it(
    registry: Registry, capsys: Capture, tmp_path: Path, verb: list[str]
) -> None:
    other = tmp_path / "other" / "models" / registry.candidate
    other.mkdir(parents=True)
    models = registry.artifacts.models
    why = f"modelgates: {other}: not a model of {models.parent}; give an id, or a path in {models}\n"
    assert said(registry, capsys, *verb, other) == (1, "", why)


def test_an_id_is_no_folder_of_the_place_one_stands_in(
    registry: Registry, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / registry.candidate).mkdir()
    status, out, _ = said(registry, capsys, "verify", registry.candidate)
    assert (status, out.startswith(f"{registry.candidate}: sound, sha256:")) == (0, True)
