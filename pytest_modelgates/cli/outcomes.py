"""What came of the rows that were predicted: `outcomes add`, `outcomes show`."""

import argparse
from pathlib import Path

from ..errors import RefusedError
from .options import ARTIFACTS, JSON, POLICY, Verbs, acting, argument, artifacts_of, print_json


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    outcomes = verbs.noun("outcomes", "Add or show what came of the rows that were predicted: returns or labels.")
    outcomes.add(
        "add",
        add,
        argument(
            "file",
            type=Path,
            help="CSV or Parquet: the columns that name a row, and `return` (the next day's) or `label`",
        ),
        argument("--model", metavar="ID", help="the model that names the columns of a row; default: the live one"),
        argument("--reason", help="why outcomes that are known already are corrected"),
        ARTIFACTS,
        POLICY,
    )
    outcomes.add("show", show, ARTIFACTS, JSON)


def add(arguments: argparse.Namespace) -> int:
    """Add what came of rows; ends with 1 if nobody predicted any of them."""
    from ..model.directory import ModelDirectory
    from ..predictions.outcomes import add_outcomes
    from ..registry.store import live_change

    artifacts = artifacts_of(arguments)
    rules = acting(artifacts, arguments).operations.registry
    with ModelDirectory(artifacts.model(arguments.model or live_change(artifacts).to)) as model:
        keys = model.sidecar.keys
    if not keys:
        raise RefusedError("the model's rows have neither a time nor a name, so nothing says which row came out how")
    done = add_outcomes(artifacts, arguments.file, list(keys), rules, reason=arguments.reason)
    print(
        f"{done.rows} outcomes: {done.new} new, {done.known} known already, {done.corrected} corrected; "
        f"{done.unmatched} of rows that nobody predicted"
    )
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Show how many of the rows that count have an outcome, arm by arm."""
    from ..predictions.counting import Tally, Window, count_log
    from ..predictions.outcomes import read_outcomes
    from ..predictions.parts import arms

    artifacts = artifacts_of(arguments)
    outcomes = read_outcomes(artifacts)
    found = {}
    for arm in arms(artifacts):
        rows = known = 0
        for records in count_log(artifacts, arm, Window(), Tally()):
            rows += len(records)
            known += sum(outcomes.of(record.row_key) is not None for record in records)
        found[arm] = {"rows": rows, "with_outcome": known}
    if arguments.json:
        print_json({"outcomes": len(outcomes.values), "corrected": outcomes.corrected, "arms": found})
        return 0
    print(f"{len(outcomes.values)} outcomes in {len(outcomes.files)} files, {outcomes.corrected} corrections")
    for arm, counts in found.items():
        print(f"{arm}: {counts['with_outcome']} of {counts['rows']} predictions have one")
    return 0
