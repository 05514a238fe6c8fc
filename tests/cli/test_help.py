"""What `--help` says to somebody who knows none of our words yet."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.cli.examples import EXAMPLES
from pytest_modelgates.cli.main import VERBS, parser

Capture = pytest.CaptureFixture[str]
COLUMNS = 80


def helped(capsys: Capture, *verb: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([*verb, "--help"])
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def _narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


EXPLAINED = [
    pytest.param(
        ["pack"],
        [
            "Write a model directory from a tabular model (one row is one number), its panel and a packing list.",
            "The panel holds rows that the model was not fitted on",
            "The packing list names its columns",
            "which `modelgates gate` and `modelgates promote` take",
        ],
        id="pack",
    ),
    pytest.param(
        ["panel"],
        [
            "Print the digest of a panel, for a policy that admits only models judged by that panel.",
            "write the printed line under [data] of registry/policy.toml",
        ],
        id="panel",
    ),
    pytest.param(
        ["log"],
        [
            "Show the audit log: every promotion and rollback, and what else was recorded, but trials; times are UTC.",
            "`modelgates trials` shows trials, and so do --kind trial and --json",
            "check that no line was changed, added or taken away",
        ],
        id="log",
    ),
    pytest.param(
        ["prove"],
        [
            "Show that the gates can fail: run each hard gate on copies of the model that were broken on purpose.",
            "red: its gate refused the copy. GREEN: it passed, so it would not notice this fault.",
            "[evidence] proof = true",
        ],
        id="prove",
    ),
    pytest.param(
        [], ["First steps: modelgates init, python pack_example.py, modelgates promote DIRECTORY"], id="modelgates"
    ),
]


@pytest.mark.parametrize(("verb", "phrases"), EXPLAINED)
def test_help_explains_its_words(capsys: Capture, verb: list[str], phrases: list[str]) -> None:
    said = helped(capsys, *verb)
    assert [phrase for phrase in phrases if phrase not in " ".join(said.split())] == []
    assert [line for line in said.splitlines() if len(line) > COLUMNS] == []


def test_the_list_of_verbs_has_a_sentence_for_each_and_no_more(capsys: Capture) -> None:
    (verbs,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert len(verbs._choices_actions) == len(verbs.choices) > 20
    for each in verbs._choices_actions:
        assert each.help
        assert each.help.endswith(".")
        assert "\n" not in each.help
        own = helped(capsys, each.dest)
        if "  VERB" not in own:  # of a noun with verbs of its own they are listed in place of it
            assert "".join(each.help.split()) in "".join(own.split())


def verbs(of: argparse.ArgumentParser, *words: str) -> Iterator[tuple[str, ...]]:
    below = [action.choices for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    for choices in below:
        for name, below_it in choices.items():
            yield from verbs(below_it, *words, name)
    if not below:
        yield words


@pytest.mark.parametrize("verb", list(verbs(parser())), ids=" ".join)
def test_help_ends_with_an_example_that_can_be_typed_and_the_exit_statuses(capsys: Capture, verb: tuple[str]) -> None:
    *_, example, statuses = helped(capsys, *verb).rstrip().split("\n\n")
    words = shlex.split(example.removeprefix("Example: modelgates "))
    assert tuple(words[: len(verb)]) == verb
    assert parser().parse_args(words).command
    assert " ".join(statuses.split()) == (
        "Ends with 0 (done), 1 (refused, or something was found), 2 (used wrongly), 3 (the machine failed) or 130 "
        "(Ctrl-C)."
    )


def test_every_example_has_a_verb() -> None:
    assert sorted(EXAMPLES) == sorted(" ".join(verb) for verb in verbs(parser()))


def test_the_version_is_that_of_the_package(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"pytest-modelgates {version('pytest-modelgates')}\n"


@pytest.mark.parametrize("verb", [verb for verbs in VERBS.values() for verb in verbs])
def test_a_verb_is_the_same_beside_all_others_and_beside_those_of_its_module(verb: str) -> None:
    def verbs_of(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        (verbs,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
        return dict(verbs.choices)

    own, every = verbs_of(parser(verb)), verbs_of(parser())
    assert tuple(own) in VERBS.values()
    assert own[verb].format_help() == every[verb].format_help()
    assert list(every) == [verb for verbs in VERBS.values() for verb in verbs]


def test_a_command_loads_no_other_verbs_nor_what_knows_the_version() -> None:
    code = (
        "import sys\nfrom pytest_modelgates.cli import main\ntry: main(['serve', '--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {f"pytest_modelgates.cli.{module}" for module in VERBS} - {"pytest_modelgates.cli.serving"}
    assert "pytest_modelgates.cli.serving" in loaded
    assert not others & {*loaded}
    assert "importlib.metadata" not in loaded
