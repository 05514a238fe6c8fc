"""Where in a feed the rows of the log came from, newest first: what a restart must know, read from the log's end."""

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

import msgspec

from ..artifacts import Artifacts
from ..errors import FormatError
from ..storage.lines import lines_from_end
from ..storage.paths import is_file
from ..storage.text import first_line
from .parts import PARQUET, parts
from .records import NOT_A_RECORD, Arm

_ROWS = 1000


class _Brought(msgspec.Struct):
    """The one field of a record that says where its row came from."""

    request: str | None = None


_decode = msgspec.json.Decoder(_Brought).decode


def places_by_part(
    artifacts: Artifacts, arm: Arm, stream: str, *, since: date | None = None
) -> Generator[Iterator[str], None, None]:
    """Go through the parts of an arm, newest first, and in each through the places of a stream, newest first.

    Parameters
    ----------
    artifacts : Artifacts
    arm : str
    stream : str
        Its name, after which a colon and the place follow in the field `request`.
    since : date, optional
        Parts that were begun before this day are left out.

    Yields
    ------
    iterator of str
        One a part. A line that is not a record is read over.

    Raises
    ------
    FormatError
        If a part in Parquet is damaged.
    """
    for part in reversed(parts(artifacts, arm, since=since)):
        with closing(_places(part.path, f"{stream}:")) as found:
            yield found


def _places(path: Path, before: str) -> Generator[str, None, None]:
    # It may have become Parquet since the parts were listed.
    packed = path.with_suffix(PARQUET)
    requests = _of_parquet(packed) if is_file(packed) else _of_lines(path, before)
    with closing(requests):
        for request in requests:
            if request and request.startswith(before):
                yield request.removeprefix(before)


def _of_lines(path: Path, before: str) -> Generator[str | None, None, None]:
    with suppress(FormatError):  # the log ends there for other readers, too
        for line in lines_from_end(path, holding=msgspec.json.encode(before)[:-1]):
            with suppress(*NOT_A_RECORD):
                yield _decode(line).request


def _of_parquet(path: Path) -> Generator[str | None, None, None]:
    import pyarrow as pa  # here, since most parts are lines, and it takes long to load
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for group in reversed(range(file.num_row_groups)):
                batches = list(file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=["request"]))
                for batch in reversed(batches):
                    yield from reversed(batch.column("request").to_pylist())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise FormatError(
            f"{path}: not what compact made of a part ({first_line(error)}); put it back, since it says which rows "
            "are in the log"
        ) from error
