"""Requests of one turn of the event loop are scored in one call, and each has its own answer."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import KilledError
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.proving.twin_models import batch_mean
from pytest_modelgates.proving.twins import make_twin
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.http import Application, Served
from pytest_modelgates.serving.own_panel import rows_of_panel, scores_alike_in_every_batch
from pytest_modelgates.serving.scorer import Rows
from pytest_modelgates.serving.turns import Turn
from tests.support.handmade import logged, renamed


class Counted(Adapter):
    """An adapter that knows how many rows each call has scored."""

    calls: tuple[int, ...] = ()
    broken: Exception | None = None

    def score(self, rows: Rows) -> list[Prediction]:
        self.calls += (len(rows.keys),)
        if self.broken:
            raise self.broken
        return super().score(rows)


@pytest.fixture
def adapter(good_model: Path) -> Counted:
    return Counted(good_model / "model.onnx", arm="live")


def rows(*values: float, request: str | None = None) -> Rows:
    matrix = np.array([[value, 0] for value in values], dtype=np.float32)
    keys = [f"2026-01-02|{value}" for value in values]
    return Rows(keys, matrix, [None] * len(values), request and [request] * len(values))


def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    async def gather() -> list[Any]:
        return await asyncio.gather(*work, return_exceptions=True)

    return asyncio.run(gather())


def test_each_request_has_its_own_rows_of_one_call(adapter: Counted, good_model: Path) -> None:
    turn = Turn(adapter)
    asked = [rows(1, 2, request="a"), rows(3), rows(4, request="b")]
    found = together(*(turn.score(each) for each in asked))
    assert adapter.calls == (4,)
    assert [[record.row_key for record in records] for records in found] == [each.keys for each in asked]
    records = logged(Artifacts.of(good_model), "live")
    assert records == [record for records in found for record in records]
    assert [record.request for record in records] == ["a", "a", None, "b"]
    alone = [adapter.score(each) for each in asked]
    assert [record.prediction for part in alone for record in part] == [record.prediction for record in records]
    together(turn.score(rows(5)))
    assert adapter.calls[4:] == (1,)


def test_a_call_has_so_many_rows_and_a_larger_request_one_of_its_own(adapter: Counted) -> None:
    turn, sizes = Turn(adapter), [100, 100, 100, 300, 1]
    found = together(*(turn.score(rows(*range(size))) for size in sizes))
    assert [len(records) for records in found] == sizes
    assert adapter.calls == (200, 100, 300, 1)


def test_what_keeps_rows_from_being_scored_is_said_to_every_request(adapter: Counted) -> None:
    adapter.broken = KilledError("by ada: drill")
    assert together(*(Turn(adapter).score(rows(value)) for value in (1, 2))) == [adapter.broken] * 2


def test_a_client_that_went_away_is_not_scored(adapter: Counted) -> None:
    async def leave() -> None:
        turn = Turn(adapter)
        gone, stays = (asyncio.ensure_future(turn.score(rows(value))) for value in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await stays

    asyncio.run(leave())
    assert adapter.calls == (1,)


def test_what_waits_is_scored_by_the_model_that_it_came_to(adapter: Counted, good_model: Path) -> None:
    other = Counted(renamed(good_model, "1800000000") / "model.onnx", arm="live")
    application = Application(Served(adapter, together=True), max_body=1)

    async def swap() -> list[Prediction]:
        turn = application.served.turn
        assert turn
        waiting = asyncio.ensure_future(turn.score(rows(1)))
        await asyncio.sleep(0)
        application.swap(Served(other, together=True)).close()
        return await waiting

    (record,) = asyncio.run(swap())
    assert (record.model_id, adapter.calls, other.calls) == (good_model.name, (1,), ())


def test_a_model_whose_scores_depend_on_the_batch_is_known_by_them(good_model: Path, tmp_path: Path) -> None:
    twin = tmp_path / "artifacts" / "models" / "900000000000"
    make_twin(good_model, twin, batch_mean)
    for directory, alike in ((good_model, True), (twin, False)):
        with Adapter(directory / "model.onnx", arm="live") as adapter:
            assert scores_alike_in_every_batch(adapter, rows_of_panel(adapter)[0]) is alike
