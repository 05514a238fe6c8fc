"""Packing from files: a model, a panel and a packing list."""

import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ..errors import FormatError, MissingExtraError, PackError
from ..extras import extra
from ..model.sidecar import Count, Positive, Task
from ..model.tables import read_table
from ..storage.strict_json import read_bytes, typed
from ..storage.text import first_line
from .pack import pack


class PackingList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `modelgates pack` must be told besides the files; `groups` lists features in the order of the model."""

    groups: dict[str, tuple[str, ...]]
    changes: str
    task: Task = "signal"
    horizon: Count = 0
    metric: str | None = None
    trained_until: date | None = None
    tried: Positive | None = None
    time: str | None = None
    asset: str | None = None
    target: str = "target"
    volume: str | None = None
    nullable: tuple[str, ...] = ()
    output: tuple[str, Count] | None = None
    code: str | None = None
    data: str | None = None


def read_packing_list(path: Path) -> PackingList:
    """Read a packing list."""
    try:
        parsed = tomllib.loads(read_bytes(path).decode())
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested too deep
        raise FormatError(f"{path}: not TOML in UTF-8 ({error})") from error
    wanted = typed(parsed, PackingList, str(path))
    names = [name for group in wanted.groups.values() for name in group]
    for name in names:
        if names.count(name) > 1:
            raise FormatError(f"{path}: groups list feature {name!r} twice; keep one")
    return wanted


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
        read_table(panel),
        features={name: group for group, names in wanted.groups.items() for name in names},
        artifacts=artifacts,
        **{field: getattr(wanted, field) for field in wanted.__struct_fields__ if field != "groups"},
    )


def _load_model(path: Path) -> Any:
    if not path.is_file():
        raise PackError(f"{path}: no such file")
    loaders: dict[str, Callable[[], Any]] = {
        ".onnx": lambda: path,
        ".txt": lambda: extra("lightgbm").Booster(model_file=str(path)),
        ".joblib": lambda: extra("joblib").load(path),
    }
    if path.suffix not in loaders:
        raise PackError(f"{path}: expected an .onnx file, a LightGBM .txt file or a .joblib file")
    try:
        return loaders[path.suffix]()
    except MissingExtraError:
        raise
    except Exception as error:  # a joblib file runs code, which may raise anything
        raise PackError(f"{path}: cannot be loaded ({first_line(error)})") from error
