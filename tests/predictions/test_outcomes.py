"""What came of rows: once, late, or corrected with a reason, and joined by the row's key."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import FormatError, IntegrityError, ModelgatesError, RefusedError
from pytest_modelgates.policy.operations import LockRules
from pytest_modelgates.predictions.outcomes import Addition, add_outcomes, read_outcomes
from pytest_modelgates.predictions.records import hashed
from pytest_modelgates.storage.row_keys import all_canonical, canonical
from tests.support.handmade import log_predictions, predictions

RULES = LockRules(lock_timeout_s=5, network_file_system=True)
KEYS = ["time", "asset"]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """A root whose live model has predicted forty rows of two days."""
    root = Artifacts(tmp_path / "artifacts")
    root.models.mkdir(parents=True)
    log_predictions(root, predictions("0" * 64, [0.5] * 40, arm="live"))
    return root


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV file of outcomes of some rows of the first day."""

    def write(*values: object, kind: str = "return", name: str = "file.csv", **columns: object) -> Path:
        assets = [f"A{number:02d}" for number in range(len(values))]
        frame = pd.DataFrame({"time": "2024-01-01", "asset": assets, kind: values, **columns})
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


def add(artifacts: Artifacts, source: Path, reason: str | None = None) -> Addition:
    return add_outcomes(artifacts, source, KEYS, RULES, reason=reason)


def test_outcomes_are_joined_by_the_rows_key(artifacts: Artifacts, table: Callable[..., Path]) -> None:
    done = add(artifacts, table(0.01, -0.02))
    assert done == Addition(rows=2, new=2, known=0, corrected=0, unmatched=0)
    found = read_outcomes(artifacts)
    assert found.values["2024-01-01|A01"] == -0.02
    assert found.key_of(hashed("2024-01-01|A01")) == "2024-01-01|A01"
    assert found.key_of("2024-01-02|A01") is None
    assert [(added.kind, added.rows, added.reason) for added in found.files] == [("return", 2, None)]


def test_late_outcomes_are_added_and_rows_that_nobody_predicted_are_counted(
    artifacts: Artifacts, table: Callable[..., Path]
) -> None:
    add(artifacts, table(0.01, -0.02))
    done = add(artifacts, table(0.01, -0.02, *[0.03] * 23, name="late.csv"))
    assert done == Addition(rows=25, new=23, known=2, corrected=0, unmatched=5)  # twenty assets were predicted


def test_a_correction_needs_a_reason_and_keeps_what_was_said(artifacts: Artifacts, table: Callable[..., Path]) -> None:
    add(artifacts, table(0.01, -0.02))
    other = table(0.01, -0.03, 0.5, name="other.csv")
    with pytest.raises(RefusedError) as refused:
        add(artifacts, other)
    assert str(refused.value) == (
        f"{other}: 1 row with another outcome already, such as 2024-01-01|A01: -0.02, now -0.03; "
        'to correct them, say why: --reason "…"'
    )
    assert len(read_outcomes(artifacts).files) == 1
    done = add(artifacts, other, reason="the exchange\nbusted a trade")
    assert done == Addition(rows=3, new=1, known=1, corrected=1, unmatched=0)
    found = read_outcomes(artifacts)
    assert (found.values["2024-01-01|A01"], found.corrected, len(found.files)) == (-0.03, 1, 2)
    assert found.files[1].reason == "the exchange busted a trade"


def test_a_clock_that_was_set_back_makes_no_old_outcome_the_newer_one(
    artifacts: Artifacts, table: Callable[..., Path]
) -> None:
    add(artifacts, table(0.01, -0.02))
    (file,) = artifacts.outcomes.iterdir()
    file.write_bytes(re.sub(rb'"added":"[0-9]{4}', b'"added":"2100', file.read_bytes(), count=1))
    corrected = table(0.01, 0.5, name="other.csv")
    message = r"the clock says .* UTC, and outcomes were added at 2100-.*: which are the newer ones could not be told"
    with pytest.raises(RefusedError, match=message):
        add(artifacts, corrected, reason="a split")


def test_a_registry_keeps_to_returns_or_to_labels(artifacts: Artifacts, table: Callable[..., Path]) -> None:
    add(artifacts, table(0.01))
    labels = table(1, kind="label", name="labels.csv")
    message = f"{labels}: holds label, and what was added before holds return; keep to one"
    with pytest.raises(RefusedError, match=f"^{re.escape(message)}$"):
        add(artifacts, labels)


