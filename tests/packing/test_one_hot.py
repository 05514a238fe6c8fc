"""ONNX of a OneHotEncoder that joins rare categories, against the encoder itself."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnxruntime import InferenceSession

from pytest_modelgates.extras import extra
from pytest_modelgates.packing.one_hot import teach_one_hot

SECTORS, VENUES = ["tech", "bank", "food & drink", "rare", "rarer"], ["N", "Q", "L"]
OPTIONS: dict[str, dict[str, Any]] = {
    "by-number": {"min_frequency": 60},
    "by-share": {"min_frequency": 0.2},
    "at-most": {"max_categories": 3},
    "none-is-rare": {"min_frequency": 1},
    "first-dropped": {"min_frequency": 60, "drop": "first"},
    "one-of-two-dropped": {"min_frequency": 100, "drop": "if_binary"},
    "dense-whole-numbers": {"min_frequency": 60, "dtype": np.int64, "sparse_output": False},
}


def rows() -> pd.DataFrame:
    """Two columns of text and one of counts; some categories come seldom."""
    generator = np.random.default_rng(18)
    return pd.DataFrame(
        {
            "sector": generator.choice(SECTORS, 300, p=[0.5, 0.3, 0.1, 0.06, 0.04]),
            "venue": generator.choice(VENUES, 300, p=[0.7, 0.25, 0.05]),
            "count": generator.binomial(6, 0.3, 300),
        }
    )


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("handle_unknown", ["error", "ignore", "infrequent_if_exist"])
@pytest.mark.parametrize(
    "names", [["sector"], ["count"], ["sector", "venue"], ["venue", "count", "sector"]], ids="-".join
)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_it_encodes_every_row_as_the_encoder_does(names: list[str], options: Any, handle_unknown: str) -> None:
    types, given = extra("skl2onnx.common.data_types"), rows()[names]
    encoder = extra("sklearn.preprocessing").OneHotEncoder(handle_unknown=handle_unknown, **options).fit(given)
    if handle_unknown != "error":
        strange = given.iloc[:3].copy()
        for row, name in enumerate(names):
            strange.loc[strange.index[row], name] = 99 if name == "count" else "unheard of"
        given = pd.concat([given, strange])
    kinds = {name: types.Int64TensorType if name == "count" else types.StringTensorType for name in names}
    teach_one_hot()
    model = extra("skl2onnx").to_onnx(encoder, initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()])
    feed = {name: given[[name]].to_numpy(np.int64 if name == "count" else object) for name in names}
    (encoded,) = InferenceSession(model.SerializeToString()).run(None, feed)
    wanted = encoder.transform(given)
    np.testing.assert_array_equal(encoded, wanted if options.get("sparse_output") is False else wanted.toarray())
