"""Rows that were served, scored once more from the bytes of their model, in a process of its own.

``python -I -m pytest_modelgates.proving.rescoring DIRECTORY ROWS``
"""

import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from ..errors import HermeticError, ModelgatesError
from ..monitoring.lately import Sampled
from ..monitoring.rescored import Rescored
from ..policy.operations import HermeticLimits
from ..storage.strict_json import canonical
from ..storage.text import first_line
from .hermetic import ask_limited

_FEWEST = 20  # rows of which a rank correlation says something


def rescore(directory: Path, rows: Sequence[Sampled], limits: HermeticLimits) -> Rescored:
    """Score rows once more; whatever goes wrong is a problem that the result names.

    Parameters
    ----------
    directory : Path
        The model directory; it is only read.
    rows : sequence of Sampled
    limits : HermeticLimits
        Of memory and time.
    """
    with tempfile.TemporaryDirectory(prefix="modelgates-") as name:
        folder = Path(name).resolve()
        (folder / "rows.json").write_bytes(msgspec.json.encode(list(rows)))
        command = [sys.executable, "-I", "-m", __name__, str(directory), str(folder / "rows.json")]
        try:
            return ask_limited(command, folder, limits, Rescored, what="the scoring of rows")
        except HermeticError as error:
            return Rescored(model_id=directory.name, problem=str(error))


def score_again(directory: Path, rows: Sequence[Sampled]) -> Rescored:
    """Verify and load a model, score rows, and compare with what was served."""
    from ..model.directory import MODEL, PANEL, LocalDirectory
    from ..model.panel import Panel
    from ..model.session import OnnxModel
    from ..stats.ranks import daily_rank_ic
    from ..stats.spread import spread

    try:
        with LocalDirectory(directory) as files:
            digest, sidecar = files.verify(keep={MODEL, PANEL}), files.sidecar
            model = OnnxModel(files.verified(MODEL), sidecar)
            panel = Panel.read(files.verified_panel(), sidecar)
            dtype = np.result_type(*(feature.dtype for feature in sidecar.features))
            given = [[math.nan if value is None else value for value in row.features] for row in rows]
            scores = model.predict(np.array(given, dtype=np.float64).astype(dtype))
            scale = spread(panel.native_scores, panel.day_codes)
    except (ModelgatesError, OSError, ValueError) as error:
        return Rescored(model_id=directory.name, problem=first_line(error).removeprefix(f"{directory.name}: "))
    served = np.array([row.prediction for row in rows])
    with np.errstate(invalid="ignore"):
        apart = np.abs(scores - served) / np.maximum(np.abs(scores - scale.middle), scale.typical)
    furthest = int(np.argmax(np.where(np.isfinite(apart), apart, np.inf)))
    finite = bool(np.isfinite(apart).all())
    telling = finite and len(rows) >= _FEWEST and np.ptp(scores) > 0 and np.ptp(served) > 0
    return Rescored(
        model_id=directory.name,
        digest=digest,
        rows=len(rows),
        difference=float(apart[furthest]) if finite else None,
        key=rows[furthest].key,
        rank_corr=float(daily_rank_ic([scores], [served])[0]) if telling else None,
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=list[Sampled])
    sys.stdout.buffer.write(canonical(score_again(Path(sys.argv[1]), asked)))
