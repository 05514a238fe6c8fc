"""Whether the ONNX model that packing converted is still the estimator that it was given, and why not."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PackError
from ..model.causes import likely_cause
from ..model.panel import Panel
from ..model.parity import PARITY_TOLERANCE, Comparison, Parity
from ..model.session import OnnxModel
from ..model.sidecar import REFERENCE
from .convert import NativeScore

# Rounding in float32 moves scores by less than this share of their spread, unless an offset dwarfs it. What a converter
# leaves out, and what a cast merges, moves them by more.
ANOTHER_MODEL = 1e-3


def check_conversion(
    parity: Parity,
    compared: Comparison,
    *,
    content: bytes,
    panel: Panel,
    given: NDArray[np.floating[Any]],
    native: NativeScore,
    otherwise: str,
) -> None:
    """Refuse a conversion that scores as another model would, and warn of one that the gate of parity will refuse.

    `otherwise` says what to pack instead, if the difference does not come from a cast.

    Raises
    ------
    PackError
        With the likeliest cause.
    """
    if parity.scaled <= PARITY_TOLERANCE:
        return
    session = OnnxModel(content, panel.sidecar)
    cause = _cast_cause(session, panel, given, native)
    if cause is None:
        unknown = "the converter leaves a part of the model out"
        cause = likely_cause(content, panel.sidecar, compared, otherwise=unknown)
        cause += f": {otherwise}" if cause == unknown else f"; or {otherwise}"
    _refuse_or_warn(parity, "estimator", cause)


def check_reference(parity: Parity, compared: Comparison, *, content: bytes, panel: Panel) -> None:
    """Refuse or warn likewise of a ready ONNX model that scores otherwise than the panel's `reference` says.

    Raises
    ------
    PackError
        With the likeliest cause.
    """
    if parity.scaled <= PARITY_TOLERANCE:
        return
    otherwise = (
        "look whether features names them in the order that the model takes, whether its output is the one that you "
        "mean, and whether reference is of the same rows"
    )
    cause = likely_cause(content, panel.sidecar, compared, otherwise=otherwise)
    _refuse_or_warn(parity, f"panel's {REFERENCE!r}", cause)


def _refuse_or_warn(parity: Parity, what: str, cause: str) -> None:
    found = f"the ONNX model differs from the {what} by {parity.scaled:.3g} times the spread of its scores"
    if not parity.scaled <= ANOTHER_MODEL:
        raise PackError(f"{found}, expected at most {PARITY_TOLERANCE:g}: {cause}")
    warnings.warn(
        f"{found}, the packaged policy admits {PARITY_TOLERANCE:g}: {cause}", stacklevel=6
    )  # where `pack` was called


def _cast_cause(session: OnnxModel, panel: Panel, given: NDArray[np.floating[Any]], native: NativeScore) -> str | None:
    """Tell whether the difference comes from what the features were before they became a matrix of float32."""
    scale = Comparison.of(panel.features, panel.native_scores, panel.day_codes)
    if (np.abs(native(given) - scale.native) > PARITY_TOLERANCE * scale.reach).any():
        return (
            "the model scores the frame otherwise than the numbers in it, as after a fit on categories of pandas, and "
            "ONNX Runtime gets the numbers: fit it on codes that are numbers"
        )
    if scale.measure(session).scaled <= PARITY_TOLERANCE:  # the probes differ, whose values no user has to cast
        return None
    cast = given.astype(np.float32)
    if given.dtype == np.float32 or not np.isfinite(known := native(cast)).all():
        return None
    if not Comparison.of(panel.features, known, panel.day_codes).measure(session).scaled <= PARITY_TOLERANCE:
        return _coarse_feature(panel.sidecar.names, given)
    for name, before, after in zip(panel.sidecar.names, given.T, cast.T, strict=True):
        whole = (before == np.round(before)).all()
        if whole and (values := len(np.unique(before))) > (left := len(np.unique(after))):
            return (
                f"the model takes float32, in which {values} whole numbers of {name!r} become {left}: give it smaller "
                "ones, such as days since a date or the number of a code"
            )
    return _coarse_feature(panel.sidecar.names, given) or (
        "the model takes float32, and some features change sides of a split when they are cast: cast them yourself, "
        'panel[names].astype("float32"), so that both models score what will be served'
    )


def _coarse_feature(names: list[str], given: NDArray[np.floating[Any]]) -> str | None:
    """Find a feature so large beside its spread that what a model computes from it in float32 is rounding."""
    for name, column in zip(names, given.T, strict=True):
        finite = column[np.isfinite(column)]
        apart = np.spacing(np.float32(np.abs(finite).max(initial=0)))
        deviation = finite.std() if finite.size else 0.0
        if apart > ANOTHER_MODEL * deviation > 0:
            return (
                f"the model takes float32, in which values of {name!r} lie {apart:.3g} apart while they spread by "
                f"{deviation:.3g}: subtract a constant from it before the fit"
            )
    return None
