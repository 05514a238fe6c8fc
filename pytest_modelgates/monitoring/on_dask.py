"""Counting on a Dask cluster: a task becomes counts on some worker, and what is added up here is what it would be here.

The golden travels to the workers, as does what names a part; files and the log lie where workers reach them by the
same path. The scheduler needs this package as little as it needs the data; workers need both.
"""

from __future__ import annotations

import logging
import pickle
import platform
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from ..drift.summary import Reference
from ..errors import UsageError
from ..extras import extra
from ..storage.text import first_line, listed
from .engines import Engine, R, T

PACKAGE = "pytest-modelgates"
CONNECT_S = 10.0
PATIENCE_S = 60.0
"""How long it is waited while there is no worker at all [s]."""
_GONE = {"CommClosedError", "FutureCancelledError", "CancelledError", "ClosedClientError"}
_ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>[^\s/:\[\]]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")
_START = "start one: dask scheduler --host 127.0.0.1"


@contextmanager
def dask_engine(address: str) -> Iterator[Engine]:
    """Connect to a cluster, whose workers must run this version of the package.

    Parameters
    ----------
    address : str
        The scheduler's, such as ``tcp://127.0.0.1:8786``. TLS is as Dask is configured.

    Raises
    ------
    UsageError
        If it is not an address, or it is one of TLS and Dask knows no certificates.
    MissingExtraError
        If Dask is not installed.
    ConnectionError
        If no scheduler answers, it has no worker, or a worker is not like this process.
    """
    distributed = extra("distributed", "dask")
    _require_answer(address)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said once, below
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ImportError) as error:
        raise ConnectionError(f"no Dask scheduler answers at {address} ({first_line(error)}); {_START}") from error
    try:
        _require_workers(client, address)
        yield lambda count, tasks, reference: _mapped(client, address, count, tasks, reference)
    finally:
        client.close(timeout=CONNECT_S)


def _require_answer(address: str) -> None:
    """Refuse what is not the address of a scheduler; Dask's own client would wait without end for others."""
    from dask import config

    found = _ADDRESS.fullmatch(address)
    if not found or int(found["port"]) >= 2**16:
        raise UsageError(f"{address!r} is not the address of a Dask scheduler; give one such as tcp://127.0.0.1:8786")
    if found["scheme"] == "tls" and not config.get("distributed.comm.tls.ca-file", None):
        raise UsageError(f"{address} needs certificates; name them under distributed.comm.tls in Dask's configuration")
    try:
        with socket.create_connection((found["host"].strip("[]"), int(found["port"])), timeout=CONNECT_S) as connection:
            # A scheduler speaks first; over TLS the client does.
            speaks = found["scheme"] == "tls" or connection.recv(1)
    except TimeoutError:
        speaks = b""
    except OSError as error:
        raise ConnectionError(f"no Dask scheduler answers at {address} ({first_line(error)}); {_START}") from error
    if not speaks:
        raise ConnectionError(f"what answers at {address} is not a Dask scheduler; {_START}")


def _require_workers(client: Any, address: str) -> None:
    """Wait for the first worker, and refuse any that is not like this process."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
        # Functions of the standard library are there under any version.
        pythons = client.run(platform.python_version)
        versions = client.run(version, PACKAGE, on_error="return")
    except Exception as error:
        raise _in_words(error, address) from error
    refuse_others(pythons, versions)


def refuse_others(pythons: Mapping[str, str], versions: Mapping[str, str | Exception]) -> None:
    """Raise if a worker has another Python or another version of this package than this process, or none.

    Parameters
    ----------
    pythons : mapping of str to str
        The version of Python, by the worker's address.
    versions : mapping of str to str or Exception
        Of this package; an error where it is not installed.
    """
    own, python = version(PACKAGE), platform.python_version().rpartition(".")[0]
    others = [
        f"{worker} has {f'no {PACKAGE}' if isinstance(found, Exception) else f'{PACKAGE} {found}'}"
        for worker, found in sorted(versions.items())
        if found != own
    ]
    others += [
        f"{worker} has Python {found}"
        for worker, found in sorted(pythons.items())
        if found.rpartition(".")[0] != python
    ]
    if others:
        raise ConnectionError(
            f"Dask workers are not like this process, which has {PACKAGE} {own} and Python {python}: "
            f"{listed(others, between='; ')}; install the same on each: pip install {PACKAGE}=={own}"
        )


def _mapped(
    client: Any, address: str, count: Callable[[Reference, T], R], tasks: Sequence[T], reference: Reference
) -> Iterator[R]:
    def give(golden: bytes) -> bytes:
        return golden

    def run(call: bytes, golden: bytes) -> object:
        from pytest_modelgates.monitoring.on_dask import called

        return called(call, golden)

    # Both are sent by value, so that the scheduler, which unpacks them, need not have this package. As the result of a
    # task the golden is made again where the worker that had it ends.
    golden = client.submit(give, pickle.dumps(reference), pure=False)
    calls = [pickle.dumps((count, task)) for task in tasks]
    futures = client.map(run, calls, golden=golden, pure=False)
    futures.reverse()
    try:
        while futures:
            yield _result(client, address, futures[-1])
            futures.pop()  # its memory on the worker is free now
    finally:
        if futures and client.status == "running":
            client.cancel(futures, force=True)


def called(call: bytes, golden: bytes) -> object:
    """Do one task on a worker.

    Raises
    ------
    OSError
        If a file cannot be read there; the text names both.
    """
    count, task = pickle.loads(call)
    try:
        return count(_unpacked(golden), task)
    except OSError as error:
        if error.filename is None:
            raise
        from distributed import get_worker

        raise ConnectionError(
            f"{error.filename}: {error.strerror}, on the Dask worker {get_worker().address}; every worker must reach "
            "the files, and the log, by the path that they have here"
        ) from error


@lru_cache(maxsize=2)
def _unpacked(golden: bytes) -> Reference:
    found: Reference = pickle.loads(golden)
    return found


def _result(client: Any, address: str, future: Any) -> Any:
    """Wait for a task for as long as there is a worker that may do it."""
    while True:
        try:
            return future.result(timeout=PATIENCE_S)
        except Exception as error:
            late = isinstance(error, TimeoutError) and not future.done()
            if not (late and client.status == "running" and client.nthreads()):
                raise _in_words(error, address) from error


def _in_words(error: Exception, address: str) -> Exception:
    """Say what is the matter with a cluster; an error that says so itself stays."""
    name = type(error).__name__
    if isinstance(error, TimeoutError):
        return ConnectionError(f"the Dask scheduler at {address} has no worker; start one: dask worker {address}")
    if name == "KilledWorker":
        return ConnectionError(
            "the Dask workers that counted one part all ended before they had; it may be their memory, see their logs"
        )
    if isinstance(error, ImportError):
        return ConnectionError(f"a Dask worker lacks a library ({first_line(error)}); install {PACKAGE} on each")
    if name in _GONE:
        return ConnectionError(f"the Dask scheduler at {address} went away, and nothing was compared; run this again")
    return error
