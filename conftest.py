"""How this repository's own tests run; their fixtures lie in tests/. The gates need nothing of it."""

from hypothesis import settings

# The same examples in every run: a test that fails on one machine fails on all.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
