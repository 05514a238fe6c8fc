"""What verbs do at their end: alerts go out, and MLflow is told. It changes nothing of what the verb has decided."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ModelgatesError, PolicyError, UsageError
from ..storage.text import first_line
from . import alerts, mlflow
from .options import note, operations_of

if TYPE_CHECKING:
    from ..policy.operations import Operations


def tell(arguments: argparse.Namespace, refusal: ModelgatesError | None) -> None:
    """Tell of what the command has done that has just ended; what goes wrong is a note."""
    if getattr(arguments, "dry_run", False) or isinstance(refusal, UsageError):
        return
    operations: Operations | None = None
    with _harmless("alerts are", "sent", "alert send"):
        artifacts = alerts.acted_on(arguments)
        if artifacts is None:
            return
        try:
            operations = operations_of(artifacts)
        except PolicyError:
            if isinstance(refusal, PolicyError):
                return
            raise
        alerts.announce(arguments, refusal, artifacts, operations.alerts)
    if operations and artifacts:
        with _harmless("MLflow is", "told of changes", "mlflow mirror"):
            mlflow.mirror_at_end(artifacts, operations.mlflow)


@contextmanager
def _harmless(what: str, done: str, later: str) -> Iterator[None]:
    """Make a note of what goes wrong: a fault here must not look like one of the decision."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"interrupted while {what} {done}; what is left waits for: modelgates {later}")
    except (ModelgatesError, OSError) as error:
        note(f"{what} not {done}: {first_line(error)}; they wait for: modelgates {later}")
    except Exception as error:
        note(f"{what} not {done}: {type(error).__name__}; please report this")
