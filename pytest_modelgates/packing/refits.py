"""A model that is fitted anew as time goes on: one ONNX file a fold, each judged on days that it cannot know.

No gate uses this module, because a model directory holds one model. It is library code for users who refit their models
and want to judge the procedure, not only the last model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import StatisticsError
from ..model.panel import Panel
from ..model.session import OnnxModel
from ..stats.costs import Costs
from ..stats.holdings import Holdings, simulate
from ..stats.walkforward import Folds, calendar_folds, folds, retained


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WalkedForward:
    """What a position that follows one model a fold would have held and earned, and how its IC holds up.

    `scores` are those of each row by the model of its fold, and `holdings` is the position that follows them.
    `folds` sums up its IC after costs by fold. `in_sample` is the mean IC after costs of the models, each on the
    fold before its own, whose labels it may have learned. `retained` is the share of this that the same models keep
    on their own folds; it is None if `in_sample` is not above 0.
    """

    scores: NDArray[np.float64]
    holdings: Holdings
    folds: Folds
    in_sample: float
    retained: float | None


def walk_models_forward(
    models: Mapping[str, tuple[bytes, date]],
    panel: Panel,
    *,
    cost_bps: float | Costs,
    labels: ArrayLike | None = None,
    embargo: int = 0,
) -> WalkedForward:
    """Score each fold of a panel with the model that was fitted for it.

    Parameters
    ----------
    models : mapping of str to (bytes, date)
        For each fold an ONNX file that takes the panel's features, and the date of the last price that any of its
        training labels used.
    panel : Panel
        Rows of all folds, ordered by time.
    cost_bps : float or Costs
        As for `simulate`.
    labels : array_like of str, shape (n_days,), optional
        The fold of each day; a fold is one unbroken stretch. By default it is the calendar year.
    embargo : int, default 0
        Weekdays that must lie between that date and the first day of the fold [weekdays].

    Returns
    -------
    WalkedForward
        Scores, position and IC by fold.

    Raises
    ------
    StatisticsError
        If a fold has no model or a model no fold, a model's labels used prices of its own fold or of the embargo, or
        the folds cannot be judged (see `folds`).

    Notes
    -----
    A label of day t reads prices up to day t + lag + horizon. So the date of the last price bars every training row
    whose label window meets the fold, lag included.
    """
    days = panel.days.to_numpy()
    fold = calendar_folds(days) if labels is None else np.asarray(labels)
    names = list(dict.fromkeys(fold.tolist()))
    if set(names) != set(models):
        raise StatisticsError(
            f"models of folds {', '.join(sorted(models))} for folds {', '.join(map(str, names))}: give one a fold"
        )
    for name in names:
        _refuse_leak(str(name), models[name][1], days[fold == name], embargo)
    of_row = fold[panel.day_codes]
    own, before = np.full((2, len(of_row)), np.nan)
    for previous, name in zip([None, *names], names, strict=False):
        model, rows = OnnxModel(models[name][0], panel.sidecar), of_row == name
        own[rows] = model.predict(panel.features[rows])
        if previous is not None:
            rows = of_row == previous
            before[rows] = model.predict(panel.features[rows])
    # One position for all folds: at the start of a fold its tranches are still of the model before, as they would be in
    # use. These days are purged below.
    holdings = _simulate(panel, own, np.ones(len(days), dtype=bool), cost_bps)
    kept = fold[holdings.first :]
    judged = folds(holdings.ic_net, kept, purge=holdings.first)
    # The last fold has no model after it, and the first none before it. What is left compares the same models.
    inside = float(_simulate(panel, before, fold != names[-1], cost_bps).ic_net.mean())
    outside = float(holdings.ic_net[kept != names[0]].mean())
    return WalkedForward(
        scores=own, holdings=holdings, folds=judged, in_sample=inside, retained=retained(outside, inside)
    )


def _refuse_leak(name: str, trained_until: date, days: NDArray[np.datetime64], embargo: int) -> None:
    known = np.datetime64(trained_until)
    if early := int((days.astype("datetime64[D]") <= known).sum()):
        raise StatisticsError(
            f"fold {name}: its model's labels used prices until {trained_until}, {early} of the {len(days)} days of "
            "the fold are not after that: purge its training rows"
        )
    between = int(np.busday_count(trained_until + timedelta(days=1), days[0].astype("datetime64[D]")))
    if between < embargo:
        raise StatisticsError(
            f"fold {name}: {between} weekdays between {trained_until}, the last price that its model's labels used, "
            f"and its first day, expected at least {embargo}"
        )


def _simulate(panel: Panel, scores: NDArray[np.float64], days: NDArray[np.bool_], cost_bps: float | Costs) -> Holdings:
    return simulate(panel.by_day(scores)[days], panel.returns[days], horizon=panel.sidecar.horizon, cost_bps=cost_bps)
