"""A model's golden, prepared once for all comparisons, and kept beside it."""

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..drift.columns import rounded
from ..drift.golden import golden_file, golden_metadata, read_golden
from ..drift.kept import keep_reference, kept_reference
from ..drift.summary import Reference, has_precision
from ..errors import ModelgatesError
from ..storage.digests import sha256
from ..storage.strict_json import read_bytes

SUFFIX = ".counts"


def prepared_golden(artifacts: Artifacts, model_id: str, *, precision: np.dtype[Any] | None = None) -> Reference:
    """Read a model's golden, with the days of its rows if it is what the model scored on its own panel.

    Parameters
    ----------
    artifacts : Artifacts
    model_id : str
    precision : dtype, optional
        The golden is rounded to floats of so many bits, to be compared with such.

    Raises
    ------
    FormatError, IntegrityError
        As `load_golden_predictions` does.
    """
    path, content = golden_file(model_id, folder=artifacts.golden)
    digest, kept = sha256(content), path.with_suffix(SUFFIX)
    with suppress(ModelgatesError, OSError):
        found = kept_reference(read_bytes(kept), digest)
        if precision is None or has_precision(found, precision):
            return found
    values = rounded(read_golden(path, content), precision)
    days = None
    if golden_metadata(artifacts.golden).goldens[model_id].digest:
        days = _panel_days(artifacts, model_id)
    reference = Reference.of(values, days=days if days is not None and len(days) == len(values) else None)
    if precision is None:
        with suppress(OSError):  # it is prepared again next time
            artifacts.write(kept, keep_reference(reference, digest))
    return reference


def _panel_days(artifacts: Artifacts, model_id: str) -> NDArray[np.datetime64] | None:
    """Read the day of each row of a model's panel; None if its panel is gone, or has no times."""
    from ..model.directory import PANEL, ModelDirectory
    from ..storage.parquet import read_parquet

    with suppress(ModelgatesError, OSError), ModelDirectory(artifacts.model(model_id)) as model:
        if time := model.sidecar.time:
            times = read_parquet(model.verified(PANEL), PANEL, columns=[time])[time]
            return np.asarray(times.to_numpy().astype("datetime64[D]"))
    return None
