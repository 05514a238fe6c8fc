"""`modelgates trials`: what is counted, and what was tried elsewhere."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pytest_modelgates.audit.chain import Event, read_history
from pytest_modelgates.cli import main
from tests.support.once import once
from tests.support.panels import invented_panel, pack_ridge

Capture = pytest.CaptureFixture[str]
HEADING = "packed (UTC)         trial         market  model       what, by whom, and why"


def pack_three(folder: Path) -> list[str]:
    """Pack three models, of two markets."""
    tries = [(1, (1, 0)), (2, (1, 0)), (1, (1, 1))]
    return [
        pack_ridge(folder / "artifacts", invented_panel(days=60, seed=seed), weights=w, changes=f"Number {n}.").name
        for n, (seed, w) in enumerate(tries)
    ]


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An artifacts root of three trials on two markets."""
    once(request, "three-trials", pack_three)
    base = request.getfixturevalue("tmp_path_factory").getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "three-trials"
    return shutil.copytree(folder / "artifacts", tmp_path / "artifacts")


def said(root: Path, capsys: Capture, *words: str, status: int = 0) -> str:
    assert main(["trials", *words, "--artifacts", str(root)]) == status
    found = capsys.readouterr()
    return found.err if status else found.out


def ids(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "models").glob("1*"))


def test_it_shows_every_trial_and_how_many_there_are_on_each_market(desk: Path, capsys: Capture) -> None:
    heading, *lines = said(desk, capsys).splitlines()
    assert heading == HEADING
    # The first position is a day later than the first row.
    days = "59 days held, 2020-01-02 to 2020-03-24"
    for number, (line, data, model) in enumerate(zip(lines, (1, 2, 1), ids(desk), strict=False)):
        assert re.fullmatch(rf"\S+ \S+  [0-9a-f]{{12}}  data {data}  {model}  {days}  \S+  Number {number}\.", line)
    assert lines[3:] == [
        "market data 1: 2 trials, besides what the models declare",
        "market data 2: 1 trial, besides what the models declare",
    ]


def test_it_prints_json_too(desk: Path, capsys: Capture) -> None:
    found = json.loads(said(desk, capsys, "--json"))
    assert [(entry["family"], entry["trials"], entry["lost"], entry["days"]) for entry in found] == [
        (1, 1, False, 59),
        (2, 1, False, 59),
        (1, 1, False, 59),
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", entry["trial"]) for entry in found)
    assert [entry["models"] for entry in found] == [[model] for model in ids(desk)]


def test_it_says_which_directory_a_trial_is_and_where_none_is_left(desk: Path, capsys: Capture) -> None:
    first, second, third = ids(desk)
    shutil.rmtree(desk / "models" / first)
    # A directory that cannot be read is not listed, and one that holds the same bytes again is listed with the first.
    (desk / "models" / second / "sidecar.json").write_bytes(b"{")
    shutil.copytree(desk / "models" / third, desk / "models" / "1999999999")
    lines = said(desk, capsys).splitlines()[1:4]
    shown = [line[HEADING.index("model") :].partition("  ")[0] for line in lines]
    assert shown == ["gone", "gone", f"{third}, 1999999999"]
    found = json.loads(said(desk, capsys, "--json"))
    assert [entry["models"] for entry in found] == [[], [], [third, "1999999999"]]


def test_what_was_tried_elsewhere_is_added_for_good(desk: Path, capsys: Capture) -> None:
    assert said(desk, capsys, "add", "45", "--reason", "the notebook") == (
        "45 trials added: they count for every model of this registry, on whatever data; nothing takes them back\n"
    )
    of_second = ["add", "2", "--reason", "another desk", "--model", ids(desk)[1]]
    assert said(desk, capsys, *of_second) == (
        f"2 trials added, on the data of {ids(desk)[1]}; nothing takes them back\n"
    )
    heading, *lines = said(desk, capsys).splitlines()
    assert heading == HEADING
    assert re.fullmatch(r"\S+ \S+  \+ 45          any     -           tried elsewhere  \S+  the notebook", lines[3])
    assert re.fullmatch(r"\S+ \S+  \+ 2           data 2  -           tried elsewhere  \S+  another desk", lines[4])
    assert lines[5:] == [
        "market data 1: 47 trials, besides what the models declare",
        "market data 2: 48 trials, besides what the models declare",
    ]
    event = read_history(desk / "promotions.log")[-2]
    assert isinstance(event, Event)
    assert (event.kind, event.subject, event.evidence) == ("trials-added", "45", None)
    assert main(["log", "--verify", "--artifacts", str(desk)]) == 0


def test_a_file_that_is_lost_is_said_to_be(desk: Path, capsys: Capture) -> None:
    for path in (desk / "trials").iterdir():
        path.unlink()
    heading, *lines = said(desk, capsys).splitlines()
    assert heading == HEADING
    models = zip(lines[:3], ids(desk), strict=True)
    assert all(f"  any     {model}  its file is lost  " in line for line, model in models)
    assert lines[3:] == ["3 trials"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        pytest.param(["add"], 2, "add how many? Give a number, as in: modelgates trials add 45", id="no-number"),
        pytest.param(["add", "3"], 1, 'say what they were: --reason "…"', id="no-reason"),
        pytest.param(["--reason", "x"], 2, "--model and --reason belong to: modelgates trials add N", id="no-verb"),
        pytest.param(["add", "3", "--reason", "x", "--model", "17"], 1, "'17' is not a model id", id="no-model"),
        pytest.param(
            ["add", "3", "--reason", "x", "--model", "1700000000"], 1, "no such directory", id="unknown-model"
        ),
    ],
)
def test_it_says_what_is_wrong(desk: Path, capsys: Capture, words: list[str], status: int, message: str) -> None:
    before = (desk / "promotions.log").read_bytes()
    assert message in said(desk, capsys, *words, status=status)
    assert (desk / "promotions.log").read_bytes() == before


@pytest.mark.parametrize("number", ["0", "-3", "1.5", "²", "many"])
def test_nothing_is_taken_back(desk: Path, capsys: Capture, number: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["trials", "add", number, "--reason", "x", "--artifacts", str(desk)])
    assert "argument" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["1000001", "1" + 30 * "0"])
def test_a_slip_of_the_hand_does_not_end_a_registry(desk: Path, capsys: Capture, number: str) -> None:
    before = (desk / "promotions.log").read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(["trials", "add", number, "--reason", "x", "--artifacts", str(desk)])
    assert f"'{number}' is too many, give at most 1,000,000: nothing takes them back" in capsys.readouterr().err
    assert (desk / "promotions.log").read_bytes() == before
    counted = "they count for every model of this registry, on whatever data; nothing takes them back"
    assert said(desk, capsys, "add", "1000000", "--reason", "x") == f"1000000 trials added: {counted}\n"


def test_an_empty_ledger_says_so(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "models").mkdir()
    assert said(tmp_path, capsys) == "no trial was counted yet\n"
