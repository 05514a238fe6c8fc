"""Train a model, pack it, and write live rows for it to score. Replace what is invented by yours."""

from datetime import date

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from pytest_modelgates import pack

FEATURES = {"momentum": "price", "value": "fundamental"}  # feature → group, in the order the model takes them


def invented_panel(start: str, days: int) -> pd.DataFrame:
    """Invent rows of 20 assets whose next return follows `momentum` a little."""
    rng = np.random.default_rng(0 if start < "2020" else 1)
    index = pd.MultiIndex.from_product([pd.bdate_range(start, periods=days), [f"A{i:02d}" for i in range(20)]])
    frame = index.to_frame(index=False, name=["time", "asset"])
    frame[list(FEATURES)] = rng.uniform(-0.5, 0.5, (len(frame), len(FEATURES))).astype(np.float32)
    # A position is entered a day after its score, so the signal must last that long.
    signal = frame.groupby("asset")["momentum"].shift(1).fillna(0)
    frame["ret_next"] = 0.01 * signal + 0.01 * rng.standard_normal(len(frame))
    frame["target"] = frame["ret_next"]
    return frame


if __name__ == "__main__":
    train, panel = invented_panel("2018-01-01", 500), invented_panel("2020-01-01", 500)
    lagged = train.groupby("asset")[list(FEATURES)].shift(1).fillna(0).to_numpy(np.float32)
    model = Ridge().fit(lagged, train["ret_next"])
    directory = pack(
        model,
        panel,
        features=FEATURES,
        horizon=1,
        trained_until=date(2019, 12, 31),
        changes="The packing example: a ridge regression on invented data.",
        tried=1,
    )
    live = invented_panel("2022-01-03", 60)
    live[["time", "asset", *FEATURES]].to_csv(directory.parents[1] / "live_data.csv", index=False)
    print(directory)
