"""Model directories that somebody has tampered with, as rows of the TOML files beside this one.

A row's name says what lies there. Its keys:

do      steps that change the candidate's directory, each the name of a function below and its words
says    the problems that `modelgates verify` prints, all of them and nothing else; * stands for sizes, digests, and
        what another Python words otherwise
shadow  what `modelgates shadow` says, if not the same
gate    a gate that fails in `modelgates gate`, which is only run for rows that name one: it takes seconds

{directory}, {id} and {live} stand for the candidate's directory, its id and the live model's id, {file} for the file
that a row of json.toml is tried on.
"""

import json
import os
import re
import shlex
import shutil
import signal
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.storage.digests import sha256_of
from pytest_modelgates.storage.strict_json import canonical
from tests.support.handmade import Registry, green_report, modelgates
from tests.support.panels import FEATURES, invented_panel

HERE = Path(__file__).parent
SECONDS = 20
NO_ID = "{given!r} is not a model id: expected the 10 to 12 digits of a Unix time, such as 1763884678"


@dataclass(frozen=True)
class Row:
    """One row, and the file it is about."""

    keys: dict[str, Any]
    file: str = ""


def rows_of(name: str) -> dict[str, Any]:
    """Read the rows of a file."""
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


CASES = [
    *(pytest.param(Row(keys), id=name) for name, keys in rows_of("directory").items()),
    *(
        pytest.param(Row(keys, file), id=f"{file.partition('.')[0]}-{name}")
        for name, keys in rows_of("json").items()
        for file in (MANIFEST, "sidecar.json")
    ),
]


# The steps.


def remove(model: Path, *names: str) -> None:
    for name in names:
        (model / name).unlink()


def move(model: Path, name: str, target: str) -> None:
    (model / name).rename(model / target)


def link(model: Path, name: str, target: str) -> None:
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(target)


def hardlink(model: Path, name: str, second: str) -> None:
    os.link(model / name, model / second)


def pipe(model: Path, name: str) -> None:
    remove(model, name)
    os.mkfifo(model / name)


def socket(model: Path, name: str) -> None:
    remove(model, name)
    os.mknod(model / name, stat.S_IFSOCK | 0o644)


def device(model: Path, name: str) -> None:
    remove(model, name)
    try:
        os.mknod(model / name, stat.S_IFCHR | 0o644, os.stat("/dev/zero").st_rdev)
    except PermissionError:
        pytest.skip("only root can make a device node")


def folder(model: Path, name: str) -> None:
    (model / name).unlink(missing_ok=True)
    (model / name).mkdir()


def touch(model: Path, name: str) -> None:
    (model / name.replace("\\n", "\n")).touch()


def grow(model: Path, name: str) -> None:
    os.truncate(model / name, 10**12)


def flip(model: Path, name: str) -> None:
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)


