"""Whether the signal holds year by year, or quarter by quarter in a panel within one year."""

import pytest

from pytest_modelgates import Folds, Gate


@pytest.mark.hard
@pytest.mark.gate("wf.positive_folds")
def test_positive_folds(folds: Folds, gate: Gate) -> None:
    """The IC after costs is positive in enough calendar years."""
    gate.check(
        folds.share_positive, sample=len(folds.means), p_value=folds.positive_p, median=folds.median, slope=folds.slope
    )


@pytest.mark.hard
@pytest.mark.gate("wf.worst_fold")
def test_worst_fold(folds: Folds, gate: Gate) -> None:
    """The worst year fits the model's own others: it lies no further below them than the worst of K like years does."""
    worst = str(folds.labels[folds.worst])
    gate.check(folds.worst_p, sample=len(folds.means), worst_t=folds.worst_t, worst_fold=worst)
