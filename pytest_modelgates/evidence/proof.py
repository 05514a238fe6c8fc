"""The proof that gates can fail: what each did on a twin that it must not pass.

A twin is a copy of the model that was broken on purpose: a negative control.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..artifacts import Artifacts
from ..errors import FormatError, SealError
from ..policy.families import family_of
from ..policy.policy import Policy
from ..storage.digests import Sha256, sha256
from ..storage.paths import is_there
from ..storage.strict_json import Moment, canonical, read_bytes, read_json, typed
from .reasons import Reason
from .results import Results, seal_problems
from .seal import SEALED_SUFFIX, Predicate, load_key, open_statement, seal, statement
from .trust import Trust
from .verdict import Verdict, base_name, combine


class ControlRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one gate did on one twin; `slo` and `measured` are what it failed by. Without a twin it did not run."""

    gate: str
    twin: str | None
    verdict: Verdict
    why: str
    slo: str | None = None
    measured: float | None = None

    def red(self, policy: Policy) -> bool:
        """Whether the gate failed as it had to: by its verdict, and by the number behind it."""
        if self.verdict is Verdict.ERRORED:
            return self.gate in family_of(self.gate).readers
        within = self.slo in policy.slo and policy.slo[self.slo].contains(self.measured)
        return self.twin is not None and self.verdict is Verdict.FAILED and not within

    def shows(self, policy: Policy) -> Verdict:
        """Judge the gate instead of the twin: it passes if it failed as it had to."""
        if self.red(policy):
            return Verdict.PASSED
        return Verdict.FAILED if self.verdict is Verdict.PASSED else self.verdict

    def __str__(self) -> str:
        """Say in one line what the gate did, or what is missing."""
        if self.twin is None:
            return f'{self.gate} has no twin; give it one: [slo."{base_name(self.gate)}"] twin = "file.py:function"'
        if self.verdict is Verdict.PASSED:
            return f"{self.gate} stayed green on its twin {self.twin}"
        return f"{self.gate} on its twin {self.twin}: {self.verdict}, {self.why}"


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `artifacts/proofs/<id>.json`.

    `suite_digest` is that of every file in the suites, and in the folders of modules, that count; `modules` are digests
    of what the run loaded besides what is installed.
    """

    format: Literal[1] = 1
    model_id: str
    digest: Sha256
    package_digest: Sha256
    suite_digest: Sha256
    policy_digest: Sha256
    created: Moment
    trials: tuple[ControlRun, ...]
    modules: dict[str, Sha256] = {}

    def verdict(self, policy: Policy) -> Verdict:
        """Say what all trials amount to; a proof without any shows nothing."""
        return combine(trial.shows(policy) for trial in self.trials)

    def results(self, policy: Policy) -> Results:
        """List the gates that failed as they had to as passed, and all others as failed."""
        red = tuple(trial.gate for trial in self.trials if trial.red(policy))
        return Results(
            result="PASSED" if self.verdict(policy) is Verdict.PASSED else "FAILED",
            passed=red,
            warned=(),
            failed=tuple(trial.gate for trial in self.trials if not trial.red(policy)),
        )


class StoredProof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof as read from disk, who sealed it, and what was signed."""

    proof: Proof
    sealed_by: str | None
    sealed: Predicate | None = None


# The answer to whether a proof is stored: the proof, None if there is none, or why it cannot be believed.
ProofRead = StoredProof | FormatError | SealError | None


def seal_proof(proof: Proof, files: Mapping[str, str], policy: Policy, key: Path) -> bytes:
    """Seal a proof as a report is sealed, for a model with these files."""
    own = proof.results(policy)
    content = statement(
        files,
        {"policy": proof.policy_digest, "gates": proof.suite_digest},
        {"proof": msgspec.to_builtins(proof)},
        result=own.result,
        passed=own.passed,
        failed=own.failed,
    )
    return seal(content, load_key(key))


def suite_digest(code: Iterable[str]) -> str:
    """Digest the digests of files of code, whatever their order."""
    return sha256(canonical(sorted(code)))


def store_proof(artifacts: Artifacts, model_id: str, content: bytes, *, sealed: bool) -> Path:
    """Write a proof where promotion looks for it, in place of an older one, and return its path."""
    path = artifacts.proof(model_id)
    places = {False: path, True: path.with_suffix(SEALED_SUFFIX)}
    artifacts.write(places[sealed], content)
    places[not sealed].unlink(missing_ok=True)
    return places[sealed]


def read_proof(path: Path, *, keys: Sequence[str] = ()) -> ProofRead:
    """Read a stored proof, the sealed one if there is one; None if there is none."""
    sealed = path.with_suffix(SEALED_SUFFIX)
    try:
        if not is_there(sealed):
            return StoredProof(proof=read_json(path, Proof), sealed_by=None) if is_there(path) else None
        opened, sealed_by = open_statement(read_bytes(sealed), keys, str(sealed))
        proof = typed(opened.predicate.proof, Proof, str(sealed))
        if opened.digest != proof.digest:
            raise SealError(f"{sealed}: the statement's subject is not the model that its proof is of")
        return StoredProof(proof=proof, sealed_by=sealed_by, sealed=opened.predicate)
    except (FormatError, SealError) as error:
        return error


def proof_reasons(
    stored: ProofRead,
    required: Sequence[str],
    policy: Policy,
    trust: Trust,
    *,
    digest: str,
    repair: str,
) -> list[Reason]:
    """Compare a proof with the model's bytes, the promoter's policy and the trusted code.

    `required` are the gates that must have been seen red, `repair` is the command that makes a proof.
    """
    sealed = policy.evidence.level == "sealed"
    repair += " --key FILE" if sealed else ""
    if stored is None:
        return [Reason("nothing proves that the gates can fail on this model", repair)]
    if not isinstance(stored, StoredProof):
        return [Reason(str(stored), repair)]
    found, proof = [], stored.proof
    if sealed and stored.sealed_by is None:
        found.append("the proof is not sealed, and the policy asks for one that is")
    if stored.sealed:
        own = proof.results(policy) if proof.policy_digest == policy.digest else None
        found += seal_problems(stored.sealed, own)
    if proof.digest != digest:
        found.append(f"the proof is of other bytes ({proof.digest[:12]}…) than the model has now ({digest[:12]}…)")
    if proof.policy_digest != policy.digest:
        found.append("the proof is of another policy than this promotion's")
    if proof.package_digest != trust.package:
        found.append("the proof is of another version of pytest-modelgates")
    if proof.suite_digest != suite_digest(trust.gates | trust.modules):
        found.append("the proof is of other gate files than those that count here")
    found += [
        f"the proof is of another {place} than that here"
        for place, digest in proof.modules.items()
        if digest not in trust.code
    ]
    for gate in required:
        trials = [trial for trial in proof.trials if trial.gate == gate]
        if not trials:
            found.append(f"{gate} is not in the proof")
        found += [str(trial) for trial in trials if not trial.red(policy)]
    return [Reason(text, repair) for text in found]
