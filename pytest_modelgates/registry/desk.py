"""What people ask of the registry: what is live, what is there, what is the reference."""

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import numpy as np
import pandas as pd

from ..drift import save_golden_predictions
from ..drift.golden import COLUMN
from ..errors import FormatError, IntegrityError, ModelgatesError
from ..model.files import read_bytes, read_json
from ..model.layout import CHANGES, SIDECAR, Artifacts
from ..model.pinned import Pinned, verify
from ..model.sidecar import Sidecar
from .audit import check_agreement, past_live, read_log
from .promote import reference
from .store import interrupted, link_target, live_id, locked, model_ids, newest_id

T = TypeVar("T")
State = Literal["live", "past", "candidate", "damaged"]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is live, since when and by whom, and what is wrong."""

    live: str | None
    digest: str | None
    since: datetime | None
    actor: str | None
    assurance: str
    waivers: list[str]
    newest: str | None
    problems: list[str]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def lines(self) -> list[str]:
        """The same for people."""
        live = (
            "nothing is live"
            if self.live is None
            else f"live: {self.live} since {self.since:%Y-%m-%d %H:%M:%S} UTC, by {self.actor}"
            if self.since
            else f"live: {self.live}, says the link; the log does not know it"
        )
        return [
            live,
            *([f"digest: sha256:{self.digest}"] if self.digest else []),
            f"newest candidate: {self.newest or 'none'}",
            f"assurance: {self.assurance}",
            *self.waivers,
            *(f"problem: {problem}" for problem in self.problems),
        ]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model directory."""

    id: str
    created: datetime | None
    state: State
    changes: str


def status(artifacts: Artifacts) -> Status:
    """Look at link, log and live model, and say everything that is wrong with them."""
    problems: list[str] = []
    if interrupted(artifacts):
        with locked(artifacts):
            pass  # whoever takes the lock settles it
    entries = _unless(problems, lambda: read_log(artifacts.promotions)) or []
    live = _unless(problems, lambda: link_target(artifacts))
    _unless(problems, lambda: check_agreement(entries, live))
    newest = _unless(problems, lambda: newest_id(artifacts))
    entry = next((entry for entry in reversed(entries) if entry.to == live), None)
    digest = None
    if live is not None:
        try:
            digest = verify(artifacts.model(live))
        except ModelgatesError as error:
            problems += str(error).splitlines()
        if digest and entry and digest != entry.digest:
            problems.append(f"{live} has other bytes than when it was promoted (sha256:{entry.digest[:16]}…)")
    return Status(
        live=live,
        digest=digest,
        since=entry.time if entry else None,
        actor=entry.actor if entry else None,
        assurance=f"signed by {entry.sealed_by}" if entry and entry.sealed_by else "digest-bound, unsigned",
        waivers=list(entry.waivers) if entry else [],
        newest=newest,
        problems=problems,
    )


def _unless(problems: list[str], ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except ModelgatesError as error:
        problems.append(str(error))
        return None


def listing(artifacts: Artifacts) -> list[Row]:
    """List every model directory, oldest first."""
    live, past = live_id(artifacts), set(past_live(read_log(artifacts.promotions)))
    rows = []
    for model_id in model_ids(artifacts):
        directory = artifacts.model(model_id)
        try:
            with Pinned(directory) as model:
                created = model.manifest.created
                changes = (model.read(CHANGES).decode(errors="replace").splitlines() or [""])[0]
        except (FormatError, IntegrityError) as error:
            rows.append(Row(id=model_id, created=None, state="damaged", changes=str(error)))
        else:
            state: State = "live" if model_id == live else "past" if model_id in past else "candidate"
            rows.append(Row(id=model_id, created=created, state=state, changes=changes))
    return rows


def set_golden(artifacts: Artifacts, model_id: str, source: Path | None) -> Path:
    """Save a model's panel predictions, or the predictions in a file, as its golden."""
    directory = artifacts.model(model_id)
    digest = verify(directory)
    if source is None:
        values = reference(directory, read_json(directory / SIDECAR, Sidecar))
    else:
        values = _predictions_in(source)
    # The metadata of all goldens is one file, which a promotion writes too.
    with locked(artifacts):
        return save_golden_predictions(
            values, model_id, folder=artifacts.golden, digest=digest if source is None else None
        )


def _predictions_in(source: Path) -> np.ndarray:
    content = io.BytesIO(read_bytes(source))
    try:
        frame = pd.read_csv(content) if source.suffix == ".csv" else pd.read_parquet(content)
    except Exception as error:  # pandas and pyarrow share no base for what damaged files make them raise
        raise FormatError(f"{source}: neither CSV nor Parquet ({error})") from error
    if COLUMN not in frame:
        raise FormatError(f"{source}: has no column {COLUMN!r}; it holds {', '.join(map(str, frame))}")
    return np.asarray(frame[COLUMN])
