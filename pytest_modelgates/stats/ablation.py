"""Whether a model would do better without one of its feature groups.

With one model throughout, this tests how the model uses a group. With models that were refitted without the group, it
tests the group itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from .comparison import step_down
from .quantiles import finite_series
from .resampling import MINIMUM_VALUES
from .significance import ewc_bounds, ewc_p_value, holm, mean_exceeds_closed

Outcome = Literal["harmful", "useful", "useless", "inconclusive"]
Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ablation:
    """What taking one feature group away does to the daily IC.

    Parameters
    ----------
    gain : float
        Mean of the IC without the group less the IC with it.
    bound : float
        The gain or loss that is too small to matter.
    p_value, p_adjusted : float
        One-sided p-values of the hypothesis that the gain is at most `bound`: of this group alone, and adjusted for
        having tested all groups.
    n_days : int
        Days compared [days].
    interval : (float, float)
        Covers the gain with 90 % confidence.
    outcome : str
        "harmful" if the gain exceeds the bound, "useful" if the loss does, both by adjusted p-values; "useless" if the
        interval lies within the bound on either side; else "inconclusive".
    """

    gain: float
    bound: float
    p_value: float
    p_adjusted: float
    n_days: int
    interval: tuple[float, float]
    outcome: Outcome


def ablate(
    ic: ArrayLike,
    without: Mapping[str, ArrayLike],
    *,
    margin: float,
    margin_share: float,
    horizon: int,
    level: float = 0.10,
    joint: bool = False,
    seed: int = 0,
    n_resamples: int = 9999,
) -> dict[str, Ablation]:
    """Test for each feature group whether the model would do better, or worse, without it.

    Parameters
    ----------
    ic : array_like, shape (n_days,)
        Daily IC of the whole model, after costs or before.
    without : mapping of str to array_like, shape (n_days,)
        The same with the group's columns at their cross-sectional median, or of a model refitted without them.
    margin, margin_share : float
        Gains up to max(`margin`, `margin_share` times the mean IC) do not matter. Without this bound a panel of many
        names would call two columns of noise harmful.
    horizon : int
        Horizon of the target [days]; blocks of the bootstrap are no shorter.
    level : float, default 0.10
        The adjusted p-value up to which a group is called harmful or useful.
    joint : bool, default False
        Adjust by the joint bootstrap of StepM [3]_ in place of Holm [2]_: more powerful for many groups.
    seed, n_resamples : int, default 0 and 9999
        Of the joint bootstrap; nothing else draws.

    Returns
    -------
    dict of str to Ablation
        One for each group, in the order of `without`.

    Raises
    ------
    StatisticsError
        If there is no group, the days differ, a series is not finite or has fewer than 20 days, a gain is the same on
        every day without being 0, or a number is out of its range; with `joint` also if there are no more days than
        groups.

    Notes
    -----
    Setting a group's columns to their median leaves alone what the other groups do. Permuting them within a day would
    not: the group would still trade, now at random, and a group that costs more than it earns would go unseen. The
    difference is paired by day as in [1]_, and "useless" is an equivalence test [4]_.

    References
    ----------
    .. [1] F. X. Diebold and R. S. Mariano, Comparing predictive accuracy, Journal of Business & Economic Statistics
       13(3), 1995.
    .. [2] S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6:65, 1979.
    .. [3] J. P. Romano and M. Wolf, Stepwise multiple testing as formalized data snooping, Econometrica 73:1237, 2005.
    .. [4] D. J. Schuirmann, A comparison of the two one-sided tests procedure and the power approach for assessing the
       equivalence of average bioavailability, J. Pharmacokinetics and Biopharmaceutics 15:657, 1987.
    """
    whole = finite_series(ic, name="IC", at_least=MINIMUM_VALUES)
    if not without:
        raise StatisticsError("no feature group to ablate; the sidecar gives every feature one")
    gains = {}
    for group, series in without.items():
        rest = finite_series(series, name=f"IC without {group}")
        if rest.shape != whole.shape:
            raise StatisticsError(
                f"{group}: {rest.shape} days without the group, {whole.shape} with it; score the same panel"
            )
        # The loss differential of Diebold and Mariano 1995: what moves both series on a day cancels.
        gains[group] = rest - whole
    # A model that loses has a negative share; the fixed margin then counts.
    bound = max(margin, margin_share * float(whole.mean()))
    # A group that the model does not use changes nothing on any day, and a series of zeros cannot be tested.
    used = {group: gain for group, gain in gains.items() if gain.any()}
    harm = _harm(used, bound, horizon, seed, n_resamples, joint)
    # "Useful" never decides the gate, so the cosine test is enough.
    losses = [ewc_p_value(-gain, bound=bound)[0] for gain in used.values()]
    useful = dict(zip(used, holm(losses).tolist(), strict=True)) if used else {}
    return {
        group: _conclude(gain, bound, harm[group], useful[group], level)
        if group in used
        else Ablation(0.0, bound, 1.0, 1.0, len(whole), (0.0, 0.0), "useless")
        for group, gain in gains.items()
    }


def _harm(
    gains: Mapping[str, Series], bound: float, horizon: int, seed: int, n_resamples: int, joint: bool
) -> dict[str, tuple[float, float]]:
    """Return for each group the p-value of "the gain is at most the bound", alone and adjusted for all groups."""
    if not gains:
        return {}
    # In closed form, because near the level a seed would decide.
    tests = [mean_exceeds_closed(gain, bound=bound, horizon=horizon) for gain in gains.values()]
    p_values = [p for p, _ in tests]
    # Holm 1979 holds however the groups depend on each other; what that costs, StepM wins back below.
    adjusted = holm(p_values)
    if joint:
        # Groups are resampled on the same days, so one block length has to cover the dependence of each.
        block = max(block for _, block in tests)
        stepped = step_down(
            np.stack(list(gains.values()), axis=1), bound=bound, seed=seed, block=block, n_resamples=n_resamples
        )
        # StepM is a bootstrap, and alone it rejects too often in short samples. So each group keeps at least its own
        # p-value, in which the cosines count too.
        adjusted = np.maximum(stepped, p_values)
    return {group: (p, float(q)) for group, p, q in zip(gains, p_values, adjusted, strict=True)}


def _conclude(gain: Series, bound: float, harm: tuple[float, float], use: float, level: float) -> Ablation:
    # Schuirmann 1987: a 90 % interval within the bounds is two one-sided tests at 5 %. "Not significant" would not do,
    # because a short sample makes everything insignificant.
    low, high = ewc_bounds(gain)
    outcome: Outcome = "inconclusive"
    if harm[1] <= level:
        outcome = "harmful"
    elif use <= level:
        outcome = "useful"
    elif -bound <= low and high <= bound:
        outcome = "useless"
    return Ablation(float(gain.mean()), bound, *harm, gain.size, (low, high), outcome)
