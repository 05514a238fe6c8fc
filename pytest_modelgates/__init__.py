"""Gates that a machine-learning model must pass before it reaches production.

A team's own gates and scripts may import the names in `__all__`; everything else may move. Each name is imported on
first use, because pytest loads this package in every run of its environment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drift.batches import BatchCounter
    from .errors import InsufficientDataError, ModelgatesError, NoReference, StatisticsError
    from .gating.gate import Gate
    from .gating.timing import check_p95_ms
    from .gating.verdict_hook import MeasuredValue, VerdictRecord
    from .model.candidate import Candidate
    from .model.panel import Panel
    from .model.schema import schema_crc32, sidecar_crc32
    from .monitoring.reconcile import Reconciled
    from .packing.pack import pack
    from .packing.refits import walk_models_forward
    from .serving.adapter import Adapter
    from .serving.scorer import Rows
    from .stats.ablation import Ablation
    from .stats.agreement import DailyAgreement, disordered
    from .stats.arms import ArmDifference
    from .stats.attendance import why_nobody_left
    from .stats.baseline import BaselineTest
    from .stats.caps import Capped
    from .stats.comparison import superior_ability
    from .stats.copy_effects import tied_rows, trade_difference
    from .stats.costs import Costs
    from .stats.days import DAYS_PER_YEAR
    from .stats.decay import rank_autocorrelation, rank_ic_decay, top_turnover
    from .stats.giveaway import Giveaway
    from .stats.holdings import Holdings
    from .stats.leakage import Delay, LookAhead, steadiness
    from .stats.overfitting import overfitting
    from .stats.placebo import Placebo
    from .stats.portfolio import PaperPnl
    from .stats.sharpe import (
        deflated_sharpe,
        minimum_backtest_years,
        minimum_track_record,
        probabilistic_sharpe,
        sharpe_of,
    )
    from .stats.significance import MeanTest, ewc_p_value, newey_west_error
    from .stats.sufficiency import minimum_detectable, why_unseen
    from .stats.trials import TrialSeries, adjusted_p, ratio_variance
    from .stats.walkforward import Folds

_PLACES = {
    "drift.batches": ("BatchCounter",),
    "errors": ("InsufficientDataError", "ModelgatesError", "NoReference", "StatisticsError"),
    "gating.gate": ("Gate",),
    "gating.timing": ("check_p95_ms",),
    "gating.verdict_hook": ("MeasuredValue", "VerdictRecord"),
    "model.candidate": ("Candidate",),
    "model.panel": ("Panel",),
    "model.schema": ("schema_crc32", "sidecar_crc32"),
    "monitoring.reconcile": ("Reconciled",),
    "packing.pack": ("pack",),
    "packing.refits": ("walk_models_forward",),
    "serving.adapter": ("Adapter",),
    "serving.scorer": ("Rows",),
    "stats.ablation": ("Ablation",),
    "stats.agreement": ("DailyAgreement", "disordered"),
    "stats.arms": ("ArmDifference",),
    "stats.attendance": ("why_nobody_left",),
    "stats.baseline": ("BaselineTest",),
    "stats.caps": ("Capped",),
    "stats.comparison": ("superior_ability",),
    "stats.copy_effects": ("trade_difference", "tied_rows"),
    "stats.costs": ("Costs",),
    "stats.days": ("DAYS_PER_YEAR",),
    "stats.decay": ("rank_autocorrelation", "rank_ic_decay", "top_turnover"),
    "stats.holdings": ("Holdings",),
    "stats.giveaway": ("Giveaway",),
    "stats.leakage": ("Delay", "LookAhead", "steadiness"),
    "stats.overfitting": ("overfitting",),
    "stats.placebo": ("Placebo",),
    "stats.portfolio": ("PaperPnl",),
    "stats.sharpe": (
        "deflated_sharpe",
        "minimum_backtest_years",
        "minimum_track_record",
        "probabilistic_sharpe",
        "sharpe_of",
    ),
    "stats.significance": ("MeanTest", "ewc_p_value", "newey_west_error"),
    "stats.sufficiency": ("minimum_detectable", "why_unseen"),
    "stats.trials": ("TrialSeries", "adjusted_p", "ratio_variance"),
    "stats.walkforward": ("Folds",),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "DAYS_PER_YEAR",
    "Ablation",
    "Adapter",
    "ArmDifference",
    "BaselineTest",
    "BatchCounter",
    "Candidate",
    "Capped",
    "Costs",
    "DailyAgreement",
    "Delay",
    "Folds",
    "Gate",
    "Giveaway",
    "Holdings",
    "InsufficientDataError",
    "LookAhead",
    "MeanTest",
    "MeasuredValue",
    "ModelgatesError",
    "NoReference",
    "Panel",
    "PaperPnl",
    "Placebo",
    "Reconciled",
    "Rows",
    "StatisticsError",
    "TrialSeries",
    "VerdictRecord",
    "adjusted_p",
    "check_p95_ms",
    "deflated_sharpe",
    "disordered",
    "ewc_p_value",
    "minimum_backtest_years",
    "minimum_detectable",
    "minimum_track_record",
    "newey_west_error",
    "overfitting",
    "pack",
    "probabilistic_sharpe",
    "rank_autocorrelation",
    "rank_ic_decay",
    "ratio_variance",
    "schema_crc32",
    "sharpe_of",
    "sidecar_crc32",
    "steadiness",
    "superior_ability",
    "tied_rows",
    "top_turnover",
    "trade_difference",
    "walk_models_forward",
    "why_nobody_left",
    "why_unseen",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return found
