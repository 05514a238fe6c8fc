"""A page whose commands are run as they stand, and whose printed output is compared with what they print.

`python -m tests.support.transcript docs/tutorial.md` writes what they print now into the page.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = "/home/you/models"  # the empty folder, as pages spell it
BLOCK = re.compile(r"^```console\n\$ (.+)\n((?:.*\n)*?)```$", re.MULTILINE)
ID = re.compile(r"\b1[0-9]{9}\b")

# What differs from one run to the next, as the page says too. All else has to be the same, number by number.
DIFFERS = [
    (r"sha256:[0-9a-f]{16}\b", "sha256:D"),
    (r"\b(\d+):[0-9a-f]{64}\b", r"\1:D"),
    (r"\d{8}T\d{6}\.\d{6}Z", "T"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "T"),
    (r"(?<= in )[\d.]+s", "S"),
    (r"(?<=→ MODEL-\d)  \S+  ", " WHO "),
    (r"(?m)^(platform|benchmark:|plugins:|rootdir:) .*", r"\1 …"),
    # How the days of the last years fall into folds, months and looks, which depends on today; the last bits of floats.
    (r"(?m)^(wf\.worst_fold|data\.frequency|parity\.max_abs_diff)( +\w+ ).*( passed)$", r"\1\2…\3"),
    (r"an alarm beyond [\d.]+", "an alarm beyond N"),
    (r" +", " "),  # columns are as wide as what stands in them
    (r"={2,}", "==="),
]


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what it printed."""

    command: str
    printed: str


def steps_of(page: str) -> list[Step]:
    """Read the commands of a page, in their order."""
    return [Step(command, printed) for command, printed in BLOCK.findall(page)]


def said_alike(text: str, ids: list[str]) -> str:
    """Replace what differs from run to run, and each model's id by its number."""
    for number, each in enumerate(ids):
        text = text.replace(each, f"MODEL-{number}")
    for pattern, instead in DIFFERS:
        text = re.sub(pattern, instead, text)
    return text.strip()


class Reader:
    """Somebody who types what a page says into an empty folder, and puts the ids that were printed there for its own.

    Parameters
    ----------
    folder : Path
        The empty folder.
    steps : list of Step
        What the page says; the n-th id in it stands for the n-th model that is packed.
    """

    def __init__(self, folder: Path, steps: list[Step]) -> None:
        self.folder = folder
        everything = "".join(step.command + step.printed for step in steps)
        self.written = list(dict.fromkeys(ID.findall(everything)))
        self.packed: list[str] = []

    def type(self, command: str) -> str:
        """Run a command in a shell of 80 columns, and give all that it prints, in the words of the page."""
        for written, packed in zip(self.written, self.packed, strict=False):
            command = command.replace(written, packed)
        bin_of = Path(sys.prefix) / "bin"
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "USER", "LOGNAME") if name in os.environ}
        shell = {**kept, "PATH": f"{bin_of}:{os.environ['PATH']}", "LANG": "C.UTF-8", "COLUMNS": "80"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=shell,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        models = self.folder / "artifacts" / "models"
        there = sorted(path.name for path in models.glob("*") if ID.fullmatch(path.name))
        self.packed += [name for name in there if name not in self.packed]
        printed = done.stdout.replace(str(self.folder), FOLDER)
        for written, packed in zip(self.written, self.packed, strict=False):
            printed = printed.replace(packed, written)
        return printed


def rewritten(page: str, folder: Path) -> str:
    """Give the page with what its commands print now; what differs only as runs do stays as it is."""
    steps = steps_of(page)
    reader = Reader(folder, steps)
    for step in steps[1:]:  # the first one installs
        now = reader.type(step.command)
        if said_alike(now, reader.written) != said_alike(step.printed, reader.written):
            page = page.replace(f"$ {step.command}\n{step.printed}```", f"$ {step.command}\n{now.rstrip()}\n```")
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as empty:
        path.write_text(rewritten(path.read_text("utf-8"), Path(empty).resolve()), "utf-8")
