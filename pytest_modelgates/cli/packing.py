"""Verbs of packing: `pack`, `panel`, `verify`."""

import argparse
import warnings
from pathlib import Path

from .options import ARTIFACTS, MODEL, Verbs, argument, named_directory, note
from .progress import working


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
        argument("--panel", type=Path, required=True, help="the rows to judge the model by, as Parquet or CSV"),
        argument("--spec", type=Path, required=True, help="packing list (TOML); modelgates init writes an example"),
        ARTIFACTS,
    )
    verbs.add(
        "panel",
        panel,
        argument("file", type=Path, help="rows to judge models by, as Parquet or CSV, with a column ret_next"),
        argument("--time", default="time", metavar="COLUMN", help="the column of times; default: time"),
        argument("--asset", default="asset", metavar="COLUMN", help="the column of assets; default: asset"),
    )
    verbs.add("verify", verify, MODEL, ARTIFACTS)


def pack(arguments: argparse.Namespace) -> int:
    """Write a model directory from a model, its panel and a packing list.

    The panel holds rows that the model was not fitted on: for a trading signal one for each day and asset, with the
    features, the target and the return to the next day. The gates judge by them. The packing list names its columns,
    says when training ended and how many candidates were tried.

    Prints the directory, artifacts/models/ID, which `modelgates gate` and `modelgates promote` take.
    """
    from ..packing.packing_list import pack_from_files

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show_warning  # type: ignore[assignment]  # of what it is given, it shows the message
        with working("packing"):
            packed = pack_from_files(arguments.model, arguments.panel, arguments.spec, artifacts=arguments.artifacts)
    print(packed)
    return 0


def panel(arguments: argparse.Namespace) -> int:
    """Print the digest of a panel, for a policy that admits only models judged by that panel.

    Then nobody chooses the days that flatter a model. Let somebody else than its maker keep the file, and write the
    printed line under [data] of registry/policy.toml. The digest is of times, assets and returns (ret_next) alone:
    features and targets may differ from model to model.
    """
    from ..packing.panel_input import kept_panel

    digest, rows = kept_panel(arguments.file, time=arguments.time, asset=arguments.asset)
    print(f'panel = "{digest}"  # {rows}')
    return 0


def _show_warning(message: Warning | str, *_: object) -> None:
    """Write a warning as the other commands do: a line of Python's own would quote our source."""
    note(f"warning: {message}")


def verify(arguments: argparse.Namespace) -> int:
    """Check names, sizes and SHA-256 of a model directory's files, and its schema; ends with 1 if it is not sound."""
    from ..errors import IntegrityError
    from ..model import directory as model

    directory = named_directory(arguments).resolve()
    try:
        print(f"{directory.name}: sound, sha256:{model.verify(directory)}")
    except IntegrityError as problems:
        print(problems)
        return 1
    return 0
