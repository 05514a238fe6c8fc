"""Limits: two bounds, each open or closed, and the SLOs that name them."""

import math
from typing import Annotated, Literal

import msgspec

from .judging import NotJudging

Severity = Literal["hard", "soft"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]  # the upper end keeps infinity out


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """A lower and an upper bound, each open or closed; a missing one does not bind."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def contains(self, value: float | None) -> bool:
        """Compare a value with both bounds; None, NaN and infinity are never contained."""
        return (
            value is not None
            and math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    @property
    def lower(self) -> float:
        """The lower bound, whether open or closed; minus infinity if there is none."""
        return next((bound for bound in (self.above, self.at_least) if bound is not None), -math.inf)

    @property
    def upper(self) -> float:
        """The upper bound, whether open or closed; infinity if there is none."""
        return next((bound for bound in (self.below, self.at_most) if bound is not None), math.inf)

    def margin(self, value: float) -> float | None:
        """Distance to the nearer bound that can be missed, negative beyond one; None if a value has none.

        Beside another bound, a closed one at 0 below, or at 1 above, is taken for the end of what can be measured: no
        p-value lies beyond it. Of offenders none is allowed, so that one keeps no distance from one.
        """
        if not self.contains(value):
            return min(value - self.lower, self.upper - value)
        if self.lower == self.upper or (self.at_most == 0 and self.lower == -math.inf):
            return None
        lower = -math.inf if self.at_least == 0 and self.upper < math.inf else self.lower
        upper = math.inf if self.at_most == 1 and 0 < self.lower < 1 else self.upper
        return min(value - lower, upper - value)

    def __str__(self) -> str:
        """Both bounds as people write them, such as ``0 < · ≤ 60``."""
        lower = (
            f"{self.above:g} <"
            if self.above is not None
            else f"{self.at_least:g} ≤"
            if self.at_least is not None
            else ""
        )
        upper = (
            f"< {self.below:g}" if self.below is not None else f"≤ {self.at_most:g}" if self.at_most is not None else ""
        )
        if lower and upper:
            return f"{lower} · {upper}"
        if lower:
            return f"{'>' if self.above is not None else '≥'} {lower.split()[0]}"
        return upper


def short(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits; one too large for them whole: 12000, not 1.2e+04."""
    return f"{value:.0f}" if 10**digits - 0.5 <= abs(value) < 1e15 else f"{value:.{digits}g}"


class Slo(Bounds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named limit.

    `gate` is the gate that measures it, if not the one of its own name. A gate has one run for each of its parameters:
    `each` says what of the model gives them, or `parameters` lists them. `twin` names the changes of a model that must
    turn the gate red: shipped ones by their name, a team's own as ``file.py:function``. `asks` and `formula` say in
    words what is measured, and how.
    """

    unit: str
    severity: Severity
    advice: NotJudging[str]
    asks: NotJudging[str] = ""
    formula: NotJudging[str] = ""
    gate: str | None = None
    each: Literal["feature_group"] | None = None
    parameters: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    twin: str | tuple[str, ...] = ()

    def margin(self, value: float) -> float | None:
        """Measure as for any bounds; no time lies below 0."""
        if self.unit == "ms" and self.above == 0 and value > 0:
            return Bounds(at_least=0, below=self.below, at_most=self.at_most).margin(value)
        return super().margin(value)

    @property
    def twins(self) -> tuple[str, ...]:
        """The names in `twin`, as a tuple even of one."""
        return (self.twin,) if isinstance(self.twin, str) else self.twin
