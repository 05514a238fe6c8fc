"""A bucket's log, held against the copy that this machine has: what is new there, and what does not fit."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from ..artifacts import Artifacts
from ..audit.chain import EMPTY
from ..audit.head import Head
from ..audit.shared import FOLDER, Placed, Shared, name_of, placed, signed_content
from ..errors import BucketError, FormatError, RefusedError
from ..evidence.seal import signer
from ..policy.operations import BucketRules
from ..storage.bucket import Bucket, checked_url
from ..storage.digests import sha256
from ..storage.lines import LONGEST, lines_from_start
from ..storage.paths import is_there

FILES = "files"
MOST_NEW, MOST_BYTES = 100_000, 2**28
WAYS_ON = (
    "to put back what this machine has: modelgates push --restore; to begin with what the bucket has: modelgates pull "
    '--anew --reason "…"'
)


@dataclass(frozen=True, slots=True)
class News:
    """Records that follow on the copy of this machine, as lines and read."""

    lines: tuple[bytes, ...] = ()
    records: tuple[Placed, ...] = ()

    @property
    def last_change(self) -> tuple[Head, Shared] | None:
        """The last change among them."""
        return next(((each.head, each.record) for each in reversed(self.records) if each.record), None)


def file_name(digest: str) -> str:
    """Name the object that holds a file."""
    return f"{FILES}/{digest}"


def open_bucket(artifacts: Artifacts, rules: BucketRules, asked: str | None = None) -> Bucket:
    """Open the bucket that a registry shares, or the one that is asked for.

    Raises
    ------
    RefusedError
        If none is named, or another one is asked for than the registry's own.
    """
    named = checked_url(rules.url) if rules.url else None
    if asked and named and checked_url(asked) != named:
        raise RefusedError(
            f"this registry shares {named}, as its operations.toml says under [bucket]; change it there, or leave the "
            "address out"
        )
    url = asked or named
    if not url:
        raise RefusedError(
            "which bucket? Give its address, such as s3://models/desk, or set url under [bucket] in operations.toml"
        )
    return Bucket(url, timeout_s=rules.timeout_s, file_timeout_s=rules.file_timeout_s)


def shared_bucket(artifacts: Artifacts, rules: BucketRules) -> Bucket | None:
    """Open the bucket by which promotions of this registry are decided; None if it shares none.

    Raises
    ------
    RefusedError
        If it shared one, and operations.toml names none now: a promotion that nobody else hears of would fork it.
    """
    if rules.url:
        return open_bucket(artifacts, rules)
    if is_there(artifacts.shared):
        raise RefusedError(
            f"{artifacts.shared} shows that this registry shares a bucket, and operations.toml names none; set url "
            "under [bucket], or, to share none any more, move that file away"
        )
    return None


def new_names(bucket: Bucket, end: Head) -> list[str]:
    """List the records that follow on the copy, which must end as the bucket says.

    Raises
    ------
    BucketError
        If the bucket does not answer, or lost or altered the record at the copy's end, or holds something else.
    """
    if end != EMPTY:
        refuse_other(bucket, end)
    names = bucket.names(FOLDER, after=name_of(end.n), most=MOST_NEW)
    for number, name in enumerate(names, start=end.n + 1):
        if name != name_of(number):
            odd = f"record {number} is missing" if name > name_of(number) else "something lies there that is no record"
            raise BucketError(f"{bucket.url}: {odd}, and {name!r} is there; see: modelgates push --restore")
    return names


def refuse_other(bucket: Bucket, known: Head) -> None:
    """Refuse a bucket that does not hold a record that this machine has; raises `BucketError`."""
    found = bucket.get(name_of(known.n), limit=LONGEST)
    if found is None:
        raise BucketError(
            f"{bucket.url}: record {known.n}, which this machine has, is not there: the bucket lost it, or is an older "
            f"copy; {WAYS_ON}"
        )
    if (digest := sha256(found[:-1])) != known.digest:
        raise BucketError(
            f"{bucket.url}: record {known.n} is not the one that this machine has (sha256:{digest[:16]}…, expected "
            f"{str(known.digest)[:16]}…): it was altered, or belongs to another registry; {WAYS_ON}"
        )


def refuse_altered(artifacts: Artifacts, bucket: Bucket) -> None:
    """Compare every record that this machine has with the bucket; raises `BucketError`."""
    with closing(lines_from_start(artifacts.shared)) as found:
        for number, line in enumerate(found, start=1):
            refuse_other(bucket, Head(number, sha256(line)))


def read_news(bucket: Bucket, end: Head, keys: Sequence[str]) -> News:
    """Read and check what follows on the copy of this machine.

    Parameters
    ----------
    bucket : Bucket
    end : Head
        Of the copy.
    keys : sequence of str
        Public keys that the policy lists. If there are any, one must have signed the last change, and so all before it.

    Raises
    ------
    BucketError
        As for `new_names`, or if a record is none, does not follow on the one before, or is not signed as it must be.
    """
    lines, found, size = list[bytes](), list[Placed](), 0
    for name in new_names(bucket, end):
        content = bucket.get(name, limit=LONGEST)
        if content is None:
            raise BucketError(f"{bucket.url}: {name} is listed and not there; try again")
        if content[-1:] != b"\n":
            raise BucketError(f"{bucket.url}: {name}: not as it was written, it has no end of line")
        line = content[:-1]
        try:
            each = placed(line, name)
        except FormatError as error:
            raise BucketError(f"{bucket.url}: {error}; somebody who can write there altered it") from error
        if (each.head.n, each.prev) != (end.n + 1, end.digest):
            raise BucketError(
                f"{bucket.url}: {name} does not follow on record {end.n}: one of the two was altered; see what another "
                f"machine has; {WAYS_ON}"
            )
        if (size := size + len(content)) > MOST_BYTES:
            raise BucketError(f"{bucket.url}: {FOLDER} holds more than {MOST_BYTES} bytes that are new here")
        lines.append(line)
        found.append(each)
        end = each.head
    news = News(tuple(lines), tuple(found))
    if news.last_change and keys:
        refuse_unsigned(bucket, *news.last_change, keys)
    return news


def refuse_unsigned(bucket: Bucket, head: Head, record: Shared, keys: Sequence[str]) -> None:
    """Refuse a change that none of the listed keys signed; raises `BucketError`."""
    if record.signature is None:
        raise BucketError(f"{bucket.url}: record {head.n} is not signed, and the policy lists keys that must sign")
    if signer(signed_content(record), record.signature, keys) is None:
        raise BucketError(
            f"{bucket.url}: record {head.n} is signed by none of the {len(keys)} keys that the policy lists"
        )
