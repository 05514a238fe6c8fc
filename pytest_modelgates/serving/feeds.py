"""Rows from a feed, at least once: pulled, scored, logged, acknowledged, in this order; what comes again is dropped.

Knows no broker and no kind of file: what brings the messages is behind `Feed`.
"""

import base64
import fcntl
import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Protocol

import msgspec

from ..artifacts import Artifacts
from ..audit.ab import ARM as AB
from ..errors import FormatError
from ..model.sidecar import Sidecar
from ..predictions.places import places_by_part
from ..predictions.records import Arm, Prediction
from ..storage.atomic import close_quietly, make_folder
from ..storage.lines import append_atomic
from .seen import Seen, sequence_of
from .sources import Batch, Message

_MOST = 256  # rows of a batch
_WAIT_S = 0.5  # until the kill switch is looked at again while nothing comes
_MOST_FORGOTTEN = 2**16  # messages that were acknowledged, and are brought again after a crash of the broker
_AGAIN_S = 1.0  # until what failed is tried again
LIVE = "live"


class Write(Protocol):
    """Logs a batch; after an error it may be called again, and logs no row twice."""

    def __call__(self, first: Callable[[], None] = ..., /) -> None:
        """Do `first` once it is known which records are logged, before any of them is; and once more if they change."""


Reader = Callable[[Sequence[Message], Sidecar], Batch]


