"""The rehearsal of a rollback, in a process of its own: a model must verify, load and score its golden rows.

``python -I -m pytest_modelgates.proving.rehearsal DIRECTORY``
"""

import math
import sys
import tempfile
from pathlib import Path

from ..errors import HermeticError, ModelgatesError
from ..policy.operations import HermeticLimits
from ..registry.way_back import WayBack
from ..storage.strict_json import canonical
from ..storage.text import first_line
from .hermetic import ask_limited


def rehearse(directory: Path, limits: HermeticLimits) -> WayBack:
    """Rehearse a rollback to a model; whatever goes wrong is a problem that the result names.

    Parameters
    ----------
    directory : Path
        The model directory; it is only read.
    limits : HermeticLimits
        Of memory and time.
    """
    with tempfile.TemporaryDirectory(prefix="modelgates-") as name:
        command = [sys.executable, "-I", "-m", __name__, str(directory)]
        try:
            return ask_limited(command, Path(name).resolve(), limits, WayBack, what="the rehearsal of a rollback")
        except HermeticError as error:
            return WayBack(model_id=directory.name, problem=str(error))


def score_golden_rows(directory: Path) -> WayBack:
    """Verify and load a model, score its panel, and compare with the native scores, which are its golden."""
    from ..model.directory import MODEL, PANEL, LocalDirectory
    from ..model.panel import Panel
    from ..model.parity import Comparison
    from ..model.session import OnnxModel
    from ..model.sidecar import Probes

    try:
        with LocalDirectory(directory) as files:
            digest = files.verify(keep={MODEL, PANEL})
            model = OnnxModel(files.verified(MODEL), files.sidecar)
            compared = Comparison.of_panel(Panel.read(files.verified_panel(), files.sidecar), Probes())
            difference = float((compared.differences(model) / compared.reach).max())
    except (ModelgatesError, OSError) as error:
        return WayBack(model_id=directory.name, problem=first_line(error).removeprefix(f"{directory.name}: "))
    if not math.isfinite(difference):
        return WayBack(model_id=directory.name, problem="it scores golden rows as NaN or infinite")
    return WayBack(model_id=directory.name, digest=digest, rows=len(compared.native), difference=difference)


if __name__ == "__main__":
    sys.stdout.buffer.write(canonical(score_golden_rows(Path(sys.argv[1]))))
