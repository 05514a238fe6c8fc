"""What a connection carries, whatever the pieces that it comes in, is answered in order; with and without a task."""

import json
import re
import socket
import time
from pathlib import Path

import pytest

from tests.serving.test_server import ROW, Running, serving
from tests.support.handmade import logged

pytestmark = pytest.mark.integration

READY = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = READY.replace(b"Host: x", b"Connection: close")


def predict(name: str, *headers: str, path: str = "/predict", version: str = "1.1") -> bytes:
    """Ask about a row, under a name by which its reply is known."""
    body = json.dumps({"rows": [ROW | {"asset": name}], "id": name}).encode()
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ids(replies: bytes) -> list[str]:
    """Take the names of the replies, in order; that of a reply without one is `live`."""
    return [(one or two).decode() for one, two in re.findall(rb'"id":"([^"]*)"|"(live)"', replies)]


def test_replies_come_in_order_whatever_was_asked_and_how(good_model: Path) -> None:
    length = len(predict("e").partition(b"\r\n\r\n")[2])
    chunked = predict("e").replace(b"Content-Length: %d" % length, b"Transfer-Encoding: chunked")
    chunked = chunked.replace(b"\r\n\r\n", b"\r\n\r\n%x\r\n" % length) + b"\r\n0\r\n\r\n"
    asked = [
        *(predict("a"), predict("b"), READY, predict("c", path="/predict?x=1"), predict("d", "Expect: 100-continue")),
        *(chunked, predict("f"), predict("g", "Content-Encoding: identity"), READY, predict("h")),
    ]
    expected = ["a", "b", "live", "c", "d", "e", "f", "g", "live", "h"]
    with serving(good_model / "model.onnx") as server:
        together = b"".join(asked) + LAST
        apart = [together[:1], together[1:700], together[700:]]
        singly = [*asked, LAST]
        for pieces, pause in (([together], 0.0), (apart, 0.05), (singly, 0.05)):
            found = server.raw(*pieces, pause=pause)
            assert ids(found) == [*expected, "live"]
            assert found.count(b"HTTP/1.1 200") == len(expected) + 1
            assert found.count(b"connection: close") == 1
        records = logged(server.artifacts, "live")
    assert [record.request for record in records] == [name for name in expected if name != "live"] * 3


def until_closed(server: Running, *pieces: bytes) -> tuple[bytes, float]:
    """Send bytes, and give what comes until the server closes, and after how long [s]."""
    begin = time.monotonic()
    return server.raw(*pieces), time.monotonic() - begin


def test_a_connection_ends_when_the_client_or_the_time_says_so(good_model: Path) -> None:
    with serving(good_model / "model.onnx", "[serving]\ntimeout_s = 2\n") as server:
        for asked in (predict("a", "Connection: close"), predict("a", version="1.0")):
            found, seconds = until_closed(server, asked)
            assert (ids(found), seconds < 1.5) == (["a"], True)
        found, seconds = until_closed(server, predict("a"))
        assert b"connection: close" not in found
        assert (ids(found), 1.5 < seconds < 20) == (["a"], True)
        with socket.create_connection((server.host, server.port)) as gone:
            gone.sendall(predict("gone")[:-1])
        assert ids(server.raw(predict("z", "Connection: close"))) == ["z"]
        assert {record.request for record in logged(server.artifacts, "live")} == {"a", "z"}
