"""Whose code took part in a run: every reason why a promoter does not take it for code of its own.

The registry decides by these reasons, and a run says at its end which of them its report would meet.
"""

from collections.abc import Collection, Iterable

from ..policy.policy import Policy
from .reasons import Reason, few
from .report import GateRecord, Ledger, ModelRun, RunInfo
from .trust import CORE, Trust


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
    for origin, names in info.hooks.items():
        if not _takes_part(origin, info, policy, trust):
            entry = "the path of that file" if origin in info.modules else f'"{origin}"'
            text = f"{origin} can alter the run ({', '.join(names)}), and the policy lists no such plugin"
            found.append(Reason(text, f"{repair}, or write {entry} into [evidence] plugins of the policy"))
    gates = [record for record in run.gates if record.gate in judged]
    for record in gates:
        if info.suite.get(record.file) not in trust.gates:
            text = f"{record.gate} was defined in {record.file}, which is not a gate file that counts here"
            found.append(Reason(text, repair))
        for fixture, origin in record.fixtures.items():
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
