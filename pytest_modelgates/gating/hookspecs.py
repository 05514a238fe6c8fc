"""The hooks that other plugins may implement. Every run of an environment loads this, so it imports pytest alone."""

from __future__ import annotations  # the types below are imported for checkers alone

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .verdict_hook import VerdictRecord


@pytest.hookspec
def pytest_modelgates_verdict(record: VerdictRecord) -> None:
    """Hear of the verdict of a gate, in the process that the user started, when its teardown is over.

    It is called again at the end of the run if the gate was repeated after that, since it then counts as not run. What
    an implementation returns is ignored, and what it raises is shown; neither changes a verdict or the exit status.

    Parameters
    ----------
    record : VerdictRecord
        A copy for this call.
    """
