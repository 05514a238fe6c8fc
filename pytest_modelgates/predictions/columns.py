"""Records as columns: a block of lines that this package wrote is read without an object for each of them.

Such lines have their fields in one order, so that the text between two values is the same in all of them. A line for
which that is not so is decoded as any other; what the columns hold is the same.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
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
_AFTER_POINT = len(".123456Z")
_ZEROS = int.from_bytes(b"0" * 8, "little")
ROOM = 4096  # behind a block, into which one looks for what a line would hold [bytes]
_WIDE, _KEY, _REQUEST, _TAIL = 32, 128, 80, 256  # no value or end of a line that is looked for is so long [bytes]
_NUMBER = 24  # hardly any number is so long [bytes]
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
    keys : ndarray of bytes, shape (n,), optional
        The key of each row, if somebody asked for them.
    """

    time: Numbers
    row: NDArray[np.uint64]
    alike: NDArray[np.bool_]
    prediction: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    day: Numbers
    others: int
    records: Mapping[int, Prediction]
    keys: NDArray[Any] | None = None

    @classmethod
    def of(cls, records: Sequence[Prediction], model: str, *, keys: bool = False) -> "Columns":
        """Take the records of a model, perhaps with their keys."""
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
            keys=np.array([record.row_key.encode() for record in own], dtype=object) if keys else None,
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
            **{name: getattr(self, name)[places] for name in _ARRAYS},
            others=self.others,
            records=records,
            keys=None if self.keys is None else self.keys[places],
        )

    def followed_by(self, other: Self) -> Self:
        """Put others behind these."""
        records = dict(self.records) | {len(self) + place: record for place, record in other.records.items()}
        both = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS}
        keys = None if self.keys is None or other.keys is None else np.concatenate([self.keys, other.keys])
        return type(self)(**both, others=self.others + other.others, records=records, keys=keys)


_ARRAYS = [each.name for each in fields(Columns) if each.name not in ("others", "records", "keys")]


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
    return _number(record.row_time.date()) if record.row_time else day_of(record.row_key)


def day_of(row_key: str) -> int:
    """Give the UTC date that a row is of by its key [days since 1970]; `UNDATED` if that begins with no time."""
    try:
        return _number(time_of(row_key).date())
    except StatisticsError:
        return UNDATED


def _number(day: date) -> int:
    return (day - _EPOCH.date()).days


