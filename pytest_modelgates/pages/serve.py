"""The dashboard over HTTP: four fixed paths, read-only; no part of a request reaches the disk."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import UsageError
from .dashboard import PAGES
from .render import security_policy

Write = Callable[[str], bytes]
HOST = "127.0.0.1"
_NAMES = {"127.0.0.1", "localhost"}
_SECONDS = 10  # that a request may take to arrive


class DashboardServer(ThreadingHTTPServer):
    """Answers on loopback alone, each page as it is now.

    Parameters
    ----------
    port : int
        0 takes a free one.
    write : callable
        Gives the bytes of a page by its name in `PAGES`.

    Raises
    ------
    UsageError
        If the port cannot be listened on.
    """

    daemon_threads = True

    def __init__(self, port: int, write: Write) -> None:
        self.write = write
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UsageError(f"cannot listen on {HOST}:{port} ({error.strerror}); give another --port") from error

    @property
    def address(self) -> str:
        """The address of the first page."""
        return f"http://{HOST}:{self.server_port}/"


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
        if self.headers.get("Host", "").rpartition(":")[0].lower() not in _NAMES:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "ask by 127.0.0.1 or localhost, with the port")
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
