"""Family-wise size and power of the p-value after all trials: ``python -m tests.calibration.trials_sweep``."""

import argparse
from dataclasses import dataclass

import numpy as np

from pytest_modelgates.stats.trials import adjusted_p, align_trials

DAYS, TRIALS = 500, 20
# Share of the variance that all trials have in common, autocorrelation, and how far one trial is above 0 [s.e.].
CASES = {
    "independent": (0.0, 0.0, 0.0),
    "half shared": (0.5, 0.0, 0.0),
    "nine tenths shared": (0.9, 0.0, 0.0),
    "half shared, AR(0.6)": (0.5, 0.6, 0.0),
    "one of mean 3.5 s.e., half shared": (0.5, 0.0, 3.5),
}


@dataclass(frozen=True, slots=True)
class Passes:
    """How often the best of the trials passes at 10 %: judged alone, with all at hand, and with none at hand."""

    alone: float
    known: float
    unknown: float


def passes(case: str, *, runs: int, seed: int = 0) -> Passes:
    """Draw trials, choose the best, and adjust its p-value."""
    shared, memory, above = CASES[case]
    days, counts = np.datetime64("2020-01-01") + np.arange(DAYS), np.zeros(3)
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        drawn = np.sqrt(shared) * rng.standard_normal((DAYS + 50, 1))
        drawn = drawn + np.sqrt(1 - shared) * rng.standard_normal((DAYS + 50, TRIALS))
        for day in range(1, len(drawn) if memory else 0):
            drawn[day] = memory * drawn[day - 1] + np.sqrt(1 - memory**2) * drawn[day]
        series = drawn[50:]
        series[:, 0] += above / np.sqrt(DAYS)
        best = int(series.mean(axis=0).argmax())
        chosen, others = series[:, best], np.delete(series, best, axis=1).T
        alone, known = (align_trials(days, chosen, chosen, [(days, o, o) for o in them]) for them in ((), others))
        tries = (adjusted_p(chosen, trials, count=count, seed=run) for trials, count in ((alone, 1), (known, TRIALS)))
        one, all_known = (found.p for found in tries)
        unknown = adjusted_p(chosen, alone, count=TRIALS, seed=run).p
        # With one that is good, only its own passes count.
        right = not above or best == 0
        counts += [p <= 0.10 and right for p in (one, all_known, unknown)]
    return Passes(*(counts / runs))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    for name in CASES:
        found = passes(name, runs=given.runs, seed=given.seed)
        print(f"| {name} | {found.alone:.1%} | {found.known:.1%} | {found.unknown:.1%} |", flush=True)
