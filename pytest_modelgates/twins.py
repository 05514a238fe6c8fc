"""Twins: copies of a model directory, each changed so that one gate must fail on it. Knows of no run or verdict."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .drift.records import Prediction, encode_predictions
from .errors import ModelgatesError
from .model import layout
from .model.candidate import Candidate
from .model.files import canonical, readable, tree_digest
from .model.manifest import FileEntry
from .model.onnx_checks import inputs_of, parse_onnx
from .model.parity import PARITY_TOLERANCE
from .model.session import OnnxModel
from .model.sidecar import BASELINE, REFERENCE, RET_NEXT
from .stats.agreement import disordered
from .stats.ranking import hold

Change = Callable[[Path], None]
Matrix = NDArray[np.float64]

SEED = 20200101
SHADOW_ROWS = 1000
# A change that is seen in every statistic, beside which a cost of some basis points is nothing [return a day].
LARGE, NOISE = 0.05, 0.005
# Where operators keep what was fitted, besides initializers.
FITTED = ("target_weights", "class_weights", "leaf_weights", "coefficients", "intercepts")


def make_twin(source: Path, target: Path, change: Change) -> None:
    """Copy a model directory under another id, change it, and make manifest and parity claim agree with the change."""
    shutil.copytree(source, target)
    _restate(target, target)
    change(target)
    if change is not changed_byte:  # whose whole point is that the manifest does not agree
        _restate(source, target)


def _restate(source: Path, target: Path) -> None:
    old, new = Candidate(source), Candidate(target)
    try:
        if old.onnx_bytes != new.onnx_bytes or not _scored(old).equals(_scored(new)):
            parity = new.parity
            if np.isfinite(parity.max_abs_diff):
                ok, worst = parity.scaled <= PARITY_TOLERANCE, parity.max_abs_diff
                claim = msgspec.structs.replace(new.parity_claim, ok=ok, max_abs_diff=worst, rows=parity.rows)
                (target / layout.PARITY).write_bytes(readable(claim))
    except ModelgatesError:
        pass  # what cannot be scored any more has no parity to state
    paths = [target / name for name in layout.FILES if name != layout.MANIFEST and (target / name).is_file()]
    files = {path.name: FileEntry.of(path.read_bytes()) for path in paths}
    manifest = msgspec.structs.replace(new.manifest, id=target.name, files=files)
    (target / layout.MANIFEST).write_bytes(canonical(manifest))


def _scored(candidate: Candidate) -> pd.DataFrame:
    return candidate.panel.frame.reindex(columns=[*candidate.sidecar.names, REFERENCE])


def _write_panel(target: Path, frame: pd.DataFrame) -> None:
    (target / layout.PANEL).write_bytes(frame.to_parquet(index=False))


def _write_model(target: Path, model: onnx.ModelProto) -> None:
    (target / layout.MODEL).write_bytes(model.SerializeToString(deterministic=True))


def missing_file(target: Path) -> None:
    """Without its list of changes."""
    (target / layout.CHANGES).unlink()


def extra_file(target: Path) -> None:
    """With a file of somebody's."""
    (target / "conftest.py").write_text("")


def changed_byte(target: Path) -> None:
    """One bit other than what the manifest was written for."""
    content = bytearray((target / layout.CHANGES).read_bytes())
    content[0] ^= 1
    (target / layout.CHANGES).write_bytes(content)


def foreign_operator(target: Path) -> None:
    """One operator of a domain that nobody allows."""
    model = parse_onnx(Candidate(target).onnx_bytes)
    model.opset_import.append(helper.make_opsetid("org.example.twin", 1))
    model.graph.node.append(
        helper.make_node("Foreign", [model.graph.input[0].name], ["twin/foreign"], domain="org.example.twin")
    )
    _write_model(target, model)


