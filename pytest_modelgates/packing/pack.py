"""Packing: from a fitted model and its panel to a model directory, whole or not at all."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Unpack

import msgspec
import numpy as np
import onnx
import pandas as pd

from ..artifacts import Artifacts, newest_id
from ..audit.writer import locked
from ..errors import FormatError, GoneError, IntegrityError, PackError, RegistryError
from ..model.directory import BENCH, CHANGES, MODEL, PANEL, PARITY, SIDECAR, LocalDirectory
from ..model.first_rows import kept_rows
from ..model.manifest import Lineage, Source, installed
from ..model.onnx_checks import parse_onnx
from ..model.panel import Panel
from ..model.parity import BATCH_SIZES, PARITY_TOLERANCE, Comparison, Parity
from ..model.probes import uncompared_nan
from ..model.session import OnnxModel
from ..model.sidecar import REFERENCE, BenchClaim, ParityClaim, Probes, Sidecar
from ..policy.place import operations_at
from ..stats.baseline import named_metric
from ..storage.atomic import make_folder
from ..storage.digests import sha256
from ..storage.strict_json import readable
from ..storage.text import first_line, listed
from ..trials.kept import kept_of, trial_id
from ..trials.ledger import enter, enter_unknown, read_ledger, unknown_models
from .categories import scoring_codes, take_codes
from .classes import class_position, cut_zipmaps, fitted_classes
from .codes import coded
from .convert import NativeScore, convert, finish
from .description import Arguments, Description, check_arguments, describe
from .fidelity import check_conversion, check_reference
from .kinds import instead, scoped
from .panel_input import checked_panel, matrix
from .probing import probe
from .publish import publish

# How long latency is measured, whatever a batch takes: with a slow model in fewer rounds [s].
BENCH_SECONDS = 5.0
MOST_WORDS = 200  # of what changed, in the ledger of trials [characters]
FITTED_BY = ("scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "catboost")
LIBRARIES = ("numpy", "pandas", "onnx", "onnxruntime", *FITTED_BY, "skl2onnx", "onnxmltools")


@scoped()
def pack(
    model: Any,
    panel: pd.DataFrame,
    *,
    features: Mapping[str, str],
    changes: str,
    artifacts: str | Path = "artifacts",
    **described: Unpack[Description],
) -> Path:
    """Write a model directory.

    Parameters
    ----------
    model : estimator, bytes or path
        Tabular: one row is one number. A fitted estimator of scikit-learn, LightGBM, XGBoost or CatBoost, or a ready
        ONNX model: its bytes, or the path of its file, whose external data is then moved inside.
    panel : DataFrame
        Out-of-sample rows: `time`, `asset`, the features, `target` (the return over the horizon) and ``ret_next`` (the
        next day's return). For a model that is not a signal: `time` and `asset` if there are such columns, the
        features, `target` (what happened; 0 or 1 for a classifier) and ``baseline``, what the baseline predicts of
        each row. For a ready ONNX model also ``reference``, the native model's score of each row as it was before any
        cast.
    features : mapping of str to str
        Feature name to feature group, in the order in which the model takes them.
    changes : str
        What changed and why, for people.
    name : str, default "model"
        What the models of this artifacts root are called: small letters, digits, dots, dashes and underscores.
    task : {"signal", "classification", "regression"}, default "signal"
        What kind of model it is; a signal is traded on.
    horizon : int, default 0
        How far a signal's target looks ahead [days].
    metric : str, optional
        For a model that is not a signal: the name of the scorer of scikit-learn by which it must beat its baseline.
    trained_until : date, optional
        The last date that any training label used; needed if the panel has a column of times.
    tried : int, optional
        How many candidates were tried on this market data, this one and those that were dropped included; without it
        the model is not promoted.
    time, asset, target : str, optional
        Column names. Left out, `target` is "target"; `time` and `asset` are "time" and "asset" for a signal, and no
        columns otherwise. `asset` names what a row is about, such as a customer.
    target_neutralised : bool, default False
        Whether a signal's target is the return less what sectors, factors or the like explain of it; one in excess of
        the mean of its day, or ranked within it, need not be declared.
    volume : str, optional
        Name of the column of what the whole market traded of the asset that day, in money; without one, neither a
        trade's share of that volume nor its impact can be measured.
    nullable : sequence of str, optional
        Features that may be NaN.
    categories : mapping of str to sequence of str, optional
        Features that are text in the panel, with all their texts: the first is 0 to the ONNX model, in the packed panel
        and in live rows, the next is 1, and so on.
    output : (str, int), optional
        Name of the ONNX output, and which of its columns is the score; the last of the last output if left out.
    scored_class : str or int, optional
        The class whose chance is the score; needed for a classifier of more than two classes, otherwise the second.
    code, data : str, optional
        Where the model came from: a commit, a digest.
    artifacts : path
        The artifacts root; what is written gets its permissions.

    Returns
    -------
    Path
        The new directory, ``<artifacts>/models/<id>``.

    Raises
    ------
    PackError
        If an argument cannot be true, the panel lacks a column or rows, or the model cannot be converted or scored, or
        not as it scores by itself.
    FormatError
        If a feature has a name that no schema can hold.
    StatisticsError
        If scikit-learn has no such metric.
    RegistryError
        If `artifacts` is a folder inside a registry, such as a model directory, or its lock did not come free.
    """
    if unknown := described.keys() - Description.__annotations__.keys():
        raise TypeError(f"pack() got an unexpected keyword argument {min(unknown)!r}")
    arguments = check_arguments(features, changes, described)
    if not isinstance(panel, pd.DataFrame):
        raise PackError(f"panel: expected a DataFrame of pandas, got {type(panel).__name__}")
    return pack_as_described(model, lambda _: panel, arguments, artifacts)


def pack_as_described(
    model: Any,
    panel_of: Callable[[Sidecar], pd.DataFrame],
    arguments: Arguments,
    artifacts: str | Path,
    *,
    source: Source | msgspec.UnsetType = msgspec.UNSET,
) -> Path:
    """Write a model directory as `pack` does; the panel is asked for when it is known what its columns must hold."""
    if not isinstance(artifacts, str | os.PathLike):
        raise PackError(f"artifacts: expected a path, got {type(artifacts).__name__}")
    root = Artifacts.at(Path(artifacts))
    root.refuse_other_folders()
    proto, native, output = _load(model, arguments)
    sidecar = describe(proto, arguments, output)
    if sidecar.metric is not None:
        named_metric(sidecar.metric, labels=sidecar.task == "classification")
    frame, given = checked_panel(panel_of(sidecar), sidecar, needs_reference=native is None)
    content = finish(proto, sidecar.names, sidecar.schema_crc32)
    session = OnnxModel(content, sidecar)
    if problems := session.input_problems():
        raise PackError(listed((f"model.onnx: {problem}" for problem in problems), between="\n"))
    probes = Probes()
    if native is not None:
        # From the rows as they were given: what the cast to float32 changes is a difference that users would meet too.
        frame[REFERENCE] = native(given)
        scores, names, numbers = frame[REFERENCE].to_numpy(), sidecar.names, matrix(coded(given, sidecar.categories))
        probes = probe(numbers, scores, native, session.predict, nullable=sidecar.nullable, names=names)
    packed = Panel(frame, sidecar)
    compared = Comparison.of_panel(packed, probes)
    parity = compared.measure(session)
    _refuse_unknown_scores(session, packed, compared, parity)
    if native is not None:
        order = "declare texts in the order of the categories that it was fitted on, or " if sidecar.categories else ""
        otherwise = f"{order}{instead(model)}"
        check_conversion(
            parity, compared, content=content, panel=packed, given=numbers, native=native, otherwise=otherwise
        )
    else:
        check_reference(parity, compared, content=content, panel=packed)
    contents = {
        MODEL: content,
        SIDECAR: readable(sidecar),
        **_claims(session, packed, parity, probes),
        CHANGES: arguments["changes"].strip().encode() + b"\n",
        PANEL: frame.to_parquet(index=False),
    }
    lineage = Lineage(
        code=arguments.get("code"), data=arguments.get("data"), libraries=installed(LIBRARIES), source=source
    )
    _refuse_another_name(root, sidecar.name)
    if sidecar.task == "signal":
        _count(root, packed, contents)
    return publish(root, contents, lineage)


def _refuse_another_name(artifacts: Artifacts, name: str) -> None:
    """Refuse a model that is called otherwise than the newest one here: a root has the models of one name."""
    known = None
    with suppress(FormatError, IntegrityError, GoneError, RegistryError):  # a model that cannot be read bars no other
        if newest := newest_id(artifacts):
            with LocalDirectory(artifacts.model(newest)) as model:
                known = model.sidecar.name
    if known not in (None, name):
        raise PackError(
            f"name: {name!r}, but the models of {artifacts.root} are called {known!r}; give that name, or pack into "
            "another artifacts root"
        )


def _count(artifacts: Artifacts, panel: Panel, contents: Mapping[str, bytes]) -> None:
    """Enter the trial in the ledger, before it is published: one that nobody counted must not be there."""
    trial = trial_id(model=sha256(contents[MODEL]), panel=sha256(contents[PANEL]), horizon=panel.sidecar.horizon)
    kept = kept_of(panel)  # before others have to wait
    make_folder(artifacts.models, mode=artifacts.directory_mode)
    unknown = {name: kept_of(found) for name, found in unknown_models(artifacts, read_ledger(artifacts))}
    with locked(artifacts, operations_at(artifacts).registry):
        ledger = read_ledger(artifacts)
        enter_unknown(artifacts, ledger, unknown)
        enter(artifacts, ledger, trial, lambda: kept, contents[CHANGES].decode().splitlines()[0][:MOST_WORDS])


def _refuse_unknown_scores(session: OnnxModel, panel: Panel, compared: Comparison, parity: Parity) -> None:
    """Refuse scores that are not finite, and rows that are admitted though nobody knows the native score of any."""
    sidecar = panel.sidecar
    if not np.isfinite(parity.max_abs_diff):
        hint = ", or take what only one of them can miss out of nullable" if any(sidecar.nullable) else ""
        raise PackError(
            f"the ONNX model or the native model gives scores that are not finite; look for NaN in the panel{hint}"
        )
    if missing := uncompared_nan(session, sidecar, compared.blocks(), rows=panel.rows):
        raise PackError(
            f"NaN may stand in {listed(map(repr, missing))}, and ONNX Runtime scores such rows, but no row says what "
            "the native model makes of them: give the panel rows with NaN there, or take the names out of nullable"
        )


def _claims(session: OnnxModel, panel: Panel, parity: Parity, probes: Probes) -> dict[str, bytes]:
    """Write down what was measured of parity, and measure latency, for the gates to measure again."""
    rows = panel.features
    runtime = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    compared = ParityClaim(
        ok=parity.scaled <= PARITY_TOLERANCE,
        max_abs_diff=parity.max_abs_diff,
        rows=parity.rows,
        runtime=runtime,
        batch_sizes=BATCH_SIZES,
        probes=probes,
        first=kept_rows(rows, panel.native_scores, panel.sidecar),
    )
    timed = BenchClaim(
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        runtime=runtime,
        batches=tuple(
            session.time_batches(rows, size=size, seconds=BENCH_SECONDS / len(BATCH_SIZES)) for size in BATCH_SIZES
        ),
    )
    return {PARITY: readable(compared), BENCH: readable(timed)}


def _load(model: Any, arguments: Arguments) -> tuple[onnx.ModelProto, NativeScore | None, tuple[str, int] | None]:
    """Convert an estimator, or read a ready ONNX model; with the output that was declared, if any was."""
    wanted, output = arguments.get("scored_class"), arguments.get("output")
    names, categories = list(arguments["features"]), arguments.get("categories", {})
    if wanted is not None and output is not None:
        raise PackError("scored_class and output both say what the score is; give one of them")
    if isinstance(model, bytes | str | Path):
        proto, native = parse_onnx(model) if isinstance(model, bytes) else _read(model), None
        classes = cut_zipmaps(proto)
        position = None if output else class_position(classes, wanted)
    else:
        classes = fitted_classes(model)
        position = class_position(classes, wanted) if output is None else output[1] if classes else None
        proto, native = convert(model, names, position, categories)
        native = scoring_codes(native, names, categories)
    take_codes(proto, categories)
    return proto, native, output if output or position is None else (proto.graph.output[-1].name, position)


def _read(path: str | Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path))
    except Exception as error:  # onnx raises protobuf's errors and its own
        raise PackError(f"{path}: not an ONNX model that can be read ({first_line(error)})") from error
