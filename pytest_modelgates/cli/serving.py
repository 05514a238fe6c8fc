"""Verbs that score rows: `serve`, `shadow`."""

import argparse
from pathlib import Path
from typing import Literal

from .options import Verbs, argument, note

SHOWN = 10  # refused rows on stderr


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    options = (
        argument("--onnx", type=Path, required=True, help="artifacts/models/latest.onnx, or a candidate's model.onnx"),
        argument(
            "--csv",
            type=Path,
            required=True,
            help="rows to score, plain or .gz: time, asset and the features, in the sidecar's order",
        ),
    )
    verbs.add("serve", serve, *options)
    verbs.add("shadow", shadow, *options)


def serve(arguments: argparse.Namespace) -> int:
    """Score a CSV file with the live model and log the predictions."""
    return _score(arguments, "live")


def shadow(arguments: argparse.Namespace) -> int:
    """Score a CSV file with a candidate and log the predictions apart; nothing acts on them."""
    return _score(arguments, "shadow")


def _score(arguments: argparse.Namespace, arm: Literal["live", "shadow"]) -> int:
    from ..serving.adapter import ANY_ROW, Adapter
    from ..serving.settings import log_settings

    scored = refused = 0
    with Adapter(arguments.onnx, arm=arm, settings=log_settings) as adapter:
        for record in adapter.run_csv(arguments.csv):
            scored += record.error is None
            if record.error is None:
                continue
            refused += 1
            if refused <= SHOWN:
                row = "" if record.row_key == ANY_ROW else f", {record.row_key}"
                note(f"{arguments.csv}{row}: {record.error}")
    if refused > SHOWN:
        note(f"{arguments.csv}: {refused - SHOWN} more rows are refused; the log has the reason for each")
    if not scored + refused:
        note(f"warning: {arguments.csv}: a header and not a row")
    print(f"{adapter.model_id} ({arm}): {scored} rows scored, {refused} refused; log: {adapter.log}")
    return 1 if refused else 0
