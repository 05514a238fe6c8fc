"""The page of the gates says what the packaged policy says: every SLO once, and what it asks."""

from collections import Counter
from pathlib import Path

import pytest

from pytest_modelgates.policy.load import load_policy

TEXT = (Path(__file__).parents[2] / "docs" / "gates.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in TEXT.splitlines() if line.startswith(("| `", "| ↳"))
]
SLOS = load_policy(None).slo


def test_every_slo_has_one_row_and_every_row_an_slo() -> None:
    assert Counter(row[0].strip("↳ `") for row in ROWS) == Counter(list(SLOS))


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0].strip("↳ `")) for row in ROWS])
def test_a_row_shows_the_severity_the_question_and_the_limit_of_the_policy(row: list[str]) -> None:
    name, severity, asks, limit = row
    slo = SLOS[name.strip("↳ `")]
    assert (severity, limit) == (slo.severity, f"{slo} {slo.unit}")
    assert name.startswith("↳") == (slo.gate is not None)
    assert asks.replace("*", "") == slo.asks
    assert slo.formula


def test_a_limit_beside_another_stands_below_its_gate() -> None:
    gates = [row[0].strip("↳ `") for row in ROWS]
    for place, name in enumerate(gates):
        above = next(gate for gate in gates[place::-1] if SLOS[gate].gate is None)
        assert above == (SLOS[name].gate or name)