def cut(model: Path, name: str) -> None:
    os.truncate(model / name, (model / name).stat().st_size // 2)


def append(model: Path, name: str) -> None:
    with (model / name).open("ab") as file:
        file.write(b"\0")


def become(model: Path, other: str) -> None:
    shutil.rmtree(model)
    shutil.copytree(model.with_name(other), model)


def write(model: Path, name: str, text: str) -> None:
    (model / name).write_text(text)


def encode(model: Path, name: str, encoding: str) -> None:
    (model / name).write_bytes((model / name).read_text("utf-8").encode(encoding))


def nest(model: Path, name: str) -> None:
    write(model, name, "[" * 100_000 + "]" * 100_000)


def digits(model: Path, name: str) -> None:
    put(model, name, "format", "9" * 10_000)


def put(model: Path, name: str, place: str, text: str) -> None:
    """Put JSON text, be it strict or not, where a path of keys leads."""
    *parents, last = place.split("/")
    content = json.loads((model / name).read_bytes())
    at = content
    for key in parents:
        at = at[key]
    at[last] = "HERE"
    (model / name).write_text(json.dumps(content).replace('"HERE"', text))


def add(model: Path, name: str, place: str, key: str, like: str) -> None:
    content = json.loads((model / name).read_bytes())
    content[place][key.replace("\\n", "\n")] = content[place][like]
    (model / name).write_bytes(canonical(content))


def drop(model: Path, name: str, place: str, key: str) -> None:
    content = json.loads((model / name).read_bytes())
    del content[place][key]
    (model / name).write_bytes(canonical(content))


def reseal(model: Path, name: str) -> None:
    """Enter a changed file in the manifest, as a forger would."""
    manifest = json.loads((model / MANIFEST).read_bytes())
    manifest["files"][name] = {"sha256": sha256_of(model / name), "size": (model / name).stat().st_size}
    (model / MANIFEST).write_bytes(canonical(manifest))


def attack(registry: Registry, row: Row) -> Path:
    """Do what a row says to the candidate's directory."""
    model = registry.artifacts.model(registry.candidate)
    for step in row.keys["do"]:
        name, *words = shlex.split(step.format(live=registry.live, file=row.file))
        globals()[name](model, *words)
    if row.file and row.file != MANIFEST:
        reseal(model, row.file)
    return model


def pattern(registry: Registry, row: Row, key: str, before: str = "") -> str:
    """What is to be said, in lines that begin alike."""
    names = {"directory": registry.artifacts.model(registry.candidate), "id": registry.candidate, "live": registry.live}
    lines = [before + line.format(**names, file=row.file) for line in row.keys[key]]
    return "".join(re.escape(line).replace(r"\*", ".*") + "\n" for line in lines)


# What must not change, and how long it may take.


def everything(root: Path) -> dict[str, object]:
    """Every name below an artifacts root, and what shows whether it was touched."""
    found = {}
    # The lock's file names its last holder.
    for path in {*root.rglob("*")} - {Artifacts(root).lock}:
        entry = path.lstat()
        target = os.readlink(path) if path.is_symlink() else ""
        found[str(path)] = (entry.st_ino, entry.st_mode, entry.st_size, entry.st_mtime_ns, target)
    return found


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if what follows hangs."""

    def hang(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(
        signal.ITIMER_REAL, seconds, 1
    )  # again and again, should something take it for an error of its own
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """A CSV file of live rows."""
    path = tmp_path / "live.csv"
    invented_panel(days=5, seed=9)[["time", "asset", *FEATURES]].to_csv(path, index=False)
    return path


@pytest.mark.parametrize("row", CASES)
def test_a_hostile_directory_is_refused_with_its_reasons_and_nothing_changes(
    row: Row, registry: Registry, feed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = green_report(registry)
    model = attack(registry, row)
    before = everything(registry.artifacts.root)

    def run(*words: object) -> tuple[int, str, str]:
        with in_time():
            status = main([str(word) for word in words])
        return status, *capfd.readouterr()

    status, out, err = run("verify", model)
    assert (status, err) == (1, "")
    assert re.fullmatch(pattern(registry, row, "says", f"{model.name}: "), out), out

    options = ("--artifacts", registry.artifacts.root, "--policy", registry.policy_file)
    status, out, err = run("promote", "--report", report, model.name, *options)
    assert (status, out) == (1, "")
    says = pattern(registry, row, "says", f"  {model.name}: ").replace("\n", " → pack it again\n")
    assert re.fullmatch(f"modelgates: {model.name} is not promoted:\n{says}", err), err

    status, out, err = run("shadow", "--onnx", model / "model.onnx", "--csv", feed)
    said = (
        pattern(registry, row, "shadow") if "shadow" in row.keys else pattern(registry, row, "says", f"{model.name}: ")
    )
    assert (status, out) == (1, "")
    assert re.fullmatch(f"modelgates: {said}", err), err

    assert run("golden", "set", model.name, "--artifacts", registry.artifacts.root)[0] == 1
    assert run("list", "--artifacts", registry.artifacts.root)[0] == 0
    assert run("status", "--artifacts", registry.artifacts.root)[0] == 0
    assert everything(registry.artifacts.root) == before


@pytest.mark.integration
@pytest.mark.parametrize("row", [case for case in CASES if "gate" in case.values[0].keys])
def test_gates_on_a_hostile_directory_end_red(row: Row, registry: Registry) -> None:
    model = attack(registry, row)
    before = registry.state()
    done = modelgates("gate", model, "--policy", registry.policy_file, cwd=registry.artifacts.root.parent, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"^{re.escape(row.keys['gate'])} (failed|errored): ", done.stdout, re.MULTILINE), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert registry.state() == before


VERBS = {
    "promote": ["promote", "--report", "{report}", "{given}"],
    "rollback": ["rollback", "{given}", "--reason", "x"],
    "golden": ["golden", "set", "{given}"],
    "compare": ["compare", "{given}"],
}
IDS = rows_of("ids")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in IDS.items()])
def test_a_word_that_is_not_an_id_is_refused_by_every_verb_that_takes_one(
    registry: Registry, given: str, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    report = green_report(registry)
    before = everything(registry.artifacts.root)
    words = [word.format(report=report, given=given) for word in VERBS[verb]]
    assert main([*words, "--artifacts", str(registry.artifacts.root)]) == 1
    models = registry.artifacts.models
    elsewhere = f"{given}: not a model of {models.parent}; give an id, or a path in {models}"
    said = elsewhere if "/" in given else NO_ID.format(given=given)
    assert capfd.readouterr() == ("", f"modelgates: {said}\n")
    assert everything(registry.artifacts.root) == before


@pytest.mark.parametrize("verb", ["gate", "promote", "prove"])
@pytest.mark.parametrize("name", ["too-short", "newline", "full-width-digits", "staging"])
def test_a_directory_whose_name_is_not_an_id_is_refused(
    registry: Registry, name: str, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = registry.artifacts.models / IDS[name]
    registry.artifacts.model(registry.candidate).rename(directory)
    assert main([verb, str(directory)]) == 1
    assert capfd.readouterr() == ("", f"modelgates: {NO_ID.format(given=directory.name)}\n")
