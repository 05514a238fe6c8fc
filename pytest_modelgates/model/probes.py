"""Rows that serving admits though a panel need not have them: as `parity.json` keeps them, and which are missing."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, OnnxError
from .directory import PARITY
from .session import OnnxModel
from .sidecar import Probe, Probes, Sidecar

Rows = NDArray[np.generic]
Scores = NDArray[np.float64]


def probe_rows(probes: Probes, names: Sequence[str]) -> tuple[Rows, Scores]:
    """Lay probes out as rows in the order of the features, with the native model's score of each."""
    rows = np.full((len(probes.rows), len(names)), np.nan)
    try:
        for row, probe in zip(rows, probes.rows, strict=True):
            base = [np.nan if value is None else value for value in probes.bases[probe.base]]
            if len(base) != len(names):  # numpy would repeat a single value
                raise ValueError(f"{len(base)} values, the model has {len(names)} features")
            row[:] = base
            for name, value in probe.values.items():
                row[names.index(name)] = np.nan if value is None else value
    except (IndexError, ValueError) as error:
        raise FormatError(f"{PARITY}: a probe is not a row of this model's features ({error}); pack again") from error
    return rows, np.array([probe.native for probe in probes.rows])


def as_probes(bases: Rows, rows: Sequence[tuple[int, dict[str, float], float]]) -> Probes:
    """Write probes down: each the number of its base, the values that differ from it, and its native score."""

    def written(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return Probes(
        bases=tuple(tuple(map(written, base)) for base in bases.astype(np.float64).tolist()),
        rows=tuple(
            Probe(base=base, values={name: written(value) for name, value in values.items()}, native=native)
            for base, values, native in rows
        ),
    )


def uncompared_nan(
    model: OnnxModel, sidecar: Sidecar, compared: Iterable[Rows], *, rows: int, trials: int = 16
) -> list[str]:
    """Find features that may be NaN, though no compared row says what the native model makes of that.

    Parameters
    ----------
    model : OnnxModel
    sidecar : Sidecar
    compared : iterable of ndarray, shape (n, n_features)
        Rows whose native score is known, in parts: those of the panel come first.
    rows : int
        How many of them are of the panel.
    trials : int, default 16
        Of how many rows NaN is tried.

    Returns
    -------
    list of str
        Names of features. One whose NaN leaves ONNX Runtime without a finite score is not among them: such a score is
        never served.
    """
    if not any(sidecar.nullable):
        return []
    wanted, start = np.linspace(0, rows - 1, min(trials, rows)).astype(int), 0
    missing, parts, found = np.zeros(len(sidecar.names), dtype=bool), list[Rows](), list[str]()
    for block in compared:
        missing |= np.isnan(block).any(axis=0)
        low, high = np.searchsorted(wanted, [start, start + len(block)])
        parts.append(block[wanted[low:high] - start])
        start += len(block)
    chosen = np.concatenate(parts).astype(np.float64)
    for position, feature in enumerate(sidecar.features):
        if not feature.nullable or missing[position]:
            continue
        holed = chosen.copy()
        holed[:, position] = np.nan
        try:
            with np.errstate(invalid="ignore"):  # a model of whole numbers makes some number of NaN
                served = bool(np.isfinite(model.predict(holed)).any())
        except OnnxError:
            served = False
        if served:
            found.append(feature.name)
    return found