def flipped_schema(target: Path) -> None:
    """The sidecar's schema checksum differs in one bit."""
    sidecar = Candidate(target).sidecar
    crc = f"{int(sidecar.schema_crc32, 16) ^ 1:08x}"
    (target / layout.SIDECAR).write_bytes(readable(msgspec.structs.replace(sidecar, schema_crc32=crc)))


def swapped_columns(target: Path) -> None:
    """Two neighbouring columns of the panel in each other's place."""
    panel = Candidate(target).panel
    columns = list(panel.frame)
    first = columns.index(panel.sidecar.names[0])
    columns[first], columns[first + 1] = columns[first + 1], columns[first]
    _write_panel(target, panel.frame[columns])


def changed_dtype(target: Path) -> None:
    """The first feature in another dtype."""
    panel = Candidate(target).panel
    feature = panel.sidecar.features[0]
    other = "float32" if feature.dtype == "float64" else "float64"
    _write_panel(target, panel.frame.astype({feature.name: other}))


def renamed_input(target: Path) -> None:
    """The ONNX model asks for an input that is no feature: instead of its first, or beside a single matrix."""
    model = parse_onnx(Candidate(target).onnx_bytes)
    inputs = inputs_of(model.graph)
    if len(inputs) == 1:  # whose name is free
        inputs.append(model.graph.input.add())
        inputs[1].CopyFrom(inputs[0])
        inputs[1].name = "twin/renamed"
    else:
        model.graph.node.insert(0, helper.make_node("Identity", ["twin/renamed"], [inputs[0].name]))
        inputs[0].name = "twin/renamed"
    _write_model(target, model)


def infinite_feature(target: Path) -> None:
    """Infinity in one row of the first feature that can hold it."""
    panel = Candidate(target).panel
    name = next((f.name for f in panel.sidecar.features if f.dtype.startswith("float")), panel.sidecar.target)
    panel.frame.loc[0, name] = np.inf
    _write_panel(target, panel.frame)


def duplicated_row(target: Path) -> None:
    """The first row twice."""
    frame = Candidate(target).panel.frame
    _write_panel(target, pd.concat([frame.head(1), frame]))


def unsorted_rows(target: Path) -> None:
    """The panel backwards."""
    _write_panel(target, Candidate(target).panel.frame[::-1])


def early_row(target: Path) -> None:
    """The first day at the last price date that a training label used."""
    panel = Candidate(target).panel
    panel.frame.loc[panel.day_codes == 0, panel.sidecar.time] = pd.Timestamp(panel.sidecar.trained_until)
    _write_panel(target, panel.frame)


def perturbed_weights(target: Path) -> None:
    """Everything fitted is shaken; a model in which nothing is, or where it does not matter, gets a term instead."""
    candidate, rng = Candidate(target), np.random.default_rng(SEED)

    def shaken(values: NDArray[np.generic]) -> NDArray[np.generic]:
        noise = rng.standard_normal(values.shape) * np.abs(values).max(initial=0)
        return np.asarray(values + noise, dtype=values.dtype)

    model = parse_onnx(candidate.onnx_bytes)
    attributes = [entry for node in model.graph.node for entry in node.attribute if entry.name in FITTED]
    for entry in attributes:
        if entry.type == onnx.AttributeProto.FLOATS:
            entry.floats[:] = shaken(np.array(entry.floats)).tolist()
    tensors = [entry.t for entry in attributes if entry.type == onnx.AttributeProto.TENSOR]
    for tensor in [*model.graph.initializer, *tensors]:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
            tensor.CopyFrom(numpy_helper.from_array(shaken(numpy_helper.to_array(tensor)), tensor.name))
    panel, margin = candidate.panel, 0.1 * float(candidate.scores.std())
    try:
        scores = OnnxModel(bytes(model.SerializeToString()), candidate.sidecar).predict(panel.features)
        seen = disordered(panel.reference, scores, panel.day_codes, margin=margin) > 0
    except ModelgatesError:  # shaken out of its range
        seen = False
    if not seen:
        feature = panel.features[:, 0].astype(np.float64)
        against = -1.0 if np.nan_to_num((feature - feature.mean()) * candidate.scores).sum() > 0 else 1.0
        model = _with_term(candidate, 0, 100 * against)
    _write_model(target, model)


