"""Verbs that score rows, and those that stop it: `serve`, `shadow`, `kill`, `unkill`."""

import argparse
import signal
from pathlib import Path
from typing import Literal

from ..artifacts import ALL_ARMS
from ..errors import ModelgatesError
from .options import ARTIFACTS, Verbs, argument, artifacts_of, note

SHOWN = 10  # refused rows on stderr


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    options = (
        argument("--onnx", type=Path, required=True, help="artifacts/models/latest.onnx, or a candidate's model.onnx"),
        argument(
            "--csv",
            type=Path,
            required=True,
            help="rows to score, plain or .gz: time, asset and the features, in the sidecar's order",
        ),
    )
    verbs.add("serve", serve, *options)
    verbs.add("shadow", shadow, *options)
    stopping = (
        argument("--reason", default="", help="why, for the kill file and the audit log; required"),
        argument("--arm", default=ALL_ARMS, help="live, shadow, or the name of another arm; default: all"),
        ARTIFACTS,
    )
    verbs.add("kill", kill, *stopping)
    verbs.add("unkill", unkill, *stopping)


def serve(arguments: argparse.Namespace) -> int:
    """Score a CSV file with the live model and log the predictions."""
    return _score(arguments, "live")


def shadow(arguments: argparse.Namespace) -> int:
    """Score a CSV file with a candidate and log the predictions apart; nothing acts on them."""
    return _score(arguments, "shadow")


def _score(arguments: argparse.Namespace, arm: Literal["live", "shadow"]) -> int:
    from ..serving.adapter import ANY_ROW, Adapter
    from ..serving.settings import settings_of

    scored = refused = 0
    with Adapter(arguments.onnx, arm=arm, settings=settings_of) as adapter:
        signal.signal(signal.SIGUSR1, lambda *_: adapter.switch.stop("SIGUSR1"))
        for record in adapter.run_csv(arguments.csv):
            scored += record.error is None
            if record.error is None:
                continue
            refused += 1
            if refused <= SHOWN:
                row = "" if record.row_key == ANY_ROW else f", {record.row_key}"
                note(f"{arguments.csv}{row}: {record.error}")
    if refused > SHOWN:
        note(f"{arguments.csv}: {refused - SHOWN} more rows are refused; the log has the reason for each")
    if not scored + refused:
        note(f"warning: {arguments.csv}: a header and not a row")
    print(f"{adapter.model_id} ({arm}): {scored} rows scored, {refused} refused; log: {adapter.log}")
    return 1 if refused else 0


def kill(arguments: argparse.Namespace) -> int:
    """Stop all predictions at once, of one arm or of all, until `unkill`."""
    from ..audit import kill as switch
    from ..audit.kinds import KILL
    from ..audit.writer import locked
    from ..policy.place import operations_at
    from ..predictions.records import checked_arm

    artifacts = artifacts_of(arguments)
    print(switch.kill(artifacts, checked_arm(arguments.arm), arguments.reason, KILL), flush=True)
    # It is stopped by now, whatever becomes of the log.
    try:
        with locked(artifacts, operations_at(artifacts).registry):
            pass
    except (ModelgatesError, OSError) as error:
        note(f"the event is not in the audit log yet ({error}); the next command that writes the log adds it")
    return 0


def unkill(arguments: argparse.Namespace) -> int:
    """Let predictions go on that `kill` or a trip stopped."""
    from ..audit import kill as switch
    from ..audit.writer import locked
    from ..policy.place import operations_at
    from ..predictions.records import checked_arm

    artifacts, arm = artifacts_of(arguments), checked_arm(arguments.arm)
    with locked(artifacts, operations_at(artifacts).registry):
        switch.unkill(artifacts, arm, arguments.reason)
    left = switch.killed(artifacts)
    print(f"{arm}: not killed any more" + "".join(f"; {each}" for each in left))
    return 0
