"""Verbs of goldens, the predictions that live ones are compared with: `golden set`, `show`, `list` and `diff`."""

import argparse

from ..errors import UsageError
from .options import (
    ARTIFACTS,
    JSON,
    POLICY,
    Verbs,
    acting,
    argument,
    artifacts_of,
    id_in,
    key_of,
    key_option,
    moment,
    note,
    print_json,
)

_NONE = "no golden yet; a promotion saves one, and so does: modelgates golden set ID"


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    golden = verbs.noun("golden", "Save, show or compare goldens, the predictions that live ones are compared with.")
    golden.add(
        "set",
        golden_set,
        argument("model", help="the model's id or path"),
        argument(
            "--from",
            dest="source",
            metavar="FILE|MODEL|log|sha256:…",
            help="a Parquet or CSV file with the column `prediction`; a model's id, for its panel; `log`, for what "
            "the model predicted live; or an earlier golden, to put it back; default: the model's own panel",
        ),
        argument("--since", type=moment, metavar="TIME", help="with `log`: scored from then on; ISO 8601, in UTC"),
        argument("--until", type=moment, metavar="TIME", help="with `log`: scored before"),
        argument("--of-another-model", action="store_true", help="take predictions of another model"),
        argument("--reason", default="", help="why, for the audit log; default: where they are from"),
        key_option("sign the log"),
        ARTIFACTS,
        POLICY,
    )
    golden.add(
        "show",
        golden_show,
        argument("model", nargs="?", help="the model's id or path; default: the live model"),
        ARTIFACTS,
        JSON,
    )
    golden.add("list", golden_list, ARTIFACTS, JSON)
    which = "a model's id or path, for its golden in force, or sha256: and the first digits of a golden"
    golden.add("diff", golden_diff, argument("a", help=which), argument("b", help=which), ARTIFACTS, JSON)


def golden_set(arguments: argparse.Namespace) -> int:
    """Put a model's golden in force, and write it into the audit log; the one before is kept."""
    from ..drift.versions import DIGITS
    from ..registry.golden import LOG, set_golden

    since, until = arguments.since, arguments.until
    if (since or until) and arguments.source != LOG:
        raise UsageError("--since and --until choose from the live log: add --from log")
    if since and until and since >= until:
        raise UsageError(f"--since {since:%Y-%m-%d %H:%M} is not before --until {until:%Y-%m-%d %H:%M}: swap them")
    artifacts = artifacts_of(arguments)
    rules = acting(artifacts, arguments).operations.registry
    done = set_golden(
        artifacts,
        arguments.model,
        arguments.source,
        rules,
        since=since,
        until=until,
        of_another=arguments.of_another_model,
        reason=arguments.reason,
        key=key_of(arguments),
    )
    print(done.path, f"  {done.words}", sep="\n")
    if done.before:
        back = f"modelgates golden set {arguments.model} --from sha256:{done.before.sha256[:DIGITS]}"
        note(f"the golden before is kept; to put it back: {back}")
    return 0


def golden_show(arguments: argparse.Namespace) -> int:
    """Show a model's golden, those before it, and the last check against it; ends with 1 if its file is damaged."""
    from ..monitoring.goldens import in_words, shown

    found = shown(artifacts_of(arguments), arguments.model)
    if arguments.json:
        print_json(found and found.as_json)
    else:
        print(in_words(found) if found else _NONE)
    return 1 if found and found.problem else 0


def golden_list(arguments: argparse.Namespace) -> int:
    """List the golden of each model, and how many it had before."""
    from ..drift.versions import golden_metadata

    metadata = golden_metadata(artifacts_of(arguments).golden)
    if arguments.json:
        print_json(metadata)
        return 0
    for model_id, golden in sorted(metadata.goldens.items()):
        earlier = f"  {len(golden.history)} earlier" if golden.history else ""
        print(f"{model_id}  {golden.rows} rows  {golden.saved:%Y-%m-%d %H:%M}  {golden.name}{earlier}")
    if not metadata.goldens:
        print(_NONE)
    return 0


def golden_diff(arguments: argparse.Namespace) -> int:
    """Compare two goldens, of two models or of one: PSI, KS distance, moments and quantiles."""
    from ..monitoring.goldens import difference, difference_in_words

    artifacts = artifacts_of(arguments)
    found = difference(artifacts, id_in(artifacts, arguments.a), id_in(artifacts, arguments.b))
    if arguments.json:
        print_json(found.as_json)
    else:
        print(difference_in_words(found))
    return 0
