"""A line on the terminal now and then, while a gate takes long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

EVERY_SECONDS = 10.0


def progress_lines(config: pytest.Config, what: str, *, every: float = EVERY_SECONDS) -> Callable[[int, int], None]:
    """Prepare a function of the steps done and all steps that writes a line, at most one in `every` [s].

    Without a terminal, as in a worker of pytest-xdist, nothing is written.
    """
    terminal, capture = (config.pluginmanager.getplugin(name) for name in ("terminalreporter", "capturemanager"))
    begun = last = time.monotonic()

    def progress(done: int, steps: int) -> None:
        nonlocal last
        now = time.monotonic()
        if terminal is None or not done or now - last < every:
            return
        last, left = now, (now - begun) / done * (steps - done)
        # pytest captures what a fixture writes, and shows it after the gate; this is wanted before.
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            terminal.ensure_newline()
            terminal.write_line(f"{what}: {done} of {steps}, about {left:.0f} s left")

    return progress
