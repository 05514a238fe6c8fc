"""What is shown of goldens, and how two of them are compared."""

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_modelgates.drift import detect_drift, save_golden_predictions
from pytest_modelgates.drift.golden import golden_content, put_golden, version_of
from pytest_modelgates.drift.versions import golden_metadata
from pytest_modelgates.errors import FormatError, IntegrityError
from pytest_modelgates.monitoring.drift_check import check_files, check_log, record
from pytest_modelgates.monitoring.goldens import Shown, difference, difference_in_words, in_words, shown
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Registry, golden_of, log_predictions, predictions


def lines_of(registry: Registry, model_id: str | None = None) -> list[str]:
    found = shown(registry.artifacts, model_id)
    assert found is not None
    return in_words(found).splitlines()


def checked(registry: Registry) -> None:
    record(registry.artifacts, check_log(registry.artifacts, registry.policy))


@pytest.fixture
def served(registry: Registry) -> Registry:
    """The live model predicted what its panel holds."""
    values = np.random.default_rng(4).choice(golden_of(registry.artifacts.model(registry.live)), 600).tolist()
    log_predictions(registry.artifacts, predictions(live_change(registry.artifacts).digest, values, arm="live"))
    return registry


def test_a_golden_is_shown_with_its_model(registry: Registry) -> None:
    golden = golden_metadata(registry.artifacts.golden).goldens[registry.live]
    assert lines_of(registry) == [
        f"{registry.live}: {golden.name} is in force",
        f"  {golden.rows} rows, the panel, since {golden.saved:%Y-%m-%d %H:%M:%S}",
        f"  for the model sha256:{tree_digest(registry.artifacts.model(registry.live))[:16]}",
        "  no check against it yet: modelgates drift-check",
    ]


def test_the_last_check_is_shown_and_what_it_was_against(served: Registry) -> None:
    checked(served)
    with served.artifacts.drift_checks.open("a") as log:
        log.write(json.dumps({"model_id": "1700000000", "of": served.live}) + "\n")
        log.write(f"a torn line of {served.live}\n")
    (line, *_) = served.artifacts.drift_checks.read_text().splitlines()
    check = json.loads(line)
    *_, said, against = lines_of(served)
    assert said == f"  last check, {check['time'][:19].replace('T', ' ')}: no drift over 600 rows"
    numbers = f"    PSI {check['psi']['value']:.4f}, KS {check['ks']['statistic']:.4f}, against "
    assert against == f"{numbers}this golden"
    found = shown(served.artifacts)
    assert found is not None
    assert (found.as_json["last_check"], found.as_json["last_check_against_it"]) == (check, True)
    save_golden_predictions([1.0, 2.0], folder=served.artifacts.golden)
    assert lines_of(served)[-1] == f"{numbers}an earlier golden"


def test_a_golden_that_is_set_while_a_check_runs_is_not_what_it_was_against(served: Registry) -> None:
    check = check_log(served.artifacts, served.policy)
    save_golden_predictions([1.0, 2.0], folder=served.artifacts.golden)
    record(served.artifacts, check)
    assert lines_of(served)[-1].endswith(", against an earlier golden")


def test_what_was_in_force_before_is_shown_the_newest_first(registry: Registry) -> None:
    artifacts = registry.artifacts
    content = golden_content([1.0] * 3, registry.live, None)
    put_golden(artifacts.golden, registry.live, content, version_of(content, 3, digest="a" * 64, of="b" * 64))
    save_golden_predictions([2.0], folder=artifacts.golden)
    panel, other = golden_metadata(artifacts.golden).goldens[registry.live].history
    (artifacts.golden / "earlier" / f"{panel.sha256}.parquet").unlink()
    assert lines_of(registry)[3:8] == [
        "  earlier, the newest first:",
        f"  {other.name}  {other.saved:%Y-%m-%d %H:%M}  3 rows  set by hand",
        f"    of another model, sha256:{'b' * 16}",
        f"  {panel.name}  {panel.saved:%Y-%m-%d %H:%M}  {panel.rows} rows  the panel (gone)",
        f"  put one back: modelgates golden set {registry.live} --from sha256:…",
    ]
    found = shown(artifacts)
    assert found is not None
    assert [each["there"] for each in found.as_json["history"]] == [False, True]


