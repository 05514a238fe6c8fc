"""Packing from files: a model, a panel and a packing list."""

import tomllib
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Required

from ..errors import FormatError, MissingExtraError, PackError
from ..extras import extra
from ..model.tables import read_table
from ..storage.paths import is_file
from ..storage.strict_json import read_bytes, typed
from ..storage.text import first_line, printable
from .description import Description
from .pack import pack


class PackingList(Description):
    """What `modelgates pack` must know besides the files; `groups` lists features in the order of the model."""

    groups: Required[dict[str, tuple[str, ...]]]
    changes: Required[str]


def read_packing_list(path: Path) -> PackingList:
    """Read a packing list."""
    try:
        parsed = tomllib.loads(read_bytes(path).decode())
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested too deep
        raise FormatError(f"{path}: not TOML in UTF-8 ({error})") from error
    if unknown := parsed.keys() - PackingList.__annotations__.keys():
        raise FormatError(f"{path}: Object contains unknown field `{printable(min(unknown))}`")
    wanted = typed(parsed, PackingList, str(path))
    twice = [name for name, count in Counter(chain(*wanted["groups"].values())).items() if count > 1]
    if twice:
        raise FormatError(f"{path}: groups list feature {twice[0]!r} twice; keep one")
    return wanted


def pack_from_files(model: Path, panel: Path, spec: Path, *, artifacts: Path) -> Path:
    """Pack a model and a panel from their files.

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
    features = {name: group for group, names in wanted["groups"].items() for name in names}
    described: dict[str, Any] = {key: value for key, value in wanted.items() if key != "groups"}
    return pack(_load_model(model), read_table(panel), features=features, artifacts=artifacts, **described)


def _load_model(path: Path) -> Any:
    if not is_file(path):
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
