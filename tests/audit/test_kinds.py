"""The kinds of records: each is one word, and the page on files says the same of it."""

import re
from pathlib import Path

import pytest

from pytest_modelgates.audit.kinds import KINDS, OF_TRIALS, SHOWN

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "files.md"


@pytest.mark.parametrize("kind", SHOWN)
def test_a_kind_is_one_word_of_small_letters(kind: str) -> None:
    assert re.fullmatch(r"[a-z][a-z-]{0,39}", kind)


def test_no_kind_has_two_names() -> None:
    assert len(set(SHOWN)) == len(SHOWN)


def test_the_page_on_files_says_of_each_kind_what_its_subject_and_evidence_are() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", PAGE.read_text("utf-8").partition("## Logs")[2], re.M)
    assert rows == [(name, kind.subject, kind.evidence) for name, kind in KINDS.items()]


def test_the_ledger_of_trials_finds_its_own_kinds_alone() -> None:
    assert [kind for kind in KINDS if f'"kind":"{kind}"'.encode().startswith(OF_TRIALS)] == ["trial", "trials-added"]
