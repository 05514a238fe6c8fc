"""What is said of a library that is not installed."""

import re
import tomllib
from pathlib import Path

import pytest

from pytest_modelgates.errors import MissingExtraError
from pytest_modelgates.extras import extra


@pytest.mark.parametrize(("given", "named"), [((), "pack"), (("sign",), "sign")])
def test_a_library_that_is_not_installed_is_named_with_the_extra_that_brings_it(
    given: tuple[str, ...], named: str
) -> None:
    message = f"no_such_library is not installed; run: pip install 'pytest-modelgates[{named}]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        extra("no_such_library.part", *given)


def test_the_lock_holds_the_libraries_of_every_extra_but_ray() -> None:
    root = Path(__file__).parents[1]
    locked = {line.partition("==")[0] for line in (root / "requirements.lock").read_text().splitlines()}
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    absent = {
        name
        for name, requirements in extras.items()
        if not {re.split(r"[\[>]", requirement)[0] for requirement in requirements} <= locked
    }
    assert absent == {"ray"}
