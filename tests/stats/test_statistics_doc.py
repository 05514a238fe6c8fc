"""The documentation of the statistics names every gate, and its worked examples hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from examples.sp500.features import FEATURES, GROUPS, load_prices
from examples.sp500.models import MODELS, inputs
from pytest_modelgates.drift import ks_test, psi
from pytest_modelgates.model.schema import schema_crc32
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.ablation import ablate
from pytest_modelgates.stats.baseline import MOST_ROWS
from pytest_modelgates.stats.decay import forward_returns
from pytest_modelgates.stats.holdings import Holdings, simulate
from pytest_modelgates.stats.placebo import placebo_test
from pytest_modelgates.stats.quantiles import quantile, quantile_interval
from pytest_modelgates.stats.ranks import daily_rank_ic
from pytest_modelgates.stats.sequential import BAND, SAMPLE, dkw_radius, look_level, uniform_radius
from pytest_modelgates.stats.significance import ewc_error, ewc_p_value, mean_exceeds
from pytest_modelgates.stats.walkforward import calendar_folds, folds

TEXT = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text("utf-8")


@pytest.mark.parametrize("family", sorted({name.partition(".")[0] for name in load_policy(None).slo}))
def test_every_family_of_gates_has_its_entry(family: str) -> None:
    assert any(line.startswith("## ") and f"`{family}." in line for line in TEXT.splitlines())


def test_the_worked_examples_hold() -> None:
    golden, live = (np.repeat([0.0, 1.0], counts) for counts in ([500, 500], [250, 750]))
    found = [
        f"PSI = {psi(golden, live):.4f}, KS = {ks_test(golden, live).statistic:.2f}",
        "{:.2f} ms, between {:.0f} and {:.0f}".format(
            quantile(np.arange(1, 101), 0.95), *quantile_interval(np.arange(1, 101), 0.95)
        ),
        schema_crc32([("mom", "float32"), ("rev", "float32")]),
        "{:.3f} + {:.3f} = {:.3f} apart".format(*_sum(dkw_radius(5000, SAMPLE), dkw_radius(1000, look_level(1, 20)))),
        "{:.3f} + {:.3f} = {:.3f}.".format(*_sum(dkw_radius(5000, SAMPLE), uniform_radius(1000, BAND, first=20))),
    ]
    assert [each for each in found if each not in " ".join(TEXT.split())] == []


def _sum(golden: float, rows: float) -> tuple[float, float, float]:
    return golden, rows, golden + rows


def test_the_rows_of_a_slow_metric_are_as_many_as_the_documentation_says() -> None:
    assert f"of more than {MOST_ROWS:,} rows so many are drawn once" in " ".join(TEXT.split())


class Example:
    """A model of examples/sp500, whose panel is complete: every day has the same assets in the same order."""

    def __init__(self, name: str) -> None:
        self.trained = MODELS[name](load_prices())
        panel = self.trained.data.panel
        self.days, assets = (panel[key].unique() for key in ("time", "asset"))
        self.shape = len(self.days), len(assets)
        self.rows, self.returns = inputs(panel), panel["ret_next"].to_numpy().reshape(self.shape)

    def held(self, *, cost_bps: float, rows: np.ndarray | None = None) -> Holdings:
        """Follow the scores of the panel's rows, or of others."""
        scores = self.trained.estimator.predict(self.rows if rows is None else rows).reshape(self.shape)
        return simulate(scores, self.returns, horizon=self.trained.horizon, cost_bps=cost_bps)

    def changed(self, group: str, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Change a group's columns day by day."""
        rows = self.rows.copy()
        for name in GROUPS[group]:
            column = FEATURES.index(name)
            rows[:, column] = change(self.rows[:, column].reshape(self.shape)).ravel()
        return rows


def placebos(trees: Example, held: Holdings) -> list[str]:
    """Compare the trees with their placebos, and a portfolio that never changes."""
    found = placebo_test(held, trees.returns, seed=1)
    backwards = np.tile(-np.arange(trees.shape[1]), (trees.shape[0], 1))
    tilt = simulate(backwards, trees.returns, horizon=1, cost_bps=2)
    fixed = placebo_test(tilt, trees.returns, seed=1)
    charged = placebo_test(held, trees.returns, trials=75, seed=1)
    assert fixed.p_value == fixed.p_days == 1
    return [
        f"has p = {found.p_value:.4f} (names {found.p_names:.4f}, days {found.p_days:.4f}) by itself and "
        f"{charged.p_value:.3f} after 75 trials (names {charged.p_names:.4f}, days {charged.p_days:.4f}), and "
        f"{100 * found.static:.0f} % of its position",
        f"IC {fixed.ic:.4f} and p_against = {mean_exceeds(tilt.ic_net, horizon=1, seed=1).p_against:.3f}. Other names "
        f"would have earned as much with p = {fixed.p_names:.2f}",
    ]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_the_examples_of_the_trees_hold() -> None:
    trees = Example("lightgbm_5d")
    (dear, held, _free), horizon = (trees.held(cost_bps=bps) for bps in (5, 2, 0)), trees.trained.horizon
    test = mean_exceeds(held.ic_net, horizon=horizon, seed=1)
    later = mean_exceeds(dear.ic_net, horizon=horizon, seed=1).p_against
    years = folds(held.ic_net, calendar_folds(trees.days[held.first :]), purge=held.first)
    momentum = trees.rows[:, FEATURES.index("mom_252_21")].reshape(trees.shape)
    ic = daily_rank_ic(momentum, forward_returns(trees.returns, horizon=5))
    ic = ic[~np.isnan(ic)]
    naive, honest = (ic.mean() / error for error in (ic.std(ddof=1) / np.sqrt(ic.size), ewc_error(ic)))
    found = [
        f"on {test.n:,} days at 2 bp: mean {test.mean:.4f}, p = {test.p_against:.4f}.",
        f"the first has p = {later:.3f}, which does not survive",
        f"{len(years.n)} years, {(years.means > 0).sum()} of them above 0 (p = {years.positive_p:.2f}), "
        f"worst {years.labels[years.worst]} with {years.means[years.worst]:.3f}, t = {years.worst_t:.2f} against the",
        f"p = {len(years.n)} · {years.worst_p / len(years.n):.3f} = {years.worst_p:.2f}, a bad year that the limit "
        "still admits",
        f"t = {naive:.1f} in place of {honest:.1f}",
        *placebos(trees, held),
    ]
    assert [each for each in found if each.replace("-", "−") not in " ".join(TEXT.split())] == []


def test_the_examples_of_the_line_hold() -> None:
    line = Example("ridge_1d")
    positions = line.held(cost_bps=2)
    free, held = line.held(cost_bps=0).ic_net, positions.ic_net
    costless, costly = (mean_exceeds(ic, horizon=1, seed=1) for ic in (free, held))
    found = [
        f"{costless.mean:.4f} (p = {costless.p_against:.4f}) and {costly.mean:.4f} after (p = {costly.p_against:.2f})",
    ]
    years = folds(held, calendar_folds(line.days[positions.first :]), purge=positions.first)
    found += [
        f"above 0 in {(years.means > 0).sum()} of {len(years.n)}.",
        f"fits the others (p = {years.worst_p:.2f})",
    ]
    medians = {group: line.changed(group, lambda days: days * 0 + np.median(days, axis=1)[:, None]) for group in GROUPS}
    for bps, whole, said in (
        (2, held, "d = +{0.gain:.4f}, p = {0.p_value:.4f}, after Holm {0.p_adjusted:.4f}: {0.outcome}."),
        (0, free, "Before costs d = {0.gain:.4f}, after Holm {0.p_adjusted:.2f}."),
    ):
        without = {group: line.held(cost_bps=bps, rows=rows).ic_net for group, rows in medians.items()}
        ablation = ablate(whole, without, margin=0.001, margin_share=0.05, horizon=1)
        found.append(said.format(ablation["reversal"]))
    assert [each for each in found if each.replace("-", "−") not in " ".join(TEXT.split())] == []
    for seed in range(3):
        order = np.random.default_rng(seed).random(line.shape).argsort(axis=1)
        shuffled = line.changed("reversal", lambda days, order=order: np.take_along_axis(days, order, axis=1))
        gain = line.held(cost_bps=2, rows=shuffled).ic_net - held
        assert -0.016 < gain.mean() < -0.009
        assert ewc_p_value(gain)[0] > 0.4
