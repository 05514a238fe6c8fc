"""Setting a model's golden: from its panel, or from a file."""

import gzip
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

import pytest_modelgates.registry.golden as golden_module
from pytest_modelgates.audit.chain import Event, read_history, signed_content
from pytest_modelgates.audit.head import head_of
from pytest_modelgates.audit.kinds import GOLDEN_SET
from pytest_modelgates.drift import load_golden_predictions, save_golden_predictions
from pytest_modelgates.drift.golden import put_golden, read_golden, version_content, version_of
from pytest_modelgates.drift.versions import golden_metadata
from pytest_modelgates.errors import FormatError, InsufficientDataError, IntegrityError, RefusedError, StatisticsError
from pytest_modelgates.evidence.seal import generate_key, signer
from pytest_modelgates.monitoring.goldens import shown
from pytest_modelgates.monitoring.prepared import prepared_golden
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.registry.golden import GoldenSet, set_golden
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import sha256_of, tree_digest
from pytest_modelgates.storage.disk import LocalDisk
from tests.support.handmade import Registry, golden_of, green_report, log_predictions, predictions

RULES = load_operations(None, policy=None)[0].registry


def test_a_golden_is_set_from_the_panel_or_from_a_file(registry: Registry, tmp_path: Path) -> None:
    folder, directory = registry.artifacts.golden, registry.artifacts.model(registry.candidate)
    set_golden(registry.artifacts, registry.candidate, None, RULES)
    assert load_golden_predictions(registry.candidate, folder=folder).tolist() == golden_of(directory)
    assert golden_metadata(folder).goldens[registry.candidate].digest == tree_digest(directory)
    frame = pd.DataFrame({"prediction": [1.0, 2.0], "more": ["a", "b"]})
    frame.to_csv(tmp_path / "own.csv", index=False)
    frame.to_parquet(tmp_path / "own.parquet")
    (tmp_path / "own.csv.gz").write_bytes(gzip.compress((tmp_path / "own.csv").read_bytes()))
    for name in ("own.csv", "own.csv.gz", "own.parquet"):
        set_golden(registry.artifacts, registry.candidate, tmp_path / name, RULES)
        np.testing.assert_array_equal(load_golden_predictions(registry.candidate, folder=folder), [1, 2])
    golden = golden_metadata(folder).goldens[registry.candidate]
    assert (golden.digest, golden.origin, golden.of) == (tree_digest(directory), "hand", None)
    assert [each.origin for each in golden.history] == ["panel"], "the same predictions again are no other golden"
    assert registry.live in golden_metadata(folder).goldens


