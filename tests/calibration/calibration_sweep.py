"""How often the tests reject, by simulation: size under several nulls, power, families of groups, models of noise.

Run by itself it prints the tables of docs/statistics.md: ``python tests/calibration/calibration_sweep.py``. Every
sample has a seed of its own, so that the same versions print the same tables.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from pytest_modelgates.stats.ablation import ablate
from pytest_modelgates.stats.agreement import daily_agreement
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.quantiles import Series
from pytest_modelgates.stats.significance import ewc_p_value, mean_exceeds
from pytest_modelgates.stats.walkforward import folds, length_folds

LENGTHS = (120, 250, 500, 1250, 2500)


def overlapping(random: np.random.Generator, n: int, width: int) -> Series:
    """Draw a sum over `width` independent values."""
    return np.convolve(random.standard_normal(n + width - 1), np.ones(width), "valid")


def autoregressive(random: np.random.Generator, n: int) -> Series:
    """Draw x_t = 0.6 x_(t-1) + e_t, started from its stationary distribution."""
    noise = random.standard_normal(n)
    noise[0] /= 0.8
    for t in range(1, n):
        noise[t] += 0.6 * noise[t - 1]
    return noise


def garch(random: np.random.Generator, n: int) -> Series:
    """Draw GARCH(1, 1) with parameters 0.05, 0.90 and Student innovations of 5 degrees of freedom."""
    shocks = random.standard_t(5, n + 100) * np.sqrt(3 / 5)
    variance, drawn = 1.0, np.empty(n + 100)
    for t, shock in enumerate(shocks):
        drawn[t] = np.sqrt(variance) * shock
        variance = 0.05 + 0.05 * drawn[t] ** 2 + 0.90 * variance
    return drawn[100:]


# Name, how to draw it, over how many values neighbours overlap, and the long-run standard deviation.
NULLS: dict[str, tuple[Callable[[np.random.Generator, int], Series], int, float]] = {
    "iid": (lambda random, n: random.standard_normal(n), 1, 1.0),
    "MA(5)": (lambda random, n: overlapping(random, n, 5), 5, 5.0),
    "MA(21)": (lambda random, n: overlapping(random, n, 21), 21, 21.0),
    "AR(0.6)": (autoregressive, 1, 2.5),
    "GARCH-t": (garch, 1, 1.0),
}


@dataclass(frozen=True)
class Rates:
    """Shares of samples in which p_against, p_ewc and p_bootstrap are at most 10 % and 5 %."""

    at_ten: tuple[float, float, float]
    at_five: tuple[float, float, float]


def rejections(null: str, n: int, *, runs: int, noncentrality: float = 0.0, n_resamples: int = 999) -> Rates:
    """Test samples of one null, shifted by so many standard errors of its mean."""
    draw, horizon, deviation = NULLS[null]
    shift = noncentrality * deviation / np.sqrt(n)
    found = np.empty((runs, 3))
    for run in range(runs):
        series = draw(np.random.default_rng([run, n, list(NULLS).index(null)]), n) + shift
        test = mean_exceeds(series, horizon=horizon, n_resamples=n_resamples, seed=run)
        found[run] = test.p_against, test.p_ewc, test.p_bootstrap
    ten, five = ((found <= level).mean(axis=0).tolist() for level in (0.10, 0.05))
    return Rates(tuple(ten), tuple(five))


def ceiling(noncentrality: float) -> float:
    """Power of the test that knows the variance, at 10 %."""
    return float(1 - ndtr(ndtri(0.90) - noncentrality))


def family_errors(*, runs: int, groups: int, n: int = 1000, joint: bool = False) -> float:
    """Share of models of which any group without effect beyond the margin is called harmful."""
    called = 0
    for run in range(runs):
        random = np.random.default_rng([run, groups])
        whole = random.normal(0.0, 0.2, n)
        # On the edge of the null hypothesis: a gain of exactly the margin.
        without = {f"g{g}": whole + random.normal(0.001, 0.05, n) for g in range(groups)}
        results = ablate(
            whole, without, margin=0.001, margin_share=0.0, horizon=1, seed=run, joint=joint, n_resamples=499
        )
        called += any(ablation.outcome == "harmful" for ablation in results.values())
    return called / runs


def false_passes(*, runs: int, horizon: int, cost_bps: float = 0.0, days: int = 750, names: int = 20) -> float:
    """Share of models whose scores are noise that pass every hard gate about the signal."""
    passed = 0
    for run in range(runs):
        random = np.random.default_rng([run, horizon])
        # Scores that last, as those of real features do, and returns with a common factor.
        scores = np.cumsum(random.standard_normal((days, names)), axis=0)
        returns = 0.01 * random.standard_normal((days, names)) + 0.01 * random.standard_normal((days, 1))
        held = simulate(scores, returns, horizon=horizon, cost_bps=cost_bps)
        # The cosines alone refuse nearly as many as both, and the larger p-value is no smaller.
        if ewc_p_value(held.ic_net)[0] > 0.10:
            continue
        if mean_exceeds(held.ic_net, horizon=horizon, n_resamples=499, seed=run).p_against > 0.10:
            continue
        parts = random.standard_normal((2, days, names))
        without = {
            f"g{g}": simulate(scores + part, returns, horizon=horizon, cost_bps=cost_bps).ic_net
            for g, part in enumerate(parts)
        }
        groups = ablate(held.ic_net, without, margin=0.001, margin_share=0.05, horizon=horizon)
        years = folds(held.ic_net, length_folds(len(held.ic_net), length=240), purge=held.first)
        passed += (
            all(group.p_adjusted > 0.10 for group in groups.values())
            and years.share_positive >= 0.5
            and years.worst_p >= 0.01
            and placebo_test(held, returns, n_resamples=999, seed=run).p_value <= 0.10
            and ewc_p_value(held.net)[0] <= 0.25
        )
    return passed / runs


# How many names there are, whose scores by two models correlate by so much on a day.
DayByDay = Callable[[np.random.Generator, int], Series]
NAMES = 20


def lasting(random: np.random.Generator, days: int) -> Series:
    """Draw correlations that stay low or high for a while, 0.9 at their middle."""
    return np.tanh(np.arctanh(0.9) + 0.4 * autoregressive(random, days))


def broken(random: np.random.Generator, days: int) -> Series:
    """Draw copies of which one day in twenty went wrong altogether."""
    return np.where(random.random(days) < 0.05, 0.0, 1.0)


AGREEMENTS: dict[str, DayByDay] = {
    "0.9 every day": lambda _, days: np.full(days, 0.9),
    "around 0.9, lasting": lasting,
    "copies, wrong one day in 20": broken,
}


def expected_rank_correlation(correlation: Series, names: int) -> Series:
    """Expect Spearman's correlation of so many pairs of normals (Moran 1948, Biometrika 35:203)."""
    return 6 / np.pi * (np.arcsin(correlation) + (names - 2) * np.arcsin(correlation / 2)) / (names + 1)


