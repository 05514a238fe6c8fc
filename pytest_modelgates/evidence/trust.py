"""Which gate files a promoter trusts: the shipped suite and the team's own, by their digests."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import PolicyError
from ..policy.policy import Policy
from ..storage.digests import sha256
from ..storage.paths import is_folder
from ..storage.strict_json import canonical

PACKAGE = Path(__file__).parent.parent
# Hooks and fixtures from these packages are always trusted.
CORE = ("_pytest", "pytest", "pluggy", PACKAGE.name)
# The variable by which a hermetic run gets a random word from its parent; the run repeats the word in its ledger.
NONCE = "MODELGATES_NONCE"


def shipped_gates() -> Path:
    """Find the shipped gates: inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "gates"
    return inside if is_folder(inside) else PACKAGE.parent / "gates"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a promoter compares a run's code with: digests of gate files, and of this package."""

    gates: frozenset[str]
    package: str


def trust(policy: Policy, root: Path) -> Trust:
    """Digest the gates and the package that are installed here."""
    return Trust(frozenset(trusted_digests(policy, root)), package_digest())


def suite_folders(policy: Policy, root: Path) -> list[Path]:
    """List the folders of gates that count: the shipped one, and those that the policy names relative to `root`."""
    own = [root / name for name in policy.evidence.suites]
    for folder in own:
        if not is_folder(folder):
            raise PolicyError(f"the policy names the suite {folder}, which is not a folder; fix suites = […]")
    return [shipped_gates(), *own]


def trusted_digests(policy: Policy, root: Path) -> set[str]:
    """Digest every gate file that counts."""
    return {digest for folder in suite_folders(policy, root) for digest in _code(folder).values()}


def package_digest() -> str:
    """Digest the code of this package without its gates, which are digested file by file."""
    return sha256(canonical({name: digest for name, digest in _code(PACKAGE).items() if not name.startswith("gates/")}))


def _code(folder: Path) -> dict[str, str]:
    """Digest every Python file below a folder, by its path in it."""
    digests, seen = {}, set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # a link to a parent folder would be followed endlessly
            folders.clear()
            continue
        seen.add(real)
        for path in (os.path.join(place, name) for name in names if name.endswith(".py")):
            with open(path, "rb", buffering=0) as file:  # half the time that Path takes for 100 files
                digests[path.removeprefix(f"{folder}/")] = sha256(file.readall())
    return digests
