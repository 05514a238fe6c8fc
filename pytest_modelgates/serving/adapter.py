"""The serving adapter: loads the bytes that it verified, scores rows batch by batch, logs every one of them."""

import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts, refuse_linked_models
from ..audit.kill import kill
from ..audit.kinds import TRIP
from ..audit.writer import settle
from ..errors import FormatError, GoneError, ModelgatesError
from ..model.directory import MODEL, PARITY, LocalDirectory
from ..model.session import OnnxModel, Scores, Tensor
from ..model.sidecar import FirstRows, ParityClaim
from ..predictions.parts import PartWriter
from ..predictions.records import FORMAT, Arm, Prediction, hashed
from ..storage.atomic import make_folder
from ..storage.digested_file import DigestedFile
from ..storage.paths import is_file, is_there
from ..storage.tables import Rejected
from ..storage.text import cut
from ..storage.threads import ahead
from .feeds import Feed, Pull, Reader, Watched, Write
from .guards import KillSwitch, TripLimits, Trips
from .running import Announced
from .scorer import SCHEMA, Rows, Scorer
from .sources import Batch, Message, read_csv, read_json_lines, read_messages

if TYPE_CHECKING:
    from .dealing import Dealer

_LONGEST_KEY = 2000  # characters: a reader of the log takes no line of more than 2**20 bytes
Log = Callable[[Batch, list[Prediction], Write], None]
_latency_ms = attrgetter("latency_ms")
ANY_ROW = "*"  # in place of a key, where a record is about a whole file or a row that has none


