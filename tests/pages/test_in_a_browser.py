"""The pages in Debian's Chromium: nothing is asked for, nothing is complained of, everything has a name and fits."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, sync_playwright

from pytest_modelgates.pages.dashboard import dashboard
from pytest_modelgates.pages.run_page import run_page
from tests.cli.test_paper import predicted, traded
from tests.support.handmade import Registry, green_ledger, green_run, log_predictions, record

from .test_dashboard import HOSTILE, checked, gated, scored

BINARY = "chromium"
pytestmark = pytest.mark.integration

# Of every text: what is the contrast of its colour with what is behind it (WCAG 2.2, relative luminance).
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c) && c !== 'transparent') return c } return 'rgb(255, 255, 255)' };
  let least = 21;
  for (const e of document.querySelectorAll('main *, nav *, footer')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest('title, desc')) continue;
    const style = getComputedStyle(e), [a, b] = [light(e.closest('svg') ? style.fill : style.color), light(behind(e))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least }"""
UNNAMED = """() => [...document.querySelectorAll('[role=img], [role=region], nav, a, summary')]
  .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).length"""

# What a closed table holds is reached once it is open.
VISIBLE = """() => [...document.querySelectorAll('a[href], summary, [tabindex="0"]')]
  .filter(e => !e.closest('details:not([open]) > :not(summary)')).length"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which(BINARY)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"{BINARY} is not installed; apt-get install {BINARY}")
    assert path, f"{BINARY} is not installed, and CI looks at the pages in it"
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root, as whom CI runs; the pages are ours.
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def pages(registry: Registry, tmp_path: Path) -> list[Path]:
    """The dashboard and the page of a red run, with hostile text wherever it can stand."""
    checked(registry, reasons=[HOSTILE])
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    log_predictions(registry.artifacts, scored(registry, 40))
    gated(registry, registry.live, 2e-6, -0.002, HOSTILE)
    gated(registry, registry.candidate, 3e-6, 0.004, HOSTILE)
    contents = dashboard(registry.artifacts, registry.in_force)
    directory, policy = registry.artifacts.model(registry.candidate), registry.policy
    run = green_run(directory, policy)
    miss = record("wf.worst_fold", policy, 0.0)
    gates = [miss if each.gate == miss.gate else each for each in run.gates]
    gates[0] = msgspec.structs.replace(
        gates[0], evidence=(msgspec.structs.replace(gates[0].evidence[0], note=HOSTILE),)
    )
    ledger = green_ledger(directory, policy, run=msgspec.structs.replace(run, gates=tuple(gates)))
    contents["run"] = run_page(ledger, policy, report=HOSTILE)
    for name, content in contents.items():
        (tmp_path / f"{name}.html").write_bytes(content)
    return [tmp_path / f"{name}.html" for name in contents]


@pytest.mark.parametrize(
    ("width", "scheme", "media"),
    [(1280, "light", "screen"), (1280, "dark", "screen"), (390, "light", "screen"), (800, "light", "print")],
    ids=["light", "dark", "phone", "print"],
)
def test_pages_ask_for_nothing_and_can_be_read(
    browser: Browser, pages: list[Path], width: int, scheme: Any, media: Any
) -> None:
    for place in pages:
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        said, requests = list[str](), list[str]()
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on("request", lambda request, requests=requests: requests.append(request.url))
        page.emulate_media(media=media)
        page.goto(place.as_uri())
        assert (place.name, said, requests) == (place.name, [], [place.as_uri()])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place.name
        assert page.evaluate(CONTRAST) >= 4.5, place.name
        assert page.evaluate(UNNAMED) == 0, place.name
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
        assert page.evaluate("document.scripts.length") == 0
        page.close()


def test_the_keyboard_reaches_the_content_first_and_opens_a_table(browser: Browser, pages: list[Path]) -> None:
    page = browser.new_page()
    page.goto(pages[2].as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
    page.close()


def test_the_keyboard_reaches_all_that_can_be_used_and_shows_where_it_is(browser: Browser, pages: list[Path]) -> None:
    for place in pages:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(place.as_uri())
        count = page.evaluate("document.querySelectorAll('a[href], summary, [tabindex=\"0\"]').length")
        shown = 0
        for _ in range(count):
            page.keyboard.press("Tab")
            shown += page.evaluate(
                "(e => e.matches('a, summary, [tabindex]') && getComputedStyle(e).outlineStyle !== 'none' && !e.seen"
                " && (e.seen = true))(document.activeElement)"
            )
        assert (place.name, shown) == (place.name, page.evaluate(VISIBLE))
        page.close()
