"""Deleting what is old: reports that decided nothing, and closed parts of the prediction log."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from ..artifacts import Artifacts
from ..audit.ab import read_plan
from ..evidence.report import name_of_run
from ..policy.policy import Policy
from ..predictions.parts import arms, parts
from ..predictions.reading import closing_on_disk
from ..storage.digests import sha256_of
from ..storage.paths import entries, is_file
from .store import went_live

_DAY = timedelta(days=1)


def old_reports(artifacts: Artifacts, policy: Policy, *, days: float, now: datetime) -> list[Path]:
    """List the reports that may be deleted, with their pages, oldest first.

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
    reports = chain.from_iterable(map(entries, entries(artifacts.all_reports)))
    for path in filter(is_file, reports):  # a pipe in the place of a report is left alone
        with suppress(ValueError):
            begun = datetime.strptime(name_of_run(path), "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
            if (now - begun) / _DAY > days:
                found.append((begun, path))
    decisive = {change.report_digest for change in went_live(artifacts)} if found else set()
    # Of a report, the same one sealed, and the page, all stay or go: either report may be what was promoted by.
    stay = {(path.parent, name_of_run(path)) for _, path in found if sha256_of(path) in decisive}
    return [path for _, path in sorted(found) if (path.parent, name_of_run(path)) not in stay]


def delete_each(paths: Iterable[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Delete files; one that cannot be deleted does not stop the rest.

    Returns
    -------
    list of Path
        What was deleted.
    list of (Path, str)
        What was not, and why. One that somebody else deleted meanwhile is in neither.
    """
    went, failed = [], []
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            failed.append((path, error.strerror or str(error)))
        else:
            went.append(path)
    return went, failed


def old_parts(artifacts: Artifacts, *, days: float, now: datetime) -> list[Path]:
    """List the closed parts of the prediction log that may be deleted, and what was counted of them, oldest first.

    Those since an A/B test began stay while it runs, since it is read from its first day on.

    Parameters
    ----------
    artifacts : Artifacts
    days : float
        Those of younger days stay [days].
    now : datetime

    Raises
    ------
    FormatError
        If the plan of an A/B test is damaged, so that nobody knows when it began.
    """
    found: list[Path] = []
    test = read_plan(artifacts)
    newest = {os.path.realpath(link) for link in artifacts.newest_parts.values()}
    for part in (part for arm in arms(artifacts) for part in parts(artifacts, arm)):
        named = part.path.is_relative_to(artifacts.predictions)  # a log of version 0.1 bears no date
        old = named and (now.date() - part.day) / _DAY > days and not (test and part.day >= test.started.date())
        if old and os.path.realpath(part.path) not in newest and closing_on_disk(part):
            found += entries(part.path.parent, f"{part.path.stem}.*")
    return found
