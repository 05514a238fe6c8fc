"""What may stop a prediction before it is made."""

import os

from ..errors import KilledError

SWITCH = "SERVE_KILL"


def refuse_if_killed() -> None:
    """Raise if the kill switch is on: `SERVE_KILL` is set, and neither empty nor ``0``."""
    value = os.environ.get(SWITCH, "")
    if value not in ("", "0"):
        raise KilledError(f"the kill switch is on ({SWITCH}={value}): nothing is scored; unset it to go on")
