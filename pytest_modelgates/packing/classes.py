"""Which class is the score: of an estimator's classes, or of those that a ZipMap names in a ready ONNX model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ..errors import PackError
from ..storage.text import listed, printable

Label = str | int | bool


def fitted_classes(model: Any) -> list[Any] | None:
    """Read the classes of a fitted estimator in the order of its chances; None for what gives a number."""
    try:
        classes = model.classes_
    except Exception:  # a regressor has none, an unfitted classifier raises, each library in its own way
        booster = getattr(model, "num_model_per_iteration", None)  # of LightGBM, which knows its classes by number
        return list(range(count)) if booster and (count := booster()) > 1 else None
    if any(isinstance(label, np.ndarray) for label in classes):  # of several targets
        return None
    return np.asarray(classes).tolist() or None


def class_position(classes: Sequence[Any] | None, wanted: Label | None) -> int | None:
    """Find which column of a classifier's chances is the score.

    Returns
    -------
    int or None
        None if nothing was declared and nothing has to be: the last column is the score then.

    Raises
    ------
    PackError
        If the model has no such class, or more than two and none was declared.
    """
    if wanted is None:
        if classes is None or len(classes) <= 2:
            return None
        raise PackError(
            f"the model has {len(classes)} classes, {_listed(classes)}: one row is one number, so say whose chance is "
            f"the score, scored_class={classes[-1]!r}"
        )
    if classes is None:
        raise PackError(
            f"scored_class={wanted!r}: the model names no classes; leave it out, or choose a column with output"
        )
    for match in (lambda label: label == wanted, lambda label: str(label) == str(wanted)):
        if found := [place for place, label in enumerate(classes) if match(label)]:
            return found[0]
    raise PackError(f"scored_class={wanted!r}: the model has no such class; it has {_listed(classes)}")


def _listed(classes: Sequence[Any]) -> str:
    return listed((printable(repr(label)) for label in classes), most=8)


def cut_zipmaps(model: onnx.ModelProto) -> list[Any] | None:
    """Let each output that maps classes to chances be a tensor with a column for each class; in place.

    Returns
    -------
    list or None
        The classes of the last of these outputs, in the order of the columns; None if there is none.
    """
    classes: list[Any] | None = None
    for number, node in enumerate(model.graph.node):
        if node.op_type != "ZipMap" or node.domain != "ai.onnx.ml":
            continue
        labels = [helper.get_attribute_value(entry) for entry in node.attribute]
        classes = [label.decode() if isinstance(label, bytes) else label for label in labels[0]] if labels else []
        for output in model.graph.output:
            if output.name == node.output[0]:
                output.CopyFrom(
                    helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, [None, len(classes)])
                )
        model.graph.node[number].CopyFrom(helper.make_node("Identity", node.input, node.output, node.name))
    return classes
