"""A model directory as gates see it: each part is read when first asked for, so a broken file fails its own gates."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..stats.copy_effects import rows_at_thresholds
from ..storage.digested_file import DigestedFile
from ..storage.digests import sha256, tree_digest
from .causes import likely_cause
from .directory import MODEL, PARITY, LocalDirectory, ModelDirectory
from .first_rows import ROWS, kept_rows
from .manifest import Manifest
from .onnx_checks import parse_onnx, recorded_schema, soundness_problems
from .panel import Panel
from .parity import BATCH_SIZES, PARITY_TOLERANCE, Comparison, Parity
from .probes import uncompared_nan
from .session import OnnxModel
from .sidecar import FirstRows, ParityClaim, Sidecar
from .trees import split_thresholds

# Rows that are looked at together where no model sees them.
_MANY = 2**16


class Candidate:
    """The model directory under test.

    Parameters
    ----------
    directory : Path
    digest : str, optional
        Its digest, if the caller has taken it already.
    files : ModelDirectory, optional
        Where its bytes come from, if not from the directory.
    """

    def __init__(self, directory: Path, *, digest: str | None = None, files: ModelDirectory | None = None) -> None:
        self.directory = directory
        self._digest, self._given = digest, files
        self.model_id = directory.name
        self.artifacts = Artifacts.of(directory)

    @cached_property
    def _files(self) -> ModelDirectory:
        return self._given or LocalDirectory(self.directory)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the directory's listing, as the manifest's reader and the prediction log name the model."""
        return self._digest or tree_digest(self.directory)

    @cached_property
    def manifest(self) -> Manifest:
        """What the files must be."""
        return self._files.manifest

    @cached_property
    def sidecar(self) -> Sidecar:
        """Schema and metadata."""
        return self._files.sidecar

    @cached_property
    def parity_claim(self) -> ParityClaim:
        """What packing says it measured."""
        return self._files.json(PARITY, ParityClaim)

    @cached_property
    def onnx_bytes(self) -> bytes:
        """The ONNX file."""
        return self._files.read(MODEL)

    @cached_property
    def model(self) -> OnnxModel:
        """The ONNX model, ready to score."""
        return OnnxModel(self.onnx_bytes, self.sidecar)

    @cached_property
    def panel(self) -> Panel:
        """The out-of-sample rows."""
        return Panel.read(self._panel_file, self.sidecar)

    @cached_property
    def _panel_file(self) -> DigestedFile:
        return self._files.panel_file()

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """ONNX Runtime's score of every row of the panel, shape (n_rows,)."""
        return self.model.predict_blocks(self.panel.blocks(), self.panel.rows)

    @cached_property
    def comparison(self) -> Comparison:
        """The rows on which ONNX Runtime is compared with the native model: the panel's, then the probes."""
        return Comparison.of_panel(self.panel, self.parity_claim.probes)

    @cached_property
    def parity(self) -> Parity:
        """How far ONNX Runtime is from the native model on every row and probe, at every batch size."""
        return self.comparison.measure(self.model)

    @property
    def first_rows(self) -> FirstRows:
        """The first rows of the panel, as `parity.json` keeps them."""
        return kept_rows(self.panel.head(ROWS), self.panel.native_scores, self.sidecar)

    @cached_property
    def cause(self) -> dict[str, Any]:
        """Why ONNX Runtime is likely to differ from the native model; empty if it hardly does."""
        if self.parity.scaled <= PARITY_TOLERANCE:
            return {}
        otherwise = "they are two models: look for another fit, another order of the features or a wrong reference"
        return {"cause": likely_cause(self.onnx_bytes, self.sidecar, self.comparison, otherwise=otherwise)}

    @cached_property
    def rows_at_splits(self) -> int | None:
        """How many rows lie within a float32 step of a split of a tree; None if the trees see other columns."""
        splits = split_thresholds(parse_onnx(self.onnx_bytes), self.sidecar.names)
        if splits is None:
            return None
        return sum(int(rows_at_thresholds(rows, splits).sum()) for rows in self.panel.blocks(_MANY))

    @cached_property
    def seed(self) -> int:
        """A seed that depends on the panel's bytes alone, so that a verdict can be repeated."""
        return int(self.panel_digest[:8], 16)

    @cached_property
    def model_digest(self) -> str:
        """SHA-256 of the ONNX file."""
        return sha256(self.onnx_bytes)

    @cached_property
    def panel_digest(self) -> str:
        """SHA-256 of the panel's file."""
        return self._panel_file.sha256

    def missing_files(self) -> list[str]:
        """Names that are missing, unexpected, or not regular files."""
        return self._files.file_set_problems()

    def changed_files(self) -> list[str]:
        """Files that are not what the manifest says."""
        return self._files.digest_problems()

    def soundness_problems(self, domains: tuple[str, ...]) -> list[str]:
        """What is wrong with the ONNX file."""
        return soundness_problems(self.onnx_bytes, domains)

    def recorded_schema(self) -> tuple[list[str] | None, str | None]:
        """Feature names and CRC that packing wrote into the ONNX file."""
        return recorded_schema(self.onnx_bytes)

    def parity_claim_problems(self, tolerance: float) -> list[str]:
        """Compare `parity.json` with what is measured here: its verdict, rows, batch sizes and difference."""
        claim, parity = self.parity_claim, self.parity
        agrees = abs(claim.max_abs_diff - parity.max_abs_diff) <= tolerance * self.comparison.reach.max()
        problems = (
            [] if agrees else [f"claims a difference of {claim.max_abs_diff:.3g}, measured {parity.max_abs_diff:.3g}"]
        )
        if claim.ok != (parity.scaled <= PARITY_TOLERANCE):
            problems.append(
                f"claims ok = {claim.ok}, measured {parity.scaled:.3g} against a limit of {PARITY_TOLERANCE:g}"
            )
        if claim.rows != parity.rows:
            problems.append(f"claims {claim.rows} rows, the panel has {parity.rows}")
        if claim.first not in (FirstRows(), self.first_rows):
            problems.append("keeps other first rows than the panel's")
        if claim.batch_sizes != BATCH_SIZES:
            problems.append(f"claims batch sizes {claim.batch_sizes}, measured {BATCH_SIZES}")
        problems += [
            f"no compared row has NaN in {name}, where the sidecar admits it"
            for name in uncompared_nan(self.model, self.sidecar, self.comparison.blocks(), rows=parity.rows)
        ]
        return problems
