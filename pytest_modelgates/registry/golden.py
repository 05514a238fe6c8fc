"""A model's golden: the predictions that its live ones are compared with.

They are those on its own panel, those that it made live, those in a file, or an earlier golden.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ..artifacts import Artifacts, is_id
from ..audit.events import event_of
from ..audit.kinds import GOLDEN_SET
from ..audit.writer import locked
from ..drift.golden import COLUMN, golden_content, made_for, put_golden, version_content, version_of
from ..drift.versions import DIGITS, Origin, Version, golden_metadata
from ..errors import FormatError, RefusedError, StatisticsError
from ..evidence.seal import load_key
from ..model.directory import PANEL, LocalDirectory, ModelDirectory
from ..model.features import numeric_column
from ..model.panel import read_native_scores
from ..model.tables import read_user_table
from ..policy.operations import LockRules
from ..predictions.counting import Tally, Window, count_whole, days_of, values_of
from ..storage.digests import sha256
from ..storage.regular_files import MAX_FILE_BYTES
from ..storage.rows import Column
from ..storage.strict_json import read_bytes
from ..storage.text import counted, cut, listed, printable
from .store import append_signed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LOG = "log"
VERSION = "sha256:"
_DIGEST = "digest"  # the column of a part of the log that names the model


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenSet:
    """A golden that was set: its file, its rows in words, and what was in force before it."""

    path: Path
    words: str
    before: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Predictions, or the file of a golden; where they are from, and which model they are of, as far as is known."""

    words: str
    origin: Origin
    values: np.ndarray | None = None
    days: np.ndarray | None = None
    version: Version | None = None
    content: bytes = b""
    of_id: str | None = None
    of: str | None = None


def panel_predictions(model: ModelDirectory) -> np.ndarray:
    """Read a model's panel predictions, which are its golden."""
    return read_native_scores(model.verified_panel())


def set_golden(
    artifacts: Artifacts,
    model_id: str,
    source: str | Path | None,
    rules: LockRules,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    of_another: bool = False,
    reason: str = "",
    key: Path | None = None,
) -> GoldenSet:
    """Put a golden of a model in force; it is an event in the audit log.

    Parameters
    ----------
    artifacts : Artifacts
    model_id : str
    source : str or Path, optional
        The id of the model whose panel predictions it becomes; `log` for what the model predicted live; `sha256:` and
        the first digits of an earlier golden; or a table with the column `prediction`. The model's own panel if None.
    rules : LockRules
    since, until : datetime, optional
        With `log`, take what was scored from then on, and before then.
    of_another : bool
        Take predictions that another model made, or that were made another model's golden.
    reason : str, optional
        For people; where the predictions are from, if left out.
    key : Path, optional
        The private key that signs the event.

    Raises
    ------
    RefusedError
        If they are another model's, and that was not asked for.
    InsufficientDataError
        If the log is not whole.
    StatisticsError
        If there is no prediction, or one that is not a finite number.
    """
    digest, own = _verified(artifacts, model_id, panel=source is None or str(source) == model_id)
    found = _Found(words="from its own panel", origin="panel", values=own, of_id=model_id, of=digest)
    if own is None:
        found = _read(artifacts, model_id, digest, str(source), Window(digest=digest, since=since, until=until))
    if not of_another and (found.of != digest if found.of else found.of_id not in (None, model_id)):
        named = f"sha256:{found.of[:DIGITS]}" if found.of else found.of_id
        raise RefusedError(
            f"{source}: predictions of another model, {named}; the golden of {model_id} is for "
            f"sha256:{digest[:DIGITS]}. If you want them all the same, add --of-another-model"
        )
    content, rows = found.content, found.version.rows if found.version else 0
    if found.values is not None:
        content = golden_content(found.values, model_id, digest, days=found.days)
        rows = found.values.size
    words = f"{counted(rows, 'row')} {found.words}"
    reason = reason or (words if found.origin == "log" else found.words)
    event = event_of(GOLDEN_SET, model_id, reason, sha256(content))
    private = load_key(key) if key else None
    # All goldens share one metadata file, and a promotion writes it too.
    with locked(artifacts, rules):
        before = golden_metadata(artifacts.golden).goldens.get(model_id)
        # The event comes first, so that no golden changes unseen, not even through a crash.
        append_signed(artifacts, msgspec.structs.replace(event, time=datetime.now(UTC)), private)
        new = version_of(content, rows, digest=digest, origin=found.origin, of=found.of)
        path = put_golden(artifacts.golden, model_id, content, new)
    replaced = before.in_force if before and before.sha256 != new.sha256 else None
    return GoldenSet(path=path, words=words, before=replaced)


def give_golden(
    artifacts: Artifacts, model_id: str, values: np.ndarray, digest: str, key: "Ed25519PrivateKey | None" = None
) -> None:
    """Make a model's panel predictions its golden; an event, if that replaces another. The caller holds the lock."""
    content = golden_content(values, model_id, digest)
    before = golden_metadata(artifacts.golden).goldens.get(model_id)
    if before and before.sha256 != sha256(content):
        reason = "from its own panel, since it is promoted"
        append_signed(artifacts, event_of(GOLDEN_SET, model_id, reason, sha256(content)), key)
    new = version_of(content, values.size, digest=digest, origin="panel", of=digest)
    put_golden(artifacts.golden, model_id, content, new)