def _with_term(candidate: Candidate, position: int, size: float) -> onnx.ModelProto:
    """Add a feature to the score, `size` times as large as the score itself."""
    model, sidecar = parse_onnx(candidate.onnx_bytes), candidate.sidecar
    spread = np.nanstd(candidate.panel.features[:, position].astype(np.float64)) or 1.0
    factor = size * (float(candidate.scores.std()) or 1.0) / float(spread)
    graph, name = model.graph, sidecar.output.name
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = ["twin/score" if end == name else end for end in ends]
    kind = next(entry for entry in graph.output if entry.name == name).type.tensor_type
    inputs = {entry.name for entry in inputs_of(model.graph)}
    column = sidecar.names[position]
    if column not in inputs or len(inputs) < len(sidecar.names):
        graph.node.append(helper.make_node("Gather", [*inputs, "twin/position"], ["twin/column"], axis=1))
        column = "twin/column"
    shape = np.array([-1, 1][: max(len(kind.shape.dim), 1)], dtype=np.int64)
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([position], dtype=np.int64), "twin/position"),
            numpy_helper.from_array(shape, "twin/shape"),
            numpy_helper.from_array(np.array(factor, dtype=dtype), "twin/factor"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", [column], ["twin/cast"], to=kind.elem_type),
            helper.make_node("Reshape", ["twin/cast", "twin/shape"], ["twin/shaped"]),
            helper.make_node("Mul", ["twin/shaped", "twin/factor"], ["twin/term"]),
            helper.make_node("Add", ["twin/score", "twin/term"], [name]),
        ]
    )
    if not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 13))
    return model


def edited_claim(target: Path) -> None:
    """`parity.json` says the opposite."""
    claim = Candidate(target).parity_claim
    (target / layout.PARITY).write_bytes(readable(msgspec.structs.replace(claim, ok=not claim.ok)))


def _positions(candidate: Candidate, features: NDArray[np.generic]) -> tuple[Matrix, int]:
    """What is held each day, of length 1, and the first day on which all of it is."""
    panel = candidate.panel
    scores = panel.by_day(candidate.model.predict(features))
    held = hold(scores, panel.returns, horizon=candidate.sidecar.horizon, cost_bps=0)
    size = np.linalg.norm(held.weights, axis=1, keepdims=True)
    return np.divide(held.weights, size, out=np.zeros_like(held.weights), where=size > 0), held.first


def _write_returns(candidate: Candidate, direction: Matrix, first: int, days: NDArray[np.bool_]) -> None:
    """Let returns follow `direction`, with a little noise, on the `days` chosen of those from `first` on."""
    panel, rng = candidate.panel, np.random.default_rng(SEED)
    size = np.sqrt((direction**2).mean(axis=1, keepdims=True))
    unit = np.divide(direction, size, out=np.zeros_like(direction), where=size > 0)
    returns = panel.returns.copy()
    returns[first:][days] = (LARGE * unit + NOISE * rng.standard_normal(unit.shape))[days]
    panel.frame[RET_NEXT] = returns[panel.day_codes, panel.asset_codes]
    _write_panel(candidate.directory, panel.frame)


def against_score(target: Path) -> None:
    """Returns that go against what the score holds, every day."""
    candidate = Candidate(target)
    held, first = _positions(candidate, candidate.panel.features)
    _write_returns(candidate, -held, first, np.ones(len(held), dtype=bool))


def ruinous_year(target: Path) -> None:
    """Returns that go against what the score holds, in the year with most days."""
    candidate = Candidate(target)
    held, first = _positions(candidate, candidate.panel.features)
    years = candidate.panel.days.year.to_numpy()[first : first + len(held)]
    names, counts = np.unique(years, return_counts=True)
    _write_returns(candidate, -held, first, years == names[counts.argmax()])


