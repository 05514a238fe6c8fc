"""Spoil an ONNX file in many ways and read each as this package does, in a child that may crash or hang.

    python spoiled_onnx.py MODEL_DIRECTORY TIMES SEED

Prints how often each end was met: `scored`, `refused`, or what must never be: the number of a signal (14 for a hang),
or the name of an exception that is not a refusal.
"""

import json
import os
import resource
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from pytest_modelgates.errors import ModelgatesError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.onnx_checks import recorded_schema, soundness_problems
from pytest_modelgates.model.session import OnnxModel
from pytest_modelgates.model.sidecar import Sidecar

SECONDS, MEMORY = 10, 6 * 2**30


def spoiled(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three bits flipped, pieces cut out, put in, doubled, or the end cut off."""
    for _ in range(rng.integers(1, 4)):
        at, size = int(rng.integers(len(content))), int(rng.integers(1, 9))
        match rng.integers(5):
            case 0:
                content = content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]
            case 1:
                content = content[:at] + content[at + size :]
            case 2:
                content = content[:at] + rng.bytes(size) + content[at:]
            case 3:
                content = content[:at] + content[at : at + size] + content[at:]
            case 4:
                content = content[: at + 1]
        content = content or b"\0"
    return content


def read(content: bytes, sidecar: Sidecar, rows: np.ndarray) -> str:
    """What a gate and a server do with the bytes."""
    found = "scored"
    for look in (
        lambda: soundness_problems(content, ("", "ai.onnx.ml")),
        lambda: recorded_schema(content),
        lambda: OnnxModel(content, sidecar).input_problems(),
        lambda: OnnxModel(content, sidecar).predict(rows),
    ):
        try:
            look()
        except ModelgatesError:
            found = "refused"
        except Exception as error:  # which is what is looked for
            return f"{type(error).__name__}: {error}"
    return found


def end_of(content: bytes, sidecar: Sidecar, rows: np.ndarray) -> str:
    """Read in a child."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(SECONDS)
        os.write(into, read(content, sidecar, rows)[:500].encode())
        os._exit(0)
    os.close(into)
    _, status = os.waitpid(child, 0)
    with os.fdopen(out) as file:
        said = file.read()
    return said or f"signal {os.waitstatus_to_exitcode(status)}"


def main() -> None:
    """Count the ends."""
    directory, times, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    candidate, rng = Candidate(directory), np.random.default_rng(seed)
    content, rows = candidate.onnx_bytes, candidate.panel.features[:8]
    ends: Counter[str] = Counter()
    for _ in range(times):
        ends[end_of(spoiled(content, rng), candidate.sidecar, rows)] += 1
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
