"""Evidence from many machines: reports of runs that shared one model's gates, as the report of one run.

What is merged must be what one run would have left, or nothing is: each reason against it is named.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, combinations
from typing import Any

import msgspec

from ..errors import RefusedError
from ..policy.policy import Policy
from ..storage.digests import sha256
from ..storage.strict_json import canonical
from ..storage.text import listed, printable
from .reasons import few
from .report import CLOCKS_DIFFER, Ledger, ModelRun, RunInfo, StoredReport
from .results import own_results, seal_problems

# What all of them must have in common, as people call it.
_COMMON = {
    "policy_digest": "policy",
    "package_digest": "version of pytest-modelgates",
    "libraries": "versions of libraries",
    "strict_soft": "--strict-soft",
    "not_applicable": "families that do not apply",
}
MOST = 1000  # shards of one run [count]
HEADLINE = "these reports are not of one run's gates:"


def checked_shard(text: str) -> str:
    """Check which part of the gates is wanted, such as 1/4.

    Raises
    ------
    ValueError
        If there is no such part.
    """
    number, _, total = text.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total) <= MOST):
        raise ValueError(f"{text!r}: not a shard; give K/N, the K-th of N parts, such as 1/4")
    return f"{int(number)}/{int(total)}"


def merge(
    parts: Mapping[str, StoredReport],
    model_id: str,
    digest: str,
    required: Sequence[str],
    policy: Policy,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Join reports of one model, whose gates were shared out, into the report of all of them.

    Parameters
    ----------
    parts : mapping of str to StoredReport
        The reports, by the names that messages call them.
    model_id : str
    digest : str
        Of the model directory's files, as they are now.
    required : sequence of str
        The gates that must have run.
    policy : Policy
        By which the required gates were named and seals are checked.
    now : datetime

    Returns
    -------
    dict
        A report as JSON: the ledger of all gates, with the tests of all runs, and under ``shards`` what it was made of.

    Raises
    ------
    RefusedError
        With a line for each reason: gates that several have or none has, other bytes, policies, versions or code, a
        shard that is missing, a seal that says otherwise.
    """
    if strangers := [
        f"{name} is of {listed(part.report.modelgates.models) or 'no model'}, not of {model_id}"
        for name, part in parts.items()
        if model_id not in part.report.modelgates.models
    ]:
        _refuse(strangers)
    infos = {name: part.report.modelgates.run for name, part in parts.items()}
    runs = {name: part.report.modelgates.models[model_id] for name, part in parts.items()}
    problems = [
        *_other_bytes(runs, digest),
        *_other_circumstances(infos, policy),
        *_other_code(infos, runs),
        *_overlaps(runs),
        *_gaps(infos, runs, required),
        *(problem for name, part in parts.items() for problem in _unsound(name, part, runs[name], policy, now)),
    ]
    if {part.sealed_by is None for part in parts.values()} == {True, False}:
        problems.append("some of them are sealed and others are not: seal all, or none")
    if problems:
        _refuse(problems)
    # In another order they give the same bytes.
    ordered = sorted(parts.values(), key=lambda part: part.digest)
    ledger = Ledger(
        run=_run([part.report.modelgates.run for part in ordered]),
        models={model_id: _model([part.report.modelgates.models[model_id] for part in ordered])},
    )
    return {
        "exitcode": ledger.run.exit_status,
        "tests": [*chain.from_iterable(_tests(part) for part in ordered)],
        "shards": [_origin(part) for part in ordered],
        "modelgates": msgspec.to_builtins(ledger),
    }


def _refuse(problems: Iterable[str]) -> None:
    raise RefusedError("\n  ".join([HEADLINE, *map(printable, dict.fromkeys(problems))]))


def _other_bytes(runs: Mapping[str, ModelRun], digest: str) -> list[str]:
    return [
        f"{name} is of other bytes ({each[:12]}…) than the model has now ({digest[:12]}…)"
        for name, run in runs.items()
        for each in dict.fromkeys((run.digest_before, run.digest_after))
        if each != digest
    ]


def _other_circumstances(infos: Mapping[str, RunInfo], policy: Policy) -> list[str]:
    found = [
        f"{name} used another policy ({info.policy_source}) than is in force here"
        for name, info in infos.items()
        if info.policy_digest != policy.digest
    ]
    first, *others = infos
    for name in others:
        differ = [what for key, what in _COMMON.items() if getattr(infos[name], key) != getattr(infos[first], key)]
        found += [f"{first} and {name} differ in {', '.join(differ)}"] if differ else []
    # A hermetic run answers for all that it loaded, a plain one only for what gates use.
    if {info.nonce is None for info in infos.values()} == {True, False}:
        found.append("some of them are of modelgates gate and others of plain pytest: run all in the same way")
    return found


