"""Scoring rows with ONNX Runtime. Loads bytes, never a path, so that what runs is what was hashed."""

import math
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import OnnxError
from ..storage.scratch import empty
from ..storage.text import first_line, listed
from .blocks import SIZES, starts
from .sidecar import BatchTimes, Sidecar

Scores = NDArray[np.float64]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
# The key without which ONNX Runtime reads no tensor from another file. The library `onnx`, which says which tensor it
# is, is loaded where the word occurs: it would make a server's start a fifth longer.
_LOCATION = b"location"
_SIZES = frozenset(SIZES)


class Tensor(NamedTuple):
    """An input of a model: its name, numpy's name of its dtype, and how many columns it takes."""

    name: str
    dtype: str
    columns: int


class OnnxModel:
    """A model ready to score the feature columns of its sidecar.

    Parameters
    ----------
    content : bytes
        The ONNX file. It must hold all its tensors itself.
    sidecar : Sidecar
        Feature order and output.

    Raises
    ------
    OnnxError
        If the file refers to others, or ONNX Runtime cannot load it, or it has no such output.
    """

    def __init__(self, content: bytes, sidecar: Sidecar) -> None:
        if _LOCATION in content:
            _refuse_outside(content)
        options = onnxruntime.SessionOptions()
        # One thread: with two, the last bits of a score depend on the batch size.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry(
            "session.load_model_format", "ONNX"
        )  # none of its own, which knows other files
        try:
            # Its fallback prints on standard output what could not be loaded, and then tries the same again.
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            self._inputs = {entry.name: entry for entry in self._session.get_inputs()}
            outputs = [entry.name for entry in self._session.get_outputs()]
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            _refuse_outside(content)  # says more of a file that holds no ONNX model
            raise OnnxError(f"model.onnx: ONNX Runtime cannot load it ({first_line(error)})") from error
        self._sidecar = sidecar
        matrix = len(self._inputs) == 1 and (len(sidecar.features) > 1 or sidecar.names[0] not in self._inputs)
        self._matrix = next(iter(self._inputs.values())) if matrix else None
        if sidecar.output.name not in outputs:
            raise OnnxError(
                f"model.onnx: has no output {sidecar.output.name!r}, only {listed(outputs)}; choose one of them"
            )
        self._run = self._runner()

    def input_problems(self) -> list[str]:
        """Compare the model's inputs with the sidecar: one tensor of n columns, or one input a feature."""
        features = self._sidecar.features
        problems = [
            f"input {entry.name!r} takes {entry.shape[0]} rows at a time, expected any number"
            for entry in self._inputs.values()
            if entry.shape and isinstance(entry.shape[0], int)
        ]
        if self._matrix is not None:
            entry = self._matrix
            expected = {feature.dtype for feature in features}
            found = _DTYPES.get(entry.type, entry.type)
            # A dimension without a fixed size is None or a name.
            if len(entry.shape) != 2 or (isinstance(entry.shape[1], int) and entry.shape[1] != len(features)):
                problems.append(f"input {entry.name!r} has shape {entry.shape} for {len(features)} features")
            if expected != {found}:
                problems.append(f"input {entry.name!r} takes {found}, its features are {', '.join(sorted(expected))}")
            return problems
        problems += [f"input {name!r} is not a feature" for name in self._inputs if name not in self._sidecar.names]
        for feature in features:
            if feature.name not in self._inputs:
                problems.append(f"feature {feature.name!r} is not an input of the model")
                continue
            entry = self._inputs[feature.name]
            if len(entry.shape) != 2 or (isinstance(entry.shape[1], int) and entry.shape[1] != 1):
                problems.append(f"input {feature.name!r} has shape {entry.shape}, expected a column")
            if (found := _DTYPES.get(entry.type, entry.type)) != feature.dtype:
                problems.append(f"input {feature.name!r} takes {found}, the feature is {feature.dtype}")
        return problems

    @property
    def tensors(self) -> list[Tensor]:
        """What it takes: one tensor of all features, or one of a column for each, in the sidecar's order."""
        features = self._sidecar.features
        if self._matrix is not None:
            return [Tensor(self._matrix.name, _DTYPES.get(self._matrix.type, "float32"), len(features))]
        return [Tensor(feature.name, feature.dtype, 1) for feature in features]

    def predict(self, rows: NDArray[np.generic], *, batch_size: int | None = None) -> Scores:
        """Score rows.

        Parameters
        ----------
        rows : ndarray, shape (n_rows, n_features)
            Features in sidecar order.
        batch_size : int, optional
            Rows given to ONNX Runtime at a time, the last time those that are left. If left out, numbers of
            `blocks.SIZES`, with which parity is measured.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            The sidecar's output.

        Raises
        ------
        OnnxError
            If ONNX Runtime fails, or the output does not hold one score a row.
        """
        count = len(rows)
        if count in _SIZES if batch_size is None else 0 < count <= batch_size:
            return self._batch(rows)
        cuts = starts(count) if batch_size is None else [*range(0, count, batch_size), count]
        return np.concatenate([np.empty(0), *(self._batch(rows[start:end]) for start, end in pairwise(cuts))])

    def predict_blocks(self, blocks: Iterable[NDArray[np.generic]], rows: int) -> Scores:
        """Score so many rows that come in blocks, each block at once; see `predict`."""
        scores, start = empty(rows), 0
        for block in blocks:
            scores[start : (start := start + len(block))] = self.predict(block)
        return scores

    def _batch(self, rows: NDArray[np.generic]) -> Scores:
        try:
            output = self._run(rows)
        except Exception as error:  # as in __init__
            raise OnnxError(f"model.onnx: ONNX Runtime cannot score these rows ({first_line(error)})") from error
        return self._scores(output, len(rows))

    def time_batches(
        self, rows: NDArray[np.generic], *, size: int, rounds: int = 200, seconds: float = math.inf
    ) -> BatchTimes:
        """Time batches of `size` rows, cycling through `rows`, which are repeated if they are fewer.

        There are `rounds` of them, or as many as begin within `seconds`, but at least one.
        """
        rows = rows[np.arange(max(len(rows), size)) % len(rows)]
        starts = np.arange(rounds) * size % (len(rows) - size + 1)
        times: list[float] = []
        end = time.perf_counter() + seconds
        self.predict(rows[:size])
        for start in starts:
            begin = time.perf_counter_ns()
            self.predict(rows[start : start + size])
            times.append((time.perf_counter_ns() - begin) / 1e6)
            if time.perf_counter() > end:
                break
        p50, p95, p99 = np.quantile(times, [0.5, 0.95, 0.99])
        return BatchTimes(rows=size, rounds=len(times), p50_ms=float(p50), p95_ms=float(p95), p99_ms=float(p99))

    def _runner(self) -> Callable[[NDArray[np.generic]], Any]:
        wanted, session = [self._sidecar.output.name], self._session
        if self._matrix is not None:
            name, dtype = self._matrix.name, _DTYPES.get(self._matrix.type, "float32")
            return lambda batch: session.run(wanted, {name: np.ascontiguousarray(batch, dtype)})[0]
        features = list(enumerate(self._sidecar.features))
        return lambda batch: session.run(
            wanted,
            {feature.name: np.ascontiguousarray(batch[:, [index]], feature.dtype) for index, feature in features},
        )[0]

    def _scores(self, output: Any, rows: int) -> Scores:
        name, column = self._sidecar.output.name, self._sidecar.output.index
        try:
            table = np.asarray(output, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise OnnxError(
                f"model.onnx: output {name!r} holds no numbers; choose another, or convert the model without ZipMap"
            ) from error
        if table.ndim == 1:
            table = table[:, None]
        if table.ndim != 2 or len(table) != rows or column >= table.shape[1]:
            raise OnnxError(
                f"model.onnx: output {name!r} has shape {np.shape(output)} for {rows} rows, "
                f"expected one row each with a column {column}; choose another output or column"
            )
        return table[:, column]


def _refuse_outside(content: bytes) -> None:
    from .onnx_checks import external_data_problems, parse_onnx

    if outside := external_data_problems(parse_onnx(content)):
        raise OnnxError(f"model.onnx: {outside[0]}; pack it again, which moves such tensors inside")
