"""The A/B test on disk: which candidate answers which share of the rows beside the live model, until it is stopped.

One runs at a time. Its plan is one small file that every adapter looks at; nothing about it is in a model directory.
"""

import hashlib
import secrets
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from ..artifacts import Artifacts, ModelId
from ..errors import FormatError, RefusedError, RegistryError
from ..storage.atomic import sync_folder
from ..storage.digests import Sha256, sha256, sha256_of
from ..storage.paths import entries, is_file, is_link, is_there
from ..storage.row_keys import canonical
from ..storage.strict_json import Moment, parse_json, read_bytes, readable, typed
from ..storage.text import first_line
from .actor import actor, one_line_reason
from .chain import Event, Intent, append, lines
from .events import event_of
from .kinds import AB_START, AB_STOP

ARM = "ab"
"""The arm that a candidate's rows are logged under, so that they never count as the live model's."""
MOST = 0.5
"""The largest share of the rows that a candidate may answer."""
By = Literal["row", "asset"]
WAYS: tuple[By, ...] = get_args(By)
_LONGEST = 2**16
_NAME = r"^ab-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\Z"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is compared with what, on which rows, since when.

    Parameters
    ----------
    name : str
        Of the test. It also keys the hash by which rows are dealt, so that each test deals them anew.
    candidate, live : str
        The models' ids, with the digests that they had when it began.
    live_since : datetime
        When the change was made by which `live` went live. Any later change ends the test, one back to `live` too.
    share : float
        Of the rows that the candidate answers.
    by : {"row", "asset"}
        Whether each row is dealt by its whole key, or all rows of an asset alike; one that names none, by its key.
    """

    format: Literal[1] = 1
    name: Annotated[str, msgspec.Meta(pattern=_NAME)]
    started: Moment
    actor: str
    reason: str
    candidate: ModelId
    candidate_digest: Sha256
    live: ModelId
    live_digest: Sha256
    live_since: Moment
    share: Annotated[float, msgspec.Meta(gt=0, le=MOST)]
    by: By = "row"

    def takes(self, row_key: str) -> bool:
        """Whether a row is dealt to the candidate: the same answer for the same row in every process.

        A row is the same however its time is spelled.
        """
        unit = key = canonical(row_key)
        if self.by == "asset":
            unit = key.partition("|")[2] or key  # a key of one part names no asset
        digest = hashlib.blake2b(unit.encode(), key=self.name.encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2.0**64

    def outlived(self, change: Intent | None) -> str | None:
        """Say why no row is dealt any more, if the last change of the live model is another than when it began."""
        if change is None:
            return "nothing is live"
        if (change.digest, change.time) == (self.live_digest, self.live_since):
            return None
        if change.digest == self.candidate_digest:
            return f"{self.candidate} is live now"
        if change.digest != self.live_digest:
            return f"{change.to} is live now, and not {self.live}"
        return f"{self.live} went live again after the test began, and a change of the live model ends a test"

    @property
    def part(self) -> str:
        """The share for people."""
        return f"{100 * self.share:.3g}%"

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.name}: {self.candidate} beside {self.live}, {self.part} of the {self.by}s"


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A test that was stopped: its plan, and who stopped it when and why."""

    format: Literal[1] = 1
    plan: Plan
    stopped: Moment
    actor: str
    reason: str


def new_plan(
    *,
    candidate: str,
    candidate_digest: str,
    live: str,
    live_digest: str,
    live_since: datetime,
    share: float,
    by: By,
    reason: str,
) -> Plan:
    """Make the plan of a test that begins now.

    Raises
    ------
    RefusedError
        If no reason is given, or the share is not above 0 and at most a half.
    """
    why, now = checked(share, reason), datetime.now(UTC)
    return Plan(
        name=f"ab-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        started=now,
        actor=actor(),
        reason=why,
        candidate=candidate,
        candidate_digest=candidate_digest,
        live=live,
        live_digest=live_digest,
        live_since=live_since,
        share=share,
        by=by,
    )


def checked(share: float, reason: str) -> str:
    """Give the reason of a test on one line; raises RefusedError if there is none, or the share is out of its range."""
    if not 0 < share <= MOST:
        raise RefusedError(
            f"a share of {share:g}: give one above 0, at most {MOST:g}; to give a candidate all rows, promote it"
        )
    return one_line_reason(reason, "A/B test")


def refuse_second(artifacts: Artifacts) -> None:
    """Raise RefusedError if a test runs."""
    if is_there(artifacts.ab):
        running = read_plan(artifacts)
        raise RefusedError(f'an A/B test runs: {running}; stop it first: modelgates ab stop --reason "…"')


