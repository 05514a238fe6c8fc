"""What workers do under a supervisor that is tested by itself, each in a process of its own."""

import os
import socket
import sys
import time
from pathlib import Path

from pytest_modelgates.serving.board import Place


def refuses(place: Place, shared: socket.socket, own: socket.socket) -> None:
    """Never comes to serve."""
    sys.exit(1)


def crashes(place: Place, shared: socket.socket, own: socket.socket) -> None:
    """Dies before it serves."""
    os.abort()


def is_served(folder: Path) -> bool:
    """Whether a worker has served already."""
    return (folder / "served").exists()


def _first() -> bool:
    mark = Path(os.environ["MODELGATES_TEST"])
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def serves_once(place: Place, shared: socket.socket, own: socket.socket) -> None:
    """Serves, ends, and never comes to serve again."""
    if not _first():
        sys.exit(1)
    place.board.serves(place.number, "1700000000")


def hangs_once(place: Place, shared: socket.socket, own: socket.socket) -> None:
    """Serves, does nothing any more, and never comes to serve again."""
    if not _first():
        sys.exit(1)
    place.board.serves(place.number, "1700000000")
    time.sleep(60)


def serves_for_a_while(place: Place, shared: socket.socket, own: socket.socket) -> None:
    """Serves for a second, ends, and never comes to serve again."""
    if not _first():
        sys.exit(1)
    place.board.serves(place.number, "1700000000")
    time.sleep(1)
