"""Packing: from a fitted model and its panel to a model directory, whole or not at all."""

import fcntl
import importlib.metadata
import os
import platform
import shutil
import tempfile
import time as clock
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from ..errors import ModelgatesError, PackError
from ..stats.baseline import named_metric
from . import layout
from .convert import NativeScore, convert, finish
from .files import (
    canonical,
    first_line,
    listing,
    make_folder,
    parse_json,
    readable,
    rename_new,
    sha256,
    typed,
)
from .layout import Artifacts, newest_id
from .manifest import FileEntry, Lineage, Manifest, head_of, installed
from .onnx_checks import input_dtypes, parse_onnx
from .panel import Panel
from .parity import BATCH_SIZES, PARITY_TOLERANCE, Parity, measure_parity
from .pinned import Pinned
from .session import OnnxModel
from .sidecar import BASELINE, REFERENCE, BenchClaim, ParityClaim, Sidecar, Task, schema_crc32

LIBRARIES = ("numpy", "pandas", "onnx", "onnxruntime", "scikit-learn", "lightgbm", "skl2onnx", "onnxmltools")
MEANINGS = {
    BASELINE: "what the baseline predicts of each row, such as the training mean or the model in use",
    REFERENCE: "the native model's score, which a ready ONNX model needs",
}


def pack(
    model: Any,
    panel: pd.DataFrame,
    *,
    features: Mapping[str, str],
    changes: str,
    task: Task = "signal",
    horizon: int = 0,
    metric: str | None = None,
    trained_until: date | None = None,
    tried: int | None = None,
    time: str | None = None,
    asset: str | None = None,
    target: str = "target",
    volume: str | None = None,
    nullable: Sequence[str] = (),
    output: tuple[str, int] | None = None,
    code: str | None = None,
    data: str | None = None,
    artifacts: str | Path = "artifacts",
) -> Path:
    """Write a model directory.

    Parameters
    ----------
    model : estimator, bytes or path
        A fitted scikit-learn or LightGBM estimator, or a ready ONNX model: its bytes, or the path of its file, whose
        external data is then moved inside.
    panel : DataFrame
        Out-of-sample rows: `time`, `asset`, the features, `target` (the return over the horizon) and ``ret_next`` (the
        next day's return). For a model that is no signal: `time` and `asset` if there are such columns, the features,
        `target` (what happened; 0 or 1 for a classifier) and ``baseline``, what the baseline predicts of each row.
        For a ready ONNX model also ``reference``, the native model's score of each float32 row.
    features : mapping of str to str
        Feature name to feature group, in the order in which the model takes them.
    changes : str
        What changed and why, for people.
    task : {"signal", "classification", "regression"}
        What kind of model it is; a signal is traded on.
    horizon : int
        How far a signal's target looks ahead [days].
    metric : str, optional
        For a model that is no signal: the name of the scorer of scikit-learn by which it must beat its baseline.
    trained_until : date, optional
        The last date that any training label used; needed if the panel has a column of times.
    tried : int, optional
        How many candidates were tried on this panel, this one included.
    time, asset, target : str, optional
        Column names. `time` and `asset` are "time" and "asset" for a signal, and no columns otherwise; `asset` names
        what a row is of, such as a customer.
    volume : str, optional
        Name of the column of what the whole market traded of the asset that day, in money; without one, neither the
        share of it that a trade is nor the impact of that share can be measured.
    nullable : sequence of str
        Features that may be NaN.
    output : (str, int), optional
        Name of the ONNX output and the column of it that is the score; the last output's last column if left out.
    code, data : str, optional
        Where the model came from: a commit, a digest.
    artifacts : path
        The artifacts root, whose permissions what is written has.

    Returns
    -------
    Path
        The new directory, ``<artifacts>/models/<id>``.

    Raises
    ------
    PackError
        If the panel lacks a column or rows, or the model cannot be converted or scored.
    FormatError
        If the sidecar that would be written is not one that can be read.
    StatisticsError
        If scikit-learn has no such metric.
    """
    if not changes.strip():
        raise PackError("no changes given: say in a line what changed and why, for whoever reads CHANGES.md")
    if not features:
        raise PackError("no features given: name them with their groups, in the order the model takes them")
    if unknown := sorted(set(nullable) - set(features)):
        raise PackError(f"nullable names {', '.join(map(repr, unknown))}, no feature; give a list of feature names")
    proto, native = _load(model, list(features))
    dtypes = input_dtypes(proto, list(features))
    crc = schema_crc32(dtypes.items())
    wanted = {
        "features": [
            {"name": name, "dtype": dtypes[name], "group": group, "nullable": name in nullable}
            for name, group in features.items()
        ],
        "schema_crc32": crc,
        "output": _output(proto, output),
        "task": task,
        "time": time or ("time" if task == "signal" else None),
        "asset": asset or ("asset" if task == "signal" else None),
        "target": target,
        "horizon": horizon,
        "trained_until": trained_until,
        "metric": metric,
        "tried": tried,
        "volume": volume,
    }
    try:
        sidecar = typed(parse_json(readable(wanted), layout.SIDECAR), Sidecar, layout.SIDECAR)
    except (TypeError, UnicodeEncodeError) as error:
        raise PackError(f"{layout.SIDECAR}: {error}; give plain Python values") from error
    if sidecar.metric is not None:
        named_metric(sidecar.metric, labels=sidecar.task == "classification")
    frame = _checked(panel, sidecar, needs_reference=native is None)
    if native is not None:
        frame[REFERENCE] = native(frame[sidecar.names].to_numpy(np.float32))
    frame = frame[sidecar.panel_columns]
    if sidecar.keys:
        frame = frame.sort_values(sidecar.keys, kind="stable", ignore_index=True)
    content = finish(proto, sidecar.names, crc)
    session = OnnxModel(content, sidecar)
    if problems := session.input_problems():
        raise PackError("\n".join(f"model.onnx: {problem}" for problem in problems))
    rows = Panel(frame, sidecar).features
    parity = measure_parity(session, rows, frame[REFERENCE].to_numpy(np.float64))
    if not np.isfinite(parity.max_abs_diff):
        raise PackError(
            "the ONNX model or the native model gives scores that are not finite; look for NaN in the panel"
        )
    contents = {
        layout.MODEL: content,
        layout.SIDECAR: readable(sidecar),
        **_claims(session, rows, parity),
        layout.CHANGES: changes.strip().encode() + b"\n",
        layout.PANEL: frame.to_parquet(index=False),
    }
    return _publish(
        Artifacts(Path(artifacts).resolve()), contents, Lineage(code=code, data=data, libraries=installed(LIBRARIES))
    )


