"""Summaries in Markdown: no text breaks out, and what speaks against a model stands in them."""

from pathlib import Path

import pytest

from pytest_modelgates.pages.markdown import append_summary, bullets, refusal_summary, table, titled


def test_a_table_has_a_cell_for_each_text_and_nothing_else() -> None:
    assert table(("a", ""), [("x|y", "<b>\n*z*"), ("", "1")]) == (
        "| a | |\n|---|---|\n| x\\|y | &lt;b&gt;<br>\\*z\\* |\n| | 1 |\n"
    )


def test_a_refusal_lists_every_reason_with_its_repair() -> None:
    text = "1 is not promoted:\n  parity.max_abs_diff failed → pack again\n  the report is old → modelgates gate DIR"
    assert refusal_summary("modelgates promote: refused", text) == (
        "### modelgates promote: refused\n\n1 is not promoted:\n\n"
        "- parity.max\\_abs\\_diff failed → pack again\n- the report is old → modelgates gate DIR\n\n"
    )


def test_a_title_and_a_list_escape_too() -> None:
    assert titled("a #b", bullets(["[x](javascript:1)\x1b"])) == "### a \\#b\n\n- \\[x\\](javascript:1)\\\\x1b\n\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("- x", "&#45; x"),
        ("+ x", "&#43; x"),
        ("12. x", "&#49;2. x"),
        ("1) x", "&#49;) x"),
        ("===", "&#61;=="),
        ("---", "&#45;--"),
        ("-0.5 nat", "-0.5 nat"),
        ("1.5 /year", "1.5 /year"),
        ("$a$ @team https://e.com", "\\$a\\$ \\@team https\\://e.com"),
        ("www.e.com", "www\\.e.com"),
    ],
)
def test_no_line_becomes_a_list_a_formula_a_mention_or_a_link(text: str, written: str) -> None:
    assert titled("t", bullets([text])) == f"### t\n\n- {written}\n\n"


def test_a_summary_is_appended_to_the_file_given_else_to_githubs_else_to_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    append_summary("nowhere\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    append_summary("one\n")
    append_summary("two\n", tmp_path / "own.md")
    append_summary("three\n")
    assert (tmp_path / "step.md").read_text() == "one\nthree\n"
    assert (tmp_path / "own.md").read_text() == "two\n"
