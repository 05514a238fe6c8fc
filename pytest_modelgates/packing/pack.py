"""Packing: from a fitted model and its panel to a model directory, whole or not at all."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..errors import PackError
from ..model.directory import BENCH, CHANGES, MODEL, PANEL, PARITY, SIDECAR
from ..model.manifest import Lineage, installed
from ..model.onnx_checks import input_dtypes, parse_onnx
from ..model.parity import BATCH_SIZES, PARITY_TOLERANCE, Parity, measure_parity
from ..model.schema import feature_matrix, schema_crc32
from ..model.session import OnnxModel
from ..model.sidecar import REFERENCE, BenchClaim, ParityClaim, Sidecar, Task
from ..stats.baseline import named_metric
from ..storage.strict_json import parse_json, readable, typed
from ..storage.text import first_line
from .convert import NativeScore, convert, finish
from .panel_input import checked_panel
from .publish import publish

LIBRARIES = ("numpy", "pandas", "onnx", "onnxruntime", "scikit-learn", "lightgbm", "skl2onnx", "onnxmltools")


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
        sidecar = typed(parse_json(readable(wanted), SIDECAR), Sidecar, SIDECAR)
    except (TypeError, UnicodeEncodeError) as error:
        raise PackError(f"{SIDECAR}: {error}; give plain Python values") from error
    if sidecar.metric is not None:
        named_metric(sidecar.metric, labels=sidecar.task == "classification")
    frame = checked_panel(panel, sidecar, needs_reference=native is None)
    if sidecar.keys:
        frame = frame.sort_values(sidecar.keys, kind="stable", ignore_index=True)
    rows = feature_matrix(frame, sidecar, source="the panel")
    if native is not None:
        # A copy: an estimator may scale its rows in place.
        frame[REFERENCE] = native(rows.astype(np.float32))
    content = finish(proto, sidecar.names, crc)
    session = OnnxModel(content, sidecar)
    if problems := session.input_problems():
        raise PackError("\n".join(f"model.onnx: {problem}" for problem in problems))
    parity = measure_parity(session, rows, frame[REFERENCE].to_numpy(np.float64))
    if not np.isfinite(parity.max_abs_diff):
        raise PackError(
            "the ONNX model or the native model gives scores that are not finite; look for NaN in the panel"
        )
    contents = {
        MODEL: content,
        SIDECAR: readable(sidecar),
        **_claims(session, rows, parity),
        CHANGES: changes.strip().encode() + b"\n",
        PANEL: frame.to_parquet(index=False),
    }
    return publish(
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
    return {PARITY: readable(compared), BENCH: readable(timed)}


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
