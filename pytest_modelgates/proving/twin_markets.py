"""Changes of what a twin's market did: returns, baselines, live predictions."""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..model.candidate import Candidate
from ..model.directory import SIDECAR
from ..model.sidecar import BASELINE, REFERENCE, RET_NEXT
from ..policy.place import operations_at
from ..predictions.parts import PartWriter
from ..predictions.records import FORMAT, Prediction
from ..stats.holdings import simulate
from ..stats.significance import ewc_error
from ..stats.target import compounded
from ..storage.digests import tree_digest
from ..storage.strict_json import readable
from .twin_files import write_panel, write_probes
from .twin_models import SEED, with_term, write_model

__all__ = [
    "against_group",
    "against_score",
    "knowing_baseline",
    "many_trials",
    "ruinous_year",
    "shifted_shadow",
]

Matrix = NDArray[np.float64]
SHADOW_ROWS = 1000
# Large enough to show in every statistic, and to dwarf a cost of some basis points [return a day].
LARGE, NOISE = 0.05, 0.005
# Of t = 7, or one somewhat above it, nothing is left after so many trials.
SURE, MANY = 7.0, 10**18


def positions_of(
    candidate: Candidate, features: NDArray[np.generic], *, horizon: int | None = None
) -> tuple[Matrix, int]:
    """The positions of each day, scaled to length 1, and the first day on which they are complete."""
    panel = candidate.panel
    scores = panel.by_day(candidate.model.predict(features))
    holdings = simulate(scores, panel.returns, horizon=horizon or candidate.sidecar.horizon, cost_bps=0)
    size = np.linalg.norm(holdings.weights, axis=1, keepdims=True)
    return np.divide(holdings.weights, size, out=np.zeros_like(holdings.weights), where=size > 0), holdings.first


def write_returns(candidate: Candidate, direction: Matrix, first: int, days: NDArray[np.bool_]) -> None:
    """Make returns, and the target with them, follow `direction` with a little noise, on those days that `days` marks.

    `days` and `direction` begin with the day `first`.
    """
    panel, rng = candidate.panel, np.random.default_rng(SEED)
    size = np.sqrt((direction**2).mean(axis=1, keepdims=True))
    unit = np.divide(direction, size, out=np.zeros_like(direction), where=size > 0)
    returns = panel.returns.copy()
    returns[first:][days] = (LARGE * unit + NOISE * rng.standard_normal(unit.shape))[days]
    target = compounded(returns, horizon=panel.sidecar.horizon)
    target = np.where(np.isnan(target), panel.by_day(panel.outcome), target)
    for name, values in ((RET_NEXT, returns), (panel.sidecar.target, target)):
        panel.frame[name] = values[panel.day_codes, panel.asset_codes]
    write_panel(candidate.directory, panel.frame)


def against_score(target: Path) -> None:
    """Make returns go against the positions, every day."""
    candidate = Candidate(target)
    weights, first = positions_of(candidate, candidate.panel.features)
    write_returns(candidate, -weights, first, np.ones(len(weights), dtype=bool))


def ruinous_year(target: Path) -> None:
    """Make returns go against the positions, in the year with most days."""
    candidate = Candidate(target)
    weights, first = positions_of(candidate, candidate.panel.features)
    years = candidate.panel.days.year.to_numpy()[first : first + len(weights)]
    names, counts = np.unique(years, return_counts=True)
    write_returns(candidate, -weights, first, years == names[counts.argmax()])


def against_group(target: Path, group: str) -> None:
    """Make returns punish what one feature group adds; a model that hardly uses the group first gets a term in it."""
    candidate = Candidate(target)
    positions = candidate.sidecar.groups[group]
    whole, without, first = _contribution(candidate, positions)
    if (np.abs(whole - without).max(axis=1) > 1e-9).mean() < 0.5:
        panel, name = candidate.panel, candidate.sidecar.names[positions[0]]
        # The values must differ from asset to asset, and those of a feature of the whole market do not.
        noise = np.random.default_rng(SEED).integers(0, 2, len(panel.frame))
        panel.frame[name] = noise.astype(candidate.sidecar.features[positions[0]].dtype)
        write_panel(target, panel.frame)
        write_model(target, with_term(Candidate(target), positions[0], 1))
        candidate = Candidate(target)
        # The native model would have the term too, so the twin stays in parity.
        candidate.panel.frame[REFERENCE] = candidate.scores
        write_probes(candidate)
        whole, without, first = _contribution(candidate, positions)
    write_returns(candidate, without - whole, first, np.ones(len(whole), dtype=bool))


def _contribution(candidate: Candidate, positions: list[int]) -> tuple[Matrix, Matrix, int]:
    whole, first = positions_of(candidate, candidate.panel.features)
    return whole, positions_of(candidate, np.concatenate([*candidate.panel.blocks(neutral=positions)]))[0], first


def many_trials(target: Path) -> None:
    """Declare more trials than any IC survives; one that is too sure for that is diluted by noise first."""
    candidate = Candidate(target)
    panel, sidecar = candidate.panel, candidate.sidecar
    ic = simulate(panel.by_day(candidate.scores), panel.returns, horizon=sidecar.horizon, cost_bps=0).ic
    sure = float(ic.mean()) / ewc_error(ic)
    if sure > SURE:
        # Noise of k standard deviations divides the IC, and so its t, by the root of 1 + k^2.
        returns, rng = panel.frame[RET_NEXT].to_numpy(), np.random.default_rng(SEED)
        noise = np.sqrt((sure / SURE) ** 2 - 1) * np.nanstd(returns)
        panel.frame[RET_NEXT] = returns + noise * rng.standard_normal(len(returns))
        write_panel(target, panel.frame)
    (target / SIDECAR).write_bytes(readable(msgspec.structs.replace(sidecar, tried=MANY)))


def knowing_baseline(target: Path) -> None:
    """Make the baseline predict what happened."""
    panel = Candidate(target).panel
    panel.frame[BASELINE] = panel.outcome
    write_panel(target, panel.frame)


def shifted_shadow(target: Path) -> None:
    """Write a shadow log whose predictions all lie beyond those of the panel."""
    candidate = Candidate(target)
    golden, sidecar = candidate.panel.native_scores, candidate.sidecar
    values = np.resize(golden, SHADOW_ROWS) + 2 * float(np.ptp(golden)) + 1
    digest, artifacts = tree_digest(target), candidate.artifacts
    with PartWriter(artifacts, "shadow", operations_at(artifacts).registry) as log:
        log.write(
            [
                Prediction(
                    time=candidate.manifest.created,
                    row_key=f"twin|{row}",
                    model_id=target.name,
                    digest=digest,
                    schema_crc32=sidecar.schema_crc32,
                    prediction=float(value),
                    latency_ms=1.0,
                    arm="shadow",
                    format=FORMAT,
                )
                for row, value in enumerate(values)
            ]
        )
