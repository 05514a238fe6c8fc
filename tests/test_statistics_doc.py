"""The documentation of the statistics names every gate, and its worked examples hold."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from pytest_modelgates.drift import ks_test, psi
from pytest_modelgates.model.sidecar import schema_crc32
from pytest_modelgates.registry.policy import load_policy
from pytest_modelgates.stats.quantiles import quantile

TEXT = (Path(__file__).parents[1] / "docs" / "statistics.md").read_text("utf-8")


@pytest.mark.parametrize("family", sorted({name.partition(".")[0] for name in load_policy(None).slo}))
def test_every_family_of_gates_has_its_entry(family: str) -> None:
    assert any(line.startswith("## ") and f"`{family}." in line for line in TEXT.splitlines())


def test_the_worked_examples_hold() -> None:
    golden, live = (np.repeat([0.0, 1.0], counts) for counts in ([500, 500], [250, 750]))
    found = [
        f"PSI = {psi(golden, live):.4f}, KS = {ks_test(golden, live).statistic:.2f}",
        f"{quantile(np.arange(1, 101), 0.95):.2f} ms",
        schema_crc32([("mom", "float32"), ("rev", "float32")]),
        f"= {1 - (1 - ndtr(-1.4)) ** 18:.2f}, an ordinary worst year",
    ]
    assert [each for each in found if each not in TEXT] == []
