"""`modelgates gate` writes the page of its run beside the report, and ends as it would without one."""

import sys
from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.pages.render import is_page

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("there", [True, False], ids=["with the extra", "without it"])
def test_the_page_lies_beside_the_report(
    good_model: Path, there: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not there:
        monkeypatch.setitem(sys.modules, "jinja2", None)
    done = main(["gate", str(good_model)])
    said, reports = capsys.readouterr(), good_model.parents[1] / "reports" / good_model.name
    (report,) = reports.glob("*.json")
    assert done == 0
    assert f"kept: {report}" in said.out
    page = report.with_suffix(".html")
    if there:
        assert f"page: {page}" in said.out
        assert is_page(page.read_bytes())
    else:
        assert not page.exists()
        missing = "jinja2 is not installed; run: pip install 'pytest-modelgates[pages]'"
        assert f"modelgates: no page of the run is written: {missing}" in said.err
