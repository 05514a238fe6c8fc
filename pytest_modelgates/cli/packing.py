"""Verbs of packing: `pack`, `verify`."""

import argparse
from pathlib import Path

from .options import ARTIFACTS, Verbs, argument


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "pack",
        pack,
        argument(
            "model",
            type=Path,
            help="an .onnx file, a LightGBM .txt file, or a .joblib file of your own (it runs code)",
        ),
        argument("--panel", type=Path, required=True, help="Parquet or CSV"),
        argument("--spec", type=Path, required=True, help="packing list (TOML); modelgates init writes an example"),
        ARTIFACTS,
    )
    verbs.add("verify", verify, argument("directory", type=Path))


def pack(arguments: argparse.Namespace) -> int:
    """Write a model directory from a model, its panel and a packing list."""
    from ..packing.packing_list import pack_from_files

    print(pack_from_files(arguments.model, arguments.panel, arguments.spec, artifacts=arguments.artifacts))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check a model directory: file set, sizes, SHA-256, manifest, schema CRC."""
    from ..errors import IntegrityError
    from ..model import directory as model

    directory = arguments.directory.resolve()
    try:
        print(f"{directory.name}: sound, sha256:{model.verify(directory)}")
    except IntegrityError as problems:
        print(problems)
        return 1
    return 0
