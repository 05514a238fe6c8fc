"""What the documents name is there: links and their anchors, tests, modules, and every name that they import."""

import ast
import re
from pathlib import Path

import pytest

import pytest_modelgates
import pytest_modelgates.drift

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("examples/*/*.md"),
    )
    if ".venv" not in page.parts
)
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}
PUBLIC = {module.__name__: set(module.__all__) for module in (pytest_modelgates, pytest_modelgates.drift)}


def anchors(text: str) -> set[str]:
    """Name every heading as a Markdown viewer does."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[name]):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    assert broken == []


def test_pictures_are_small_and_said_in_words() -> None:
    shown = [
        (words, ROOT / name) for text in TEXTS.values() for words, name in re.findall(r"!\[(.*?)\]\((.*?)\)", text)
    ]
    assert shown == [("A refused model's page", ROOT / "docs" / "run.png")]
    for _, path in shown:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000


@pytest.mark.parametrize("name", TEXTS)
def test_every_test_named_exists(name: str) -> None:
    there = {path.name for folder in ("gates", "tests") for path in ROOT.glob(f"{folder}/**/*.py")}
    assert sorted(set(re.findall(r"\btest_\w+\.py\b", TEXTS[name])) - there) == []


def test_the_modules_of_the_statistics_are_there() -> None:
    lines = re.findall(r"^\*.*?Modules? .*?\*|^\*`.*?\*", TEXTS["docs/statistics.md"], flags=re.MULTILINE)
    named = {module for line in lines for module in re.findall(r"`([\w.]+)`", line)}
    package = ROOT / "pytest_modelgates"
    found = {path.relative_to(package).with_suffix("") for path in package.glob("**/*.py")}
    assert len(named) > 15
    assert [name for name in sorted(named) if not {Path(name.replace(".", "/")), Path("stats", name)} & found] == []


@pytest.mark.parametrize("name", TEXTS)
def test_examples_import_public_names_alone(name: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TEXTS[name], flags=re.DOTALL | re.MULTILINE)
    imports = [node for block in blocks for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if str(node.module).startswith("pytest_modelgates")]
    hidden = [f"{node.module}.{each.name}" for node in ours for each in node.names if not known(node, each.name)]
    assert hidden == []


def known(node: ast.ImportFrom, name: str) -> bool:
    return name in PUBLIC.get(str(node.module), set()) | {"*"}


def test_every_fixture_of_the_docs_is_there() -> None:
    table = TEXTS["docs/reference/gating.md"].partition("## Fixtures\n")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    sources = [path.read_text("utf-8") for path in (ROOT / "pytest_modelgates" / "gating" / "fixtures").glob("*.py")]
    there = {name for source in sources for name in re.findall(r"^def (\w+)", source, re.MULTILINE)}
    assert len(named) > 20
    assert sorted(named - there - {"feature_group"}) == []


def test_the_first_page_names_every_verb() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "pytest_modelgates" / "cli").glob("*.py")]
    verbs = {verb for source in sources for verb in re.findall(r"\.(?:add|noun)\(\s*\"([\w-]+)\"", source)}
    assert len(verbs) > 15
    assert sorted(verb for verb in verbs if not re.search(rf"\b{verb}\b", TEXTS["README.md"])) == []


def test_the_first_page_is_short_enough_to_be_read() -> None:
    assert len(TEXTS["README.md"].split()) <= 1000
    assert len(TEXTS["README.md"].splitlines()) < 120


def test_the_first_screen_shows_a_run_that_the_tutorial_has_too_and_a_picture() -> None:
    screen = TEXTS["README.md"].splitlines()[:36]
    assert sum(line.startswith("$ ") for line in screen) <= 5
    assert any(line.startswith("![") for line in screen)
    assert any("pytest-modelgates on PyPI, and no other name" in line for line in screen)
    # In a checkout, pytest would load what the project's own tests need.
    (install,) = [line for line in screen if line.startswith("$ pip ")]
    assert f"`{install[2:].partition('  #')[0].rstrip()}`" in TEXTS["docs/tutorial.md"]
    # The tutorial's output is what tests/test_tutorial.py sees; columns of a table are as wide as they must be.
    row = r"(?m)^([a-z]+\.\w+) +(?:hard|soft) (\S+ \S+) +(\S*[<≤≥>]\S*) .*(passed|WARN)$"
    shown, seen = (re.findall(row, text) for text in ("\n".join(screen), TEXTS["docs/tutorial.md"]))
    assert [entry for entry in shown if entry not in seen and not entry[0].startswith("latency.")] == []
    assert len(shown) == 5


@pytest.mark.parametrize("name", [name for name in TEXTS if not name.startswith("docs/adr/0")])
def test_lines_wrap_at_100_columns_but_for_tables_and_what_was_printed(name: str) -> None:
    prose = re.sub(r"```.*?```", "", TEXTS[name], flags=re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > 100 and not line.startswith("|")] == []
