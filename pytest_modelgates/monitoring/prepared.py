"""A model's golden, prepared once for all comparisons, and kept beside it."""

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..drift.columns import rounded
from ..drift.golden import golden_file, read_golden
from ..drift.kept import keep_reference, kept_reference
from ..drift.summary import Reference, has_precision
from ..drift.versions import DIGITS
from ..errors import IntegrityError, ModelgatesError
from ..storage.strict_json import read_bytes

SUFFIX = ".counts"


def prepared_golden(
    artifacts: Artifacts, model_id: str, *, digest: str | None = None, precision: np.dtype[Any] | None = None
) -> Reference:
    """Read a model's golden, with the days of its rows if it holds them, or is what the model scored on its own panel.

    Parameters
    ----------
    artifacts : Artifacts
    model_id : str
    digest : str, optional
        The model's, which a golden that names one must be for.
    precision : dtype, optional
        The golden is rounded to floats of so many bits, to be compared with such.

    Raises
    ------
    FormatError, IntegrityError
        As `load_golden_predictions` does; or if the golden is for other bytes than this model's.
    """
    found = golden_file(model_id, folder=artifacts.golden)
    golden = found.version
    if digest and golden.digest not in (None, digest):
        raise IntegrityError(
            f"{found.path}: the golden of {model_id} is for other bytes, sha256:{golden.digest[:DIGITS]}, than this "
            f"model's, sha256:{digest[:DIGITS]}; set it again: modelgates golden set {model_id}"
        )
    own_panel = golden.origin == "panel" and golden.of == golden.digest
    # The same predictions have days if they are the panel's, and none if a file held them.
    kept, name = found.path.with_suffix(SUFFIX), f"{golden.sha256} {'panel' if own_panel else 'file'}"
    with suppress(ModelgatesError, OSError):
        prepared = kept_reference(read_bytes(kept), name)
        if precision is None or has_precision(prepared, precision):
            return prepared
    values, days = read_golden(found.path, found.content)
    if days is None and own_panel:
        days = _panel_days(artifacts, model_id)
    dated = days if days is not None and len(days) == len(values) else None
    reference = Reference.of(rounded(values, precision), days=dated)
    if precision is None:
        with suppress(OSError):  # it is prepared again next time
            artifacts.write(kept, keep_reference(reference, name))
    return reference


def _panel_days(artifacts: Artifacts, model_id: str) -> NDArray[np.datetime64] | None:
    """Read the day of each row of a model's panel; None if its panel is gone, or has no times."""
    from ..model.directory import PANEL, LocalDirectory
    from ..storage.parquet import read_parquet

    with suppress(ModelgatesError, OSError), LocalDirectory(artifacts.model(model_id)) as model:
        if time := model.sidecar.time:
            times = read_parquet(model.verified_panel(), PANEL, columns=[time])[time]
            return np.asarray(times.to_numpy().astype("datetime64[D]"))
    return None
