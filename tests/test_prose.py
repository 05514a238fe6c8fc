"""The mechanical rules of the prose, over every comment, docstring and document; quoted code is left out."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pytest_modelgates", "gates", "examples", "benchmarks")
PLACES = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
PLACES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
QUOTED = re.compile(r"```.*?```|``.*?``|`[^`]*`", re.DOTALL)
FORBIDDEN = re.compile(
    r"\b(lest|whoever|mend|mends|mended|for ever|what (is|are) no)\b"
    # Not "X is no Y", but "X is not a Y". "There is no X" and comparisons are plain enough.
    r"|(?<!\bthere )\b(is|are) no (?!(longer|shorter|more|less|better|worse)\b|\w+er than\b)\w+",
    re.IGNORECASE,
)


def prose_of(path: Path) -> Iterator[str]:
    """Every paragraph of a document; every docstring of a module, and every run of its comments as one text."""
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        yield from QUOTED.sub("…", source).split("\n\n")
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    comments, last = [""], 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments += [""] if token.start[0] > last + 1 else []
            comments[-1] += token.string.lstrip("#")
            last = token.start[0]
    yield from comments


def hits(text: str) -> list[str]:
    """What breaks a rule, wherever the lines end."""
    return [found[0] for found in FORBIDDEN.finditer(" ".join(QUOTED.sub("…", text).split()))]


@pytest.mark.parametrize("path", sorted(PLACES), ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_plain(path: Path) -> None:
    assert [(broken, text) for text in prose_of(path) if (broken := hits(text))] == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("A link that is no\nlink.", ["is no link"]),
        ("What is no number", ["What is no"]),
        ("It is no longer here, there is no file, and it is no slower than `what is no code`.", []),
    ],
    ids=["denied", "relative", "plain"],
)
def test_the_rules_tell_riddles_from_plain_words(text: str, broken: list[str]) -> None:
    assert hits(text) == broken
