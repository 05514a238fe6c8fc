"""Verbs that trade on paper: `paper`, `reconcile`."""

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GoneError, RefusedError
from ..storage.text import counted, listed
from .options import ARTIFACTS, JSON, POLICY, Verbs, argument, artifacts_of, looking, note, print_json

if TYPE_CHECKING:
    from ..artifacts import Artifacts
    from ..policy.policy import Policy
    from ..serving.paper_ledger import Day
    from ..stats.costs import Costs

SHOWN = 10  # days
ARM = argument("--arm", default="live", help="whose predictions are followed; default: live")


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "paper",
        paper,
        argument(
            "--prices",
            type=Path,
            required=True,
            metavar="FILE",
            help="CSV or Parquet: time and asset as the model names them, price, and volume if impact is charged",
        ),
        ARM,
        ARTIFACTS,
        POLICY,
    )
    verbs.add(
        "reconcile",
        reconcile,
        ARM,
        argument("--since", type=day, default=date.min, metavar="DAY", help="the first day that is compared"),
        ARTIFACTS,
        POLICY,
        JSON,
    )


def day(text: str) -> date:
    """Read a date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; give one such as 2026-01-31") from error


def paper(arguments: argparse.Namespace) -> int:
    """Trade on paper what live predictions ask for, at the prices of a file, and keep a ledger of it.

    Positions, costs and capital are those of the gates, and caps stand under [paper] of operations.toml. Days that the
    ledger has are left alone, so the file may grow, and a run that was cut short is continued.
    """
    from ..model.directory import LocalDirectory
    from ..predictions.records import checked_arm
    from ..registry.store import live_change
    from ..serving.paper import trade_on_paper
    from ..serving.prices import read_prices

    artifacts, arm = artifacts_of(arguments), checked_arm(arguments.arm)
    found = looking(artifacts, arguments)
    policy, operations = found.policy, found.operations
    live = live_change(artifacts).to
    with LocalDirectory(artifacts.model(live)) as model:
        sidecar = model.sidecar
    if sidecar.task != "signal" or not (sidecar.time and sidecar.asset):
        raise RefusedError(f"{live}: not a signal whose rows name a time and an asset, so nothing can be traded by it")
    prices = read_prices(arguments.prices, sidecar.time, sidecar.asset)

    def horizon_of(model_id: str) -> int:
        try:
            with LocalDirectory(artifacts.model(model_id)) as model:
                return model.sidecar.horizon
        except GoneError as error:
            raise RefusedError(
                f"{model_id} has predicted, and its directory is gone, so nobody knows for how many days to hold; put "
                f"{artifacts.model(model_id)} back"
            ) from error

    done = trade_on_paper(
        artifacts,
        arm,
        prices,
        horizon_of=horizon_of,
        costs=_costs(artifacts, policy, live),
        capital=policy.costs.capital,
        limits=operations.paper,
        lock_timeout_s=operations.registry.lock_timeout_s,
    )
    for day in done.days[-SHOWN:]:
        print(_line(day))
    for day in done.days:
        for told in _told(day, first=day is done.ledger.days[0]):
            note(f"{day.day}: {told}")
    if done.unpriced:
        note(f"no prices of {listed(done.unpriced)}, which have predictions: nothing follows them")
    if done.nameless:
        note(f"{counted(done.nameless, 'prediction')} of rows without a time and an asset: nothing follows them")
    if done.restated:
        note(f"{counted(done.restated, 'price')} of booked days are others now; what is booked stays")
    value, begun = done.ledger.days[-1].value_cents, done.ledger.opening.capital_cents
    print(
        f"{counted(len(done.days), 'day')} booked ({arm}), {len(done.ledger.days)} in all: value {_money(value)}, "
        f"{_money(value - begun, sign=True)} after costs; ledger: {artifacts.paper(arm)}"
    )
    return 0


def reconcile(arguments: argparse.Namespace) -> int:
    """Compare the ledger of `paper` with the gates' own simulation, by day and name; ends with 1 if they differ.

    It says which of three differs: the signal (the log now holds other predictions than were followed), the fill (a
    position or a return is not what the booked signals, caps and prices make, or not what the outcomes say), or the
    cost (the policy charges something else). What cannot be compared is inconclusive, and ends with 1 too.
    """
    from dataclasses import asdict

    from ..errors import InsufficientDataError, NoReference
    from ..monitoring.reconcile import CAUSES
    from ..monitoring.reconcile import reconcile as compared
    from ..predictions.records import checked_arm

    artifacts, arm = artifacts_of(arguments), checked_arm(arguments.arm)
    try:
        found = compared(artifacts, looking(artifacts, arguments).policy, arm, since=arguments.since)
    except (InsufficientDataError, NoReference) as error:
        raise RefusedError(f"inconclusive: {error}") from error
    if arguments.json:
        print_json(asdict(found) | {"causes": found.causes})
        return 1 if found.causes else 0
    print(
        f"paper ({arm}): {counted(found.days, 'day')}, {found.first_day} to {found.last_day}, {found.names} positions "
        "compared"
    )
    for cause in CAUSES:
        differing = found.of(cause)
        print(f"  {cause}: {f'{len(differing)} differ' if differing else 'agrees'}")
        for each in differing[:SHOWN]:
            print(f"    {each}")
    print(f"  returns: {found.outcomes} known by outcomes, the others by the booked prices alone")
    print(f"  after costs: booked {found.booked:+.4%} of capital, simulated {found.simulated:+.4%}")
    if found.cuts:
        print(f"  caps cut {counted(found.cuts, 'day')}")
    print(f"differs: {', '.join(found.causes)}" if found.causes else "agrees")
    return 1 if found.causes else 0


def _costs(artifacts: "Artifacts", policy: "Policy", live: str) -> "Costs":
    """Take the costs of the policy; only what is charged by the year needs to know how many periods it has."""
    from ..model.candidate import Candidate
    from ..stats.days import DAYS_PER_YEAR, periods_per_year

    year: float = DAYS_PER_YEAR
    if policy.costs.borrow_bps_per_year:
        year = periods_per_year(Candidate(artifacts.model(live)).panel.days)
    return policy.costs.charged(days_per_year=year)


def _line(day: "Day") -> str:
    traded = sum(abs(each.trade_cents) for each in day.names)
    return (
        f"{day.day}  traded {_money(traded)}, earned {_money(day.gross_cents, sign=True)}, paid "
        f"{_money(day.cost_cents)}, value {_money(day.value_cents)}"
    )


def _told(day: "Day", *, first: bool) -> list[str]:
    told = [] if first or day.model_id else ["nothing was predicted for the day before, so no position is taken by it"]
    told += [f"the cap of {cut}" for cut in day.cuts]
    if closed := [each.asset for each in day.names if not each.priced and each.trade_cents]:
        told.append(f"no price of {listed(closed)}: closed at the last one")
    return told


def _money(cents: int, *, sign: bool = False) -> str:
    """Write an amount to the cent, without a float in between."""
    mark = "-" if cents < 0 else "+" if sign else ""
    return f"{mark}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"
