"""The site of the docs: built strictly, each link leads somewhere, all comes from here, and a browser shows it."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from pytest_modelgates.cli.examples import EXAMPLES
from pytest_modelgates.policy.load import load_policy
from tests.pages.test_in_a_browser import BINARY, CONTRAST
from tests.support.once import once

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.integration
LOOKED_AT = [
    "index.html",
    "tutorial.html",
    "how-to/registry.html",
    "gates.html",
    "statistics.html",
    "reference/python.html",
    "reference/stats/significance.html",
    "adr/index.html",
]


class Links(HTMLParser):
    """What a page leads to and loads, and the names that lead into it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads, self.loads, self.names, self.text = set[str](), set[str](), {""}, ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.names.add(found.get("id") or "")
        if tag == "a" and (href := found.get("href")):
            self.leads.add(href)
        elif tag in {"link", "script", "img", "iframe"} and (place := found.get("src") or found.get("href")):
            self.loads.add(place)

    def handle_data(self, data: str) -> None:
        self.text += data


def run(tree: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does, to another place."""
    (command,) = re.findall(r"^\t\$\(BIN\)/(mkdocs build.*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return subprocess.run(
        [sys.executable, "-m", *command.split(), "--site-dir", site],
        cwd=tree,
        env={name: value for name, value in os.environ.items() if name != "REPOSITORY_URL"},
        capture_output=True,
        text=True,
    )


def build(folder: Path) -> Path:
    done = run(ROOT, folder / "site")
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_a_link_or_a_heading_that_is_not_there_ends_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    for name in ("gates", "pytest_modelgates"):
        (tmp_path / name).symlink_to(ROOT / name)
    glossary = tmp_path / "docs" / "glossary.md"
    glossary.write_text(glossary.read_text("utf-8") + "\n[page](nowhere.md), [heading](gates.md#nowhere)\n", "utf-8")
    done = run(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "Aborted with 2 warnings" in done.stdout + done.stderr


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Path:
    return once(request, "site", build)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Links]:
    return {str(page.relative_to(site)): Links(page) for page in sorted(site.rglob("*.html"))}


def test_each_link_leads_to_a_page_and_a_heading_of_it(site: Path, pages: dict[str, Links]) -> None:
    assert len(pages) > 100
    broken = []
    for name, page in pages.items():
        for link in page.leads:
            parts = urlsplit(link)
            if parts.scheme or name == "404.html":
                assert parts.scheme in {"https", ""}, link
                continue
            there = os.path.normpath(Path(name).parent / unquote(parts.path)) if parts.path else name
            found = pages.get("index.html" if there == "." else there)
            if (site / there).is_file() if found is None else unquote(parts.fragment) in found.names:
                continue
            broken.append((name, link))
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Links]) -> None:
    loaded = {place for page in pages.values() for place in page.loads}
    assert len(loaded) > 5
    assert [place for place in sorted(loaded) if urlsplit(place).netloc] == []
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    urls = [url for style in styles for url in re.findall(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""", style)]
    assert len(urls) > 5
    assert [url for url in urls if not url.startswith(("data:", "../", "./"))] == []


def test_every_command_gate_and_key_of_the_policy_has_its_place(pages: dict[str, Links]) -> None:
    commands = pages["reference/commands.html"].names
    assert [verb for verb in EXAMPLES if f"modelgates-{verb.replace(' ', '-')}" not in commands] == []
    gates = {slo.gate or name for name, slo in load_policy(None).slo.items()}
    assert {name for name in pages if name.startswith("reference/gates/")} == {
        f"reference/gates/{gate}.html" for gate in gates
    }
    shown = pages["reference/policy.html"].text
    for file in ("default.toml", "operations.toml"):
        sections = tomllib.loads((ROOT / "pytest_modelgates" / "policy" / file).read_text("utf-8"))
        sections.pop("slo", None)
        keys = {key for section in sections.values() if isinstance(section, dict) for key in section}
        assert [key for key in sorted({*sections, *keys}) if key not in shown] == []


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")], ids=["light", "dark", "phone"]
)
def test_pages_can_be_read_and_ask_nobody_else(address: str, width: int, scheme: Any) -> None:
    path = shutil.which(BINARY)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"{BINARY} is not installed; apt-get install {BINARY}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in LOOKED_AT:
            page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            said, asked = list[str](), list[str]()
            page.on("console", lambda message, said=said: said.append(message) if message.type != "log" else None)
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(address + name)
            assert (name, said, [url for url in asked if not url.startswith(address)]) == (name, [], [])
            assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            seen = CONTRAST.replace("'main *, nav *, footer'", "'[role=main] *, .navbar a, .bs-sidebar a'")
            assert page.evaluate(seen) >= 4.5, name
            assert page.evaluate("document.querySelectorAll('h1').length") == 1
            page.close()
        browser.close()


def test_a_search_finds_a_page(address: str) -> None:
    path = shutil.which(BINARY)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"{BINARY} is not installed; apt-get install {BINARY}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}index.html", wait_until="networkidle")
        page.get_by_role("link", name="Search").click()
        page.locator("#mkdocs-search-query").press_sequentially("placebo")
        page.locator("#mkdocs-search-results article").first.wait_for()
        browser.close()
