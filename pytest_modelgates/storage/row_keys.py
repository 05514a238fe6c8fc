"""Keys of rows, `time|name`, and the one way in which they are spelled."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_BEYOND = re.compile(r"[.,]\d{6}(\d*[1-9])")  # what follows the microseconds, which are all that `datetime` keeps


def canonical(row_key: str) -> str:
    """Spell a key in one way, by which keys are compared: its time in UTC and without a zone, midnight as the date.

    A key that begins with no time is left as it is.
    """
    time, mark, name = row_key.partition("|")
    return f"{_spelled(time)}{mark}{name}"


def all_canonical(row_keys: list[str]) -> list[str]:
    """Spell many keys as `canonical` does; those that are spelled so already cost little."""
    times = {key.partition("|")[0] for key in row_keys}
    return row_keys if all(_spelled(time) == time for time in times) else [canonical(key) for key in row_keys]


@lru_cache(2**12)
def _spelled(time: str) -> str:
    try:
        moment = in_utc(time).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return time
    if beyond := _BEYOND.search(time):
        return moment.isoformat(timespec="microseconds") + beyond[1]
    return moment.isoformat().removesuffix("T00:00:00")


@lru_cache(2**12)  # a log has many rows of one moment
def in_utc(text: str) -> datetime:
    """Read a time of ISO 8601; one that names no zone is in UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
