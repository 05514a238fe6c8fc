"""Packing from files: a model, a panel and a packing list."""

import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Required

import pandas as pd

from ..errors import FormatError, MissingExtraError, PackError
from ..extras import extra
from ..model.sidecar import Sidecar
from ..model.tables import read_user_table
from ..storage.paths import is_file
from ..storage.rows import Column
from ..storage.strict_json import read_bytes, typed
from ..storage.text import first_line, printable
from ..storage.toml import parse_toml
from .description import Arguments, Description, Name, check_arguments
from .from_mlflow import fetch, load
from .pack import pack_as_described


class PackingList(Description):
    """What `modelgates pack` must know besides the files; `groups` lists features in the order of the model."""

    groups: Required[dict[Name, tuple[str, ...]]]
    changes: Required[str]


def read_packing_list(path: Path) -> PackingList:
    """Read a packing list."""
    content = read_bytes(path)
    try:
        parsed = parse_toml(content)
    except FormatError as error:
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
    arguments = _arguments(panel, spec)
    return pack_as_described(_load_model(model), _reader(panel), arguments, artifacts)


def pack_from_mlflow(
    asked: str, address: str, panel: Path, spec: Path, *, artifacts: Path, told: Callable[[str], None]
) -> Path:
    """Pack a registered model of an MLflow server; its version is kept in the manifest.

    Parameters
    ----------
    asked : str
        ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
    address : str
        The server.
    panel, spec : Path
        As for `pack_from_files`.
    artifacts : Path
        The artifacts root.
    told : callable
        Is told, before a model is loaded that may run code, that it does.

    Returns
    -------
    Path
        The new model directory.
    """
    arguments = _arguments(panel, spec)
    with tempfile.TemporaryDirectory(prefix="modelgates-mlflow-") as folder:
        fetched = fetch(asked, address, Path(folder))
        if fetched.source.flavour != "onnx":
            told(f"{fetched.source}: loading flavour {fetched.source.flavour} may run code of the one who logged it")
        return pack_as_described(load(fetched), _reader(panel), arguments, artifacts, source=fetched.source)


def _arguments(panel: Path, spec: Path) -> Arguments:
    wanted = read_packing_list(spec)
    if not is_file(panel):  # converting a model may take minutes
        raise FormatError(f"{panel}: no such file")
    features = {name: group for group, names in wanted["groups"].items() for name in names}
    described = {key: value for key, value in wanted.items() if key not in ("groups", "changes")}
    return check_arguments(features, wanted["changes"], described)


def _reader(panel: Path) -> Callable[[Sidecar], pd.DataFrame]:
    return lambda sidecar: read_user_table(panel, _columns(sidecar))


def _columns(sidecar: Sidecar) -> list[Column]:
    """Say what the columns of a panel hold; the gates judge where values are missing."""
    keys = [Column(name, "time" if name == sidecar.time else "text") for name in sidecar.keys]
    features = [
        Column(feature.name, "text" if feature.categories else feature.dtype, nullable=True)
        for feature in sidecar.features
    ]
    return keys + features + [Column(name, "float64", nullable=True) for name in sidecar.outcomes]


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
