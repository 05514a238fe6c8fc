"""Services on this machine that take alerts, well or badly."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """A server that keeps what it is sent; a path says how it answers: /500, /302, /hang, else 200."""

    port: int = 0
    taken: list[tuple[str, Any]] = field(default_factory=list)
    """Path and JSON of every request that was answered with 200."""
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def titles(self) -> list[str]:
        """What Apprise was asked to say, message by message."""
        return [content["title"] for _, content in self.taken if "title" in content]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """What Alertmanager was told."""
        return [alert for path, content in self.taken if path.endswith("/api/v2/alerts") for alert in content]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run such a server on a free port."""
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as http.server calls it
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if "hang" in self.path:
                found.closing.wait()
                return
            status = 500 if "500" in self.path else 302 if "302" in self.path else 200
            if status == 200:
                found.headers.append(dict(self.headers))
                found.taken.append((self.path, json.loads(content)))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