def _other_code(infos: Mapping[str, RunInfo], runs: Mapping[str, ModelRun]) -> list[str]:
    found = []
    for (one, first), (other, second) in combinations(infos.items(), 2):
        here, there = first.suite | first.modules, second.suite | second.modules
        found += [
            f"{place} is another file in {one} than in {other}"
            for place in sorted(here.keys() & there.keys())
            if here[place] != there[place]
        ]
    files = set(chain.from_iterable(info.suite | info.modules for info in infos.values()))
    for name, info in infos.items():
        fixtures = (origin for gate in runs[name].gates for origin in gate.fixtures.values())
        strange = {*info.hooks, *fixtures} & (files - {*info.suite, *info.modules})
        # What is installed goes by its name, a file by its digest; joined, one would pass for the other.
        found += [f"{origin} is installed in {name}, and a file elsewhere" for origin in sorted(strange)]
    return found


def _overlaps(runs: Mapping[str, ModelRun]) -> list[str]:
    places: dict[str, list[str]] = {}
    for name, run in runs.items():
        for gate in dict.fromkeys(record.gate for record in run.gates):
            places.setdefault(gate, []).append(name)
    # A gate that was red in one would be hidden by another in which it is green.
    return [f"{gate} is in {' and in '.join(names)}: a gate runs once" for gate, names in places.items() if names[1:]]


def _gaps(infos: Mapping[str, RunInfo], runs: Mapping[str, ModelRun], required: Sequence[str]) -> list[str]:
    ran = {record.gate for run in runs.values() for record in run.gates}
    missing = [gate for gate in required if gate not in ran]
    found = [f"{few(missing)} ran in none of them"] if missing else []
    shards = {name: info.shard for name, info in infos.items() if info.shard is not msgspec.UNSET}
    if not shards:
        return found
    if unnumbered := [name for name in infos if name not in shards]:
        return [*found, f"{few(unnumbered)} is of no shard, and others are: run all with --gate-shard=K/N"]
    totals = {str(shard).partition("/")[2] for shard in shards.values()}
    if totals != {str(len(infos))} or len(set(shards.values())) != len(infos):
        given = ", ".join(sorted(map(str, shards.values())))
        found.append(f"they are shards {given}: give each of the shards of one run, once")
    return found


def _unsound(name: str, part: StoredReport, run: ModelRun, policy: Policy, now: datetime) -> list[str]:
    info, found = part.report.modelgates.run, []
    if info.exit_status != part.report.exitcode:
        found.append(f"{name}: pytest ended with {info.exit_status}, the report says {part.report.exitcode}")
    if info.finished > now + CLOCKS_DIFFER:
        found.append(f"{name} is from the future ({info.finished:%Y-%m-%d %H:%M:%S} UTC)")
    if part.sealed:  # of what is merged, only the new seal is left to be read
        found += [f"{name}: {text}" for text in seal_problems(part.sealed, own_results(run, info, policy))]
    return found


def _run(infos: Sequence[RunInfo]) -> RunInfo:
    suite = dict(sorted(chain.from_iterable(info.suite.items() for info in infos)))
    hooks: dict[str, set[str]] = {}
    for origin, names in chain.from_iterable(info.hooks.items() for info in infos):
        hooks.setdefault(origin, set()).update(names)
    nonces = [info.nonce for info in infos if info.nonce is not None]
    return msgspec.structs.replace(
        infos[0],
        started=min(info.started for info in infos),
        # The evidence is as old as its oldest part.
        finished=min(info.finished for info in infos),
        exit_status=next((info.exit_status for info in infos if info.exit_status), 0),
        arguments=(),
        suite=suite,
        suite_digest=sha256(canonical(suite)),
        hooks={origin: tuple(sorted(names)) for origin, names in sorted(hooks.items())},
        optimize=max(info.optimize for info in infos),
        nonce=sha256(" ".join(nonces).encode()) if nonces else None,
        modules=dict(sorted(chain.from_iterable(info.modules.items() for info in infos))),
        changed=tuple(dict.fromkeys(chain.from_iterable(info.changed for info in infos))),
        twice=tuple(dict.fromkeys(chain.from_iterable(info.twice for info in infos))),
        shard=msgspec.UNSET,
    )


def _model(runs: Sequence[ModelRun]) -> ModelRun:
    gates = sorted(chain.from_iterable(run.gates for run in runs), key=lambda record: record.gate)
    waivers = dict.fromkeys(chain.from_iterable(run.waivers for run in runs))
    return msgspec.structs.replace(runs[0], gates=tuple(gates), waivers=tuple(waivers))


def _tests(part: StoredReport) -> list[Any]:
    tests = part.parsed.get("tests", [])
    return tests if isinstance(tests, list) else []


def _origin(part: StoredReport) -> dict[str, Any]:
    info = part.report.modelgates.run
    return {
        "report": part.digest,
        "shard": None if info.shard is msgspec.UNSET else info.shard,
        "sealed_by": part.sealed_by,
        "started": info.started.isoformat(),
        "finished": info.finished.isoformat(),
    }
