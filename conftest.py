"""How this repository's own tests run; their fixtures lie in tests/. The gates do not need this file."""

import os

from hypothesis import settings

# The same examples in every run: a test that fails on one machine fails on all.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Make a worker of xdist forget that it is one: in a pytest inside a test, pytest-benchmark would time nothing."""
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    # On GitHub the commands under test would annotate, and append to the summary of the step that tests them.
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        os.environ.pop(name, None)
