"""Telling a bucket what is live: the files first, then one record, whose put decides between several machines."""

import secrets
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..artifacts import Artifacts
from ..audit.actor import why_denied
from ..audit.chain import EMPTY, Event, Intent, append, lines
from ..audit.events import event_of
from ..audit.head import Head
from ..audit.kinds import FOLLOW
from ..audit.shared import Shared, changes, end_of, name_of, signed_content, without_place
from ..audit.writer import locked
from ..errors import BucketError, IntegrityError, ModelgatesError, RefusedError, RegistryError
from ..evidence.seal import load_key, sign
from ..model.directory import FILES, MANIFEST, LocalDirectory
from ..storage.bucket import Bucket
from ..storage.digests import sha256
from ..storage.lines import LONGEST, drop_torn_line, first, lines_from_start
from ..storage.paths import is_there
from ..storage.regular_files import MAX_FILE_BYTES
from ..storage.strict_json import canonical
from .bucket_log import file_name, new_names, open_bucket, shared_bucket
from .in_force import InForce
from .store import state

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BEHIND = "modelgates pull"
EITHER = 'to tell the bucket: modelgates push; to do as the bucket says: modelgates pull --reason "…"'


@dataclass(frozen=True, slots=True)
class Standing:
    """How this machine stands to what the bucket said last.

    Parameters
    ----------
    head : Head
        The end of the copy of the bucket's log.
    said : Shared or None
        The last change in it.
    agrees : bool
        Whether the model that it names is live here, with the same bytes.
    in_step : bool
        Whether what is live here became so by what the bucket said, or was told.
    """

    head: Head
    said: Shared | None
    agrees: bool
    in_step: bool

    def apart(self, change: Intent | None) -> str:
        """Say how the two differ, where neither follows from the other."""
        here = f"{change.to} is live here since a {change.action} on {change.time:%Y-%m-%d %H:%M}" if change else ""
        there = f"record {self.head.n} of the bucket makes {self.said.change.to} live" if self.said else ""
        return f"{here or 'nothing is live here'}, of which the bucket knows nothing; {there}"


def standing(artifacts: Artifacts, change: Intent | None) -> Standing:
    """Compare the change by which a model is live here with the copy of the bucket's log.

    Raises
    ------
    FormatError
        If the copy or the audit log cannot be read.
    """
    head, said = end_of(artifacts.shared), first(changes(artifacts.shared))
    agrees = bool(said and change and (said[1].change.to, said[1].change.digest) == (change.to, change.digest))
    return Standing(head, said[1] if said else None, agrees, _in_step(artifacts, change))


def _in_step(artifacts: Artifacts, change: Intent | None) -> bool:
    if change is None:
        return True
    heads, own = set[Head](), without_place(change)
    with closing(changes(artifacts.shared)) as found:
        for head, record in found:
            if str(head) == change.shared or record.change == own:
                return True
            heads.add(head)
    digests = {head.digest for head in heads}
    with closing(lines(artifacts.log)) as log:
        for line, _ in log:
            if isinstance(line, Event) and line.kind == FOLLOW and line.evidence in digests:
                return True
            if isinstance(line, Intent) and line.time == change.time:
                break
    return False


@dataclass(slots=True)
class Proposal:
    """A record that is about to be put, by which a change is decided.

    Parameters
    ----------
    artifacts : Artifacts
    bucket : Bucket
    record : Shared
        In its place.
    """

    artifacts: Artifacts
    bucket: Bucket
    record: Shared
    won: bool = False

    @property
    def content(self) -> bytes:
        """What the object holds."""
        return canonical(self.record)

    @property
    def head(self) -> Head:
        """Where the bucket's log ends with it."""
        return Head(self.record.n, sha256(self.content[:-1]))

    def put(self) -> None:
        """Put the record: returns if it is in the bucket, and raises if it is not, or that is unknown.

        Raises
        ------
        RefusedError
            If another machine was faster.
        BucketError
            If the bucket does not have it, or does not say.
        """
        name, to, doubt = name_of(self.record.n), self.record.change.to, None
        try:
            created = self.bucket.put_new(name, self.content)
        except BucketError as error:
            created, doubt = False, error
        if not created:
            self._read_back(name, to, doubt)
        self.won = True
        drop_torn_line(self.artifacts.shared)
        append(self.artifacts.shared, self.record, mode=self.artifacts.file_mode)

    def _read_back(self, name: str, to: str, doubt: BucketError | None) -> None:
        """See who wrote the record: a repeated put may have met the first one, which the bucket took."""
        try:
            there = self.bucket.get(name, limit=LONGEST)
        except BucketError as error:
            raise BucketError(
                f"{doubt or error}; so it is unknown whether the bucket has record {self.record.n}, by which {to} is "
                f"live; nothing changed here; once it answers, find out: {BEHIND}"
            ) from error
        if there == self.content:
            return
        if there is None:
            raise BucketError(
                f"{doubt or f'{self.bucket.url}: refused record {self.record.n}, and holds none'}; nothing changed "
                f"here; should it arrive late, this shows it: {BEHIND}"
            )
        raise RefusedError(
            f"another machine was faster: the bucket has its record {self.record.n}{_whose(there)}; nothing changed "
            f"here; see what is live now: {BEHIND}"
        )