def test_a_file_is_added_once(artifacts: Artifacts, table: Callable[..., Path]) -> None:
    source = table(0.01)
    add(artifacts, source)
    with pytest.raises(RefusedError, match=r"file\.csv: was added on .* UTC already; nothing to do$"):
        add(artifacts, source)


def test_a_file_of_which_no_row_was_predicted_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    source = tmp_path / "file.csv"
    source.write_text("time,asset,return\n01/01/2024,A00,0.1\n")
    with pytest.raises(RefusedError) as refused:
        add(artifacts, source)
    assert str(refused.value) == (
        f"{source}: 1 row, none predicted, such as 01/01/2024|A00, and predictions have rows such as "
        "2024-01-01|A00; write times and assets as in the rows that were served"
    )
    assert not artifacts.outcomes.exists()


def test_parquet_names_rows_as_a_feed_does(artifacts: Artifacts, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"time": pd.to_datetime(["2024-01-01", "2024-01-02"]), "asset": ["A00", "A01"], "label": [1, 0]}
    )
    frame["observed_at"] = ["2024-01-03", ""]
    frame.to_parquet(tmp_path / "file.parquet", index=False)
    assert add(artifacts, tmp_path / "file.parquet").unmatched == 0
    assert read_outcomes(artifacts).values == {"2024-01-01|A00": 1.0, "2024-01-02|A01": 0.0}
    assert b'"observed_at":"2024-01-03T00:00:00Z"' in next(artifacts.outcomes.iterdir()).read_bytes()


def test_a_midnight_elsewhere_is_another_moment_than_utc_s(artifacts: Artifacts, tmp_path: Path) -> None:
    times = pd.to_datetime(["2024-01-02T09:00", "2024-01-01T19:00"]).tz_localize("Asia/Tokyo")  # both are UTC dates
    midnight = pd.to_datetime(["2024-01-02"]).tz_localize("Asia/Tokyo")  # of 2024-01-01 in UTC
    frame = pd.DataFrame({"time": times.append(midnight), "asset": ["A00", "A01", "A02"], "label": [1, 0, 1]})
    frame["observed_at"] = pd.to_datetime(["2024-01-03", None, None])
    frame.to_parquet(tmp_path / "file.parquet", index=False)
    add(artifacts, tmp_path / "file.parquet")
    assert set(read_outcomes(artifacts).values) == {
        "2024-01-02|A00",
        "2024-01-01T10:00:00|A01",
        "2024-01-01T15:00:00|A02",
    }


@pytest.mark.parametrize("lost", ["time", "asset"])
def test_a_row_without_its_name_is_refused(artifacts: Artifacts, tmp_path: Path, lost: str) -> None:
    frame = pd.DataFrame({"time": pd.to_datetime(["2024-01-01"] * 2), "asset": ["A00", "A01"], "return": [0.1, 0.2]})
    frame.loc[1, lost] = None
    frame.to_parquet(tmp_path / "file.parquet", index=False)
    with pytest.raises(FormatError, match=f"row 2: column '{lost}' is empty, and it may not be missing"):
        add(artifacts, tmp_path / "file.parquet")


