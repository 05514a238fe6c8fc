"""Whose code took part in a run: every reason why a promoter does not take it for code of its own.

The registry decides by these reasons, and a run says at its end which of them its report would meet.
"""

from collections.abc import Collection, Iterable

from ..model.sidecar import Sidecar
from ..policy.policy import Policy
from .reasons import Reason, few
from .report import GateRecord, Ledger, ModelRun, RunInfo
from .trust import CORE, Trust
from .verdict import base_name

# Hooks by which an installed plugin can watch, prepare, order, drop and report, and by which it makes no gate pass:
# what a gate raised is noted before any plugin sees its report, and which gates must have run is the policy's word.
# A file that belongs to nothing installed may do anything in them, such as putting another function in a gate's place.
WATCHING = frozenset(
    {
        "pytest_assertion_pass",
        "pytest_collection_finish",
        "pytest_collection_modifyitems",
        "pytest_collectreport",
        "pytest_collectstart",
        "pytest_deselected",
        "pytest_exception_interact",
        "pytest_fixture_post_finalizer",
        "pytest_itemcollected",
        "pytest_modelgates_verdict",
        "pytest_report_collectionfinish",
        "pytest_runtest_logfinish",
        "pytest_runtest_logreport",
        "pytest_runtest_logstart",
        "pytest_runtest_makereport",
        "pytest_runtest_setup",
        "pytest_runtest_teardown",
        "pytest_sessionfinish",
        "pytest_sessionstart",
    }
)


def gates_that_count(run: ModelRun, sidecar: Sidecar | None, policy: Policy) -> list[str]:
    """List the gates that a policy requires of a model, and every other hard one that ran, such as a team's own."""
    required = policy.required_gates(sidecar) if sidecar else []
    own = [record.gate for record in run.gates if is_hard(record, policy)]
    return list(dict.fromkeys([*required, *own]))


def is_hard(record: GateRecord, policy: Policy) -> bool:
    """Whether a gate ran as a hard one, or is one by the policy."""
    slo = policy.slo.get(base_name(record.gate))
    return record.severity == "hard" or (slo is not None and slo.severity == "hard")


def origin_reasons(
    ledger: Ledger, run: ModelRun, judged: Collection[str], policy: Policy, trust: Trust, *, repair: str
) -> list[Reason]:
    """Compare the code of a run with the promoter's own.

    Parameters
    ----------
    ledger : Ledger
    run : ModelRun
        The model in question.
    judged : collection of str
        The gates that count; any other may come from anywhere.
    policy : Policy
        Names the plugins, suites and modules that may take part.
    trust : Trust
        Digests of what the promoter has.
    repair : str
        The command that runs the gates again, hermetically.
    """
    info, found = ledger.run, []
    if info.package_digest != trust.package:
        found.append(Reason("the run used another version of pytest-modelgates than this promotion", repair))
    for origin, names in altering_plugins(info, policy, trust).items():
        entry = f'"{origin}"' if is_installed(origin, info) else "the path of that file"
        text = f"{origin} can alter the run ({', '.join(names)}), and the policy lists no such plugin"
        found.append(Reason(text, f"{repair}, or write {entry} into [evidence] plugins of the policy"))
    gates = [record for record in run.gates if record.gate in judged]
    for record in gates:
        if info.suite.get(record.file) not in trust.gates:
            text = f"{record.gate} was defined in {record.file}, which is not a gate file that counts here"
            found.append(Reason(text, repair))
        for fixture, origin in record.fixtures.items():
            # Without being asked for it gives a gate no value, and prepares no more than a set-up does.
            if fixture in record.automatic and is_installed(origin, info):
                continue
            if not _takes_part(origin, info, policy, trust) and info.suite.get(origin) not in trust.gates:
                found.append(Reason(f"{record.gate} got its fixture {fixture!r} from {origin}", repair))
    for place, users in _users(info, gates).items():
        if (info.suite | info.modules).get(place) not in trust.code:
            text = f"{few(users) or 'the run'} used {place}, which, as it was then, is not code that counts here"
            found.append(Reason(text, f"{repair}, or name its folder in [evidence] modules of the policy"))
    found += [Reason(f"{twice}; give each a name of its own", repair) for twice in info.twice]
    if info.changed:
        found.append(Reason(f"{few(info.changed)} changed while the gates ran", repair))
    return found


def altering_plugins(info: RunInfo, policy: Policy, trust: Trust) -> dict[str, tuple[str, ...]]:
    """Name what is not trusted and has hooks that can alter a run, with these hooks."""
    found = {}
    for origin, names in info.hooks.items():
        harmless = WATCHING if is_installed(origin, info) else frozenset[str]()
        altering = tuple(name for name in names if name not in harmless)
        if altering and not _takes_part(origin, info, policy, trust):
            found[origin] = altering
    return found


def is_installed(origin: str, info: RunInfo) -> bool:
    """Whether an origin is an installed package, which goes by its import name; a file goes by its path."""
    return origin.isidentifier() and origin not in info.modules and origin not in info.suite


def _takes_part(origin: str, info: RunInfo, policy: Policy, trust: Trust) -> bool:
    """Whether hooks and fixtures may come from there: a file counts by its digest, what is installed by its name."""
    if origin in info.modules or origin in info.suite:
        return info.modules.get(origin) in trust.plugins
    return origin in CORE or origin in policy.evidence.plugins


def _users(info: RunInfo, gates: Iterable[GateRecord]) -> dict[str, list[str]]:
    """Name the gates by each file that they use; a hermetic run answers for all that it loaded."""
    users: dict[str, list[str]] = {place: [] for place in info.modules} if info.nonce else {}
    for record in gates:
        for place in record.code:
            users.setdefault(place, []).append(record.gate)
    return users
