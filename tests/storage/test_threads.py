"""What a second thread does."""

import threading
from collections.abc import Iterator

import pytest

from pytest_modelgates.storage.threads import ahead

WAIT_S = 60


def test_items_come_in_their_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter(()))) == []


def test_the_next_item_is_taken_while_one_is_in_use() -> None:
    taken = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        taken.set()
        yield 2

    found = ahead(items())
    assert next(found) == 1
    assert taken.wait(WAIT_S)
    assert list(found) == [2]


def test_an_error_is_raised_where_the_item_would_come() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("spoiled")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="spoiled"):
        next(found)


def test_nothing_is_taken_once_nobody_asks() -> None:
    taken = list[int]()
    found = ahead(taken.append(item) or item for item in range(100))  # type: ignore[func-returns-value]
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert taken in ([0], [0, 1])


def test_without_a_thread_the_machine_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", exhausted)
    with pytest.raises(OSError, match="No thread left to read with"):
        next(ahead(iter([1])))