def days_of_keys(keys: Iterable[str]) -> Numbers:
    """Give the UTC dates that rows are of by their keys, as `day_of` does; most have the time of another."""
    times = [key.partition("|")[0] for key in keys]
    days = {time: day_of(time) for time in set(times)}
    return np.array([days[time] for time in times], dtype=np.int64)


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
    for place in range(_whole_words(sizes.max(initial=0)) // 8):
        total += _mixed(words[:, place] * np.uint64(0x9E3779B97F4A7C15 * (2 * place + 1) % 2**64))
    return _mixed(total)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Let every bit change half of all others: the end of MurmurHash3 (A. Appleby, 2011)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        words = words ^ (words >> np.uint64(33))
        words *= np.uint64(factor)
    return words ^ (words >> np.uint64(33))


def columns_of(block: bytes | bytearray, model: str, *, size: int | None = None, keys: bool = False) -> Columns | None:
    """Read whole lines; None if one of them is not a record, or most are written otherwise.

    Parameters
    ----------
    block : bytes or bytearray
        Lines, the last of which ends with a newline.
    model : str
        The digest of the model whose records are taken.
    size : int, optional
        Only so many bytes of the block are lines, and at least `ROOM` follow, whatever these are.
    keys : bool, default False
        Whether to take the rows' keys, too.
    """
    if size is None:
        block, size = block + bytes(ROOM), len(block)
    written = _written(block, size)
    if written is None:
        return None
    ends = _newlines(block, size)
    if ends is None:
        return None
    starts = np.append(0, ends[:-1] + 1)
    try:
        regular, found = _regular(block, written, starts, ends)
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
    if not keys:
        found = replace(found, keys=None)
    if odd.size:
        own = [place for place, record in zip(odd.tolist(), records, strict=True) if record.digest == model]
        order = np.argsort(np.concatenate([places, np.array(own, dtype=np.intp)]))
        found = found.followed_by(Columns.of(records, model, keys=keys)).taken(order)
    return found


def _written(block: bytes | bytearray, size: int) -> _Writing | None:
    """Say how the first line that is a plain record is written."""
    begin = 0
    for _ in range(_TRIED):
        end = block.find(b"\n", begin, size) + 1
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
            return _Writing(digest, model, day, request, before + last) if len(model) < ROOM // 2 else None
        begin = end
    return None


def _newlines(block: bytes | bytearray, size: int) -> Places | None:
    """Say where lines end; None if two do within eight bytes, in which there is no record."""
    found = np.empty(-(-size // 8) * 8, dtype=bool)
    found[size:] = False
    np.equal(np.frombuffer(block, dtype=np.uint8, count=size), ord("\n"), out=found[:size])
    words = found.view("<u8")
    places = np.flatnonzero(words != 0)  # of truth values, of which most are false, eight are looked at at once
    before = words[places] - 1  # all bits below the one that is set
    return None if (words[places] & before).any() else 8 * places + np.bitwise_count(before) // 8


def _regular(
    block: bytes | bytearray, written: _Writing, starts: Places, ends: Places
) -> tuple[NDArray[np.bool_], Columns | None]:
    """Read the lines that are written alike, and say which are; None if a value of one is none.

    A value is what lies between two texts that are the same in all lines. These stand one after the other from the
    beginning of a line to its end, so that nothing else is in it. What follows the score is read once where lines have
    it from the line before, as those of a batch do.
    """
    time = starts + len(_FIRST)
    text = np.frombuffer(block, dtype=np.uint8)
    moment_size = _moment_size(text[time + _MOMENT - 1], "Z")
    key = time + moment_size + len(_ROW_KEY)
    head = _FIRST + bytes(moment_size) + _ROW_KEY
    heads = _texts(block, starts, _whole_words(len(head))).view("<u8")
    regular = _are(heads, head)
    for width in (_WIDE, _KEY):
        keys = _texts(block, key, width)
        key_size = _until(keys, '"')
        if key_size.all():
            break
    within = _within(key_size, width)
    regular &= (key_size > 0) & _plain(keys, within)
    keys *= within
    score = key + key_size + len(written.model)
    regular &= _stands(block, score - len(written.model), written.model)
    for width in (_NUMBER, _WIDE):
        scores = _texts(block, score, width)
        score_size = _until(scores, ",")
        if score_size.all():
            break
    tail = score + score_size
    regular &= (score_size > 0) & (tail < ends) & (ends <= tail + _TAIL)
    if not regular.all():
        keys, heads, key_size, scores, score_size, tail, ends = (
            each[regular] for each in (keys, heads, key_size, scores, score_size, tail, ends)
        )
    if not tail.size:
        return regular, None
    # Behind a shorter end is the next line, which mostly begins as they all do; a newline is nowhere else.
    new = _changes(_texts(block, tail, _whole_words((ends - tail).max() + 1)).view(np.uint64))
    alike, latencies, days = _tails(block, written, tail[new], ends[new])
    of_tail = np.cumsum(new) - 1
    if not alike.all():
        own = alike[of_tail]
        regular[regular] = own
        keys, heads, key_size, scores, score_size, of_tail = (
            each[own] for each in (keys, heads, key_size, scores, score_size, (np.cumsum(alike) - 1)[of_tail])
        )
    if latencies is None or days is None or not keys.size:
        return regular, None
    times, predictions = _moments_of(heads[:, 1:], moment_size), _numbers_of(scores, score_size)
    if times is None or predictions is None:
        return regular, None
    return regular, Columns(
        time=times,
        row=_hashed(keys, key_size),
        alike=_by_content(keys),
        prediction=predictions,
        latency_ms=latencies[of_tail],
        day=days[of_tail] // _DAY_US if written.day else _days_in(keys),
        others=0,
        records={},
        keys=keys.view(f"S{keys.shape[1]}").ravel(),
    )


def _tails(
    block: bytes | bytearray, written: _Writing, starts: Places, ends: Places
) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None, Numbers | None]:
    """Read what follows the score from its end backwards: which are written alike, and the values of these."""
    end = ends - len(written.end)
    alike = _stands(block, end, written.end)
    if written.request:
        size = _until(_texts(block, end - _REQUEST, _REQUEST)[:, ::-1], '"')
        end = end - size
        alike &= _plain(_texts(block, end, _REQUEST), _within(size, _REQUEST))
        end = end - len(written.request)
        alike &= _stands(block, end, written.request)
    day, day_size = end, 0
    if written.day:
        day_size = _moment_size(np.frombuffer(block, dtype=np.uint8)[end - _AFTER_POINT], ".")
        day = end - day_size
        end = day - len(written.day)
        alike &= _stands(block, end, written.day)
    latency = starts + len(_LATENCY)
    alike &= _stands(block, starts, _LATENCY)
    alike &= (latency < end) & (end < latency + _WIDE)
    if not alike.any():
        return alike, None, None
    latency, end, day = latency[alike], end[alike], day[alike]
    days = _moments_of(_texts(block, day - 1, _WIDE).view("<u8"), day_size) if written.day else day
    return alike, _numbers_of(_texts(block, latency, _WIDE), end - latency), days


def _texts(block: bytes | bytearray, starts: Places, width: int) -> Bytes:
    """Take so many bytes from each of these places on; shape (n, width)."""
    windows = np.ndarray((len(block) - width + 1,), f"V{width}", block, strides=(1,))
    return windows[starts].view(np.uint8).reshape(starts.size, width)


def _stands(block: bytes | bytearray, starts: Places, wanted: bytes) -> NDArray[np.bool_]:
    """Say at which places a text stands."""
    whole = len(wanted) // 8 * 8  # and what is left of it in the next word
    stands = _are(_texts(block, starts + whole, 8).view("<u8"), wanted[whole:])
    if whole:
        same = _texts(block, starts, whole).view("<u8") == np.frombuffer(wanted[:whole], dtype="<u8")
        stands &= True if same.all() else same.all(axis=1)
    return stands


def _are(words: NDArray[np.uint64], wanted: bytes) -> NDArray[np.bool_]:
    """Say which rows of words begin with a text, of which zeros stand for anything."""
    text = np.frombuffer(wanted.ljust(8 * words.shape[1], b"\0"), dtype=np.uint8)
    mask = np.where(text, np.uint8(255), np.uint8(0)).view("<u8")
    found = np.ones(len(words), dtype=bool)
    for place in np.flatnonzero(mask):
        found &= words[:, place] & mask[place] == text.view("<u8")[place]
    return found


def _until(texts: Bytes, mark: str) -> Places:
    """Say how many bytes stand before the first of a mark; 0 if there is none."""
    return np.asarray(np.argmax(texts == ord(mark), axis=1))


def _within(sizes: Places, width: int) -> Bytes:
    """Give a one for each byte of texts of these sizes, at most `width`, and zeros after them."""
    return _triangle(width).take(sizes, axis=0)


@lru_cache(maxsize=64)
def _triangle(width: int) -> Bytes:
    return np.tri(width + 1, width, -1, dtype=np.uint8)


def _plain(texts: Bytes, within: Bytes) -> NDArray[np.bool_] | bool:
    """Say which texts are of ASCII, with nothing escaped and no control character."""
    odd = texts - np.uint8(ord(" ")) > ord("~") - ord(" ")
    odd |= texts == ord("\\")
    odd &= within.view(bool)
    return np.asarray(~odd.any(axis=1)) if odd.any() else True


def _changes(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Say which rows of words are not the same as the one before."""
    new = np.zeros(len(words), dtype=bool)
    new[0] = True
    new[1 + np.flatnonzero(words[1:] != words[:-1]) // words.shape[1]] = True
    return new


def _moment_size(marks: Bytes, mark: str) -> int:
    """Say how long most moments are, of which those with six digits of a second have a mark at some place."""
    return _MOMENT if 2 * np.count_nonzero(marks == ord(mark)) > marks.size else _SHORT


def _moments_of(words: NDArray[np.uint64], size: int) -> Numbers | None:
    """Read moments of one length [us since 1970], each behind one byte; most are of the minute of the one before."""
    if not _are(words, b"\0" * (1 + _MINUTE) + (b":\0\0.\0\0\0\0\0\0Z" if size == _MOMENT else b":\0\0Z")).all():
        return None
    new = _changes(np.stack([words[:, 0], words[:, 1], words[:, 2] << 56], axis=1))
    minutes = np.ascontiguousarray(words[new]).view(np.uint8)[:, 1 : 1 + _MINUTE]
    found = _moments.decode(b"[" + b",".join(b'"%b:00Z"' % each.tobytes() for each in minutes) + b"]")
    digits = words[:, 2] >> 16 & 0xFFFF  # of the second, and the six behind the point, in a word
    digits |= words[:, 2] >> 40 << 16 | words[:, 3] << 40 if size == _MOMENT else _ZEROS >> 16 << 16
    digits -= _ZEROS
    # A byte that was below 0 or above 9 has one of its upper bits set now, or once 6 is added.
    odd = digits | digits + 0x0606060606060606
    if len(found) != len(minutes) or (odd & 0xF0F0F0F0F0F0F0F0).any() or (digits & 0xF > 5).any():
        return None
    # In pairs, in fours and all eight: D. Lemire, Quickly parsing eight digits, 2018.
    digits = digits * 10 + (digits >> 8) & 0x00FF00FF00FF00FF
    digits = digits * 100 + (digits >> 16) & 0x0000FFFF0000FFFF
    digits = digits * 10_000 + (digits >> 32) & 0xFFFFFFFF
    begun = np.array([microseconds(moment) for moment in found], dtype=np.int64)
    return np.asarray(begun[np.cumsum(new) - 1] + digits.astype(np.int64))


def _numbers_of(texts: Bytes, sizes: Places) -> NDArray[np.float64] | None:
    """Read numbers, of so many bytes, as the decoder of records does; None if one of them is none."""
    within = _within(sizes, texts.shape[1])
    texts = texts * within
    texts += (within ^ 1) * np.uint8(ord(" "))
    texts[:, -1] = ord(",")
    texts[-1, -1] = ord("]")
    found = _numbers.decode(b"[" + texts.tobytes())
    return np.fromiter(found, np.float64, len(texts)) if len(found) == len(texts) else None


def _days_in(keys: Bytes) -> Numbers:
    """Take the days that keys begin with."""
    return days_of_keys(map(bytes.decode, keys.view(f"S{keys.shape[1]}").ravel().tolist()))


def _by_content(keys: Bytes) -> NDArray[np.bool_]:
    """Say which keys name nothing but what the row holds."""
    mark, found = CONTENT.encode(), np.zeros(len(keys), dtype=bool)
    if (keys == mark[-1]).any() and mark in keys.tobytes():  # to look for one byte takes a tenth of the time
        found[:] = [key.tobytes().rpartition(b"|")[2].startswith(mark) for key in keys]
    return found
