"""A bucket of objects that are created and never replaced. Knows of no model and no log.

Messages name the bucket and what became of the call. The text of the library's own errors is not repeated: it may hold
what signs a request.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, BinaryIO

from ..errors import BucketError, UsageError
from ..extras import extra

SCHEMES = ("s3", "gs", "az", "file")
_URL = re.compile(rf"({'|'.join(SCHEMES)})://[^\s@?#]+")
_STATUS = re.compile(r"non-2xx status code: ([0-9]{3}[A-Za-z ]*)")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_RETRIES = 2


def checked_url(text: str) -> str:
    """Return the address of a bucket, or of a folder in one, without a slash at its end.

    Raises
    ------
    UsageError
        If it is none; it is not repeated, because it may hold a secret.
    """
    if not _URL.fullmatch(text) or ".." in text.split("/"):
        raise UsageError(
            "not the address of a bucket; give one such as s3://models/desk, and credentials in the environment "
            "(AWS_ACCESS_KEY_ID …)"
        )
    return text.rstrip("/")


class Bucket:
    """A bucket, or a folder in one.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/folder``. Credentials and endpoint are taken from the environment.
    timeout_s : float
        For one call about a small object, and again for all repetitions of it [s].
    file_timeout_s : float
        The same for a file [s].
    """

    def __init__(self, url: str, *, timeout_s: float, file_timeout_s: float) -> None:
        self.url, self.timeout_s, self.file_timeout_s = checked_url(url), timeout_s, file_timeout_s
        self._obstore, self._errors = extra("obstore", "s3"), extra("obstore.exceptions", "s3")
        self._small, self._large = (self._opened(seconds) for seconds in (timeout_s, file_timeout_s))

    def _opened(self, seconds: float) -> Any:
        limit = timedelta(seconds=seconds)
        if self.url.startswith("file://"):
            more: dict[str, Any] = {"mkdir": True}
        else:
            plain = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
            connect = timedelta(seconds=min(seconds, self.timeout_s))
            more = {
                "client_options": {"timeout": limit, "connect_timeout": connect, "allow_http": plain},
                "retry_config": {"max_retries": _RETRIES, "retry_timeout": limit},
            }
        with self._named("opening it"):
            return extra("obstore.store", "s3").from_url(self.url, **more)

    @contextmanager
    def _named(self, what: str, seconds: float = 0) -> Iterator[None]:
        """Let through what is an answer, that something is not there, and name what is none."""
        try:
            yield
        except (FileNotFoundError, BucketError):
            raise
        except (self._errors.BaseError, OSError, ValueError) as error:
            raise BucketError(f"{self.url}: {what} failed: {_why(error, seconds)}") from None

    def put_new(self, name: str, content: bytes, *, large: bool = False) -> bool:
        """Create an object; False if one of this name may be there already, which the caller looks at.

        Raises
        ------
        BucketError
            If the bucket did not answer that it has it. It may have it all the same.
        """
        store, seconds = (self._large, self.file_timeout_s) if large else (self._small, self.timeout_s)
        try:
            with self._named(f"writing {name}", seconds):
                try:
                    self._obstore.put(store, name, content, mode="create", use_multipart=False)
                except self._errors.AlreadyExistsError:
                    return False
        except FileNotFoundError:
            raise BucketError(f"{self.url}: writing {name} failed: there is no such bucket") from None
        return True

    def refuse_overwriting(self) -> None:
        """Refuse a server that replaces objects when it was asked to create them.

        Raises
        ------
        BucketError
            If it does, or does not answer.
        """
        asked = "create-only", b"modelgates asks whether this bucket keeps what is there\n"
        if self.put_new(*asked) and self.put_new(*asked):
            raise BucketError(
                f"{self.url}: replaces an object when asked to create it (If-None-Match), so that two promotions could "
                "both win; use a server that keeps it"
            )

    def get(self, name: str, *, limit: int) -> bytes | None:
        """Read a small object; None if there is none.

        Raises
        ------
        BucketError
            If it is longer than `limit` [bytes], or the bucket did not answer with all of it.
        """
        try:
            with self._named(f"reading {name}", self.timeout_s):
                found = self._obstore.get(self._small, name)
                if (size := found.meta["size"]) > limit:
                    raise BucketError(f"{self.url}: {name} has {size} bytes, expected at most {limit}")
                content = bytes(found.bytes())
        except FileNotFoundError:
            return None
        if len(content) != size:
            raise BucketError(f"{self.url}: {name} has {size} bytes, {len(content)} came; try again")
        return content

    def copy_to(self, file: BinaryIO, name: str, *, size: int) -> None:
        """Copy an object of a known size into a file, and not a byte more.

        Raises
        ------
        BucketError
            If it is not there, has another size, or the bucket did not answer with all of it.
        """
        came = 0
        try:
            with self._named(f"reading {name}", self.file_timeout_s):
                found = self._obstore.get(self._large, name)
                if (there := found.meta["size"]) != size:
                    raise BucketError(f"{self.url}: {name} has {there} bytes, expected {size}")
                pieces = found.stream(min_chunk_size=2**20)
        except FileNotFoundError:
            raise BucketError(f"{self.url}: {name} is not there") from None
        while came < size:
            with self._named(f"reading {name}", self.file_timeout_s):
                piece = next(pieces, None)
            if piece is None:
                break
            came += len(piece)
            if came <= size:
                file.write(piece)
        if came != size:
            raise BucketError(f"{self.url}: {name} has {size} bytes, {came} came; try again")

    def size(self, name: str) -> int | None:
        """Say how long an object is [bytes]; None if there is none."""
        try:
            with self._named(f"looking for {name}", self.timeout_s):
                return int(self._obstore.head(self._small, name)["size"])
        except FileNotFoundError:
            return None

    def names(self, folder: str, *, after: str, most: int) -> list[str]:
        """List the objects of a folder whose names come after another's, in order.

        Raises
        ------
        BucketError
            If there are more than `most`, or the bucket did not answer.
        """
        found: list[str] = []
        try:
            with self._named(f"listing {folder}", self.timeout_s):
                for piece in self._obstore.list(self._small, folder, offset=after):
                    found += [each["path"] for each in piece]
                    if len(found) > most:
                        raise BucketError(f"{self.url}: {folder} holds more than {most} objects that are new here")
        except FileNotFoundError:
            return []
        return sorted(found)


def _why(error: Exception, seconds: float) -> str:
    """Say in our words what a call came to."""
    text, kind = str(error), type(error).__name__
    if status := _STATUS.search(text):
        return f"the server answers {status[1].strip()}"
    if "169.254.169.254" in text or "credential" in text.lower():
        return "no credentials were found; set them in the environment (AWS_ACCESS_KEY_ID …)"
    if "error sending request" in text:
        return f"it cannot be reached, or did not answer within {seconds:g} s"
    if "body" in text or "partial response" in text or "decod" in text:
        return "the answer broke off"
    if isinstance(error, OSError):
        return error.strerror or kind
    return f"{kind} of the library obstore"
