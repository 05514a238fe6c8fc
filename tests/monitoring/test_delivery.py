"""What becomes of one message, for every way in which a service can take it badly."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_modelgates.monitoring.delivery import NO_ADDRESS, UNKNOWN_URL, Message, deliver, send
from tests.support.webhooks import Webhook, webhook

SECRET = "s3cret"
UNREACHED = "the service cannot be reached, or did not take it"


@pytest.fixture(scope="module")
def service() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def told(address: str, *, to_alertmanager: bool, route: str = "r") -> Message:
    text = {"alerts": [{"labels": {"alertname": "x"}}]} if to_alertmanager else {"title": "t", "text": "b"}
    return Message(route=route, address=address, **text)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's own imports
@pytest.mark.parametrize(
    ("address", "to_service", "to_alertmanager"),
    [
        ("{scheme}://127.0.0.1:{port}/{secret}", None, None),
        ("{scheme}://127.0.0.1:{port}/{secret}/500", "HTTP 500", "HTTP 500"),
        ("{scheme}://{secret}:x@127.0.0.1:{closed}", UNREACHED, "Connection refused"),
        ("{scheme}://{secret}:x@127.0.0.1:port", UNKNOWN_URL, NO_ADDRESS),
        ("{scheme}://[{secret}", UNKNOWN_URL, NO_ADDRESS),
        ("nosuch://{secret}", UNKNOWN_URL, NO_ADDRESS),
        ("file:///etc/{secret}", UNKNOWN_URL, NO_ADDRESS),
        ("{secret}", UNKNOWN_URL, NO_ADDRESS),
        ("", UNKNOWN_URL, NO_ADDRESS),
    ],
    ids=["taken", "500", "down", "no-port", "no-host", "no-scheme", "file", "no-url", "empty"],
)
def test_what_became_of_it_is_said_without_the_address(
    service: Webhook,
    capfd: pytest.CaptureFixture[str],
    address: str,
    to_service: str | None,
    to_alertmanager: str | None,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        values = {"port": service.port, "closed": unused.getsockname()[1], "secret": SECRET}
        assert send(told(address.format(scheme="json", **values), to_alertmanager=False)) == to_service
        assert send(told(address.format(scheme="http", **values), to_alertmanager=True)) == to_alertmanager
    assert SECRET not in "".join(capfd.readouterr())


def test_a_redirect_is_not_taken_for_success(service: Webhook) -> None:
    message = told(f"http://127.0.0.1:{service.port}/302", to_alertmanager=True)
    assert send(message) == "HTTP 302"


def test_a_route_that_hangs_keeps_no_other_from_being_told(service: Webhook) -> None:
    before = len(service.taken)
    messages = [
        told(f"http://127.0.0.1:{service.port}/{path}", to_alertmanager=True, route=path) for path in ("hang", "good")
    ]
    assert deliver(messages, 3) == {"hang": "no answer in time; see [alerts] timeout_s", "good": None}
    assert len(service.taken) == before + 1


def test_without_time_nothing_is_begun() -> None:
    late = "no answer in time; see [alerts] timeout_s"
    assert deliver([told("http://127.0.0.1:1", to_alertmanager=True)], 0) == {"r": late}


def test_a_process_that_dies_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apprise.py").write_text("import os\nprint('noise', flush=True)\nos._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    assert deliver([told("json://x", to_alertmanager=False)], 60) == {"r": "the process that sends it ended with 7"}
