"""Whether a model would do better without one of its feature groups."""

import re

import numpy as np
import pytest
from scipy.stats import binom

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.ablation import Ablation, Series, ablate
from pytest_modelgates.stats.significance import holm, mean_exceeds_closed

DAYS = 1000
OPTIONS = {"margin": 0.001, "margin_share": 0.05, "horizon": 1, "seed": 3, "n_resamples": 199}


def ic(seed: int = 0, mean: float = 0.02) -> Series:
    """Draw the daily IC of a model."""
    return np.random.default_rng(seed).normal(mean, 0.2, DAYS)


def change(seed: int, mean: float, spread: float = 0.05) -> Series:
    """Draw what taking a group away changes."""
    return np.random.default_rng(seed).normal(mean, spread, DAYS)


def test_each_group_is_harmful_useful_useless_or_not_known() -> None:
    whole = ic()
    ablations = ablate(
        whole,
        {
            "noise that trades": whole + change(1, 0.02),
            "the signal": whole + change(2, -0.02),
            "hardly used": whole + change(3, 0.0, spread=0.001),
            "not used": whole,
            "who knows": whole + change(4, 0.0, spread=0.5),
        },
        **OPTIONS,
    )
    assert [ablation.outcome for ablation in ablations.values()] == [
        "harmful",
        "useful",
        "useless",
        "useless",
        "inconclusive",
    ]


def test_every_number_follows_its_definition() -> None:
    whole, without = ic(mean=0.04), {"a": ic() + change(1, 0.03), "b": ic() + change(2, 0.0)}
    ablations = ablate(whole, without, **OPTIONS)
    bound = 0.05 * whole.mean()
    p_values = [mean_exceeds_closed(series - whole, bound=bound)[0] for series in without.values()]
    for ablation, series, p, adjusted in zip(
        ablations.values(), without.values(), p_values, holm(p_values), strict=True
    ):
        assert ablation.gain == pytest.approx((series - whole).mean())
        assert ablation.bound == pytest.approx(0.05 * whole.mean())
        assert (ablation.p_value, ablation.p_adjusted) == (p, adjusted)
        assert ablation.interval[0] < ablation.gain < ablation.interval[1]
        assert ablation.n_days == DAYS


def test_no_seed_decides_near_the_level() -> None:
    whole = ic()
    # The first group lies 1.9 standard errors above the margin, so that its p-value, of three groups, is near 0.10.
    gain = change(30, 0)
    gain += 0.001 - gain.mean() + 1.9 * gain.std() / np.sqrt(DAYS)
    without = {"g0": whole + gain, "g1": whole + change(31, -0.01), "g2": whole + change(32, -0.01)}
    found = [ablate(whole, without, **{**OPTIONS, "margin_share": 0, "seed": seed}) for seed in range(20)]
    assert 0.05 < found[0]["g0"].p_adjusted < 0.2
    assert all(each == found[0] for each in found)


def test_a_model_without_skill_has_the_smallest_margin() -> None:
    whole = ic(mean=-0.05)
    assert ablate(whole, {"a": whole + change(1, 0)}, **OPTIONS)["a"].bound == 0.001


def test_a_gain_below_the_margin_is_not_harm_however_certain() -> None:
    whole = ic()
    small = ablate(whole, {"a": whole + change(1, 0.0005, spread=0.0005)}, **OPTIONS)["a"]
    assert (small.outcome, small.p_adjusted > 0.9) == ("useless", True)
    harmful = ablate(
        whole, {"a": whole + change(1, 0.0005, spread=0.0005)}, **{**OPTIONS, "margin": 0, "margin_share": 0}
    )
    assert harmful["a"].outcome == "harmful"


def test_a_group_that_the_model_does_not_use_costs_the_others_nothing() -> None:
    whole = ic()
    used = {"a": whole + change(1, 0.006)}
    unused = {f"unused {i}": whole for i in range(20)}
    one, other = ablate(whole, used, **OPTIONS), ablate(whole, used | unused, **OPTIONS)
    assert one["a"] == other["a"]
    assert other["unused 3"] == Ablation(0.0, other["a"].bound, 1.0, 1.0, DAYS, (0.0, 0.0), "useless")


def test_the_joint_adjustment_spares_groups_that_move_together() -> None:
    whole, common = ic(), change(1, 0.005)
    without = {f"g{i}": whole + common + change(10 + i, 0, spread=0.002) for i in range(12)}
    apart, joint = ablate(whole, without, **OPTIONS), ablate(whole, without, joint=True, **OPTIONS)
    for group in without:
        assert joint[group].p_value <= joint[group].p_adjusted < apart[group].p_adjusted


@pytest.mark.parametrize("joint", [False, True], ids=["holm", "stepm"])
def test_groups_without_effect_are_called_harmful_one_time_in_ten_at_most(joint: bool) -> None:
    runs, called = 60, 0
    for seed in range(runs):
        whole = ic(seed)
        without = {f"g{i}": whole + change(1000 * (seed + 1) + i, 0.001) for i in range(4)}
        ablations = ablate(whole, without, joint=joint, **{**OPTIONS, "margin_share": 0})
        called += any(ablation.outcome == "harmful" for ablation in ablations.values())
    assert called <= binom.ppf(0.999, runs, 0.10)


def test_no_group_is_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^no feature group to ablate; the sidecar gives every feature one$"):
        ablate(ic(), {}, **OPTIONS)


def test_days_without_a_number_are_refused() -> None:
    holed = np.where(np.arange(1000) == 7, np.nan, ic())
    for whole, without, name in ((holed, ic(), "IC"), (ic(), holed, "IC without a")):
        with pytest.raises(StatisticsError, match=f"^{name} has 1 of 1000 values NaN or infinite: remove their cause$"):
            ablate(whole, {"a": without}, **OPTIONS)


def test_days_that_differ_are_refused() -> None:
    message = "a: (999,) days without the group, (1000,) with it; score the same panel"
    with pytest.raises(StatisticsError, match=f"^{re.escape(message)}$"):
        ablate(ic(), {"a": ic()[1:]}, **OPTIONS)
