"""Golden predictions: what a model scored on its own panel, kept as the reference for what it scores live."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..artifacts import Artifacts, checked_id
from ..errors import FormatError, IntegrityError, StatisticsError
from ..stats.quantiles import numbers
from ..storage.digests import Sha256, sha256
from ..storage.paths import is_there
from ..storage.regular_files import MAX_FILE_BYTES
from ..storage.strict_json import Moment, read_bytes, read_json, readable

METADATA = "metadata.json"
COLUMN = "prediction"


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `metadata.json` says of one model's golden; `digest` is the model's, null if it was set by hand."""

    rows: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Sha256
    saved: Moment
    digest: Sha256 | None


class GoldenMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `metadata.json`: every golden, by model id."""

    format: Literal[1] = 1
    goldens: dict[str, Golden] = {}


def golden_metadata(folder: str | Path = "artifacts/golden") -> GoldenMetadata:
    """Read which goldens there are; a missing file lists none."""
    path = Path(folder) / METADATA
    return read_json(path, GoldenMetadata) if is_there(path) else GoldenMetadata()


def save_golden_predictions(
    predictions: ArrayLike, model_id: str, *, folder: str | Path = "artifacts/golden", digest: str | None = None
) -> Path:
    """Save a model's reference predictions.

    Parameters
    ----------
    predictions : array_like of float, shape (n,)
    model_id : str
    folder : path
        Where goldens lie.
    digest : str, optional
        The model's digest.

    Returns
    -------
    Path
        The Parquet file.

    Raises
    ------
    StatisticsError
        If there is no prediction, or one that is not a finite number.
    """
    values = _checked(predictions)
    path = Path(folder) / f"{checked_id(model_id)}.parquet"
    content = _parquet(values)
    artifacts = Artifacts(Path(folder).parent)
    artifacts.write(path, content)
    entry = Golden(rows=values.size, sha256=sha256(content), saved=datetime.now(UTC), digest=digest)
    metadata = GoldenMetadata(goldens=golden_metadata(folder).goldens | {model_id: entry})
    artifacts.write(Path(folder) / METADATA, readable(metadata))
    return path


def load_golden_predictions(
    model_id: str | None = None, *, folder: str | Path = "artifacts/golden"
) -> NDArray[np.float64]:
    """Load a model's reference predictions.

    Parameters
    ----------
    model_id : str, optional
        The golden saved last if left out.
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
    return read_golden(*golden_file(model_id, folder=folder))


def golden_file(model_id: str | None = None, *, folder: str | Path = "artifacts/golden") -> tuple[Path, bytes]:
    """Read the file of a model's golden, unread inside; arguments and errors as in `load_golden_predictions`."""
    goldens = golden_metadata(folder).goldens
    if model_id is None and goldens:
        model_id = max(goldens, key=lambda name: goldens[name].saved)
    if model_id is None or model_id not in goldens:
        raise FormatError(f"{folder}: no golden of {model_id or 'any model'}; set one: modelgates golden set ID")
    path = Path(folder) / f"{checked_id(model_id)}.parquet"
    content = read_bytes(path, limit=MAX_FILE_BYTES)
    if sha256(content) != goldens[model_id].sha256:
        raise IntegrityError(f"{path}: not the file that {METADATA} lists; {_again(path)}")
    return path, content


def read_golden(path: Path, content: bytes) -> NDArray[np.float64]:
    """Read the predictions in the file of a golden; raises as `load_golden_predictions` does."""
    from ..storage.parquet import read_parquet

    try:
        return np.asarray(read_parquet(content, "its content")[COLUMN], dtype=np.float64)
    except (FormatError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: holds no predictions ({error}); {_again(path)}") from error


def _again(path: Path) -> str:
    return f"set it again: modelgates golden set {path.stem}"


def golden_digest(predictions: ArrayLike) -> str:
    """Give the SHA-256 of the file in which `save_golden_predictions` would save them; raises as that does."""
    return sha256(_parquet(_checked(predictions)))


def _checked(predictions: ArrayLike) -> NDArray[np.float64]:
    try:
        values = numbers(predictions, name="they")
    except StatisticsError as error:
        raise StatisticsError(f"golden predictions: expected one finite number a row ({error})") from error
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise StatisticsError(f"golden predictions of shape {values.shape}: expected one finite number a row")
    return values


def _parquet(values: NDArray[np.float64]) -> bytes:
    import pyarrow as pa  # here, since it takes long to load, and most checks go by counts that are kept
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(pa.table({COLUMN: values}), content, use_dictionary=False)  # scores hardly repeat
    return content.getvalue()
