"""What MLflow's client is told, and what it may not tell others."""

import os
import subprocess
import sys

import pytest

from pytest_modelgates.mlflow_client import address_of, address_of_environment, in_words, is_absent

NO_ADDRESS = "tracking_uri is not the address of an MLflow server; write one such as http://127.0.0.1:5000"
SECRET = (
    "tracking_uri may hold a secret, and is kept and shown: write the server alone, and set MLFLOW_TRACKING_USERNAME "
    "and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param("sqlite:///mlflow.db", NO_ADDRESS, id="a-database"),
        pytest.param("./mlruns", NO_ADDRESS, id="a-folder"),
        pytest.param("databricks", NO_ADDRESS, id="a-service"),
        pytest.param("http://", NO_ADDRESS, id="no-host"),
        pytest.param("http://host:99999", NO_ADDRESS, id="no-port"),
        pytest.param("http://host:0", NO_ADDRESS, id="port-zero"),
        pytest.param("http://ada:hunter2@host", SECRET, id="a-password"),
        pytest.param("https://host/?token=hunter2", SECRET, id="a-query"),
    ],
)
def test_what_is_no_address_is_refused_in_words_that_do_not_repeat_it(given: str, why: str) -> None:
    with pytest.raises(ValueError, match="tracking_uri") as caught:
        address_of(given)
    assert str(caught.value) == why


def test_an_address_is_kept_without_its_last_slash() -> None:
    assert address_of("https://mlflow.example/prefix/") == "https://mlflow.example/prefix"


def test_mlflows_own_variable_names_a_server_or_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert address_of_environment() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000/")
    assert address_of_environment() == "http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:/tmp/mlruns")
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI is not the address"):
        address_of_environment()


class Answer(Exception):  # noqa: N818
    """As MLflow's own error, it carries a code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.error_code = code


def test_a_fault_is_said_in_a_line_with_its_code_once() -> None:
    assert in_words(Answer("BAD_REQUEST", "no\nsuch")) == "BAD_REQUEST: no"
    assert in_words(Answer("BAD_REQUEST", "BAD_REQUEST: no")) == "BAD_REQUEST: no"
    assert in_words(ValueError("x" * 300)) == f"ValueError: {'x' * 200}"
    assert is_absent(Answer("RESOURCE_DOES_NOT_EXIST", ""))
    assert not is_absent(Answer("PERMISSION_DENIED", ""))


ASKED = """
import sys
met = set()
def hook(event, given):
    if event == "socket.connect":
        met.add(given[1][0])
    if event == "socket.getaddrinfo":
        met.add(given[0])
sys.addaudithook(hook)
from pytest_modelgates.mlflow_client import client_of, in_words
client = client_of("http://127.0.0.1:9")
try:
    client.get_model_version("x", "1")
except Exception as error:
    print(in_words(error))
from mlflow.telemetry.client import get_telemetry_client
print(get_telemetry_client(), *met)
"""


@pytest.mark.integration
def test_the_client_speaks_to_the_named_server_and_reports_to_nobody() -> None:
    """Where MLflow sees CI, pytest or a wish not to be tracked, it reports nothing anyway, so they are taken away."""
    quiet = ("CI", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "GITHUB", "GITLAB", "JENKINS", "BUILDKITE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(quiet)}
    done = subprocess.run([sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True)
    assert done.stdout == "the server cannot be reached\nNone 127.0.0.1\n", done.stderr