def _claims(session: OnnxModel, rows: NDArray[np.generic], parity: Parity) -> dict[str, bytes]:
    """Write down what packing measured, for the gates to measure again."""
    runtime = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    compared = ParityClaim(
        ok=parity.scaled <= PARITY_TOLERANCE,
        max_abs_diff=parity.max_abs_diff,
        rows=parity.rows,
        runtime=runtime,
        batch_sizes=BATCH_SIZES,
    )
    timed = BenchClaim(
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        runtime=runtime,
        batches=tuple(session.time_batches(rows, size=size) for size in BATCH_SIZES),
    )
    return {layout.PARITY: readable(compared), layout.BENCH: readable(timed)}


def _load(model: Any, names: Sequence[str]) -> tuple[onnx.ModelProto, NativeScore | None]:
    if isinstance(model, bytes):
        return parse_onnx(model), None
    if isinstance(model, str | Path):
        try:
            return onnx.load(str(model)), None
        except Exception as error:  # onnx raises protobuf's errors and its own
            raise PackError(f"{model}: not an ONNX model that can be read ({first_line(error)})") from error
    return convert(model, names)


def _output(proto: onnx.ModelProto, chosen: tuple[str, int] | None) -> dict[str, Any]:
    if chosen is not None:
        return {"name": chosen[0], "index": chosen[1]}
    if not proto.graph.output:
        raise PackError("the ONNX model has no output; is it an ONNX model at all?")
    last = proto.graph.output[-1]
    dims = last.type.tensor_type.shape.dim
    return {"name": last.name, "index": max(dims[1].dim_value - 1, 0) if len(dims) > 1 else 0}


