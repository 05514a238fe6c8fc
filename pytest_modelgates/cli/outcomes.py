"""What came of the rows that were predicted: `outcomes add`, `outcomes show`, `outcomes realised`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RefusedError
from ..storage.text import counted
from .options import ARTIFACTS, JSON, POLICY, SINCE, UNTIL, Verbs, acting, argument, artifacts_of, looking, print_json

if TYPE_CHECKING:
    from ..monitoring.realised import Mean, Realised


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
    outcomes.add(
        "realised",
        realised,
        argument("model", nargs="?", help="the model's id or path; default: the live one"),
        argument("--arm", default="live", help="the arm that predicted; default: live"),
        SINCE,
        UNTIL,
        ARTIFACTS,
        POLICY,
        JSON,
    )


def add(arguments: argparse.Namespace) -> int:
    """Add what came of rows; ends with 1 if nobody predicted any of them."""
    from ..model.directory import LocalDirectory
    from ..predictions.outcomes import add_outcomes
    from ..registry.store import live_change

    artifacts = artifacts_of(arguments)
    rules = acting(artifacts, arguments).operations.registry
    with LocalDirectory(artifacts.model(arguments.model or live_change(artifacts).to)) as model:
        keys = model.sidecar.keys
    if len(keys) < 2:
        lacks = "a time and a name" if not keys else "a name" if model.sidecar.time else "a time"
        raise RefusedError(f"the model's rows lack {lacks}, so they go by what they hold, and no outcome names them")
    done = add_outcomes(artifacts, arguments.file, list(keys), rules, reason=arguments.reason)
    print(
        f"{counted(done.rows, 'outcome')}: {done.new} new, {done.known} known already, {done.corrected} corrected; "
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
            known += sum(outcomes.key_of(record.row_key) is not None for record in records)
        found[arm] = {"rows": rows, "with_outcome": known}
    if arguments.json:
        print_json({"outcomes": len(outcomes.values), "corrected": outcomes.corrected, "arms": found})
        return 0
    print(
        f"{counted(len(outcomes.values), 'outcome')} in {counted(len(outcomes.files), 'file')}, "
        f"{counted(outcomes.corrected, 'correction')}"
    )
    for arm, counts in found.items():
        print(f"{arm}: {counts['with_outcome']} of {counts['rows']} predictions have one")
    return 0


def realised(arguments: argparse.Namespace) -> int:
    """Show what a model's predictions have come to: IC and PnL after costs, or its own metric."""
    from dataclasses import asdict

    from ..drift.verdict import as_json
    from ..model.directory import LocalDirectory
    from ..monitoring import realised as monitoring
    from ..predictions.counting import Window
    from ..predictions.records import checked_arm
    from ..registry.store import live_change

    artifacts = artifacts_of(arguments)
    policy = looking(artifacts, arguments).policy
    model_id = arguments.model or live_change(artifacts).to
    with LocalDirectory(artifacts.model(model_id)) as model:
        sidecar, digest = model.sidecar, model.verify()
    window = Window(digest=digest, since=arguments.since, until=arguments.until)
    found = monitoring.realised(artifacts, policy, sidecar, model_id, checked_arm(arguments.arm), window)
    if arguments.json:
        print_json(as_json(asdict(found)))
    else:
        print(*_in_words(found), sep="\n")
    return 0


def _in_words(found: "Realised") -> list[str]:
    said = [f"{found.model_id} as {found.arm}: {found.rows} rows with an outcome; {found.waiting} have none yet"]
    if found.first_day:
        said.append(f"  {found.days} days, {found.first_day} to {found.last_day}")
    if found.missing:
        said.append(f"  {found.missing} periods between them have no row")
    if found.metric:
        name, value = found.metric
        said.append(f"  {name} {value:.4f}")
    if traded := found.traded:
        said.append(f"  IC of a day {_mean(traded.ic)}; after costs {_mean(traded.ic_net)}")
        said.append(f"  earned {traded.earned:.2%} of capital after costs, on paper")
        if pnl := traded.pnl:
            said.append(
                f"  Sharpe {pnl.sharpe:.2f} ± {pnl.sharpe_error:.2f} a year, drawdown {pnl.risk.max_drawdown:.2%}, "
                f"turnover {pnl.mean_turnover:.2f} a day"
            )
        if traded.without_impact:
            said.append("  impact is not charged: nothing says what the market traded")
    return said


def _mean(mean: "Mean") -> str:
    if mean.interval is None:
        return f"{mean.value:.4f}"
    return f"{mean.value:.4f} ({mean.interval[0]:.4f} to {mean.interval[1]:.4f})"
