"""The units in deploy/: systemd takes them, and the command that they run is one of ours."""

import configparser
import getpass
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_modelgates.cli.main import parser

UNITS = sorted((Path(__file__).parents[1] / "deploy").glob("*.service"))


def command_of(unit: Path) -> list[str]:
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.read_string(unit.read_text("utf-8"))
    return read["Service"]["ExecStart"].split()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_verb_with_options_that_it_has(unit: Path) -> None:
    program, *words = command_of(unit)
    assert program.endswith("/bin/modelgates")
    parser().parse_args(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit(unit: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    # It asks for the program, which is not at the path of the example.
    copy = tmp_path / unit.name
    text = unit.read_text("utf-8").replace(command_of(unit)[0], sys.executable)
    copy.write_text(text.replace("User=desk", f"User={getpass.getuser()}").replace("/srv/desk", str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])