def test_of_a_thousand_goldens_the_newest_ten_are_shown_in_80_columns(registry: Registry) -> None:
    artifacts = registry.artifacts
    metadata = golden_metadata(artifacts.golden)
    golden = metadata.goldens[registry.live]
    content = json.loads(artifacts.golden_metadata.read_text())
    entry = content["goldens"][registry.live]
    one = {key: value for key, value in entry.items() if key != "history"} | {"rows": 10**7}
    entry["history"] = [one | {"sha256": f"{number:064x}"} for number in range(1000)]
    artifacts.golden_metadata.write_text(json.dumps(content))
    lines = lines_of(registry)
    assert lines[-3:-1] == [
        "  and 990 more; all of them: --json",
        f"  put one back: modelgates golden set {registry.live} --from sha256:…",
    ]
    assert len(lines) == 17
    assert max(map(len, lines)) <= 80
    save_golden_predictions([1.0], folder=artifacts.golden)
    assert golden_metadata(artifacts.golden).goldens[registry.live].history[1000] == golden.in_force


def test_a_model_without_a_golden_says_how_to_set_one(registry: Registry) -> None:
    with pytest.raises(FormatError, match=f"no golden of {registry.candidate}; set one: modelgates golden set 1"):
        shown(registry.artifacts, registry.candidate)
    with pytest.raises(FormatError, match=f"no golden of {registry.candidate}; set one"):
        difference(registry.artifacts, registry.live, registry.candidate)
    with pytest.raises(FormatError, match=r"'own\.csv' is not a golden: expected a model's id, or sha256: and digits"):
        difference(registry.artifacts, registry.live, "own.csv")


def test_a_damaged_golden_is_shown_all_the_same(registry: Registry) -> None:
    path = registry.artifacts.golden / f"{registry.live}.parquet"
    path.write_bytes(b"")
    found = shown(registry.artifacts)
    assert isinstance(found, Shown)
    assert found.problem == (
        f"{path}: not the file that metadata.json lists; set it again: modelgates golden set {registry.live}"
    )
    assert f"  {found.problem}" in lines_of(registry)
    with pytest.raises(IntegrityError, match=r"not the file that metadata\.json lists"):
        difference(registry.artifacts, registry.live, registry.live)


def test_two_goldens_are_compared_in_numbers_and_words(registry: Registry) -> None:
    artifacts, random = registry.artifacts, np.random.default_rng(5)
    then, now = random.normal(size=4000), random.normal(0.5, 1.2, size=3000)
    save_golden_predictions(then, registry.candidate, folder=artifacts.golden)
    save_golden_predictions(now, registry.candidate, folder=artifacts.golden)
    (earlier,) = golden_metadata(artifacts.golden).goldens[registry.candidate].history
    found = difference(artifacts, earlier.name, registry.candidate)
    wanted = detect_drift(then, now)
    assert (found.report["psi"], found.report["ks"]) == (wanted["psi"], wanted["ks"])
    assert (found.a["rows"], found.b["rows"], found.a["sha256"]) == (4000, 3000, earlier.sha256)
    assert found.b["quantiles"]["5 %"] == np.quantile(now, 0.05)
    assert (found.b["mean"], found.b["std"]) == (now.mean(), now.std())
    lines = difference_in_words(found).splitlines()
    assert lines[0] == f"A  {registry.candidate}  {earlier.name}  4000 rows"
    assert lines[2].startswith(f"  PSI {wanted['psi']['value']:.4f} (")
    assert lines[3] == f"  KS  {wanted['ks']['statistic']:.4f} (p {wanted['ks']['p_value']:.3g})"
    assert lines[6].split() == ["mean", f"{then.mean():.5g}", f"{now.mean():.5g}", f"{now.mean() - then.mean():.3g}"]
    assert max(map(len, lines)) <= 80
    assert json.loads(json.dumps(found.as_json))["b"]["max"] == now.max()


def test_the_days_of_two_goldens_of_the_log_count(registry: Registry) -> None:
    artifacts = registry.artifacts
    days = np.repeat(np.arange("2026-01-01", "2026-02-10", dtype="datetime64[D]"), 50)
    values = np.random.default_rng(6).normal(size=days.size)
    for model_id, known in ((registry.live, days), (registry.candidate, days)):
        content = golden_content(values, model_id, None, days=known)
        put_golden(artifacts.golden, model_id, content, version_of(content, values.size, digest=None, origin="log"))
    found = difference(artifacts, registry.live, registry.candidate)
    assert found.report["dependence"] == detect_drift(values, values, golden_days=days, days=days)["dependence"]


def test_a_check_of_files_is_not_the_last_check_of_the_model(served: Registry, tmp_path: Path) -> None:
    checked(served)
    before = shown(served.artifacts, served.live)
    (tmp_path / "other.csv").write_text("prediction\n" + "9\n" * 50)
    check = check_files(served.artifacts, served.policy, [tmp_path / "other.csv"])
    assert check.report["overall_drift"] is not False
    record(served.artifacts, check)
    after = shown(served.artifacts, served.live)
    assert before
    assert after
    assert after.last_check == before.last_check
