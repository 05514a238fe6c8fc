"""Packing from files: a model, a panel and a packing list."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from ..errors import FormatError, PackError
from .convert import extra
from .files import read_bytes, typed
from .pack import pack
from .sidecar import Count, Positive


class PackingList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `modelgates pack` must be told besides the files; `groups` lists features in the order of the model."""

    groups: dict[str, tuple[str, ...]]
    horizon: Positive
    trained_until: date
    changes: str
    tried: Positive | None = None
    time: str = "time"
    asset: str = "asset"
    target: str = "target"
    nullable: tuple[str, ...] = ()
    output: tuple[str, Count] | None = None
    code: str | None = None
    data: str | None = None


def read_packing_list(path: Path) -> PackingList:
    """Read a packing list."""
    try:
        return typed(tomllib.loads(read_bytes(path).decode()), PackingList, str(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not TOML ({error})") from error


def pack_from_files(model: Path, panel: Path, spec: Path, *, artifacts: Path) -> Path:
    """Pack what lies in files.

    Parameters
    ----------
    model : Path
        An ``.onnx`` file, a LightGBM ``.txt`` file, or a ``.joblib`` file, which runs code when it is loaded.
    panel : Path
        Parquet or CSV.
    spec : Path
        A packing list (TOML).
    artifacts : Path
        The artifacts root.

    Returns
    -------
    Path
        The new model directory.
    """
    wanted = read_packing_list(spec)
    return pack(
        _load_model(model),
        _load_panel(panel),
        features={name: group for group, names in wanted.groups.items() for name in names},
        artifacts=artifacts,
        **{field: getattr(wanted, field) for field in wanted.__struct_fields__ if field != "groups"},
    )


def _load_model(path: Path) -> Any:
    if not path.is_file():
        raise PackError(f"{path}: no such file")
    match path.suffix:
        case ".onnx":
            return path
        case ".txt":
            return extra("lightgbm").Booster(model_file=str(path))
        case ".joblib":
            return extra("joblib").load(path)
    raise PackError(f"{path}: expected an .onnx file, a LightGBM .txt file or a .joblib file")


def _load_panel(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise PackError(f"{path}: no such file")
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parse errors are one or the other
        raise PackError(f"{path}: neither CSV nor Parquet ({error})") from error
