"""A drill of the kill switch: every adapter that runs must stop while it is on, and a server take up work after it."""

import http.client
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from ..artifacts import ALL_ARMS, Artifacts
from ..audit.actor import printable_actor
from ..audit.chain import Event, append, lines
from ..audit.events import event_of
from ..audit.kill import Killed, drilling, killed
from ..audit.kinds import DRILL
from ..audit.writer import LockRules, locked
from ..errors import FormatError, RefusedError
from ..storage.digests import sha256
from ..storage.paths import is_there
from ..storage.strict_json import Moment, parse_json, read_bytes, readable, typed
from ..storage.text import counted, printable
from .running import Replica, running

_PATIENCE_S, _TIMEOUT_S, _PAUSE_S = 10.0, 5.0, 0.02
_LONGEST = 500  # characters of a reason
_NOTHING = {"BOOL": False, "INT32": 0, "INT64": 0}


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one adapter did: how long it took to refuse a row and to be ready again [s]; else why it shows nothing.

    `ended` says that it was a run over rows, which ends when it is killed and has nothing to come back to.
    """

    server: str
    model: str
    stopped_s: float | None
    resumed_s: float | None
    why: str | None
    ended: bool = False

    @property
    def proved(self) -> bool:
        """Whether it refused and came back, or ended."""
        return self.stopped_s is not None and (self.resumed_s is not None or self.ended)

    def __str__(self) -> str:
        """Say it on one line."""
        if self.stopped_s is not None and self.ended:
            return f"proved  {self.server}: ended after {1e3 * self.stopped_s:.0f} ms; start it again"
        if self.stopped_s is None or self.resumed_s is None:
            return f"NOT PROVED  {self.server}: {self.why}"
        return (
            f"proved  {self.server}: refused after {1e3 * self.stopped_s:.0f} ms, ready again after "
            f"{1e3 * self.resumed_s:.0f} ms"
        )


class Drill(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a drill found; the audit log has its digest."""

    format: Literal[1] = 1
    began: Moment
    ended: Moment
    actor: str
    servers: tuple[Shown, ...]

    @property
    def proved(self) -> bool:
        """Whether every server refused and came back, and every run ended."""
        return bool(self.servers) and all(each.proved for each in self.servers)

    def __str__(self) -> str:
        """Say it on one line."""
        said = []
        for ended, noun, did in ((False, "server", "refused a row while killed and came back"), (True, "run", "ended")):
            found = [each for each in self.servers if each.ended == ended]
            if found:
                said.append(f"{sum(each.proved for each in found)} of {counted(len(found), noun)} {did}")
        return ", ".join(said)


def drill(
    artifacts: Artifacts,
    rules: LockRules,
    *,
    reason: str = "",
    end_runs: bool = False,
    patience_s: float = _PATIENCE_S,
) -> Drill:
    """Stop every arm for a moment, and see that every server that runs refuses a row, says why, lives and comes back.

    A run over a file, a pipe or a feed shows that it is stopped by its end, and so is asked only if it may end.

    Parameters
    ----------
    artifacts : Artifacts
    rules : LockRules
        The registry's lock is held meanwhile.
    reason : str, optional
        For people, beside what was found.
    end_runs : bool, default False
        Whether runs over rows may end.
    patience_s : float
        How long the servers may take to stop, and to come back [s].

    Returns
    -------
    Drill
        Its event is in the log, whatever it found.

    Raises
    ------
    RefusedError
        If something is stopped already, nothing runs, a server is not ready, or a run may not end. Nothing was stopped
        then.
    RegistryError
        If the lock did not come free, or what stops the arms cannot be taken away again.
    """
    with locked(artifacts, rules):
        if stopped := killed(artifacts):
            raise RefusedError(
                f"{stopped[0]}; a drill shows nothing of what is stopped already, so let it go on first: "
                'modelgates unkill --reason "…"'
            )
        servers = [
            _Run(replica, artifacts, may_end=end_runs) if replica.address is None else _Server(replica)
            for replica in running(artifacts)
        ]
        if not servers:
            raise RefusedError(
                f"{artifacts.root}: no server runs that could show anything; start modelgates serve --http PORT, and "
                "drill again"
            )
        if refused := [why for server in servers if (why := server.prepare())]:
            raise RefusedError("\n".join(["nothing was stopped:", *refused]))
        began = datetime.now(UTC)
        with drilling(artifacts, _words(reason)) as ours:
            _wait(servers, lambda server: server.stopped(ours), patience_s)
        _wait(
            [server for server in servers if server.stopped_s is not None], lambda server: server.resumed(), patience_s
        )
        found = Drill(
            began=began,
            ended=datetime.now(UTC),
            actor=printable_actor(),
            servers=tuple(server.shown() for server in servers),
        )
        record_drill(artifacts, found, reason)
    return found


def record_drill(artifacts: Artifacts, found: Drill, reason: str = "") -> None:
    """Keep what a drill found, and add its event to the audit log. The caller holds the lock."""
    content = readable(found)
    digest = sha256(content)
    artifacts.write(artifacts.drills / f"{digest}.json", content)
    said = f"{found}: {reason}" if reason.strip() else str(found)
    append(artifacts.log, event_of(DRILL, ALL_ARMS, said, digest), mode=artifacts.file_mode)


def _words(reason: str) -> str:
    why = f" ({reason})" if reason.strip() else ""
    return f'kill drill{why}; if it stays, the drill was ended by force: modelgates unkill --reason "…"'


def last_drill(artifacts: Artifacts) -> Drill | None:
    """Find the newest drill that proved the switch on every server; None if the log has none whose file is there."""
    if not is_there(artifacts.promotions):
        return None
    with closing(lines(artifacts.log)) as records:
        for record, _ in records:
            if isinstance(record, Event) and record.kind == DRILL and record.evidence:
                found = _read(artifacts, record.evidence)
                if found and found.proved:
                    return found
    return None


