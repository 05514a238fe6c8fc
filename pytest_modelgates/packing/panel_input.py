"""The panel as a user gives it, checked and cast to the schema."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import PackError
from ..model.features import are_numbers
from ..model.panel_checks import years_beyond
from ..model.sidecar import BASELINE, REFERENCE, RET_NEXT, Sidecar
from ..model.tables import read_user_table
from ..model.window import rows_digest
from ..storage.rows import Column, is_time
from ..storage.text import cut, first_line, listed, printable
from .codes import coded

MEANINGS = {
    RET_NEXT: "the return from each day's close to the next, as a share",
    BASELINE: "what the baseline predicts of each row, such as the training mean or the model in use",
    REFERENCE: "the native model's score, which a ready ONNX model needs",
}
# A column of more texts than this is hardly one of categories [count].
MOST_TEXTS = 12


def checked_panel(panel: pd.DataFrame, sidecar: Sidecar, *, needs_reference: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check a user's panel, cast it to the schema and sort it by time and asset.

    Returns
    -------
    DataFrame
        The panel as it is packed.
    DataFrame
        The features of the same rows as they were given, before the cast.
    """
    wanted = [name for name in sidecar.panel_columns if name != REFERENCE or needs_reference]
    missing = [name for name in wanted if name not in panel]
    if missing:
        hint = "".join(f"; {name!r} is {what}" for name, what in MEANINGS.items() if name in missing)
        named = {"time": sidecar.time, "asset": sidecar.asset, "target": sidecar.target}
        if keywords := [f"{keyword}=" for keyword, name in named.items() if name in missing]:
            hint += f"; say what yours is called, with {' and '.join(keywords)}"
        raise PackError(
            f"the panel has no column {listed(map(repr, missing))}; it holds {listed(panel, most=20)}{hint}"
        )
    if panel.empty:
        raise PackError("the panel has no rows; give out-of-sample rows to measure the model on")
    frame = panel[wanted].reset_index(drop=True)
    if not frame.columns.is_unique:
        twice = listed(map(repr, frame.columns[frame.columns.duplicated()]))
        raise PackError(f"the panel has two columns {twice}; keep one")
    for name in sidecar.keys:
        if count := int((frame[name].isna() | (frame[name] == "")).sum()):
            raise PackError(f"the panel's {name!r} is missing in {count} rows; drop them")
    dtypes = {feature.name: feature.dtype for feature in sidecar.features}
    dtypes |= {name: "float64" for name in wanted if name in sidecar.outcomes}
    given = frame[sidecar.names]
    frame = coded(frame, sidecar.categories)
    for feature in sidecar.features:
        if feature.categories and feature.dtype == "int64" and (count := int(frame[feature.name].isna().sum())):
            raise PackError(
                f"the panel's {feature.name!r} is missing in {count} rows; call what is missing a category of its own, "
                "or drop these rows"
            )
    for name, dtype in dtypes.items():
        frame[name] = _cast(frame[name], dtype, feature=name in sidecar.names)
    if sidecar.time is not None:
        frame[sidecar.time] = _dates(frame[sidecar.time])
    if sidecar.asset is not None:
        # Logs and live feeds write text; categories or a mix of kinds would sort in another order.
        frame[sidecar.asset] = frame[sidecar.asset].astype(str)
    if sidecar.task == "classification" and not frame[sidecar.target].isin([0, 1]).all():
        raise PackError(
            f"the panel's {sidecar.target!r} holds more than 0 and 1; give 1 where the class was met, else 0"
        )
    _refuse_what_no_gate_passes(frame, sidecar)
    if sidecar.keys:
        frame = frame.sort_values(sidecar.keys, kind="stable")
        given = given.loc[frame.index]
    return frame.reset_index(drop=True), given.reset_index(drop=True)


def _refuse_what_no_gate_passes(frame: pd.DataFrame, sidecar: Sidecar) -> None:
    """Refuse missing outcomes, and, for a signal, two rows of a day and asset: its positions could not be laid out."""
    for name in (name for name in sidecar.outcomes if name in frame and name != REFERENCE):
        bad = ~np.isfinite(frame[name].to_numpy())
        if bad.any():
            last = f"; of the last {sidecar.horizon + 1} days no target is known yet" if sidecar.horizon else ""
            raise PackError(
                f"the panel's {name!r} is missing or infinite in {bad.sum()} rows, such as "
                f"{_row(frame, sidecar, int(bad.argmax()))}; drop these rows{last}"
            )
    if sidecar.task == "signal":
        _refuse_repeated(frame, str(sidecar.time), str(sidecar.asset), "the panel")


def _refuse_repeated(frame: pd.DataFrame, time: str, asset: str, source: object) -> None:
    days = pd.DataFrame({time: frame[time].dt.normalize(), asset: frame[asset]})
    again = days.duplicated().to_numpy()
    if again.any():
        first = days.iloc[int(again.argmax())]
        raise PackError(
            f"{source} has {again.sum()} rows of a day and asset that has one already, such as "
            f"{first[time]:%Y-%m-%d} {printable(first[asset])}; keep one row per day and asset"
        )


