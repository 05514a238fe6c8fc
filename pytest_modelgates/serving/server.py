"""The adapter as a server: uvicorn runs the application, bounded in time and size; `latest` is followed.

It binds to loopback unless told otherwise. Authentication and TLS are the business of a proxy in front of it.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..artifacts import Artifacts
from ..errors import ModelgatesError
from ..extras import extra
from ..policy.operations import ServingLimits
from ..predictions.records import Arm
from ..storage.text import printable
from .adapter import Adapter, Settings
from .beside import Beside, refuse_other_features
from .board import Place
from .dealing import Dealer
from .feeds import LIVE
from .http import Application, Served
from .own_panel import refuse_other_scores, rows_of_panel, scores_alike_in_every_batch
from .running import Announced
from .workers import listening

_LOOK_S = 1.0
_AGAIN_S = 30.0  # until a model that could not be loaded is tried again


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
    place : Place, optional
        Its place among the workers that share a port.
    """

    def __init__(
        self,
        onnx_path: Path,
        *,
        arm: Arm,
        settings: Callable[[Artifacts], Settings],
        limits: ServingLimits,
        shadows: Sequence[Path] = (),
        place: Place | None = None,
    ) -> None:
        extra("uvicorn", "serve")
        self._path, self._arm, self._settings, self._limits = onnx_path, arm, settings, limits
        self._wanted = os.path.realpath(onnx_path)
        self._failed, self._not_before = "", 0.0
        self._place = place
        served = self._opened()
        if place:
            served.adapter.switch.all_stopped = lambda: place.board.stopped
        self._beside = self._shadowed(served.adapter, shadows) if shadows else None
        self.application = Application(served, max_body=int(limits.max_body_mb * 1e6), beside=self._beside, place=place)

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
            if self._arm == LIVE:
                adapter.dealer = Dealer(adapter, self._settings)
                adapter.dealer.look()
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
        with listening(host, port) as bound:
            self.run_on([bound], started=started)

    def run_on(
        self,
        sockets: Sequence[socket.socket],
        *,
        started: Callable[[str, int], None] = lambda host, port: None,
        until: int | None = None,
    ) -> None:
        """Answer as `run` does, on sockets that listen already.

        Parameters
        ----------
        sockets : sequence of socket
            The last one is where this process alone is reached, and so where it is announced.
        started : callable, optional
            Called with host and port of the first one.
        until : int, optional
            A descriptor; once it can be read, the process is told to end.
        """
        import uvicorn
        import uvloop

        from .connection import Connection

        config = uvicorn.Config(
            self.application,
            http=Connection,
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
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(_quiet_server(config), sockets, started, until))
        self.application.served.adapter.close()
        if self._beside:
            self._beside.close(within=self._limits.drain_s)

    async def _serve(
        self, server: Any, sockets: Sequence[Any], started: Callable[[str, int], None], until: int | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGUSR1, self._stop)
        if until is not None:

            def end() -> None:
                loop.remove_reader(until)
                server.handle_exit(signal.SIGTERM, None)

            loop.add_reader(until, end)
        (host, port), own = sockets[0].getsockname()[:2], sockets[-1].getsockname()[:2]
        with Announced(self.application.served.adapter.artifacts, self._arm, *own):
            self._tell()
            tasks = [loop.create_task(self._look(server)), loop.create_task(self._beat())]
            started(host, port)
            try:
                await server.serve(sockets=[*sockets])
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    def _stop(self) -> None:
        self.application.served.adapter.switch.stop("SIGUSR1")
        if self._place:
            self._place.board.stop()

    async def _beat(self) -> None:
        while self._place:
            self._tell()
            await asyncio.sleep(_LOOK_S)

    def _tell(self) -> None:
        """Tell the other workers that this one is at work, and which model it serves."""
        if self._place:
            self._place.board.serves(self._place.number, self.application.served.adapter.model_id)

    async def _look(self, server: Any) -> None:
        """Follow the link, and cut off who takes too long."""
        while True:
            await asyncio.sleep(_LOOK_S)
            late = time.monotonic() - self._limits.timeout_s
            for connection in list(server.server_state.connections):
                if connection.since >= late:
                    continue
                if connection.answered and not connection.transport.get_write_buffer_size():
                    connection.transport.close()
                else:
                    connection.transport.abort()
            await self.follow()
            await self.deal()

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
        self._tell()
        with suppress(OSError):  # on a full disk its part stays as one whose writer died
            before.close()

    async def deal(self) -> None:
        """Deal rows to the candidate of an A/B test, once it is loaded, and no longer than the test runs."""
        dealer = self.application.served.adapter.dealer
        if dealer and dealer.changed():
            dealer.take(await asyncio.to_thread(dealer.prepared))

    def _tried(self) -> Served | Exception:
        # Whatever is wrong with a model, the one before goes on, and the link is looked at again.
        try:
            return self._opened()
        except Exception as error:
            return error


def _quiet_server(config: Any) -> Any:
    import uvicorn

    class Quiet(uvicorn.Server):
        """Leaves signals to us, who end the process with 0 once it has drained."""

        @contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    return Quiet(config)
