"""What a run does once: judge a record, read the shadow log, digest a file for each reason to."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_modelgates.evidence import verdict
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.predictions import counting
from pytest_modelgates.storage import regular_files
from tests.support.gate_runs import ledger_of, run
from tests.support.handmade import log_predictions, predictions

# Before the run, after it, by the gate integrity.sha256, and by the adapter that is timed, which verifies as it serves.
REASONS_TO_DIGEST = 4


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counter[str]]:
    """Count the calls of a function by what it is called on."""

    def count(module: Any, name: str, key: Callable[..., str]) -> Counter[str]:
        calls, genuine = Counter[str](), getattr(module, name)

        def counting(*given: Any, **more: Any) -> Any:
            calls[key(*given)] += 1
            return genuine(*given, **more)

        for place in [module, *others(genuine)]:
            monkeypatch.setattr(place, name, counting)
        return calls

    return count


def others(function: Any) -> list[Any]:
    """Modules that imported a function by its name."""
    found = [module for name, module in sys.modules.items() if name.startswith("pytest_modelgates.")]
    return [module for module in found if vars(module).get(function.__name__) is function]


def shadowed(model: Path) -> Candidate:
    """A model that has scored as many rows in shadow as its panel has."""
    candidate = Candidate(model)
    values = np.resize(candidate.panel.native_scores, 400).tolist()
    log_predictions(candidate.artifacts, predictions(candidate.digest, values))
    return candidate


def test_each_record_is_judged_once(pytester: pytest.Pytester, good_model: Path, counted: Any) -> None:
    shadowed(good_model)
    judged = counted(verdict, "judge", lambda record, policy: record.gate)
    run(pytester, f"--model-dir={good_model}")
    gates = [record.gate for record in ledger_of(good_model).models[good_model.name].gates]
    assert judged == Counter(gates)


def test_the_shadow_log_is_read_once_for_the_gates_of_drift(
    pytester: pytest.Pytester, good_model: Path, counted: Any
) -> None:
    shadowed(good_model)
    read = counted(counting, "count_whole", lambda _, arm, *__: arm)
    run(pytester, f"--model-dir={good_model}", "-m", "drift or shadow")
    assert read == {"shadow": 1}


def test_a_file_is_opened_once_for_each_reason(pytester: pytest.Pytester, good_model: Path, counted: Any) -> None:
    shadowed(good_model)
    opened = counted(regular_files, "open_regular", lambda folder, name, *_: name)
    run(pytester, f"--model-dir={good_model}")
    # A file that nothing reads: it is opened to be digested, and for nothing else.
    assert opened["bench.json"] == REASONS_TO_DIGEST
