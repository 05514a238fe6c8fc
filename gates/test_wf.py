"""Whether the signal holds year by year, or quarter by quarter in a panel within one year."""

from collections.abc import Callable

import pytest

from pytest_modelgates.gating.gate import Gate
from pytest_modelgates.stats.walkforward import Folds


@pytest.mark.hard
@pytest.mark.gate("wf.positive_folds")
def test_positive_folds(years: Callable[[Gate], Folds], gate: Gate) -> None:
    """The IC after costs is positive in enough calendar years."""
    found = years(gate)
    gate.check(
        found.share_positive, sample=len(found.means), p_value=found.positive_p, median=found.median, slope=found.slope
    )


@pytest.mark.hard
@pytest.mark.gate("wf.worst_fold")
def test_worst_fold(years: Callable[[Gate], Folds], gate: Gate) -> None:
    """The worst year is no worse than the worst of as many normal years may be, in one case of twenty.

    With K years this holds the worst z-score against the 5 % quantile of the minimum of K normals.
    """
    found = years(gate)
    worst = str(found.labels[int(found.z.argmin())])
    gate.check(found.worst_p, sample=len(found.means), worst_z=found.worst_z, worst_fold=worst)
