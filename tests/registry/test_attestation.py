"""What a promotion leaves for others to read: a verification summary of SLSA."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.evidence.seal import generate_key, open_seal, open_statement
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.storage.digests import listing, sha256
from tests.support.handmade import Registry, green_report


def test_a_promotion_says_what_was_verified_by_which_policy_and_report(registry: Registry) -> None:
    report = green_report(registry)
    done = promote(registry.artifacts, registry.candidate, report, registry.in_force, reason="all green")
    statement = json.loads((registry.artifacts.root / "attestations" / f"{registry.candidate}.json").read_bytes())
    files = listing(registry.artifacts.model(registry.candidate))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert {each["name"]: each["digest"]["sha256"] for each in statement["subject"]} == files
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    predicate = statement["predicate"]
    assert datetime.fromisoformat(predicate.pop("timeVerified")) == done.change.time.replace(microsecond=0)
    version = predicate.pop("verifier")
    assert (version["id"], list(version["version"])) == (
        "https://pypi.org/project/pytest-modelgates/",
        ["pytest-modelgates"],
    )
    place = report.resolve()
    root = registry.artifacts.root
    assert predicate == {
        "resourceUri": f"urn:modelgates:model:{registry.candidate}",
        "policy": {
            "name": registry.in_force.place.source,
            "uri": f"urn:modelgates:policy-in-force:sha256:{registry.policy.digest}",
        },
        "inputAttestations": [
            {
                "uri": str(place.relative_to(root) if place.is_relative_to(root) else place.name),
                "digest": {"sha256": sha256(report.read_bytes())},
            }
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": ["MODELGATES_HARD_GATES"],
    }
    assert done.change.report_digest == predicate["inputAttestations"][0]["digest"]["sha256"]


def test_with_a_key_it_is_signed_and_still_no_report(registry: Registry, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    public = generate_key(key)
    policy = registry.policy_file.read_text()
    before, found, after = policy.partition("[evidence]\n")
    registry.policy_file.write_text(f'{before}[evidence]\nkeys = ["{public}"]\n{after if found else ""}')
    report = green_report(registry)
    promote(registry.artifacts, registry.candidate, report, registry.in_force, reason="all green", key=key)
    place = registry.artifacts.root / "attestations" / f"{registry.candidate}.dsse.json"
    payload, signed_by = open_seal(place.read_bytes(), [public], "it")
    assert signed_by == public
    assert json.loads(payload)["predicate"]["verificationResult"] == "PASSED"
    with pytest.raises(ModelgatesError, match="missing required field `result`"):
        open_statement(place.read_bytes(), [public], "it")


def test_a_refusal_leaves_none(registry: Registry) -> None:
    with pytest.raises(ModelgatesError):
        promote(registry.artifacts, registry.live, green_report(registry), registry.in_force, reason="again")
    assert not (registry.artifacts.root / "attestations" / f"{registry.candidate}.json").exists()
