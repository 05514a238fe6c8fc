"""The plan of an A/B test: how it deals rows, how it begins and ends, and which files are refused as plans."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit import ab
from pytest_modelgates.audit.ab import By, Plan, ended, kept, last_of, new_plan, read_plan
from pytest_modelgates.audit.chain import Event, read_history
from pytest_modelgates.errors import FormatError, RefusedError, RegistryError
from pytest_modelgates.storage.digests import sha256_of
from pytest_modelgates.storage.strict_json import readable

KEYS = [f"2026-01-{day:02d}|A{asset}" for day in range(1, 29) for asset in range(500)]


def plan(*, share: float = 0.1, by: By = "row", reason: str = "a canary") -> Plan:
    return new_plan(
        candidate="1800000000",
        candidate_digest="c" * 64,
        live="1700000000",
        live_digest="a" * 64,
        live_since=datetime(2026, 1, 1, tzinfo=UTC),
        share=share,
        by=by,
        reason=reason,
    )


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An artifacts root."""
    (tmp_path / "artifacts" / "models").mkdir(parents=True)
    return Artifacts(tmp_path / "artifacts")


def events(artifacts: Artifacts) -> list[tuple[str, str, str | None]]:
    found = [record for record in read_history(artifacts.promotions) if isinstance(record, Event)]
    return [(event.kind, event.subject, event.evidence) for event in found]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_of_the_rows_is_the_one_asked_for(share: float) -> None:
    taken = np.mean([plan(share=share).takes(key) for key in KEYS])
    assert abs(taken - share) < 5 * np.sqrt(share * (1 - share) / len(KEYS))


def test_each_day_deals_anew_by_row_and_an_asset_stays_by_asset() -> None:
    by_row, by_asset = plan(share=0.5), plan(share=0.5, by="asset")
    days = [{key[11:] for key in KEYS if by_row.takes(key) and key.startswith(f"2026-01-{day:02d}")} for day in (1, 2)]
    assert 0.3 < len(days[0] & days[1]) / len(days[0]) < 0.7
    days = [
        {key[11:] for key in KEYS if by_asset.takes(key) and key.startswith(f"2026-01-{day:02d}")} for day in (1, 2)
    ]
    assert days[0] == days[1]


def test_each_test_deals_anew() -> None:
    first, second = plan(share=0.5), plan(share=0.5)
    assert 0.4 < np.mean([first.takes(key) == second.takes(key) for key in KEYS]) < 0.6


@pytest.mark.parametrize(
    "spelled", ["2026-01-02T00:00:00Z", "2026-01-02T00:00", "2026-01-02T05:30:00+05:30", "20260102"]
)
@pytest.mark.parametrize("by", ["row", "asset"])
def test_a_row_is_dealt_alike_however_its_time_is_spelled(by: By, spelled: str) -> None:
    found = plan(share=0.5, by=by)
    dealt = [found.takes(f"2026-01-02|A{asset}") for asset in range(64)]
    assert [found.takes(f"{spelled}|A{asset}") for asset in range(64)] == dealt


def test_rows_that_name_no_asset_are_dealt_one_by_one() -> None:
    found = plan(share=0.3, by="asset")
    assert abs(np.mean([found.takes(f"content:{number:032x}") for number in range(2000)]) - 0.3) < 0.06


def test_a_row_is_dealt_alike_in_every_process() -> None:
    found = plan(share=0.5)
    code = (
        "import sys, msgspec; from pytest_modelgates.audit.ab import Plan;"
        "plan = msgspec.json.decode(sys.argv[1], type=Plan); print([plan.takes(key) for key in sys.argv[2:]])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, msgspec.json.encode(found).decode(), *KEYS[:50]],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip() == str([found.takes(key) for key in KEYS[:50]])


def test_a_row_is_dealt_as_in_the_first_version() -> None:
    # Known answers: another hash would deal the rows of tests that run anew.
    found = msgspec.structs.replace(plan(share=0.5), name="ab-20260101T000000Z-00000000")
    assert [found.takes(f"2026-01-02|A{asset}") for asset in range(8)] == [bool(int(bit)) for bit in "11001001"]


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, 1.0, float("nan"), float("inf")])
def test_a_share_beyond_a_half_is_a_promotion(share: float) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(share=share)
    assert str(caught.value) == (
        f"a share of {share:g}: give one above 0, at most 0.5; to give a candidate all rows, promote it"
    )


def test_a_test_needs_a_reason() -> None:
    with pytest.raises(RefusedError, match="reason"):
        plan(reason=" ")


def test_a_test_is_in_the_log_from_its_beginning_to_its_end(artifacts: Artifacts) -> None:
    found = plan()
    ab.start(artifacts, found)
    assert read_plan(artifacts) == found
    begun = sha256_of(artifacts.ab)
    done = ab.stop(artifacts, "seen enough")
    assert done is not None
    assert (done.plan, done.reason) == (found, "seen enough")
    assert read_plan(artifacts) is None
    assert ended(artifacts) == [done]
    kept = artifacts.ended_abs / f"{found.name}.json"
    assert events(artifacts) == [("ab-start", found.name, begun), ("ab-stop", found.name, sha256_of(kept))]


