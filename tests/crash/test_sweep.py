"""Commands that are killed, or whose system calls fail or lie, wherever they touch the registry."""

import pytest

from tests.crash.sweep import ERRORS, Case, Workshop

pytest_plugins = ["tests.crash.seeds"]
pytestmark = pytest.mark.integration

COMMANDS = (
    "first",
    "promote",
    "rollback",
    "promote in an A/B test",
    "rollback in an A/B test",
    "pack",
    "gc",
    "event",
    "golden set",
    "recover finishes",
    "recover forgets",
    "recover puts back",
    "recover adopts",
    "rollback of a moved link",
)
WAYS = ("KILL", *ERRORS, "LIE")


@pytest.mark.crash
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", COMMANDS)
def test_wherever_a_command_is_spoiled_the_registry_stays_sound(
    workshop: Workshop, cases: dict[str, Case], name: str, how: str
) -> None:
    found = workshop.sweep(cases[name], [how])
    print(f"\n{name} {how}: {found}")
    assert found.bad == []
    assert found.missed == []
    assert found.hit > (0 if how == "LIE" else 30)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_sample_of_the_sweep(workshop: Workshop, cases: dict[str, Case], name: str) -> None:
    found = workshop.sweep(cases[name], ("KILL", "EIO", "ENOSPC", "LIE"), every=31)
    assert found.bad == []
    assert found.missed == []
    assert found.hit > 3
