"""Who acts on the registry and why, as the audit log takes it, and whether the policy lets them."""

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import RefusedError
from ..storage.text import printable

LONGEST_ACTOR, LONGEST_REASON = 200, 10_000
_acting: ContextVar[str | None] = ContextVar("_acting", default=None)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Let what this process does by itself, with nobody who asked for it, be done under a name of its own."""
    before = _acting.set(name)
    try:
        yield
    finally:
        _acting.reset(before)


def actor() -> str:
    """Name who acts: ``$MODELGATES_ACTOR``, else the user. Nothing proves that it is true."""
    name = _named()
    if not name.isprintable() or len(name) > LONGEST_ACTOR:
        raise RefusedError(
            f"the actor {printable(name[:40])}… is not a name; set $MODELGATES_ACTOR to at most {LONGEST_ACTOR} "
            "printable characters in UTF-8"
        )
    return name


def printable_actor() -> str:
    """Name who acts as far as that can be printed, for what must never be refused."""
    return printable(_named())[:LONGEST_ACTOR]


def host() -> str:
    """Name this machine, as text: a kernel takes any bytes for a name."""
    return printable(os.uname().nodename)


def one_line_reason(reason: str, verb: str) -> str:
    """Put a reason on one line that is safe for a terminal and for the log.

    Raises
    ------
    RefusedError
        If there is none, or it is too long.
    """
    line = printable(" ".join(reason.split()))
    if not line:
        raise RefusedError(f'{"an" if verb[0] in "AEIOUaeiou" else "a"} {verb} needs a reason: --reason "…"')
    if len(line) > LONGEST_REASON:
        raise RefusedError(f"a reason of {len(line)} characters, at most {LONGEST_REASON} are logged; say it shorter")
    return line


def why_denied(verb: str, listed: Sequence[str]) -> str | None:
    """Say why the actor may not do something; None if the policy lists nobody, or lists the actor."""
    if listed and actor() not in listed:
        return f"{actor()} may not {verb}; the policy lets {', '.join(listed)}"
    return None


def _named() -> str:
    return _acting.get() or os.environ.get("MODELGATES_ACTOR") or _user()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # in a container the user's number may have no name
        return f"uid {os.getuid()}"