@pytest.mark.parametrize("before", ["unlink", "append"])
def test_a_stop_that_was_cut_short_is_recognised(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    found = plan()
    ab.start(artifacts, found)
    with monkeypatch.context() as broken:
        broken.setattr(*((Path, "unlink") if before == "unlink" else (ab, "append")), fails)
        with pytest.raises(OSError, match="Input/output"):
            ab.stop(artifacts, "seen enough")
    done = ab.stop(artifacts, "once more")
    assert done
    assert done.reason == ("seen enough" if before == "unlink" else "once more")
    assert (read_plan(artifacts), ended(artifacts)) == (None, [done])
    kept_as = artifacts.ended_abs / f"{found.name}.json"
    assert events(artifacts)[1:] == [("ab-stop", found.name, sha256_of(kept_as))]


def test_a_plan_that_was_put_back_is_stopped_anew(artifacts: Artifacts) -> None:
    found = plan()
    ab.start(artifacts, found)
    first = ab.stop(artifacts, "seen enough")
    ab.start(artifacts, found)
    second = ab.stop(artifacts, "once more")
    assert first != second
    assert [kind for kind, *_ in events(artifacts)] == ["ab-start", "ab-stop"] * 2


@pytest.mark.parametrize(
    ("share", "said"), [(0.004, "0.4%"), (0.1, "10%"), (0.5, "50%"), (1 / 3, "33.3%"), (0.00005, "0.005%")]
)
def test_a_small_share_is_not_nothing(share: float, said: str) -> None:
    assert str(plan(share=share)).endswith(f" beside 1700000000, {said} of the rows")


def test_one_test_runs_at_a_time(artifacts: Artifacts) -> None:
    first = plan()
    ab.start(artifacts, first)
    with pytest.raises(RefusedError) as caught:
        ab.start(artifacts, plan())
    assert str(caught.value) == (
        f"an A/B test runs: {first.name}: 1800000000 beside 1700000000, 10% of the rows; "
        'stop it first: modelgates ab stop --reason "…"'
    )
    assert read_plan(artifacts) == first


def test_nothing_to_stop_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(RefusedError, match=r"^no A/B test runs; see: modelgates ab status$"):
        ab.stop(artifacts, "why not")


def test_the_last_test_of_a_candidate_is_found(artifacts: Artifacts) -> None:
    assert last_of(artifacts, "c" * 64) is None
    first, second = plan(), plan()
    ab.start(artifacts, first)
    assert last_of(artifacts, "c" * 64) == first
    assert last_of(artifacts, "a" * 64) is None
    ab.stop(artifacts, "seen enough")
    ab.start(artifacts, second)
    done = ab.stop(artifacts, "seen enough")
    assert last_of(artifacts, "c" * 64) == done


VALID = msgspec.to_builtins(plan())
HOSTILE = [
    pytest.param(b"", "not JSON", id="empty"),
    pytest.param(b"\xff\xfe", "not JSON|UTF-8", id="not-text"),
    pytest.param(b"[]", "object", id="a-list"),
    pytest.param(b'{"format": 1, "format": 1}', "twice|duplicate", id="a-key-twice"),
    pytest.param(b"{" * 10_000, "nested|JSON", id="deep"),
    pytest.param(b" " * 100_000, "at most 65536", id="large"),
    *(
        pytest.param(readable(VALID | change), "|".join(change), id="-".join([*change, str(number)]))
        for number, change in enumerate(
            [
                {"share": 1.0},
                {"share": 0},
                {"share": -1},
                {"share": "0.1"},
                {"candidate": "../../etc"},
                {"candidate": "1800000000\n"},
                {"live": "latest"},
                {"candidate_digest": "c" * 63},
                {"name": "../../KILL"},
                {"by": "time"},
                {"format": 2},
                {"started": "2026-01-01T00:00:00"},
                {"unknown": 1},
            ]
        )
    ),
]


@pytest.mark.parametrize(("content", "named"), HOSTILE)
def test_what_is_no_plan_is_refused_by_name_and_can_be_taken_away(
    artifacts: Artifacts, content: bytes, named: str
) -> None:
    artifacts.ab.write_bytes(content)
    with pytest.raises(FormatError, match=named) as caught:
        read_plan(artifacts)
    assert str(caught.value).startswith(f"{artifacts.ab}")
    assert str(caught.value).endswith('; take it away: modelgates ab stop --reason "…"')
    with pytest.raises(FormatError):
        ab.start(artifacts, plan())
    assert ab.stop(artifacts, "no plan of mine") is None
    assert events(artifacts) == [("ab-stop", "damaged", None)]
    assert read_plan(artifacts) is None


def test_a_link_is_no_plan(artifacts: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(readable(plan()))
    artifacts.ab.symlink_to(tmp_path / "plan.json")
    with pytest.raises(FormatError, match=r"ab\.json: a link, expected a file; take it away: modelgates ab stop"):
        read_plan(artifacts)
    assert ab.stop(artifacts, "no plan of mine") is None
    assert (tmp_path / "plan.json").exists()


def test_a_folder_is_removed_by_hand(artifacts: Artifacts) -> None:
    artifacts.ab.mkdir()
    with pytest.raises(RegistryError, match=r"ab\.json: not a file; remove it by hand$"):
        ab.stop(artifacts, "no plan of mine")


def test_a_test_that_was_kept_and_changed_is_passed_over(artifacts: Artifacts) -> None:
    done = []
    for _ in range(2):
        ab.start(artifacts, plan())
        done.append(ab.stop(artifacts, "seen enough"))
    assert done[1]
    path = artifacts.ended_abs / f"{done[1].plan.name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stopped": "never"}))
    folder = artifacts.ended_abs / "ab-x.json"
    folder.mkdir()
    found, odd = kept(artifacts)
    assert found == ended(artifacts) == [done[0]]
    assert last_of(artifacts, "c" * 64) == done[0]
    assert list(odd) == [path, folder]
    assert odd[path].startswith(f"{path}: ")
    assert "stopped" in odd[path]
