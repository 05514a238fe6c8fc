"""The sidecar and the claims: the schema that a model was made for, and what packing measured."""

from collections import Counter
from datetime import date
from typing import Annotated, Literal

import msgspec

# \Z, as $ matches before a newline.
Crc32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Task = Literal["signal", "classification", "regression"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\Z", max_length=64)]


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input column: its numpy dtype, the group it is ablated with, and whether it may be NaN.

    `categories` are what its numbers stand for, from 0 on, if they stand for text. Version 0.1 had none.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[^:\n]+\Z")]
    dtype: Literal["float32", "float64", "int32", "int64", "bool"]
    group: Annotated[str, msgspec.Meta(min_length=1)]
    nullable: bool = False
    categories: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which ONNX output is the score, and which of its columns."""

    name: str
    index: Count


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `sidecar.json`.

    `name` is what the models of one artifacts root are called. `asset` names the column that says what a row is
    about, such as an asset or a customer. `horizon` counts days, and is 0 unless the model is a signal.
    `trained_until` is the last date that any training label used. `metric` names the scorer by which a model that
    is not a signal is compared with its baseline. `tried` is how many candidates were tried on this panel, null if
    unknown. `volume` names the column of what the whole market traded of the asset that day, in money.
    `target_neutralised` says that a signal's target is not the plain return over the horizon but what is left of
    it, such as after the part that sectors or factors explain.
    """

    format: Literal[1] = 1
    name: Name = "model"
    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1)]
    schema_crc32: Crc32
    output: Output
    task: Task = "signal"
    time: str | None = None
    asset: str | None = None
    target: str
    horizon: Count = 0
    trained_until: date | None = None
    metric: str | None = None
    tried: Positive | None
    volume: str | None = None
    target_neutralised: bool = False

    def __post_init__(self) -> None:
        needed = ("time", "asset", "horizon") if self.task == "signal" else ("metric",)
        if lacking := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"A {self.task} model must say its {' and '.join(f'`{name}`' for name in lacking)}")
        not_applicable = ("metric",) if self.task == "signal" else ("horizon", "volume", "target_neutralised")
        if too_many := [name for name in not_applicable if getattr(self, name)]:
            raise ValueError(f"A {self.task} model has no `{too_many[0]}`; leave it out, or name another `task`")
        if (self.time is None) != (self.trained_until is None):
            raise ValueError("`time` and `trained_until` go together; give both or neither")
        twice = [name for name, count in Counter(self.panel_columns).items() if count > 1]
        if twice:
            raise ValueError(f"Column `{twice[0]}` has two meanings; rename one")

    @property
    def names(self) -> list[str]:
        """Feature names, in the order the model takes them."""
        return [feature.name for feature in self.features]

    @property
    def nullable(self) -> list[bool]:
        """Whether each feature may be NaN, in the same order."""
        return [feature.nullable for feature in self.features]

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """The features that are numbers of categories, with what these are called."""
        return {feature.name: feature.categories for feature in self.features if feature.categories}

    @property
    def groups(self) -> dict[str, list[int]]:
        """Positions of the features of each group, in order of first appearance."""
        positions: dict[str, list[int]] = {}
        for index, feature in enumerate(self.features):
            positions.setdefault(feature.group, []).append(index)
        return positions

    @property
    def keys(self) -> list[str]:
        """The columns that identify a row: time and asset, if the sidecar names them."""
        return [name for name in (self.time, self.asset) if name is not None]

    @property
    def outcomes(self) -> list[str]:
        """The columns of what happened and what was predicted: all float64."""
        volume = [] if self.volume is None else [self.volume]
        return [self.target, RET_NEXT if self.task == "signal" else BASELINE, *volume, REFERENCE]

    @property
    def panel_columns(self) -> list[str]:
        """Every column of the panel, in order."""
        return [*self.keys, *self.names, *self.outcomes]


RET_NEXT = "ret_next"
BASELINE = "baseline"
REFERENCE = "reference"


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row that the panel need not have: one of the base rows with some values replaced, null for NaN."""

    base: Count
    values: dict[str, float | None]
    native: float


class Probes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rows at the edges of what is admitted, with the native model's score of each."""

    bases: tuple[tuple[float | None, ...], ...] = ()
    rows: tuple[Probe, ...] = ()


class FirstRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first rows of the panel and the native model's scores, as little-endian numbers in Base64.

    Features are in sidecar order, row after row, in the dtype that all of them fit into; scores are float64.
    """

    rows: bytes = b""
    native: bytes = b""


class ParityClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `parity.json`: how far ONNX was from the native model when it was packed.

    Version 0.1 wrote no probes and no rows.
    """

    format: Literal[1] = 1
    ok: bool
    max_abs_diff: Annotated[float, msgspec.Meta(ge=0)]
    rows: Positive
    runtime: str
    batch_sizes: tuple[Positive, ...]
    probes: Probes = Probes()
    first: FirstRows = FirstRows()


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
