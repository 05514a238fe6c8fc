"""Following a bucket: take its records and files, check them as if an enemy had written them, and change the link."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..audit.actor import LONGEST_ACTOR, LONGEST_REASON, one_line_reason
from ..audit.chain import EMPTY, Intent, append
from ..audit.events import event_of
from ..audit.head import Head
from ..audit.kinds import FOLLOW, PULL, RECOVER
from ..audit.shared import Shared, changes, end_of
from ..audit.writer import locked
from ..errors import BucketError, FormatError, IntegrityError, ModelgatesError, RefusedError, RegistryError
from ..model.directory import FILES, MANIFEST, MAX_MANIFEST_BYTES, LocalDirectory, verify
from ..model.manifest import Manifest
from ..storage.atomic import make_folder, rename_new, sync_folder
from ..storage.bucket import Bucket
from ..storage.digests import listing_digest, sha256, sha256_of
from ..storage.lines import append_atomic, drop_torn_line, first
from ..storage.paths import is_folder, is_there
from ..storage.regular_files import MAX_FILE_BYTES
from ..storage.strict_json import parse_json, typed
from ..storage.text import first_line, printable
from .bucket_log import News, file_name, open_bucket, read_news, refuse_altered
from .garbage import STAGING
from .golden import give_golden, panel_predictions
from .in_force import InForce
from .sharing import EITHER, standing
from .store import Done, change_live, state


@dataclass(slots=True)
class Pulled:
    """What a pull came to.

    Parameters
    ----------
    records : int
        How many were new.
    head : Head
        The end of the bucket's log.
    live : str or None
        What the bucket says is live; None if it says nothing yet.
    done : Done or None
        The change of the link; None if the model was live already.
    notes : list of str
        What could not be had and is not needed now.
    """

    records: int
    head: Head
    live: str | None = None
    done: Done | None = None
    notes: list[str] = field(default_factory=list)


def prepare_root(artifacts: Artifacts) -> None:
    """Make an artifacts root of nothing, or of an empty folder: a machine that only serves packs no model."""
    if not is_there(artifacts.root) or (is_folder(artifacts.root) and not os.listdir(artifacts.root)):
        make_folder(artifacts.models, mode=artifacts.directory_mode)


def pull(
    artifacts: Artifacts,
    in_force: InForce,
    *,
    url: str | None = None,
    reason: str = "",
    anew: bool = False,
    whole: bool = True,
) -> Pulled:
    """Take what is new in a bucket, and make live here what it says is live.

    Parameters
    ----------
    artifacts : Artifacts
    in_force : InForce
    url : str, optional
        Of the bucket; default: the registry's own.
    reason : str, optional
        Why what this machine did by itself is given up for what the bucket says. Without one, nothing is.
    anew : bool, default False
        Set the copy of the bucket's log aside and begin with what the bucket has; needs a reason.
    whole : bool, default True
        Compare every record that this machine has with the bucket, and not the last one alone.

    Raises
    ------
    BucketError
        If the bucket does not answer, or what it holds is not what it must be. Nothing has changed then.
    RefusedError
        If this machine went another way, and no reason is given. The records are kept, and the link is where it was.
    RegistryError, IntegrityError
        If the model that the bucket says is live is not sound, or another one lies here under its id.
    """
    bucket = open_bucket(artifacts, in_force.operations.bucket, url)
    if anew or reason:
        reason = one_line_reason(reason, "pull --anew" if anew else "pull")
    end = EMPTY if anew else end_of(artifacts.shared)
    if whole and end != EMPTY:
        refuse_altered(artifacts, bucket)
    news = read_news(bucket, end, in_force.policy.evidence.keys)
    last = news.last_change or (None if anew else first(changes(artifacts.shared)))
    if last is None:
        with locked(artifacts, in_force.operations.registry):
            _keep(artifacts, end, news, anew=anew, reason=reason)
        return Pulled(len(news.lines), end_of(artifacts.shared))
    found = Pulled(len(news.lines), news.records[-1].head if news.records else end, live=last[1].change.to)
    before = _before(artifacts, news, last[1], anew=anew)
    with ExitStack() as stack:
        staged = {last[1]: stack.enter_context(_fetched(artifacts, bucket, last[1]))}
        if before:
            staged[before] = _fetched_if_possible(stack, artifacts, bucket, before, found.notes)
        stack.enter_context(locked(artifacts, in_force.operations.registry))
        for record, folder in staged.items():
            if folder:
                _settle_in(artifacts, record, folder, bucket.url, last[0])
        _keep(artifacts, end, news, anew=anew, reason=reason)
        found.done = _follow(artifacts, in_force, *last, reason=reason)
    return found


def _before(artifacts: Artifacts, news: News, last: Shared, *, anew: bool) -> Shared | None:
    """Find the change to the model that a rollback would go to."""
    for each in reversed(news.records):
        if each.record and each.record.change.to != last.change.to:
            return each.record
    if anew:
        return None
    return next((record for _, record in changes(artifacts.shared) if record.change.to != last.change.to), None)


def _keep(artifacts: Artifacts, end: Head, news: News, *, anew: bool, reason: str) -> None:
    """Add records to the copy, of which another process may have added some meanwhile. The caller holds the lock."""
    copy = artifacts.shared
    if anew and is_there(copy):
        digest = sha256_of(copy)
        append(artifacts.log, event_of(RECOVER, copy.name, reason, digest), mode=artifacts.file_mode)
        copy.rename(copy.with_name(f"{copy.name}.{digest[:16]}"))
        sync_folder(copy.parent)
    drop_torn_line(copy)
    if (now := end_of(copy)) != end:
        raise RegistryError(f"{copy}: record {now.n} was added while records after {end.n} were read; try again")
    if news.lines:
        append_atomic(copy, b"".join(line + b"\n" for line in news.lines), durable=True, mode=artifacts.file_mode)


def _follow(artifacts: Artifacts, in_force: InForce, head: Head, said: Shared, *, reason: str) -> Done | None:
    """Make live what the bucket says is live, unless it is, or this machine went another way."""
    now = state(artifacts)
    found = standing(artifacts, now.change)
    if found.agrees:
        if not found.in_step:
            why = reason or f"record {head.n} of the bucket makes {said.change.to} live too"
            append(artifacts.log, event_of(FOLLOW, said.change.to, why, head.digest), mode=artifacts.file_mode)
        return None
    if not found.in_step and not reason:
        raise RefusedError(f"{found.apart(now.change)}; nothing is chosen here. {EITHER[0].upper()}{EITHER[1:]}")
    with LocalDirectory(artifacts.model(said.change.to)) as model:
        if (digest := model.verify()) != said.change.digest:
            raise _another(artifacts, said, digest)
        golden = panel_predictions(model)
    give_golden(artifacts, said.change.to, golden, digest)
    return change_live(artifacts, _as_own(said, in_force, head, now.live, reason))


def _as_own(said: Shared, in_force: InForce, head: Head, live: str | None, reason: str) -> Intent:
    """Write the change as this machine's own: by whom and why it was made, when it came here and under which policy."""
    change = said.change
    why = " ".join(printable(change.reason).split())
    return msgspec.structs.replace(
        change,
        time=datetime.now(UTC),
        actor=printable(change.actor)[:LONGEST_ACTOR],
        host=printable(change.host)[:LONGEST_ACTOR],
        from_=live,
        # Where no key must sign, this is the word of anybody who can write to the bucket.
        sealed_by=change.sealed_by if in_force.keys else None,
        **asdict(in_force.kept),
        reason=(f"{reason}; the bucket: {why}" if reason else why)[:LONGEST_REASON],
        shared=str(head),
    )


