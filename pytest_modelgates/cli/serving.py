"""Verbs that score rows: `serve`, `shadow`."""

import argparse
from pathlib import Path
from typing import Literal

from .options import Verbs, argument


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    options = (
        argument("--onnx", type=Path, required=True, help="artifacts/models/latest.onnx, or a candidate's model.onnx"),
        argument(
            "--csv",
            type=Path,
            required=True,
            help="rows to score: time, asset and the features, in the sidecar's order",
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
    from ..serving.adapter import Adapter

    adapter = Adapter(arguments.onnx, arm=arm)
    records = adapter.run_csv(arguments.csv)
    failed = sum(record.error is not None for record in records)
    print(f"{adapter.model_id} ({arm}): {len(records) - failed} rows scored, {failed} refused; log: {adapter.log}")
    return 1 if failed else 0
