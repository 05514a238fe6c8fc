"""Verbs of a registry that many machines share: `push`, `pull`, `follow`."""

import argparse
from typing import TYPE_CHECKING

from ..artifacts import Artifacts
from ..errors import ModelgatesError, UsageError
from .at_end import tell
from .options import ARTIFACTS, POLICY, Verbs, acting, argument, artifacts_of, key_of, key_option, note
from .progress import working
from .watch import again_and_again, span

if TYPE_CHECKING:
    from ..registry.pulling import Pulled

_URL = argument(
    "bucket", nargs="?", help="its address, such as s3://models/desk; default: url under [bucket] in operations.toml"
)


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "push",
        push,
        _URL,
        argument(
            "--restore", action="store_true", help="put back the records and files that the bucket lost, and no more"
        ),
        key_option("sign the record"),
        ARTIFACTS,
        POLICY,
    )
    verbs.add(
        "pull",
        pull,
        _URL,
        argument("--reason", default="", help="why what this machine did by itself is given up, for the audit log"),
        argument(
            "--anew",
            action="store_true",
            help="set the copy of the bucket's log aside, and begin with what the bucket has; needs --reason",
        ),
        ARTIFACTS,
        POLICY,
        announces=True,
    )
    verbs.add(
        "follow",
        follow,
        _URL,
        argument("--every", type=span, default=10.0, metavar="SPAN", help="how often: 10s, 5m or 1h; default: 10s"),
        ARTIFACTS,
        POLICY,
        announces=True,
    )


def push(arguments: argparse.Namespace) -> int:
    """Tell a bucket what is live here: the first model that is shared, or a rollback that it was not told of.

    A promotion needs no push: where operations.toml names a bucket, promote asks the bucket itself.
    """
    from ..registry import sharing
    from ..registry.store import live_id

    artifacts = artifacts_of(arguments)
    in_force = acting(artifacts, arguments)
    if arguments.restore:
        with working("comparing with the bucket"):
            done = sharing.restore(artifacts, in_force, url=arguments.bucket)
        print(*(f"put back: {name}" for name in done), sep="\n", end="\n" if done else "")
        if not done:
            print("the bucket has every record that this machine has")
        return 0
    with working("copying files"):
        head = sharing.push(artifacts, in_force, url=arguments.bucket, key=key_of(arguments))
    live = live_id(artifacts)
    print(f"told the bucket that {live} is live\nbucket: {head}" if head else f"the bucket says {live} is live already")
    return 0


def pull(arguments: argparse.Namespace) -> int:
    """Take what is new in a bucket, verify it, and make live here what it says is live.

    Ends with 1 if what it holds is not as it must be, or if this machine went another way; the live model stays.
    """
    from ..registry import pulling

    if arguments.anew and not arguments.reason:
        raise UsageError('--anew gives up what this machine knew; say why: --reason "…"')
    artifacts = _root(arguments)
    in_force = acting(artifacts, arguments)
    with working("reading the bucket"):
        found = pulling.pull(artifacts, in_force, url=arguments.bucket, reason=arguments.reason, anew=arguments.anew)
    _print(found)
    if not found.done:
        print(f"nothing is new; {found.live} is live" if found.live else "the bucket holds no change yet")
    return 0


def follow(arguments: argparse.Namespace) -> int:
    """Pull again and again, until it is ended; what cannot be done is said once, and serving goes on."""
    from ..registry import pulling
    from ..registry.bucket_log import open_bucket
    from ..registry.in_force import for_acting

    artifacts = _root(arguments)
    open_bucket(artifacts, acting(artifacts, arguments).operations.bucket, arguments.bucket)
    said, first = "", True

    def look() -> None:
        nonlocal said, first
        try:
            in_force = for_acting(artifacts, arguments.policy)
            found = pulling.pull(artifacts, in_force, url=arguments.bucket, whole=first)
        except (ModelgatesError, OSError) as error:
            text = f"{error.strerror or error}: {error.filename}" if isinstance(error, OSError) else str(error)
            if text != said:
                note(f"not followed: {text}")
            said = text
            return
        if said:
            note("followed again")
        said, first = "", False
        _print(found)
        tell(arguments, None)

    again_and_again(look, arguments.every)
    return 0


def _root(arguments: argparse.Namespace) -> Artifacts:
    from ..registry.pulling import prepare_root

    prepare_root(Artifacts.at(arguments.artifacts))
    return artifacts_of(arguments)


def _print(found: "Pulled") -> None:
    for text in found.notes:
        note(f"note: {text}")
    if done := found.done:
        before = done.change.from_ or "nothing"
        print(f"{done.change.to} is live, in place of {before} (sha256:{done.change.digest[:16]})")
        print(f"bucket: {found.head}\naudit log: {done.head}", flush=True)
