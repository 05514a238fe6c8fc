"""Records of predictions: one JSON line for each row that was scored, or could not be."""

import hashlib
import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated

import msgspec

from ..artifacts import ARM
from ..errors import FormatError, StatisticsError
from ..model.sidecar import Crc32
from ..storage.digests import Sha256
from ..storage.row_keys import canonical, in_utc
from ..storage.strict_json import Moment
from ..storage.text import printable

FORMAT = 2
NOT_A_RECORD = (msgspec.DecodeError, UnicodeDecodeError)
# A row key without a time, or without a name of what the row is about, ends in this word and a digest of the features.
CONTENT = "content:"
Arm = Annotated[str, msgspec.Meta(pattern=ARM)]


def is_arm(name: str) -> bool:
    """Whether a name can name an arm."""
    return re.match(ARM, name) is not None


def checked_arm(name: str) -> str:
    """Return `name` if it can name an arm.

    Raises
    ------
    FormatError
        If it cannot, because it names a folder.
    """
    if not is_arm(name):
        raise FormatError(f"{printable(name)!r} is not an arm: expected a name such as live, shadow or blue-2")
    return name


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One record of the prediction log. Fields that a later version adds are read over.

    Parameters
    ----------
    time : datetime
        When the row was scored.
    row_key : str
        What the row is about: its time and its asset, or a digest of its features.
    model_id, digest, schema_crc32 : str
        The model.
    prediction : float or None
    latency_ms : float
        Of the batch that the row was scored in [ms].
    arm : str
        Which of the models that are run beside each other this is: `live`, `shadow` or another name.
    error : str, optional
        Why there is no prediction.
    row_time : datetime, optional
        Which moment the row itself is of; one without a zone is in UTC.
    request : str, optional
        The request, or the place in a feed, that brought the row.
    features : list of float or None, optional
        What was scored, as the model got it, in the sidecar's order; None for one that is missing.
    format : int
        1 in a record of version 0.1, which has no `row_time`.
    """

    time: Moment
    row_key: str
    model_id: str
    digest: Sha256
    schema_crc32: Crc32
    prediction: float | None
    latency_ms: float
    arm: Arm
    error: str | None = None
    row_time: Moment | None = None
    request: str | None = None
    features: list[float | None] | None = None
    format: int = 1

    @property
    def goes_by_content(self) -> bool:
        """Whether nothing names the row but what it holds, so that an equal one may be another."""
        return self.row_key.rpartition("|")[2].startswith(CONTENT)

    @property
    def nameless(self) -> bool:
        """Whether the row names neither a time nor an asset, as a request may that gives features alone."""
        if not self.goes_by_content:
            return False
        try:
            return not self.day
        except StatisticsError:
            return True

    @property
    def day(self) -> date:
        """The UTC date that the row is of.

        Raises
        ------
        StatisticsError
            If the record has no time of its row, and its key does not begin with one of ISO 8601.
        """
        return (self.row_time or time_of(self.row_key)).date()


def encode_predictions(records: Iterable[Prediction]) -> bytes:
    """Encode records as JSON lines."""
    return msgspec.json.Encoder().encode_lines(list(records))


def hashed(row_key: str) -> str:
    """Hide a row key from those who read the log, though not from those who guess it; keys of one row stay equal."""
    key = canonical(row_key)
    named, mark, content = key.rpartition(CONTENT)
    digest = hashlib.blake2b((named if mark else key).encode(), digest_size=16).hexdigest()
    return f"hashed:{digest}|{mark}{content}" if mark else f"hashed:{digest}"


def time_of(row_key: str) -> datetime:
    """Take the row's time out of its key, in UTC; one that names no zone is in UTC.

    Raises
    ------
    StatisticsError
        If the key does not begin with a time of ISO 8601.
    """
    try:
        return in_utc(row_key.partition("|")[0])
    except (ValueError, OverflowError) as error:
        raise StatisticsError(
            f"row {row_key!r} begins with no time of ISO 8601, so its day is unknown; write times as 2024-01-31 or "
            "2024-01-31T16:00Z, and serve and shadow again"
        ) from error
