"""What people ask of the registry: what is live, what is there, what is the reference."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd

from ..drift import save_golden_predictions
from ..drift.golden import COLUMN
from ..errors import FormatError, ModelgatesError
from ..model.files import read_bytes, read_json
from ..model.layout import CHANGES, MANIFEST, PANEL, SIDECAR, Artifacts
from ..model.manifest import Manifest, verified_bytes, verify
from ..model.panel import Panel
from ..model.sidecar import Sidecar
from .audit import check_agreement, past_live, read_log
from .store import live_id, model_ids


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is live, since when and by whom, and what is wrong."""

    live: str | None
    digest: str | None
    since: datetime | None
    actor: str | None
    assurance: str
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
        )
        return [
            live,
            *([f"digest: sha256:{self.digest}"] if self.digest else []),
            f"newest candidate: {self.newest or 'none'}",
            f"assurance: {self.assurance}",
            *(f"problem: {problem}" for problem in self.problems),
        ]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model directory."""

    id: str
    created: datetime
    state: Literal["live", "past", "candidate"]
    changes: str


def status(artifacts: Artifacts) -> Status:
    """Look at link, log and live model, and say everything that is wrong with them."""
    problems, live = [], None
    entries = read_log(artifacts.promotions)
    try:
        live = live_id(artifacts)
        check_agreement(entries, live)
    except ModelgatesError as error:
        problems.append(str(error))
    entry = next((entry for entry in reversed(entries) if entry.to == live), None)
    digest = None
    if live is not None:
        try:
            digest = verify(artifacts.model(live))
        except ModelgatesError as error:
            problems += str(error).splitlines()
        if digest and entry and digest != entry.digest:
            problems.append(f"{live} has other bytes than when it was promoted (sha256:{entry.digest[:16]}…)")
    newest = read_bytes(artifacts.latest_id).decode().strip() if artifacts.latest_id.exists() else None
    return Status(
        live=live,
        digest=digest,
        since=entry.time if entry else None,
        actor=entry.actor if entry else None,
        assurance="digest-bound, unsigned",
        newest=newest,
        problems=problems,
    )


def listing(artifacts: Artifacts) -> list[Row]:
    """List every model directory, oldest first."""
    live, past = live_id(artifacts), set(past_live(read_log(artifacts.promotions)))
    rows = []
    for model_id in model_ids(artifacts):
        directory = artifacts.model(model_id)
        rows.append(
            Row(
                id=model_id,
                created=read_json(directory / MANIFEST, Manifest).created,
                state="live" if model_id == live else "past" if model_id in past else "candidate",
                changes=(read_bytes(directory / CHANGES).decode().splitlines() or [""])[0],
            )
        )
    return rows


def set_golden(artifacts: Artifacts, model_id: str, source: Path | None) -> Path:
    """Save a model's panel predictions, or the predictions in a file, as its golden."""
    directory = artifacts.model(model_id)
    digest = verify(directory)
    if source is None:
        values = Panel.read(verified_bytes(directory, PANEL), read_json(directory / SIDECAR, Sidecar)).reference
    else:
        frame = pd.read_csv(source) if source.suffix == ".csv" else pd.read_parquet(source)
        if COLUMN not in frame:
            raise FormatError(f"{source}: has no column {COLUMN!r}; it holds {', '.join(map(str, frame))}")
        values = frame[COLUMN].to_numpy()
    return save_golden_predictions(values, model_id, folder=artifacts.golden, digest=digest)
