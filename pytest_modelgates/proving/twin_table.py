"""Which twins each gate must fail on."""

from collections.abc import Callable
from pathlib import Path

from .twin_files import (
    Change,
    changed_byte,
    changed_dtype,
    duplicated_row,
    early_row,
    edited_claim,
    extra_file,
    flipped_schema,
    infinite_feature,
    missing_file,
    swapped_columns,
    unsorted_rows,
)
from .twin_markets import against_group, against_score, knowing_baseline, ruinous_year, shifted_shadow
from .twin_models import foreign_operator, perturbed_weights, renamed_input

TWINS: dict[str, tuple[Change, ...]] = {
    "integrity.required_files": (missing_file, extra_file),
    "integrity.sha256": (changed_byte,),
    "integrity.onnx_is_sound": (foreign_operator,),
    "schema.crc32": (flipped_schema,),
    "schema.columns": (swapped_columns,),
    "schema.dtypes": (changed_dtype,),
    "schema.onnx_inputs": (renamed_input,),
    "data.finite": (infinite_feature,),
    "data.unique_keys": (duplicated_row,),
    "data.ordered": (unsorted_rows,),
    "data.no_overlap": (early_row,),
    "parity.max_abs_diff": (perturbed_weights,),
    "parity.claim": (edited_claim,),
    "parity.decisions": (perturbed_weights,),
    "significance.p_against": (against_score,),
    "metric.beats_baseline": (knowing_baseline,),
    "drift.psi": (shifted_shadow,),
    "wf.positive_folds": (against_score,),
    "wf.worst_fold": (ruinous_year,),
    # Soft, unless a policy makes them hard.
    "significance.rank_ic": (against_score,),
    "significance.deflated_sharpe": (against_score,),
    "significance.track_record": (against_score,),
    "pnl.after_costs": (against_score,),
    "pnl.sharpe": (against_score,),
    "pnl.within_limits": (against_score,),
}
# Twins of gates with a feature group, which they are told.
GROUP_TWINS: dict[str, Callable[[Path, str], None]] = {"ablation.harmless": against_group}
