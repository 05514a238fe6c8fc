"""Negative controls: every required gate runs on a twin of the model, and must fail on it."""

import runpy
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..errors import PolicyError, ProofError
from ..evidence.proof import ControlRun, Proof, suite_digest
from ..evidence.report import GateRecord
from ..evidence.trust import suite_folders, trust
from ..evidence.verdict import Verdict, base_name, judge
from ..model.directory import LocalDirectory
from ..policy.operations import HermeticLimits
from ..policy.policy import Policy
from ..storage.digests import tree_digest
from ..storage.text import first_line
from . import twin_files, twin_live, twin_markets, twin_models, twin_panels
from .hermetic import run_gates
from .twin_files import Change
from .twins import make_twin

# Twins need valid ids, of 10 to 12 digits. As times these lie 28,000 years ahead, so no model has one of them.
FIRST_ID = 900_000_000_000


def prove(directory: Path, policy: Policy, limits: HermeticLimits, *, policy_file: Path | None, root: Path) -> Proof:
    """Run every hard gate that the policy requires of a model on each of its twins, all in one hermetic run.

    Parameters
    ----------
    directory : Path
        The model directory; it is only read.
    policy, limits, policy_file, root
        As for `run_gates`; a gate's own ``twin`` is relative to `root`.

    Raises
    ------
    IntegrityError
        If the model directory is not sound.
    PolicyError
        If the policy names a twin that does not exist.
    ProofError
        If a twin cannot be made, or model or gates changed during the run.
    """
    model, known = LocalDirectory(directory), trust(policy, root)
    digest, required = model.verify(), policy.required_gates(model.sidecar)
    changes = {gate: _changes(gate, directory, policy, root) for gate in required}
    # One twin serves every gate that it is meant for.
    names = list(dict.fromkeys(name for own in changes.values() for name in own))
    ids = {name: str(FIRST_ID + index) for index, name in enumerate(names)}
    records: dict[tuple[str, str], GateRecord] = {}
    modules: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="modelgates-twins-") as folder:
        # Each twin gets an artifacts root of its own, since gates read logs and other models beside theirs.
        twins = {name: Path(folder).resolve() / twin_id / "models" / twin_id for name, twin_id in ids.items()}
        for name, twin in twins.items():
            try:
                make_twin(directory, twin, next(own[name] for own in changes.values() if name in own))
            except Exception as error:  # a team's own twin may raise anything
                raise ProofError(f"the twin {name} of {directory.name} cannot be made: {first_line(error)}") from error
        if twins:
            first, *others = twins.values()
            words = [f"--only-gate={ids[name]}:{gate}" for gate, own in changes.items() for name in own]
            words += [f"--model-dir={twin}" for twin in others]
            ledger = run_gates(
                first, policy, limits, policy_file=policy_file, root=root, selection=words, quiet=True
            ).report.modelgates
            # The child imported everything anew, so what it ran may differ from what was digested here.
            if ledger.run.package_digest != known.package or not set(ledger.run.suite.values()) <= known.gates:
                raise ProofError("gate files or this package changed during the run; run it again")
            modules = ledger.run.modules
            strange = set(modules.values()) - trust(policy, root, modules).code
            if places := [place for place, digest in modules.items() if digest in strange]:
                raise ProofError(
                    f"the run loaded {', '.join(places)}, which, as it was then, is not code that counts here; "
                    "name its folder in [evidence] modules of the policy"
                )
            records = {(twin, record.gate): record for twin, run in ledger.models.items() for record in run.gates}
    if tree_digest(directory) != digest:
        raise ProofError(f"{directory.name} changed during the run; run it again")
    trials = [
        _control_run(gate, name, records.get((ids[name], gate)), policy) for gate in required for name in changes[gate]
    ]
    trials += [
        ControlRun(gate=gate, twin=None, verdict=Verdict.NOT_RUN, why="") for gate in required if not changes[gate]
    ]
    return Proof(
        model_id=directory.name,
        digest=digest,
        package_digest=known.package,
        suite_digest=suite_digest(known.gates | known.modules),
        policy_digest=policy.digest,
        created=datetime.now(UTC),
        trials=tuple(trials),
        modules=modules,
    )


def _changes(gate: str, directory: Path, policy: Policy, root: Path) -> dict[str, Change]:
    """Find the twins that the policy names for a gate; those of a feature group's gate get the group."""
    slo, group = policy.limit(base_name(gate)), gate.partition("[")[2].removesuffix("]")
    found: dict[str, Change] = {}
    for name in slo.twins:
        if ":" in name:
            found[name] = partial(_own_twin(name, policy, root), directory)
        elif slo.each:
            found[f"{name}[{group}]"] = partial(_shipped_twin(name), group=group)
        else:
            found[name] = _shipped_twin(name)
    return found


def _shipped_twin(name: str) -> Callable[..., None]:
    modules = (twin_files, twin_models, twin_markets, twin_panels, twin_live)
    shipped = {twin: module for module in modules for twin in module.__all__}
    if name not in shipped:
        raise PolicyError(
            f"the policy names the twin {name!r}, which is not shipped; name a function as file.py:function, or one of "
            f"{', '.join(sorted(shipped))}"
        )
    found: Callable[..., None] = getattr(shipped[name], name)
    return found


def _own_twin(name: str, policy: Policy, root: Path) -> Callable[[Path, Path], None]:
    """Load a team's own twin. It must lie among the gate files, so that their digests cover it."""
    place, _, function = name.rpartition(":")
    path = (root / place).resolve()
    if not any(folder.resolve() in path.parents for folder in suite_folders(policy, root)):
        raise PolicyError(f"the policy names the twin {name}, which lies in none of suites = […]; put it there")
    try:
        found: Callable[[Path, Path], None] = runpy.run_path(str(path))[function]
    except Exception as error:  # the file may raise anything
        raise PolicyError(f"the policy names the twin {name}, which cannot be loaded ({first_line(error)})") from error
    return found


def _control_run(gate: str, twin: str, record: GateRecord | None, policy: Policy) -> ControlRun:
    if record is None:
        return ControlRun(gate=gate, twin=twin, verdict=Verdict.NOT_RUN, why="no gate file defines it")
    verdict, why = judge(record, policy)
    # Of several values, the proof keeps one that missed its limit: it is what turned the gate red.
    missed = [entry for entry in record.evidence if not policy.limit(entry.slo).contains(entry.value)]
    shown = next(iter([*missed, *record.evidence]), None)
    return ControlRun(
        gate=gate,
        twin=twin,
        verdict=verdict,
        why=why,
        slo=shown.slo if shown else None,
        measured=shown.value if shown else None,
    )
