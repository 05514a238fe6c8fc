"""Records as columns: a block of lines that this package wrote is read without an object for each of them.

Such lines have their fields in one order, so that the text between two values is the same in all of them. A line for
which that is not so is decoded as any other; what the columns hold is the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import StatisticsError
from ..storage.strict_json import Moment
from .records import CONTENT, NOT_A_RECORD, Prediction, time_of

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Places = NDArray[Any]

UNDATED = int(np.iinfo(np.int64).min)
_EPOCH, _DAY_US = datetime(1970, 1, 1, tzinfo=UTC), 86_400_000_000
_MOMENT = len("2026-01-31T12:34:56.123456Z")  # the point and six digits are left out where they are 0
_MINUTE, _SHORT = len("2026-01-31T12:34"), len("2026-01-31T12:34:56Z")
_DIGITS = [1, 2, 4, 5, 6, 7, 8, 9]  # of what follows the minute
_OF_DIGITS = 10.0 ** np.arange(7, -1, -1)  # [us]; floats are exact here
_NUMBER, _KEY, _REQUEST = 26, 128, 80  # the longest values that are looked for [bytes]
_TRIED = 20  # lines that are tried for how all are written
_FIRST, _ROW_KEY, _LATENCY = b'{"time":"', b'","row_key":"', b',"latency_ms":'
_WRITTEN = re.compile(
    rb'\{"time":"[^"]*","row_key":"[^"]*'
    rb'(?P<model>","model_id":"[^"]*","digest":"[^"]*","schema_crc32":"[^"]*","prediction":)[-+.0-9eE]+'
    rb',"latency_ms":[-+.0-9eE]+(?P<arm>,"arm":"[^"]*")'
    rb'(?:(?P<day>,"row_time":")[^"]*")?(?:(?P<request>,"request":")[^"]*")?(?P<end>(?:,"format":2)?\})\n'
)
_decoder = msgspec.json.Decoder(Prediction)
_numbers = msgspec.json.Decoder(list[float])
_moments = msgspec.json.Decoder(list[Moment])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Columns:
    """Records of one model, in the order in which they stand.

    Parameters
    ----------
    time : ndarray of int64, shape (n,)
        When each row was scored [us since 1970].
    row : ndarray of uint64, shape (n,)
        The number of its key, as `row_numbers` gives it.
    alike : ndarray of bool, shape (n,)
        Whether nothing names the row but what it holds.
    prediction, latency_ms : ndarray of float64, shape (n,)
        NaN for a row that could not be scored; the time of its batch [ms].
    day : ndarray of int64, shape (n,)
        The UTC date that the row is of [days since 1970]; `UNDATED` if that is not known.
    others : int
        Records of other models that stand between them.
    records : mapping of int to Prediction
        Those that say more than the columns do, by their places: of rows that failed, or whose features were kept.
    """

    time: Numbers
    row: NDArray[np.uint64]
    alike: NDArray[np.bool_]
    prediction: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    day: Numbers
    others: int
    records: Mapping[int, Prediction]

    @classmethod
    def of(cls, records: Sequence[Prediction], model: str) -> "Columns":
        """Take the records of a model."""
        own = [record for record in records if record.digest == model]
        return cls(
            time=np.array([microseconds(record.time) for record in own], dtype=np.int64),
            row=row_numbers([record.row_key for record in own]),
            alike=np.array([record.goes_by_content for record in own], dtype=bool),
            prediction=np.array([record.prediction for record in own], dtype=np.float64),
            latency_ms=np.array([record.latency_ms for record in own], dtype=np.float64),
            day=np.array([_day(record) for record in own], dtype=np.int64),
            others=len(records) - len(own),
            records={
                place: record
                for place, record in enumerate(own)
                if record.prediction is None or record.features is not None
            },
        )

    def __len__(self) -> int:
        """How many there are."""
        return self.time.size

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which rows could not be scored."""
        return np.isnan(self.prediction)

    def taken(self, places: NDArray[np.intp]) -> Self:
        """Take some, in this order."""
        now = np.full(len(self), -1)
        now[places] = np.arange(places.size)
        records = {int(now[place]): record for place, record in self.records.items() if now[place] >= 0}
        return type(self)(
            **{name: getattr(self, name)[places] for name in _ARRAYS}, others=self.others, records=records
        )

    def followed_by(self, other: Self) -> Self:
        """Put others behind these."""
        records = dict(self.records) | {len(self) + place: record for place, record in other.records.items()}
        both = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS}
        return type(self)(**both, others=self.others + other.others, records=records)


