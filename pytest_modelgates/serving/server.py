"""The adapter as a server: uvicorn runs the application, bounded in time and size; `latest` is followed.

It binds to loopback unless told otherwise. Authentication and TLS are the business of a proxy in front of it.
"""

import asyncio
import io
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from ..artifacts import Artifacts
from ..errors import IntegrityError, ModelgatesError
from ..extras import extra
from ..model.directory import PANEL
from ..model.sidecar import REFERENCE
from ..policy.operations import ServingLimits
from ..predictions.records import Arm
from ..storage.text import printable
from .adapter import Adapter, Settings
from .beside import Beside, refuse_other_features
from .http import Application, Served
from .running import Announced

_LOOK_S = 1.0
_AGAIN_S = 30.0  # until a model that could not be loaded is tried again
_MAX_HEAD = 2**20  # bytes of a request before its body, some of which may come with it
_GOLDEN_ROWS = 256
_BATCHES = (1, 2, 3, 8, 32, 256)
_FAR = 1e-3  # of a score, far beyond what parity admits


class Server:
    """One adapter that answers over HTTP until SIGTERM or Ctrl-C, and then ends the requests it has begun.

    Parameters
    ----------
    onnx_path : Path
        As for `Adapter`. If it leads through a link, such as `latest.onnx`, the link is followed.
    arm : str
    settings : callable
    limits : ServingLimits
    shadows : sequence of Path
        Models that score the same rows in shadow.
    """

    def __init__(
        self,
        onnx_path: Path,
        *,
        arm: Arm,
        settings: Callable[[Artifacts], Settings],
        limits: ServingLimits,
        shadows: Sequence[Path] = (),
    ) -> None:
        extra("uvicorn", "serve")
        self._path, self._arm, self._settings, self._limits = onnx_path, arm, settings, limits
        self._wanted = os.path.realpath(onnx_path)
        self._failed, self._not_before = "", 0.0
        served = self._opened()
        self._beside = self._shadowed(served.adapter, shadows) if shadows else None
        self.application = Application(served, max_body=int(limits.max_body_mb * 1e6), beside=self._beside)

    def _shadowed(self, live: Adapter, paths: Sequence[Path]) -> Beside:
        adapters = list[Adapter]()
        for path in paths:
            adapters.append(Adapter(path, arm="shadow", settings=self._settings))
            refuse_other_features(live, adapters[-1], path)
        return Beside(adapters)

    def _opened(self) -> Served:
        adapter = Adapter(self._path, arm=self._arm, settings=self._settings)
        try:
            rows = rows_of_panel(adapter)
            refuse_other_scores(adapter, *rows)
            return Served(adapter, together=scores_alike_in_every_batch(adapter, rows[0]))
        except BaseException:
            adapter.close()
            raise

    def run(self, host: str, port: int, *, started: Callable[[str, int], None] = lambda host, port: None) -> None:
        """Answer until the process is told to end.

        Parameters
        ----------
        host : str
        port : int
            0 takes a free one.
        started : callable, optional
            Called with host and port once connections are accepted.

        Raises
        ------
        OSError
            If the port cannot be had.
        """
        import uvicorn
        import uvloop

        config = uvicorn.Config(
            self.application,
            http=_bounded_protocol(),
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=self._limits.connections,
            timeout_keep_alive=int(self._limits.timeout_s) or 1,
            timeout_graceful_shutdown=int(self._limits.drain_s) or 1,
        )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with (
            socket.create_server((host, port), family=family, backlog=2048) as listening,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(self._serve(_quiet_server(config), listening, started))
        self.application.served.adapter.close()
        if self._beside:
            self._beside.close(within=self._limits.drain_s)

    async def _serve(self, server: Any, listening: Any, started: Callable[[str, int], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGUSR1, lambda: self.application.served.adapter.switch.stop("SIGUSR1"))
        host, port = listening.getsockname()[:2]
        with Announced(self.application.served.adapter.artifacts, self._arm, host, port):
            looking = loop.create_task(self._look(server))
            started(host, port)
            try:
                await server.serve(sockets=[listening])
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

    async def _look(self, server: Any) -> None:
        """Follow the link, and cut off who takes too long."""
        while True:
            await asyncio.sleep(_LOOK_S)
            late = time.monotonic() - self._limits.timeout_s
            for connection in list(server.server_state.connections):
                if connection.since is None or connection.since >= late:
                    continue
                if connection.answered and not connection.transport.get_write_buffer_size():
                    connection.since = None
                else:
                    connection.transport.abort()
            await self.follow()

    async def follow(self) -> None:
        """Serve the model that the link leads to, once it is loaded; until then, and if it fails, the one before."""
        wanted = os.path.realpath(self._path)
        if wanted == self._wanted:
            self.application.trouble = None
            return
        if self.application.trouble and wanted == self._failed and time.monotonic() < self._not_before:
            return
        served = await asyncio.to_thread(self._tried)
        if isinstance(served, Exception):
            serving = self.application.served.adapter.model_id
            why = served if isinstance(served, (ModelgatesError, OSError)) else repr(served)
            self._failed, self._not_before = wanted, time.monotonic() + _AGAIN_S
            self.application.trouble = f"wanted {wanted}, serving {serving}, because {why}"
            print(f"modelgates: {printable(self.application.trouble)}", file=sys.stderr, flush=True)
            return
        self._wanted = wanted
        before = self.application.swap(served)
        with suppress(OSError):  # on a full disk its part stays as one whose writer died
            before.close()

    def _tried(self) -> Served | Exception:
        # Whatever is wrong with a model, the one before goes on, and the link is looked at again.
        try:
            return self._opened()
        except Exception as error:
            return error


def rows_of_panel(adapter: Adapter) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read the first rows of the model's own panel, and what the native model said of them."""
    content, names = adapter.file(PANEL), adapter.sidecar.names
    with parquet.ParquetFile(io.BytesIO(content)) as file:
        rows = next(file.iter_batches(_GOLDEN_ROWS, columns=[*names, REFERENCE])).to_pydict()
    dtype = np.result_type(*(feature.dtype for feature in adapter.sidecar.features))
    native = np.array(rows.pop(REFERENCE), dtype=np.float64)
    return np.column_stack([np.array(rows[name], dtype=dtype) for name in names]), native


def refuse_other_scores(adapter: Adapter, rows: NDArray[np.generic], native: NDArray[np.float64]) -> None:
    """Score rows, and compare them with what the native model said of them.

    Raises
    ------
    IntegrityError
        If a score is missing or far off: then this machine does not run the model as the gates saw it.
    """
    if not np.allclose(adapter.tried(rows), native, rtol=_FAR, atol=_FAR * np.abs(native).max(initial=0)):
        raise IntegrityError(f"{adapter.model_id}: scores its own panel otherwise than the native model; gate it again")


def scores_alike_in_every_batch(adapter: Adapter, rows: NDArray[np.generic]) -> bool:
    """Whether rows have the same scores to the last bit alone and in batches, on this machine."""
    alone, *others = (
        np.concatenate([adapter.tried(rows[start : start + size]) for start in range(0, len(rows), size)])
        for size in _BATCHES
    )
    return all(np.array_equal(alone, scores, equal_nan=True) for scores in others)


def _bounded_protocol() -> type:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(HttpToolsProtocol):
        """Knows since when a request is under way, and refuses one whose head has no end."""

        def connection_made(self, transport: Any) -> None:
            self.since: float | None = time.monotonic()
            self._in_head, self._received, self.answered = True, 0, False
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            self._received += len(data)
            if self._in_head and self._received > _MAX_HEAD:
                self.send_400_response("Request head too large.")
                return
            super().data_received(data)

        def on_message_begin(self) -> None:
            self.since, self.answered = time.monotonic(), False
            self._in_head, self._received = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head, self._received = False, 0
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            # A reply may wait long for its reader, and holds memory and a connection until it is gone.
            self.answered = not self.pipeline
            super().on_response_complete()

    return Bounded


def _quiet_server(config: Any) -> Any:
    import uvicorn

    class Quiet(uvicorn.Server):
        """Leaves signals to us, who end the process with 0 once it has drained."""

        @contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    return Quiet(config)
