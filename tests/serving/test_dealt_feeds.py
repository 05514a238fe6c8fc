"""A feed whose rows an A/B test deals: each row is in one of the two logs once, whatever happened before a restart."""

import shutil
from pathlib import Path

import pytest

from pytest_modelgates.serving.feeds import Feed
from pytest_modelgates.serving.following import FollowedCsv
from pytest_modelgates.serving.sources import columns_of, read_csv_messages
from tests.serving.test_dealing import Desk, rows, table
from tests.serving.test_feeds import Listed, Until, row
from tests.support.ab import both_arms, keys_of
from tests.support.handmade import Registry

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
    feed = FollowedCsv(path, [column.name for column in columns_of(desk.live.sidecar)], say=desk.said.append)
    with desk.live:
        list(desk.live.run_feed(feed, AtEnd(), read=read_csv_messages))


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
