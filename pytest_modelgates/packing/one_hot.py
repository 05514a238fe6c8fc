"""scikit-learn's OneHotEncoder with rare categories joined, of which skl2onnx knows some forms alone."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from ..extras import extra


def teach_one_hot() -> None:
    """Let skl2onnx convert every OneHotEncoder, alone or as a step of a pipeline."""
    skl2onnx, encoder = extra("skl2onnx"), extra("sklearn.preprocessing").OneHotEncoder
    skl2onnx.update_registered_converter(encoder, "ModelgatesOneHotEncoder", _shape, _step)


def _shape(operator: Any) -> None:
    extra("skl2onnx.shape_calculators.one_hot_encoder").calculate_sklearn_one_hot_encoder_output_shapes(operator)
    operator.outputs[0].type.shape[1] = len(operator.raw_operator.get_feature_names_out())


def _step(scope: Any, operator: Any, container: Any) -> None:
    convert = extra("skl2onnx.operator_converters.one_hot_encoder").convert_sklearn_one_hot_encoder
    encoder = operator.raw_operator
    if encoder.min_frequency is None and encoder.max_categories is None:
        convert(scope, operator, container)
        return
    plain, weights, start = _as_linear(encoder)
    names = [scope.get_unique_variable_name(f"one_hot_{part}") for part in ("plain", "weights", "start", "joined")]
    convert(scope, SimpleNamespace(raw_operator=plain, inputs=operator.inputs, output_full_names=names[:1]), container)
    for name, values in zip(names[1:3], (weights, start), strict=True):
        container.add_initializer(name, TensorProto.FLOAT, values.shape, values.ravel().tolist())
    container.add_node("Gemm", names[:3], names[3], name=scope.get_unique_operator_name("Gemm"))
    to = TensorProto.INT64 if np.issubdtype(encoder.dtype, np.signedinteger) else TensorProto.FLOAT
    container.add_node("Cast", names[3], operator.output_full_names, name=scope.get_unique_operator_name("Cast"), to=to)


def _as_linear(encoder: Any) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
    """Say an encoder as a plain one, whose columns are multiplied by weights and added to a start.

    The encoder tells by itself: it is given each category alone, where the other features are of unknown categories, or
    of their first ones if it refuses what it does not know.
    """
    strict = encoder.handle_unknown == "error"
    first = [categories[0] for categories in encoder.categories_]
    others = first if strict else [_unknown(categories) for categories in encoder.categories_]
    rows = [others]
    for place, categories in enumerate(encoder.categories_):
        rows += [[*others[:place], category, *others[place + 1 :]] for category in categories]
    names = list(getattr(encoder, "feature_names_in_", range(len(first))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says which categories are unknown
        encoded = encoder.transform(pd.DataFrame(rows, columns=names))
    encoded = np.asarray(encoded.toarray() if encoder.sparse_output else encoded, dtype=np.float64)
    plain = type(encoder)(categories=encoder.categories_, handle_unknown="error" if strict else "ignore")
    return plain.fit(pd.DataFrame([first], columns=names)), encoded[1:] - encoded[0], encoded[0]


def _unknown(categories: NDArray[Any]) -> Any:
    """Make up a value that is none of a feature's categories."""
    return "".join(map(str, categories)) + "?" if categories.dtype.kind in "OU" else categories.max() + 1
