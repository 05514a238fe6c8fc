"""The verb that shows the log of predictions: `predictions`."""

import argparse
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..storage.text import counted
from .options import ARTIFACTS, JSON, SINCE, UNTIL, Verbs, argument, artifacts_of, note, print_json

if TYPE_CHECKING:
    from ..artifacts import Artifacts
    from ..predictions.counting import Tally


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "predictions",
        predictions,
        argument("what", nargs="?", choices=["compact"], help="turn closed parts into Parquet; default: show all"),
        argument("--arm", help="this arm alone, such as live or shadow; default: every arm"),
        argument("--model", metavar="ID", help="this model alone"),
        SINCE,
        UNTIL,
        ARTIFACTS,
        JSON,
    )


def predictions(arguments: argparse.Namespace) -> int:
    """Show what became of every record of the prediction log; ends with 1 if the log is not whole."""
    from ..predictions.counting import Tally, Window, count_log
    from ..predictions.parts import arms
    from ..storage.digests import tree_digest

    artifacts = artifacts_of(arguments)
    found = [arguments.arm] if arguments.arm else arms(artifacts)
    if arguments.what:
        return _compact(artifacts, found, arguments)
    digest = tree_digest(artifacts.model(arguments.model)) if arguments.model else None
    window = Window(digest=digest, since=arguments.since, until=arguments.until)
    tallies = {arm: Tally() for arm in found}
    for arm, tally in tallies.items():
        for _ in count_log(artifacts, arm, window, tally):
            pass
    if arguments.json:
        print_json({arm: _as_json(tally) for arm, tally in tallies.items()})
    else:
        print(*(_in_words(arm, tally) for arm, tally in tallies.items()), sep="\n", end="\n" if tallies else "")
        if not tallies:
            print("nothing was predicted yet")
    return 0 if all(tally.complete for tally in tallies.values()) else 1


def _as_json(tally: "Tally") -> dict[str, object]:
    counts = {key: value for key, value in asdict(tally).items() if not key.startswith("_")}
    return {**counts, "repeated": tally.repeated, "complete": tally.complete}


def _in_words(arm: str, tally: "Tally") -> str:
    """Say what became of the lines, each kind on a line of its own."""
    kinds = {
        "count": tally.counted,
        "are of rows that could not be scored": tally.failed,
        "are of rows that the same part scores again": tally.replaced,
        "are of other models": tally.others,
        "were scored outside the window": tally.outside,
        "are of a time that is yet to come": tally.future,
        "are not records": tally.bad,
    }
    said = [f"{arm}: {counted(tally.lines, 'line')} in {counted(tally.parts, 'part')}, {tally.closed} of them closed"]
    said += [f"  {count} {what}" for what, count in kinds.items() if count]
    if tally.repeated:
        said.append(f"  {tally.repeated:.1%} of those that count are of rows that another part counts too")
    if tally.torn:
        said.append(f"  {counted(tally.torn, 'part')} cut off within a line, which is or was being written")
    return "\n".join([*said, *(f"  {text}" for text in tally.notes)])


def _compact(artifacts: "Artifacts", found: list[str], arguments: argparse.Namespace) -> int:
    from ..predictions.compacting import compact
    from ..predictions.parts import parts

    if arguments.model or arguments.json or arguments.until:
        raise UsageError("compact takes --arm and --since alone")
    since = arguments.since.astimezone(UTC).date() if arguments.since else None
    done = 0
    for arm in found:
        for part in parts(artifacts, arm, since=since):
            why = compact(artifacts, part)
            done += why is None
            if why not in (None, "Parquet already"):
                note(f"{part.path}: left as it is ({why})")
    print(f"{counted(done, 'part')} turned into Parquet")
    return 0
