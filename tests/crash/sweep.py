"""One command, spoiled at every system call that touches the registry, each time in a fresh copy."""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.injection import Outcome, Point, Server, points
from tests.crash.registries import EVENT, GOLDEN, NEXT, OLD, RECOVER, Registry, promotion

ERRORS = ("EIO", "ENOSPC", "EACCES", "EMFILE")
WORKERS = 2
SOUND = (["status"], ["log", "--verify"])


@dataclass(frozen=True)
class Case:
    """A registry, a command, and which model may be live before and after it."""

    seed: Registry
    command: list[str]
    before: str | None
    after: str | None
    agree: bool = True
    """Whether link and log agree before the command."""
    repair: list[str] = field(default_factory=lambda: RECOVER)
    """What puts the registry right if the command was cut short."""


@dataclass
class Figures:
    """What a sweep saw."""

    hit: int = 0
    missed: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """As it stands in docs/reliability.md."""
        return f"{self.hit} points hit, {len(self.missed)} missed, {len(self.bad)} bad"


class Workshop:
    """A few servers, each with a folder of its own."""

    def __init__(self, folder: Path, servers: list[Server]) -> None:
        self._free: queue.Queue[tuple[Server, Path]] = queue.Queue()
        for number, server in enumerate(servers):
            self._free.put((server, folder / f"worker{number}"))

    @contextmanager
    def bench(self) -> Iterator[tuple[Server, Path]]:
        """Take a server and its folder for a while."""
        taken = self._free.get()
        try:
            yield taken
        finally:
            self._free.put(taken)

    def record(self, case: Case) -> list[Point]:
        """Run the command once, unspoiled, and list the calls that touch the registry."""
        with self.bench() as (server, folder):
            registry = case.seed.copy_to(folder)
            outcome = server.traced(folder, case.command)
            assert outcome.status == 0, outcome.err
            assert registry.problems((case.after,)) == []
            return list(points(outcome.trace, registry.artifacts))

    def sweep(self, case: Case, hows: Sequence[str], *, every: int = 1) -> Figures:
        """Spoil every call, or every n-th, in each way; judge what is left, and whether the next command repairs it."""
        found, guard = Figures(), threading.Lock()
        spoilt = [(point, how) for how in hows for point in self.record(case) if point.fault(how)]

        def one(job: tuple[int, tuple[Point, str]]) -> None:
            number, (point, how) = job
            with self.bench() as (server, folder):
                registry = case.seed.copy_to(folder)
                outcome = server.traced(folder, case.command, "-e", f"inject={point.fault(how)}")
                problems = judge(case, registry, outcome, how)
                problems += afterwards(server, registry, case, recover=bool(number % 2))
            with guard:
                if not point.is_that_of(outcome.struck):
                    found.missed.append(f"{how} {point.line}\n    struck {outcome.struck}")
                else:
                    found.hit += 1
                    if problems:
                        found.bad.append(f"{how} at {point.line}\n    " + "\n    ".join(problems))

        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(one, enumerate(spoilt[::every])))
        return found


def judge(case: Case, registry: Registry, outcome: Outcome, how: str) -> list[str]:
    """Hold what is left against the promises, before anything had a chance to repair it."""
    found = registry.problems((case.before, case.after), agree=case.agree)
    if "Traceback" in outcome.err:
        found.append(f"a traceback: {outcome.err}")
    if how == "KILL":
        return found
    if case.command == EVENT and registry.events() != (outcome.status == 0):
        found.append(f"exit status {outcome.status}, and {registry.events()} events in the log")
    if case.command == GOLDEN and outcome.status == 0 and registry.golden_rows(OLD) != 2:
        found.append("exit status 0, and the golden is the old one")
    live = registry.live()
    if outcome.status == 0 and live != case.after:
        found.append(f"exit status 0, and {live} is live, expected {case.after}")
    if outcome.status != 0 and live != case.before and case.agree:
        found.append(f"exit status {outcome.status}, and {live} is live, expected {case.before}: {outcome.err}")
    if outcome.status not in ((0, 1, 3) if how == "LIE" else (0, 3)):
        found.append(f"exit status {outcome.status}, expected 3 or a fault without effect: {outcome.err}")
    if outcome.status and not (outcome.err.startswith("modelgates: ") and outcome.err.count("\n") == 1):
        found.append(f"more than one line: {outcome.err}")
    return found


def afterwards(server: Server, registry: Registry, case: Case, *, recover: bool, golden: bool = True) -> list[str]:
    """Let the next promotion, or `recover` before it, finish what was cut short; then everything must be sound."""
    found = []
    if recover or not case.agree:
        # A rollback that was done by then has nothing to repair.
        done = registry.live() == case.after and not registry.problems((case.after,))
        settled = server.run(registry.folder, RECOVER if done else case.repair, *SOUND)
        found += [f"not recovered: {settled.out}{settled.err}"] if settled.status else []
        found += [f"after recover: {problem}" for problem in registry.problems((case.before, case.after))]
    honest = server.run(registry.folder, promotion(NEXT), *SOUND)
    found += [f"not sound after the next promotion: {honest.out}{honest.err}"] if honest.status else []
    if (registry.artifacts / "ab.json").exists():
        found.append("an A/B test outlived a promotion")
    return found + [f"after the next promotion: {problem}" for problem in registry.problems((NEXT,))]