def _checked(panel: pd.DataFrame, sidecar: Sidecar, *, needs_reference: bool) -> pd.DataFrame:
    wanted = [name for name in sidecar.panel_columns if name != REFERENCE or needs_reference]
    missing = [name for name in wanted if name not in panel]
    if missing:
        hint = "".join(f"; {name!r} is {what}" for name, what in MEANINGS.items() if name in missing)
        raise PackError(
            f"the panel has no column {', '.join(map(repr, missing))}; it holds {', '.join(map(str, panel))}{hint}"
        )
    if panel.empty:
        raise PackError("the panel has no rows; give out-of-sample rows to measure the model on")
    frame = panel[wanted].reset_index(drop=True)
    if not frame.columns.is_unique:
        twice = ", ".join(repr(name) for name in frame.columns[frame.columns.duplicated()])
        raise PackError(f"the panel has two columns {twice}; keep one")
    for name in sidecar.keys:
        if count := int(frame[name].isna().sum()):
            raise PackError(f"the panel's {name!r} is missing in {count} rows; drop them")
    dtypes = {feature.name: feature.dtype for feature in sidecar.features}
    dtypes |= {name: "float64" for name in wanted if name in sidecar.outcomes}
    for name, dtype in dtypes.items():
        frame[name] = _cast(frame[name], dtype)
    if sidecar.time is not None:
        frame[sidecar.time] = _dates(frame[sidecar.time])
    if sidecar.asset is not None:
        # As logs and live feeds write it; categories or a mix of kinds would have an order of their own.
        frame[sidecar.asset] = frame[sidecar.asset].astype(str)
    if sidecar.task == "classification" and not frame[sidecar.target].isin([0, 1]).all():
        raise PackError(
            f"the panel's {sidecar.target!r} holds more than 0 and 1; give 1 where the class was met, else 0"
        )
    return frame


def _cast(column: Any, dtype: str) -> Any:
    try:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes an infinity, which gates refuse
            cast = column.astype(dtype)
    except (ValueError, TypeError) as error:
        raise PackError(f"the panel's {column.name!r} cannot be {dtype} ({first_line(error)})") from error
    if not dtype.startswith("float") and (changed := int((cast != column).sum())):
        raise PackError(f"the panel's {column.name!r} holds {changed} values that {dtype} does not; mend them")
    return cast


def _dates(column: Any) -> Any:
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise PackError(f"the panel's {column.name!r} is {column.dtype}; give dates")
    try:
        dates = pd.to_datetime(column, format="ISO8601")  # 01/02/2020 is two days
    except (ValueError, TypeError) as error:
        raise PackError(f"the panel's {column.name!r} does not hold ISO dates ({first_line(error)})") from error
    if not pd.api.types.is_datetime64_dtype(dates.dtype):
        raise PackError(
            f"the panel's {column.name!r} is {dates.dtype}; give local dates without a time zone: .dt.tz_localize(None)"
        )
    return dates


def _publish(artifacts: Artifacts, contents: Mapping[str, bytes], lineage: Lineage) -> Path:
    make_folder(artifacts.models, mode=artifacts.directory_mode)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=artifacts.models))
    try:
        # Held until the end: what a killed pack left is what nobody holds.
        with Pinned(staging):
            for name, content in contents.items():
                artifacts.write(staging / name, content)
            staging.chmod(artifacts.directory_mode)
            directory = _claim(artifacts, staging, contents, lineage)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _note_newest(artifacts, directory.name)
    return directory


def _claim(artifacts: Artifacts, staging: Path, contents: Mapping[str, bytes], lineage: Lineage) -> Path:
    """Give what was staged the first second that no other model has."""
    files = {name: FileEntry.of(content) for name, content in contents.items()}
    while True:
        created = datetime.now(UTC).replace(microsecond=0)
        directory = artifacts.model(str(int(created.timestamp())))
        manifest = Manifest(
            id=directory.name,
            created=created,
            lineage=lineage,
            audit_head=head_of(artifacts.promotions),
            files=files,
        )
        stated = canonical(manifest)
        artifacts.write(staging / layout.MANIFEST, stated)
        written = {name: entry.sha256 for name, entry in files.items()} | {layout.MANIFEST: sha256(stated)}
        if listing(staging) != written:
            raise PackError(f"{artifacts.models}: what was written is not what is there; is the disk sound?")
        try:
            rename_new(staging, directory)
        except FileExistsError:
            clock.sleep(1 - clock.time() % 1)
        else:
            Pinned(directory).close()  # raises if nothing is there
            return directory


def _note_newest(artifacts: Artifacts, model_id: str) -> None:
    """Make the new name durable and write it down as the newest, unless another pack was faster with a newer one."""
    models = os.open(artifacts.models, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(models, fcntl.LOCK_EX)
        os.fsync(models)
        try:
            noted = newest_id(artifacts) or "0"
        except ModelgatesError:  # whatever lies there is not newer
            noted = "0"
        if int(noted) < int(model_id):
            artifacts.write(artifacts.latest_id, f"{model_id}\n".encode())
    finally:
        os.close(models)
