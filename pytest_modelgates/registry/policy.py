"""The policy: every SLO, what promotion asks for, and how gates measure. A team's file over the packaged default."""

import json
import math
import os
import tomllib
from datetime import date
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ..errors import FormatError, PolicyError
from ..model.files import canonical, sha256, typed
from ..model.manifest import Sha256
from ..model.sidecar import Sidecar, Task

Severity = Literal["hard", "soft"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]  # the upper end keeps infinity out
PLACE = Path("registry") / "policy.toml"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """A lower and an upper bound, each open or closed; a missing one does not bind."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def hold(self, value: float | None) -> bool:
        """Compare a value with both bounds; what is no finite number never holds."""
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

    def margin(self, value: float) -> float:
        """Distance to the nearer bound, negative beyond it."""
        return min(value - self.lower, self.upper - value)

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
    """Write a number with so many digits, a larger one whole: 12,000 rows are no 1.2e+04."""
    return f"{value:.0f}" if 10**digits - 0.5 <= abs(value) < 1e15 else f"{value:.{digits}g}"


class Slo(Bounds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named limit.

    `gate` is the gate that measures it, if not the one of its own name; `each` what of the model its parameters come
    from, `parameters` those of a gate whose own they are; `twin` the function (``file.py:name``) that makes a model
    which must fail it.
    """

    unit: str
    severity: Severity
    advice: str
    gate: str | None = None
    each: Literal["feature_group"] | None = None
    parameters: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    twin: str | None = None


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What promotion asks for besides the hard gates, once something is live; 0 switches one off.

    `first_without_reference` says whether *no reference yet* admits a model while nothing was ever live.
    """

    parity_nights: Annotated[int, msgspec.Meta(ge=0, le=366)]
    shadow_hours: Annotated[float, msgspec.Meta(ge=0, le=8784)]
    drift_psi: NonNegative
    first_without_reference: bool


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What trading and holding cost, named as in `stats.costs.Costs`, and the `capital` that trades."""

    half_spread_bps: NonNegative
    commission_bps: NonNegative
    slippage_bps: NonNegative
    borrow_bps_per_year: NonNegative
    impact_bps: NonNegative
    capital: Annotated[float, msgspec.Meta(gt=0, le=1e15)]


class SignificanceRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a failure is one."""

    detectable_ic: NonNegative


class AblationMargin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much an ablation may improve the IC before it matters."""

    margin: NonNegative
    margin_share: Share


class DriftTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
    plugins: tuple[str, ...]
    proof: bool


class HermeticLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process that runs the gates may use."""

    memory_gib: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    minutes: Annotated[float, msgspec.Meta(gt=0, le=1e5)]


class RegistryRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the registry is kept, and who may change it; nobody named means anybody."""

    may_promote: tuple[str, ...]
    may_roll_back: tuple[str, ...]
    lock_timeout_s: NonNegative
    network_file_system: bool


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


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """The whole policy in force: the team's file over the packaged default."""

    format: Literal[1]
    not_applicable: tuple[str, ...]
    tasks: dict[Task, tuple[str, ...]]
    promotion: Promotion
    costs: Costs
    significance: SignificanceRules
    ablation: AblationMargin
    drift: DriftTest
    onnx: OnnxRules
    evidence: EvidenceRules
    hermetic: HermeticLimits
    registry: RegistryRules
    waiver: tuple[Waiver, ...] = ()
    slo: dict[str, Slo]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy in force, whatever files it came from."""
        return sha256(canonical(self))

    def limit(self, name: str) -> Slo:
        """Find an SLO."""
        if name not in self.slo:
            raise PolicyError(
                f'no SLO {name!r} in the policy; add [slo."{name}"] with its bounds, unit, severity and advice'
            )
        return self.slo[name]

    def waiver_of(self, gate: str, digest: str) -> Waiver | None:
        """Find the row that waives a gate for a model's bytes, expired or not."""
        return next((row for row in self.waiver if row.gate == gate and row.digest == digest), None)

    def slos_of(self, gate: str) -> list[str]:
        """Names of the SLOs that a gate must show evidence for; `gate` without its parameter."""
        return [name for name, slo in self.slo.items() if (slo.gate or name) == gate]

    def foreign(self, task: Task | None) -> tuple[str, ...]:
        """Families, and single gates, that do not apply to one kind of model; None is a kind that cannot be read."""
        return (*self.not_applicable, *(self.tasks.get(task, ()) if task else ()))

    def applies(self, gate: str, task: Task | None) -> bool:
        """Whether a gate applies to one kind of model."""
        return not {gate.partition("[")[0], gate.partition(".")[0]} & set(self.foreign(task))

    def misfit(self, sidecar: Sidecar) -> tuple[str, str] | None:
        """Why this policy cannot judge a model, and what to write into it; None if it can.

        A family that a model cannot answer must be declared foreign here; which kinds of models are admitted is never
        for the model to say.
        """
        task, unanswerable = sidecar.task, _unanswerable(sidecar)
        asked = [name for name in unanswerable if self.applies(name, task)]
        if task in self.tasks and not asked:
            return None
        what = f"the policy asks it for {', '.join(asked)}" if task in self.tasks else "the policy admits none"
        wanted = json.dumps(list(dict.fromkeys([*self.tasks.get(task, ()), *unanswerable])))
        return (
            f"is a {task} model, and {what}",
            f"if it is meant to, write under [tasks] of the policy: {task} = {wanted}",
        )

    def required_gates(self, sidecar: Sidecar) -> list[str]:
        """Every hard gate that a model must pass, with parameters from its own sidecar or from here."""
        required = []
        for name, slo in self.slo.items():
            if slo.severity == "hard" and slo.gate is None and self.applies(name, sidecar.task):
                parameters = sidecar.groups if slo.each else slo.parameters
                required += [name] if parameters is None else [f"{name}[{parameter}]" for parameter in parameters]
        return required


