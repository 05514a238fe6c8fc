"""Who acts on the registry, and whether the policy lets them."""

import getpass
import os
from collections.abc import Sequence


def actor() -> str:
    """Name who acts, as far as can be told: ``$MODELGATES_ACTOR``, else the user."""
    return os.environ.get("MODELGATES_ACTOR") or _user()


def may_not(verb: str, listed: Sequence[str]) -> str | None:
    """Say why the actor may not do something; None if nobody is listed, or the actor is."""
    if listed and actor() not in listed:
        return f"{actor()} may not {verb}; the policy lets {', '.join(listed)}"
    return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