def bound_coverage(kind: str, days: int, *, runs: int) -> tuple[float, float]:
    """Share of samples whose lower 5 % bound of the daily agreement is below the true mean, and how far on average."""
    draw = AGREEMENTS[kind]
    truth = float(expected_rank_correlation(draw(np.random.default_rng(0), 400_000), NAMES).mean())
    lower = np.empty(runs)
    for run in range(runs):
        random = np.random.default_rng([run, days, list(AGREEMENTS).index(kind)])
        a, noise = random.standard_normal((2, days, NAMES))
        rho = draw(random, days)[:, np.newaxis]
        b = rho * a + np.sqrt(1 - rho**2) * noise
        lower[run] = daily_agreement(a.ravel(), b.ravel(), np.repeat(np.arange(days), NAMES)).lower
    return float((lower <= truth).mean()), truth - float(lower.mean())


def main() -> None:
    """Print every table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=3000)
    runs = arguments.parse_args().runs
    print(f"Size in %, {runs} samples each: p_against / p_ewc / p_bootstrap\n")
    print("| null | n | at 10 % | at 5 % | power at non-centrality 2, ceiling " + f"{100 * ceiling(2):.1f} |")
    print("|---|---|---|---|---|")
    for null in NULLS:
        for n in LENGTHS:
            size, power = rejections(null, n, runs=runs), rejections(null, n, runs=runs // 4, noncentrality=2.0)
            cells = [
                " / ".join(f"{100 * rate:.1f}" for rate in rates) for rates in (size.at_ten, size.at_five, power.at_ten)
            ]
            print(f"| {null} | {n} | {cells[0]} | {cells[1]} | {cells[2]} |", flush=True)
    print(f"\nFamily-wise error of the ablation gate at 10 %, {runs // 5} models each\n")
    print("| groups | Holm | StepM |\n|---|---|---|")
    for groups in (2, 5, 10):
        rates = [family_errors(runs=runs // 5, groups=groups, joint=joint) for joint in (False, True)]
        print(f"| {groups} | {100 * rates[0]:.1f} | {100 * rates[1]:.1f} |", flush=True)
    print(f"\nModels of noise that pass every hard gate of the signal in %, {runs} each\n")
    print("| horizon | free of cost | at 2 bp |\n|---|---|---|")
    for horizon in (1, 5):
        passed = [100 * false_passes(runs=runs, horizon=horizon, cost_bps=bps) for bps in (0.0, 2.0)]
        print(f"| {horizon} | {passed[0]:.1f} | {passed[1]:.1f} |", flush=True)
    print(
        f"\nThe lower 5 % bound of the daily agreement lies below the truth in %, {runs // 2} samples each (how far)\n"
    )
    print("| agreement of a day | 20 days | 60 days | 250 days |\n|---|---|---|---|")
    for kind in AGREEMENTS:
        found = [bound_coverage(kind, days, runs=runs // 2) for days in (20, 60, 250)]
        print(f"| {kind} | " + " | ".join(f"{100 * share:.1f} ({gap:.3f})" for share, gap in found) + " |", flush=True)


if __name__ == "__main__":
    main()
