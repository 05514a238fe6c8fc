"""The sections of the policy other than its SLOs."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from ..storage.digests import Sha256
from .limits import NonNegative, Share

if TYPE_CHECKING:
    from ..stats.costs import Costs

PANEL_DIGEST = r"^sha256:[0-9a-f]{64}\Z"


class PromotionRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What promotion asks for besides the hard gates, once something is live; 0 switches one off.

    `first_without_reference` says whether *no reference yet* admits a model while nothing was ever live.
    """

    parity_nights: Annotated[int, msgspec.Meta(ge=0, le=366)]
    shadow_hours: Annotated[float, msgspec.Meta(ge=0, le=8784)]
    drift_psi: NonNegative
    first_without_reference: bool


class CostRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What trading and holding cost, named as in `stats.costs.Costs`, and the `capital` that trades."""

    half_spread_bps: NonNegative
    commission_bps: NonNegative
    slippage_bps: NonNegative
    borrow_bps_per_year: NonNegative
    impact_bps: NonNegative
    capital: Annotated[float, msgspec.Meta(gt=0, le=1e15)]

    @property
    def per_turnover_bps(self) -> float:
        """Cost of a unit of turnover, whatever its size [basis points]."""
        return self.half_spread_bps + self.commission_bps + self.slippage_bps

    def charged(self, *, days_per_year: float) -> "Costs":
        """Give the costs of a position whose periods are so many a year."""
        from ..stats.costs import Costs  # here, since it loads numpy, and most verbs charge nothing

        rates = {name: getattr(self, name) for name in self.__struct_fields__ if name != "capital"}
        return Costs(**rates, days_per_year=days_per_year)


class SignificanceRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a miss is a failure, when the panel could not have shown more, and with what a position is compared."""

    detectable_ic: NonNegative
    placebo: Literal["both", "names"]


class LeakRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From which rank IC on it is asked how much is left a day later."""

    delay_ic: NonNegative


class AblationRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much an ablation may improve the IC before it matters."""

    margin: NonNegative
    margin_share: Share


class DataRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which days a panel must cover; 0 does not ask. `as_of` is the day of packing if left out."""

    window_start_days: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    window_end_days: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    as_of: date | None = None
    panel: Annotated[str, msgspec.Meta(pattern=PANEL_DIGEST)] | None = None

    @property
    def asks_nothing(self) -> bool:
        """Whether any days will do."""
        return not (self.window_start_days or self.window_end_days or self.panel)

    @property
    def unasked(self) -> list[str]:
        """What is not asked of a panel's days, and the key that would ask it."""
        ends = {"starts": self.window_start_days, "ends": self.window_end_days}
        # A panel that somebody else keeps has its days from there.
        return [
            f"where the panel {verb} is not asked: set [data] window_{verb[:-1]}_days"
            for verb, days in ends.items()
            if not days and self.panel is None
        ]


class DriftRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a KS distance counts."""

    ks_p: Share


class OnnxRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an ONNX file may use."""

    domains: tuple[str, ...]


class EvidenceRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a report must be to promote by."""

    level: Literal["any", "sealed"]
    keys: tuple[str, ...]
    max_age_hours: NonNegative
    suites: tuple[str, ...]
    modules: tuple[str, ...]
    plugins: tuple[str, ...]
    proof: bool


class RegistryRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may change the registry; nobody named means anybody."""

    may_promote: tuple[str, ...]
    may_roll_back: tuple[str, ...]


class Waiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One hard gate that need not pass, for one model's bytes, until the end of one day (UTC)."""

    gate: str
    digest: Sha256
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    owner: Annotated[str, msgspec.Meta(min_length=1)]
    until: date

    def in_force(self, day: date) -> bool:
        """Whether it still counts on a day."""
        return day <= self.until

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.gate} waived until {self.until} by {self.owner}: {self.reason}"
