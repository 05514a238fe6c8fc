"""Golden predictions: what a model scored on its own panel, kept as the reference for what it scores live."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..artifacts import EARLIER, Artifacts, ModelId, checked_id
from ..errors import FormatError, IntegrityError, RegistryError, StatisticsError
from ..stats.quantiles import numbers
from ..storage.digests import Sha256, sha256
from ..storage.paths import is_folder, is_there
from ..storage.regular_files import MAX_FILE_BYTES
from ..storage.strict_json import canonical, parse_json, read_bytes, readable, typed
from .versions import METADATA, Golden, GoldenMetadata, Origin, Version, golden_metadata

COLUMN, DAY = "prediction", "day"
_MADE_FOR = b"modelgates"
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """The file of a golden, unread inside, and what is known of it."""

    path: Path
    content: bytes
    version: Version


@dataclass(frozen=True, slots=True)
class _PackagedRules:
    """How the lock is taken where operations.toml is not known."""

    lock_timeout_s: float = _WAIT_S
    network_file_system: bool = True


def save_golden_predictions(
    predictions: ArrayLike,
    model_id: str | None = None,
    *,
    folder: str | Path = "artifacts/golden",
    digest: str | None = None,
) -> Path:
    """Save a model's reference predictions; those that were in force before stay in its history.

    In a registry this is an event in the audit log, as `modelgates golden set` is.

    Parameters
    ----------
    predictions : array_like of float, shape (n,)
    model_id : str, optional
        The live model if left out.
    folder : path
        Where goldens lie.
    digest : str, optional
        The model's digest; that of its directory if left out.

    Returns
    -------
    Path
        The Parquet file.

    Raises
    ------
    StatisticsError
        If there is no prediction, or one that is not a finite number.
    RegistryError
        If no model is named and none is live, or another process holds the registry's lock.
    IntegrityError
        If the model's directory is damaged.
    """
    from ..model.directory import verify

    values, artifacts = _checked(predictions), Artifacts(Path(folder).parent)
    model_id = checked_id(model_id) if model_id is not None else _live(artifacts)
    if model_id is None:
        raise RegistryError(f"nothing is live under {artifacts.models}: say whose golden it is, by model_id=")
    if digest is None and is_folder(artifacts.model(model_id)):
        digest = verify(artifacts.model(model_id))
    content = golden_content(values, model_id, digest)
    with _event(artifacts, Path(folder), model_id, content):
        return put_golden(folder, model_id, content, version_of(content, values.size, digest=digest, of=digest))


@contextmanager
def _event(artifacts: Artifacts, folder: Path, model_id: str, content: bytes) -> Iterator[None]:
    """Hold the registry's lock and write the event, if the folder is that of a registry."""
    if folder != artifacts.golden or not is_folder(artifacts.models):
        yield
        return
    from ..audit.chain import append
    from ..audit.events import event_of
    from ..audit.kinds import GOLDEN_SET
    from ..audit.writer import locked

    event = event_of(GOLDEN_SET, model_id, "from Python", sha256(content))
    with locked(artifacts, _PackagedRules()):
        now = msgspec.structs.replace(event, time=datetime.now(UTC))
        append(artifacts.log, now, mode=artifacts.file_mode)
        yield


def _live(artifacts: Artifacts) -> str | None:
    from ..audit.writer import link_target

    return link_target(artifacts)


def golden_content(
    predictions: ArrayLike, model_id: str, digest: str | None, *, days: NDArray[np.datetime64] | None = None
) -> bytes:
    """Give the file of a golden, which says for which model it was made.

    Parameters
    ----------
    predictions : array_like of float, shape (n,)
    model_id : str
    digest : str or None
        The model's.
    days : ndarray of datetime64, shape (n,), optional
        The day that each row is of.

    Raises
    ------
    StatisticsError
        If there is no prediction, or one that is not a finite number.
    """
    import pyarrow as pa  # here, since it takes long to load, and most checks go by counts that are kept
    import pyarrow.parquet as pq

    columns = {COLUMN: pa.array(_checked(predictions))}
    if days is not None:
        columns[DAY] = pa.array(days.astype("datetime64[D]"), type=pa.date32())
    made_for = canonical({"model_id": model_id, "digest": digest})
    content = io.BytesIO()
    # Scores hardly repeat.
    pq.write_table(pa.table(columns).replace_schema_metadata({_MADE_FOR: made_for}), content, use_dictionary=False)
    return content.getvalue()


class _MadeFor(msgspec.Struct, frozen=True):
    model_id: ModelId
    digest: Sha256 | None


def made_for(content: bytes) -> tuple[str, str | None] | None:
    """Read for which model a file was made a golden: its id and its digest; None if the file does not say."""
    import pyarrow.parquet as pq

    try:
        kept = (pq.read_schema(io.BytesIO(content)).metadata or {})[_MADE_FOR]
        said = typed(parse_json(kept, "a golden"), _MadeFor, "a golden")
    except Exception:  # pyarrow raises ArrowInvalid, OSError and others on damaged files
        return None
    return said.model_id, said.digest


def version_of(
    content: bytes, rows: int, *, digest: str | None, origin: Origin = "hand", of: str | None = None
) -> Version:
    """Describe a golden that is saved now; see `Version`."""
    return Version(rows=rows, sha256=sha256(content), saved=datetime.now(UTC), digest=digest, origin=origin, of=of)


