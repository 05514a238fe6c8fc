"""Repairing the registry after a crash or a change by hand: first as a list of steps, then, if asked, in fact.

The link is made to follow the log, because the log is chained. What the log itself lost cannot be restored here.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..artifacts import Artifacts
from ..audit.chain import Abort, append, read_chain, tail
from ..errors import ModelgatesError, RegistryError
from ..model.directory import verify
from ..policy.operations import LockRules
from ..storage.lines import drop_torn_line, torn_bytes
from ..storage.paths import is_link, is_there
from .store import ONNX_LINK, finish_interrupted, lock, onnx_link_broken, point_latest_at


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: in words, and as a function."""

    text: str
    do: Callable[[], object]


def recover(artifacts: Artifacts, rules: LockRules, *, do: bool) -> list[str]:
    """Find what is wrong with link and log, and repair it if `do` is set.

    Returns
    -------
    list of str
        The steps that were taken, or would be; empty if nothing is wrong.

    Raises
    ------
    RegistryError
        If the log is not whole: then nothing says which model should be live.
    """
    with lock(artifacts, rules):
        steps = list(_steps(artifacts))
        if do:
            for step in steps:
                step.do()
        return [step.text for step in steps]


def _steps(artifacts: Artifacts) -> Iterator[Step]:
    path, link = artifacts.promotions, _text(artifacts.latest)
    if problems := [f"{path}: {problem}" for problem in read_chain(path).problems]:
        raise RegistryError("\n".join([*problems, "put the log back from a copy; nothing else says what was live"]))
    if count := torn_bytes(path):
        yield Step(f"cut off the {count} bytes that a crash left behind the log's end", lambda: drop_torn_line(path))
    end = tail(path)
    logged = end.change.to if end.change else None
    if end.open and link == end.open.to:
        logged = link
        yield Step(f"finish the {end.open.action} to {link} that was cut short", lambda: finish_interrupted(artifacts))
    elif end.open:
        text = f"forget the {end.open.action} to {end.open.to} that was cut short"
        yield Step(text, lambda: append(path, Abort(time=datetime.now(UTC))))
    if logged is None:
        if is_there(artifacts.latest):
            raise RegistryError(
                f"{artifacts.latest} is there, but {path} holds no promotion: put the log back from a copy"
            )
        return
    for place in (artifacts.latest, artifacts.latest_onnx):
        if is_there(place) and not is_link(place):
            aside = place.with_name(f"{place.name}.moved-{int(time.time())}")
            yield Step(f"move what lies in the place of {place.name} to {aside}", partial(place.rename, aside))
    if link != logged:
        was = f"points at {link!r}" if link else "is missing or not a link"
        damage = "" if _is_sound(artifacts.model(logged)) else f"; {logged} is damaged: afterwards roll back"
        text = f"point latest at {logged}, which the log says is live; it {was}{damage}"
        yield Step(text, lambda: point_latest_at(artifacts, logged))
    elif onnx_link_broken(artifacts):
        yield Step(f"point latest.onnx at {ONNX_LINK}", lambda: point_latest_at(artifacts, logged))


def _is_sound(directory: Path) -> bool:
    try:
        return bool(verify(directory))
    except ModelgatesError:
        return False


def _text(path: Path) -> str | None:
    """Read a link's text, unchecked; None if there is no link."""
    return os.readlink(path) if is_link(path) else None
