"""What is sent back over HTTP, and to whom. It knows no server."""

import logging
from typing import NamedTuple, Protocol

import msgspec

from ..errors import KilledError, ModelgatesError, RequestError

JSON, BINARY = b"application/json", b"application/octet-stream"
_BODY_UNREAD = {404, 405, 413, 415}
_log = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    """What is sent back: status, body, and headers but for the length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", JSON),)


class Caller(Protocol):
    """Who waits for a reply: since when, as `time.perf_counter` has it, and whether nobody waits any more."""

    @property
    def begin(self) -> float: ...  # noqa: D102 - above

    @property
    def disconnected(self) -> bool: ...  # noqa: D102 - above

    def give(self, reply: Reply) -> None:
        """Take the reply."""


def why_unanswered(error: KilledError | OSError) -> str:
    """Say why no request is answered now."""
    if isinstance(error, OSError):
        return f"the prediction log cannot be written ({error.strerror}); nothing is given away"
    return str(error)


def refusal(error: Exception, of: str) -> Reply:
    """Say why a request, for a path or of a kind, is not answered."""
    match error:
        case RequestError():
            return _refused(error.status, str(error))
        case KilledError() | OSError():
            return _refused(503, why_unanswered(error))
        case ModelgatesError():
            return _refused(503, f"nothing is given away: {error}")
    _log.error("%s", of, exc_info=error)
    return _refused(500, f"the server failed ({type(error).__name__}); its own log says where")


def _refused(status: int, why: str) -> Reply:
    content = (b"content-type", JSON)
    # What was not read of the body would be taken for the next request.
    headers = (content, (b"connection", b"close")) if status in _BODY_UNREAD else (content,)
    return Reply(status, encode({"error": why}), headers)
