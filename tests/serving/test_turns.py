"""Requests of one turn of the event loop are scored in one call, and each has its own answer."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import KilledError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.sidecar import FirstRows
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.proving.twin_models import batch_mean
from pytest_modelgates.proving.twins import make_twin
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.http import Application, Served
from pytest_modelgates.serving.own_panel import rows_of_panel, scores_alike_in_every_batch
from pytest_modelgates.serving.replies import Reply
from pytest_modelgates.serving.scorer import Rows, Unnamed
from pytest_modelgates.serving.turns import Turn
from pytest_modelgates.storage.strict_json import readable
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
    return Rows(keys, matrix, [None] * len(values), None if request is None else [request] * len(values))


@dataclass
class Asking:
    """A request, and what it is told."""

    rows: Rows | Unnamed
    disconnected: bool = False
    begin: float = 0.0
    told: list[list[Prediction] | Exception] = field(default_factory=list)

    def give(self, reply: Reply) -> None:
        raise AssertionError(reply)


def together(turn: Turn, *parts: Rows | Unnamed, gone: int | None = None) -> list[list[Prediction] | Exception]:
    """Ask in one turn of an event loop, from which one client may go, and give what each is told."""
    asking = [Asking(rows) for rows in parts]

    async def ask() -> None:
        for each in asking:
            turn.add(each.rows, each.told.append, each)
        if gone is not None:
            asking[gone].disconnected = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(ask())
    return [told for each in asking for told in each.told]


def test_each_request_has_its_own_rows_of_one_call(adapter: Counted, good_model: Path) -> None:
    turn = Turn(adapter, together=True)
    asked = [rows(1, 2, request="a"), rows(3), rows(4, request="b")]
    found = [records for records in together(turn, *asked) if isinstance(records, list)]
    assert adapter.calls == (4,)
    assert [[record.row_key for record in records] for records in found] == [each.keys for each in asked]
    records = logged(Artifacts.of(good_model), "live")
    assert records == [record for records in found for record in records]
    assert [record.request for record in records] == ["a", "a", None, "b"]
    alone = [adapter.score(each) for each in asked]
    assert [record.prediction for part in alone for record in part] == [record.prediction for record in records]
    together(turn, rows(5, 6))
    assert adapter.calls[-1:] == (2,)


def test_a_turn_takes_what_comes_in_while_it_reads_and_does_not_wait_for_more(adapter: Counted) -> None:
    turn, asking = Turn(adapter, together=True), [Asking(rows(value)) for value in range(400)]

    async def ask(each: list[Asking]) -> None:
        for one in each:  # one at every look at the connections
            turn.add(one.rows, one.told.append, one)
            await asyncio.sleep(0)

    async def ask_three() -> None:
        await ask(asking[:3])
        await asyncio.sleep(0)  # a look that brings none
        await ask(asking[3:4])
        await asyncio.sleep(0)
        assert adapter.calls == (3, 1)
        await ask(asking)  # without an end
        assert adapter.calls == (3, 1, 256)

    asyncio.run(ask_three())


def test_a_call_has_so_many_rows_and_a_larger_request_one_of_its_own(adapter: Counted) -> None:
    sizes = [100, 100, 100, 300, 1]
    found = together(Turn(adapter, together=True), *(rows(*range(size)) for size in sizes))
    assert [len(records) for records in found if isinstance(records, list)] == sizes
    assert adapter.calls == (200, 100, 300, 1)


@pytest.mark.parametrize("alike", [False, True])
def test_a_model_whose_scores_depend_on_the_batch_is_given_each_request_by_itself(
    good_model: Path, tmp_path: Path, alike: bool
) -> None:
    twin = tmp_path / "artifacts" / "models" / "900000000000"
    make_twin(good_model, twin, batch_mean)
    parts = [rows(1, 2, request="a"), rows(3), rows(4, 7)]
    adapter = Counted(twin / "model.onnx", arm="live")
    alone = [record.prediction for part in parts for record in adapter.scored_alone(part)]
    told = together(Turn(adapter, together=alike), *parts)
    found = [record.prediction for records in told if isinstance(records, list) for record in records]
    assert adapter.calls == (5,)  # looked at the kill switch for, and logged, at once
    assert (found == alone) is not alike
    whole = Rows.joined(parts, apart=True)
    assert whole.taken([1, 2, 4]).calls == [1, 1, 1]
    dealt = [record.prediction for record in adapter.scored_alone(whole.taken([0, 1, 3, 4]))]
    assert dealt == [alone[row] for row in (0, 1, 3, 4)]


def test_an_error_is_that_of_the_row_whichever_call_it_is_in(adapter: Counted) -> None:
    parts = [rows(1), rows(2, np.inf), rows(3)]
    told = together(Turn(adapter, together=False), *parts)
    errors = [[record.error for record in records] for records in told if isinstance(records, list)]
    assert errors == [[None], [None, "schema: momentum is inf"], [None]]


def test_what_keeps_rows_from_being_scored_is_said_to_every_request(adapter: Counted) -> None:
    adapter.broken = KilledError("by ada: drill")
    assert together(Turn(adapter, together=True), rows(1), rows(2)) == [adapter.broken] * 2


def test_rows_without_a_name_go_by_what_they_hold_beside_those_that_have_one(adapter: Counted) -> None:
    ones, twos = (np.array([[value, 0]], dtype=np.float32) for value in (1, 2))
    nameless = [Unnamed(ones), Unnamed(twos, ["c"])]
    apart = [record.row_key for each in nameless for record in adapter.score(Rows.joined([each]))]
    assert len({*apart}) == 2
    assert all(key.startswith("content:") for key in apart)
    for parts, keys, asked in (
        (nameless, apart, [None, "c"]),
        ([nameless[0], rows(3), nameless[1]], [apart[0], *rows(3).keys, apart[1]], [None, None, "c"]),
    ):
        records = [
            record
            for told in together(Turn(adapter, together=True), *parts)
            if isinstance(told, list)
            for record in told
        ]
        assert [(record.row_key, record.request) for record in records] == list(zip(keys, asked, strict=True))


def test_a_client_that_went_away_is_not_scored(adapter: Counted) -> None:
    assert len(together(Turn(adapter, together=True), rows(1), rows(2), gone=0)) == 1
    assert adapter.calls == (1,)


def test_what_waits_is_scored_by_the_model_that_it_came_to(adapter: Counted, good_model: Path) -> None:
    other = Counted(renamed(good_model, "1800000000") / "model.onnx", arm="live")
    application = Application(Served(adapter, together=True), max_body=1)

    asking = Asking(rows(1))

    async def swap() -> None:
        application.served.turn.add(asking.rows, asking.told.append, asking)
        application.swap(Served(other, together=True)).close()

    asyncio.run(swap())
    ((record,),) = (told for told in asking.told if isinstance(told, list))
    assert record.model_id == good_model.name
    assert (adapter.calls, other.calls) == ((1,), ())


@pytest.mark.parametrize("earlier", [False, True])
def test_the_panel_is_read_only_for_a_model_that_an_earlier_version_packed(
    earlier: bool, good_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_rows(twin: Path) -> None:
        claim = msgspec.structs.replace(Candidate(twin).parity_claim, first=FirstRows())
        (twin / "parity.json").write_bytes(readable(claim))

    directory, opened = good_model, list[Adapter]()
    if earlier:
        make_twin(good_model, directory := tmp_path / "artifacts" / "models" / "900000000000", without_rows)
    panel_file = Adapter.panel_file
    monkeypatch.setattr(Adapter, "panel_file", lambda self: opened.append(self) or panel_file(self))
    with Adapter(directory / "model.onnx", arm="live") as adapter:
        rows, native = rows_of_panel(adapter)
    assert bool(opened) == earlier
    panel = Candidate(good_model).panel
    assert rows.tolist() == panel.head(256).tolist()
    assert native.tolist() == panel.native_scores[:256].tolist()


def test_a_model_whose_scores_depend_on_the_batch_is_known_by_them(good_model: Path, tmp_path: Path) -> None:
    twin = tmp_path / "artifacts" / "models" / "900000000000"
    make_twin(good_model, twin, batch_mean)
    for directory, alike in ((good_model, True), (twin, False)):
        with Adapter(directory / "model.onnx", arm="live") as adapter:
            assert scores_alike_in_every_batch(adapter, rows_of_panel(adapter)[0]) is alike
