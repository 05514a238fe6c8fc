"""Which gate files are trusted."""

from pathlib import Path

import msgspec

from pytest_modelgates.evidence.trust import trust
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.storage.digests import sha256

POLICY = load_policy(None)


def test_links_of_a_suite_are_followed_once(tmp_path: Path) -> None:
    own, aside = tmp_path / "own", tmp_path / "aside"
    for folder in (own / "inner", aside):
        folder.mkdir(parents=True)
    (own / "inner" / "test_own.py").write_bytes(b"own")
    (aside / "test_aside.py").write_bytes(b"aside")
    for link, target in (("a", "."), ("b", "."), ("inner/up", ".."), ("aside", aside)):
        (own / link).symlink_to(target)
    rules = msgspec.structs.replace(POLICY.evidence, suites=("own",))
    more = trust(msgspec.structs.replace(POLICY, evidence=rules), tmp_path).gates - trust(POLICY, tmp_path).gates
    assert more == {sha256(b"own"), sha256(b"aside")}
