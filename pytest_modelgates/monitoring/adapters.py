"""Which model servers serve: they are asked over HTTP, for as long as a rollback may take to reach them."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from ..artifacts import Artifacts
from ..predictions.records import Arm
from ..serving.running import running
from ..storage.text import shown

_ANSWER_S, _AGAIN_S = 2.0, 0.5
_LONGEST = 2**16  # [byte]
READY = "/v2/health/ready"


class _Serving(msgspec.Struct, frozen=True):
    version: str


class _Worker(msgspec.Struct, frozen=True):
    version: str | None


class _Ready(msgspec.Struct, frozen=True):
    serving: _Serving
    workers: tuple[_Worker, ...] = ()


def serves(address: str) -> list[str]:
    """Ask a server for the ids of the models that it serves: more than one while its workers differ, none if unsaid."""
    content = b""
    with suppress(OSError, http.client.HTTPException, ValueError):
        try:
            with urllib.request.urlopen(address.rstrip("/") + READY, timeout=_ANSWER_S) as answer:
                content = answer.read(_LONGEST)
        except urllib.error.HTTPError as error:  # a server that is killed says what it would serve
            with error:
                content = error.read(_LONGEST)
    with suppress(msgspec.DecodeError):
        said = msgspec.json.decode(content, type=_Ready)
        # A worker that is being started serves what is live.
        return [*dict.fromkeys([said.serving.version, *(each.version for each in said.workers if each.version)])]
    return []


def confirm(
    artifacts: Artifacts,
    arm: Arm,
    named: Sequence[str],
    model_id: str,
    *,
    within_s: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Say of each server whether it serves a model, asked until all do or the time is up.

    Parameters
    ----------
    artifacts : Artifacts
        Asked are those of the arm that run on them.
    arm : str
    named : sequence of str
        Addresses of others that are asked, too.
    model_id : str
    within_s : float
    clock, pause : callable
    """
    runs = [each for each in running(artifacts) if each.arm == arm]
    own = [f"http://{shown(each.reached, each.port)}" for each in runs if each.address]
    addresses = list(dict.fromkeys(each.rstrip("/") for each in [*named, *own]))
    log = "the log of predictions shows"
    silent = [f"{each} answers nobody: {log} what it serves" for each in runs if not each.address]
    if not addresses:
        return silent or [
            f"no server was asked what it serves: [watch] adapters names none, and none runs on this registry; {log} it"
        ]
    until = clock() + within_s
    found = {address: serves(address) for address in addresses}
    while any(versions != [model_id] for versions in found.values()) and clock() < until:
        pause(_AGAIN_S)
        found |= {address: serves(address) for address, versions in found.items() if versions != [model_id]}
    return [_said(address, versions, model_id) for address, versions in found.items()] + silent


def _said(address: str, versions: list[str], model_id: str) -> str:
    if not versions:
        return f"{address} does not say what it serves: ask it, or start it again"
    if versions == [model_id]:
        return f"{address} serves {model_id}"
    if model_id in versions:
        others = " and ".join(version for version in versions if version != model_id)
        return f"{address} serves {model_id}, but some of its workers {others}: {READY} says which"
    return f"{address} serves {' and '.join(versions)}, not {model_id}: look at its log"
