"""Where a report may be written, seen through pytest."""

from pathlib import Path

import pytest

from tests.support.gate_runs import bare_model, own_gate, run

PLACES = [
    "artifacts",
    "artifacts/models/latest",
    "artifacts/models/report.json",
    "artifacts/models/1700000000/CHANGES.md",
    "artifacts/models/latest/report.json",
    "artifacts/promotions.log",
    "artifacts/.lock",
    "artifacts/latest_id.txt",
    "artifacts/policy",
    "artifacts/predictions.jsonl",
    "artifacts/shadow/predictions.jsonl",
    "artifacts/golden/metadata.json",
    "artifacts/proofs/1700000000.json",
    "artifacts/.verified",
    "artifacts/promotions.log.0123456789abcdef",
    "link/promotions.log",
    "link-to-log",
    "~/artifacts/promotions.log",
]


@pytest.mark.parametrize(
    "option", ["--gate-report", "--gate-html", "--json-report-file", "--junit-xml", "--log-file", "--basetemp"]
)
@pytest.mark.parametrize("place", PLACES)
def test_a_report_never_goes_where_the_registry_keeps_its_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: str, place: str
) -> None:
    monkeypatch.setenv("HOME", str(pytester.path))
    model = own_gate(pytester, value="0")
    root = pytester.path / "artifacts"
    (root / "models" / "latest").symlink_to(model.name)
    (pytester.path / "link").symlink_to("artifacts")
    (pytester.path / "link-to-log").symlink_to("artifacts/promotions.log")
    (root / "promotions.log").write_text("precious")
    before = sorted(root.rglob("*"))
    result = run(pytester, f"--model-dir={model}", "test_mine.py", f"{option}={place}")
    assert result.ret == 4
    assert (root / "promotions.log").read_text() == "precious"
    assert sorted(root.rglob("*")) == before
    if option == "--junit-xml" and Path(place).is_dir():
        return  # pytest's own refusal comes first
    assert (
        f"ERROR: {option}={place}: the registry keeps its own files there; give a place below "
        f"{root / 'reports'}, or outside {root}"
    ) in result.stderr.lines


@pytest.mark.parametrize(
    "words",
    [
        "--debug={}",
        "--benchmark-json={}",
        "--benchmark-storage=file://{}",
        "--benchmark-storage={}",
        "--benchmark-histogram={}",
        "--benchmark-cprofile-dump={}",
        "-olog_file={}",
        "-ocache_dir={}",
    ],
)
@pytest.mark.parametrize("place", ["artifacts/promotions.log", "artifacts/models/1700000000/new"])
def test_nothing_else_that_pytest_writes_goes_there(pytester: pytest.Pytester, words: str, place: str) -> None:
    model = own_gate(pytester, value="0")
    root = pytester.path / "artifacts"
    (root / "promotions.log").write_text("precious")
    before = sorted(root.rglob("*"))
    # Its cache is on, as it is for people.
    result = pytester.runpytest_inprocess(f"--model-dir={model}", "test_mine.py", words.format(place))
    assert result.ret == 4
    assert (root / "promotions.log").read_text() == "precious"
    assert sorted(root.rglob("*")) == before
    result.stderr.fnmatch_lines([f"*{place}: the registry keeps its own files there; give a place below *"])


@pytest.mark.parametrize("option", ["--junit-xml", "--log-file", "--gate-report", "--debug", "--benchmark-json"])
@pytest.mark.parametrize("name", ["policy.toml", "operations.toml"])
def test_a_policy_is_never_written_over(pytester: pytest.Pytester, option: str, name: str) -> None:
    model = own_gate(pytester, value="0")
    policy = pytester.path / "registry" / name
    policy.parent.mkdir(exist_ok=True)
    policy.write_text("format = 1\n")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", f"{option}=registry/{name}")
    assert result.ret == 4
    assert policy.read_text() == "format = 1\n"


@pytest.mark.parametrize("option", ["--gate-report", "--json-report-file"])
@pytest.mark.parametrize(
    "content", [b"", b"precious", b'{"precious": 1}', b"[]", b"\xff", None], ids=lambda content: str(content)
)
def test_a_report_replaces_nothing_but_a_report(pytester: pytest.Pytester, option: str, content: bytes | None) -> None:
    model = own_gate(pytester, value="0")
    place = pytester.path / "notes.json"
    place.write_bytes(content) if content is not None else place.mkdir()
    result = run(pytester, f"--model-dir={model}", "test_mine.py", f"{option}=notes.json")
    assert result.ret == 4
    said = f"ERROR: {option}=notes.json: a file that is not a report of pytest lies there; move it first"
    assert said in result.stderr.lines
    assert place.is_dir() if content is None else place.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"<!doctype html>precious", b'{"created": 1, "exitcode": 0}', None])
def test_a_page_replaces_nothing_but_a_page(pytester: pytest.Pytester, content: bytes | None) -> None:
    model = own_gate(pytester, value="0")
    place = pytester.path / "page.html"
    place.write_bytes(content) if content is not None else place.mkdir()
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-html=page.html")
    assert result.ret == 4
    said = "ERROR: --gate-html=page.html: a file that is not a page of a gate run lies there; move it first"
    assert said in result.stderr.lines
    assert place.is_dir() if content is None else place.read_bytes() == content


def test_the_report_of_an_earlier_run_is_replaced(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    words = (f"--model-dir={model}", "test_mine.py", "--gate-report=report.json", "--json-report-file=other.json")
    assert run(pytester, *words).ret == 0
    (pytester.path / "artifacts" / "reports").mkdir()
    before = (pytester.path / "report.json").read_bytes()
    assert run(pytester, *words, "--gate-report=artifacts/reports/mine.json").ret == 0
    assert run(pytester, *words).ret == 0
    assert (pytester.path / "report.json").read_bytes() != before


def test_places_of_every_model_under_test_are_kept(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    (pytester.path / "other").mkdir()
    other = bare_model(pytester, "1700000001").rename(pytester.path / "other" / "1700000001")
    (pytester.path / "second" / "models").mkdir(parents=True)
    other = other.rename(pytester.path / "second" / "models" / other.name)
    words = (f"--model-dir={model}", f"--model-dir={other}", "test_mine.py", "--gate-report=second/promotions.log")
    result = run(pytester, *words)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --gate-report=second/promotions.log: the registry keeps its own files there*"])
    assert not Path("second/promotions.log").exists()