def find_version(artifacts: Artifacts, named: str, *, prefer: str | None = None) -> tuple[str, Version]:
    """Find a golden by `sha256:` and its first digits: the model whose golden it is or was, and the version.

    Raises
    ------
    FormatError
        If there is none of this name, or more than one.
    """
    goldens = golden_metadata(artifacts.golden).goldens
    digits = named.removeprefix(VERSION)
    found = [
        (model_id, each)
        for model_id in sorted(goldens, key=lambda name: name != prefer)
        for each in goldens[model_id].versions
        if re.fullmatch(r"[0-9a-f]+", digits) and each.sha256.startswith(digits)
    ]
    names = dict.fromkeys(each.sha256 for _, each in found)
    if len(names) != 1:
        many = f"{len(names)} goldens ({listed(names, most=3)})" if names else "no golden"
        raise FormatError(f"{named}: {many} of this name, expected one; see: modelgates golden list --json")
    return found[0]


def read_version(artifacts: Artifacts, named: str, model_id: str, version: Version) -> bytes:
    """Read the file of a version.

    Raises
    ------
    FormatError
        If it is gone.
    """
    content = version_content(artifacts.golden, model_id, version)
    if content is None:
        raise FormatError(
            f"{named}: the file of this golden of {model_id} is gone or damaged; gc deletes old ones. Give a copy of "
            f"it: modelgates golden set {model_id} --from FILE"
        )
    return content


def _verified(artifacts: Artifacts, model_id: str, *, panel: bool) -> tuple[str, np.ndarray | None]:
    """Verify a model; its digest, and its panel predictions if they are asked for."""
    with LocalDirectory(artifacts.model(model_id)) as model:
        digest = model.verify(keep={PANEL} if panel else set())
        return digest, panel_predictions(model) if panel else None


def _read(artifacts: Artifacts, model_id: str, digest: str, source: str, window: Window) -> _Found:
    if source == LOG:
        return _in_log(artifacts, model_id, digest, window)
    if source.startswith(VERSION):
        owner, version = find_version(artifacts, source, prefer=model_id)
        content = read_version(artifacts, source, owner, version)
        words = f"from the golden {version.name} of {owner}"
        return _Found(
            words=words, origin=version.origin, version=version, content=content, of_id=owner, of=version.made_for
        )
    if is_id(source):
        other, values = _verified(artifacts, source, panel=True)
        return _Found(words=f"from the panel of {source}", origin="panel", values=values, of_id=source, of=other)
    return _in_file(artifacts, Path(source), digest)


def _in_log(artifacts: Artifacts, model_id: str, digest: str, window: Window) -> _Found:
    values, days, undated, tally = [np.empty(0)], [], 0, Tally()
    for records in count_whole(artifacts, "live", window, tally):
        values.append(values_of([records]))
        if (of_rows := days_of(records)) is None:
            undated += sum(days_of([record]) is None for record in records)
        else:
            days.append(of_rows)
    span = "".join(
        f" {word} {each:%Y-%m-%d %H:%M} UTC"
        for word, each in (("since", window.since), ("until", window.until))
        if each is not None
    )
    if not tally.counted:
        raise StatisticsError(
            f"no prediction of {model_id} in the live log{span}; see: modelgates predictions --model {model_id}"
        )
    dated = None if undated else np.concatenate(days)
    words = f"from the live log{span}, "
    if dated is not None:
        words += f"of {counted(np.unique(dated).size, 'day')}"
    else:
        words += "of no known day"
        if undated < tally.counted:
            words += f", for lack of it in {counted(undated, 'row')}"
    if tally.repeated:
        words += f", {tally.repeated:.1%} of them scored by another process too"
    return _Found(words=words, origin="log", values=np.concatenate(values), days=dated, of_id=model_id, of=digest)


def _in_file(artifacts: Artifacts, source: Path, own: str) -> _Found:
    frame = read_user_table(source, [Column(COLUMN, "float64")])
    values = numeric_column(frame, COLUMN, source=str(source))
    if values.dtype.kind == "b":  # Parquet has truth values of its own
        raise FormatError(f"{source}: {COLUMN} is bool, expected numbers")
    of_id, of = _maker(artifacts, read_bytes(source, limit=MAX_FILE_BYTES))
    if _DIGEST in frame:  # a part of the log, or what was made of one
        said = [str(each) for each in frame[_DIGEST].unique()]
        if bad := next((each for each in said if not re.fullmatch(r"[0-9a-f]{64}", each)), None):
            raise FormatError(
                f"{source}: {_DIGEST} holds {cut(printable(bad))!r}, expected the SHA-256 of a model; "
                "rename the column if it holds something else"
            )
        of = next((each for each in said if each != own), own)
    return _Found(words=f"from {source.name}", origin="hand", values=values, of_id=of_id, of=of)


def _maker(artifacts: Artifacts, content: bytes) -> tuple[str | None, str | None]:
    """Find out whose golden a file is: from what it says, else since it is one that is listed."""
    if said := made_for(content):
        return said
    digest = sha256(content)
    for model_id, golden in golden_metadata(artifacts.golden).goldens.items():
        for each in golden.versions:
            if each.sha256 == digest:
                return model_id, each.made_for
    return None, None
