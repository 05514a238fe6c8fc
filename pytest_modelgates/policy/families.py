"""The families of shipped gates, in one table: their markers, and what a model must have for them to apply.

A team's own family needs no row here: its gates apply to every model, and its name becomes a marker.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Need = Literal["returns", "baseline", "time", "asset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What all gates of a family have in common.

    `about` is what ``pytest --markers`` says; `group` a wider marker that the gates carry too; `needs` what a model
    must have for any gate of the family, `gates_need` for single ones. `compares` says that the gates compare a model
    with what is or was live, which may not be there yet; `gates_compare` names single gates of which that holds. The
    gates in `readers` ask whether something can be read at all, so for them an error is an answer.
    """

    about: str
    group: str | None = None
    needs: Need | None = None
    gates_need: Mapping[str, Need] = field(default_factory=dict)
    compares: bool = False
    gates_compare: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()


GROUPS = {
    "data": "gates of the files, the schema, the panel and its leaks",
    "signal": "gates of significance and ablation",
}
FAMILIES = {
    "integrity": Family(
        about="gates of the files",
        group="data",
        readers=frozenset({"integrity.required_files", "integrity.sha256", "integrity.onnx_is_sound"}),
    ),
    "schema": Family(about="gates of the schema", group="data"),
    "data": Family(
        about=GROUPS["data"],
        gates_need={
            "data.no_overlap": "time",
            "data.window": "time",
            "data.unique_keys": "asset",
            "data.ordered": "asset",
            "data.target_agrees": "returns",
            "data.returns_plausible": "returns",
            "data.calendar": "returns",
            "data.holes": "returns",
            "data.repeated_days": "returns",
            "data.survivors": "returns",
            "data.repeated_rows": "baseline",
        },
    ),
    "leak": Family(
        about="gates of scores and features that know what they cannot know",
        group="data",
        gates_need={
            "leak.too_good": "returns",
            "leak.delay": "returns",
            "leak.profile": "returns",
            "leak.target": "baseline",
        },
    ),
    "parity": Family(about="gates that compare ONNX Runtime with the native model"),
    "significance": Family(about="gates of the signal after costs", group="signal", needs="returns"),
    "ablation": Family(about="gates of single feature groups", group="signal", needs="returns"),
    "pnl": Family(about="gates of paper profit and loss", needs="returns", gates_compare=frozenset({"pnl.reconciled"})),
    "wf": Family(about="walk-forward gates", needs="returns"),
    "metric": Family(about="gates that compare a model other than a signal with its baseline", needs="baseline"),
    "drift": Family(about="gates that compare live predictions with the panel's", compares=True),
    "latency": Family(about="gates of the time one prediction takes"),
    "safety": Family(about="gates of what stops predictions", gates_compare=frozenset({"safety.kill_drill"})),
    "shadow": Family(about="gates that compare the candidate with the live model", needs="time", compares=True),
    "ab": Family(about="gates that compare what a candidate answered with the live model", compares=True),
}
MARKERS = GROUPS | {name: family.about for name, family in FAMILIES.items()}


def family_of(gate: str) -> Family:
    """Find the row of a gate; a family of a team's own has an empty one."""
    name = gate.partition(".")[0]
    return FAMILIES.get(name) or Family(about=f"gates of the family {name}")


def compares(gate: str) -> bool:
    """Whether a gate compares a model with what may not be there yet, so that it may have no reference."""
    family = family_of(gate)
    return family.compares or gate.partition("[")[0] in family.gates_compare


def unanswerable(needs_met: frozenset[Need]) -> list[str]:
    """List the families, and single gates, whose needs a model does not meet."""
    found = [name for name, family in FAMILIES.items() if family.needs and family.needs not in needs_met]
    for name, family in FAMILIES.items():
        if name not in found:
            found += [gate for gate, need in family.gates_need.items() if need not in needs_met]
    return found
