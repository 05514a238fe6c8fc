"""What a package index shows of the project: README with links that work there, and where the code can be read."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
URL = "https://code.example/desk/gates"


def metadata(**variables: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if name != "REPOSITORY_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "metadata"],
        cwd=ROOT,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.integration
def test_built_where_the_repository_is_known_each_link_leads_into_it() -> None:
    shown = metadata(REPOSITORY_URL=f"{URL}/")
    links = re.findall(r"(!?)\[[^\]]*\]\((?!#)([^)]+)\)", shown["readme"]["text"])
    assert ("!", f"{URL}/raw/HEAD/docs/run.png") in links
    assert ("", f"{URL}/blob/HEAD/docs/tutorial.md") in links
    for _, link in links:
        place = re.sub(rf"{URL}/(raw|blob)/HEAD/", "", link).partition("#")[0]
        assert (ROOT / place).is_file(), link
    assert shown["urls"] == {
        "Source": URL,
        "Issues": f"{URL}/issues",
        "Changelog": f"{URL}/blob/HEAD/CHANGELOG.md",
    }


@pytest.mark.integration
def test_built_elsewhere_it_has_no_link_that_leads_nowhere() -> None:
    shown = metadata()
    assert "urls" not in shown
    assert re.findall(r"\]\((?!https?:)[^)]*\)", shown["readme"]["text"]) == []
    assert "run.png" not in shown["readme"]["text"]
    assert "[Gates]" not in shown["readme"]["text"]
    assert "| Gates |" in shown["readme"]["text"]
