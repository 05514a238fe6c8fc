"""What docs/models.md says of models that are not estimators: each recipe is run as it stands there."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pytest_modelgates import pack
from pytest_modelgates.extras import extra
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.parity import PARITY_TOLERANCE
from tests.packing.test_pack import flaws
from tests.support.kinds import NUMBERS, frame

ROOT = Path(__file__).parents[2]
BLOCKS = [block.partition("```")[0] for block in (ROOT / "docs" / "models.md").read_text().split("```python\n")[1:]]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def recipe(word: str) -> str:
    """The one recipe in which a word stands."""
    (found,) = [block for block in BLOCKS if word in block]
    return found


def described(names: list[str], artifacts: Path) -> dict[str, Any]:
    """What `pack` is told of a model besides."""
    features = dict.fromkeys(names, "all")
    day = date(2019, 12, 31)
    return {"features": features, "horizon": 1, "trained_until": day, "changes": "A recipe.", "artifacts": artifacts}


def run(block: str, names: dict[str, Any]) -> Candidate:
    """Run a recipe that ends with `pack`, and keep what it packed."""
    packed: list[Path] = []
    exec(block, {"pack": lambda *given, **more: packed.append(pack(*given, **more)), **names})
    assert flaws(packed[0]) == []
    candidate = Candidate(packed[0])
    assert candidate.parity.scaled <= PARITY_TOLERANCE
    return candidate


def test_a_booster_of_xgboost_is_packed_as_an_estimator(tmp_path: Path) -> None:
    library, train, panel = extra("xgboost"), frame(0), frame(1)
    booster = library.train({"nthread": 1}, library.DMatrix(train[NUMBERS], label=train["target"]), 10)
    candidate = run(recipe("booster"), {"booster": booster, "panel": panel, "described": described(NUMBERS, tmp_path)})
    np.testing.assert_allclose(candidate.scores, booster.predict(library.DMatrix(panel[NUMBERS])), atol=1e-7)


def test_results_of_statsmodels_are_packed_by_a_twin(tmp_path: Path) -> None:
    api, train, panel = extra("statsmodels.api"), frame(0), frame(1)
    results = api.OLS(train["target"], api.add_constant(train[NUMBERS])).fit()
    given = {"results": results, "train": train, "panel": panel, "names": NUMBERS}
    candidate = run(recipe("add_constant"), {**given, "described": described(NUMBERS, tmp_path)})
    own = results.predict(api.add_constant(panel[NUMBERS])).to_numpy()
    np.testing.assert_allclose(candidate.scores, own, atol=PARITY_TOLERANCE * own.std())


def test_what_torch_exported_scores_as_torch_did(tmp_path: Path) -> None:
    folder = ROOT / "tests" / "data" / "torch_net"
    known, names = json.loads((folder / "net.json").read_text()), ["a", "b", "c", "d"]
    lines = [line for line in recipe("torch.onnx.export").splitlines() if not line.startswith("pack(")]
    made = (folder / "make.py").read_text()
    assert [line for line in lines if f"    {line}\n" not in made] == []
    panel = frame(1, days=10).assign(**dict(zip(names, np.array(known["rows"], np.float32).T, strict=True)))
    given = {"onnx_bytes": (folder / "net.onnx").read_bytes(), "reference": pd.Series(known["reference"])}
    last = recipe("torch.onnx.export").splitlines()[-1]
    run(last, {**given, "panel": panel, "described": described(names, tmp_path)})