def read_plan(artifacts: Artifacts) -> Plan | None:
    """Read the plan of the test that runs; None if none does.

    Raises
    ------
    FormatError
        If what lies there is no plan.
    """
    path = artifacts.ab
    if not is_there(path):
        return None
    if is_link(path):
        raise FormatError(f'{path}: a link, expected a file; take it away: modelgates ab stop --reason "…"')
    try:
        return typed(parse_json(read_bytes(path, limit=_LONGEST), str(path)), Plan, str(path))
    except FileNotFoundError:
        return None
    except FormatError as error:
        if not is_there(path):  # it was stopped meanwhile
            return None
        what = 'take it away: modelgates ab stop --reason "…"' if is_file(path) else "remove it by hand"
        raise FormatError(f"{error}; {what}") from error


def start(artifacts: Artifacts, plan: Plan) -> None:
    """Begin a test: the event first, so that nothing is dealt that the log does not tell. The caller holds the lock.

    Raises
    ------
    RefusedError
        If one runs.
    """
    refuse_second(artifacts)
    content = readable(plan)
    event = event_of(AB_START, plan.name, plan.reason, sha256(content))
    append(artifacts.log, event, mode=artifacts.file_mode)
    artifacts.write(artifacts.ab, content)


def stop(artifacts: Artifacts, reason: str) -> Ended | None:
    """End the test that runs, and keep what it was; the caller holds the lock.

    One whose end is in the log, while its plan still lies there, keeps that end.

    Returns
    -------
    Ended or None
        None if what lay there was no plan. It is taken away all the same.

    Raises
    ------
    RefusedError
        If none runs, or no reason is given.
    RegistryError
        If what lies there is no file.
    """
    path, why = artifacts.ab, one_line_reason(reason, "end of an A/B test")
    if not is_there(path):
        raise RefusedError("no A/B test runs; see: modelgates ab status")
    if not (is_link(path) or is_file(path)):
        raise RegistryError(f"{path}: not a file; remove it by hand")
    ended, subject, shown = None, "damaged", None
    with suppress(FormatError):
        if (plan := read_plan(artifacts)) and (ended := _cut_short(artifacts, plan)) is None:
            ended = Ended(plan=plan, stopped=datetime.now(UTC), actor=actor(), reason=why)
            content, subject = readable(ended), plan.name
            shown = sha256(content)
            artifacts.write(artifacts.ended_abs / f"{plan.name}.json", content)
    if not ended or shown:
        append(artifacts.log, event_of(AB_STOP, subject, why, shown), mode=artifacts.file_mode)
    path.unlink()
    sync_folder(path.parent)
    return ended


def _cut_short(artifacts: Artifacts, plan: Plan) -> Ended | None:
    """Find how a test was stopped already, if all is written but the plan was not yet taken away."""
    path = artifacts.ended_abs / f"{plan.name}.json"
    with suppress(FormatError, OSError):
        found, digest = _read_ended(path), sha256_of(path)
        with closing(lines(artifacts.log)) as records:
            for record, _ in records:
                if isinstance(record, Event) and record.subject == plan.name:
                    return found if (record.kind, record.evidence) == (AB_STOP, digest) else None
    return None


def ended(artifacts: Artifacts) -> list[Ended]:
    """Read the tests that were stopped, the last one first; what cannot be read is passed over."""
    return kept(artifacts)[0]


def kept(artifacts: Artifacts) -> tuple[list[Ended], dict[Path, str]]:
    """Read the tests that were stopped, the last one first, and say of files that are not as `stop` wrote them why."""
    folder = artifacts.ended_abs
    found, odd = list[Ended](), dict[Path, str]()
    for path in entries(folder, "ab-*.json"):
        try:
            found.append(_read_ended(path))
        except FormatError as error:
            odd[path] = first_line(error)
        except OSError as error:
            odd[path] = f"{path}: {error.strerror or error}"
    return sorted(found, key=lambda each: each.stopped, reverse=True), odd


def _read_ended(path: Path) -> Ended:
    return typed(parse_json(read_bytes(path, limit=_LONGEST), str(path)), Ended, str(path))


def last_of(artifacts: Artifacts, digest: str) -> Plan | Ended | None:
    """Find the test that runs, or ran last, of a candidate with this digest; raises as `read_plan` does."""
    running = read_plan(artifacts)
    if running and running.candidate_digest == digest:
        return running
    return next((each for each in ended(artifacts) if each.plan.candidate_digest == digest), None)
