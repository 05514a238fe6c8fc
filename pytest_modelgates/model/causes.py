"""Why ONNX Runtime and the native model may differ: each cause that leaves a trace, in the words of what to do."""

from collections.abc import Iterator

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import OnnxError
from ..stats.copy_effects import rows_at_thresholds
from ..stats.ranks import centred_ranks
from ..storage.text import listed, printable
from .onnx_checks import low_precision, parse_onnx
from .parity import PARITY_TOLERANCE, Comparison
from .session import OnnxModel
from .sidecar import Output, Sidecar
from .trees import split_thresholds

Scores = NDArray[np.float64]
# A classifier's outputs have a column for each class; a wider output is not searched further [columns].
COLUMNS = 8
# A rank correlation beyond which two models order rows alike; float32 ties a few.
ALIKE = 0.9999
# Fewer rows than this are exceptions; a model that is another one differs on most [share].
FEW = 0.01


def likely_cause(content: bytes, sidecar: Sidecar, compared: Comparison, *, otherwise: str) -> str:
    """Name the likeliest cause of a difference.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    sidecar : Sidecar
    compared : Comparison
        Rows on which the models differ.
    otherwise : str
        What to say if the difference leaves no trace that is known here.

    Returns
    -------
    str
        What was found, and what to do about it, on one line.
    """
    model, graph = OnnxModel(content, sidecar), parse_onnx(content)
    scores = model.predict_blocks(compared.blocks(), len(compared.native))
    off = _off(scores, compared)
    if not off.any():
        return "a row's score depends on the rows beside it: convert the model so that each row is scored alone"
    native = compared.native
    if bad := int((~np.isfinite(scores) | ~np.isfinite(native)).sum()):
        return f"{bad} rows have a score that is NaN or infinite: look for missing or huge values in them"
    if all(rows.dtype.kind == "f" and np.isnan(rows).any(axis=1).all() for rows in compared.where(off)):
        return "only rows with NaN differ: fill missing values before the model, or take the features out of nullable"
    panel = slice(len(native) - compared.probes)
    if not off[panel].any():
        return (
            f"only rows that the panel lacks differ, {_worst_probe(scores, compared)}: convert the model in another way"
        )
    if other := next((found for found in _other_outputs(graph, sidecar) if _agrees(content, found, compared)), None):
        name, column = printable(other.output.name), other.output.index
        return f"column {column} of output {name!r} agrees: pack with output = ({name!r}, {column})"
    if kinds := low_precision(graph):
        return f"the ONNX model computes in {', '.join(kinds)}: export it in float32"
    if np.abs(scores - native)[panel].max() <= PARITY_TOLERANCE * np.abs(native[panel]).max():
        return (
            f"scores around {np.median(native):.4g} that spread by {compared.scale:.3g} are rounded by float32: "
            "take a constant out of the target, or score the rarer class"
        )
    splits = split_thresholds(graph, sidecar.names)
    if splits and all(rows_at_thresholds(rows, splits).all() for rows in compared.where(off)):
        return (
            f"all {off.sum()} rows that differ lie at a split of a tree: give the native model float32 rows, and round "
            "thresholds down to float32, as modelgates pack does"
        )
    if off.mean() < FEW:
        first = np.flatnonzero(off)[0]
        return f"only {off.sum()} of {len(off)} rows differ, row {first} first: look at what is odd in them"
    return _shape(scores[panel], native[panel]) or otherwise


def _off(scores: Scores, compared: Comparison) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray(~(np.abs(scores - compared.native) <= PARITY_TOLERANCE * compared.reach))


def _worst_probe(scores: Scores, compared: Comparison) -> str:
    first = len(scores) - compared.probes
    worst = int((np.abs(scores - compared.native) / compared.reach)[first:].argmax())
    values = compared.changes[worst].items() if compared.changes else ()
    return "most with " + listed(f"{printable(name)} = {value}" for name, value in values) if values else "the probes"


def _other_outputs(graph: onnx.ModelProto, sidecar: Sidecar) -> Iterator[Sidecar]:
    for entry in graph.graph.output:
        for column in range(COLUMNS):
            output = Output(name=entry.name, index=column)
            if output != sidecar.output:
                yield msgspec.structs.replace(sidecar, output=output)


def _agrees(content: bytes, described: Sidecar, compared: Comparison) -> bool:
    try:
        return not _off(
            OnnxModel(content, described).predict_blocks(compared.blocks(), len(compared.native)), compared
        ).any()
    except OnnxError:  # the output has no such column, or holds no numbers
        return False


def _shape(scores: Scores, native: Scores) -> str | None:
    """Tell a last step that is missing from a model that is another one."""
    ours, theirs = scores - scores.mean(), native - native.mean()
    if not (ours.any() and theirs.any()):
        return None
    slope = float(ours @ theirs / (theirs @ theirs))
    if np.abs(slope * theirs - ours).max() <= 1e-4 * np.abs(ours).max():
        constant = scores.mean() - slope * native.mean()
        return (
            f"ONNX Runtime's score is {slope:.5g} times the native one plus {constant:.3g}: "
            "look for a sign, a unit or a scaling that only one of them has"
        )
    x, y = centred_ranks(np.stack([scores, native]))
    if x @ y > ALIKE * np.sqrt((x @ x) * (y @ y)):
        return "both rank the rows alike: look for a last step that only one of them has, such as a sigmoid"
    return None