def test_setting_a_golden_is_an_event_whose_evidence_is_its_file(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("prediction\n1\n2\n")
    log, model = registry.artifacts.promotions, registry.candidate
    file = registry.artifacts.golden / f"{model}.parquet"
    set_golden(registry.artifacts, model, None, RULES)
    first = sha256_of(file)
    set_golden(registry.artifacts, model, tmp_path / "own.csv", RULES)
    set_golden(registry.artifacts, model, tmp_path / "own.csv", RULES, reason="the feed\nchanged")
    events = [record for record in read_history(log) if isinstance(record, Event) and record.kind == GOLDEN_SET]
    assert [(event.subject, event.evidence, event.reason) for event in events] == [
        (model, first, "from its own panel"),
        (model, sha256_of(file), "from own.csv"),
        (model, sha256_of(file), "the feed changed"),
    ]


def test_the_event_comes_before_the_golden_so_that_none_changes_unseen(registry: Registry) -> None:
    (registry.artifacts.golden / f"{registry.candidate}.parquet").mkdir()
    with pytest.raises(OSError, match="a folder, expected a file; move it away"):
        set_golden(registry.artifacts, registry.candidate, None, RULES)
    assert read_history(registry.artifacts.promotions)[-1].kind == GOLDEN_SET


def test_a_golden_that_cannot_be_written_down_is_not_changed(registry: Registry) -> None:
    log, before = registry.artifacts.promotions, registry.state()
    log.write_bytes(log.read_bytes() + b"no record\n")
    with pytest.raises(FormatError, match="see: modelgates recover"):
        set_golden(registry.artifacts, registry.live, None, RULES)
    assert registry.state()[2] == before[2]


def test_a_signed_golden_is_found_signed(registry: Registry, tmp_path: Path) -> None:
    public = generate_key(tmp_path / "key")
    set_golden(registry.artifacts, registry.live, None, RULES, key=tmp_path / "key")
    event = read_history(registry.artifacts.promotions)[-1]
    assert signer(signed_content(event), event.signature, [public]) == public


def test_before_the_first_promotion_a_golden_ties_no_model_to_this_log(empty_registry: Registry) -> None:
    set_golden(empty_registry.artifacts, empty_registry.live, None, RULES)
    assert len(read_history(empty_registry.artifacts.promotions)) == 1
    assert head_of(empty_registry.artifacts.promotions) is None


def test_a_golden_file_of_another_form_is_refused(registry: Registry, tmp_path: Path) -> None:
    before = registry.state()
    for name, content, said, error in (
        ("gone.csv", None, "no such file", FormatError),
        ("random.parquet", b"\0\1\2", r"random\.parquet: neither Parquet by its content nor CSV", FormatError),
        ("random.csv", b"\xff\xfe\0", r"random\.csv, line 1: not the header of a CSV file", FormatError),
        ("empty.csv", b"", "no header", FormatError),
        ("none.csv", b"prediction\n", "expected one finite number a row", StatisticsError),
        ("other.csv", b"a,b\n1,2\n", "has no column 'prediction'; it holds a, b", FormatError),
        ("twice.csv", b"prediction,prediction\n1,2\n", "two columns are called 'prediction'", FormatError),
        (
            "words.csv",
            b"prediction\nhigh\n",
            "line 2: column 'prediction' holds 'high', expected a number",
            FormatError,
        ),
        ("truths.csv", b"prediction\n1\nTrue\n", "line 3: column 'prediction' holds 'True', expected", FormatError),
        ("gaps.csv", b'prediction\n1\n""\n2\n', "line 3: column 'prediction' is empty, and it may not", FormatError),
        ("blank.csv", b"prediction\n1\n\n2\n", "line 3: a blank line, expected 1 field; delete it", FormatError),
        ("short.csv", b"prediction,more\n1\n", "line 2: 1 field, the header has 2", FormatError),
        ("half.csv.gz", gzip.compress(b"prediction\n1\n")[:-4], "not a whole .gz file", FormatError),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=said):
            set_golden(registry.artifacts, registry.live, tmp_path / name, RULES)
    with pytest.raises(FormatError):
        set_golden(registry.artifacts, registry.live, tmp_path, RULES)
    pd.DataFrame({"prediction": [True, False]}).to_parquet(tmp_path / "truths.parquet")
    with pytest.raises(FormatError, match=r"truths\.parquet: prediction is bool, expected numbers$"):
        set_golden(registry.artifacts, registry.live, tmp_path / "truths.parquet", RULES)
    assert registry.state() == before


def test_only_a_sound_model_gets_a_golden(registry: Registry) -> None:
    with (registry.artifacts.model(registry.candidate) / "evaluation.parquet").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match=r"evaluation\.parquet"):
        set_golden(registry.artifacts, registry.candidate, None, RULES)


def test_saving_from_python_is_an_event_too_and_names_the_bytes_of_the_model(registry: Registry) -> None:
    artifacts = registry.artifacts
    save_golden_predictions([1.0, 2.0], folder=artifacts.golden)
    event, golden = read_history(artifacts.promotions)[-1], golden_metadata(artifacts.golden).goldens[registry.live]
    assert (event.kind, event.subject, event.evidence) == (GOLDEN_SET, registry.live, golden.sha256)
    assert event.reason == "from Python"
    assert golden.digest == tree_digest(artifacts.model(registry.live))


def logged_golden(registry: Registry, **options: object) -> GoldenSet:
    return set_golden(registry.artifacts, registry.live, "log", RULES, **options)


