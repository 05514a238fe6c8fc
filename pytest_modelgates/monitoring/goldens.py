"""What is known of goldens: the one in force, those before it, the last check, and how two of them differ."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts, is_id
from ..drift.golden import earlier_file, golden_default, golden_file, in_its_place, read_golden
from ..drift.running import detect_drift
from ..drift.verdict import DriftLimits, DriftReport, as_json
from ..drift.versions import DIGITS, Golden, Version, golden_metadata
from ..errors import FormatError, ModelgatesError
from ..registry.golden import VERSION, find_version, read_version
from ..storage.lines import lines_from_end
from ..storage.paths import is_file
from ..storage.text import counted, printable
from .drift_check import LIVE
from .drift_words import LEVELS, VERDICTS
from .prepared import prepared_golden

_MOST = 10  # earlier versions that are shown
_QUANTILES = {"1 %": 0.01, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "99 %": 0.99}
_NAME, _NUMBER = 10, 14


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a check; other keys of its line are read over."""

    time: datetime
    model_id: str
    golden: str
    overall_drift: bool | None
    rows: dict[str, float]
    psi: dict[str, Any]
    ks: dict[str, Any]
    arm: str | None = LIVE
    files: list[str] | None = None
    window: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A model's goldens.

    Parameters
    ----------
    model_id : str
    golden : Golden
    gone : set of str
        Digests of earlier versions whose file is not there.
    problem : str, optional
        What is wrong with the one in force, and what to type.
    last_check : dict, optional
        The newest line of `artifacts/drift/checks.jsonl` that is of this model.
    against_it : bool, optional
        Whether that was against the golden in force; None if there was no check, or nobody can tell.
    """

    model_id: str
    golden: Golden
    gone: set[str]
    problem: str | None
    last_check: dict[str, Any] | None
    against_it: bool | None

    @property
    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "model_id": self.model_id,
            "golden": self.golden.in_force,
            "history": [
                msgspec.to_builtins(each) | {"there": each.sha256 not in self.gone} for each in self.golden.history
            ],
            "problem": self.problem,
            "last_check": self.last_check,
            "last_check_against_it": self.against_it,
        }


class Sample(TypedDict):
    """One side of a comparison: which golden it is, and what its predictions look like."""

    model_id: str
    sha256: str
    rows: int
    mean: float
    std: float
    min: float
    max: float
    quantiles: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far a golden, `b`, is from another, `a`."""

    a: Sample
    b: Sample
    report: DriftReport

    @property
    def as_json(self) -> dict[str, Any]:
        """All of it, for programs; there is no verdict, since goldens are not drift."""
        found = as_json(self.report)
        return {"a": self.a, "b": self.b, **{key: found[key] for key in ("psi", "ks", "dependence", "literal")}}


def shown(artifacts: Artifacts, model_id: str | None = None) -> Shown | None:
    """Look at a model's goldens: those of the live model, or of the one saved last; None if there is no golden.

    Raises
    ------
    FormatError
        If this model has none, or the list of goldens is damaged.
    """
    goldens = golden_metadata(artifacts.golden).goldens
    name = model_id or golden_default(artifacts.golden)
    if not goldens and model_id is None:
        return None
    if name not in goldens:
        raise FormatError(f"{artifacts.golden}: no golden of {name}; set one: modelgates golden set {name}")
    golden = goldens[name]
    gone = {each.sha256 for each in golden.history if not is_file(earlier_file(artifacts.golden, each))}
    problem, against_it = _problem(artifacts, name, golden), None
    line = _last_check(artifacts, name)
    if line and not problem:
        with suppress(ModelgatesError):
            against_it = prepared_golden(artifacts, name).grid.golden.grid == line["golden"]
    return Shown(
        model_id=name,
        golden=golden,
        gone=gone - {golden.sha256},
        problem=problem,
        last_check=line,
        against_it=against_it,
    )


def _problem(artifacts: Artifacts, model_id: str, golden: Version) -> str | None:
    try:
        path = golden_file(model_id, folder=artifacts.golden).path
    except ModelgatesError as error:
        return str(error)
    if in_its_place(path, golden):
        return None
    other = " --of-another-model" if golden.of not in (None, golden.digest) else ""
    return (
        f"{path}: not the golden in force, which was kept: a write was cut short; put it in its place: "
        f"modelgates golden set {model_id} --from {golden.name}{other}"
    )


def _last_check(artifacts: Artifacts, model_id: str) -> dict[str, Any] | None:
    for line in lines_from_end(artifacts.drift_checks, holding=model_id.encode()):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            check = msgspec.json.decode(line, type=_Line)
            # One of files, of another arm or of a past window says nothing of the model as it is.
            if (
                check.model_id == model_id
                and check.files is None
                and check.arm == LIVE
                and not check.window.get("until")
            ):
                return dict(msgspec.json.decode(line))
    return None


