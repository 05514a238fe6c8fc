"""What happens to a report, or to a repository, between a run and the promotion."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.evidence.results import results_of
from pytest_modelgates.evidence.seal import generate_key, load_key, seal, statement
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.storage.digests import listing
from pytest_modelgates.storage.strict_json import canonical

OTHER = "1700000001"
"""Another model in the same registry."""


@dataclass(frozen=True)
class Run:
    """A repository after a run."""

    root: Path
    model: Path
    output: str

    @property
    def report(self) -> Path:
        """Where the run was told to leave its report."""
        return self.root / "report.json"

    @property
    def artifacts(self) -> Artifacts:
        """The registry."""
        return Artifacts.of(self.model)

    def state(self) -> dict[str, bytes | None]:
        """What a refusal must leave alone; that the refused model is a trial is noted all the same."""
        places = [self.artifacts.latest, self.artifacts.latest_onnx, self.artifacts.golden]
        found = {place.name: place.read_bytes() if place.is_file() else None for place in places if place.exists()}
        log = self.artifacts.promotions.read_bytes() if self.artifacts.promotions.exists() else b""
        return found | {"changes": b"".join(line for line in log.splitlines(True) if b'"kind":"trial"' not in line)}


def set_value(run: Run, place: str, value: Any) -> None:
    report = json.loads(run.report.read_text("utf-8"))
    at, *keys = report, *place.split(".")
    for key in keys[:-1]:
        at = at[int(key)] if isinstance(at, list) else at[run.model.name if key == "MODEL" else key]
    at[keys[-1]] = value
    run.report.write_text(json.dumps(report))


def truncate(run: Run) -> None:
    content = run.report.read_bytes()
    run.report.write_bytes(content[: len(content) // 2])


def empty(run: Run) -> None:
    run.report.write_bytes(b"")


def remove_the_report(run: Run) -> None:
    run.report.unlink()


def put_a_folder_there(run: Run) -> None:
    run.report.unlink()
    run.report.mkdir()


def write_it_in_utf16(run: Run) -> None:
    run.report.write_bytes(run.report.read_text("utf-8").encode("utf-16"))


def write_nan(run: Run) -> None:
    run.report.write_text(run.report.read_text("utf-8").replace('"value": 0.0', '"value": NaN', 1), "utf-8")


def write_too_large_a_number(run: Run) -> None:
    run.report.write_text(run.report.read_text("utf-8").replace('"value": 0.0', '"value": 1e999', 1), "utf-8")


def repeat_a_key(run: Run) -> None:
    run.report.write_text(run.report.read_text("utf-8").replace("{", '{"exitcode": 0,', 1), "utf-8")


def nest_deeply(run: Run) -> None:
    run.report.write_text('{"modelgates": ' + "[" * 100_000 + "]" * 100_000 + "}")


def drop_the_ledger(run: Run) -> None:
    report = json.loads(run.report.read_text("utf-8"))
    del report["modelgates"]
    run.report.write_text(json.dumps(report))


def let_it_age(run: Run) -> None:
    set_value(run, "modelgates.run.started", str(datetime.now(UTC) - timedelta(days=5)))
    set_value(run, "modelgates.run.finished", str(datetime.now(UTC) - timedelta(days=4)))


def date_it_ahead(run: Run) -> None:
    set_value(run, "modelgates.run.finished", str(datetime.now(UTC) + timedelta(days=1)))


def begin_before_packing(run: Run) -> None:
    set_value(run, "modelgates.run.started", str(datetime.now(UTC) - timedelta(days=1)))


def edit_the_model(run: Run) -> None:
    with (run.model / "CHANGES.md").open("a") as file:
        file.write("broken\n")


def swap_the_bytes(run: Run) -> None:
    for path in (run.root / "another").iterdir():
        shutil.copyfile(path, run.model / path.name)


def put_a_conftest_into_the_model(run: Run) -> None:
    (run.model / "conftest.py").write_text("")


def forge_the_numbers(run: Run) -> None:
    content = run.report.read_text("utf-8").replace('"value": 1.0', '"value": 0.0')
    content = content.replace('"outcome": "failed"', '"outcome": "passed"')
    run.report.write_text(content.replace('"exception": "Failed"', '"exception": null'))


def edit_the_gates(run: Run) -> None:
    with (run.root / "checks" / "test_rows.py").open("a") as file:
        file.write("# another gate by now\n")


def tighten_the_helper(run: Run) -> None:
    """Put the honest helper back, which the gates did not run with."""
    (run.root / "checks" / "helper.py").write_text("def rows():\n    return 1\n")


def seal_it(
    run: Run, *, key: str = "ours.pem", subject: Path | None = None, change: Callable[[Any], object] | None = None
) -> None:
    """Seal the report for the model that it is of, or for another, after a change of the statement."""
    stored, policy = read_report(run.report), load_policy(run.root / "registry" / "policy.toml")
    ledger = stored.report.modelgates
    (model,) = ledger.models.values()
    gates = results_of(model, policy, day=ledger.run.started.date())
    content = json.loads(
        statement(
            listing(subject or Path(model.directory)),
            {"policy": ledger.run.policy_digest, "gates": ledger.run.suite_digest},
            {"report": stored.parsed},
            result=gates.result,
            passed=gates.passed,
            warned=gates.warned,
            failed=gates.failed,
        )
    )
    if change:
        change(content)
    run.report.unlink()
    run.report.with_suffix(".dsse.json").write_bytes(seal(canonical(content), load_key(run.root / key)))


def seal_it_as_failed(run: Run) -> None:
    seal_it(run, change=lambda said: said["predicate"].update(result="FAILED"))


def seal_it_with_a_failed_gate(run: Run) -> None:
    seal_it(run, change=lambda said: said["predicate"].update(failedTests=["own.notes"]))


def seal_it_with_a_gate_fewer(run: Run) -> None:
    seal_it(run, change=lambda said: said["predicate"]["passedTests"].pop())


def seal_it_with_a_gate_as_a_warning(run: Run) -> None:
    def change(said: Any) -> None:
        said["predicate"]["warnedTests"].append(said["predicate"]["passedTests"].pop())

    seal_it(run, change=change)


def seal_it_with_a_gate_twice(run: Run) -> None:
    seal_it(run, change=lambda said: said["predicate"]["passedTests"].append("own.notes"))


def seal_it_without_a_list(run: Run) -> None:
    seal_it(run, change=lambda said: said["predicate"].pop("failedTests"))


def seal_it_without_a_configuration(run: Run) -> None:
    seal_it(run, change=lambda said: said["predicate"].pop("configuration"))


def seal_it_with_a_subject_twice(run: Run) -> None:
    seal_it(run, change=lambda said: said["subject"].append(said["subject"][0]))


def seal_with_a_key_of_their_own(run: Run) -> None:
    generate_key(run.root / "theirs.pem")
    seal_it(run, key="theirs.pem")


def seal_it_for_another_model(run: Run) -> None:
    seal_it(run, subject=run.artifacts.model(OTHER))


def edit_the_envelope(run: Run) -> None:
    seal_it(run)
    sealed = run.report.with_suffix(".dsse.json")
    envelope = json.loads(sealed.read_text())
    envelope["payload"] = "AAAA" + envelope["payload"][4:]
    sealed.write_bytes(canonical(envelope))


def move_latest(run: Run) -> None:
    run.artifacts.latest.unlink()


def exchange_directories(run: Run) -> None:
    run.artifacts.model(OTHER).rename(run.artifacts.root / "older")
    run.model.rename(run.artifacts.model(OTHER))
    (run.artifacts.root / "older").rename(run.model)


DEEDS: dict[str, Callable[[Run], None]] = {
    deed.__name__: deed
    for deed in (
        truncate,
        empty,
        remove_the_report,
        put_a_folder_there,
        write_it_in_utf16,
        write_nan,
        write_too_large_a_number,
        repeat_a_key,
        nest_deeply,
        drop_the_ledger,
        let_it_age,
        date_it_ahead,
        begin_before_packing,
        edit_the_model,
        swap_the_bytes,
        put_a_conftest_into_the_model,
        forge_the_numbers,
        edit_the_gates,
        tighten_the_helper,
        seal_it,
        seal_it_as_failed,
        seal_it_with_a_failed_gate,
        seal_it_with_a_gate_fewer,
        seal_it_with_a_gate_as_a_warning,
        seal_it_with_a_gate_twice,
        seal_it_without_a_list,
        seal_it_without_a_configuration,
        seal_it_with_a_subject_twice,
        seal_with_a_key_of_their_own,
        seal_it_for_another_model,
        edit_the_envelope,
        move_latest,
        exchange_directories,
    )
}
