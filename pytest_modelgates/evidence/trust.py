"""Which code a promoter trusts, by its digests: the shipped gates, the team's own, and what those may import."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import PolicyError
from ..policy.policy import Policy
from ..storage.digests import sha256, sha256_of
from ..storage.paths import is_file, is_folder
from ..storage.strict_json import canonical
from .installed import installed

PACKAGE = Path(__file__).parent.parent
CODE = (".py", ".so")
# Hooks and fixtures from these packages are always trusted.
CORE = ("_pytest", "pytest", "pluggy", PACKAGE.name)
# The variable by which a hermetic run gets a random word from its parent; the run repeats the word in its ledger.
NONCE = "MODELGATES_NONCE"


def shipped_gates() -> Path:
    """Find the shipped gates: inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "gates"
    return inside if is_folder(inside) else PACKAGE.parent / "gates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a promoter compares a run's code with: digests of the files that it has itself.

    Parameters
    ----------
    package : str
        Of this package's own code.
    gates : frozenset of str
        Of every file in the suites.
    modules : frozenset of str
        Of every file in the folders that `[evidence] modules` names.
    editable : frozenset of str
        Of the files in editable installs that the run loaded.
    plugins : frozenset of str
        Of the files that `[evidence] plugins` names.
    """

    package: str
    gates: frozenset[str]
    modules: frozenset[str]
    editable: frozenset[str]
    plugins: frozenset[str]

    @property
    def code(self) -> frozenset[str]:
        """All that a gate may import beside what is installed."""
        return self.gates | self.modules | self.editable


def trust(policy: Policy, root: Path, loaded: Iterable[str] = ()) -> Trust:
    """Digest the code that counts here; `loaded` are the modules that a report, or a proof, lists."""
    rules = policy.evidence
    named = [root / name for name in rules.plugins if name.endswith(".py")]
    return Trust(
        package=package_digest(),
        gates=_digests(suite_folders(policy, root)),
        modules=_digests(module_folders(policy, root)),
        editable=frozenset(_editable_digests(loaded)),
        plugins=frozenset(sha256_of(path) for path in named if is_file(path)),
    )


def suite_folders(policy: Policy, root: Path) -> list[Path]:
    """List the folders of gates that count: the shipped one, and those that the policy names relative to `root`."""
    return [shipped_gates(), *_folders("suite", policy.evidence.suites, root)]


def module_folders(policy: Policy, root: Path) -> list[Path]:
    """List the folders of code that gates may import, besides their own, which the policy names relative to `root`."""
    return _folders("module", policy.evidence.modules, root)


def _folders(kind: str, names: Iterable[str], root: Path) -> list[Path]:
    folders = [root / name for name in names]
    for folder in folders:
        if not is_folder(folder):
            raise PolicyError(f"the policy names the {kind} {folder}, which is not a folder; fix {kind}s = […]")
    return folders


def _digests(folders: Iterable[Path]) -> frozenset[str]:
    return frozenset(digest for folder in folders for digest in _code(folder).values())


def _editable_digests(loaded: Iterable[str]) -> Iterable[str]:
    """Digest this machine's own copy of each module that a run loaded from an editable install."""
    for name in loaded:
        distribution, _, inside = name.partition(":")
        folder = installed().editable.get(distribution)
        path = (folder / inside).resolve() if folder else None
        if folder and path and path.is_relative_to(folder) and is_file(path):
            yield sha256_of(path)


def package_digest() -> str:
    """Digest the code of this package without its gates, which are digested file by file."""
    return sha256(canonical({name: digest for name, digest in _code(PACKAGE).items() if not name.startswith("gates/")}))


def _code(folder: Path) -> dict[str, str]:
    """Digest every file of code below a folder, by its path in it."""
    digests, seen = {}, set()
    for place, folders, names in os.walk(folder, followlinks=True):
        entry = os.stat(place)
        if (entry.st_dev, entry.st_ino) in seen:  # a link to a parent folder would be followed endlessly
            folders.clear()
            continue
        seen.add((entry.st_dev, entry.st_ino))
        for path in (os.path.join(place, name) for name in names if name.endswith(CODE)):
            digests[path.removeprefix(f"{folder}/")] = _digest(path)
    return digests


def _digest(path: str) -> str:
    """Digest a file, as `sha256_of` does, in a third of its time if the file is small."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        digest = hashlib.sha256()
        while piece := os.read(descriptor, 2**16):
            digest.update(piece)
        return digest.hexdigest()
    finally:
        os.close(descriptor)
