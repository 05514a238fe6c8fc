"""The serving adapter: loads the bytes that it verified, scores rows batch by batch, logs every one of them."""

import math
import os
import time
from collections import deque
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ..artifacts import Artifacts, refuse_linked_models
from ..errors import FormatError, GoneError, OnnxError
from ..model.directory import MODEL, ModelDirectory
from ..model.features import feature_matrix
from ..model.session import OnnxModel
from ..predictions.records import Prediction, encode_predictions
from ..storage.paths import is_file, is_there
from ..storage.tables import Rejected
from .guards import refuse_if_killed
from .schema import row_errors, row_keys
from .sources import read_csv

Arm = Literal["live", "shadow"]
ANY_ROW = "*"  # in place of a key, where a record is about a whole file or a row that has none


def _open_model(onnx_path: Path) -> ModelDirectory:
    """Open the model directory that a path leads to; follow the path again if the directory was just deleted."""
    refuse_linked_models(onnx_path)
    while True:
        path = Path(os.path.realpath(onnx_path))
        if path.name != MODEL and is_file(path):
            raise FormatError(f"{onnx_path}: not the {MODEL} of a model directory; pack the model first")
        try:
            if path.name != MODEL:
                raise GoneError(path)
            return ModelDirectory(path.parent)
        except GoneError:
            if Path(os.path.realpath(onnx_path)) == path:
                raise FormatError(
                    f"{onnx_path}: no model there; give artifacts/models/<id>/{MODEL}, or artifacts/models/latest.onnx "
                    "once a model is live"
                ) from None


class Adapter:
    """One verified model and the log that its predictions go to.

    Parameters
    ----------
    onnx_path : Path
        A model's ONNX file, or a link to it such as `latest.onnx`; followed once, here.
    arm : {"live", "shadow"}
    log : Path, optional
        Where records are appended; the arm's own log under the artifacts root if left out.

    Raises
    ------
    IntegrityError, FormatError, OnnxError
        If the model directory is not sound.
    """

    def __init__(self, onnx_path: Path, *, arm: Arm, log: Path | None = None) -> None:
        # The directory stays open, so that garbage collection leaves it alone.
        self._files = _open_model(onnx_path)
        self.digest = self._files.verify(keep={MODEL})
        self.model_id = self._files.model_id
        self.sidecar = self._files.sidecar
        self._model = OnnxModel(self._files.verified(MODEL), self.sidecar)
        self._arm: Arm = arm
        self._artifacts = Artifacts.of(self._files.directory)
        own = self._artifacts.predictions if arm == "live" else self._artifacts.shadow_predictions
        self.log = log or own

    def run_csv(self, path: Path, *, batch_size: int = 32) -> list[Prediction]:
        """Score a CSV file, and log every line of it in order; one that is not a row gets a record that says why.

        A file that cannot be read at all leaves a single record.
        """
        refuse_if_killed()
        if not is_there(path):
            raise FormatError(f"{path}: no such file")
        try:
            table = read_csv(path, self.sidecar)
        except FormatError as error:
            self._append([self._record(ANY_ROW, None, 0.0, f"schema: {error}")])
            raise
        dtypes = {feature.name: feature.dtype for feature in self.sidecar.features}
        frame, rejected = pd.DataFrame(table.values).astype(dtypes), deque(table.rejected)
        records = list[Prediction]()
        # At least once, for a file of which nothing can be scored.
        for start in range(0, max(len(frame), 1), batch_size):
            lines = table.lines[start : start + batch_size].tolist()
            batch = [*zip(lines, self._scored(frame.iloc[start : start + batch_size]), strict=True)]
            last = start + batch_size >= len(frame)
            while rejected and (last or rejected[0].line < lines[-1]):
                batch.append((rejected[0].line, self._rejected(rejected.popleft())))
            part = [record for _, record in sorted(batch, key=itemgetter(0))]
            self._append(part)
            records += part
        return records

    def score(self, frame: pd.DataFrame) -> list[Prediction]:
        """Score rows and log each one, with its prediction or with the reason why it has none.

        Parameters
        ----------
        frame : DataFrame
            Time, asset and features.

        Returns
        -------
        list of Prediction
            In the order of the rows; `latency_ms` is the time of the whole batch.

        Raises
        ------
        KilledError
            If the kill switch is on. Nothing is scored or logged then.
        FormatError
            If the frame lacks a feature, or a feature is not numeric. Nothing is logged then.
        """
        records = self._scored(frame)
        self._append(records)
        return records

    def _scored(self, frame: pd.DataFrame) -> list[Prediction]:
        refuse_if_killed()
        begin = time.perf_counter_ns()
        rows = feature_matrix(frame, self.sidecar, source="rows")
        errors = row_errors(frame, rows, self.sidecar)
        sound = np.array([error is None for error in errors], dtype=bool)
        try:
            scores = iter(self._model.predict(rows[sound]).tolist())
        except OnnxError as error:
            errors, scores = [str(error)] * len(frame), iter(())
        latency_ms = (time.perf_counter_ns() - begin) / 1e6
        return [
            self._record(key, None if error else next(scores), latency_ms, error)
            for key, error in zip(row_keys(frame, self.sidecar), errors, strict=True)
        ]

    def _rejected(self, row: Rejected) -> Prediction:
        # Without an asset a row goes by its content, which is not known.
        key = "|".join(row.texts) if row.texts and self.sidecar.asset else ANY_ROW
        return self._record(key, None, 0.0, f"schema: {row}")

    def _record(self, row_key: str, prediction: float | None, latency_ms: float, error: str | None) -> Prediction:
        if prediction is not None and not math.isfinite(prediction):
            prediction, error = None, f"model: the score is {prediction}"
        return Prediction(
            time=datetime.now(UTC),
            row_key=row_key,
            model_id=self.model_id,
            digest=self.digest,
            schema_crc32=self.sidecar.schema_crc32,
            prediction=prediction,
            latency_ms=latency_ms,
            arm=self._arm,
            error=error,
        )

    def _append(self, records: list[Prediction]) -> None:
        if records:
            self._artifacts.append(self.log, encode_predictions(records))
