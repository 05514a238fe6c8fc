"""System calls of a command that touch a registry, recorded and then spoiled one by one with strace."""

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("server.py")
LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
RESULT = re.compile(r"\) += (?P<result>-?\d+)[^)]*$")
# What a file system does; process and memory calls have no path.
CALLS = "trace=%file,%desc"
# Calls that change something, so that they can be said to have when they have not.
CHANGES = ("write", "pwrite64", "rename", "renameat", "renameat2", "symlink", "symlinkat", "unlink", "unlinkat")
CHANGES += ("mkdir", "mkdirat", "rmdir", "ftruncate", "truncate", "chmod", "fchmod", "fchmodat", "link", "linkat")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str
    trace: str = ""

    @property
    def hit(self) -> bool:
        """Whether strace did what it was told to do."""
        return "(INJECTED)" in self.trace or self.status == -signal.SIGKILL


@dataclass(frozen=True)
class Point:
    """The n-th call of its name, which touches the registry."""

    call: str
    ordinal: int
    result: int
    line: str

    def fault(self, how: str) -> str | None:
        """What strace is told to inject; None if this call cannot be spoiled so."""
        if how == "KILL":
            return f"{self.call}:signal=KILL:when={self.ordinal}"
        if how == "LIE":
            # What else is written is read back by nobody; a lie about it shows when it is used, by its digest.
            if self.call not in CHANGES or self.result < 0 or not re.search(r"promotions\.log|/models[/>]", self.line):
                return None
            return f"{self.call}:retval={self.result}:when={self.ordinal}"
        if self.call in ("lseek", "ioctl"):
            return None  # which touch no disk
        if self.call == "close" and "promotions.log" in self.line:
            return None  # Linux closes whatever it says, strace does not: its lock would be kept
        return f"{self.call}:error={how}:when={self.ordinal}"


class Server:
    """A process that has imported everything and runs commands in children of its own."""

    def __init__(self, before: Sequence[str] = ()) -> None:
        command = [*before, sys.executable, "-IB", str(SERVER)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: Any) -> None:
        self._process.__exit__(*error)

    def run(self, folder: Path, *commands: list[str], **more: Any) -> Outcome:
        """Run commands in a folder, one after the other, until one fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "commands": commands} | more) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))

    def traced(self, folder: Path, command: list[str], *options: str, **more: Any) -> Outcome:
        """Run one command under strace."""
        trace = folder / "trace"
        words = ["-f", "-y", "-o", str(trace), "-e", CALLS, *options]
        outcome = self.run(folder, command, strace=words, **more)
        return Outcome(outcome.status, outcome.out, outcome.err, trace.read_text(errors="replace"))


def points(trace: str, root: Path) -> Iterator[Point]:
    """Every call of the first thread that names a path below the root, by number or by name."""
    seen: Counter[str] = Counter()
    main = trace.split(" ", 1)[0]
    for line in trace.splitlines():
        match = LINE.match(line)
        if match is None or match["pid"] != main:
            continue
        seen[match["call"]] += 1
        if str(root) in match["rest"]:
            result = RESULT.search(line)
            yield Point(match["call"], seen[match["call"]], int(result["result"]) if result else -1, line)
