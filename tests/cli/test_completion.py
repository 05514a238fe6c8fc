"""What a shell offers after Tab, by the script that `completion` prints."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_modelgates.cli import main

Capture = pytest.CaptureFixture[str]

ASKS = """
source ./script
COMP_WORDS=({words}) COMP_CWORD={last}
_shtab_modelgates modelgates {word} ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(folder: Path, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in ("modelgates", *words))
    script = ASKS.format(words=quoted, last=len(words), word=f"'{words[-1]}'")
    said = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert [line for line in said.stderr.splitlines() if "compopt" not in line] == []
    return said.stdout.split()


@pytest.mark.integration
def test_bash_offers_verbs_options_and_paths(tmp_path: Path, capsys: Capture) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "artifacts").mkdir()
    assert {"promote", "prove", "predictions"} <= set(offered(tmp_path, "pr"))
    assert offered(tmp_path, "golden", "s") == ["set", "show"]
    assert offered(tmp_path, "promote", "--dry") == ["--dry-run"]
    assert offered(tmp_path, "promote", "arti") == ["artifacts"]
    assert offered(tmp_path, "serve", "--onnx", "arti") == ["artifacts"]


@pytest.mark.integration
def test_the_script_for_zsh_is_one_that_zsh_reads(tmp_path: Path, capsys: Capture) -> None:
    if shutil.which("zsh") is None:
        missing = "zsh is not installed, so nothing shows that it reads the script: apt-get install zsh"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    assert main(["completion", "zsh"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    subprocess.run(["zsh", "-n", "script"], cwd=tmp_path, check=True)
