"""MLflow's own client, told to speak to one server and to nobody else. The library is imported where it is used."""

import os
from typing import Any
from urllib.parse import urlsplit

from .extras import extra
from .storage.text import first_line

# What MLflow sends to its makers, and prints, by default.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# By default a server that is away is asked eight times, for some four minutes.
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
LONGEST = 200  # of what a server says [character]


def address_of(given: str, name: str = "tracking_uri") -> str:
    """Check the address of an MLflow server, in words that do not repeat it; give it without a slash at its end.

    Raises
    ------
    ValueError
        If it is none of http or https, or holds a secret.
    """
    try:
        parts = urlsplit(given)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{name} is not the address of an MLflow server; write one such as http://127.0.0.1:5000")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            f"{name} may hold a secret, and is kept and shown: write the server alone, and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    return given.rstrip("/")


def address_of_environment() -> str | None:
    """Read the server from MLflow's own variable; None if that is not set; raises as `address_of`."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return address_of(given, "MLFLOW_TRACKING_URI") if given else None


def client_of(address: str) -> Any:
    """Make the client of a server, and let all of MLflow in this process ask that server alone.

    Credentials are taken from MLflow's own variables.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    """
    os.environ.update(_QUIET, MLFLOW_TRACKING_URI=address, MLFLOW_REGISTRY_URI=address)
    os.environ.setdefault(_RETRIES, "1")
    return extra("mlflow", "mlflow").MlflowClient(tracking_uri=address, registry_uri=address)


def is_absent(error: Exception) -> bool:
    """Whether the server answered that it has no such model, version or alias."""
    return getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


def in_words(error: Exception) -> str:
    """Say in a line why MLflow did not do what it was asked for."""
    code = getattr(error, "error_code", type(error).__name__)
    deeper: BaseException | None = error
    while deeper is not None:
        if isinstance(deeper, ConnectionError) or type(deeper).__name__ in ("ConnectionError", "ConnectTimeout"):
            return "the server cannot be reached"
        deeper = deeper.__cause__ or deeper.__context__
    said = first_line(error)[:LONGEST]
    return said if said.startswith(code) else f"{code}: {said}"
