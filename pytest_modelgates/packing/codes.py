"""The texts of a panel's columns as numbers of their categories."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..errors import PackError
from ..storage.text import cut, listed

Categories = Mapping[str, Sequence[str]]


def codes(column: "pd.Series", names: Sequence[str]) -> "pd.Series":
    """Number the texts of a panel's column by their categories; one that is missing, or of none, is refused.

    A missing value stays missing: whether it may is for the feature to say.
    """
    known = {name: number for number, name in enumerate(names)}
    numbers = column.astype(object).map(lambda value: known.get(value, np.nan) if isinstance(value, str) else np.nan)
    strange = numbers.isna() & column.notna()
    if strange.any():
        first = column[strange].tolist()[0]
        raise PackError(
            f"the panel's {column.name!r} holds {cut(repr(first))}, which is not among its categories, "
            f"{listed(map(repr, names), most=8)}; declare it, or drop its rows"
        )
    return numbers.astype("float64")


def coded(features: pd.DataFrame, categories: Categories) -> pd.DataFrame:
    """Replace the texts of a frame by numbers."""
    return features.assign(**{name: codes(features[name], names) for name, names in categories.items()})