_ARRAYS = [each.name for each in fields(Columns) if each.name not in ("others", "records")]


class _Writing(NamedTuple):
    """What is the same in all lines: before the prediction, before the time of the row, before the request, at the end.

    `day` and `request` are None where lines have none.
    """

    digest: str
    model: bytes
    day: bytes | None
    request: bytes | None
    end: bytes


def microseconds(time: datetime) -> int:
    """Give a moment as a whole number [us since 1970]."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Give the moment that such a number stands for."""
    return _EPOCH + timedelta(microseconds=us)


def _day(record: Prediction) -> int:
    return _number(record.row_time.date()) if record.row_time else _day_in(record.row_key)


def _day_in(row_key: str) -> int:
    try:
        return _number(time_of(row_key).date())
    except StatisticsError:
        return UNDATED


def _number(day: date) -> int:
    return (day - _EPOCH.date()).days


def row_numbers(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Give each row a number of 64 bits, by its key: the same wherever and whenever it is asked for."""
    encoded = [key.encode() for key in keys]
    sizes = np.array([len(key) for key in encoded], dtype=np.int64)
    found, short = np.empty(len(keys), dtype=np.uint64), sizes <= _KEY
    if short.any():
        texts = np.array([key for key in encoded if len(key) <= _KEY], dtype=f"S{_whole_words(sizes[short].max())}")
        found[short] = _hashed(texts.view(np.uint8).reshape(texts.size, -1), sizes[short])
    for place in np.flatnonzero(~short):
        key = encoded[place]
        text = np.frombuffer(key.ljust(_whole_words(len(key)), b"\0"), dtype=np.uint8)
        found[place] = _hashed(text[None], sizes[[place]])[0]
    return found


def _whole_words(size: int) -> int:
    return max(8, -(-int(size) // 8) * 8)


def _hashed(texts: Bytes, sizes: Numbers) -> NDArray[np.uint64]:
    """Hash texts that zeros follow: what a column of eight bytes adds depends on all of them, and zeros add nothing."""
    words = np.ascontiguousarray(texts).view("<u8")
    total = sizes.astype(np.uint64)
    for place in range(words.shape[1]):
        total += _mixed(words[:, place] * np.uint64(0x9E3779B97F4A7C15 * (2 * place + 1) % 2**64))
    return _mixed(total)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Let every bit change half of all others: the end of MurmurHash3 (A. Appleby, 2011)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        words = words ^ (words >> np.uint64(33))
        words *= np.uint64(factor)
    return words ^ (words >> np.uint64(33))


def columns_of(block: bytes, model: str) -> Columns | None:
    """Read whole lines; None if one of them is not a record, or most are written otherwise.

    Parameters
    ----------
    block : bytes
        Ends with a newline.
    model : str
        The digest of the model whose records are taken.
    """
    written = _written(block)
    if written is None:
        return None
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    starts = np.append(0, ends[:-1] + 1)
    try:
        regular, found = _regular(block + bytes(2 * _KEY), written, starts, ends)
        odd = np.flatnonzero(~regular)
        if found is None or 2 * odd.size > ends.size:
            return None
        records = _decoder.decode_lines(b"".join(block[starts[place] : ends[place] + 1] for place in odd))
    except NOT_A_RECORD:
        return None
    if len(records) != odd.size:  # blank lines are read over
        return None
    places = np.flatnonzero(regular)
    if written.digest != model:
        found, places = replace(found.taken(places[:0]), others=len(found)), places[:0]
    if odd.size:
        own = [place for place, record in zip(odd.tolist(), records, strict=True) if record.digest == model]
        order = np.argsort(np.concatenate([places, np.array(own, dtype=np.intp)]))
        found = found.followed_by(Columns.of(records, model)).taken(order)
    return found


def _written(block: bytes) -> _Writing | None:
    """Say how the first line that is a plain record is written."""
    begin = 0
    for _ in range(_TRIED):
        end = block.find(b"\n", begin) + 1
        if not end:
            return None
        if found := _WRITTEN.fullmatch(block, begin, end):
            try:
                digest = _decoder.decode(block[begin:end]).digest
            except NOT_A_RECORD:
                return None
            model, before, day, request, last = found.groups()
            if day:
                day, before = before + day, b'"'
            if request:
                request, before = before + request, b'"'
            return _Writing(digest, model, day, request, before + last)
        begin = end
    return None


def _regular(block: bytes, written: _Writing, starts: Places, ends: Places) -> tuple[NDArray[np.bool_], Columns | None]:
    """Read the lines that are written alike, and say which are; None if a value of one is none.

    The block ends in zeros, so that what is looked for in a line that is written otherwise is not beyond it.

    A value is what lies between two texts that are the same in all lines. These stand one after the other from the
    beginning of a line to its end, so that nothing else is in it.
    """
    text, regular = np.frombuffer(block, dtype=np.uint8), np.ones(starts.size, dtype=bool)
    # From the end of the line backwards.
    end = ends - len(written.end)
    regular &= _stands(block, end, written.end)
    if written.request:
        size = _before(block, end, _REQUEST, '"')
        regular &= _values(block, end - size, size)[1]
        end = end - size - len(written.request)
        regular &= _stands(block, end, written.request)
    day_long, day = text[end - 8] == ord("."), end
    if written.day:
        day = end - np.where(day_long, _MOMENT, _SHORT)
        end = day - len(written.day)
        regular &= _stands(block, end, written.day)
    latency_size = _before(block, end, _NUMBER, ":")
    latency = end - latency_size
    end = latency - len(_LATENCY)
    regular &= _stands(block, end, _LATENCY)
    score_size = _before(block, end, _NUMBER, ":")
    score = end - score_size
    end = score - len(written.model)
    regular &= _stands(block, end, written.model)
    # From its beginning.
    regular &= _stands(block, starts, _FIRST)
    time = starts + len(_FIRST)
    time_long = text[time + _MOMENT - 1] == ord("Z")
    key = time + np.where(time_long, _MOMENT, _SHORT) + len(_ROW_KEY)
    regular &= _stands(block, key - len(_ROW_KEY), _ROW_KEY)
    size = end - key
    regular &= (size >= 0) & (size < _KEY)
    keys, plain = _values(block, key, np.clip(size, 0, _KEY - 1))
    regular &= plain
    if not regular.all():
        keys, time_long, day_long = keys[regular], time_long[regular], day_long[regular]
        time, size, day = time[regular], size[regular], day[regular]
        score, score_size, latency, latency_size = (
            each[regular] for each in (score, score_size, latency, latency_size)
        )
    if not time.size:
        return regular, None
    times = _moments_of(block, time, time_long)
    days = _moments_of(block, day, day_long) if written.day else _days_in(keys)
    scores = _numbers_of(block, score, score_size)
    # Rows of one batch have one latency.
    new = _changes(_texts(block, latency, _whole_words(_NUMBER)))
    latencies = _numbers_of(block, latency[new], latency_size[new])
    if times is None or days is None or scores is None or latencies is None:
        return regular, None
    return regular, Columns(
        time=times,
        row=_hashed(keys, size),
        alike=_by_content(keys),
        prediction=scores,
        latency_ms=latencies[np.cumsum(new) - 1],
        day=days // _DAY_US if written.day else days,
        others=0,
        records={},
    )


def _texts(block: bytes, starts: Places, width: int) -> Bytes:
    """Take so many bytes from each of these places on; shape (n, width)."""
    windows = np.ndarray((len(block) - width + 1,), f"V{width}", block, strides=(1,))
    return windows[starts].view(np.uint8).reshape(starts.size, width)


def _stands(block: bytes, starts: Places, wanted: bytes) -> NDArray[np.bool_] | bool:
    """Say at which places a text stands."""
    same = _texts(block, starts, len(wanted)) == np.frombuffer(wanted, dtype=np.uint8)
    return True if same.all() else np.asarray(same.all(axis=1))


def _before(block: bytes, ends: Places, width: int, mark: str) -> Places:
    """Say how many bytes stand between the last of a mark and these places; 0 if it is not near."""
    found = _texts(block, ends - width, width)[:, ::-1] == ord(mark)
    return np.asarray(np.argmax(found, axis=1))


def _values(block: bytes, starts: Places, sizes: Places) -> tuple[Bytes, NDArray[np.bool_]]:
    """Take texts of these sizes, zeros after them; and say which are plain: of ASCII, nothing escaped, no quotes."""
    texts = _texts(block, starts, _whole_words(sizes.max() + 1))
    within = np.arange(texts.shape[1]) < sizes[:, None]
    odd = texts - np.uint8(ord(" ")) > ord("~") - ord(" ")
    odd |= texts == ord('"')
    odd |= texts == ord("\\")
    odd &= within
    texts *= within
    return texts, np.asarray(~odd.any(axis=1))


def _changes(texts: Bytes) -> NDArray[np.bool_]:
    """Say which texts, of whole words, are not the same as the one before."""
    words = texts.view(np.uint64)
    new = np.ones(len(words), dtype=bool)
    np.not_equal(words[1:, 0], words[:-1, 0], out=new[1:])
    for place in range(1, words.shape[1]):
        new[1:] |= words[1:, place] != words[:-1, place]
    return new


def _moments_of(block: bytes, starts: Places, long: NDArray[np.bool_]) -> Numbers | None:
    """Read moments of two lengths [us since 1970], of which most are of the same minute as the one before."""
    minutes = _texts(block, starts, _MINUTE)
    new = _changes(minutes)
    found = _moments.decode(b"[" + b",".join(b'"%b:00Z"' % each.tobytes() for each in minutes[new]) + b"]")
    tails = _texts(block, starts + _MINUTE, _MOMENT - _MINUTE)
    digits = tails[:, _DIGITS] - np.uint8(ord("0"))
    if not long.any():
        digits[:, 2:] = 0
    elif not long.all():
        digits *= long[:, None] | (np.arange(digits.shape[1]) < 2)
    if (
        len(found) != np.count_nonzero(new)
        or (tails[:, 0] != ord(":")).any()
        or (tails[:, 3] != np.where(long, ord("."), ord("Z"))).any()
        or (tails[:, -1] != ord("Z"))[long].any()
        or (digits > 9).any()
        or (digits[:, 0] > 5).any()
    ):
        return None
    begun = np.array([microseconds(moment) for moment in found], dtype=np.int64)
    return np.asarray(begun[np.cumsum(new) - 1] + (digits.astype(np.float64) @ _OF_DIGITS).astype(np.int64))


def _numbers_of(block: bytes, starts: Places, sizes: Places) -> NDArray[np.float64] | None:
    """Read numbers as the decoder of records does; None if one of them is none."""
    texts = np.empty((starts.size, _NUMBER + 1), dtype=np.uint8)
    texts[:, :-1] = _texts(block, starts, _NUMBER)
    texts[np.arange(_NUMBER + 1) >= sizes[:, None]] = ord(" ")
    texts[:, -1] = ord(",")
    texts[-1, -1] = ord("]")
    found = _numbers.decode(b"[" + texts.tobytes())
    return np.array(found) if len(found) == starts.size else None


def _days_in(keys: Bytes) -> Numbers:
    """Take the days that keys begin with."""
    times = [key.partition(b"|")[0] for key in keys.view(f"S{keys.shape[1]}").ravel().tolist()]
    days = {time: _day_in(time.decode()) for time in set(times)}
    return np.array([days[time] for time in times], dtype=np.int64)


def _by_content(keys: Bytes) -> NDArray[np.bool_]:
    """Say which keys name nothing but what the row holds."""
    mark, found = CONTENT.encode(), np.zeros(len(keys), dtype=bool)
    if mark in keys.tobytes():
        found[:] = [key.tobytes().rpartition(b"|")[2].startswith(mark) for key in keys]
    return found
