"""What is said of a library that is not installed."""

import re

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