def _fetched_if_possible(
    stack: ExitStack, artifacts: Artifacts, bucket: Bucket, record: Shared, notes: list[str]
) -> Path | None:
    """Fetch the model before, for a way back; if that cannot be had, the one that is live counts more."""
    if is_there(artifacts.model(record.change.to)):
        return None
    try:
        return stack.enter_context(_fetched(artifacts, bucket, record))
    except (ModelgatesError, OSError) as error:
        notes.append(f"{record.change.to}, which was live before, could not be had: {first_line(error)}")
        return None


@contextmanager
def _fetched(artifacts: Artifacts, bucket: Bucket, record: Shared) -> Iterator[Path | None]:
    """Copy a model beside the others, and verify it there; None if it lies here already.

    Raises
    ------
    RegistryError
        If another model lies here under its id.
    BucketError
        If it cannot be had, or is not what the record says.
    """
    model_id = record.change.to
    if is_there(artifacts.model(model_id)):
        if (digest := verify(artifacts.model(model_id))) != record.change.digest:
            raise _another(artifacts, record, digest)
        yield None
        return
    stated, manifest = _manifest(bucket, record)
    make_folder(artifacts.models, mode=artifacts.directory_mode)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=artifacts.models))
    try:
        with LocalDirectory(staging):  # gc takes an unlocked one for one that a killed command left
            folder = staging / model_id  # a model directory is verified under its own name
            folder.mkdir()
            for name in manifest.files:
                _copy(artifacts, bucket, manifest, name, folder / name)
            artifacts.write(folder / MANIFEST, stated)
            folder.chmod(artifacts.directory_mode)
            try:
                digest = verify(folder)
            except IntegrityError as error:
                raise BucketError(f"{bucket.url}: what it holds of {model_id} is not sound: {error}") from error
            if digest != record.change.digest:
                raise _another(artifacts, record, digest)
            yield folder
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _manifest(bucket: Bucket, record: Shared) -> tuple[bytes, Manifest]:
    """Read a manifest and see that it is that of the model which the record names, before any other file is read."""
    name, model_id = file_name(record.manifest), record.change.to
    content = bucket.get(name, limit=MAX_MANIFEST_BYTES)
    if content is None:
        raise BucketError(f"{bucket.url}: {name}, the manifest of {model_id}, is not there; put it back: {_RESTORE}")
    if (digest := sha256(content)) != record.manifest:
        raise BucketError(
            f"{bucket.url}: {name} was altered: SHA-256 {digest[:16]}…; delete it there, then: {_RESTORE}"
        )
    try:
        manifest = typed(parse_json(content, name), Manifest, name)
    except FormatError as error:
        raise BucketError(f"{bucket.url}: {error}") from error
    if manifest.id != model_id or set(manifest.files) != set(FILES) - {MANIFEST}:
        raise BucketError(
            f"{bucket.url}: {name} is not the manifest of {model_id}, or lists other files than a model has"
        )
    if too_large := [each for each, entry in manifest.files.items() if entry.size > MAX_FILE_BYTES]:
        raise BucketError(f"{bucket.url}: {name} lists {too_large[0]} with more than {MAX_FILE_BYTES} bytes")
    if listing_digest({each: entry.sha256 for each, entry in manifest.files.items()} | {MANIFEST: digest}) != (
        record.change.digest
    ):
        raise BucketError(f"{bucket.url}: {name} lists other files than the record of {model_id} was made of")
    return content, manifest


