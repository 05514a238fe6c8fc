"""The adapter over HTTP: an ASGI application of the Open Inference Protocol, with `POST /predict` for people.

Every row takes the way of all sources: the kill switch, the schema, the model, the kill switch again, the log.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ..errors import KilledError, ModelgatesError, RequestError
from ..predictions.records import Prediction
from ..storage.text import cut
from .adapter import Adapter
from .beside import Beside
from .board import Place
from .metrics import Metrics
from .named import checked_names, refuse_repeated, rows_of
from .protocol import NOT_JSON, Protocol, RequestId, said_of
from .scorer import Rows, named_rows, unnamed_rows
from .turns import Turn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON, _BINARY = b"application/json", b"application/octet-stream"
_HEADER_LENGTH = b"inference-header-content-length"
_LONGEST_LENGTH = 18  # digits
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_BODY_UNREAD = {404, 405, 413, 415}
_OTHERS = {"/metrics", "/v2", "/v2/health/live", "/v2/health/ready"}  # paths that are the same for every model
_PACKAGE = "pytest-modelgates"
_SERVER = _encode({"name": _PACKAGE, "version": version(_PACKAGE), "extensions": ["binary_tensor_data"]})


class Reply(NamedTuple):
    """What is sent back: status, body, and headers but for the length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", _JSON),)


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
        Whether its scores do not depend on the batch, so that requests may be scored together.
    """

    def __init__(self, adapter: Adapter, *, together: bool = False) -> None:
        self.adapter = adapter
        self.turn = Turn(adapter) if together else None
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
            for end, answer in (("", "metadata"), ("/ready", "ready"), ("/infer", "infer"))
        }


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
        self.served, self._max_body, self._beside, self._place = served, max_body, beside, place
        self.metrics = Metrics()
        self.metrics.serves(served.adapter)
        self.trouble: str | None = None

    def swap(self, served: Served) -> Adapter:
        """Serve another model from the next request on, and hand back the adapter before."""
        if self.served.turn:
            self.served.turn.end()
        served.adapter.switch.stop_as(self.served.adapter.switch)
        before, self.served, self.trouble = self.served, served, None
        self.metrics.serves(served.adapter)
        return before.adapter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begin = time.perf_counter()
        try:
            reply = await self._answer(scope, receive)
        except RequestError as error:
            reply = _refusal(error.status, str(error))
        except KilledError as error:
            reply = _refusal(503, str(error))
        except OSError as error:
            reply = _refusal(503, f"the prediction log cannot be written ({error.strerror}); nothing is given away")
        except ModelgatesError as error:
            reply = _refusal(503, f"nothing is given away: {error}")
        except Exception as error:
            _log.exception("%s %s", scope["method"], scope["path"])
            reply = _refusal(500, f"the server failed ({type(error).__name__}); its own log says where")
        self.metrics.answered(reply.status, time.perf_counter() - begin)
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [*reply.headers, (b"content-length", str(len(reply.body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        served = self.served
        answer = served.paths.get(path)
        if answer == "infer" or path == "/predict":
            if method != "POST":
                raise RequestError(f"{method} {path}: expected POST", status=405)
            headers = dict(scope["headers"])
            body = await self._body(headers, receive)
            # The model may have been replaced while the body came in.
            served = self.served
            return await (self._infer(served, body, headers) if answer else self._predict(served, body))
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
            return Reply(200, _SERVER)
        if path == "/v2/health/live":
            return Reply(200, _encode({"live": True}))
        return self._ready(served)

    def _ready(self, served: Served) -> Reply:
        serving = {"name": served.protocol.model, "version": served.protocol.version}
        workers = {"workers": self._place.workers} if self._place else {}
        try:
            served.adapter.switch.refuse()
        except KilledError as error:
            return Reply(503, _encode({"ready": False, "serving": serving, "error": str(error)} | workers))
        # A model that could not be loaded keeps none from being served: the one before works.
        said = [] if self.trouble is None else [self.trouble]
        if self._place:
            said += self._place.trouble(served.protocol.version)
        trouble = {"trouble": "; ".join(said)} if said else {}
        return Reply(200, _encode({"ready": True, "serving": serving} | workers | trouble))

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise RequestError("a compressed body; send it as it is", status=415)
        stated = headers.get(b"content-length", b"")
        if stated.isdigit() and (len(stated) > _LONGEST_LENGTH or int(stated) > self._max_body):
            raise self._too_large()
        pieces, size, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise RequestError("the client went away before its request was whole")
            pieces.append(message["body"])
            size += len(message["body"])
            if size > self._max_body:
                raise self._too_large()
            more = message.get("more_body", False)
        return b"".join(pieces)

    def _too_large(self) -> RequestError:
        return RequestError(
            f"a body of more than {self._max_body} bytes; send fewer rows at a time "
            "(serving.max_body_mb in operations.toml)",
            status=413,
        )

    async def _infer(self, served: Served, body: bytes, headers: dict[bytes, bytes]) -> Reply:
        stated = headers.get(_HEADER_LENGTH)
        if stated is not None and not (stated.isdigit() and len(stated) <= _LONGEST_LENGTH):
            raise RequestError("Inference-Header-Content-Length is not a number of bytes")
        asked = served.protocol.read(body, None if stated is None else int(stated))
        sidecar, request = served.adapter.sidecar, asked.request
        if asked.names:
            rows = named_rows(checked_names(asked.names, sidecar), asked.matrix, sidecar, request)
        else:
            rows = unnamed_rows(asked.matrix, request)
        records = await self._score(served, rows)
        scores = np.array([record.prediction for record in records], dtype=np.float64)
        reply, length = served.protocol.reply(asked, scores)
        if length is None:
            return Reply(200, reply)
        return Reply(200, reply, ((b"content-type", _BINARY), (_HEADER_LENGTH, str(length).encode())))

    async def _predict(self, served: Served, body: bytes) -> Reply:
        try:
            asked = _named(body)
        except NOT_JSON as error:
            raise RequestError(f'not JSON such as {{"rows": [{{column: value, …}}, …]}} ({said_of(error)})') from error
        rows = rows_of(asked.rows, served.adapter.sidecar, asked.id)
        around = 1 if asked.id is None else 3  # "rows", and "id" with its value
        refuse_repeated(body, served.adapter.sidecar, rows=len(asked.rows), around=around)
        records = await self._score(served, rows)
        said: dict[str, Any] = {
            "model_name": served.protocol.model,
            "model_version": served.protocol.version,
            "predictions": [_answered(record, served.adapter.model_id) for record in records],
        }
        return Reply(200, _encode(said | ({} if asked.id is None else {"id": asked.id})))

    async def _score(self, served: Served, rows: Rows) -> list[Prediction]:
        dealer = served.adapter.dealer
        together = served.turn if dealer is None or dealer.together else None
        records = await together.score(rows) if together else served.adapter.score(rows)
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
        return records


def _answered(record: Prediction, version: str) -> dict[str, Any]:
    """Give the answer of a row; one of the candidate of an A/B test says so."""
    said: dict[str, Any] = {"row_key": record.row_key, "prediction": record.prediction}
    return said if record.model_id == version else said | {"model_version": record.model_id}


def _refusal(status: int, why: str) -> Reply:
    content = (b"content-type", _JSON)
    # What was not read of the body would be taken for the next request.
    headers = (content, (b"connection", b"close")) if status in _BODY_UNREAD else (content,)
    return Reply(status, _encode({"error": why}), headers)
