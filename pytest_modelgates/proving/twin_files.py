"""Changes of a twin's files, schema and panel."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from ..model.candidate import Candidate
from ..model.directory import CHANGES, PANEL, PARITY, SIDECAR
from ..model.probes import probe_rows
from ..storage.strict_json import readable

__all__ = [
    "changed_byte",
    "changed_dtype",
    "duplicated_row",
    "early_row",
    "edited_claim",
    "extra_file",
    "flipped_schema",
    "infinite_feature",
    "missing_file",
    "other_days",
    "swapped_columns",
    "unsorted_rows",
]

Change = Callable[[Path], None]


def write_panel(target: Path, frame: pd.DataFrame) -> None:
    """Replace the panel."""
    (target / PANEL).write_bytes(frame.to_parquet(index=False))


def write_probes(candidate: Candidate) -> None:
    """Replace the native scores of the probes by what the ONNX model says."""
    claim = candidate.parity_claim
    scores = candidate.model.predict(probe_rows(claim.probes, candidate.sidecar.names)[0]).tolist()
    rows = tuple(
        msgspec.structs.replace(row, native=score) for row, score in zip(claim.probes.rows, scores, strict=True)
    )
    probes = msgspec.structs.replace(claim.probes, rows=rows)
    (candidate.directory / PARITY).write_bytes(readable(msgspec.structs.replace(claim, probes=probes)))


def missing_file(target: Path) -> None:
    """Remove the list of changes."""
    (target / CHANGES).unlink()


def extra_file(target: Path) -> None:
    """Add a file that a model directory must not hold."""
    (target / "conftest.py").write_text("")


def changed_byte(target: Path) -> None:
    """Flip one bit of a file that the manifest lists."""
    content = bytearray((target / CHANGES).read_bytes())
    content[0] ^= 1
    (target / CHANGES).write_bytes(content)


def flipped_schema(target: Path) -> None:
    """Flip one bit of the sidecar's schema checksum."""
    sidecar = Candidate(target).sidecar
    crc = f"{int(sidecar.schema_crc32, 16) ^ 1:08x}"
    (target / SIDECAR).write_bytes(readable(msgspec.structs.replace(sidecar, schema_crc32=crc)))


def swapped_columns(target: Path) -> None:
    """Swap two neighbouring columns of the panel."""
    panel = Candidate(target).panel
    columns = list(panel.frame)
    first = columns.index(panel.sidecar.names[0])
    columns[first], columns[first + 1] = columns[first + 1], columns[first]
    write_panel(target, panel.frame[columns])


def changed_dtype(target: Path) -> None:
    """Give the first feature another dtype."""
    panel = Candidate(target).panel
    feature = panel.sidecar.features[0]
    other = "float32" if feature.dtype == "float64" else "float64"
    write_panel(target, panel.frame.astype({feature.name: other}))


def infinite_feature(target: Path) -> None:
    """Put infinity into one row of the first feature that can hold it, or else of the target."""
    panel = Candidate(target).panel
    name = next((f.name for f in panel.sidecar.features if f.dtype.startswith("float")), panel.sidecar.target)
    panel.frame.loc[0, name] = np.inf
    write_panel(target, panel.frame)


def duplicated_row(target: Path) -> None:
    """Repeat the first row."""
    frame = Candidate(target).panel.frame
    write_panel(target, pd.concat([frame.head(1), frame]))


def unsorted_rows(target: Path) -> None:
    """Reverse the panel."""
    write_panel(target, Candidate(target).panel.frame[::-1])


def early_row(target: Path) -> None:
    """Move the first day to the last price date that a training label used."""
    panel = Candidate(target).panel
    panel.frame.loc[panel.day_codes == 0, panel.sidecar.time] = pd.Timestamp(panel.sidecar.trained_until)
    write_panel(target, panel.frame)


def other_days(target: Path) -> None:
    """Move all days 40 years back, and the end of training 80, so that none of them is where it should be."""
    candidate = Candidate(target)
    panel, sidecar = candidate.panel, candidate.sidecar
    # A whole number of weeks, so that weekdays stay weekdays.
    back = timedelta(weeks=40 * 52)
    panel.frame[sidecar.time] -= back
    write_panel(target, panel.frame)
    assert sidecar.trained_until is not None, "the gate is asked of panels with times alone"
    trained = msgspec.structs.replace(sidecar, trained_until=sidecar.trained_until - 2 * back)
    (target / SIDECAR).write_bytes(readable(trained))


def edited_claim(target: Path) -> None:
    """Make `parity.json` claim the opposite."""
    claim = Candidate(target).parity_claim
    (target / PARITY).write_bytes(readable(msgspec.structs.replace(claim, ok=not claim.ok)))
