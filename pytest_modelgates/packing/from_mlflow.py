"""A model of an MLflow registry, brought here to be packed. Of its flavours, only ONNX is read without running code."""

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FormatError, PackError, UsageError
from ..extras import extra
from ..mlflow_client import client_of, in_words
from ..model.manifest import Source
from ..storage.digests import listing_digest, sha256_of
from ..storage.paths import is_file, is_link, walk
from ..storage.text import first_line, listed, printable

# What is taken if a model has several: what runs the least code while it is loaded comes first.
FLAVOURS = ("onnx", "lightgbm", "xgboost", "sklearn")
# The client writes it beside the files of the server.
_CLIENTS_OWN = "registered_model_meta"
_ASKED = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@:]+))\Z")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model's files, where they lie, and where they came from."""

    folder: Path
    source: Source
    settings: Mapping[str, Any]
    """What its MLmodel file says of the flavour."""


def fetch(asked: str, address: str, folder: Path) -> Fetched:
    """Bring the files of a registered model.

    Parameters
    ----------
    asked : str
        ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
    address : str
        The MLflow server.
    folder : Path
        An empty folder for the files.

    Returns
    -------
    Fetched

    Raises
    ------
    UsageError
        If `asked` names something else.
    PackError
        If the server does not give it, or it has no flavour that can be packed.
    MissingExtraError
        If MLflow is not installed.
    """
    found = _ASKED.match(asked)
    if not found:
        raise UsageError(f"{printable(asked)}: expected models:/NAME/VERSION, or models:/NAME@ALIAS")
    client, name = client_of(address), found["name"]
    try:
        alias = found["alias"]
        entry = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, found[2])
        place = client.get_model_version_download_uri(name, entry.version)
        folder = Path(extra("mlflow.artifacts", "mlflow").download_artifacts(artifact_uri=place, dst_path=str(folder)))
        described = extra("mlflow.models", "mlflow").Model.load(str(folder))
    except Exception as error:  # of MLflow, of requests, of any of its stores
        raise PackError(f"{asked}: {address} does not give it ({in_words(error)})") from error
    flavour = next((name for name in FLAVOURS if name in described.flavors), None)
    if flavour is None:
        raise PackError(
            f"{asked}: has the flavours {listed(map(printable, sorted(described.flavors)))}, expected one of "
            f"{listed(FLAVOURS)}; log the model as ONNX beside it, with mlflow.onnx.log_model"
        )
    files = {str(path.relative_to(folder)): sha256_of(path) for path in _files(folder, asked)}
    source = Source(
        uri=address,
        name=name,
        version=str(entry.version),
        run_id=entry.run_id or None,
        flavour=flavour,
        sha256=listing_digest({path: digest for path, digest in files.items() if path != _CLIENTS_OWN}),
    )
    return Fetched(folder, source, described.flavors[flavour])


def _files(folder: Path, asked: str) -> Iterator[Path]:
    for parent, _, names in walk(folder):
        for name in names:
            path = Path(parent, name)
            if is_link(path) or not is_file(path):
                raise PackError(f"{asked}: {printable(name)} is not a regular file; log the model again")
            yield path


def load(fetched: Fetched) -> Any:
    """Give what `pack` takes: the path of an ONNX file, or the estimator that MLflow loads.

    Raises
    ------
    PackError
        If it cannot be loaded, or leads out of its folder.
    """
    flavour, named = fetched.source.flavour, fetched.source
    if flavour == "onnx":
        path = fetched.folder / str(fetched.settings.get("data", ""))
        try:
            inside = path.resolve().is_relative_to(fetched.folder.resolve()) and is_file(path)
        except (OSError, ValueError, FormatError):
            inside = False
        if not inside:
            raise PackError(f"{named}: its MLmodel names no file of its own as data; log the model again")
        return path
    try:
        return importlib.import_module(f"mlflow.{flavour}").load_model(str(fetched.folder))
    except Exception as error:  # what was pickled may raise anything
        missing = isinstance(error, ModuleNotFoundError)
        advice = "; install what it was saved with" if missing else ""
        raise PackError(f"{named}: its flavour {flavour} cannot be loaded ({first_line(error)}){advice}") from error
