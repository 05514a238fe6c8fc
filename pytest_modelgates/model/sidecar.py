"""The sidecar and the claims: the schema a model was made for, and what packing measured of it."""

import zlib
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Literal

import msgspec

from ..errors import FormatError

# \Z, as $ matches before a newline.
Crc32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input column: its numpy dtype, the group it is ablated with, and whether it may be NaN."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[^:\n]+\Z")]
    dtype: Literal["float32", "float64", "int32", "int64", "bool"]
    group: Annotated[str, msgspec.Meta(min_length=1)]
    nullable: bool = False


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which ONNX output is the score, and which of its columns."""

    name: str
    index: Count


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `sidecar.json`.

    `horizon` counts days; `trained_until` is the last price date that any training label used; `tried` is
    how many candidates were tried on this panel, or null if nobody counted; `volume` the column of what the whole
    market traded of the asset that day, in money, or null if there is none.
    """

    format: Literal[1] = 1
    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1)]
    schema_crc32: Crc32
    output: Output
    time: str
    asset: str
    target: str
    horizon: Positive
    trained_until: date
    tried: Positive | None
    volume: str | None = None

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(self.panel_columns).items() if count > 1]
        if twice:
            raise ValueError(f"Column `{twice[0]}` has two meanings; rename one")

    @property
    def names(self) -> list[str]:
        """Feature names, in the order the model takes them."""
        return [feature.name for feature in self.features]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Positions of the features of each group, in order of first appearance."""
        positions: dict[str, list[int]] = {}
        for index, feature in enumerate(self.features):
            positions.setdefault(feature.group, []).append(index)
        return positions

    @property
    def panel_columns(self) -> list[str]:
        """Every column of the panel, in order."""
        return [self.time, self.asset, *self.names, *self.measured]

    @property
    def measured(self) -> list[str]:
        """Columns of the panel that are no key and no feature."""
        volume = [] if self.volume is None else [self.volume]
        return [self.target, RET_NEXT, *volume, REFERENCE]


RET_NEXT = "ret_next"
REFERENCE = "reference"


class ParityClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `parity.json`: how far ONNX was from the native model when it was packed."""

    format: Literal[1] = 1
    ok: bool
    max_abs_diff: Annotated[float, msgspec.Meta(ge=0)]
    rows: Positive
    runtime: str
    batch_sizes: tuple[Positive, ...]


class BatchTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Quantiles of the time one batch took when the model was packed [ms]."""

    rows: Positive
    rounds: Positive
    p50_ms: float
    p95_ms: float
    p99_ms: float


class BenchClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `bench.json`."""

    format: Literal[1] = 1
    machine: str
    runtime: str
    batches: tuple[BatchTimes, ...]


def schema_crc32(columns: Iterable[tuple[str, str]]) -> str:
    """Checksum ordered columns.

    Parameters
    ----------
    columns : iterable of (name, dtype)
        In column order; dtypes are numpy's names.

    Returns
    -------
    str
        CRC-32 (zlib) of the UTF-8 text ``name:dtype`` joined by newlines, eight hex digits.

    Raises
    ------
    FormatError
        If a name holds a colon or a newline, which would make two schemas look the same.
    """
    pairs = list(columns)
    for name, _ in pairs:
        if ":" in name or "\n" in name:
            raise FormatError(f"column {name!r} holds a colon or a newline; rename it")
    return f"{zlib.crc32(chr(10).join(f'{name}:{dtype}' for name, dtype in pairs).encode()):08x}"


def sidecar_crc32(sidecar: Sidecar) -> str:
    """Checksum the features that a sidecar lists."""
    return schema_crc32((feature.name, feature.dtype) for feature in sidecar.features)