def _read(artifacts: Artifacts, digest: str) -> Drill | None:
    path = artifacts.drills / f"{digest}.json"
    try:
        content = read_bytes(path)
        return typed(parse_json(content, str(path)), Drill, str(path)) if sha256(content) == digest else None
    except (FormatError, OSError):
        return None


class _Asked(ABC):
    """An adapter that is looked at before, while and after it is stopped."""

    ended = False

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._since = 0.0
        self.model = ""
        self.stopped_s: float | None = None
        self.resumed_s: float | None = None
        self.why: str | None = None

    @abstractmethod
    def prepare(self) -> str | None:
        """Say why it can show nothing."""

    @abstractmethod
    def stopped(self, ours: Killed) -> bool:
        """Whether it is stopped for our reason."""

    @abstractmethod
    def resumed(self) -> bool:
        """Whether it is at work again."""

    def begin(self) -> None:
        """Measure from now on."""
        self._since = time.monotonic()

    def took(self) -> float:
        """How long it has taken by now [s]."""
        return time.monotonic() - self._since

    def not_yet(self, why: str) -> bool:
        """Keep why it is not there yet."""
        self.why = printable(why)[:_LONGEST]
        return False

    def shown(self) -> Shown:
        """Give what it showed."""
        return Shown(
            server=str(self._replica),
            model=self.model,
            stopped_s=self.stopped_s,
            resumed_s=self.resumed_s,
            why=self.why,
            ended=self.ended,
        )


class _Run(_Asked):
    """A run over rows: it answers nobody, and ends when it is killed."""

    ended = True

    def __init__(self, replica: Replica, artifacts: Artifacts, *, may_end: bool) -> None:
        super().__init__(replica)
        self._artifacts, self._may_end = artifacts, may_end

    def prepare(self) -> str | None:
        """Say that it would end, unless it may."""
        if self._may_end:
            return None
        return f"{self._replica}: would end, as it does when it is killed; wait for its end, or give --end-runs"

    def stopped(self, ours: Killed) -> bool:
        """Whether it has ended."""
        if self._replica in running(self._artifacts):
            return self.not_yet("goes on: it looks before each row, and perhaps none has come")
        self.stopped_s, self.why = self.took(), None
        return True

    def resumed(self) -> bool:
        """Nothing is asked of one that has ended."""
        return True


class _Server(_Asked):
    """A server, which is asked over HTTP."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(replica)
        self._name, self._row = "", b""

    def prepare(self) -> str | None:
        """Say why it can show nothing; None if it is ready, and then it is known what it takes."""
        try:
            status, said = self._ask("/v2/health/ready")
            if status != 200:
                return f"{self._replica}: is not ready: {_error_of(said)}"
            self._name = said["serving"]["name"]
            self.model = f"{self._name}, version {said['serving']['version']}"
            _, metadata = self._ask(self._path())
            self._row = json.dumps({"inputs": [_zeros(tensor) for tensor in metadata["inputs"]]}).encode()
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            return f"{self._replica}: cannot be asked ({error!r}); drill on the machine where it runs, or end it"
        return None

    def stopped(self, ours: Killed) -> bool:
        """Whether it refuses a row for our reason, is not ready, and lives."""
        reason = printable(ours.kill.reason)
        asked = (
            ("/v2/health/ready", None, 503),
            (self._path("/infer"), self._row, 503),
            ("/v2/health/live", None, 200),
        )
        for path, body, expected in asked:
            status, said = self._ask(path, body)
            if status != expected:
                return self.not_yet(f"{path} says {status}, expected {expected} while it is killed")
            if expected == 503 and reason not in _error_of(said):
                return self.not_yet(f"{path} says 503, but not for the drill: {_error_of(said)}")
        self.stopped_s, self.why = self.took(), None
        return True

    def resumed(self) -> bool:
        """Whether it is ready again."""
        status, said = self._ask("/v2/health/ready")
        if status != 200:
            return self.not_yet(f"refused, but is not ready again: {_error_of(said)}")
        self.resumed_s, self.why = self.took(), None
        return True

    def _path(self, end: str = "") -> str:
        return f"/v2/models/{quote(self._name, safe='')}{end}"

    def _ask(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        with closing(
            http.client.HTTPConnection(self._replica.reached, self._replica.port, timeout=_TIMEOUT_S)
        ) as connection:
            connection.request("GET" if body is None else "POST", path, body)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read(2**20))


def _wait(servers: Sequence[_Asked], done: Callable[[_Asked], bool], patience_s: float) -> None:
    """Ask servers in turn until each has done it, or patience is over."""
    for server in servers:
        server.begin()
    until, waiting = time.monotonic() + patience_s, servers
    while waiting:
        left = []
        for server in waiting:
            try:
                if not done(server):
                    left.append(server)
            except (OSError, http.client.HTTPException, ValueError) as error:
                server.not_yet(f"does not answer any more ({error!r})")
                left.append(server)
        if not left or time.monotonic() >= until:
            return
        waiting = left
        time.sleep(_PAUSE_S)


def _zeros(tensor: dict[str, Any]) -> dict[str, Any]:
    """Make a row of zeros for an input."""
    columns, kind = tensor["shape"][1], tensor["datatype"]
    return {
        "name": tensor["name"],
        "shape": [1, columns],
        "datatype": kind,
        "data": [_NOTHING.get(kind, 0.0)] * columns,
    }


def _error_of(said: object) -> str:
    return str(said.get("error", said)) if isinstance(said, dict) else str(said)
