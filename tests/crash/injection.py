"""System calls of a command that touch a registry, recorded and then spoiled one by one with strace."""

import json
import os
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
# The folder, dates and random names.
PASSING = re.compile(r"/worker\d|[0-9a-f]{10,}|staging-\w+")
# The descriptor and the name with which the arguments begin.
LEADING = re.compile(r'(?:\w+<(?P<open>[^>]*)>(?:, )?)?(?:"(?P<name>[^"]*)")?')
RESULT = re.compile(r"\) += (?P<result>-?\d+)[^)]*$")
# What a file system does; process and memory calls have no path.
CALLS = "trace=%file,%desc"
# Calls that change something, so that they can be said to have when they have not.
CHANGES = ("write", "pwrite64", "rename", "renameat", "renameat2", "symlink", "symlinkat", "unlink", "unlinkat")
CHANGES += ("mkdir", "mkdirat", "rmdir", "ftruncate", "truncate", "chmod", "fchmod", "fchmodat", "link", "linkat")

# Calls whose string is the content of a file, not a name.
CONTENTS = ("read", "write", "pread64", "pwrite64")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str
    trace: str = ""

    @property
    def struck(self) -> str | None:
        """The call of the first thread to which strace did what it was asked to do."""
        line = None
        for line, rest in main_thread(self.trace):
            if "(INJECTED)" in rest:
                return line
        return line if self.status == -signal.SIGKILL else None


@dataclass(frozen=True)
class Point:
    """The n-th call of its name, which touches the registry."""

    call: str
    ordinal: int
    result: int
    line: str

    def fault(self, how: str) -> str | None:
        """What strace is to inject; None if this call cannot be spoiled so."""
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

    def is_that_of(self, line: str | None) -> bool:
        """Whether another run's line is the same call on the same file."""
        return line is not None and touched(line) == touched(self.line)


class Server:
    """A process that has imported everything and runs commands in children of its own."""

    def __init__(self, before: Sequence[str] = ()) -> None:
        command = [*before, sys.executable, "-sPB", str(SERVER)]
        # Sets in one order everywhere: what one server recorded another must repeat, call by call.
        seeded = os.environ | {"PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=seeded)

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


def main_thread(trace: str) -> Iterator[tuple[str, str]]:
    """Every call of the first thread, and what was said of it in this line or one that resumes it."""
    main, begun = trace.split(" ", 1)[0], ""
    for line in trace.splitlines():
        if not line.startswith(f"{main} "):
            continue
        begun = line if LINE.match(line) else begun
        yield begun, line


def touched(line: str) -> tuple[str, ...]:
    """The call and the file it touches, without what differs from run to run."""
    match = LINE.match(line)
    assert match is not None, line
    leading = LEADING.match(match["rest"])
    assert leading is not None
    name = "" if match["call"] in CONTENTS else leading["name"]
    return match["call"], *(PASSING.sub("*", word or "") for word in (leading["open"], name))


def points(trace: str, root: Path) -> Iterator[Point]:
    """Every call of the first thread that names a path below the root, by number or by name."""
    seen: Counter[str] = Counter()
    for line, said in main_thread(trace):
        match = LINE.match(said)
        if match is None:
            continue
        seen[match["call"]] += 1
        if str(root) in match["rest"]:
            result = RESULT.search(line)
            yield Point(match["call"], seen[match["call"]], int(result["result"]) if result else -1, line)
