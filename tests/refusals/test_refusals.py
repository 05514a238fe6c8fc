"""Every run that must not promote, and every one that must, as rows of the TOML files beside this one.

A row's name says what was done. Its keys, all but `says` optional:

says         what the refusal must hold: one text, or several; rows of legitimate.toml have none
repair       what must stand behind the arrow of the first of them; default: the command that makes a report
model        "broken": one that a hard gate finds broken, so that only a trick can make it look good
files        what is written into the repository before the run
copies       ids under which the model lies there too
links        links in the repository, and where they point
shadow       a folder that gets a copy of our package in which nothing fails
paths        what pytest is given to run; default: the team's own suite, `checks`
given        the words that name the model; default: --model-dir={model}
words        further words for pytest; {model} is the model directory, {root} the repository
plugins      "all": every installed plugin takes part, Hypothesis among them, which triples the time
python       words for the interpreter
environment  variables of the run
folder       where the run starts; default: the repository
first        words of a run before this one
evidence     further lines of [evidence] in the policy, and what follows it; {key} is the public half of ours.pem,
             {digest} the model's digest, {yesterday} and {tomorrow} are days
by           "gates": `modelgates promote DIR` makes the run itself; "lazy": the one good run of the session is taken
after        the name of a function below that is let loose before the promotion, or of several
edit         dotted places in the report, and what is written there
"""

import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.evidence.seal import generate_key, load_key, seal, statement
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.store import live_id
from pytest_modelgates.storage.digests import listing, tree_digest
from pytest_modelgates.storage.strict_json import canonical
from tests.support.panels import pack_ridge

HERE = Path(__file__).parent
SOURCES = Path(__file__).parents[2] / "pytest_modelgates"
OTHER = "1700000001"
PLAIN = ("-p", "no:hypothesispytest")
ENVIRONMENT = dict(os.environ)  # before any case changes it for the command that it calls
MAKES_A_REPORT = ("→ pytest --model-dir=", "→ modelgates gate ")


@dataclass(frozen=True)
class Case:
    """One row."""

    id: str
    row: dict[str, Any]

    def text(self, key: str, default: str = "") -> str:
        """The text of a key."""
        return str(self.row.get(key, default))

    def says(self) -> list[str]:
        """What the refusal must hold."""
        found = self.row["says"]
        return [found] if isinstance(found, str) else found


def cases_of(*names: str) -> list[Any]:
    """Read the rows of some files."""
    rows = [(name, *entry) for name in names for entry in tomllib.loads((HERE / f"{name}.toml").read_text()).items()]
    return [pytest.param(Case(f"{name}-{key}", row), id=f"{name}-{key}") for name, key, row in rows]


GROUPS = ("smaller", "uncalled", "softened", "repeated", "mistaken", "stale", "tampered")


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
        """What a refusal must leave alone."""
        places = [self.artifacts.latest, self.artifacts.latest_onnx, self.artifacts.promotions, self.artifacts.golden]
        return {place.name: place.read_bytes() if place.is_file() else None for place in places if place.exists()}


# What happens after the run.


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
    _set(run, "modelgates.run.started", str(datetime.now(UTC) - timedelta(days=5)))
    _set(run, "modelgates.run.finished", str(datetime.now(UTC) - timedelta(days=4)))


def date_it_ahead(run: Run) -> None:
    _set(run, "modelgates.run.finished", str(datetime.now(UTC) + timedelta(days=1)))


def begin_before_packing(run: Run) -> None:
    _set(run, "modelgates.run.started", str(datetime.now(UTC) - timedelta(days=1)))


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


def lower_the_limits(run: Run) -> None:
    policy = run.root / "registry" / "policy.toml"
    policy.write_text(policy.read_text().replace("at_most = 0", "at_most = 9"))


def seal_it(run: Run, *, key: str = "ours.pem", subject: Path | None = None) -> None:
    """Seal the report for the model that it is of, or for another."""
    report = json.loads(run.report.read_text("utf-8"))
    (model,) = report["modelgates"]["models"].values()
    files = listing(subject or Path(model["directory"]))
    sealed = seal(statement(files, {"report": report}, result="PASSED"), load_key(run.root / key))
    run.report.unlink()
    run.report.with_suffix(".dsse.json").write_bytes(sealed)


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


def _set(run: Run, place: str, value: Any) -> None:
    report = json.loads(run.report.read_text("utf-8"))
    at, *keys = report, *place.split(".")
    for key in keys[:-1]:
        at = at[int(key)] if isinstance(at, list) else at[run.model.name if key == "MODEL" else key]
    at[keys[-1]] = value
    run.report.write_text(json.dumps(report))


# The runs.