def _open_model(onnx_path: Path) -> LocalDirectory:
    """Open the model directory that a path leads to; follow the path again if the directory was just deleted."""
    refuse_linked_models(onnx_path)
    while True:
        path = Path(os.path.realpath(onnx_path))
        if path.name != MODEL and is_file(path):
            raise FormatError(f"{onnx_path}: not the {MODEL} of a model directory; pack the model first")
        try:
            if path.name != MODEL:
                raise GoneError(path)
            return LocalDirectory(path.parent)
        except GoneError:
            if Path(os.path.realpath(onnx_path)) == path:
                raise FormatError(
                    f"{onnx_path}: no model there; give artifacts/models/<id>/{MODEL}, or artifacts/models/latest.onnx "
                    "once a model is live"
                ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How predictions are logged, and what stops them; `operations.toml` explains each under its section."""

    part_mb: float = 16.0
    features: float = 0.0
    hash_keys: bool = False
    lock_timeout_s: float = 60.0
    network_file_system: bool = False
    reorder: bool = False
    trips: TripLimits = field(default_factory=TripLimits)


class Adapter:
    """One verified model and the log that its predictions go to.

    Parameters
    ----------
    onnx_path : Path
        A model's ONNX file, or a link to it such as `latest.onnx`; followed once, here.
    arm : str
        `live`, `shadow`, or the name of another model that is run beside them.
    artifacts : Artifacts, optional
        Below which the predictions are logged; the model's own if left out.
    settings : callable, optional
        How the log of an artifacts root is kept and what stops an arm, such as `settings.settings_of`, which reads its
        operations.toml.

    Raises
    ------
    IntegrityError, FormatError, OnnxError
        If the model directory is not sound.

    Notes
    -----
    With a `dealer` it takes part in A/B tests: some of the rows are scored by another model, and logged as its arm.
    """

    def __init__(
        self,
        onnx_path: Path,
        *,
        arm: Arm,
        artifacts: Artifacts | None = None,
        settings: Callable[[Artifacts], Settings] = lambda _: Settings(),
    ) -> None:
        # The directory stays open, so that garbage collection leaves it alone.
        self._files = _open_model(onnx_path)
        self.digest = self._files.verify(keep={MODEL, PARITY})
        self.model_id = self._files.model_id
        self.sidecar = self._files.sidecar
        self._scorer = Scorer(OnnxModel(self._files.verified(MODEL), self.sidecar), self.sidecar)
        root = Artifacts.of(self._files.directory)
        self._rules = settings(root)
        self._artifacts = artifacts or root
        # From now on a root that is not there keeps the kill switch from being looked at.
        make_folder(self._artifacts.root, mode=self._artifacts.directory_mode)
        self._log = PartWriter(self._artifacts, arm, self._rules, part_bytes=self._rules.part_mb * 1e6)
        self.switch = KillSwitch(artifacts or root.named_by(onnx_path), self._log.arm)
        self._trips = Trips(self._rules.trips)
        self._announced: Announced | None = None
        self.dealer: Dealer | None = None

    def __enter__(self) -> "Adapter":
        """Give the adapter itself; a drill of the kill switch finds it from now on."""
        self._announced = Announced(self._artifacts, self._log.arm).__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        try:
            self.close()
        finally:
            if self._announced:
                self._announced.__exit__(kind, error, at)

    @property
    def tensors(self) -> list[Tensor]:
        """What the model takes."""
        return self._scorer.tensors

    def first_rows(self) -> FirstRows:
        """Read the first rows of the model's panel, as packing kept them; an earlier version kept none."""
        return self._files.json(PARITY, ParityClaim).first

    def panel_file(self) -> DigestedFile:
        """Open the model's panel, as the manifest lists it."""
        return self._files.verified_panel()

    def tried(self, matrix: NDArray[np.generic]) -> Scores:
        """Score rows that are not live ones, and log none; NaN where there is no score."""
        return self._scorer.score(matrix).scores

    @property
    def artifacts(self) -> Artifacts:
        """Below which the predictions are logged."""
        return self._artifacts

    @property
    def arm(self) -> Arm:
        """The arm that its predictions are logged under."""
        return self._log.arm

    @property
    def reorder(self) -> bool:
        """Whether a CSV file may have its columns in another order than the model's."""
        return self._rules.reorder

    @property
    def log(self) -> Path:
        """Where the predictions go: the link to the newest part of the log, or the folder of an arm without one."""
        return self._log.place

    @property
    def dead_letters(self) -> Path:
        """Where the rows of feeds go that could not be scored."""
        return self._artifacts.dead_letters(self.arm)

    def close(self) -> None:
        """Close the part of the log that is open, and let the model directory go."""
        if self.dealer:
            self.dealer.close()
        self._files.close()
        self._log.close()

    def run_csv(self, path: Path, *, batch_size: int = 1024) -> Iterator[Prediction]:
        """Score a CSV file, and log every line of it in order; one that is not a row gets a record that says why.

        Rows are read while others are scored. A file that cannot be read leaves a record that says why.

        Yields
        ------
        Prediction
            After it was logged.
        """
        self.switch.refuse()
        if not is_there(path):
            raise FormatError(f"{path}: no such file")
        yield from self._run(self._of_file(path, batch_size))

    def _of_file(self, path: Path, batch_size: int) -> Iterator[Batch]:
        try:
            for rows in ahead(read_csv(path, self.sidecar, reorder=self.reorder)):
                yield from rows.batches(batch_size)
        except FormatError as error:
            self._write([self._failed(ANY_ROW, f"{SCHEMA}{error}")])
            raise

    def run_json_lines(self, descriptor: int) -> Iterator[Prediction]:
        """Score a JSON object a line, as they come, and log every line in order, as `run_csv` does.

        Parameters
        ----------
        descriptor : int
            Of a pipe or a file.

        Yields
        ------
        Prediction
            After it was logged.
        """
        self.switch.refuse()
        yield from self._run(read_json_lines(descriptor, self.sidecar))

    def run_feed(self, feed: Feed, watched: Watched, *, read: Reader = read_messages) -> Iterator[Prediction]:
        """Score what a feed brings, and log every row of it, until it is stopped; it is acknowledged after that.

        A row that cannot be scored also becomes a dead letter. While the feed cannot be reached, or the log cannot be
        written, it is tried again.

        Parameters
        ----------
        feed : Feed
            Not open yet.
        watched : Watched
            Says when to end, and is told how it goes on.
        read : callable, optional
            Makes rows of messages; they hold JSON if left out.

        Yields
        ------
        Prediction
            After it was logged.

        Raises
        ------
        KilledError
            If the kill switch is on. What was pulled is not acknowledged then.
        ConnectionError
            If the feed cannot be reached at the start.
        """
        self.switch.refuse()
        with Pull(feed, self._artifacts, self.arm, watched) as pull:
            yield from self._run(pull.batches(read, self.sidecar, self.switch.refuse), pull.log)

    def _run(self, batches: Iterator[Batch], log: Log = lambda batch, records, write: write()) -> Iterator[Prediction]:
        for batch in batches:
            if self.dealer:
                self.dealer.look()
            part = self._scored(batch.rows) if batch.lines else []
            places: Sequence[int] = range(len(part))
            if batch.rejected:
                lines = [*batch.lines, *(row.line for row in batch.rejected)]
                order = sorted(range(len(lines)), key=lines.__getitem__)
                part += [self._rejected(row, batch.messages) for row in batch.rejected]
                part = [part[place] for place in order]
                places = sorted(range(len(order)), key=order.__getitem__)[: len(batch.lines)]
            log(batch, part, self._writing(part, batch.rows, places))
            yield from part

    def score(self, rows: Rows) -> list[Prediction]:
        """Score rows and log each one, with its prediction or with the reason why it has none.

        Returns
        -------
        list of Prediction
            In the order of the rows; `latency_ms` is the time that the model took for those it was given at once.

        Raises
        ------
        KilledError
            If the kill switch is on, before the rows are scored or after. Nothing is logged then.
        """
        records = self._scored(rows)
        self._writing(records, rows, range(len(records)))()
        return records

    def scored_alone(self, rows: Rows) -> list[Prediction]:
        """Score rows with this model, whatever an A/B test says; logs none of them."""
        self.switch.refuse()
        return self._records(rows)

    def append(self, records: list[Prediction]) -> None:
        """Log what `scored_alone` gave; raises KilledError if the kill switch was turned on since."""
        self.switch.refuse()
        self._log.look()
        self._log.write(records)

    def probe(self) -> None:
        """See whether the log can be written, and log nothing; raises OSError if not."""
        self._log.probe()

    def take_back(self) -> None:
        """Take back what was logged just now, as `PartWriter.take_back` does."""
        self._log.take_back()

    def _writing(self, part: list[Prediction], rows: Rows, places: Sequence[int]) -> Write:
        """Give what logs a batch, each row in the log of its arm.

        Parameters
        ----------
        part : list of Prediction
            Is changed where the live model scores rows in the candidate's place after all.
        rows : Rows
        places : sequence of int
            Where in `part` the record of each row stands.
        """
        if self.dealer:
            arm = self.arm
            if dealt := {row: place for row, place in enumerate(places) if part[place].arm != arm}:
                return self.dealer.writing(part, rows, dealt)

        def write(first: Callable[[], None] = lambda: None) -> None:
            first()
            self._write(part)

        return write

    def _write(self, records: list[Prediction]) -> None:
        self.append(records)
        self.count(records)

    def count(self, records: list[Prediction]) -> None:
        """See whether records that are in the log trip the arm, and stop it then."""
        if not records:
            return
        errors = [error for record in records if (error := record.error)]
        rejected = sum(error.startswith(SCHEMA) for error in errors)
        latency_ms = max(map(_latency_ms, records))
        if why := self._trips.add(len(records), rejected, len(errors) - rejected, latency_ms):
            try:
                kill(self._artifacts, self._log.arm, why, TRIP)
            except BaseException:  # without a file, this process at least has stopped
                self.switch.stop(why)
                raise
            # Once it is let go, what tripped it must not do so again.
            self._trips = Trips(self._rules.trips)
            # The switch is on. If the log cannot be written now, its next writer adds the event.
            with suppress(ModelgatesError, OSError):
                settle(self._artifacts, replace(self._rules, lock_timeout_s=0.0))

    def _scored(self, rows: Rows) -> list[Prediction]:
        """Score each row, with this model or with the candidate that it is dealt to."""
        self.switch.refuse()
        dealt = self.dealer.chosen(rows.keys) if self.dealer else []
        theirs = self.dealer.scored(rows.taken(dealt)) if self.dealer and dealt else None
        if theirs is None:
            return self._records(rows)
        found, taken = dict(zip(dealt, theirs, strict=True)), {*dealt}
        ours = [row for row in range(len(rows.keys)) if row not in taken]
        if ours:
            found |= zip(ours, self._records(rows.taken(ours)), strict=True)
        return [found[row] for row in range(len(rows.keys))]

    def _records(self, rows: Rows) -> list[Prediction]:
        scores, latencies_ms, errors = list[float](), list[float](), dict[int, str]()
        for size in rows.calls or [len(rows.keys)]:
            start, begin = len(scores), time.perf_counter_ns()
            scored = self._scorer.score(rows.matrix[start : start + size])
            latencies_ms += [(time.perf_counter_ns() - begin) / 1e6] * size
            scores += scored.scores.tolist()
            errors |= {start + row: why for row, why in scored.errors.items()}
        now, keys = datetime.now(UTC), rows.keys
        model_id, digest, schema_crc32, arm = self.model_id, self.digest, self.sidecar.schema_crc32, self.arm
        if max(map(len, keys), default=0) > _LONGEST_KEY:
            why = f"characters, expected at most {_LONGEST_KEY}"
            long = {row: len(key) for row, key in enumerate(keys) if len(key) > _LONGEST_KEY}
            errors = {row: f"{SCHEMA}a key of {size} {why}" for row, size in long.items()} | errors
            keys = [cut(key) if row in long else key for row, key in enumerate(keys)]
        kept = self._kept_features(rows)
        if self._rules.hash_keys:
            keys = [hashed(key) for key in keys]
        records = [
            Prediction(
                time=now,
                row_key=key,
                model_id=model_id,
                digest=digest,
                schema_crc32=schema_crc32,
                prediction=score,
                latency_ms=latency_ms,
                arm=arm,
                row_time=moment,
                request=request,
                format=FORMAT,
            )
            for key, score, latency_ms, moment, request in zip(
                keys, scores, latencies_ms, rows.times, rows.requests or [None] * len(keys), strict=True
            )
        ]
        for row, why in errors.items():
            records[row] = msgspec.structs.replace(records[row], prediction=None, error=why)
        for row, values in kept.items():
            records[row] = msgspec.structs.replace(records[row], features=values)
        return records

    def _kept_features(self, rows: Rows) -> dict[int, list[float | None]]:
        """Take the features of a share of the rows: of the same rows in every arm, since the key decides."""
        share = self._rules.features
        if not share:
            return {}
        chosen = [row for row, key in enumerate(rows.keys) if zlib.crc32(key.encode()) < share * 2**32]
        values = rows.matrix[chosen].astype(float).tolist()
        return {
            row: [None if value != value else value for value in cells]
            for row, cells in zip(chosen, values, strict=True)
        }

    def _rejected(self, row: Rejected, messages: Sequence[Message]) -> Prediction:
        # Without an asset a row goes by its content, which is not known.
        key = "|".join(row.texts) if row.texts and self.sidecar.asset else ANY_ROW
        if len(key) > _LONGEST_KEY:
            key = cut(key)
        if self._rules.hash_keys and key != ANY_ROW:
            key = hashed(key)
        if not messages:
            return self._failed(key, f"{SCHEMA}{row}")
        message = messages[row.line - 1]
        return self._failed(key, f"{SCHEMA}{message.label}: {row.why}", request=message.request)

    def _failed(self, key: str, why: str, *, request: str | None = None) -> Prediction:
        return Prediction(
            time=datetime.now(UTC),
            row_key=key,
            model_id=self.model_id,
            digest=self.digest,
            schema_crc32=self.sidecar.schema_crc32,
            prediction=None,
            latency_ms=0.0,
            arm=self._log.arm,
            error=why,
            request=request,
            format=FORMAT,
        )
