"""A feed whose rows an A/B test deals: each row is in one of the two logs once, whatever happened before a restart."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_modelgates.audit.kill import kill
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.dealing import Dealer
from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.following import FollowedCsv
from pytest_modelgates.serving.scorer import Rows
from tests.serving.test_dealing import Desk, rows, table
from tests.serving.test_feeds import Listed, Until, row
from tests.support.ab import both_arms, keys_of
from tests.support.handmade import Registry, logged

pytestmark = pytest.mark.integration


class AtEnd:
    """Ends when the feed has nothing more."""

    def __init__(self) -> None:
        self.gone_on = 0

    def ended(self, wait_s: float = 0.0) -> bool:
        return not wait_s and self.gone_on > 1

    def moved(self) -> bool:
        return False

    def trouble(self, why: str | None) -> None:
        pass

    def went_on(self, feed: Feed, rows: int, dead: int, repeated: int) -> None:
        self.gone_on += not rows and not repeated


def follow(registry: Registry, path: Path) -> None:
    """Follow a file to its end, by a process of its own as it were."""
    pytest.importorskip("watchfiles")
    desk = Desk(registry)
    desk.look()
    feed = FollowedCsv(path, desk.live.sidecar, say=desk.said.append)
    with desk.live:
        list(desk.live.run_feed(feed, AtEnd(), read=feed.read))


def asked_over_http(registry: Registry) -> None:
    """Rows of no feed, which both arms log in newer parts."""
    desk = Desk(registry)
    desk.look()
    with desk.live:
        assert {record.arm for record in desk.live.score(rows(day="2026-05-05"))} == {"live", "ab"}


def cut_off_between_the_two_logs(registry: Registry) -> None:
    """Leave what a process leaves that dies then: the candidate's rows are logged first."""
    shutil.rmtree(registry.artifacts.predictions / "live")
    registry.artifacts.newest_parts["live"].unlink()


def keys(registry: Registry, day: str) -> list[str]:
    ours, theirs = both_arms(registry.artifacts)
    return [key for key in keys_of(ours + theirs) if key.startswith(day)]


def test_a_newer_part_of_another_writer_hides_no_row_of_a_file(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "grows.csv"
    Desk(registry).begin()
    table(path, 60)
    follow(registry, path)
    cut_off_between_the_two_logs(registry)
    asked_over_http(registry)
    follow(registry, path)
    assert keys(registry, "2026-01-02") == sorted(f"2026-01-02|A{number}" for number in range(60))


@pytest.mark.parametrize("floor", [0, None])
def test_a_newer_part_of_another_writer_hides_no_message(registry: Registry, floor: int | None) -> None:
    Desk(registry).begin()
    feed = Listed({number: row(number) for number in range(1, 31)})
    feed.floor = floor

    def pulled() -> None:
        desk = Desk(registry)
        desk.look()
        with desk.live:
            list(desk.live.run_feed(feed, Until(feed)))

    pulled()
    cut_off_between_the_two_logs(registry)
    asked_over_http(registry)
    feed.acknowledged = set()
    pulled()
    assert keys(registry, "2026-01-02") == [f"2026-01-02|A{number:04d}" for number in range(1, 31)]


def test_a_file_that_was_rotated_is_not_read_again_where_all_rows_were_dealt(
    registry: Registry, tmp_path: Path
) -> None:
    """The log of the live arm ends in the file before then, far behind the place in the new one."""
    path = tmp_path / "grows.csv"
    plan = Desk(registry).begin()
    table(path, 60)
    follow(registry, path)
    dealt = [asset for asset in (f"A{number}" for number in range(40)) if plan.takes(f"2026-01-03|{asset}")][:3]
    fresh = tmp_path / "fresh"
    fresh.write_text("time,asset,momentum,value\n" + "".join(f"2026-01-03,{asset},0.5,0.25\n" for asset in dealt))
    fresh.replace(path)
    for _ in range(3):
        follow(registry, path)
    assert keys(registry, "2026-01-03") == sorted(f"2026-01-03|{asset}" for asset in dealt)
    assert len(keys(registry, "2026-01-02")) == 60


def without_scores(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model score no row."""
    score = adapter._scorer.score
    monkeypatch.setattr(adapter._scorer, "score", lambda matrix: score(np.full_like(matrix, np.nan)))


def then(done: Callable[[Registry], object], registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something as soon as the candidate has scored a batch."""
    scored = Dealer.scored

    def scored_then(dealer: Dealer, asked: Rows) -> list[Prediction] | None:
        found = scored(dealer, asked)
        done(registry)
        return found

    monkeypatch.setattr(Dealer, "scored", scored_then)


def killed(registry: Registry) -> None:
    kill(registry.artifacts, "ab", "in between", "kill")


def without_a_log(registry: Registry) -> None:
    folder = registry.artifacts.predictions / "ab"
    if folder.is_dir():
        shutil.rmtree(folder)
        folder.write_bytes(b"")


def pulled(registry: Registry, desk: Desk) -> list[str]:
    """Pull 30 messages, and name the dead letters that were left."""
    feed = Listed({number: row(number) for number in range(1, 31)})
    with desk.live:
        list(desk.live.run_feed(feed, Until(feed)))
    return letters(registry)


def letters(registry: Registry) -> list[str]:
    path = registry.artifacts.dead_letters("live")
    return [json.loads(line)["request"] for line in path.read_bytes().splitlines()] if path.exists() else []


@pytest.mark.parametrize("done", [killed, without_a_log])
def test_a_row_that_the_live_model_cannot_score_in_the_place_of_the_candidate_becomes_a_dead_letter(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, done: Callable[[Registry], object]
) -> None:
    desk = Desk(registry)
    desk.begin()
    without_scores(desk.live, monkeypatch)
    then(done, registry, monkeypatch)
    found = pulled(registry, desk)
    assert sorted(found) == sorted(str(record.request) for record in logged(registry.artifacts, "live"))
    assert len(found) == 30


def test_a_row_that_the_live_model_scored_in_the_place_of_the_candidate_is_no_dead_letter(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(registry)
    desk.begin()
    assert desk.dealer.adapter
    without_scores(desk.dealer.adapter, monkeypatch)
    then(killed, registry, monkeypatch)
    assert pulled(registry, desk) == []
    assert len(logged(registry.artifacts, "live")) == 30


def test_the_letter_of_a_row_of_the_candidate_is_there_before_its_record(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies in between would drop the row when it comes again."""
    desk = Desk(registry)
    desk.begin()
    assert desk.dealer.adapter
    without_scores(desk.dealer.adapter, monkeypatch)
    wanted = list[str | None]()

    def dies(_: Dealer, records: list[Prediction]) -> None:
        wanted.extend(record.request for record in records)
        raise SystemError

    monkeypatch.setattr(Dealer, "log", dies)
    with pytest.raises(SystemError):
        pulled(registry, desk)
    assert letters(registry) == wanted
    assert wanted
