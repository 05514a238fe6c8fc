"""The verb that tells MLflow what is live, `mlflow mirror`, and what other verbs do of that at their end."""

import argparse
from typing import TYPE_CHECKING

from ..artifacts import Artifacts
from ..storage.text import listed
from .options import ARTIFACTS, Verbs, artifacts_of, note, operations_of

if TYPE_CHECKING:
    from ..monitoring.mirror import Mirrored
    from ..policy.operations import MlflowRules


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


def mirror_at_end(artifacts: Artifacts, rules: "MlflowRules") -> None:
    """Tell MLflow what the command that has just ended has changed."""
    if rules.address is None:
        return
    from ..monitoring.mirror import mirror as mirror_all

    mirrored = mirror_all(artifacts, rules)
    if mirrored.done:
        note(f"MLflow: {listed(mirrored.done, between='; ')}")
    _say_odd(mirrored)


def _say_odd(mirrored: "Mirrored") -> None:
    from ..monitoring.mirror import in_words

    if words := in_words(mirrored):
        note(f"MLflow: {words}")