def test_a_golden_is_made_of_what_the_model_predicted_live(registry: Registry) -> None:
    artifacts, end = registry.artifacts, datetime.now(UTC)
    digest = live_change(artifacts).digest
    ours = predictions(digest, range(401), hours=24, end=end, arm="live")
    others = predictions("1" * 64, [9.0] * 10, arm="live")
    log_predictions(artifacts, [*ours, *others, *predictions(digest, [None], arm="live")])
    done = logged_golden(registry)
    assert done.words == "401 rows from the live log, of 21 days"
    golden = golden_metadata(artifacts.golden).goldens[registry.live]
    assert (golden.rows, golden.origin, golden.of, golden.digest) == (401, "log", digest, digest)
    assert load_golden_predictions(folder=artifacts.golden).tolist() == list(range(401))
    _, days = read_golden(done.path, done.path.read_bytes())
    assert days is not None
    assert (str(days[0]), str(days[-1])) == ("2024-01-01", "2024-01-21")
    assert prepared_golden(artifacts, registry.live).golden.undated == 0
    assert read_history(artifacts.promotions)[-1].reason == done.words
    since = end - timedelta(hours=12)
    done = logged_golden(registry, since=since)
    assert done.words == f"201 rows from the live log since {since:%Y-%m-%d %H:%M} UTC, of 11 days"
    logged_golden(registry, until=since)
    assert load_golden_predictions(folder=artifacts.golden).tolist() == list(range(200))


def test_rows_that_come_twice_or_without_a_day_are_said(registry: Registry) -> None:
    records = predictions(live_change(registry.artifacts).digest, [1.0, 2.0], arm="live")
    nameless = [msgspec.structs.replace(each, row_key=f"x|{place}") for place, each in enumerate(records)]
    for _ in range(2):
        log_predictions(registry.artifacts, nameless)
    found = "of no known day, 50.0% of them scored by another process too"
    assert logged_golden(registry).words == f"4 rows from the live log, {found}"


def test_a_row_without_a_day_is_named_as_what_keeps_the_days_away(registry: Registry) -> None:
    records = predictions(live_change(registry.artifacts).digest, [1.0, 2.0, 3.0], arm="live")
    records[1] = msgspec.structs.replace(records[1], row_key="x|1", row_time=None)
    log_predictions(registry.artifacts, records)
    assert logged_golden(registry).words == "3 rows from the live log, of no known day, for lack of it in 1 row"


def test_no_golden_is_made_of_a_log_that_is_not_whole_or_of_none(registry: Registry) -> None:
    before = registry.state()
    with pytest.raises(StatisticsError, match=f"^no prediction of {registry.live} in the live log since 2030-01-01"):
        logged_golden(registry, since=datetime(2030, 1, 1, tzinfo=UTC))
    log_predictions(registry.artifacts, predictions(live_change(registry.artifacts).digest, [1.0, 2.0], arm="live"))
    (part,) = registry.artifacts.predictions.rglob("*.jsonl")
    part.write_bytes(b"no record\n" + part.read_bytes())
    with pytest.raises(InsufficientDataError, match=r"^the log of live predictions is not whole: .*, line 1: not a "):
        logged_golden(registry)
    assert registry.state() == before


def test_a_golden_of_another_model_is_refused_unless_asked_for(registry: Registry, tmp_path: Path) -> None:
    artifacts, live, other = registry.artifacts, registry.live, registry.candidate
    digest = tree_digest(artifacts.model(other))
    set_golden(artifacts, other, None, RULES)
    copied = tmp_path / "copied.parquet"
    copied.write_bytes((artifacts.golden / f"{other}.parquet").read_bytes())
    part = tmp_path / "part.csv"
    part.write_text(f"prediction,digest\n1,{tree_digest(artifacts.model(live))}\n2,{digest}\n")
    named = golden_metadata(artifacts.golden).goldens[other].name
    before = registry.state()
    for source in (other, copied, part, named):
        message = (
            f"{source}: predictions of another model, sha256:{digest[:16]}; the golden of {live} is for "
            f"sha256:{tree_digest(artifacts.model(live))[:16]}. If you want them all the same, add --of-another-model"
        )
        with pytest.raises(RefusedError, match=f"^{re.escape(message)}$"):
            set_golden(artifacts, live, source, RULES)
    assert registry.state() == before
    for source in (other, copied, part, named):
        set_golden(artifacts, live, source, RULES, of_another=True)
        golden = golden_metadata(artifacts.golden).goldens[live]
        assert (golden.digest, golden.of) == (tree_digest(artifacts.model(live)), digest)


