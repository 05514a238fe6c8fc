"""Reading reports: strictly, with one line for whatever is wrong."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.storage.digests import sha256
from tests.support.handmade import edited, green_ledger, write_report


@pytest.fixture
def report(packed_once: Path, tmp_path: Path) -> Path:
    """A report made by hand."""
    return write_report(tmp_path / "report.json", green_ledger(packed_once, load_policy(None)))


def test_a_report_is_read_with_the_digest_of_its_bytes(report: Path, packed_once: Path) -> None:
    found = read_report(report)
    assert (found.report.exitcode, list(found.report.modelgates.models)) == (0, [packed_once.name])
    assert found.digest == sha256(report.read_bytes())


def test_a_digest_that_a_report_claims_of_itself_counts_for_nothing(report: Path) -> None:
    edited(report, "digest", value="claimed")
    assert read_report(report).digest == sha256(report.read_bytes())


def test_a_seal_that_a_report_claims_of_itself_counts_for_nothing(report: Path) -> None:
    edited(report, "sealed_by", value="ed25519:" + "0" * 64)
    assert read_report(report).sealed_by is None


def test_what_other_plugins_write_beside_the_ledger_is_let_be(report: Path) -> None:
    edited(report, "tests", value=[{"nodeid": "x"}])
    assert read_report(report).report.exitcode == 0


WRONG = [
    pytest.param(["exitcode"], "0", "Expected `int`, got `str` - at `$.exitcode`", id="exit-code-as-text"),
    pytest.param(["modelgates", "format"], 2, "Invalid enum value 2 - at `$.modelgates.format`", id="format"),
    pytest.param(["modelgates", "new"], 1, "Object contains unknown field `new` - at `$.modelgates`", id="unknown-key"),
    pytest.param(["modelgates", "run", "exit_status"], True, "Expected `int`, got `bool`", id="bool-as-number"),
    pytest.param(["modelgates", "run", "started"], "2026-01-01T00:00:00", "run.started", id="no-time-zone"),
    pytest.param(["modelgates", "run", "policy_digest"], "f" * 63, "$.modelgates.run.policy_digest", id="short-digest"),
    pytest.param(["modelgates", "models"], None, "Expected `object`, got `null`", id="null"),
]


@pytest.mark.parametrize(("keys", "value", "said"), WRONG)
def test_a_value_of_the_wrong_kind_is_named(report: Path, keys: list[str], value: object, said: str) -> None:
    with pytest.raises(FormatError) as refused:
        read_report(edited(report, *keys, value=value))
    assert str(refused.value).startswith(f"{report}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"exitcode": 0, "tests": []}'])
def test_json_that_is_no_report_says_how_to_make_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(FormatError, match="not the report of a gate run → pytest --model-dir=DIR"):
        read_report(tmp_path / "r.json")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_no_number_that_json_does_not_know_gets_in(report: Path, value: str) -> None:
    text = report.read_text()
    assert '"value": 0.05' in text
    report.write_text(text.replace('"value": 0.05', f'"value": {value}'))
    with pytest.raises(FormatError):
        read_report(report)


def test_a_key_that_appears_twice_is_refused(report: Path) -> None:
    report.write_text(report.read_text().replace('"exitcode": 0', '"exitcode": 1, "exitcode": 0'))
    with pytest.raises(FormatError, match="key 'exitcode' appears twice; keep one"):
        read_report(report)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in (
        (tmp_path, "a folder, expected a regular file"),
        (tmp_path / "pipe", "a pipe, expected a regular file"),
        (tmp_path / "gone.json", "no such file"),
        (tmp_path / "gone" / "r.json", "no such file"),
    ):
        with pytest.raises(FormatError, match=f"^{place}: {said} → pytest --model-dir=DIR$"):
            read_report(place)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("modelgates"), inner),
)


@given(content=st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_but_a_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile.json"
    file.write_bytes(content)
    with pytest.raises(FormatError):
        read_report(file)


@pytest.mark.parametrize("name", ["report.json", "report.dsse.json"])
def test_a_terabyte_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(FormatError, match=rf"{name}: 1000000000000 bytes, expected at most 67108864 → "):
        read_report(tmp_path / name)
