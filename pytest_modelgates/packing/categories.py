"""Features whose values are text: each is given to the ONNX model as the number of its category, from 0 on.

So a row is numbers everywhere: in the panel that is packed, in the gates, in what is served and in its logs. The names
are in the ONNX model, which turns a number into the text that the estimator was fitted on, and in the sidecar.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..errors import PackError
from ..model.onnx_checks import inputs_of
from .codes import Categories
from .convert import NativeScore

# The first opset in which the operators below take these types.
OPSET = 11


def take_codes(model: onnx.ModelProto, categories: Categories) -> None:
    """Let inputs that take text take the numbers of categories instead; in place.

    A number that is none of a category makes ONNX Runtime fail, so such a row is refused and not scored.

    Raises
    ------
    PackError
        If an input takes text whose categories were not declared, or its opset is too old.
    """
    graph, nodes, inputs = model.graph, [], []
    text = [entry for entry in inputs_of(graph) if entry.type.tensor_type.elem_type == TensorProto.STRING]
    for entry in text:
        if (names := categories.get(entry.name)) is None:
            raise PackError(
                f"the model takes text as {entry.name!r}: one row is one row of numbers, so declare its categories in "
                f"the order that numbers them, categories={{{entry.name!r}: [...]}}"
            )
        given, size = entry.name, len(names)
        values = {"names": np.array(names, dtype=object), "zero": np.int64(0), "size": np.int64(size)}
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), f"{given}/{key}") for key, value in values.items()
        )
        nodes += [
            # Of a negative number Gather counts from the end.
            helper.make_node("Less", [given, f"{given}/zero"], [f"{given}/negative"]),
            helper.make_node("Where", [f"{given}/negative", f"{given}/size", given], [f"{given}/code"]),
            helper.make_node("Gather", [f"{given}/names", f"{given}/code"], [f"{given}/text"]),
        ]
        inputs.append(given)
        entry.type.tensor_type.elem_type = TensorProto.INT64
    if not inputs:
        return
    if any(entry.domain in ("", "ai.onnx") and entry.version < OPSET for entry in model.opset_import):
        raise PackError(f"the model takes text in an opset before {OPSET}; export it with a newer one")
    for node in graph.node:
        node.input[:] = [f"{name}/text" if name in inputs else name for name in node.input]
    following = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    graph.node.extend([*nodes, *following])


def scoring_codes(native: NativeScore, names: Sequence[str], categories: Categories) -> NativeScore:
    """Let a native model score text, and matrices in which categories are numbers: it gets categories of pandas.

    LightGBM and XGBoost take text in no other form, and to scikit-learn they are text.
    """

    def score(rows: NDArray[np.floating[Any]] | pd.DataFrame) -> NDArray[np.float64]:
        if isinstance(rows, pd.DataFrame):
            plain = [name for name in categories if not isinstance(rows[name].dtype, pd.CategoricalDtype)]
            return native(rows.assign(**{name: pd.Categorical(rows[name], list(categories[name])) for name in plain}))
        frame = pd.DataFrame(rows, columns=list(names))
        for name, texts in categories.items():
            numbers = frame[name].fillna(-1).astype(np.int64)
            frame[name] = pd.Categorical.from_codes(numbers, list(texts))
        return native(frame)

    return score if categories else native