REFUSED = [
    pytest.param("time,asset,return\n2024-01-01,A00,1e300\n", ", row 1: return is 1e+300, beyond", id="huge"),
    pytest.param("time,asset\n2024-01-01,A00\n", ": holds neither, expected one of the columns return and", id="none"),
    pytest.param("time,asset,return,label\n2024-01-01,A00,1,1\n", ": holds return and label, expected one", id="both"),
    pytest.param("time,return\n2024-01-01,1\n", ": has no column 'asset'; it holds time, return", id="no-asset"),
    pytest.param("time,asset,return\n", ": a header and not a row", id="empty"),
    pytest.param("time,asset,return\n2024-01-01,A00,\n", ", line 2: column 'return' is empty", id="missing"),
    pytest.param("time,asset,return\n2024-01-01,A00,x\n", ", line 2: column 'return' holds 'x', expected", id="word"),
    pytest.param(
        "time,asset,return\n2024-01-01,A00,1\n2024-01-01,A00,2\n",
        ": row 2024-01-01|A00 appears twice; keep",
        id="twice",
    ),
    pytest.param(
        "time,asset,return,observed_at\n2024-01-01,A00,1,soon\n",
        ": observed_at holds a time that is not ISO 8601 (",
        id="observed",
    ),
    pytest.param(
        "time,asset,return,observed_at\n2024-01-01,A00,1,2024-01-02\n2024-01-01,A01,1,2999-01-01\n",
        ", row 2: observed_at is 2999-01-01, which is yet to come; leave a row out until it is known",
        id="observed-later",
    ),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_a_file_that_cannot_be_read_is_refused_whole(
    artifacts: Artifacts, tmp_path: Path, text: str, says: str
) -> None:
    source = tmp_path / "file.csv"
    source.write_text(text)
    with pytest.raises(FormatError) as refused:
        add(artifacts, source)
    assert str(refused.value).startswith(f"{source}{says}")
    assert not artifacts.outcomes.exists()


def test_what_was_changed_afterwards_is_not_read(artifacts: Artifacts, table: Callable[..., Path]) -> None:
    add(artifacts, table(0.01))
    (path,) = artifacts.outcomes.iterdir()
    content = path.read_bytes()
    for change, kind, says in (
        (content.replace(b"0.01", b"0.02"), IntegrityError, "was changed after its outcomes were added; put the file"),
        (content.replace(b'"format":1', b'"format":9'), FormatError, "not a file of outcomes ("),
        (b"", FormatError, "not a file of outcomes ("),
    ):
        path.write_bytes(change)
        with pytest.raises(ModelgatesError) as refused:
            read_outcomes(artifacts)
        assert isinstance(refused.value, kind)
        assert str(refused.value).startswith(f"{path}: {says}")


def test_a_moment_may_be_written_another_way(artifacts: Artifacts, tmp_path: Path) -> None:
    records = predictions("0" * 64, [0.5] * 3, arm="live")
    keys = ["2026-09-01T09:30|A", "2026-09-01T11:30+02:00|B", "2026-09-01|C"]
    log_predictions(
        artifacts, [msgspec.structs.replace(row, row_key=key) for row, key in zip(records, keys, strict=True)]
    )
    times = ["2026-09-01T09:30:00", "2026-09-01T09:30:00Z", "2026-09-01T00:00"]
    pd.DataFrame({"time": times, "asset": list("ABC"), "return": 0.1}).to_csv(tmp_path / "m.csv", index=False)
    assert add(artifacts, tmp_path / "m.csv").unmatched == 0
    canonical = ["2026-09-01T09:30:00|A", "2026-09-01T09:30:00|B", "2026-09-01|C"]
    assert [read_outcomes(artifacts).key_of(key) for key in keys] == canonical
    # Another file may write it in a third way: these are the same rows, and the same outcomes.
    times = ["2026-09-01 09:30", "2026-09-01T09:30:00.000", "2026-09-01T00:00Z"]
    pd.DataFrame({"time": times, "asset": list("ABC"), "return": 0.1}).to_csv(tmp_path / "n.csv", index=False)
    assert add(artifacts, tmp_path / "n.csv").known == 3
    assert [*read_outcomes(artifacts).values] == canonical
    assert [read_outcomes(artifacts).key_of(hashed(key)) for key in keys] == canonical
    # And a row that is written in two ways is told twice.
    pd.DataFrame({"time": ["2026-09-01", "2026-09-01T00:00"], "asset": "C", "return": 0.1}).to_csv(
        tmp_path / "twice.csv", index=False
    )
    with pytest.raises(FormatError, match=r"row 2026-09-01\|C appears twice; keep one"):
        add(artifacts, tmp_path / "twice.csv")


@pytest.mark.parametrize(
    ("key", "one_way"),
    [
        ("2022-01-03|A", "2022-01-03|A"),
        ("2022-01-03T00:00|A", "2022-01-03|A"),
        ("2022-01-03T00:00:00+00:00|A|B", "2022-01-03|A|B"),
        ("2022-01-03T01:00+01:00|content:00ff", "2022-01-03|content:00ff"),
        ("2022-01-03T16:00Z|A", "2022-01-03T16:00:00|A"),
        ("2022-01-03T16:00:00.5|A", "2022-01-03T16:00:00.500000|A"),
        ("2022-01-03T16:00:00.1234567890+01:00|A", "2022-01-03T15:00:00.123456789|A"),
        ("2022-01-03T00:00:00.000000001|A", "2022-01-03T00:00:00.000000001|A"),
        ("2022-01-03T16:00:00.500000000|A", "2022-01-03T16:00:00.500000|A"),
        ("2022-01-03T00:00:00.000000000Z|A", "2022-01-03|A"),
        ("0001-01-01T00:00+10:00|A", "0001-01-01T00:00+10:00|A"),
        ("soon|A", "soon|A"),
        ("content:00ff", "content:00ff"),
        ("hashed:00ff", "hashed:00ff"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_a_key_is_spelled_in_one_way(key: str, one_way: str) -> None:
    assert canonical(key) == one_way
    assert canonical(one_way) == one_way
    assert all_canonical([one_way, key]) == [one_way, one_way]