def _whose(line: bytes) -> str:
    from ..audit.shared import placed

    with suppress(ModelgatesError):
        record = placed(line[:-1], "record").record
        if record:
            return f", by which {record.change.to} is live"
    return ""


class Sharing:
    """A registry and the bucket that it shares.

    Parameters
    ----------
    artifacts : Artifacts
    in_force : InForce
    bucket : Bucket
    key : Ed25519PrivateKey or None
        Signs what is put.

    Raises
    ------
    RefusedError
        If the policy lists keys, and there is none: no machine would take the record.
    """

    def __init__(
        self, artifacts: Artifacts, in_force: InForce, bucket: Bucket, key: "Ed25519PrivateKey | None"
    ) -> None:
        if in_force.keys is None:
            raise RefusedError("the policy cannot be read, so nobody can tell who must sign a shared record; repair it")
        if in_force.keys and key is None:
            raise RefusedError(
                "the policy lists keys, so no machine takes a shared record without a signature; give --key FILE"
            )
        self._artifacts, self.bucket, self._key = artifacts, bucket, key

    @classmethod
    def of(cls, artifacts: Artifacts, in_force: InForce, key: "Ed25519PrivateKey | None") -> "Sharing | None":
        """Open the bucket that a registry shares; None if it shares none."""
        bucket = shared_bucket(artifacts, in_force.operations.bucket)
        return cls(artifacts, in_force, bucket, key) if bucket else None

    def upload(self, model_id: str, more: Sequence[bytes] = ()) -> tuple[str, str]:
        """Put the files of a model, and others, where any machine finds them by their SHA-256.

        Returns
        -------
        tuple of str
            The digest of the model, and that of its manifest.

        Raises
        ------
        IntegrityError
            If the model is damaged.
        BucketError
            If the bucket does not answer, or replaces what it has.
        """
        self.bucket.refuse_overwriting()
        for content in more:
            _put_file(self.bucket, content)
        return _put_model(self.bucket, self._artifacts.model(model_id))

    def refuse_behind(self) -> None:
        """Refuse to go on unless this machine has every record of the bucket, and follows the last one.

        Raises
        ------
        RefusedError
            With the command that gets it there.
        BucketError
            If the bucket does not answer, or does not hold what this machine has.
        """
        artifacts, change = self._artifacts, state(self._artifacts).change
        found = self._up_to_date(change)
        if not found.in_step:
            if found.said is None:
                raise RefusedError(
                    f"{change.to if change else 'nothing'} is live here, and the bucket knows nothing of it; tell it "
                    "first: modelgates push"
                )
            raise RefusedError(f"{found.apart(change)}; {EITHER}")
        if found.said and not found.agrees:
            raise RefusedError(
                f"record {found.head.n} of {artifacts.shared.name} makes {found.said.change.to} live, and it is not "
                f"live here yet; first: {BEHIND}"
            )

    def _up_to_date(self, change: Intent | None) -> Standing:
        found = standing(self._artifacts, change)
        if names := new_names(self.bucket, found.head):
            raise RefusedError(
                f"this machine has {found.head.n} records of {self.bucket.url}, which holds {found.head.n + len(names)}"
                f"; first: {BEHIND}"
            )
        return found

    def proposal(self, change: Intent, manifest: str) -> tuple[Intent, Proposal]:
        """Make the record of a change, and let the change name it. The caller holds the lock.

        Raises
        ------
        RegistryError
            If it is too long.
        """
        end = end_of(self._artifacts.shared)
        record = Shared(
            n=end.n + 1,
            prev=end.digest,
            time=change.time,
            change=without_place(change),
            manifest=manifest,
            nonce=secrets.token_hex(16),
        )
        if self._key:
            record = msgspec.structs.replace(record, signature=sign(signed_content(record), self._key))
        found = Proposal(self._artifacts, self.bucket, record)
        if len(found.content) > LONGEST:
            raise RegistryError(
                f"a record of {len(found.content)} bytes, expected at most {LONGEST}: shorten the reason"
            )
        return msgspec.structs.replace(change, shared=str(found.head)), found

    def tell(self, in_force: InForce) -> Head | None:
        """Tell the bucket what is live here, if it does not know: the first model that is shared, or a rollback.

        Returns
        -------
        Head or None
            The end of the bucket's log with it; None if it said so already.

        Raises
        ------
        RefusedError
            If it was promoted here, while the bucket made something else live: that is decided by a promotion.
        BucketError
            If the bucket does not answer, or does not hold what this machine has.
        """
        artifacts = self._artifacts
        live = state(artifacts).live
        if live is None:
            raise RegistryError(f"nothing is live under {artifacts.models}: promote a model first")
        digest, manifest = self.upload(live)
        with locked(artifacts, in_force.operations.registry):
            change = state(artifacts).change
            assert change is not None, "what is live has a change"
            if (change.to, change.digest) != (live, digest):
                raise RegistryError(f"{change.to} went live meanwhile, or {live} was altered; see: modelgates status")
            found = self._up_to_date(change)
            if found.agrees:
                if not found.in_step:
                    so_too = f"record {found.head.n} of the bucket makes {live} live too"
                    append(artifacts.log, event_of(FOLLOW, live, so_too, _digest_of_last(artifacts)))
                return None
            if found.said and found.in_step:
                raise RefusedError(f"record {found.head.n} of the bucket makes {found.said.change.to} live; {BEHIND}")
            if found.said and change.action != "rollback":
                raise RefusedError(
                    f"{found.apart(change)}; only a rollback is told afterwards. To go on: modelgates pull --reason "
                    f'"…", then promote {live} again'
                )
            if found.said is None and (why := why_denied("share a first model", in_force.policy.registry.may_promote)):
                raise RefusedError(why)
            _, proposal = self.proposal(change, manifest)
            proposal.put()
            return proposal.head


