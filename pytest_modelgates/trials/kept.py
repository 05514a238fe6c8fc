"""What is kept of a trial: the market data it was judged by, and what it earned before costs, day by day.

Costs are charged when a gate reads it, so that all trials bear those of the policy in force.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, IntegrityError, ModelgatesError, UnreadableError
from ..model.directory import MODEL, PANEL, ModelDirectory
from ..model.panel import Panel
from ..model.sidecar import RET_NEXT
from ..stats.costs import Costs, cost_of, sold_short
from ..stats.families import Hashes, market_hashes
from ..stats.holdings import per_scale, simulate
from ..storage.digests import sha256
from ..storage.text import first_line

# Of each day: what was earned, what costs are charged on (see `cost_of`, for a capital of 1), and the scale of the IC.
NUMBERS = ("gross", "turnover", "short", "impact", "scale")
ROW = np.dtype([("day", "<M8[D]"), *((name, "<f8") for name in NUMBERS)])
# The field's name says which hashes they are: with other ones, a file would be of no data that there is.
HASHES = np.dtype([("market", "<u8")])
ALL_IMPACT = Costs(impact_bps=1e4)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is kept of a trial.

    Parameters
    ----------
    rows : ndarray of ROW, shape (n_days,)
        None of a trial whose positions could not be followed.
    market : ndarray of uint64, shape (n_hashes,)
        The hashes of its market data.
    """

    rows: NDArray[np.void]
    market: Hashes

    def after(self, costs: Costs, capital: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Charge costs: net return [share of capital a day] and IC after costs, each of shape (n_days,).

        They are NaN where impact is charged and no volume is known.
        """
        rows = self.rows
        impact = rows["impact"] * np.sqrt(capital)
        net = rows["gross"] - cost_of(turnover=rows["turnover"], short=rows["short"], impact=impact, costs=costs)
        return net, per_scale(net, rows["scale"])

    def encoded(self) -> bytes:
        """Write it as a file of NumPy's own format, which `numpy.load` reads: the rows, and after them the hashes."""
        file = io.BytesIO()
        for array in (self.rows, np.ascontiguousarray(self.market).view(HASHES)):
            np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
        return file.getvalue()

    @classmethod
    def decoded(cls, content: bytes, place: str) -> "Kept":
        """Read what `encoded` wrote.

        Raises
        ------
        FormatError
            If it is anything else.
        """
        file = io.BytesIO(content)
        try:
            rows, market = (np.lib.format.read_array(file, allow_pickle=False) for _ in range(2))
        except (ValueError, EOFError, SyntaxError, TypeError) as error:
            raise FormatError(f"{place}: not what is kept of a trial ({first_line(error)})") from error
        if (rows.dtype, market.dtype, rows.ndim, market.ndim) != (ROW, HASHES, 1, 1) or file.read(1):
            raise FormatError(f"{place}: not what is kept of a trial ({rows.dtype}, {market.dtype})")
        return cls(rows, market.view(np.uint64))


def trial_id(*, model: str, panel: str, horizon: int) -> str:
    """Name a trial by the SHA-256 of `model.onnx` and of the panel; held for other days, a model is another trial."""
    return sha256(f"modelgates trial {model} {panel} {horizon}".encode())


def trial_of(model: ModelDirectory) -> str | None:
    """Name the trial that a model is; None of one that is not a signal.

    Raises
    ------
    FormatError, IntegrityError, GoneError
        If the directory cannot be read.
    """
    sidecar, files = model.sidecar, model.manifest.files
    if sidecar.task != "signal" or not {MODEL, PANEL} <= files.keys():
        return None
    return trial_id(model=files[MODEL].sha256, panel=files[PANEL].sha256, horizon=sidecar.horizon)


def kept_of(panel: Panel) -> Kept:
    """Follow the native scores on the panel; nothing about a panel is refused here, for the gates judge it."""
    try:
        rows = _followed(panel)
    except (UnreadableError, IntegrityError):  # nobody knows what it holds
        raise
    except ModelgatesError:
        rows = np.empty(0, dtype=ROW)
    return Kept(rows, market_of(panel))


def market_of(panel: Panel) -> Hashes:
    """Hash a panel's market data; none if it cannot be told."""
    try:
        returns = np.asarray(panel.numbers(RET_NEXT), dtype=np.float64)
        return market_hashes(panel.times, panel.asset_codes, returns)
    except (UnreadableError, IntegrityError):
        raise
    except ModelgatesError:
        return np.empty(0, dtype=np.uint64)


def _followed(panel: Panel) -> NDArray[np.void]:
    scores, horizon = panel.by_day(panel.native_scores), panel.sidecar.horizon
    held = simulate(scores, panel.returns, horizon=horizon, cost_bps=0)
    numbers: dict[str, Any] = {
        "gross": held.gross,
        "turnover": held.turnover,
        "short": sold_short(held.weights),
        "impact": _impact(panel, scores),
        "scale": held.scale,
    }
    rows = np.zeros(len(held.gross), dtype=ROW)
    rows["day"] = panel.days.to_numpy()[held.first :].astype("datetime64[D]")
    for name, values in numbers.items():
        rows[name] = values
    return rows


def _impact(panel: Panel, scores: NDArray[np.float64]) -> NDArray[np.float64] | float:
    try:
        if panel.volume is not None:
            held = simulate(
                scores, panel.returns, horizon=panel.sidecar.horizon, cost_bps=ALL_IMPACT, volume=panel.volume
            )
            return held.cost
    except ModelgatesError:  # it traded where no volume is known
        pass
    return np.nan
