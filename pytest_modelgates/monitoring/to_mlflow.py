"""What MLflow is told of what is live, in a process of its own.

``python -P -m pytest_modelgates.monitoring.to_mlflow`` reads what is wanted from stdin and prints what became of it.
Each step says how things must be, so that any of them may be taken again.
"""

import os
import sys
from typing import Any

import msgspec

from ..errors import MissingExtraError
from ..mlflow_client import client_of, in_words, is_absent


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model, and the tags that it must have."""

    name: str
    version: str
    tags: dict[str, str]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How things must be at a server: `aliased` says for each name which version has the alias, or that none has."""

    address: str
    alias: str
    versions: list[Version]
    aliased: dict[str, str | None]


class Became(msgspec.Struct, kw_only=True):
    """What became of it: what was done, what MLflow no longer has, and why it ended, if it did not come to its end."""

    done: list[str] = []
    absent: list[str] = []
    problem: str | None = None


def carry_out(wanted: Wanted) -> Became:
    """Make things so; stop at the first fault of the server."""
    became = Became()
    try:
        client = client_of(wanted.address)
        for version in wanted.versions:
            _tag(client, version, became)
        for name, holder in wanted.aliased.items():
            _move(client, name, wanted.alias, holder, became)
    except MissingExtraError as error:
        became.problem = str(error)
    except Exception as error:  # of MLflow, of requests, of anything below them
        became.problem = in_words(error)
    return became


def _tag(client: Any, wanted: Version, became: Became) -> None:
    try:
        has = client.get_model_version(wanted.name, wanted.version).tags
    except Exception as error:
        if not is_absent(error):
            raise
        became.absent.append(f"models:/{wanted.name}/{wanted.version}")
        return
    missing = {key: value for key, value in wanted.tags.items() if has.get(key) != value}
    for key, value in missing.items():
        client.set_model_version_tag(wanted.name, wanted.version, key, value)
    if missing:
        became.done.append(f"models:/{wanted.name}/{wanted.version} is tagged")


def _move(client: Any, name: str, alias: str, holder: str | None, became: Became) -> None:
    try:
        has = client.get_registered_model(name).aliases.get(alias)
        if holder is None and has is not None:
            client.delete_registered_model_alias(name, alias)
            became.done.append(f"models:/{name} has no @{alias} any more")
        elif holder is not None and str(has) != holder:
            client.set_registered_model_alias(name, alias, holder)
            became.done.append(f"models:/{name}/{holder} is @{alias}")
    except Exception as error:
        if not is_absent(error):
            raise
        if holder is not None:
            became.absent.append(f"models:/{name}/{holder}")


if __name__ == "__main__":
    only = os.fdopen(os.dup(1), "wb")  # what libraries print goes elsewhere
    os.dup2(2, 1)
    only.write(msgspec.json.encode(carry_out(msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted))))
    only.flush()
    os._exit(0)
