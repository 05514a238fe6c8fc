"""What came of the rows that were predicted: returns or labels, added once, late, or corrected with a reason."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pandas as pd

from ..artifacts import Artifacts
from ..audit.actor import actor, one_line_reason
from ..audit.writer import LockRules, lock
from ..errors import FormatError, IntegrityError, RefusedError
from ..model.features import named_column, numeric_column
from ..model.tables import read_user_table
from ..stats.quantiles import LARGEST
from ..storage.digests import Sha256, sha256, sha256_of
from ..storage.paths import entries, is_folder, kind_of
from ..storage.row_keys import all_canonical, canonical, in_utc
from ..storage.rows import Column
from ..storage.strict_json import Moment, read_bytes
from ..storage.text import counted, cut, printable
from .counting import CLOCKS, Tally, Window, count_log
from .parts import arms
from .records import hashed

Kind = Literal["return", "label"]
KINDS: tuple[Kind, ...] = ("return", "label")
OBSERVED = "observed_at"


class Added(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first line of a file of outcomes: who added them when, and the digests of their source and of their lines."""

    format: Literal[1] = 1
    added: Moment
    actor: str
    kind: Kind
    rows: int
    source: Sha256
    sha256: Sha256
    reason: str | None = None


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of it: what came of a row, and when that was known, if somebody said."""

    row_key: str
    value: float
    observed_at: Moment | None = None


class Names:
    """The canonical keys of rows whose outcomes are told, by what the log calls these rows, which may hide a key."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = frozenset(keys)
        self._hidden: dict[str, str] | None = None

    def of(self, row_key: str) -> str | None:
        """Find the key of a row of the log; None if its outcome is not told."""
        if not row_key.startswith("hashed:"):
            key = canonical(row_key)
            return key if key in self._keys else None
        if self._hidden is None:
            self._hidden = {hashed(key): key for key in self._keys}
        return self._hidden.get(row_key)


