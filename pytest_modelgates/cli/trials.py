"""The verb of the ledger of trials."""

import argparse
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import RefusedError, UsageError
from .options import (
    ARTIFACTS,
    JSON,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    count,
    key_of,
    key_option,
    print_json,
)

MOST = 1_000_000  # at once

if TYPE_CHECKING:
    from ..artifacts import Artifacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An entry of the ledger, as it is shown: one trial, or a number of them that were tried elsewhere.

    `family` counts the kinds of market data from 1; it is None for what counts on any data, which `lost` explains.
    `models` are the ids of the directories that are here and hold this trial.
    """

    time: datetime
    trial: str | None
    trials: int
    family: int | None
    models: list[str]
    days: int
    first: str | None
    last: str | None
    lost: bool
    actor: str
    reason: str

    def __str__(self) -> str:
        """Show it to people."""
        days = f"{self.days} days held, {self.first} to {self.last}" if self.days else "no days to compare"
        what = "its file is lost" if self.lost else days if self.trial else "tried elsewhere"
        name = self.trial[:12] if self.trial else f"+ {self.trials}"
        data = f"data {self.family}" if self.family else "any   "
        model = ", ".join(self.models) if self.models else "gone" if self.trial else "-"
        return f"{self.time:%Y-%m-%d %H:%M:%S}  {name:12}  {data}  {model:10}  {what}  {self.actor}  {self.reason}"


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "trials",
        trials,
        argument("what", nargs="?", choices=["add"], help="add what was tried elsewhere; nothing takes it back"),
        argument("number", nargs="?", type=_tried, metavar="N", help="how many were tried elsewhere"),
        argument("--reason", default="", help="what they were, for the audit log; `add` requires it"),
        argument(
            "--model", metavar="ID", help="they were tried on the data of this model; without it they count on any data"
        ),
        key_option("with `add`, sign the log"),
        ARTIFACTS,
        POLICY,
        JSON,
    )


def _tried(text: str) -> int:
    """Read how many were tried. Nothing takes them back, so that a slip of the hand must not end a registry."""
    if (number := count(text)) > MOST:
        raise argparse.ArgumentTypeError(f"'{number}' is too many, give at most {MOST:,}: nothing takes them back")
    return number


def trials(arguments: argparse.Namespace) -> int:
    """Show every trial that was counted here, or add those that were made elsewhere; times are UTC."""
    artifacts = artifacts_of(arguments)
    if arguments.what:
        return _add(artifacts, arguments)
    if arguments.model or arguments.reason:
        raise UsageError("--model and --reason belong to: modelgates trials add N")
    from ..storage.text import counted

    lines = _lines(artifacts)
    if arguments.json:
        print_json([asdict(line) for line in lines])
        return 0
    if lines:
        print("packed (UTC)         trial         market  model       what, by whom, and why")
    print(*lines, sep="\n", end="\n" if lines else "")
    families = sorted({line.family for line in lines if line.family})
    anywhere = sum(line.trials for line in lines if line.family is None)
    for family in families:
        number = sum(line.trials for line in lines if line.family == family) + anywhere
        print(f"market data {family}: {counted(number, 'trial')}, besides what the models declare")
    if not families:
        print(f"{anywhere} trials" if lines else "no trial was counted yet")
    return 0


def _lines(artifacts: "Artifacts") -> list[Line]:
    from ..audit.kinds import ADDED
    from ..stats.families import Hashes, one_family
    from ..storage.text import printable
    from ..trials.ledger import kept_by, models_here, read_ledger

    lines, known, here = list[Line](), list[Hashes](), models_here(artifacts)
    for event in read_ledger(artifacts)[::-1]:
        kept, family = kept_by(artifacts, event), None
        if kept and kept.market.size:
            same = (number for number, market in enumerate(known, 1) if one_family(kept.market, market))
            family = next(same, None)
            if family is None:
                known.append(kept.market)
                family = len(known)
        days = kept.rows["day"].tolist() if kept else []
        added = event.kind == ADDED
        lines.append(
            Line(
                time=event.time,
                trial=None if added else event.subject,
                trials=int(event.subject) if added else 1,
                family=family,
                models=[] if added else here.get(event.subject, []),
                days=len(days),
                first=str(days[0]) if days else None,
                last=str(days[-1]) if days else None,
                lost=kept is None and event.evidence is not None,
                actor=printable(event.actor),
                reason=printable(event.reason),
            )
        )
    return lines


def _add(artifacts: "Artifacts", arguments: argparse.Namespace) -> int:
    from ..audit.kinds import ADDED
    from ..registry.events import record_event
    from ..storage.text import counted
    from ..trials.ledger import keep_data_of

    if arguments.number is None:
        raise UsageError('add how many? Give a number, as in: modelgates trials add 45 --model ID --reason "…"')
    if not arguments.reason.strip():
        raise RefusedError('say what they were: --reason "…"')
    rules = acting(artifacts, arguments).operations.registry
    evidence = keep_data_of(artifacts, arguments.model) if arguments.model else None
    record_event(
        artifacts,
        rules,
        kind=ADDED,
        subject=str(arguments.number),
        reason=arguments.reason,
        evidence=evidence,
        key=key_of(arguments),
    )
    number = counted(arguments.number, "trial")
    if evidence:
        print(f"{number} added, on the data of {arguments.model}; nothing takes them back")
    else:
        print(f"{number} added: they count for every model of this registry, on whatever data; nothing takes them back")
    return 0
