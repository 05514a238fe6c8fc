"""Changes of a twin's panel that its files do not show: what its rows say, and what they know."""

from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ..errors import ModelgatesError
from ..model.candidate import Candidate
from ..model.directory import SIDECAR
from ..model.panel import Panel
from ..model.sidecar import REFERENCE, RET_NEXT
from ..storage.strict_json import readable
from .twin_files import write_panel, write_probes
from .twin_markets import positions_of, write_returns
from .twin_models import SEED, with_term, write_model

__all__ = [
    "along_score",
    "holed_panel",
    "impossible_return",
    "late_target",
    "missing_third",
    "one_day_peek",
    "repeated_day",
    "rows_twice",
    "telling_feature",
]

# How much a new feature weighs in the score: so much that it alone decides.
DECISIVE = 100


def late_target(target: Path) -> None:
    """Date every target a day later."""
    panel = Candidate(target).panel
    name, asset = panel.sidecar.target, panel.sidecar.asset
    panel.frame[name] = panel.frame.groupby(asset)[name].shift(1).fillna(panel.frame[name])
    write_panel(target, panel.frame)


def impossible_return(target: Path) -> None:
    """Let the first row lose more than all of its value."""
    panel = Candidate(target).panel
    panel.frame.loc[0, RET_NEXT] = -1.7
    write_panel(target, panel.frame)


def missing_third(target: Path) -> None:
    """Leave the middle third of the days out."""
    panel = Candidate(target).panel
    days = len(panel.days)
    write_panel(target, panel.frame[(panel.day_codes < days // 3) | (panel.day_codes >= 2 * days // 3)])


def holed_panel(target: Path) -> None:
    """Leave one row in 50 out."""
    panel = Candidate(target).panel
    kept = np.random.default_rng(SEED).random(len(panel.frame)) > 1 / 50
    write_panel(target, panel.frame[kept])


def repeated_day(target: Path) -> None:
    """Give the day after the liveliest one its returns."""
    panel = Candidate(target).panel
    returns = panel.returns.copy()
    day = int(np.count_nonzero(np.nan_to_num(returns[:-1]), axis=1).argmax())
    returns[day + 1] = np.where(np.isnan(returns[day]), returns[day + 1], returns[day])
    panel.frame[RET_NEXT] = returns[panel.day_codes, panel.asset_codes]
    write_panel(target, panel.frame)


def along_score(target: Path) -> None:
    """Make returns follow the positions, every day."""
    candidate = Candidate(target)
    weights, first = positions_of(candidate, candidate.panel.features)
    write_returns(candidate, weights, first, np.ones(len(weights), dtype=bool))


def one_day_peek(target: Path) -> None:
    """Make the score new every day and returns follow it for one day, at a horizon of two."""
    panel = Candidate(target).panel
    feature = panel.sidecar.features[0]
    noise = np.random.default_rng(SEED).integers(0, 2, len(panel.frame))
    panel.frame[feature.name] = noise.astype(feature.dtype)
    write_panel(target, panel.frame)
    write_model(target, with_term(Candidate(target), 0, DECISIVE))
    candidate = Candidate(target)
    # The native model would have the term too, so the twin stays in parity.
    candidate.panel.frame[REFERENCE] = candidate.scores
    write_probes(candidate)
    write_panel(target, candidate.panel.frame)
    (target / SIDECAR).write_bytes(readable(msgspec.structs.replace(candidate.sidecar, horizon=2)))
    candidate = Candidate(target)
    weights, first = positions_of(candidate, candidate.panel.features, horizon=1)
    write_returns(candidate, weights, first, np.ones(len(weights), dtype=bool))


def rows_twice(target: Path) -> None:
    """Repeat every row."""
    panel = Candidate(target).panel
    if not panel.sidecar.keys:  # rows of a few values each are not told apart, so one feature gets many
        name, dtype = _with_room(panel, len(panel.frame))
        panel.frame[name] = np.arange(len(panel.frame)).astype(dtype)
    write_panel(target, pd.concat([panel.frame, panel.frame]))


def telling_feature(target: Path) -> None:
    """Write the rank of the target into a feature."""
    panel = Candidate(target).panel
    dense = rankdata(panel.outcome, method="dense") - 1
    name, dtype = _with_room(panel, int(dense.max()))
    panel.frame[name] = dense.astype(dtype)
    write_panel(target, panel.frame)


def _with_room(panel: Panel, largest: int) -> tuple[str, str]:
    """Find a feature that can hold whole numbers up to one."""
    for feature in panel.sidecar.features:
        if feature.dtype != "bool" or largest <= 1:
            return feature.name, feature.dtype
    raise ModelgatesError(f"no feature can hold {largest} different values; name what a row is about with asset=")
