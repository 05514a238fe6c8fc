"""What the page of business draws: the ledger on paper, what following the live model came to, and the A/B test."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import accumulate, groupby, pairwise

from ..artifacts import Artifacts
from ..audit.ab import ARM as AB
from ..audit.ab import Ended, ended, read_plan
from ..model.directory import LocalDirectory
from ..policy.limits import short
from ..predictions.parts import Part, parts
from ..predictions.reading import closing_on_disk
from ..registry.in_force import InForce
from ..registry.store import live_change
from ..serving.paper_ledger import read_ledger
from ..storage.paths import entries, is_there
from .charts import Chart, line

# What is read: rows of the newest days of the log, and bytes of outcomes and of the ledger on paper.
_MOST_ROWS, _MOST_BYTES = 20_000, 16 * 2**20
_ROW = 200  # bytes of a line of a part that is still open

Facts = list[tuple[str, str]]
Returns = dict[str, float]
"""What the positions of each day have earned after costs [share of capital]."""


def paper(artifacts: Artifacts, charts: list[Chart], facts: Facts) -> Returns:
    """Draw what the ledger says, if there is one: what was really followed, caps and missing prices included."""
    from ..stats.risk import drawdowns

    place = artifacts.paper("live")
    if (size := place.stat().st_size if is_there(place) else 0) > _MOST_BYTES:
        facts.append(("on paper", f"not read: a ledger of {size / 2**20:.0f} MB; see: modelgates reconcile"))
        return {}
    ledger = read_ledger(place)
    if ledger is None or not ledger.days:
        return {}
    capital, days = ledger.opening.capital_cents, [str(each.day) for each in ledger.days]
    earned = [(each.value_cents - capital) / capital for each in ledger.days]
    fallen = drawdowns([each.net_cents / capital for each in ledger.days])
    traded = [sum(abs(name.trade_cents) for name in each.names) / capital for each in ledger.days]
    held = [[name.position_cents for name in each.names] for each in ledger.days]
    facts += [("days on paper", str(len(days))), ("earned on paper after costs", f"{earned[-1]:.2%} of capital")]
    charts += [
        line(
            "Return on paper",
            "What the ledger of the live arm has earned after costs since its beginning, as a share of capital.",
            days,
            {"share of capital": earned},
        ),
        line(
            "Exposure on paper",
            "The sizes of all positions after the trades of each day, and long less short, as shares of capital.",
            days,
            {
                "gross": [sum(map(abs, cents)) / capital for cents in held],
                "net": [sum(cents) / capital for cents in held],
            },
        ),
        line(
            "Drawdown on paper",
            "How far capital lies below its highest so far, after costs, with returns reinvested.",
            days,
            {"share of capital": (-fallen).tolist()},
        ),
        line(
            "Turnover on paper",
            "The sizes of all trades of each day, as a share of capital.",
            days,
            {"share of capital": traded},
        ),
    ]
    # A day of the ledger has what the positions of the day before have earned; one of the gates has what its own will.
    return {str(each.day): (after.gross_cents - each.cost_cents) / capital for each, after in pairwise(ledger.days)}


def realised(artifacts: Artifacts, in_force: InForce, charts: list[Chart], facts: Facts) -> Returns:
    """Draw what following the live model has come to, by the newest days that can be read while somebody waits."""
    import numpy as np

    from ..monitoring.realised import followed
    from ..predictions.counting import Window
    from ..stats.risk import drawdowns

    live = live_change(artifacts)
    since = _readable(parts(artifacts, "live"))
    too_many = _too_many_outcomes(artifacts)
    if since is None or too_many:
        what = too_many or "the log: a day of it has too many rows"
        facts.append(("not read", f"{what}; see: modelgates outcomes realised"))
        return {}
    with LocalDirectory(artifacts.model(live.to)) as model:
        sidecar = model.sidecar
    window = Window(
        digest=live.digest, since=datetime(since.year, since.month, since.day, tzinfo=UTC) if since > date.min else None
    )
    found = followed(artifacts, in_force.policy, sidecar, live.to, "live", window)
    said, holdings = found.realised, found.holdings
    facts += [("model", live.to), ("rows with an outcome", str(said.rows)), ("rows that wait", str(said.waiting))]
    if window.since:
        facts.append(("of rows scored since", f"{since}; of all: modelgates outcomes realised"))
    if said.metric:
        facts.append((said.metric[0], short(said.metric[1])))
    if holdings is None or said.traded is None:
        return {}
    days, ic = [str(day) for day in found.dates], said.traded.ic
    facts += [("days", str(said.days)), ("earned after costs", f"{said.traded.earned:.2%} of capital")]
    if pnl := said.traded.pnl:
        facts += [
            ("Sharpe ratio", f"{pnl.sharpe:.2f} a year"),
            ("turnover", f"{pnl.mean_turnover:.2f} of capital a day"),
        ]
    charts += [
        line(
            "IC by day",
            f"The live model's IC of each day before costs; its mean is {ic.value:.4f}.",
            days,
            {"IC": holdings.ic.tolist()},
            band=("where the mean lies, with 90 % confidence", *ic.interval) if ic.interval else None,
        ),
        line(
            "Cumulative return",
            "Sum of the daily returns that following the live model would have earned, as a share of capital.",
            days,
            {"before costs": np.cumsum(holdings.gross).tolist(), "after costs": np.cumsum(holdings.net).tolist()},
        ),
        line(
            "Drawdown",
            "How far capital lies below its highest so far, after costs, with returns reinvested.",
            days,
            {"share of capital": (-drawdowns(holdings.net)).tolist()},
        ),
        line(
            "Turnover",
            "The sum of the changes of all weights, as a share of capital a day.",
            days,
            {"share of capital": holdings.turnover.tolist()},
        ),
    ]
    return dict(zip(days, holdings.net.tolist(), strict=True))


def ab_test(artifacts: Artifacts, charts: list[Chart], facts: Facts) -> None:
    """Draw what the A/B test that runs, or the last one, has come to."""
    from ..monitoring.ab import ab_by_day
    from ..stats.arms import as_it_grew

    test = read_plan(artifacts) or next(iter(ended(artifacts)), None)
    if test is None:
        return
    began = (test.plan if isinstance(test, Ended) else test).started.date()
    if sum(_rows(part) for arm in ("live", AB) for part in parts(artifacts, arm) if part.day >= began) > _MOST_ROWS:
        facts.append(("A/B test", f"not read: its log has more than {_MOST_ROWS} rows; see: modelgates ab status"))
        return
    if too_many := _too_many_outcomes(artifacts):
        facts.append(("A/B test", f"not read: {too_many}; see: modelgates ab status"))
        return
    known = ab_by_day(artifacts, test)
    found, plan = known.found, known.found.plan
    facts += [
        ("A/B test", f"{plan}; {found.state}{f': {found.why}' if found.why else ''}"),
        ("A/B rows", f"{found.live.rows} live, {found.candidate.rows} of the candidate"),
        ("A/B verdict", found.not_told or f"the candidate is {found.verdict} by its IC"),
        ("A/B trades", "on its days, turnover and costs of the live model include the trades that the split makes"),
    ]
    if not known.arms:
        return
    live, candidate = known.arms
    for name, unit, ours, theirs in (
        ("IC", "IC a day", live.ic, candidate.ic),
        ("return", "share of gross exposure a day, before costs", live.earned, candidate.earned),
    ):
        grown = as_it_grew(ours, theirs, held=known.held)
        if grown:
            charts.append(
                line(
                    f"A/B test: difference of {name}",
                    f"The candidate less the live model [{unit}], over all days so far, and where that lies with 95 % "
                    "at all times at once; above 0 the candidate is better.",
                    [str(known.dates[day]) for day, _ in grown],
                    {
                        "mean": [each.mean for _, each in grown],
                        "lower": [each.lower for _, each in grown],
                        "upper": [each.upper for _, each in grown],
                    },
                )
            )


def against(on_paper: Returns, live: Returns) -> list[Chart]:
    """Draw the ledger on paper beside what following the live model came to, over the days that both know."""
    days = sorted(on_paper.keys() & live.keys())
    if len(days) < 2:
        return []
    both = {"on paper": on_paper, "live": live}
    return [
        line(
            "Paper against live",
            "Sum of the daily returns after costs, over the days that both know: of the ledger on paper, with its caps "
            "and prices, and of following the live model by the outcomes that were added.",
            days,
            {name: [*accumulate(returns[day] for day in days)] for name, returns in both.items()},
        )
    ]


def _too_many_outcomes(artifacts: Artifacts) -> str | None:
    """Say how many outcomes there are, if they are too many to be read while somebody waits."""
    size = sum(path.stat().st_size for path in entries(artifacts.outcomes, "*.jsonl"))
    return f"{size / 2**20:.0f} MB of outcomes" if size > _MOST_BYTES else None


def _readable(found: Sequence[Part]) -> date | None:
    """Choose the day from which on the rows of a log are few enough to be read; None if there is none."""
    total, days = 0, list[date]()
    for day, of_day in groupby(reversed(found), key=lambda part: part.day):
        total += sum(_rows(part) for part in of_day)
        if total > _MOST_ROWS:
            # The day before the first is read as well, since a batch may end after its midnight.
            return days[-2] if len(days) > 1 else None
        days.append(day)
    return date.min


def _rows(part: Part) -> int:
    """How many rows a part has, by its last line; about how many if it is open."""
    closing = closing_on_disk(part)
    return closing.closed if closing else part.path.stat().st_size // _ROW
