"""The dashboard over HTTP: four fixed paths, read-only; no part of a request reaches the disk."""

import re
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import UsageError
from .dashboard import PAGES
from .render import security_policy

Write = Callable[[str], bytes]
HOST = "127.0.0.1"
_NAMES = {"127.0.0.1", "localhost", "[::1]"}
_SECONDS = 10  # that a request may take to arrive


class DashboardServer(ThreadingHTTPServer):
    """Answers on loopback unless told otherwise, each page as it is now.

    Parameters
    ----------
    port : int
        0 takes a free one.
    write : callable
        Gives the bytes of a page by its name in `PAGES`.
    host : str, optional
        The address to listen on.

    Raises
    ------
    UsageError
        If that cannot be listened on.
    """

    daemon_threads = True

    def __init__(self, port: int, write: Write, *, host: str = HOST) -> None:
        self.write, self._host = write, f"[{host}]" if ":" in host else host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UsageError(f"cannot listen on {self._host}:{port} ({error.strerror}); give another --port") from error

    @property
    def address(self) -> str:
        """The address of the first page."""
        return f"http://{self._host}:{self.server_port}/"

    def knows(self, name: str) -> bool:
        """Whether a request may ask by this name: on loopback another site's could be pointed here."""
        return self._host not in _NAMES or name.lower() in _NAMES

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away; a bug is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer
    server_version, sys_version = "modelgates", ""
    timeout = _SECONDS

    def do_GET(self) -> None:  # the library's name
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        # Another site's name may be pointed at this address, and its scripts would then read the pages.
        if not self.server.knows(re.sub(r":[0-9]*\Z", "", self.headers.get("Host", ""))):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "ask by 127.0.0.1 or localhost")
            return
        name = _PATHS.get(self.path.partition("?")[0])
        if name is None:
            self.send_error(HTTPStatus.NOT_FOUND, "no such page")
            return
        try:
            content = self.server.write(name)
        except Exception:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "the page cannot be written; see: modelgates status")
            raise
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def end_headers(self) -> None:
        """Send what holds for every answer."""
        self.send_header("Content-Security-Policy", f"{security_policy()}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing: a request's path is text of others."""


_PATHS = {"/": next(iter(PAGES))} | {f"/{name}.html": name for name in PAGES}
