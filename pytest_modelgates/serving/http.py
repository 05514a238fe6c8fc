"""The adapter over HTTP: an ASGI application of the Open Inference Protocol, with `POST /predict` for people.

Every row takes the way of all sources: the kill switch, the schema, the model, the kill switch again, the log.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from ..errors import KilledError, RequestError
from ..predictions.records import Prediction
from ..storage.text import cut
from .adapter import Adapter
from .beside import Beside
from .board import Place
from .metrics import Metrics
from .named import checked_names, refuse_repeated, rows_of
from .protocol import NOT_JSON, Protocol, RequestId, said_of
from .replies import BINARY, Caller, Reply, encode, refusal, why_unanswered
from .scorer import Rows, Unnamed, named_rows, unnamed_rows
from .turns import Turn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Mapping[bytes, bytes]  # names in lower case
# The rows that a request asks about, and what makes a reply of their records.
Asked = tuple[Rows | Unnamed, Callable[[list[Prediction]], Reply]]

_HEADER_LENGTH = b"inference-header-content-length"
_LONGEST_LENGTH = 18  # digits
_OTHERS = {"/metrics", "/v2", "/v2/health/live", "/v2/health/ready"}  # paths that are the same for every model
_PACKAGE = "pytest-modelgates"


@cache
def _server() -> bytes:
    from importlib.metadata import version  # here, since it takes long to load, and few ask

    return encode({"name": _PACKAGE, "version": version(_PACKAGE), "extensions": ["binary_tensor_data"]})


class Named(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /predict`: rows of named values, each with the columns of the model's CSV files."""

    rows: list[dict[str, Any]]
    id: RequestId | None = None


_named = msgspec.json.Decoder(Named).decode


class Served:
    """A model that answers requests, and its side of the protocol.

    Parameters
    ----------
    adapter : Adapter
    together : bool
        Whether its scores do not depend on the batch, so that requests may be scored in one call.
    """

    def __init__(self, adapter: Adapter, *, together: bool = False) -> None:
        self.adapter = adapter
        self.turn = Turn(adapter, together=together)
        sidecar = adapter.sidecar
        self.protocol = Protocol(
            model=sidecar.name,
            version=adapter.model_id,
            schema_crc32=sidecar.schema_crc32,
            tensors=adapter.tensors,
            keys=sidecar.keys,
            output=sidecar.output.name,
        )
        whole, version = f"/v2/models/{sidecar.name}", f"/versions/{adapter.model_id}"
        self.paths = {
            f"{base}{end}": answer
            for base in (whole, whole + version)
            for end, answer in (("", "metadata"), ("/ready", "ready"))
        }
        self.scoring = {"/predict": "predict", f"{whole}/infer": "infer", f"{whole}{version}/infer": "infer"}
        self.raw = {path.encode(): by for path, by in self.scoring.items()}

    def asked(self, by: str, headers: Headers, body: bytes) -> Asked:
        """Read a request for scores; raises RequestError, whose message says what is wrong with it."""
        return self._infer(headers, body) if by == "infer" else self._predict(body)

    def _infer(self, headers: Headers, body: bytes) -> Asked:
        stated = headers.get(_HEADER_LENGTH)
        if stated is not None and not (stated.isdigit() and len(stated) <= _LONGEST_LENGTH):
            raise RequestError("Inference-Header-Content-Length is not a number of bytes")
        asked = self.protocol.read(body, None if stated is None else int(stated))
        sidecar, request = self.adapter.sidecar, asked.request
        rows: Rows | Unnamed = unnamed_rows(asked.matrix, request)
        if asked.names:
            rows = named_rows(checked_names(asked.names, sidecar), asked.matrix, sidecar, request)

        def reply(records: list[Prediction]) -> Reply:
            body, length = self.protocol.reply(asked, [record.prediction for record in records])
            if length is None:
                return Reply(200, body)
            return Reply(200, body, ((b"content-type", BINARY), (_HEADER_LENGTH, b"%d" % length)))

        return rows, reply

    def _predict(self, body: bytes) -> Asked:
        try:
            asked = _named(body)
        except NOT_JSON as error:
            raise RequestError(f'not JSON such as {{"rows": [{{column: value, …}}, …]}} ({said_of(error)})') from error

        def reply(records: list[Prediction]) -> Reply:
            said: dict[str, Any] = {
                "model_name": self.protocol.model,
                "model_version": self.protocol.version,
                "predictions": [_answered(record, self.adapter.model_id) for record in records],
            }
            return Reply(200, encode(said | ({} if asked.id is None else {"id": asked.id})))

        rows = rows_of(asked.rows, self.adapter.sidecar, asked.id)
        around = 1 if asked.id is None else 3  # "rows", and "id" with its value
        refuse_repeated(body, self.adapter.sidecar, rows=len(asked.rows), around=around)
        return rows, reply


