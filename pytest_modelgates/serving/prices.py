"""The prices that paper trades are made at: a table of a user's, read whole."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ..model.features import numeric_column
from ..model.tables import read_user_table
from ..predictions.outcomes import names_in
from ..storage.row_keys import in_utc
from ..storage.rows import Column
from ..storage.text import cut

PRICE, VOLUME = "price", "volume"


@dataclass(frozen=True, slots=True)
class Quotes:
    """The prices of one date by asset, and what the whole market traded of each, if the file says so [currency]."""

    prices: dict[str, float] = field(default_factory=dict)
    volumes: dict[str, float] | None = None


def read_prices(source: Path, time: str, asset: str) -> dict[date, Quotes]:
    """Read prices by UTC date and asset.

    Parameters
    ----------
    source : Path
        CSV or Parquet: the columns `time`, `asset` and ``price``, and perhaps ``volume``. It holds prices
        from which splits and dividends were taken out.
    time, asset : str
        The names of the columns, as the model has them.

    Raises
    ------
    FormatError
        If the file cannot be read, names a date and asset twice, or a number is not finite and above 0.
    """
    texts, numbers = (
        [Column(name, "text") for name in (time, asset)],
        [Column(name, "float64") for name in (PRICE, VOLUME)],
    )
    frame = read_user_table(source, texts + numbers)
    times, names = (names_in(frame, key, source) for key in (time, asset))
    columns = [PRICE, *([VOLUME] if VOLUME in frame else [])]
    values = {name: numeric_column(frame, name, source=str(source)).astype(np.float64) for name in columns}
    for name, column in values.items():
        if bad := np.flatnonzero(~(np.isfinite(column) & (column > 0))).tolist():
            raise FormatError(
                f"{source}, row {bad[0] + 1}: {name} is {column[bad[0]]:g}, expected a number above 0; leave a row out "
                "on a day without a market"
            )
    found: dict[date, Quotes] = {}
    for row, (text, name) in enumerate(zip(times, names, strict=True)):
        try:
            day = in_utc(text).date()
        except (ValueError, OverflowError) as error:
            raise FormatError(f"{source}, row {row + 1}: {cut(text)!r} is not a time of ISO 8601") from error
        quotes = found.setdefault(day, Quotes(volumes={} if VOLUME in values else None))
        if name in quotes.prices:
            raise FormatError(f"{source}: two prices of {cut(name)} on {day}; keep the one that is traded at")
        quotes.prices[name] = float(values[PRICE][row])
        if quotes.volumes is not None:
            quotes.volumes[name] = float(values[VOLUME][row])
    if not found:
        raise FormatError(f"{source}: a header and not a row")
    return found
