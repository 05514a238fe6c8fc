"""Prices, features, label and the split in time of the example. No model and no gate in here."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DATA = Path(__file__).with_name("sp500_dataset.csv.gz")
DATA_SHA256 = "ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d"

GROUPS = {
    "momentum": ["mom_252_21", "mom_126_21"],
    "reversal": ["rev_1", "rev_5", "rev_21"],
    "volatility": ["vol_60", "vol_252", "max_21"],
}
FEATURES = [name for names in GROUPS.values() for name in names]

LAST_TRAINING_DAY = pd.Timestamp("1995-12-31")
LAST_PANEL_DAY = pd.Timestamp("2021-12-31")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One frame cut in time.

    Parameters
    ----------
    train, panel, live : DataFrame
        Rows to fit on, rows to gate on, and rows as a feed would bring them (features only).
    trained_until : Timestamp
        Date of the last price that any training label used.
    """

    train: pd.DataFrame
    panel: pd.DataFrame
    live: pd.DataFrame
    trained_until: pd.Timestamp


def load_prices() -> pd.DataFrame:
    """Read the daily adjusted closing prices.

    Returns
    -------
    DataFrame
        Prices [dollar], 8,313 days by 20 assets, without gaps.

    Raises
    ------
    ValueError
        If the file is not the one that the README describes.
    """
    packed = DATA.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != DATA_SHA256:
        raise ValueError(f"{DATA.name} has SHA-256 {found}, expected {DATA_SHA256}: restore the file")
    return pd.read_csv(io.BytesIO(packed), compression="gzip", index_col="Date", parse_dates=True)


def build(prices: pd.DataFrame, *, horizon: int) -> pd.DataFrame:
    """Compute one row per day and asset.

    Parameters
    ----------
    prices : DataFrame, shape (n_days, n_assets)
        Closing prices, one row a trading day in order, without gaps.
    horizon : int
        Days that a position is held [day].

    Returns
    -------
    DataFrame
        Sorted by time, then asset: ``time``, ``asset``, the `FEATURES` (float32, ranked among the assets of the day to
        (-1/2, 1/2)), ``target``, the return from close t+1 to close t+1+horizon (a score of day t is traded a day
        later), and ``ret_next``, the return from close t to close t+1. The two are NaN where the prices end.
        The first 252 days are missing, because their features would need earlier prices.
    """
    prices = prices.sort_index(axis="columns")
    daily = prices.pct_change()
    raw = {
        # The last month is left out of momentum, since it tends to reverse.
        "mom_252_21": prices.shift(21) / prices.shift(252),
        "mom_126_21": prices.shift(21) / prices.shift(126),
        "rev_1": -daily,
        "rev_5": -prices.pct_change(5),
        "rev_21": -prices.pct_change(21),
        "vol_60": daily.rolling(60).std(),
        "vol_252": daily.rolling(252).std(),
        "max_21": daily.rolling(21).max(),
    }
    entry = prices.shift(-1)
    columns = {name: centred_ranks(raw[name].to_numpy()).astype(np.float32) for name in FEATURES}
    columns["target"] = (prices.shift(-1 - horizon) / entry - 1).to_numpy()
    columns["ret_next"] = (entry / prices - 1).to_numpy()
    n_days, n_assets = prices.shape
    frame = pd.DataFrame(
        {
            "time": np.repeat(prices.index.to_numpy().astype("datetime64[us]"), n_assets),
            "asset": np.tile(prices.columns.to_numpy(dtype=object), n_days),
        }
        | {name: values.ravel() for name, values in columns.items()}
    ).astype({"asset": "str"})
    return frame[frame[FEATURES].notna().all(axis="columns")].reset_index(drop=True)


def centred_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank each row to (-1/2, 1/2).

    Parameters
    ----------
    values : ndarray of float, shape (n_days, n_assets)
        A row without NaN is ranked; a row with one becomes NaN.

    Returns
    -------
    ndarray of float, shape (n_days, n_assets)
        ``(rank - 1/2) / n_assets - 1/2``, ties averaged; every row sums to 0.
    """
    table = pd.DataFrame(values)
    ranks = (table.rank(axis="columns").to_numpy() - 0.5) / table.shape[1] - 0.5
    return np.where(table.notna().all(axis="columns").to_numpy()[:, None], ranks, np.nan)


def training_label(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Rank the target within each day to (-1/2, 1/2): what the models learn.

    Parameters
    ----------
    frame : DataFrame
        Rows with ``time`` and a complete ``target``.

    Returns
    -------
    ndarray of float, shape (n_rows,)
        ``(rank - 1/2) / n - 1/2`` among the n assets of the day, ties averaged.
    """
    days = frame.groupby("time")["target"]
    return np.asarray((days.rank() - 0.5) / days.transform("size") - 0.5, dtype=np.float64)


def split(frame: pd.DataFrame, *, horizon: int) -> Split:
    """Cut a frame of `build` in time: train to 1995, panel 1996 to 2021, live 2022.

    Parameters
    ----------
    frame : DataFrame
        What `build` returned for the same horizon.
    horizon : int
        Days that a position is held [day].

    Returns
    -------
    Split
        The last ``horizon + 2`` training days are purged, so no label reaches into the panel. The panel holds the
        rows whose ``target`` and ``ret_next`` are complete; those of its last days end in the first days of 2022.
    """
    days = np.sort(frame["time"].unique())
    last_fitted = int(np.searchsorted(days, LAST_TRAINING_DAY.to_datetime64(), side="right")) - 1 - (horizon + 2)
    later = frame[frame["time"] > LAST_TRAINING_DAY]
    panel = later[later["time"] <= LAST_PANEL_DAY].dropna(subset=["target", "ret_next"])
    live = later[later["time"] > LAST_PANEL_DAY].drop(columns=["target", "ret_next"])
    return Split(
        train=frame[frame["time"] <= days[last_fitted]].reset_index(drop=True),
        panel=panel.reset_index(drop=True),
        live=live.reset_index(drop=True),
        trained_until=pd.Timestamp(days[last_fitted + 1 + horizon]),
    )