_RESTORE = "modelgates push --restore on a machine that has the model"


def _copy(artifacts: Artifacts, bucket: Bucket, manifest: Manifest, name: str, path: Path) -> None:
    entry = manifest.files[name]
    with path.open("xb") as file:
        os.fchmod(file.fileno(), artifacts.file_mode)
        bucket.copy_to(file, file_name(entry.sha256), size=entry.size)
        file.flush()
        os.fsync(file.fileno())
    if (digest := sha256_of(path)) != entry.sha256:
        raise BucketError(
            f"{bucket.url}: {file_name(entry.sha256)}, {name} of {manifest.id}, was altered: SHA-256 {digest[:16]}…; "
            f"delete it there, then: {_RESTORE}"
        )


def _settle_in(artifacts: Artifacts, record: Shared, folder: Path, url: str, head: Head) -> None:
    """Give a model that was fetched its place, and tell the log where it is from. The caller holds the lock."""
    model_id = record.change.to
    append(artifacts.log, event_of(PULL, model_id, f"from {url}", head.digest), mode=artifacts.file_mode)
    sync_folder(folder)
    try:
        rename_new(folder, artifacts.model(model_id))
    except FileExistsError as error:
        raise RegistryError(f"{artifacts.model(model_id)}: was made while it was fetched; try again") from error
    sync_folder(artifacts.models)


def _another(artifacts: Artifacts, record: Shared, digest: str) -> RegistryError:
    return RegistryError(
        f"{record.change.to} is another model here (sha256:{digest[:16]}…) than in the bucket "
        f"({record.change.digest[:16]}…): two machines packed in one second; move {artifacts.model(record.change.to)} "
        "away if it is not live, then: modelgates pull"
    )
