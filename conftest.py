"""How this repository's own tests run; their fixtures lie in tests/. The gates do not need this file."""

from hypothesis import settings

# The same examples in every run: a test that fails on one machine fails on all.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