def _put_model(bucket: Bucket, directory: Path) -> tuple[str, str]:
    with LocalDirectory(directory) as model:
        for name, entry in model.manifest.files.items():
            if entry.size > MAX_FILE_BYTES:  # only an object that is put by one call is created and never replaced
                raise BucketError(
                    f"{bucket.url}: takes files of at most {MAX_FILE_BYTES} bytes, and {directory.name}/{name} has "
                    f"{entry.size}; pack fewer rows"
                )
        digest = model.verify()
        for name in FILES:
            _put_file(bucket, model.read(name))
        return digest, model.digests[MANIFEST]


def _put_file(bucket: Bucket, content: bytes) -> None:
    name = file_name(sha256(content))
    size = bucket.size(name)
    if size is None and not bucket.put_new(name, content, large=True):
        size = bucket.size(name)
    if size not in (None, len(content)):
        raise BucketError(
            f"{bucket.url}: {name} has {size} bytes, expected {len(content)}: it was altered; delete it there, and try "
            "again"
        )


def _digest_of_last(artifacts: Artifacts) -> str | None:
    found = first(changes(artifacts.shared))
    return found[0].digest if found else None


def push(artifacts: Artifacts, in_force: InForce, *, url: str | None = None, key: Path | None = None) -> Head | None:
    """Tell a bucket what is live here; see `Sharing.tell`."""
    bucket = open_bucket(artifacts, in_force.operations.bucket, url)
    return Sharing(artifacts, in_force, bucket, load_key(key) if key else None).tell(in_force)


def tell_rollback(artifacts: Artifacts, in_force: InForce, *, key: Path | None = None) -> str | None:
    """Tell the bucket of a rollback that took place; say why that was not possible, and never raise for it."""
    try:
        sharing = Sharing.of(artifacts, in_force, load_key(key) if key else None)
        if sharing:
            sharing.tell(in_force)
    except (ModelgatesError, OSError) as error:
        return f"the rollback holds on this machine, and the bucket was not told: {error}; then: modelgates push"
    return None


def restore(artifacts: Artifacts, in_force: InForce, *, url: str | None = None) -> list[str]:
    """Put back every record and file that this machine has and the bucket lost; nothing that it has is replaced.

    Returns
    -------
    list of str
        What was put back.

    Raises
    ------
    BucketError
        If the bucket does not answer, or holds another record in the place of one.
    """
    bucket = open_bucket(artifacts, in_force.operations.bucket, url)
    if not is_there(artifacts.shared) or end_of(artifacts.shared) == EMPTY:
        raise RefusedError(f"{artifacts.shared}: this machine has no record of a bucket; pull first")
    bucket.refuse_overwriting()
    done = list[str]()
    with closing(lines_from_start(artifacts.shared)) as found:
        for number, line in enumerate(found, start=1):
            name, content = name_of(number), line + b"\n"
            if bucket.put_new(name, content):
                done.append(name)
            elif (there := bucket.get(name, limit=LONGEST)) != content:
                what = "is another one" if there is not None else "cannot be written"
                raise BucketError(
                    f"{bucket.url}: {name} {what} than this machine has; look at it, move it away there, and try again"
                )
    with closing(changes(artifacts.shared)) as made:
        for model_id in dict.fromkeys(record.change.to for _, record in made):
            with suppress(IntegrityError):  # one that is not here, or not sound, cannot be put back from here
                _put_model(bucket, artifacts.model(model_id))
    return done
