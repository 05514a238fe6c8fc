"""Which model servers serve: they are asked over HTTP, for as long as a rollback may take to reach them."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

_ANSWER_S, _AGAIN_S = 2.0, 0.5
_LONGEST = 2**16  # [byte]
READY = "/v2/health/ready"


class _Serving(msgspec.Struct, frozen=True):
    version: str


class _Ready(msgspec.Struct, frozen=True):
    serving: _Serving


def serves(address: str) -> str | None:
    """Ask a server for the id of the model that it serves; None if it does not say."""
    content = b""
    with suppress(OSError, http.client.HTTPException, ValueError):
        try:
            with urllib.request.urlopen(address.rstrip("/") + READY, timeout=_ANSWER_S) as answer:
                content = answer.read(_LONGEST)
        except urllib.error.HTTPError as error:  # a server that is killed says what it would serve
            with error:
                content = error.read(_LONGEST)
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(content, type=_Ready).serving.version
    return None


def confirm(
    addresses: Sequence[str],
    model_id: str,
    *,
    within_s: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Say of each server whether it serves a model, asked until all do or the time is up."""
    if not addresses:
        return ["no server was asked what it serves: [watch] adapters names none; the log of predictions shows it"]
    until = clock() + within_s
    found = {address: serves(address) for address in addresses}
    while any(version != model_id for version in found.values()) and clock() < until:
        pause(_AGAIN_S)
        found |= {address: serves(address) for address, version in found.items() if version != model_id}
    return [
        f"{address} serves {version}" + ("" if version == model_id else f", not {model_id}: look at its log")
        if version
        else f"{address} does not say what it serves: ask it, or start it again"
        for address, version in found.items()
    ]
