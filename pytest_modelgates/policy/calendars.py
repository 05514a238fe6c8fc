"""On which days exchanges trade, and until when: as `exchange_calendars` has it, which the extra `calendars` brings."""

import warnings
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache

from ..errors import PolicyError
from ..extras import extra
from ..storage.text import cut, first_line
from .misfits import did_you_mean

_KEY = "[watch.silence] calendar"


@lru_cache(4)  # the first one takes a third of a second, most of it to load the library
def closes(name: str, year: int) -> Mapping[date, datetime]:
    """Say when each session of an exchange closes, in a year and the one before it.

    Parameters
    ----------
    name : str
        Of the exchange: its code of ISO 10383, such as XNYS, or another name that the library knows.
    year : int

    Returns
    -------
    mapping of date to datetime
        By the session's own date; on other days the exchange does not trade.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    PolicyError
        If it knows no such exchange, or not the sessions of these years.
    """
    library = extra("exchange_calendars", "calendars")
    if name not in (known := library.get_calendar_names()):
        raise PolicyError(f"{_KEY}: {name!r} is no exchange of exchange_calendars; {did_you_mean(name, known)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of what a later pandas will do otherwise
            found = library.get_calendar(name, start=f"{year - 1}-01-01", end=f"{year}-12-31").closes
    except (ValueError, NotImplementedError) as error:  # of some it knows the sessions of a few years, or cannot tell
        raise PolicyError(
            f"{_KEY}: exchange_calendars {library.__version__} does not give the sessions of {name} to the end of "
            f"{year} ({cut(first_line(error))}); upgrade it, or list the days in holidays"
        ) from error
    return {session.date(): close.to_pydatetime() for session, close in found.items()}
