"""The verb that tells MLflow what is live, `mlflow mirror`, and what other verbs do of that at their end."""

import argparse
from typing import TYPE_CHECKING

from ..errors import ModelgatesError, PolicyError, UsageError
from ..storage.text import first_line, listed
from .alerts import acted_on
from .options import ARTIFACTS, Verbs, artifacts_of, note, operations_of

if TYPE_CHECKING:
    from ..monitoring.mirror import Mirrored

LATER = "they wait for: modelgates mlflow mirror"


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.noun("mlflow", "Tell an MLflow server what is live.").add("mirror", mirror, ARTIFACTS)


def mirror(arguments: argparse.Namespace) -> int:
    """Tell MLflow what is live, as every promotion and rollback does at its end; ends with 1 if it cannot be told.

    The version that the live model was packed from (`modelgates pack --from-mlflow`) gets the alias of operations.toml,
    [mlflow] alias, and each version that went live the tags modelgates.id, modelgates.model_digest and
    modelgates.report_digest. MLflow decides nothing: latest and the audit log do. A model that was packed from
    elsewhere is not mirrored; while it is live, no version has the alias.
    """
    artifacts = artifacts_of(arguments)
    rules = operations_of(artifacts).mlflow
    if rules.address is None:
        print("nothing to mirror: operations.toml has no tracking_uri under [mlflow]")
        return 0
    from ..monitoring.mirror import mirror as mirror_all

    mirrored = mirror_all(artifacts, rules, again=True)
    _say_odd(mirrored)
    if mirrored.problem is None:
        print(listed(mirrored.done, between="\n") or "nothing to mirror: MLflow says what is live")
    return 1 if mirrored.problem or mirrored.odd else 0


def mirror_at_end(arguments: argparse.Namespace, refusal: ModelgatesError | None) -> None:
    """Tell MLflow what the command that has just ended has changed; what goes wrong is a note, and changes nothing."""
    try:
        if getattr(arguments, "dry_run", False) or isinstance(refusal, UsageError):
            return
        if (artifacts := acted_on(arguments)) is None:
            return
        if (rules := operations_of(artifacts).mlflow).address is None:
            return
        from ..monitoring.mirror import mirror as mirror_all

        mirrored = mirror_all(artifacts, rules)
        if mirrored.done:
            note(f"MLflow: {listed(mirrored.done, between='; ')}")
        _say_odd(mirrored)
    except KeyboardInterrupt:
        note(f"interrupted while MLflow was told of changes; {LATER}")
    except PolicyError:  # of operations.toml, on which alerts have spoken
        return
    except (ModelgatesError, OSError) as error:
        note(f"MLflow is not told of changes: {first_line(error)}; {LATER}")
    except Exception as error:  # a fault in what tells of a decision must not look like a fault of the decision
        note(f"MLflow is not told of changes: {type(error).__name__}; please report this")


def _say_odd(mirrored: "Mirrored") -> None:
    from ..monitoring.mirror import in_words

    if words := in_words(mirrored):
        note(f"MLflow: {words}")