def put_golden(folder: str | Path, model_id: str, content: bytes, version: Version) -> Path:
    """Put a golden in force; the caller holds the registry's lock, if the folder is that of a registry.

    What was in force is kept first. Until `metadata.json` names the new one, readers find the old one there.
    """
    folder, artifacts = Path(folder), Artifacts(Path(folder).parent)
    path, metadata = _path(folder, model_id), golden_metadata(folder)
    before = metadata.goldens.get(model_id)
    history = before.history if before else ()
    if before and msgspec.structs.replace(before.in_force, saved=version.saved) != version:
        kept = version_content(folder, model_id, before)
        if kept is not None:  # what is damaged is named in the history, and cannot be kept
            artifacts.write(earlier_file(folder, before), kept)
        history = (*history, before.in_force)
    artifacts.write(path, content)
    golden = Golden(**msgspec.structs.asdict(version), history=history)
    artifacts.write(folder / METADATA, readable(GoldenMetadata(goldens=metadata.goldens | {model_id: golden})))
    return path


def load_golden_predictions(
    model_id: str | None = None, *, folder: str | Path = "artifacts/golden"
) -> NDArray[np.float64]:
    """Load a model's reference predictions.

    Parameters
    ----------
    model_id : str, optional
        The live model if left out; where none is, the one whose golden was saved last.
    folder : path
        Where goldens lie.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    FormatError
        If there is no golden of this model.
    IntegrityError
        If the file is not the one that was saved.
    """
    found = golden_file(model_id, folder=folder)
    return read_golden(found.path, found.content)[0]


def golden_file(model_id: str | None = None, *, folder: str | Path = "artifacts/golden") -> GoldenFile:
    """Read the file of a model's golden; arguments and errors as in `load_golden_predictions`."""
    golden = None
    while True:
        name, before = model_id or golden_default(folder), golden
        goldens = golden_metadata(folder).goldens
        if name is None or name not in goldens:
            raise FormatError(
                f"{folder}: no golden of {name or 'any model'}; set one: modelgates golden set {name or 'ID'}"
            )
        path, golden = _path(Path(folder), name), goldens[name]
        content = version_content(folder, name, golden)
        if content is not None:
            return GoldenFile(path, content, golden.in_force)
        if golden == before:  # otherwise it may have been replaced, and collected, since the list was read
            if not is_there(path):
                raise FormatError(f"{path}: no such file; {_again(path)}")
            raise IntegrityError(f"{path}: not the file that {METADATA} lists; {_again(path)}")


def golden_default(folder: str | Path) -> str | None:
    """Name the model that is meant if none is named: the live one, else the one whose golden was saved last."""
    goldens = golden_metadata(folder).goldens
    return _live(Artifacts(Path(folder).parent)) or max(goldens, key=lambda name: goldens[name].saved, default=None)


def version_content(folder: str | Path, model_id: str, version: Version) -> bytes | None:
    """Read the file of one version of a model's golden; None if it is not there, or has other bytes.

    A write that was cut short leaves another version in the place of the one in force, which then lies among the
    earlier ones.
    """
    for place in (_path(Path(folder), model_id), earlier_file(folder, version)):
        if (content := _bytes(place, version)) is not None:
            return content
    return None


def in_its_place(path: Path, version: Version) -> bool:
    """Whether the file of a model's golden holds this version."""
    return _bytes(path, version) is not None


def _bytes(path: Path, version: Version) -> bytes | None:
    with suppress(FormatError):
        content = read_bytes(path, limit=MAX_FILE_BYTES)
        return content if sha256(content) == version.sha256 else None
    return None


def read_golden(path: Path, content: bytes) -> tuple[NDArray[np.float64], NDArray[np.datetime64] | None]:
    """Read the predictions in the file of a golden, and the day of each if it holds them.

    Raises
    ------
    FormatError
        If it holds no predictions.
    """
    from ..storage.parquet import read_parquet

    try:
        table = read_parquet(content, "its content", columns=[COLUMN, DAY])
        values = np.asarray(table[COLUMN], dtype=np.float64)
        return values, np.asarray(table[DAY], dtype="datetime64[D]") if DAY in table.column_names else None
    except (FormatError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: holds no predictions ({error}); {_again(path)}") from error


def _path(folder: Path, model_id: str) -> Path:
    return folder / f"{checked_id(model_id)}.parquet"


def earlier_file(folder: str | Path, version: Version) -> Path:
    """Where a golden lies that is in force no more."""
    return Path(folder) / EARLIER / f"{version.sha256}.parquet"


def _again(path: Path) -> str:
    return f"set it again: modelgates golden set {path.stem}"


def _checked(predictions: ArrayLike) -> NDArray[np.float64]:
    try:
        values = numbers(predictions, name="they")
    except StatisticsError as error:
        raise StatisticsError(f"golden predictions: expected one finite number a row ({error})") from error
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if values.ndim != 1 or not values.size or bad:
        found = f"{bad} of {values.size} are NaN or infinite" if bad else f"of shape {values.shape}"
        raise StatisticsError(f"golden predictions: {found}, expected one finite number a row")
    return values
