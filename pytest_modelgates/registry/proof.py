"""The proof that gates can fail: what each did on a twin of the model that it must not pass."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import FormatError
from ..model.files import canonical, read_json, sha256
from ..model.manifest import Moment, Sha256
from .criteria import Reason
from .policy import Policy
from .suite import Trust
from .verdict import Verdict, base_name

# Their question is whether something can be read at all, so an error is an answer.
READING = frozenset({"integrity.required_files", "integrity.sha256", "integrity.onnx_is_sound"})


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
            return self.gate in READING
        held = self.slo in policy.slo and policy.slo[self.slo].hold(self.measured)
        return self.twin is not None and self.verdict is Verdict.FAILED and not held

    def __str__(self) -> str:
        """One line for people."""
        if self.twin is None:
            return f'{self.gate} has no twin; give it one: [slo."{base_name(self.gate)}"] twin = "file.py:function"'
        if self.verdict is Verdict.PASSED:
            return f"{self.gate} stayed green on its twin {self.twin}"
        return f"{self.gate} on its twin {self.twin}: {self.verdict}, {self.why}"


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `artifacts/proofs/<id>.json`; `suite_digest` is that of every gate file that counts."""

    format: Literal[1] = 1
    model_id: str
    digest: Sha256
    package_digest: Sha256
    suite_digest: Sha256
    policy_digest: Sha256
    created: Moment
    trials: tuple[Trial, ...]


def suite_digest(gates: Iterable[str]) -> str:
    """Digest the digests of gate files, whatever their order."""
    return sha256(canonical(sorted(gates)))


def read_proof(path: Path) -> Proof | FormatError | None:
    """Read a stored proof; None if there is none."""
    try:
        return read_json(path, Proof) if path.exists() else None
    except FormatError as error:
        return error


def proof_reasons(
    proof: Proof | FormatError | None,
    required: Sequence[str],
    policy: Policy,
    trust: Trust,
    *,
    digest: str,
    repair: str,
) -> list[Reason]:
    """Hold a proof against the model's bytes, the promoter's policy and the code that is trusted.

    `required` are the gates that must have been seen red, `repair` is the command that makes a proof.
    """
    if proof is None:
        return [Reason("nothing proves that the gates can fail on this model", repair)]
    if isinstance(proof, FormatError):
        return [Reason(str(proof), repair)]
    found = []
    if proof.digest != digest:
        found.append(f"the proof is of other bytes ({proof.digest[:12]}…) than the model has now ({digest[:12]}…)")
    if proof.policy_digest != policy.digest:
        found.append("the proof is of another policy than this promotion's")
    if proof.package_digest != trust.package:
        found.append("the proof is of another version of pytest-modelgates")
    if proof.suite_digest != suite_digest(trust.gates):
        found.append("the proof is of other gate files than those that count here")
    for gate in required:
        trials = [trial for trial in proof.trials if trial.gate == gate]
        if not trials:
            found.append(f"{gate} is not in the proof")
        found += [str(trial) for trial in trials if not trial.red(policy)]
    return [Reason(text, repair) for text in found]
