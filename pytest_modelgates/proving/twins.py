"""Twins. A twin is a negative control (mutant): a copy of a model directory, changed so that one gate must fail on it.

The twins themselves are functions in `twin_files`, `twin_models`, `twin_markets`, `twin_panels` and `twin_live`, or in
a team's own gate files.
"""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from ..errors import ModelgatesError
from ..model.candidate import Candidate
from ..model.directory import FILES, MANIFEST, PARITY
from ..model.manifest import FileEntry
from ..model.parity import PARITY_TOLERANCE
from ..model.sidecar import REFERENCE
from ..storage.paths import is_file
from ..storage.strict_json import canonical, readable
from .twin_files import Change, changed_byte


def make_twin(source: Path, target: Path, change: Change) -> None:
    """Copy a model directory under another id, change it, and make manifest and parity claim agree with the change.

    Without that, a gate could fail because of the manifest, and not because it noticed the change.
    """
    shutil.copytree(source, target)
    _restate(target, target)  # the manifest holds the id
    change(target)
    if change is not changed_byte:  # this one wants a manifest that does not agree
        _restate(source, target)


def _restate(source: Path, target: Path) -> None:
    old, new = Candidate(source), Candidate(target)
    try:
        # Parity takes long to measure, and depends on nothing but the model, its features and the reference.
        if old.onnx_bytes != new.onnx_bytes or not _scored(old).equals(_scored(new)):
            parity = new.parity
            if np.isfinite(parity.max_abs_diff):
                ok, worst = parity.scaled <= PARITY_TOLERANCE, parity.max_abs_diff
                known = {"ok": ok, "max_abs_diff": worst, "rows": parity.rows, "first": new.first_rows}
                claim = msgspec.structs.replace(new.parity_claim, **known)
                (target / PARITY).write_bytes(readable(claim))
    except ModelgatesError:
        pass  # a twin that cannot be scored has no parity to state
    paths = [target / name for name in FILES if name != MANIFEST and is_file(target / name)]
    files = {path.name: FileEntry.of(path.read_bytes()) for path in paths}
    manifest = msgspec.structs.replace(new.manifest, id=target.name, files=files)
    (target / MANIFEST).write_bytes(canonical(manifest))


def _scored(candidate: Candidate) -> pd.DataFrame:
    return candidate.panel.frame.reindex(columns=[*candidate.sidecar.names, REFERENCE])