def _row(frame: pd.DataFrame, sidecar: Sidecar, row: int) -> str:
    """Name a row by its keys, or by its number."""
    if not sidecar.keys:
        return f"row {row + 1}"
    first = frame.iloc[row]
    texts = [f"{first[key]:%Y-%m-%d}" if key == sidecar.time else str(first[key]) for key in sidecar.keys]
    return printable(" ".join(texts))


def kept_panel(path: Path, *, time: str, asset: str) -> tuple[str, str]:
    """Digest the rows of a panel that a desk keeps, so that its policy can admit that panel alone.

    Parameters
    ----------
    path : Path
        Parquet or CSV with these two columns and `ret_next`; others do not matter.
    time, asset : str
        The columns of times and of assets.

    Returns
    -------
    str
        The digest that the gate `data.window` compares, see `rows_digest`.
    str
        The rows in words.
    """
    columns = [Column(time, "time"), Column(asset, "text"), Column(RET_NEXT, "float64", nullable=True)]
    frame = read_user_table(path, columns)
    if missing := [column.name for column in columns if column.name not in frame]:
        raise PackError(
            f"{path}: no column {listed(map(repr, missing))}; it holds {listed(frame, most=20)}; "
            + _how_to_name(missing)
        )
    for column in columns:
        if count := int((frame[column.name].isna() | (frame[column.name] == "")).sum()):
            raise PackError(f"{path}: {column.name!r} is missing in {count} rows; drop them")
    if frame.empty:
        raise PackError(f"{path}: no rows; give those that models are to be judged by")
    times, names = _dates(frame[time]), frame[asset].astype(str)
    _refuse_repeated(pd.DataFrame({time: times, asset: names}), time, asset, path)
    digest = rows_digest(times.to_numpy(), names.tolist(), np.asarray(_cast(frame[RET_NEXT], "float64")))
    return digest, f"{len(frame)} rows of {names.nunique()} assets, {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"


def _how_to_name(missing: list[str]) -> str:
    hints = ["rename the column of the next day's returns to ret_next"] if RET_NEXT in missing else []
    if set(missing) - {RET_NEXT}:
        hints.append("name the columns of times and assets with --time and --asset")
    return ", and ".join(hints)


def matrix(features: pd.DataFrame) -> NDArray[np.floating[Any]]:
    """Lay features out as a model without names takes them: in float32 if that loses nothing of their dtypes."""
    columns = [column if are_numbers(column.dtype) else _cast(column, "float64") for _, column in features.items()]
    wide = np.result_type(np.float32, *(column.dtype for column in columns))
    dtype = np.float32 if wide == np.float32 else np.float64
    return np.column_stack([column.to_numpy(dtype) for column in columns])


def _cast(column: Any, dtype: str, *, feature: bool = False) -> Any:
    # Python reads more numbers out of text than tables may hold: 1_000, nan, digits of any script.
    others = () if are_numbers(column.dtype) else column
    if (text := next((value for value in others if isinstance(value, str | bytes)), None)) is not None:
        texts = sorted({value for value in column if isinstance(value, str)})
        # Numbers that are written as text are to be read as numbers.
        few = feature and 0 < len(texts) <= MOST_TEXTS and all(text[:1].isalpha() and text != "nan" for text in texts)
        declare = f", or declare its texts: categories={{{column.name!r}: {texts}}}" if few else ""
        raise PackError(f"the panel's {column.name!r} holds text, such as {cut(repr(text))}; give numbers{declare}")
    try:
        with np.errstate(over="ignore"), warnings.catch_warnings():
            # A value too large for float32 becomes an infinity, which gates refuse.
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            cast = column.astype(dtype)
    except (ValueError, TypeError, np.exceptions.ComplexWarning) as error:
        raise PackError(f"the panel's {column.name!r} cannot be {dtype} ({first_line(error)})") from error
    if not dtype.startswith("float") and (changed := int((cast != column).sum())):
        raise PackError(f"the panel's {column.name!r} holds {changed} values that {dtype} cannot hold; fix them")
    return cast


def _dates(column: Any) -> Any:
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise PackError(f"the panel's {column.name!r} is {column.dtype}; give dates")
    for text in {value for value in column.tolist() if isinstance(value, str)}:
        if not is_time(text):  # pandas takes words, such as "now", and a year for its first day
            raise PackError(f"the panel's {column.name!r} does not hold ISO dates ({text!r})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # pandas 2 only warns of two time zones
            dates = pd.to_datetime(column, format="ISO8601")  # 01/02/2020 may be either of two days
    except (ValueError, TypeError, FutureWarning) as error:
        raise PackError(f"the panel's {column.name!r} does not hold ISO dates ({first_line(error)})") from error
    if not pd.api.types.is_datetime64_dtype(dates.dtype):
        raise PackError(
            f"the panel's {column.name!r} is {dates.dtype}; give local dates without a time zone: .dt.tz_localize(None)"
        )
    if beyond := years_beyond(dates.to_numpy()):
        raise PackError(f"the panel's {column.name!r} {beyond}")
    return dates