@pytest.fixture(scope="session")
def broken_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that a hard gate finds broken."""
    return pack_ridge(tmp_path_factory.mktemp("broken") / "artifacts", changes="A broken ridge.")


Perform = Callable[[Case], Run]


@pytest.fixture(scope="session")
def perform(packed_once: Path, broken_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Perform:
    """Make the repository of a case and its run."""
    rows = tomllib.loads((HERE / "repository.toml").read_text())

    def repository(case: Case, root: Path) -> Path:
        source, another = packed_once, broken_once
        if case.text("model") == "broken":
            source, another = another, source
        model = root / "artifacts" / "models" / source.name
        shutil.copytree(source, model)
        for place, name in ((model.parent / OTHER, OTHER), (root / "another", source.name)):
            shutil.copytree(another, place)
            manifest = place / MANIFEST
            manifest.write_text(manifest.read_text().replace(another.name, name))
        for name in case.row.get("copies", []):
            shutil.copytree(source, model.parent / name)
        for name, target in case.row.get("links", {}).items():
            (root / name).symlink_to(target.replace("{model}", model.name))
        for name, content in (rows["files"] | case.row.get("files", {})).items():
            path = Path(name.replace("{model}", str(model)))
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content.replace("{model}", str(model)))
        today = datetime.now(UTC).date()
        known = {"{key}": generate_key(root / "ours.pem"), "{digest}": tree_digest(model)}
        known |= {"{yesterday}": f"{today - timedelta(days=1)}", "{tomorrow}": f"{today + timedelta(days=1)}"}
        evidence = case.text("evidence")
        for name, value in known.items():
            evidence = evidence.replace(name, value)
        with (root / "registry" / "policy.toml").open("a") as file:
            file.write(evidence + "\n")
        if case.text("shadow"):
            package = root / case.text("shadow") / SOURCES.name
            shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
            gate = package / "gate.py"
            gate.write_text(gate.read_text().replace("limit.contains(value)", "True"))
        return model

    def environment(case: Case) -> dict[str, str]:
        ours = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("PYTEST_", "PYTHONDONT"))}
        given = {key: str(value) for key, value in case.row.get("environment", {}).items()}
        if "PYTHONPATH" in given:
            given["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
        return ours | {"COLUMNS": "100"} | given

    def child(case: Case, model: Path, root: Path, words: str) -> str:
        def split(text: str) -> list[str]:
            return shlex.split(text.replace("{model}", str(model)).replace("{root}", str(root)))

        command = [
            *(sys.executable, *split(case.text("python")), "-m", "pytest"),
            *split(case.text("paths", "checks")),
            *(() if case.text("plugins") == "all" else PLAIN),
            *split(case.text("given", "--model-dir={model}")),
            *(f"--gate-report={root / 'report.json'}", *split(words)),
        ]
        done = subprocess.run(
            command,
            cwd=root / case.text("folder", "."),
            env=environment(case),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return f"{shlex.join(command)}\n{done.stdout}{done.stderr}\nexit {done.returncode}"

    @functools.cache
    def good_report() -> bytes:
        case = Case("good", {})
        root = tmp_path_factory.mktemp("good")
        child(case, repository(case, root), root, "")
        return (root / "report.json").read_bytes()

    def made(case: Case) -> Run:
        root = tmp_path_factory.mktemp(case.id.replace(".", "-")[:40])
        model = repository(case, root)
        if case.text("by") == "lazy":
            (root / "report.json").write_bytes(good_report())
            return Run(root, model, "")
        if case.text("by") == "gates":
            return Run(root, model, "")
        if "first" in case.row:
            child(case, model, root, case.text("first"))
        return Run(root, model, child(case, model, root, case.text("words")))

    return made


@pytest.fixture(scope="session")
def crew() -> Iterator[ThreadPoolExecutor]:
    """Makes the runs of the next cases while one is looked at."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield pool


STARTED: dict[str, "Future[Run]"] = {}


@pytest.fixture
def run(
    case: Case,
    request: pytest.FixtureRequest,
    crew: ThreadPoolExecutor,
    perform: Perform,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """The repository of a case after its run, as the folder that one works in."""
    items = request.session.items
    here = items.index(request.node)
    for item in items[here : here + 1 + (os.cpu_count() or 1)]:
        coming = item.callspec.params.get("case") if hasattr(item, "callspec") else None
        if isinstance(coming, Case) and coming.id not in STARTED:
            STARTED[coming.id] = crew.submit(perform, coming)
    done = STARTED[case.id].result()
    for place, value in case.row.get("edit", {}).items():
        _set(done, place, value)
    after = case.row.get("after", [])
    for name in [after] if isinstance(after, str) else after:
        globals()[name](done)
    monkeypatch.chdir(done.root)
    for key, value in case.row.get("environment", {}).items():
        if case.text("by") == "gates":
            monkeypatch.setenv(key, str(value))
    print(done.output)
    return done


def promote(case: Case, run: Run) -> int:
    """The real promotion."""
    if case.text("by") == "gates":
        return main(["promote", str(run.model)])
    sealed = run.report.with_suffix(".dsse.json")
    report = sealed if sealed.is_file() else run.report
    return main(["promote", "--report", str(report), run.model.name])


@pytest.mark.parametrize("case", cases_of(*GROUPS))
def test_what_proves_nothing_is_refused_with_the_reason_and_the_repair(
    case: Case, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    before = run.state()
    status = promote(case, run)
    output = capfd.readouterr()
    said = output.err
    print(output.out, said)
    assert status == 1
    assert run.state() == before
    assert live_id(run.artifacts) is None
    lines = said.splitlines()
    for text in case.says():
        assert any(text in line for line in lines), text
    (first, *_) = [line for line in lines if case.says()[0] in line]
    wanted = case.text("repair")
    assert wanted in first if wanted else any(command in first for command in MAKES_A_REPORT)


@pytest.mark.parametrize("case", cases_of("legitimate"))
def test_an_honest_run_promotes(case: Case, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    status = promote(case, run)
    output = capfd.readouterr()
    print(output.out, output.err)
    assert (status, live_id(run.artifacts)) == (0, run.model.name)
    if case.text("by") != "gates" and run.report.is_file():
        assert set(read_report(run.report).modelgates.models) >= {run.model.name}


def test_the_good_suite_finds_the_broken_model_broken(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = perform(Case("broken", {"model": "broken"}))
    monkeypatch.chdir(run.root)
    assert main(["promote", "--report", str(run.report), run.model.name]) == 1
    assert "own.notes failed: measured 1 words, limit ≤ 0 → fix the model" in capfd.readouterr().err
    assert load_policy(run.root / "registry" / "policy.toml").evidence.suites == ("checks",)