class Feed(Protocol):
    """What brings messages. Each method but `close` may raise ConnectionError; the feed is then opened again."""

    @property
    def name(self) -> str:
        """Of the stream, known once it is open; one that was made anew has another."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether messages come in order and once, and the log alone knows the place, as for a file."""
        ...

    @property
    def floor(self) -> int | None:
        """Up to which number nothing comes again, as the broker said when it was opened."""
        ...

    @property
    def since(self) -> date | None:
        """Before which day no record of the stream can be in the log."""
        ...

    @property
    def lag(self) -> int | None:
        """How much waits behind what was fetched last, in `unit`."""
        ...

    @property
    def unit(self) -> str:
        """What `lag` counts: messages or bytes."""
        ...

    def open(self) -> None:
        """Connect."""

    def seek(self, *places: str) -> str | None:
        """Go on after the first of these places that is there, if nobody but the log knows it, and return it."""
        ...

    def fetch(self, most: int, wait_s: float) -> Sequence[Message]:
        """Take what is there, at most so many messages; wait for the first one for at most so long [s]."""
        ...

    def commit(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages: they are in the log."""

    def close(self) -> None:
        """Disconnect; what was acknowledged is so for good."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that could not be scored, as it came, and why; `base64` in place of `row` if it is not UTF-8."""

    time: datetime
    request: str
    error: str
    row: str | None = None
    base64: str | None = None


class Watched(Protocol):
    """Who starts a feed: is asked whether it goes on, and told how."""

    def ended(self, wait_s: float = 0.0) -> bool:
        """Whether to end; waits for that for at most so long [s]."""
        ...

    def moved(self) -> bool:
        """Whether to end between two batches, because another model goes on."""
        ...

    def trouble(self, why: str | None) -> None:
        """Take note that something keeps rows from going on and is tried again; None once they do."""

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        """Take note of a batch that was logged and acknowledged: its rows, those without a score, those dropped."""


class Pull:
    """One feed that fills the log of one arm.

    Parameters
    ----------
    feed : Feed
    artifacts : Artifacts
    arm : str
    watched : Watched

    Raises
    ------
    FormatError
        If another process does the same.
    ConnectionError
        If the feed cannot be opened.
    """

    def __init__(self, feed: Feed, artifacts: Artifacts, arm: Arm, watched: Watched) -> None:
        self._feed, self._artifacts, self._arm, self._watched = feed, artifacts, arm, watched
        self._seen = Seen()
        self._dealt = set[str]()
        self._lock: int | None = None
        self._in_trouble = self._lost = False
        self._dead = 0

    def __enter__(self) -> "Pull":
        """Open the feed where the log ends."""
        try:
            self._feed.open()
            self._alone()
            self._go_on()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self._feed.close()
        if self._lock is not None:
            close_quietly(self._lock)

    def batches(self, read: Reader, sidecar: Sidecar, refuse: Callable[[], None]) -> Iterator[Batch]:
        """Pull batches until it is stopped; the next one only after this one was logged, then it is acknowledged.

        Parameters
        ----------
        read : callable
            Makes rows of messages.
        sidecar : Sidecar
        refuse : callable
            Raises if nothing may be pulled.

        Yields
        ------
        Batch
            Without messages that are in the log.
        """
        while not self._watched.ended() and not self._watched.moved():
            refuse()
            messages = self._fetched()
            new = self._new(messages)
            self._dead = 0
            if new:
                yield read(new, sidecar)
            self._commit(messages)
            self._watched.went_on(self._feed, len(new), self._dead, len(messages) - len(new))

    def log(self, batch: Batch, records: Sequence[Prediction], write: Write) -> None:
        """Log a batch and keep its dead letters; while that cannot be done it waits, and nothing is pulled.

        Raises
        ------
        OSError
            If it is stopped meanwhile.
        """
        # The letters first: a row in the log would not be pulled again.
        buried = set[str]()
        self._patiently(lambda: write(lambda: self._bury(batch, records, buried)))
        self._dead = sum(record.error is not None for record in records)
        for message in batch.messages:
            if message.sequence is not None:
                self._seen.add(message.sequence)

    def _alone(self) -> None:
        folder = self._artifacts.predictions / self._arm
        make_folder(folder, mode=self._artifacts.directory_mode)
        path = folder / f".feed-{zlib.crc32(self._feed.name.encode()):08x}"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._artifacts.file_mode)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FormatError(
                f"{self._feed.name}: another process logs it as {self._arm} already; stop that one first, or its rows "
                "would be logged twice"
            ) from None

    def _go_on(self) -> None:
        """Read from the log which messages it has, as far back as any can come again."""
        self._seen = Seen()  # a stream that was made anew has the same numbers again
        feed, after = self._feed, list[str]()
        if feed.ordered:
            after = self._ends()
        else:
            for place in self._back_to(math.inf if feed.floor is None else feed.floor, self._arm):
                after = [place]
                self._add(place)
        # A broker that forgot the place brings some of them again, and they are dropped.
        there = feed.seek(*after) if after else None
        # The place in another file says nothing about which rows of this one come again.
        self._dealt = self._also_logged(there)

    def _ends(self) -> list[str]:
        """Find the places up to which parts of the log have an ordered stream, the furthest first.

        By a clock that was set back the newest part is not the last one; before it, the stream had got less far.
        """
        ends = list[str]()
        for places in places_by_part(self._artifacts, self._arm, self._feed.name, since=self._feed.since):
            if (end := next(places, None)) is not None:
                ends.append(end)
                if len(ends) > 1 and _number(end) < _number(ends[-2]):
                    break
        return sorted(ends, key=_number, reverse=True)

    def _also_logged(self, after: str | None) -> set[str]:
        """Read which messages an A/B test dealt to its candidate, of those after a place, or of all.

        Of a batch the candidate's rows are logged first, so that the live arm's place is the one to go on from.
        """
        feed, found = self._feed, set[str]()
        if self._arm != LIVE:
            return found
        bound = _number(after) if feed.ordered or feed.floor is None else feed.floor
        for place in self._back_to(bound, AB):
            if not feed.ordered:
                self._add(place)
            elif _number(place) > bound:
                found.add(f"{feed.name}:{place}")
        return found

    def _back_to(self, bound: float, arm: Arm) -> Iterator[str]:
        """Go through the places in an arm's log, newest first, until no older part has one above a number.

        If the broker does not say up to where nothing comes again, there are many of them, too: the numbers may have
        no order, and after a crash it may have forgotten what was acknowledged to several processes.
        """
        feed, count = self._feed, 0
        enough = 0 if feed.ordered or feed.floor is not None else _MOST_FORGOTTEN
        for places in places_by_part(self._artifacts, arm, feed.name, since=feed.since):
            before, above = count, False
            for place in places:
                count += 1
                above = above or _number(place) > bound
                yield place
            if before < count and count >= enough and not above:  # a part without any place is another writer's
                return

    def _add(self, place: str) -> None:
        number = sequence_of(place)
        if number is not None:
            self._seen.add(number)

    def _fetched(self) -> Sequence[Message]:
        try:
            if self._lost:
                self._feed.open()
                self._go_on()
            found = self._feed.fetch(_MOST, _WAIT_S)
        except ConnectionError as error:
            self._lose(error)
            return []
        self._lost = False
        self._say(None)
        return found

    def _commit(self, messages: Sequence[Message]) -> None:
        try:
            if messages:
                self._feed.commit(messages)
        except ConnectionError as error:
            self._lose(error)

    def _lose(self, error: ConnectionError) -> None:
        self._lost = True
        self._say(error.strerror or str(error))
        self._feed.close()
        self._watched.ended(_AGAIN_S)

    def _new(self, messages: Sequence[Message]) -> list[Message]:
        """Leave out what is in the log, and what comes twice at once."""
        found, numbers = list[Message](), set[int]()
        for message in messages:
            if message.request in self._dealt:
                continue
            if message.sequence is not None:
                if message.sequence in self._seen or message.sequence in numbers:
                    continue
                numbers.add(message.sequence)
            found.append(message)
        return found

    def _bury(self, batch: Batch, records: Sequence[Prediction], buried: set[str]) -> None:
        """Keep the dead letters of a batch, but for those that are kept already."""
        content_of = {message.request: message.content for message in batch.messages}
        letters = [
            _letter(record, content_of[record.request])
            for record in records
            if record.error is not None and record.request is not None and record.request not in buried
        ]
        if letters:
            place, content = self._artifacts.dead_letters(self._arm), msgspec.json.Encoder().encode_lines(letters)
            append_atomic(place, content, mode=self._artifacts.file_mode)
            buried.update(letter.request for letter in letters)

    def _patiently(self, step: Callable[[], None]) -> None:
        while True:
            try:
                step()
            except OSError as error:
                self._say(f"the log cannot be written ({error}); nothing is pulled until it can")
                if self._watched.ended(_AGAIN_S):
                    raise
            else:
                self._say(None)
                return

    def _say(self, why: str | None) -> None:
        """Tell of the first trouble, and when it is over."""
        if (why is not None) != self._in_trouble:
            self._in_trouble = why is not None
            self._watched.trouble(why)


def _number(place: str | None) -> int:
    """Read the number by which places are in order; -1 if there is none."""
    if place is None:
        return -1
    sequence = sequence_of(place)
    if sequence is not None:
        return sequence
    end = place.partition(":")[0]
    return int(end) if end.isascii() and end.isdecimal() else -1


def _letter(record: Prediction, content: bytes) -> DeadLetter:
    assert record.request is not None
    assert record.error is not None
    letter = DeadLetter(time=datetime.now(UTC), request=record.request, error=record.error)
    with suppress(UnicodeDecodeError):
        return msgspec.structs.replace(letter, row=content.decode())
    return msgspec.structs.replace(letter, base64=base64.b64encode(content).decode())
