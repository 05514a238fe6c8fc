"""How long the strict reading of a report takes, besides hashing: a report of every shipped gate on an invented ridge.

    python -m benchmarks.strict_check [TIMES]

The report is parsed, typed, and every record checked against the policy and the trusted code. The model's files and the
code are digested before the clock starts. At most 20 ms are promised.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_modelgates.evidence.report import read_report
from pytest_modelgates.evidence.trust import trust
from pytest_modelgates.model.directory import MANIFEST, SIDECAR, verify
from pytest_modelgates.model.manifest import Manifest
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.registry.decide import Facts, decide
from pytest_modelgates.storage.strict_json import read_json
from tests.support.panels import pack_ridge

PROMISED_MS = 20.0


def main() -> int:
    """Measure, print, and fail if the promise is not kept."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as name:
        directory = pack_ridge(Path(name) / "artifacts")
        report_file = Path(name) / "report.json"
        command = [sys.executable, "-m", "pytest", "-q", f"--model-dir={directory}", f"--gate-report={report_file}"]
        subprocess.run(command, cwd=name, stdout=subprocess.DEVNULL, check=True)
        policy, digest = load_policy(None), verify(directory)
        known = trust(policy, Path(name))
        taken = []
        for _ in range(times):
            begin = time.perf_counter_ns()
            manifest, sidecar = read_json(directory / MANIFEST, Manifest), read_json(directory / SIDECAR, Sidecar)
            facts = Facts(
                model_id=directory.name,
                directory=directory,
                digest=digest,
                manifest=manifest,
                sidecar=sidecar,
                golden=np.empty(0),
                live=None,
                stored=read_report(report_file),
                trusted=known,
            )
            reasons = decide(facts, policy, now=datetime.now(UTC)).reasons
            taken.append((time.perf_counter_ns() - begin) / 1e6)
            assert not reasons, reasons
        size = report_file.stat().st_size
    low, median, high = statistics.quantiles(taken, n=4)
    gates = len(facts.ledger.models[directory.name].gates)
    print(
        f"{gates} gates, {size / 1000:.0f} kB: {median:.2f} ms (quartiles {low:.2f} to {high:.2f}, {times} times); "
        f"promised: at most {PROMISED_MS:g} ms"
    )
    return 0 if median <= PROMISED_MS else 1


if __name__ == "__main__":
    sys.exit(main())
