"""What a promotion leaves for others to read: a verification summary of SLSA, as an in-toto statement."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ..storage.strict_json import canonical
from .seal import STATEMENT_TYPE

PREDICATE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://pypi.org/project/pytest-modelgates/"
LEVEL = "MODELGATES_HARD_GATES"
WAIVED = "MODELGATES_WAIVED"


def verification_summary(
    model_id: str,
    files: Mapping[str, str],
    *,
    time: datetime,
    version: str,
    policy: tuple[str, str],
    report: tuple[str, str],
    waived: Sequence[str] = (),
) -> bytes:
    """Say that a model was verified by a policy, and by which report.

    It says nothing of how the model was built, so it claims no level of SLSA's own.

    Parameters
    ----------
    model_id : str
    files : mapping of str to str
        SHA-256 of every file of the model directory.
    time : datetime
        When it was decided.
    version : str
        Of this package.
    policy : (str, str)
        Its file, and the digest of what of it judges, packaged defaults included; that is not the file's own.
    report : (str, str)
        Where it lies, and its SHA-256.
    waived : sequence of str
        Gates that did not pass, and that a row of the policy excused: a level for each stands in place of the one that
        says that all passed.

    Returns
    -------
    bytes
        Canonical JSON.

    References
    ----------
    .. [1] https://slsa.dev/spec/v1.0/verification_summary
    """
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(files.items())],
            "predicateType": PREDICATE,
            "predicate": {
                "verifier": {"id": VERIFIER, "version": {"pytest-modelgates": version}},
                "timeVerified": f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "resourceUri": f"urn:modelgates:model:{model_id}",
                "policy": {"name": policy[0], "uri": f"urn:modelgates:policy-in-force:sha256:{policy[1]}"},
                "inputAttestations": [{"uri": report[0], "digest": {"sha256": report[1]}}],
                "verificationResult": "PASSED",
                "verifiedLevels": [f"{WAIVED}:{gate}" for gate in waived] or [LEVEL],
            },
        }
    )