def in_words(found: Shown) -> str:
    """Say to people what is known of a model's goldens."""
    golden, history = found.golden, found.golden.history
    lines = [
        f"{found.model_id}: {golden.name} is in force",
        f"  {counted(golden.rows, 'row')}, {golden.source}, since {golden.saved:%Y-%m-%d %H:%M:%S}",
        *_of_another(golden),
        f"  for the model sha256:{golden.digest[:DIGITS]}"
        if golden.digest
        else "  it does not say for which bytes of the model",
    ]
    lines += [f"  {found.problem}"] if found.problem else []
    lines += ["  earlier, the newest first:"] if history else []
    for each in list(reversed(history))[:_MOST]:
        gone = " (gone)" if each.sha256 in found.gone else ""
        rows = counted(each.rows, "row")
        lines += [f"  {each.name}  {each.saved:%Y-%m-%d %H:%M}  {rows}  {each.source}{gone}", *_of_another(each)]
    lines += [f"  and {len(history) - _MOST} more; all of them: --json"] if len(history) > _MOST else []
    if history:
        lines.append(f"  put one back: modelgates golden set {found.model_id} --from sha256:…")
    return "\n".join([*lines, *_check_in_words(found)])


def _of_another(version: Version) -> list[str]:
    other = version.of if version.of != version.digest else None
    return [f"    of another model, sha256:{other[:DIGITS]}"] if other else []


def _check_in_words(found: Shown) -> list[str]:
    if found.last_check is None:
        return ["  no check against it yet: modelgates drift-check"]
    line = msgspec.convert(found.last_check, _Line)
    psi, ks = line.psi.get("value"), line.ks.get("statistic")
    numbers = f"PSI {psi:.4f}, KS {ks:.4f}, " if isinstance(psi, float) and isinstance(ks, float) else ""
    rows = counted(int(line.rows.get("current", 0)), "row")
    which = {True: "this golden", False: "an earlier golden", None: "a golden that cannot be told"}[found.against_it]
    return [
        f"  last check, {line.time:%Y-%m-%d %H:%M:%S}: {VERDICTS[line.overall_drift]} over {rows}",
        f"    {numbers}against {which}",
    ]


def difference(artifacts: Artifacts, a: str, b: str) -> Difference:
    """Compare two goldens, each named by a model's id, or by `sha256:` and the first digits of a version.

    Raises
    ------
    FormatError
        If there is no golden of such a name, or its file is gone.
    """
    (first, then, golden_days), (second, now, days) = (_sample(artifacts, each) for each in (a, b))
    # Days that one side alone knows are of no use to a comparison.
    dated = golden_days is not None and days is not None
    report = detect_drift(
        then, now, golden_days=golden_days if dated else None, days=days if dated else None, limits=DriftLimits()
    )
    return Difference(a=first, b=second, report=report)


def _sample(artifacts: Artifacts, named: str) -> tuple[Sample, NDArray[np.float64], NDArray[np.datetime64] | None]:
    if named.startswith(VERSION):
        model_id, version = find_version(artifacts, named)
        content, path = read_version(artifacts, named, model_id, version), artifacts.golden / f"{model_id}.parquet"
    elif is_id(named):
        found = golden_file(named, folder=artifacts.golden)
        model_id, version, content, path = named, found.version, found.content, found.path
    else:
        raise FormatError(f"{printable(named)!r} is not a golden: expected a model's id, or sha256: and digits of one")
    values, days = read_golden(path, content)
    sample: Sample = {
        "model_id": model_id,
        "sha256": version.sha256,
        "rows": values.size,
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "quantiles": dict(zip(_QUANTILES, np.quantile(values, [*_QUANTILES.values()]).tolist(), strict=True)),
    }
    return sample, values, days


def difference_in_words(found: Difference) -> str:
    """Say to people how two goldens differ, in 80 columns."""
    psi, ks, a, b = found.report["psi"], found.report["ks"], found.a, found.b
    rows = [("mean", a["mean"], b["mean"]), ("std", a["std"], b["std"]), ("min", a["min"], b["min"])]
    rows += [(name, a["quantiles"][name], b["quantiles"][name]) for name in _QUANTILES]
    rows += [("max", a["max"], b["max"])]
    head = [
        f"{side}  {each['model_id']}  sha256:{each['sha256'][:DIGITS]}  {counted(each['rows'], 'row')}"
        for side, each in (("A", a), ("B", b))
    ]
    table = [f"  {'':<{_NAME}}{'A':>{_NUMBER}}{'B':>{_NUMBER}}{'B - A':>{_NUMBER}}"]
    table += [
        f"  {name:<{_NAME}}{one:>{_NUMBER}.5g}{two:>{_NUMBER}.5g}{two - one:>{_NUMBER}.3g}" for name, one, two in rows
    ]
    return "\n".join(
        [
            *head,
            f"  PSI {psi['value']:.4f} ({LEVELS[psi['level']]}); chance alone: up to {psi['critical']:.4f}",
            f"  KS  {ks['statistic']:.4f} (p {ks['p_value']:.3g})",
            f"  {found.report['dependence']}",
            *table,
        ]
    )
