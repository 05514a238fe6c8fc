"""How often the gates of rows and of telling features refuse honest rows of a model that is not a signal.

Run by itself it prints the table of docs/statistics.md: ``python -m tests.calibration.rows_sweep``. Every sample has a
seed of its own, so that the same versions print the same table.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pytest_modelgates.model.panel import Panel
from pytest_modelgates.model.panel_checks import share_of_repeated_rows
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.stats.giveaway import giveaway

Random = np.random.Generator
LIMITS = load_policy(None)
GATES = ["data.repeated_rows", "leak.target"]


@dataclass(frozen=True)
class Table:
    """Rows with features and a target; `asset` numbers who or what a row is of, None if rows have no names."""

    features: pd.DataFrame
    target: NDArray[np.float64]
    classes: bool
    asset: NDArray[np.intp] | None


FINE, COARSE = ("full", "full", "skewed"), ("rounded", "count", "binary", "code")


def column(random: Random, latent: NDArray[np.float64], kinds: Sequence[str]) -> NDArray[np.float64]:
    """Write down a quantity as tables do: in full, rounded, counted, yes or no, or as a code."""
    match random.choice(kinds):
        case "rounded":
            return np.round(latent, 1)
        case "skewed":
            return np.round(np.exp(latent + 3), 2)
        case "count":
            return np.floor(np.exp(0.7 * latent + 1))
        case "binary":
            return (latent > random.normal()).astype(float)
        case "code":
            levels = int(random.integers(3, 40))
            edges = np.quantile(latent, np.linspace(0, 1, levels + 1)[1:-1])
            return random.permutation(levels)[np.searchsorted(edges, latent)].astype(float)
    return latent


def honest(random: Random) -> Table:
    """Draw rows that somebody could have: the best feature ranks the target by up to some 0.9, and values are missing.

    In half of the tables cases come up to twelve times, on other days, and some of their features stay what they are.
    In a third all features have few values, so that different rows are equal.
    """
    rows = int(np.exp(random.uniform(np.log(150), np.log(5000))))
    visits = int(random.choice([1, 1, 4, 12]))
    asset = np.arange(rows) // visits
    count = int(random.integers(3, 15))
    latent = random.standard_normal((rows, count))
    lasting = random.random(count) < 0.4 if visits > 1 else np.zeros(count, dtype=bool)
    latent[:, lasting] = latent[asset * visits][:, lasting]
    weights = random.standard_normal(count) * (random.random(count) < 0.5)
    weights[0] += random.uniform(0, 3)
    score = latent @ weights / max(1e-9, float(np.linalg.norm(weights)))
    known = random.uniform(0, 0.95)
    outcome = known * score + np.sqrt(1 - known**2) * random.standard_normal(rows)
    classes = bool(random.random() < 0.5)
    if classes:
        outcome = (outcome > np.quantile(outcome, 1 - random.uniform(0.1, 0.9))).astype(float)
    elif random.random() < 0.3:
        outcome = np.round(outcome, 1)
    kinds = COARSE if random.random() < 1 / 3 else (*FINE, *COARSE)
    features = pd.DataFrame({f"f{place}": column(random, each, kinds) for place, each in enumerate(latent.T)})
    for name in features:
        if random.random() < 0.3:  # missing by chance, or rather where the target is large
            chance = random.uniform(0, 0.3) * np.where(outcome > np.median(outcome), random.uniform(0.3, 3), 1)
            features.loc[random.random(rows) < chance, name] = np.nan
    return Table(features, outcome, classes, asset if visits > 1 or random.random() < 0.3 else None)


def refusals(table: Table) -> set[str]:
    """Name the gates that refuse a table, by the limits of the packaged policy."""
    names = list(table.features)
    told = giveaway(table.features, table.target, classes=table.classes)
    frame, keys = table.features.assign(target=table.target), list[str]()
    if table.asset is not None:
        frame, keys = frame.assign(day=frame.groupby(table.asset).cumcount(), asset=table.asset), ["day", "asset"]
    sidecar = SimpleNamespace(names=names, target="target", keys=keys, asset="asset" if keys else None)
    panel = Panel(frame, sidecar)  # type: ignore[arg-type]
    values = dict(zip(GATES, (share_of_repeated_rows(panel)[0], told.value), strict=True))
    return {gate for gate, value in values.items() if not LIMITS.limit(gate).contains(value)}


def refused(*, runs: int, seed: int) -> Counter[str]:
    """Count the honest tables that each gate refuses, and those that either does."""
    found: Counter[str] = Counter()
    for run in range(runs):
        gates = refusals(honest(np.random.default_rng([run, seed])))
        found.update(gates)
        found["either"] += bool(gates)
    return found


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    counts = refused(runs=given.runs, seed=given.seed)
    print("| gate | honest tables refused [%] |\n|---|---|")
    for each in [*GATES, "either"]:
        print(f"| {each} | {100 * counts[each] / given.runs:.1f} |")