def against_group(target: Path, group: str) -> None:
    """Returns that punish what one feature group adds; a model that does not use the group is given a term in it."""
    candidate = Candidate(target)
    positions = candidate.sidecar.groups[group]
    whole, without, first = _contribution(candidate, positions)
    if (np.abs(whole - without).max(axis=1) > 1e-9).mean() < 0.5:
        panel, name = candidate.panel, candidate.sidecar.names[positions[0]]
        # Of values that differ from asset to asset, which a feature of the whole market's does not have.
        noise = np.random.default_rng(SEED).integers(0, 2, len(panel.frame))
        panel.frame[name] = noise.astype(candidate.sidecar.features[positions[0]].dtype)
        _write_panel(target, panel.frame)
        _write_model(target, _with_term(Candidate(target), positions[0], 1))
        candidate = Candidate(target)
        candidate.panel.frame[REFERENCE] = candidate.scores
        whole, without, first = _contribution(candidate, positions)
    _write_returns(candidate, without - whole, first, np.ones(len(whole), dtype=bool))


def _contribution(candidate: Candidate, positions: list[int]) -> tuple[Matrix, Matrix, int]:
    whole, first = _positions(candidate, candidate.panel.features)
    return whole, _positions(candidate, candidate.panel.neutralised(positions))[0], first


def knowing_baseline(target: Path) -> None:
    """A baseline that knows what happened."""
    panel = Candidate(target).panel
    panel.frame[BASELINE] = panel.outcome
    _write_panel(target, panel.frame)


def shifted_shadow(target: Path) -> None:
    """A log in which the model predicted in shadow what lies beyond everything that it predicted on its panel."""
    candidate = Candidate(target)
    golden, sidecar = candidate.panel.reference, candidate.sidecar
    values = np.resize(golden, SHADOW_ROWS) + 2 * float(np.ptp(golden)) + 1
    common = {"digest": tree_digest(target), "schema_crc32": sidecar.schema_crc32, "model_id": target.name}
    rows = [
        Prediction(
            time=candidate.manifest.created,
            row_key=f"twin|{row}",
            prediction=float(value),
            latency_ms=1.0,
            arm="shadow",
            **common,
        )
        for row, value in enumerate(values)
    ]
    candidate.artifacts.append(candidate.artifacts.shadow_predictions, encode_predictions(rows))


TWINS: dict[str, tuple[Change, ...]] = {
    "integrity.required_files": (missing_file, extra_file),
    "integrity.sha256": (changed_byte,),
    "integrity.onnx_is_sound": (foreign_operator,),
    "schema.crc32": (flipped_schema,),
    "schema.columns": (swapped_columns,),
    "schema.dtypes": (changed_dtype,),
    "schema.onnx_inputs": (renamed_input,),
    "data.finite": (infinite_feature,),
    "data.unique_keys": (duplicated_row,),
    "data.ordered": (unsorted_rows,),
    "data.no_overlap": (early_row,),
    "parity.max_abs_diff": (perturbed_weights,),
    "parity.claim": (edited_claim,),
    "parity.decisions": (perturbed_weights,),
    "significance.p_against": (against_score,),
    "metric.beats_baseline": (knowing_baseline,),
    "drift.psi": (shifted_shadow,),
    "wf.positive_folds": (against_score,),
    "wf.worst_fold": (ruinous_year,),
    # Soft, unless a policy makes them hard.
    "significance.rank_ic": (against_score,),
    "significance.deflated_sharpe": (against_score,),
    "significance.track_record": (against_score,),
    "pnl.after_costs": (against_score,),
    "pnl.sharpe": (against_score,),
    "pnl.within_limits": (against_score,),
}
# Twins of gates with a feature group, which they are told.
GROUP_TWINS: dict[str, Callable[[Path, str], None]] = {"ablation.harmless": against_group}
