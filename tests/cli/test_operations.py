"""operations.toml on the command line: who reads it, and what is said about keys that still stand in the policy."""

import fcntl
from pathlib import Path

import pytest

from pytest_modelgates.cli import main
from tests.support.handmade import Registry, green_report

Capture = pytest.CaptureFixture[str]

WRITERS = [
    ["promote", "--report", "{report}"],
    ["rollback", "{live}", "--reason", "x"],
    ["recover"],
    ["gc", "--keep", "1"],
    ["golden", "set", "{live}"],
]


def words(registry: Registry, command: list[str], report: Path) -> list[str]:
    given = [word.format(report=report, live=registry.live) for word in command]
    return [*given, "--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]


@pytest.mark.parametrize("command", WRITERS, ids=lambda command: " ".join(command[:2]))
@pytest.mark.parametrize("place", ["operations.toml", "policy.toml"])
def test_every_command_that_writes_waits_so_long_for_the_lock(
    registry: Registry, capsys: Capture, command: list[str], place: str
) -> None:
    report = green_report(registry)
    with registry.policy_file.with_name(place).open("a") as file:
        file.write("[registry]\nlock_timeout_s = 0.03\n")
    with registry.artifacts.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(words(registry, command, report)) == 1
    said = capsys.readouterr().err
    warning = (
        f"modelgates: warning: {registry.policy_file}: [registry] lock_timeout_s is deprecated in the policy; "
        f"move it to {registry.policy_file.with_name('operations.toml')}, under [registry]\n"
    )
    assert said.count("waited 0.03 s") == 1
    assert said.count(warning) == said.count("warning") == (place == "policy.toml")


def test_broken_operations_are_named_and_nothing_is_changed(registry: Registry, capsys: Capture) -> None:
    report, before = green_report(registry), registry.state()
    broken = registry.policy_file.with_name("operations.toml")
    broken.write_text("[registry]\nlock_timeout_s = 'long'\n")
    said = f"{broken}: Expected `float`, got `str` - at `$.registry.lock_timeout_s`"
    for command in WRITERS:
        out = command[0] in ("rollback", "recover")
        assert main(words(registry, command, report)) == (0 if command == ["recover"] else 1)
        shown = capsys.readouterr().err.splitlines()[0]
        # The emergency exit stays open.
        assert shown == (f"modelgates: warning: {said}; the packaged limits count" if out else f"modelgates: {said}")
    assert registry.state() == before


@pytest.mark.integration
@pytest.mark.parametrize("command", [["promote"], ["gate"], ["prove"]], ids=" ".join)
def test_a_command_that_runs_the_gates_takes_its_limits_from_there_and_warns_once(
    registry: Registry, capfd: Capture, command: list[str]
) -> None:
    with registry.policy_file.open("a") as file:
        file.write("[hermetic]\nmemory_gib = 0.001\nminutes = 3\n")
    place = registry.policy_file.with_name("operations.toml")
    place.write_text("[hermetic]\nminutes = 2\n")
    directory = registry.artifacts.model(registry.candidate)
    assert main([*command, str(directory), "--policy", str(registry.policy_file)]) == 1
    said = capfd.readouterr().err
    hermetic = f"modelgates: warning: {registry.policy_file}: [hermetic]"
    assert said.count(f"{hermetic} memory_gib is deprecated in the policy; move it to {place}, under [hermetic]\n") == 1
    assert said.count(f"{hermetic} minutes does not count, because {place} sets it; delete it from the policy\n") == 1
    assert said.count("warning:") == 2
    assert " left no report" in said
