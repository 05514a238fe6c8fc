"""Whether a model would do better without one of its feature groups. Tests the fixed model, not a refit one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import StatisticsError
from .significance import holm, mean_exceeds


@dataclass(frozen=True, slots=True)
class Ablation:
    """What neutralising one feature group does to the daily IC after costs.

    Parameters
    ----------
    gain : float
        Mean of the IC without the group less the IC with it.
    bound : float
        The gain that is too small to matter.
    p_value : float
        Of the gain being no more than `bound`, one-sided.
    p_adjusted : float
        After Holm over the groups.
    n_days : int
    """

    gain: float
    bound: float
    p_value: float
    p_adjusted: float
    n_days: int


def ablate(
    ic: ArrayLike, without: Mapping[str, ArrayLike], *, margin: float, margin_share: float, horizon: int, seed: int
) -> dict[str, Ablation]:
    """Test for each feature group whether the model would earn more without it.

    Parameters
    ----------
    ic : array_like, shape (n_days,)
        Daily IC after costs of the whole model.
    without : mapping of str to array_like, shape (n_days,)
        The same with the group's columns at their cross-sectional median.
    margin, margin_share : float
        Gains up to max(`margin`, `margin_share` times the mean IC) do not matter: on many names two columns of noise
        would be called harmful without it.
    horizon : int
        Of the target [days].
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to Ablation

    Raises
    ------
    StatisticsError
        If there is no group, or the days differ.

    Notes
    -----
    Neutralising keeps what the other groups do; permuting within a day would keep the group's turnover, now random,
    and hides a group that costs more than it earns. The difference is paired by day as in [1]_, the adjustment is
    [2]_.

    References
    ----------
    .. [1] F. X. Diebold and R. S. Mariano, Comparing predictive accuracy, Journal of Business & Economic Statistics
       13(3), 1995.
    .. [2] S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2),
       1979.
    """
    whole = np.asarray(ic, dtype=np.float64)
    if not without:
        raise StatisticsError("no feature group to ablate; the sidecar gives every feature one")
    gains = {}
    for group, series in without.items():
        rest = np.asarray(series, dtype=np.float64)
        if rest.shape != whole.shape:
            raise StatisticsError(
                f"{group}: {rest.shape} days without the group, {whole.shape} with it; score the same panel"
            )
        gains[group] = rest - whole
    bound = max(margin, margin_share * float(whole.mean()))
    tests = {
        group: mean_exceeds(gain, bound=bound, horizon=horizon, seed=seed) if gain.any() else None
        for group, gain in gains.items()
    }
    # A group that the model does not use changes nothing on any day: no gain, and nothing to test.
    p_values = {group: test.p_against if test else 1.0 for group, test in tests.items()}
    adjusted = holm(list(p_values.values()))
    return {
        group: Ablation(
            gain=float(gain.mean()),
            bound=bound,
            p_value=p_values[group],
            p_adjusted=float(adjusted[index]),
            n_days=len(whole),
        )
        for index, (group, gain) in enumerate(gains.items())
    }
