"""Whether the signal holds year by year, or quarter by quarter in a panel within one year."""

import pytest

from pytest_modelgates.gate import Gate
from pytest_modelgates.stats.walkforward import Folds


@pytest.mark.hard
@pytest.mark.gate("wf.positive_folds")
def test_positive_folds(years: Folds, gate: Gate) -> None:
    """The IC after costs is positive in enough calendar years."""
    gate.check(
        years.share_positive, sample=len(years.means), p_value=years.positive_p, median=years.median, slope=years.slope
    )


@pytest.mark.hard
@pytest.mark.gate("wf.worst_fold")
def test_worst_fold(years: Folds, gate: Gate) -> None:
    """The worst year is no worse than the worst of as many normal years may be, in one case of twenty.

    With K years this holds the worst z-score against the 5 % quantile of the minimum of K normals.
    """
    worst = int(years.z.argmin())
    gate.check(years.worst_p, sample=len(years.means), worst_z=years.worst_z, worst_fold=str(years.labels[worst]))