@dataclass(slots=True)
class Outcomes:
    """What came of each row, as it was said last.

    Parameters
    ----------
    files : list of Added
        What was added, oldest first.
    values : dict of str to float
        By canonical row key.
    corrected : int
        Rows of which something else was said before.
    """

    files: list[Added] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    corrected: int = 0
    _names: "Names | None" = None

    def key_of(self, row_key: str) -> str | None:
        """Find the key by which the outcome of a row is known, as `Names.of` does. None if it is not."""
        if self._names is None:
            self._names = Names(self.values)
        return self._names.of(row_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What adding a file did: rows of it that are new, known already, corrected; and those that nobody predicted."""

    rows: int
    new: int
    known: int
    corrected: int
    unmatched: int


def files_of(artifacts: Artifacts) -> list[Path]:
    """List the files of outcomes, the oldest first.

    Raises
    ------
    FormatError
        If their folder is none.
    """
    folder = artifacts.outcomes
    if (there := kind_of(folder)) and not is_folder(folder):
        raise FormatError(f"{folder}: {there}, expected the folder of outcomes; move it away, and put the folder back")
    return entries(folder, "*.jsonl")


def read_outcomes(artifacts: Artifacts, files: list[Path] | None = None) -> Outcomes:
    """Read every outcome, or those in some files.

    Raises
    ------
    FormatError, IntegrityError
        If the folder is none, or a file is not one that `add_outcomes` wrote, or was changed since.
    """
    found = Outcomes()
    for path in files_of(artifacts) if files is None else files:
        added, outcomes = _read(path)
        found.files.append(added)
        keys, values = all_canonical([each.row_key for each in outcomes]), [each.value for each in outcomes]
        new = dict(zip(keys, values, strict=True))
        if len(new) == len(keys) and new.keys().isdisjoint(found.values):
            found.values |= new
            continue
        for key, value in zip(keys, values, strict=True):
            before = found.values.get(key)
            found.corrected += before is not None and before != value
            found.values[key] = value
    return found


def _read(path: Path) -> tuple[Added, list[Outcome]]:
    first, _, lines = read_bytes(path, limit=sys.maxsize).partition(b"\n")
    try:
        added = msgspec.json.decode(first, type=Added)
        outcomes = msgspec.json.Decoder(Outcome).decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a file of outcomes ({printable(str(error))}); put the file back") from error
    if sha256(lines) != added.sha256 or len(outcomes) != added.rows:
        raise IntegrityError(f"{path}: was changed after its outcomes were added; put the file back")
    return added, outcomes


def add_outcomes(
    artifacts: Artifacts, source: Path, keys: list[str], rules: LockRules, *, reason: str | None = None
) -> Addition:
    """Add what came of rows.

    Parameters
    ----------
    artifacts : Artifacts
    source : Path
        CSV or Parquet: the columns that name a row, and `return` (the next day's, as the panel's) or `label`; perhaps
        `observed_at`, which says when it was known.
    keys : list of str
        The columns that name a row, as the model has them: time and asset.
    rules : LockRules
    reason : str, optional
        Why outcomes that are known already are corrected.

    Raises
    ------
    FormatError
        If the file cannot be read, names a row twice, or lacks a value.
    RefusedError
        If the file was added before, if it would correct a row without a reason, if nobody predicted any of its rows,
        or if the clock was set back since others were added.
    """
    kind, outcomes = _outcomes_in(source, keys)
    digest = sha256_of(source)
    # Before others have to wait: the log may be long.
    matched = _predicted(artifacts, {one.row_key for one in outcomes})
    if not matched:
        raise RefusedError(
            f"{source}: {counted(len(outcomes), 'row')}, none predicted, such as {outcomes[0].row_key}"
            f"{_example(artifacts)}; write times and assets as in the rows that were served"
        )
    with lock(artifacts, rules):
        before = read_outcomes(artifacts)
        for added in before.files:
            if added.source == digest:
                raise RefusedError(f"{source}: was added on {added.added:%Y-%m-%d %H:%M} UTC already; nothing to do")
            if added.kind != kind:
                raise RefusedError(f"{source}: holds {kind}, and what was added before holds {added.kind}; keep to one")
        now = datetime.now(UTC)
        if before.files and now <= (last := max(added.added for added in before.files)):
            raise RefusedError(
                f"{source}: the clock says {now:%Y-%m-%d %H:%M:%S} UTC, and outcomes were added at "
                f"{last:%Y-%m-%d %H:%M:%S}: which are the newer ones could not be told; set the clock right"
            )
        changed = [one for one in outcomes if before.values.get(one.row_key, one.value) != one.value]
        if changed and not reason:
            known = before.values[changed[0].row_key]
            raise RefusedError(
                f"{source}: {counted(len(changed), 'row')} with another outcome already, such as "
                f'{changed[0].row_key}: {known:g}, now {changed[0].value:g}; to correct them, say why: --reason "…"'
            )
        lines = msgspec.json.Encoder().encode_lines(outcomes)
        header = Added(
            added=now,
            actor=actor(),
            kind=kind,
            rows=len(outcomes),
            source=digest,
            sha256=sha256(lines),
            reason=one_line_reason(reason, "correction") if reason else None,
        )
        path = artifacts.outcomes / f"{header.added:%Y%m%dT%H%M%S.%fZ}-{digest[:16]}.jsonl"
        artifacts.write(path, msgspec.json.encode(header) + b"\n" + lines)
    known_rows = sum(one.row_key in before.values for one in outcomes) - len(changed)
    return Addition(
        rows=len(outcomes),
        new=len(outcomes) - known_rows - len(changed),
        known=known_rows,
        corrected=len(changed),
        unmatched=len(outcomes) - matched,
    )


def _outcomes_in(source: Path, keys: list[str]) -> tuple[Kind, list[Outcome]]:
    """Read a user's file of outcomes."""
    columns = [Column(key, "text") for key in keys] + [Column(kind, "float64") for kind in KINDS]
    frame = read_user_table(source, columns)
    present = [kind for kind in KINDS if kind in frame]
    if len(present) != 1:
        found = " and ".join(present) if present else "neither"
        raise FormatError(f"{source}: holds {found}, expected one of the columns return and label")
    (kind,) = present
    texts = [names_in(frame, key, source) for key in keys]
    values = numeric_column(frame, kind, source=str(source)).astype(np.float64)
    if not len(values):
        raise FormatError(f"{source}: a header and not a row")
    if bad := np.flatnonzero(~np.isfinite(values)).tolist():
        raise FormatError(f"{source}, row {bad[0] + 1}: {kind} is {values[bad[0]]}; leave a row out until it is known")
    if beyond := np.flatnonzero(np.abs(values) > LARGEST).tolist():
        raise FormatError(f"{source}, row {beyond[0] + 1}: {kind} is {values[beyond[0]]:g}, beyond {LARGEST:g} in size")
    observed = _observed(frame, source)
    names = [canonical("|".join(parts)) for parts in zip(*texts, strict=True)]
    if len(set(names)) < len(names):
        ((twice, _),) = Counter(names).most_common(1)
        raise FormatError(f"{source}: row {cut(twice)} appears twice; keep one")
    rows = zip(names, values.tolist(), observed, strict=True)
    return kind, [Outcome(row_key=name, value=value, observed_at=seen) for name, value, seen in rows]


def _observed(frame: pd.DataFrame, source: Path) -> list[datetime | None]:
    """Read when outcomes were known."""
    if OBSERVED not in frame:
        return [None] * len(frame)
    texts = _texts_of(named_column(frame, OBSERVED, source=str(source)))
    try:
        found = [in_utc(text) if text else None for text in texts]
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{source}: {OBSERVED} holds a time that is not ISO 8601 ({error})") from error
    latest = datetime.now(UTC) + CLOCKS
    if early := [row for row, time in enumerate(found, start=1) if time and time > latest]:
        raise FormatError(
            f"{source}, row {early[0]}: {OBSERVED} is {texts[early[0] - 1]}, which is yet to come; leave a row out "
            "until it is known"
        )
    return found


def names_in(frame: pd.DataFrame, key: str, source: Path) -> list[str]:
    """Read a column that names rows.

    Raises
    ------
    FormatError
        If there is none, or a row lacks it.
    """
    texts = _texts_of(named_column(frame, key, source=str(source)))
    if "" in texts:
        raise FormatError(f"{source}, row {texts.index('') + 1}: column {key!r} is empty, and it may not be missing")
    return texts


def _texts_of(column: "pd.Series") -> list[str]:
    """Write a column as a feed would, and what is missing as no text."""
    return ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def _predicted(artifacts: Artifacts, keys: set[str]) -> int:
    """Count the rows that some arm has predicted."""
    names, found = Names(keys), set[str]()
    for records in _all_records(artifacts):
        found |= {key for record in records if (key := names.of(record)) is not None}
        if len(found) == len(keys):
            break
    return len(found)


def _all_records(artifacts: Artifacts) -> Iterator[list[str]]:
    for arm in arms(artifacts):
        for records in count_log(artifacts, arm, Window(), Tally()):
            yield [record.row_key for record in records]


def _example(artifacts: Artifacts) -> str:
    """Show how the log names its rows, if there is one."""
    return next((f", and predictions have rows such as {cut(keys[0])}" for keys in _all_records(artifacts)), "")
