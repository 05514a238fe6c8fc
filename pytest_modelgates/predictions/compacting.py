"""Closed parts of the prediction log as Parquet: the same records, in a fraction of the room."""

import io
import os

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts import Artifacts
from .parts import PARQUET, Part
from .reading import CLOSING, Reading, read_part
from .records import Prediction, encode_predictions

_MOMENT = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("time", _MOMENT),
        ("row_key", pa.string()),
        ("model_id", pa.string()),
        ("digest", pa.string()),
        ("schema_crc32", pa.string()),
        ("prediction", pa.float64()),
        ("latency_ms", pa.float64()),
        ("arm", pa.string()),
        ("error", pa.string()),
        ("row_time", _MOMENT),
        ("request", pa.string()),
        ("features", pa.list_(pa.float64())),
        ("format", pa.int32()),
    ]
)


def compact(artifacts: Artifacts, part: Part) -> str | None:
    """Turn a closed part into Parquet, and delete its lines; return why it is left as it is, if it is.

    Raises
    ------
    OSError
        If it cannot be written; then its lines are still there.
    """
    if part.path.suffix == PARQUET:
        return "Parquet already"
    if any(os.path.realpath(link) == os.path.realpath(part.path) for link in artifacts.newest_parts.values()):
        return "the newest part, which a link leads to"
    reading = Reading()
    records = [record for batch in read_part(part, reading) for record in batch]
    if reading.closing is None:
        return "not closed"
    if reading.bad or reading.altered:
        return reading.altered or reading.notes[0]
    written = part.path.read_bytes()
    # What a later version added, or version 0.1 wrote otherwise, would not be the same again.
    if not written.startswith(encode_predictions(records)):
        return "records of another version, which Parquet would not keep as they are"
    packed = part.path.with_suffix(PARQUET)
    artifacts.write(packed, _parquet(records, reading))
    os.utime(packed, (part.begun.timestamp(), part.begun.timestamp()))
    part.path.unlink()
    return None


def _parquet(records: list[Prediction], reading: Reading) -> bytes:
    content = io.BytesIO()
    rows = [msgspec.structs.asdict(record) for record in records]
    metadata = {CLOSING: msgspec.json.encode(reading.closing)}
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA).replace_schema_metadata(metadata), content)
    return content.getvalue()
