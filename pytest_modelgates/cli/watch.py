"""The verb that guards the live model: `watch`."""

import argparse
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import ModelgatesError, PolicyError
from ..storage.text import first_line
from .alerts import happened
from .at_end import tell
from .options import ARTIFACTS, JSON, POLICY, Verbs, acting, argument, artifacts_of, note, print_json

if TYPE_CHECKING:
    from ..artifacts import Artifacts
    from ..monitoring.triggers import Finding
    from ..monitoring.watch import Look, Watch

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_CANNOT_SEE = 3


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "watch",
        watch,
        argument(
            "--every",
            type=span,
            metavar="SPAN",
            help="look again and again, so long after the last look began: 60s, 5m or 1h; default: look once",
        ),
        ARTIFACTS,
        POLICY,
        JSON,
        announces=True,
    )


def watch(arguments: argparse.Namespace) -> int:
    """Look at how the live model does, and roll it back if a trigger says so; ends with 1 after a breach.

    Triggers are the time of batches, drift of the predictions, rows that failed, were rejected or score otherwise now,
    and what came of the predictions against what the gates promised; silence, age, an overdue drill of the kill switch,
    and a candidate that ranks otherwise are told. Their limits are in the policy; their windows, and whether a breach
    is a warning, a dry run or acted on, in operations.toml under [watch]. A rollback goes to the newest model that was
    live before and still verifies, loads and scores its golden. If there is none, arm `live` is stopped. The watch
    never promotes.

    It ends with 0 if nothing was found, 1 after a breach, 2 if used wrongly, 3 if something cannot be seen.
    """
    from ..monitoring.watch import Watch, refuse_without_calendar, refuse_without_right
    from ..proving.rehearsal import rehearse
    from ..proving.rescoring import rescore

    artifacts = artifacts_of(arguments)
    try:
        in_force = acting(artifacts, arguments)
    except PolicyError as error:
        note(f"cannot see: {error}")
        return _CANNOT_SEE
    refuse_without_right(in_force.policy)
    refuse_without_calendar(in_force.operations)
    limits = in_force.operations.hermetic

    def tell(model_id: str, found: "Finding", *, on: bool) -> None:
        happened(artifacts, lambda alerts: alerts.breached(artifacts, model_id, found, on=on))

    watching = Watch(
        artifacts,
        rehearse=lambda directory: rehearse(directory, limits),
        rescore=lambda directory, rows: rescore(directory, rows, limits),
        tell=tell,
    )
    if arguments.every is None:
        return _look(watching, artifacts, arguments)
    again_and_again(lambda: _look_and_announce(watching, artifacts, arguments), arguments.every)
    return 0


def again_and_again(
    look: Callable[[], object],
    every_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Look until the process is ended; a look that takes longer than the span is followed by the next at once."""
    while True:
        begun = clock()
        look()
        pause(max(0.0, begun + every_s - clock()))


def _look_and_announce(watching: "Watch", artifacts: "Artifacts", arguments: argparse.Namespace) -> None:
    _look(watching, artifacts, arguments)
    tell(arguments, None)


def _look(watching: "Watch", artifacts: "Artifacts", arguments: argparse.Namespace) -> int:
    """Look once, and print what was found; whatever cannot be seen or kept is said, and ends with 3."""
    from ..monitoring.watch import lock_of
    from ..monitoring.watch_words import in_words
    from ..storage.lock import locked_file

    try:
        in_force = acting(artifacts, arguments)
        timeout_s = in_force.operations.registry.lock_timeout_s
        with locked_file(lock_of(artifacts), timeout_s=timeout_s, mode=artifacts.file_mode):
            looked = watching.look(in_force)
    except ModelgatesError as error:
        note(f"cannot see: {error}")
        return _CANNOT_SEE
    except OSError as error:
        note(f"cannot see: {error.strerror or first_line(error)}: {error.filename or artifacts.watch}")
        return _CANNOT_SEE
    _print(looked, in_words(looked), as_json=arguments.json)
    return looked.status


def _print(looked: "Look", words: str, *, as_json: bool) -> None:
    from ..storage.text import printable

    with suppress(BrokenPipeError):  # nobody who reads has to be there for the watch to go on
        if as_json:
            print_json(looked)
            sys.stdout.flush()
        else:
            print("\n".join(map(printable, words.splitlines())), flush=True)


def span(text: str) -> float:
    """Read a span of time [s]."""
    found = re.fullmatch(r"([0-9]{1,6})([smh])", text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a span of time; give one such as 60s, 5m or 1h")
    return float(found[1]) * _SECONDS[found[2]]
