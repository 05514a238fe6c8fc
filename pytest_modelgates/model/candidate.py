"""A model directory as gates see it: each part is read when first asked for, so a broken file fails its own gates."""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelgatesError
from ..stats.consequences import rows_at_thresholds
from . import layout
from .files import read_bytes, read_json, sha256
from .manifest import Manifest, digest_problems, file_set_problems
from .onnx_checks import parse_onnx, recorded_schema, soundness_problems
from .panel import Panel
from .parity import BATCH_SIZES, Parity, measure_parity
from .session import OnnxModel
from .sidecar import ParityClaim, Sidecar
from .trees import split_thresholds


def _panel_key(directory: Path) -> str | None:
    """Key of another model's panel; None if it cannot be read, which is that model's trouble."""
    try:
        sidecar = read_json(directory / layout.SIDECAR, Sidecar)
        return Panel.read(read_bytes(directory / layout.PANEL), sidecar).key
    except (ModelgatesError, OSError):
        return None


class Candidate:
    """The model directory under test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.model_id = directory.name
        self.artifacts = layout.Artifacts.of(directory)

    @cached_property
    def manifest(self) -> Manifest:
        """What the files must be."""
        return read_json(self.directory / layout.MANIFEST, Manifest)

    @cached_property
    def sidecar(self) -> Sidecar:
        """Schema and metadata."""
        return read_json(self.directory / layout.SIDECAR, Sidecar)

    @cached_property
    def parity_claim(self) -> ParityClaim:
        """What packing says it measured."""
        return read_json(self.directory / layout.PARITY, ParityClaim)

    @cached_property
    def onnx_bytes(self) -> bytes:
        """The ONNX file."""
        return read_bytes(self.directory / layout.MODEL)

    @cached_property
    def model(self) -> OnnxModel:
        """The ONNX model, ready to score."""
        return OnnxModel(self.onnx_bytes, self.sidecar)

    @cached_property
    def panel(self) -> Panel:
        """The out-of-sample rows."""
        return Panel.read(read_bytes(self.directory / layout.PANEL), self.sidecar)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """ONNX Runtime's score of every row of the panel, shape (n_rows,)."""
        return self.model.predict(self.panel.features)

    @cached_property
    def parity(self) -> Parity:
        """How far ONNX Runtime is from the native model on every row, at every batch size."""
        return measure_parity(self.model, self.panel.features, self.panel.reference)

    @cached_property
    def rows_at_splits(self) -> int | None:
        """How many rows lie within a float32 step of a split of a tree; None if the trees see other columns."""
        splits = split_thresholds(parse_onnx(self.onnx_bytes), self.sidecar.names)
        return None if splits is None else int(rows_at_thresholds(self.panel.features, splits).sum())

    @cached_property
    def seed(self) -> int:
        """A seed that depends on the panel's bytes alone, so that a verdict can be repeated."""
        return int(sha256(read_bytes(self.directory / layout.PANEL))[:8], 16)

    @cached_property
    def seen(self) -> int:
        """How many models of this registry, this one among them, are judged by the same times, assets and targets."""
        # `latest` is a link to one of them.
        others = (path for path in self.artifacts.models.iterdir() if path.is_dir() and not path.is_symlink())
        return 1 + sum(_panel_key(path) == self.panel.key for path in others if path.name != self.model_id)

    def missing_files(self) -> list[str]:
        """Names that are missing, foreign or no plain files."""
        return file_set_problems(self.directory)

    def changed_files(self) -> list[str]:
        """Files that are not what the manifest says."""
        return digest_problems(self.directory, self.manifest)

    def soundness_problems(self, domains: tuple[str, ...]) -> list[str]:
        """What is wrong with the ONNX file."""
        return soundness_problems(self.onnx_bytes, domains)

    def recorded_schema(self) -> tuple[list[str] | None, str | None]:
        """Feature names and CRC that packing wrote into the ONNX file."""
        return recorded_schema(self.onnx_bytes)

    def parity_claim_problems(self, tolerance: float) -> list[str]:
        """Compare `parity.json` with what is measured here: the verdict, the rows, the batch sizes, the difference."""
        claim, parity = self.parity_claim, self.parity
        agrees = abs(claim.max_abs_diff - parity.max_abs_diff) <= tolerance * parity.scale
        problems = (
            [] if agrees else [f"claims a difference of {claim.max_abs_diff:.3g}, measured {parity.max_abs_diff:.3g}"]
        )
        if claim.ok != (parity.scaled <= tolerance):
            problems.append(f"claims ok = {claim.ok}, measured {parity.scaled:.3g} against a limit of {tolerance:g}")
        if claim.rows != parity.rows:
            problems.append(f"claims {claim.rows} rows, the panel has {parity.rows}")
        if claim.batch_sizes != BATCH_SIZES:
            problems.append(f"claims batch sizes {claim.batch_sizes}, measured {BATCH_SIZES}")
        return problems
