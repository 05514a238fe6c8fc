"""Which class is the score: declared where there are several, found behind a ZipMap, refused if it is not there."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pytest_modelgates.errors import PackError
from pytest_modelgates.extras import extra
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.packing.classes import class_position, cut_zipmaps
from tests.packing.test_pack import flaws, pack_ready, rows

REFUSED = [
    pytest.param(
        ["down", "flat", "up"],
        None,
        "the model has 3 classes, 'down', 'flat', 'up': one row is one number, "
        "so say whose chance is the score, scored_class='up'",
        id="none-of-three",
    ),
    pytest.param(
        ["down", "up"],
        "sideways",
        "scored_class='sideways': the model has no such class; it has 'down', 'up'",
        id="another",
    ),
    pytest.param(
        None,
        "up",
        "scored_class='up': the model names no classes; leave it out, or choose a column with output",
        id="of-a-regressor",
    ),
]


@pytest.mark.parametrize(("classes", "wanted", "message"), REFUSED)
def test_a_class_that_nobody_can_find_is_refused(classes: list[Any] | None, wanted: Any, message: str) -> None:
    with pytest.raises(PackError) as caught:
        class_position(classes, wanted)
    assert str(caught.value) == message


FOUND = [
    pytest.param(["down", "up"], None, None, id="the-second-of-two"),
    pytest.param(None, None, None, id="a-regressor"),
    pytest.param(["down", "up"], "down", 0, id="by-name"),
    pytest.param([10, 20, 30], 20, 1, id="by-number"),
    pytest.param([10, 20, 30], "20", 1, id="number-as-text"),
    pytest.param([False, True], True, 1, id="truth"),
    pytest.param(["1", 1], 1, 1, id="the-same-before-the-alike"),
]


@pytest.mark.parametrize(("classes", "wanted", "position"), FOUND)
def test_a_class_is_found(classes: list[Any] | None, wanted: Any, position: int | None) -> None:
    assert class_position(classes, wanted) == position


def with_zipmap(labels: list[Any]) -> tuple[bytes, Any]:
    """Convert a classifier as skl2onnx does by default."""
    given = rows()[["a", "b"]].to_numpy(np.float32)
    met = np.array(labels)[given[:, 0].astype(int) % len(labels)]
    model = extra("sklearn.linear_model").LogisticRegression().fit(given, met)
    return extra("skl2onnx").to_onnx(model, given[:1]).SerializeToString(), model


@pytest.mark.parametrize(
    ("labels", "options", "column"),
    [
        (["down", "flat", "up"], {"scored_class": "flat"}, 1),
        ([3, 5, 8], {"scored_class": 3}, 0),
        (["down", "up"], {}, 1),
        (["down", "flat", "up"], {"output": ("output_probability", 2)}, 2),
    ],
    ids=["text", "numbers", "two", "by-output"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_ready_model_is_cut_before_its_zipmap(
    tmp_path: Path, labels: list[Any], options: dict[str, Any], column: int
) -> None:
    content, model = with_zipmap(labels)
    panel = rows()
    panel["reference"] = model.predict_proba(panel[["a", "b"]].to_numpy(np.float32))[:, column]
    directory = pack_ready(tmp_path, panel, content, **options)
    assert flaws(directory) == []
    candidate = Candidate(directory)
    assert candidate.parity_claim.ok
    assert (candidate.sidecar.output.name, candidate.sidecar.output.index) == ("output_probability", column)


def test_a_ready_model_of_three_classes_must_say_which(tmp_path: Path) -> None:
    content, _ = with_zipmap([3, 5, 8])
    with pytest.raises(PackError, match=r"^the model has 3 classes, 3, 5, 8: one row is one number, so say whose"):
        pack_ready(tmp_path, model=content)


def test_a_class_and_an_output_are_not_both_declared(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"^scored_class and output both say what the score is; give one of them\n"):
        pack_ready(tmp_path, scored_class="up", output=("score", 0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_zipmap_inside_a_model_gives_chances_to_what_reads_them() -> None:
    model = onnx.load_model_from_string(with_zipmap(["down", "up"])[0])
    assert cut_zipmaps(model) == ["down", "up"]
    assert cut_zipmaps(model) is None
    onnx.checker.check_model(model, full_check=True)