def load_policy(path: Path | None) -> Policy:
    """Read a policy over the packaged default.

    Parameters
    ----------
    path : Path, optional
        A team's file; the packaged default alone if left out.

    Raises
    ------
    PolicyError
        If the file is missing, is no TOML, has an unknown key, a wrong type, or an SLO that bounds nothing.
    """
    default = tomllib.loads((resources.files(__package__) / "default_policy.toml").read_text("utf-8"))
    source = str(path or "the packaged policy")
    try:
        own = tomllib.loads(path.read_text("utf-8")) if path else {}
        policy = typed(_over(_without_other_ends(default, own), own), Policy, source)
    except FileNotFoundError as error:
        raise PolicyError(f"{source}: no such policy file") from error
    except OSError as error:
        raise PolicyError(f"{source}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PolicyError(f"{source}: not TOML ({error})") from error
    except FormatError as error:
        raise PolicyError(str(error)) from error
    for name, slo in policy.slo.items():
        _check_slo(source, name, slo, policy)
    families = {name.partition(".")[0] for name in policy.slo}
    for place, names in [("not_applicable", policy.not_applicable), *policy.tasks.items()]:
        for name in names:
            if name not in families and name not in policy.slo:
                raise PolicyError(f"{source}: {place}: no family {name!r}; there are {', '.join(sorted(families))}")
    return policy


def _unanswerable(sidecar: Sidecar) -> list[str]:
    """Families, and single gates, whose question needs what the sidecar does not name."""
    if sidecar.task == "signal":
        return ["metric"]
    found = ["significance", "ablation", "pnl", "wf"]
    if sidecar.time is None:
        found += ["data.no_overlap", "shadow"]
    if sidecar.asset is None:
        found += ["data.unique_keys", "data.ordered"]
    return found


def find_policy(folder: Path) -> Path | None:
    """Find the policy of a repository, `registry/policy.toml`; None if it has none."""
    place = folder / PLACE
    # A dangling link is a policy that got lost, not none.
    return place if os.path.lexists(place) else None


def _over(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(default)
    for key, value in own.items():
        merged[key] = (
            _over(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def _without_other_ends(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Drop an open bound of the default where the team gives a closed one, and the other way round."""
    given = own.get("slo")
    slos = {name: dict(slo) for name, slo in default["slo"].items()}
    for name, slo in (given if isinstance(given, dict) else {}).items():
        for one, other in (("above", "at_least"), ("below", "at_most")):
            if name in slos and isinstance(slo, dict):
                if one in slo:
                    slos[name].pop(other, None)
                if other in slo:
                    slos[name].pop(one, None)
    return default | {"slo": slos}


def _check_slo(source: str, name: str, slo: Slo, policy: Policy) -> None:
    bounds = [slo.above, slo.at_least, slo.below, slo.at_most]
    given = [bound for bound in bounds if bound is not None]
    if not given or not all(math.isfinite(bound) for bound in given):
        raise PolicyError(f'{source}: [slo."{name}"] needs a finite bound: above or at_least, below or at_most')
    if None not in bounds[:2] or None not in bounds[2:]:
        raise PolicyError(f'{source}: [slo."{name}"] has two bounds on one side; keep the open or the closed one')
    if slo.lower > slo.upper or (slo.lower == slo.upper and None in (slo.at_least, slo.at_most)):
        raise PolicyError(f'{source}: [slo."{name}"] has limits that nothing keeps ({slo})')
    if slo.parameters and (slo.each or slo.gate):
        raise PolicyError(
            f'{source}: [slo."{name}"] has parameters and {"each" if slo.each else "gate"}; keep one, they contradict'
        )
    if slo.gate is not None and slo.gate not in policy.slo:
        raise PolicyError(f'{source}: [slo."{name}"] is measured by {slo.gate!r}, which is no gate of the policy')
    if slo.gate is not None and slo.severity == "hard" and policy.slo[slo.gate].severity == "soft":
        raise PolicyError(
            f'{source}: [slo."{name}"] is hard, but {slo.gate}, which measures it, is soft; make both hard'
        )
