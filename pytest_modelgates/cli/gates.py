"""Verbs of the gates: `gate`, `gates`, `prove`, `keygen`."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifacts import Artifacts, keeper_of
from ..errors import ModelgatesError, RefusedError
from ..storage.paths import is_folder
from .options import (
    ARTIFACTS,
    JSON,
    JUNIT,
    KEY_VARIABLE,
    MODEL,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    junit_of,
    key_of,
    key_option,
    looking,
    model_directory,
    note,
    print_json,
)
from .progress import working

if TYPE_CHECKING:
    from ..evidence.report import StoredReport
    from ..monitoring.liveness import Refused
    from ..registry.in_force import InForce


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "gate",
        gate,
        MODEL,
        JUNIT,
        argument(
            "--shard",
            type=_shard,
            metavar="K/N",
            help="run the K-th of N parts; modelgates report merge joins the reports",
        ),
        key_option("seal the report"),
        ARTIFACTS,
        POLICY,
    )
    verbs.add("gates", gates, ARTIFACTS, POLICY, JSON)
    verbs.add("prove", prove, MODEL, key_option("seal the proof"), ARTIFACTS, POLICY, JSON)
    verbs.add(
        "keygen",
        keygen,
        argument("file", type=Path, help="where the private key goes; a file that is there is never overwritten"),
        argument("--p256", action="store_true", help="make a P-256 key, for modelgates sign alone"),
    )


def _shard(text: str) -> str:
    from ..evidence.shards import checked_shard

    try:
        return checked_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def gate(arguments: argparse.Namespace) -> int:
    """Run the gates where no conftest, ini file or plugin of yours reaches them; ends with 1 unless all is green.

    Beside the report it writes the run as a page for a browser (extra `pages`). On GitHub the step's summary shows the
    table of gates, and gates that did not pass are annotated.
    """
    with refusals_summarised("modelgates gate"):
        directory, artifacts = model_directory(arguments)
        in_force = acting(artifacts, arguments)
        shard = [f"--gate-shard={arguments.shard}"] if arguments.shard else []
        selection = [*junit_of(arguments), *shard]
        path, stored = run_gates(directory, artifacts, in_force, key=key_of(arguments), selection=selection)
    print(f"kept: {path}")
    summarise(stored, in_force)
    write_page(artifacts, path, stored, in_force)
    return 0 if stored.report.modelgates.run.exit_status == 0 else 1


def summarise(stored: "StoredReport", in_force: "InForce") -> None:
    """Append the gates of a run to the summary that CI asks for; what keeps it from being written is said."""
    from ..pages.run_summary import gates_summary

    _append(gates_summary(stored.report.modelgates, in_force.policy))


def summarise_line(title: str, text: str) -> None:
    """Append what was done to the summary that CI asks for."""
    from ..pages.markdown import cell, titled

    _append(titled(title, cell(text)))


def _append(text: str) -> None:
    from ..pages.markdown import append_summary

    try:
        append_summary(text)
    except OSError as error:
        note(f"no summary is written: {error}")


@contextmanager
def refusals_summarised(title: str) -> Iterator[None]:
    """Append a refusal to the summary that CI asks for, and let it go its way."""
    try:
        yield
    except ModelgatesError as error:
        from ..pages.markdown import refusal_summary

        _append(refusal_summary(f"{title}: refused", str(error)))
        raise


def write_page(artifacts: Artifacts, report: Path, stored: "StoredReport", in_force: "InForce") -> None:
    """Write the page of a run beside its report; what keeps it from being written is said, and changes nothing."""
    from ..evidence.report import PAGE_SUFFIX, name_of_run
    from ..pages.run_page import run_page
    from ..storage.digests import sha256

    place = report.with_name(f"{name_of_run(report)}{PAGE_SUFFIX}")
    try:
        ledger, digest = stored.report.modelgates, sha256(report.read_bytes())
        artifacts.write(place, run_page(ledger, in_force.policy, report=str(report), report_digest=digest))
    except (ModelgatesError, OSError) as error:
        note(f"no page of the run is written: {error}")
    else:
        print(f"page: {place}")


def gates(arguments: argparse.Namespace) -> int:
    """List every gate: when it last ran, was last red, was last proved able to fail, and its margin.

    A margin is the distance to the nearer bound of the limit, negative beyond it: that of the newest model, and the
    least of the newest five. Below stand gates that never failed, neither on a model nor on a twin; models that were
    let through and rolled back later; and models that were refused, with what they would have earned in shadow.
    """
    from ..monitoring.liveness import liveness
    from ..policy.limits import short
    from ..storage.text import counted, printable, wrapped

    artifacts = artifacts_of(arguments)
    found = liveness(artifacts, looking(artifacts, arguments).policy)
    if arguments.json:
        print_json(found)
        return 0
    width = max(len(history.gate) for history in found.gates)
    print(f"{'gate':{width}} {'last ran':10} {'last red':10} {'proved':10} {'margin':>7} {'least':>7}")
    for history in found.gates:
        days = " ".join(f"{f'{time:%Y-%m-%d}' if time else 'never':10}" for time in history.times)
        margins = history.newest_margins
        least = min((each for each in margins if each is not None), default=None)
        shown = (short(each, 2) if each is not None else "-" for each in (margins[-1] if margins else None, least))
        print(f"{history.gate:{width}} {days}", *(f"{margin:>7}" for margin in shown))
    if unproved := ", ".join(history.gate for history in found.gates if history.unproved):
        print("", "Nothing shows that these can fail; modelgates prove DIR tries the hard ones:", sep="\n")
        print(wrapped(unproved, head="  ", indent=2))
    for model in found.rolled_back:
        print(
            f"\n{model.model_id} was rolled back on {model.time:%Y-%m-%d}, and {counted(model.passed, 'gate')} had "
            f"passed it: {printable(model.reason)}"
        )
    for refused in found.refused:
        print(f"\n{refused.model_id} is refused by {', '.join(refused.by)}; in shadow it {_earned(refused)}")
    for problem in found.unread:
        note(f"not read: {problem}")
    return 0


def _earned(model: "Refused") -> str:
    more = model.earned_more
    if more is None:
        return f"earned what cannot be told: {model.why}"
    between = (
        f" ({more.interval[0]:.4%} to {more.interval[1]:.4%})" if more.interval else ", over too few days to say more"
    )
    return f"would have earned {more.value:.4%} of capital a day more than the live model{between}"


def prove(arguments: argparse.Namespace) -> int:
    """Show that the gates can fail: run each hard gate on copies of the model that were broken on purpose.

    Each copy has one fault, such as a changed byte, a feature that knows the next return, or a row that comes twice.
    A line says for each gate and fault what became of it. red: its gate refused the copy. GREEN: it passed, so it would
    not notice this fault. ?: it gave no answer. Ends with 1 unless all are red.

    The proof is kept beside the reports. A policy with [evidence] proof = true promotes no model without one.
    """
    from ..evidence.proof import seal_proof, store_proof
    from ..evidence.verdict import Verdict
    from ..proving import prove as proving
    from ..storage.digests import listing
    from ..storage.strict_json import readable

    directory, artifacts = model_directory(arguments)
    in_force, key = acting(artifacts, arguments), key_of(arguments)
    policy, place = in_force.policy, in_force.place
    limits = in_force.operations.hermetic
    with working("running the gates on copies that were broken on purpose"):
        proof = proving.prove(directory, policy, limits, policy_file=place.file, root=place.repository)
    content = seal_proof(proof, listing(directory), policy, key) if key else readable(proof)
    path = store_proof(artifacts, directory.name, content, sealed=key is not None)
    if arguments.json:
        print_json(proof)
    else:
        for trial in proof.trials:
            colour = "red  " if trial.red(policy) else "GREEN" if trial.verdict == "passed" else "?    "
            print(f"{colour}  {trial}")
        print(f"kept: {path}")
    return 0 if proof.verdict(policy) is Verdict.PASSED else 1


def keygen(arguments: argparse.Namespace) -> int:
    """Write a new private key, and print its public half, which the policy lists.

    Of a P-256 key the public half is PEM: `modelgates keygen --p256 FILE > FILE.pub`.
    """
    from ..evidence.seal import generate_key

    if keeper := keeper_of(arguments.file):
        raise RefusedError(
            f"{arguments.file}: the registry {keeper.root} keeps its own files there, which others may read; give the "
            "key a place outside it, such as ~/.config/modelgates.pem"
        )
    public = generate_key(arguments.file, p256=arguments.p256)
    print(public)
    if arguments.p256:
        note("who checks a signature needs the public half: modelgates verify DIR --signature --public-key FILE")
    else:
        note(f'write the public half under [evidence] of registry/policy.toml: keys = ["{public}"]')
    note(f"the private half is in {arguments.file}: keep it out of the repository, and name it in ${KEY_VARIABLE}")
    return 0


def run_gates_as_read(
    directory: Path, artifacts: Artifacts, in_force: "InForce", *, key: Path | None, selection: Sequence[str] = ()
) -> tuple[Path, "StoredReport"]:
    """Run the gates as `run_gates`; a sealed report is read back, which alone shows that the policy lists the key."""
    from ..evidence.report import read_report

    path, stored = run_gates(directory, artifacts, in_force, key=key, selection=selection)
    return path, read_report(path, keys=in_force.policy.evidence.keys) if key else stored


def run_gates(
    directory: Path, artifacts: Artifacts, in_force: "InForce", *, key: Path | None, selection: Sequence[str] = ()
) -> tuple[Path, "StoredReport"]:
    """Run the gates hermetically and keep the report, sealed beside it if there is a key; give the last one's place."""
    from ..evidence.seal import SEALED_SUFFIX
    from ..proving import hermetic

    policy, place = in_force.policy, in_force.place
    limits = in_force.operations.hermetic
    stored = hermetic.run_gates(
        directory, policy, limits, policy_file=place.file, root=place.repository, selection=selection
    )
    path = artifacts.new_report(directory.name, datetime.now(UTC))
    artifacts.write(path, stored.content)
    if key is not None:
        path = path.with_name(path.name.removesuffix(".json") + SEALED_SUFFIX)
        artifacts.write(path, hermetic.seal_report(stored, directory, policy, key))
    _list_drift(directory, artifacts, in_force, stored)
    return path, stored


def _list_drift(directory: Path, artifacts: Artifacts, in_force: "InForce", stored: "StoredReport") -> None:
    """Add what the gates found of drift to the list of all checks, as gates themselves write nothing there.

    What keeps it from the list is said, and changes nothing.
    """
    from ..monitoring.checks import of_gates, record
    from ..registry.store import live_id

    if not is_folder(artifacts.model(directory.name)):  # a dry run keeps nothing
        return
    try:
        arm = "live" if live_id(artifacts) == directory.name else "shadow"
        if line := of_gates(stored.report.modelgates, directory.name, in_force.policy, arm=arm):
            record(artifacts, line)
    except (ModelgatesError, OSError) as error:
        note(f"what the gates found of drift is not in {artifacts.drift_checks}: {error}")
