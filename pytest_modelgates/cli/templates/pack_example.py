"""Train a model, pack it, and write live rows for it to score. Replace what is invented by yours."""

from datetime import date

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from pytest_modelgates import pack

FEATURES = {"momentum": "price", "value": "fundamental"}  # feature → group, in the order the model takes them
ASSETS = 20


def invented_history(days: int) -> pd.DataFrame:
    """Invent rows up to today whose `momentum` says a little (an IC of 0.05) about the target."""
    rng = np.random.default_rng(1)
    features, luck = rng.standard_normal((days + 1, ASSETS, 2)), rng.standard_normal((days + 1, ASSETS))
    for day in range(1, days + 1):
        features[day] = 0.5 * features[day - 1] + np.sqrt(0.75) * features[day]
    returns = 0.01 * luck
    returns[1:] += 0.01 * 0.05 * features[:-1, :, 0]
    times = pd.bdate_range(end=date.today(), periods=days)
    frame = pd.MultiIndex.from_product([times, [f"A{i:02d}" for i in range(ASSETS)]], names=["time", "asset"])
    frame = frame.to_frame(index=False)
    frame[list(FEATURES)] = features[:-1].reshape(len(frame), 2).astype(np.float32)
    # A score is known at the close, and its position is entered a day later: the target is the return from then on.
    frame["ret_next"], frame["target"] = returns[:-1].ravel(), returns[1:].ravel()
    return frame


if __name__ == "__main__":
    history = invented_history(1255)
    time, days = history["time"], history["time"].unique()
    train, live = history[time < days[485]], history[time > days[-21]]
    # The last training label is known two closes later. The panel starts after that.
    known = days[486]
    panel = history[(time > known) & (time <= days[-21])]
    directory = pack(
        Ridge().fit(train[list(FEATURES)].to_numpy(), train["target"]),
        panel,
        features=FEATURES,
        horizon=1,
        trained_until=known.date(),
        changes="The packing example: a ridge regression on invented data.",
        tried=1,
    )
    live[["time", "asset", *FEATURES]].to_csv(directory.parents[1] / "live_data.csv", index=False)
    print(directory)
