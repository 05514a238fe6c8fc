"""Deleting what is old: reports that decided nothing, and closed parts of the prediction log."""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..artifacts import Artifacts
from ..audit.chain import changes
from ..evidence.seal import SEALED_SUFFIX
from ..policy.policy import Policy
from ..predictions.parts import arms, parts
from ..predictions.reading import closing_on_disk
from ..storage.digests import sha256_of

_DAY = timedelta(days=1)


def old_reports(artifacts: Artifacts, policy: Policy, *, days: float, now: datetime) -> list[Path]:
    """List the reports that may be deleted, oldest first.

    Those that the audit log names stay, for a promotion was decided by them, and so do those of the nights that a
    streak may consist of.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    days : float
        Younger ones stay [days].
    now : datetime
    """
    days = max(days, policy.promotion.parity_nights + 2)
    found = []
    for path in artifacts.all_reports.glob("*/*.json"):
        with suppress(ValueError):
            begun = datetime.strptime(_name_of(path), "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
            if (now - begun) / _DAY > days:
                found.append((begun, path))
    decisive = {change.report_digest for change in changes(artifacts.promotions)} if found else set()
    # A sealed report lies beside the plain one, and either may be the one that was promoted by.
    digests = {path: sha256_of(path) for _, path in found}
    stay = {(path.parent, _name_of(path)) for path, digest in digests.items() if digest in decisive}
    return [path for _, path in sorted(found) if (path.parent, _name_of(path)) not in stay]


def _name_of(path: Path) -> str:
    """The moment that a report is named after."""
    return path.name.removesuffix(SEALED_SUFFIX).removesuffix(".json")


def old_parts(artifacts: Artifacts, *, days: float, now: datetime) -> list[Path]:
    """List the closed parts of the prediction log that may be deleted, and what was counted of them, oldest first.

    Parameters
    ----------
    artifacts : Artifacts
    days : float
        Those of younger days stay [days].
    now : datetime
    """
    found: list[Path] = []
    newest = {os.path.realpath(link) for link in artifacts.newest_parts.values()}
    for part in (part for arm in arms(artifacts) for part in parts(artifacts, arm)):
        named = part.path.is_relative_to(artifacts.predictions)  # a log of version 0.1 bears no date
        old = named and (now.date() - part.day) / _DAY > days
        if old and os.path.realpath(part.path) not in newest and closing_on_disk(part):
            found += sorted(part.path.parent.glob(f"{part.path.stem}.*"))
    return found