def test_a_golden_of_another_model_that_0_1_saved_is_known_by_its_bytes(registry: Registry, tmp_path: Path) -> None:
    artifacts, other = registry.artifacts, registry.candidate
    pd.DataFrame({"prediction": [1.0]}).to_parquet(tmp_path / "old.parquet", index=False)
    content = (tmp_path / "old.parquet").read_bytes()
    put_golden(artifacts.golden, other, content, version_of(content, 1, digest=None))
    with pytest.raises(RefusedError, match=f"predictions of another model, {other}; "):
        set_golden(artifacts, registry.live, tmp_path / "old.parquet", RULES)
    set_golden(artifacts, other, tmp_path / "old.parquet", RULES)


def test_a_log_that_names_no_model_by_its_digest_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "part.csv").write_text("prediction,digest\n1,abc\n")
    with pytest.raises(FormatError, match="digest holds 'abc', expected the SHA-256 of a model; rename"):
        set_golden(registry.artifacts, registry.live, tmp_path / "part.csv", RULES, of_another=True)


def test_an_earlier_golden_is_put_back_byte_by_byte(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("prediction\n1\n2\n")
    path = registry.artifacts.golden / f"{registry.live}.parquet"
    first, content = golden_metadata(path.parent).goldens[registry.live], path.read_bytes()
    assert set_golden(registry.artifacts, registry.live, tmp_path / "own.csv", RULES).before == first.in_force
    done = set_golden(registry.artifacts, registry.live, first.name, RULES)
    assert done.words == f"{first.rows} rows from the golden {first.name} of {registry.live}"
    assert path.read_bytes() == content
    golden = golden_metadata(path.parent).goldens[registry.live]
    assert msgspec.structs.replace(golden.in_force, saved=first.saved) == first.in_force
    assert [each.origin for each in golden.versions] == ["panel", "hand", "panel"]


def test_an_earlier_golden_that_nobody_finds_is_refused(registry: Registry, tmp_path: Path) -> None:
    artifacts, first = registry.artifacts, golden_metadata(registry.artifacts.golden).goldens[registry.live]
    (tmp_path / "own.csv").write_text("prediction\n1\n")
    set_golden(artifacts, registry.live, tmp_path / "own.csv", RULES)
    for name in ("sha256:", "sha256:x", "sha256:../..", f"sha256:{'0' * 64}"):
        with pytest.raises(FormatError, match=f"^{name}: no golden of this name, expected one; see: modelgates golden"):
            set_golden(artifacts, registry.live, name, RULES)
    for number in range(17):  # two of them begin with the same digit
        (tmp_path / "own.csv").write_text(f"prediction\n{number}\n")
        set_golden(artifacts, registry.live, tmp_path / "own.csv", RULES)
    digits = [each.sha256[0] for each in golden_metadata(artifacts.golden).goldens[registry.live].versions]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(FormatError, match=rf"^sha256:{twice}: \d+ goldens \({twice}\w+, .* of this name, expected one"):
        set_golden(artifacts, registry.live, f"sha256:{twice}", RULES)
    (artifacts.golden / "earlier" / f"{first.sha256}.parquet").unlink()
    with pytest.raises(FormatError, match=f"the file of this golden of {registry.live} is gone or damaged; gc deletes"):
        set_golden(artifacts, registry.live, first.name, RULES)


@pytest.mark.parametrize("write", range(4), ids=["event", "earlier", "parquet", "metadata"])
def test_whichever_write_breaks_the_old_golden_stays_and_the_next_command_works(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    artifacts, live = registry.artifacts, registry.live
    (tmp_path / "own.csv").write_text("prediction\n1\n")
    before, written = golden_metadata(artifacts.golden), []
    genuine = LocalDisk.write

    def full(path: Path, *rest: object, **modes: int) -> None:
        written.append(path)
        if len(written) == write:
            raise OSError(28, "No space left on device", str(path))
        genuine(path, *rest, **modes)

    def full_log(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(LocalDisk, "write", staticmethod(full))
        if not write:
            broken.setattr(golden_module, "append_signed", full_log)
        with pytest.raises(OSError, match="No space left"):
            set_golden(artifacts, live, tmp_path / "own.csv", RULES)
    assert golden_metadata(artifacts.golden) == before
    assert load_golden_predictions(folder=artifacts.golden).tolist() == golden_of(artifacts.model(live))
    problem = shown(artifacts).problem
    assert (problem is None) is (write != 3)
    if problem:
        back = f"modelgates golden set {live} --from {before.goldens[live].name}"
        path = artifacts.golden / f"{live}.parquet"
        said = f"{path}: not the golden in force, which was kept: a write was cut short; put it in its place: {back}"
        assert problem == said
        set_golden(artifacts, live, before.goldens[live].name, RULES)
        assert shown(artifacts).problem is None
    set_golden(artifacts, live, tmp_path / "own.csv", RULES)
    assert load_golden_predictions(folder=artifacts.golden).tolist() == [1]


def test_of_two_who_set_goldens_at_once_none_is_lost(registry: Registry, tmp_path: Path) -> None:
    artifacts = registry.artifacts

    def set_five(first: int) -> None:
        for number in range(first, first + 5):
            source = tmp_path / f"{number}.csv"
            source.write_text(f"prediction\n{number}\n")
            set_golden(artifacts, [registry.live, registry.candidate][number % 2], source, RULES)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(set_five, (0, 5)))
    events = [each for each in read_history(artifacts.promotions) if getattr(each, "kind", "") == GOLDEN_SET]
    goldens = golden_metadata(artifacts.golden).goldens
    versions = [each for golden in goldens.values() for each in golden.versions if each.origin == "hand"]
    assert sorted(each.evidence for each in events) == sorted(each.sha256 for each in versions)
    assert len(versions) == 10
    for model_id, golden in goldens.items():
        assert [version_content(artifacts.golden, model_id, each) for each in golden.versions].count(None) == 0


def test_a_promotion_that_replaces_a_golden_says_so_in_the_log(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("prediction\n1\n")
    set_golden(registry.artifacts, registry.candidate, tmp_path / "own.csv", RULES)
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="x")
    golden = golden_metadata(registry.artifacts.golden).goldens[registry.candidate]
    assert [each.origin for each in golden.versions] == ["panel", "hand"]
    events = [each for each in read_history(registry.artifacts.promotions) if getattr(each, "kind", "") == GOLDEN_SET]
    assert [each.evidence for each in events] == [golden.history[0].sha256, golden.sha256]
    assert events[-1].reason == "from its own panel, since it is promoted"


def test_a_model_of_other_bytes_is_not_held_against_the_golden(registry: Registry) -> None:
    with pytest.raises(IntegrityError) as refused:
        prepared_golden(registry.artifacts, registry.live, digest="1" * 64)
    digest = tree_digest(registry.artifacts.model(registry.live))
    assert str(refused.value) == (
        f"{registry.artifacts.golden / registry.live}.parquet: the golden of {registry.live} is for other bytes, "
        f"sha256:{digest[:16]}, than this model's, sha256:{'1' * 16}; set it again: modelgates golden set "
        f"{registry.live}"
    )


def test_the_same_predictions_have_days_only_as_the_panel(registry: Registry, tmp_path: Path) -> None:
    artifacts, copied = registry.artifacts, tmp_path / "copied.parquet"
    copied.write_bytes((artifacts.golden / f"{registry.live}.parquet").read_bytes())
    for source, dated in ((copied, False), (None, True), (copied, False)):
        set_golden(artifacts, registry.live, source, RULES)
        for _ in range(2):  # prepared, and then from what was kept
            assert bool(prepared_golden(artifacts, registry.live).golden.days) is dated