class Application:
    """Answers requests by the model that it serves now; see the Open Inference Protocol, version 2.

    Parameters
    ----------
    served : Served
        Replaced by `swap` between two requests, so that each is answered wholly by one model.
    max_body : int
        Largest body of a request [bytes].
    beside : Beside, optional
        Models in shadow, which are given the rows that were answered.
    place : Place, optional
        Of this process among the workers of its port.
    """

    def __init__(
        self, served: Served, *, max_body: int, beside: Beside | None = None, place: Place | None = None
    ) -> None:
        self.served, self.max_body, self._beside, self._place = served, max_body, beside, place
        self.metrics = Metrics()
        self.metrics.serves(served.adapter)
        self.trouble: str | None = None
        self._failed = False  # whether the rows that came last could not be logged

    def swap(self, served: Served) -> Adapter:
        """Serve another model from the next request on, and hand back the adapter before."""
        self.served.turn.end()
        served.adapter.switch.stop_as(self.served.adapter.switch)
        before, self.served, self.trouble = self.served, served, None
        self.metrics.serves(served.adapter)
        return before.adapter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body may still be on its way."""
        caller, path = _Awaiting(), scope["path"]
        try:
            if by := self.served.scoring.get(path):
                if scope["method"] != "POST":
                    raise RequestError(f"{scope['method']} {path}: expected POST", status=405)
                headers = dict(scope["headers"])
                self.answer(by, headers, await self._body(headers, receive), caller)
            else:
                self._give(caller, self._told(scope))
        except Exception as error:
            self._give(caller, refusal(error, f"{scope['method']} {path}"))
        reply = await caller.reply
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [*reply.headers, (b"content-length", b"%d" % len(reply.body))],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})

    def answer(self, by: str, headers: Headers, body: bytes, caller: Caller) -> None:
        """Answer a request for scores, with the others of its turn; a wrong one is refused now.

        Parameters
        ----------
        by : str
            What `Served.scoring` says of its path.
        headers : mapping of bytes to bytes
        body : bytes
            The whole of it.
        caller : Caller
            Is given the reply.
        """
        # The model may have been replaced while the body came in.
        served = self.served

        def scored(found: list[Prediction] | Exception) -> None:
            try:
                if isinstance(found, Exception):
                    self._failed = self._failed or isinstance(found, OSError)
                    raise found
                self._failed = False
                self._note(served, rows, found)
                reply = reply_of(found)
            except Exception as error:
                reply = refusal(error, by)
            self._give(caller, reply)

        try:
            rows, reply_of = served.asked(by, headers, body)
        except Exception as error:
            scored(error)
        else:
            served.turn.add(rows, scored, caller)

    def _give(self, caller: Caller, reply: Reply) -> None:
        self.metrics.answered(reply.status, time.perf_counter() - caller.begin)
        caller.give(reply)

    def _note(self, served: Served, rows: Rows | Unnamed, records: list[Prediction]) -> None:
        """Count rows, and hand them to the models in shadow; raises if one of them has no score."""
        dealer = served.adapter.dealer
        wrong = [(number, record.error) for number, record in enumerate(records) if record.error]
        self.metrics.scored(len(records), len(wrong))
        if dealer and dealer.adapter:
            self.metrics.dealt(Counter(record.arm for record in records))
        if wrong:
            number, why = wrong[0]
            more = f"; {len(wrong) - 1} more rows have no score either" if len(wrong) > 1 else ""
            raise RequestError(f"row {number}: {why}{more}; none of the {len(records)} rows is answered", status=422)
        if self._beside:
            self._beside.put(rows, served.adapter.sidecar.schema_crc32)

    def _told(self, scope: Scope) -> Reply:
        """Answer what is not about rows."""
        path, method, served = scope["path"], scope["method"], self.served
        answer = served.paths.get(path)
        if answer is None and path not in _OTHERS:
            if path.startswith("/v2/models/"):
                known = served.protocol
                raise RequestError(f"{cut(path)}: only {known.model}, version {known.version}, is served", status=404)
            raise RequestError(f"{cut(path)}: no such path; see /v2, /predict and /metrics", status=404)
        if method not in ("GET", "HEAD"):
            raise RequestError(f"{method} {path}: expected GET", status=405)
        if path == "/metrics":
            if self._place and scope["server"][1] != self._place.port:
                each = ", ".join(f"http://{door}/metrics" for door in self._place.doors)
                raise RequestError(f"/metrics: each worker has its own: {each}", status=404)
            if self._beside:
                self.metrics.shadowed(self._beside)
            return Reply(
                200, self.metrics.text(served.adapter, self.trouble), ((b"content-type", self.metrics.content_type),)
            )
        if answer == "metadata":
            return Reply(200, served.protocol.metadata())
        if path == "/v2":
            return Reply(200, _server())
        if path == "/v2/health/live":
            return Reply(200, encode({"live": True}))
        return self._ready(served)

    def _ready(self, served: Served) -> Reply:
        serving = {"name": served.protocol.model, "version": served.protocol.version}
        workers = {"workers": self._place.workers} if self._place else {}
        try:
            served.adapter.switch.refuse()
            if self._failed:  # who was told so may send no request that would show that it is over
                served.adapter.probe()
                self._failed = False
        except (KilledError, OSError) as error:
            return Reply(503, encode({"ready": False, "serving": serving, "error": why_unanswered(error)} | workers))
        # A model that could not be loaded keeps none from being served: the one before works.
        said = [] if self.trouble is None else [self.trouble]
        if self._place:
            said += self._place.trouble(served.protocol.version)
        trouble = {"trouble": "; ".join(said)} if said else {}
        return Reply(200, encode({"ready": True, "serving": serving} | workers | trouble))

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise RequestError("a compressed body; send it as it is", status=415)
        stated = headers.get(b"content-length", b"")
        if stated.isdigit() and (len(stated) > _LONGEST_LENGTH or int(stated) > self.max_body):
            raise self._too_large()
        pieces, size, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise RequestError("the client went away before its request was whole")
            pieces.append(message["body"])
            size += len(message["body"])
            if size > self.max_body:
                raise self._too_large()
            more = message.get("more_body", False)
        return b"".join(pieces)

    def _too_large(self) -> RequestError:
        return RequestError(
            f"a body of more than {self.max_body} bytes; send fewer rows at a time "
            "(serving.max_body_mb in operations.toml)",
            status=413,
        )


def _answered(record: Prediction, version: str) -> dict[str, Any]:
    """Give the answer of a row; one of the candidate of an A/B test says so."""
    said: dict[str, Any] = {"row_key": record.row_key, "prediction": record.prediction}
    return said if record.model_id == version else said | {"model_version": record.model_id}


class _Awaiting:
    """A caller whose reply is awaited."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    @property
    def disconnected(self) -> bool:
        return self.reply.done()

    def give(self, reply: Reply) -> None:
        if not self.disconnected:
            self.reply.set_result(reply)
