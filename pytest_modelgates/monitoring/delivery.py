"""Messages on their way out, in a process of its own: whatever a service does, it ends when its time is up.

``python -P -m pytest_modelgates.monitoring.delivery`` reads the messages from stdin and prints what became of each. It
never says an address, which may hold a secret.
"""

import base64
import http.client
import os
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from ..errors import MissingExtraError
from ..extras import extra
from ..storage.text import printable
from .child import answer_of

LONGEST_ANSWER = 2**16  # [byte]
UNKNOWN_URL = "not a URL that Apprise can use; its services: https://github.com/caronc/apprise"
NO_ADDRESS = "its address, with its variables filled in, is not an address of http or https"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What one route is to be told: text for a service, or `alerts` as Alertmanager takes them."""

    route: str
    address: str
    title: str = ""
    text: str = ""
    mood: str = "info"
    alerts: list[dict[str, Any]] | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of a message: `problem` is None if it was taken."""

    route: str
    problem: str | None


def deliver(messages: Sequence[Message], timeout_s: float) -> dict[str, str | None]:
    """Send messages, all at once.

    Parameters
    ----------
    messages : sequence of Message
        One for each route.
    timeout_s : float
        How long that may take [s]; what is not sent by then is given up, with its process.

    Returns
    -------
    dict
        For each route None, or why it did not take its message.
    """
    late = "no answer in time; see [alerts] timeout_s"
    if timeout_s <= 0:
        return {message.route: late for message in messages}
    said, status = answer_of(__name__, msgspec.json.encode(messages), timeout_s)
    if status is not None:
        late = f"the process that sends it ended with {status}"
    results = {message.route: late for message in messages} | _read(said)
    return {route: printable(problem) if problem else None for route, problem in results.items()}


def _read(said: bytes) -> dict[str, str | None]:
    found = {}
    for line in said.splitlines():
        with suppress(msgspec.DecodeError):
            result = msgspec.json.decode(line, type=Result)
            found[result.route] = result.problem
    return found


def send(message: Message) -> str | None:
    """Send one message; say why it was not taken, in words that hold nothing of the address."""
    try:
        return _to_service(message) if message.alerts is None else _to_alertmanager(message)
    except MissingExtraError as error:
        return str(error)
    except Exception as error:  # of any of a hundred services; its text may hold the address
        return f"{type(error).__name__} while it was sent"


def _to_service(message: Message) -> str | None:
    apprise = extra("apprise", "alerts")
    try:
        service = apprise.Apprise.instantiate(message.address)
    except ValueError:  # what 1.9.0 says of a URL that cannot be parsed
        service = None
    if service is None:
        return UNKNOWN_URL
    with apprise.LogCapture(level=apprise.logging.WARNING) as said:
        if service.notify(body=message.text, title=message.title, notify_type=message.mood):
            return None
        status = re.search(r"error=(\d{3})\b", said.getvalue())
        return f"HTTP {status[1]}" if status else "the service cannot be reached, or did not take it"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the POST into a GET, which succeeds and tells nobody anything."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def _to_alertmanager(message: Message) -> str | None:
    headers = {"Content-Type": "application/json"}
    try:
        parts = urlsplit(message.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return NO_ADDRESS
    except ValueError:
        return NO_ADDRESS
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    place, path = parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + "/api/v2/alerts"
    request = urllib.request.Request(
        urlunsplit((parts.scheme, place, path, parts.query, "")),
        data=msgspec.json.encode(message.alerts),
        headers=headers,
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request) as answer:
            answer.read(LONGEST_ANSWER)
        return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except urllib.error.URLError as error:
        why = error.reason
        return (why.strerror if isinstance(why, OSError) else None) or type(why).__name__
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__} while it was sent"


def _main(results: IO[bytes]) -> None:
    messages = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Message])
    turn = threading.Lock()

    def run(message: Message) -> None:
        line = msgspec.json.encode(Result(message.route, send(message))) + b"\n"
        with turn:
            results.write(line)
            results.flush()

    threads = [threading.Thread(target=run, args=[message], daemon=True) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    only = os.fdopen(os.dup(1), "wb")  # what libraries print goes elsewhere
    os.dup2(2, 1)
    _main(only)
    os._exit(0)
