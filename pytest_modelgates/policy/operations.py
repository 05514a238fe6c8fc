"""What operates and judges nothing: `operations.toml` beside the policy, over the packaged one.

Its digest is in no report, so that another lock timeout or limit of memory voids none.
"""

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal

import msgspec

from ..mlflow_client import address_of
from ..storage.digests import sha256
from ..storage.strict_json import canonical
from ..storage.toml_positions import Keys
from .limits import NonNegative, Share
from .toml import checked, over, packaged, read_toml

NAME = "operations.toml"


class LockRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the registry's lock is taken."""

    lock_timeout_s: NonNegative
    network_file_system: bool


class HermeticLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process that runs the gates may use."""

    memory_gib: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    minutes: Annotated[float, msgspec.Meta(gt=0, le=1e5)]


class LogRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the prediction log is written.

    `part_mb` is the size at which a part is closed [10^6 bytes], `features` the share of rows whose features are kept.
    `hash_keys` keeps a digest of a row's key in place of the key.
    """

    part_mb: Annotated[float, msgspec.Meta(gt=0, le=1e5)]
    features: Share
    hash_keys: bool


class DriftRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How drift is watched over time: at most one false alarm in so many days is promised [days]."""

    days_per_false_alarm: Annotated[float, msgspec.Meta(ge=1, le=1e5)]


class TripRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stops an arm by itself, over the last `window_s` seconds [s] and from `min_rows` rows on [count].

    `rejected` and `failed` are the largest shares of rows that are refused before the model, and that it gives no
    finite score. `latency_ms` is what one batch in twenty may take longer than [ms], `rows_per_s` the largest rate.
    """

    window_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    min_rows: Annotated[int, msgspec.Meta(ge=1)]
    rejected: Share
    failed: Share
    latency_ms: NonNegative
    rows_per_s: NonNegative


class PaperLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the paper broker may hold and trade [share of capital].

    `weight` bounds a name, `gross` and `net` the exposure, each in size, `turnover` what is traded on a day.
    """

    weight: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    gross: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    net: Annotated[float, msgspec.Meta(ge=0, le=1e15)]
    turnover: Annotated[float, msgspec.Meta(gt=0, le=1e15)]


class ServingLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is taken by whatever serves.

    `reorder` says whether a CSV file may have its columns in another order. The others bound a request over HTTP:
    `max_body_mb` is its size [10^6 bytes], `timeout_s` how long it may take from its first byte to the last of the
    reply [s], `connections` how many there may be, `drain_s` how long the last ones may take at the end [s].
    """

    reorder: bool
    max_body_mb: Annotated[float, msgspec.Meta(gt=0, le=1e4)]
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=1e5)]
    connections: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    drain_s: Annotated[float, msgspec.Meta(ge=1, le=1e5)]


class RetentionRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `modelgates nightly` keeps.

    `models` is how many of those that could be deleted stay, and of each model's earlier goldens [count]; `report_days`
    and `prediction_days` are the ages beyond which reports and closed parts of the prediction log go [days].
    """

    models: Annotated[int, msgspec.Meta(ge=0)]
    report_days: Annotated[float, msgspec.Meta(ge=1, le=1e5)]
    prediction_days: Annotated[float, msgspec.Meta(ge=1, le=1e5)]


class BucketRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bucket that a registry shares with others.

    `url` is empty where there is none. `timeout_s` bounds a call about a record, `file_timeout_s` one about a file [s].
    """

    url: str = ""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    file_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=1e5)]


AlertKind = Literal["breach", "refusal", "promotion", "rollback", "kill", "trip"]


class AlertRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where alerts of some kinds, or of all, go: a service, by its URL for Apprise, or an Alertmanager, by its address.

    `$NAME` inside either stands for a variable of the environment. Neither is ever printed: it may hold a secret.
    """

    url: str | None = None
    alertmanager: str | None = None
    kinds: tuple[AlertKind, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be a route, in words that do not repeat it."""
        if (self.url is None) == (self.alertmanager is None):
            raise ValueError("expected one of url and alertmanager")
        if not Template(self.address).is_valid():
            raise ValueError("a $ before no name of a variable; write $NAME, or $$ for the character")
        if self.url is not None and not self.url.startswith("$") and not self.url.partition("://")[1]:
            raise ValueError("url is not an address; write one such as json://host/path, or $NAME")
        if self.alertmanager is not None and not self.alertmanager.startswith(("$", "http://", "https://")):
            raise ValueError("alertmanager is not an address; write one such as http://127.0.0.1:9093, or $NAME")

    @property
    def address(self) -> str:
        """The address as it stands in the file; a secret, perhaps."""
        return self.url or self.alertmanager or ""

    def takes(self, kind: AlertKind) -> bool:
        """Whether alerts of a kind go there."""
        return not self.kinds or kind in self.kinds

    @property
    def service(self) -> str:
        """What may be said of it: `alertmanager`, or the scheme of its URL."""
        if self.alertmanager is not None:
            return "alertmanager"
        scheme = self.address.partition("://")[0]
        return scheme if scheme.isascii() and scheme.isalnum() else "url"


class AlertRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where alerts go and how long that may take; without a route nothing is sent.

    `timeout_s` is what a command may take for its alerts, all routes together [s]; `per_hour` how many messages a route
    takes at most [1/h], but for critical alerts; `give_up_h` the age at which an alert is given up [h].
    """

    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)]
    per_hour: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    give_up_h: Annotated[float, msgspec.Meta(gt=0, le=1e4)]
    route: tuple[AlertRoute, ...] = ()


class MlflowRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The MLflow server that models come from and that is told what is live; without `tracking_uri`, none.

    `alias` is set on the version that is live, by nobody else. `timeout_s` is what a command may take to tell it [s].
    """

    tracking_uri: str | None = None
    alias: Annotated[str, msgspec.Meta(pattern=r"^(?!latest\Z|v[0-9]+\Z)[a-zA-Z0-9_-]{1,64}\Z")]
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=600)]

    def __post_init__(self) -> None:
        """Refuse what is not the address of a server, in words that do not repeat it."""
        if self.tracking_uri is not None:
            address_of(self.tracking_uri)

    @property
    def address(self) -> str | None:
        """The address of the server, as it is kept."""
        return None if self.tracking_uri is None else address_of(self.tracking_uri)


Mode = Literal["warn", "dry_run", "act"]


class ModeRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a trigger of the watch speaks, and what follows.

    `mode` says whether a breach is a warning, is reported with what it would have done, or is acted on. A dry run acts
    after `days` of it [days]; 0 is never. `min_sample` is the fewest rows, batches or days that it judges [count], and
    `patience` how many looks in a row must find a breach.
    """

    mode: Mode
    days: Annotated[float, msgspec.Meta(ge=0, le=1e4)] = 0
    min_sample: Annotated[int, msgspec.Meta(ge=1)]
    patience: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1


class TriggerRules(ModeRules, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A trigger that looks back over `window_h` hours [h]."""

    window_h: Annotated[float, msgspec.Meta(gt=0, le=24 * 366)]


class ShareRules(TriggerRules, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A trigger whose limit no gate measures: `limit` is the largest share of rows."""

    limit: Share


QuietMode = Literal["warn", "dry_run"]
Clock = Annotated[str, msgspec.Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|close\+[0-9]{1,4})\Z")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class SilenceRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a prediction must be there: by each time of day in UTC, on some days of the week, one since the time before.

    If `calendar` names an exchange, none is due on days on which it does not trade, and `close+30` is half an hour
    after its session closes, early or not. On `holidays` none is due either. No rollback ends a silence, so the mode is
    a warning or a dry run.
    """

    mode: QuietMode
    by: tuple[Clock, ...] = ()
    weekdays: tuple[Weekday, ...]
    holidays: tuple[date, ...] = ()
    calendar: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not self.calendar and (closes := [clock for clock in self.by if clock.startswith("close")]):
            raise ValueError(f'by holds {closes[0]}, and no exchange closes; name one, such as calendar = "XNYS"')


class DrillRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What follows when a drill of the kill switch is overdue. No rollback proves the switch."""

    mode: QuietMode


class AgeRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How old something may be [days]; 0 does not ask. An older model cures neither."""

    mode: QuietMode
    limit_days: Annotated[float, msgspec.Meta(ge=0, le=1e5)]


class ShadowRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far back a candidate in shadow is compared with the live model [days], which is not to blame for it."""

    mode: QuietMode
    window_days: Annotated[float, msgspec.Meta(ge=1, le=1e4)]


class WatchRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the live model is watched.

    `cool_down_h` is the time between two rollbacks by the watch [h], and `per_week` how many there may be in seven
    days. `adapters` are addresses of servers that are asked after a rollback which model they serve, besides those that
    run on this registry.
    """

    cool_down_h: Annotated[float, msgspec.Meta(ge=0, le=1e4)]
    per_week: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    adapters: tuple[str, ...] = ()
    latency: TriggerRules
    drift: ModeRules
    failed: ShareRules
    rejected: ShareRules
    scores: ModeRules
    ic: ModeRules
    pnl: ModeRules
    exposure: ModeRules
    shadow: ShadowRules
    silence: SilenceRules
    stale_model: AgeRules
    stale_golden: AgeRules
    drill: DrillRules

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if any(not address.startswith(("http://", "https://")) for address in self.adapters):
            raise ValueError("adapters holds something else than addresses; write them as http://127.0.0.1:8080")


class Operations(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Everything that operates: a team's file over the packaged one."""

    format: Literal[1]
    registry: LockRules
    hermetic: HermeticLimits
    log: LogRules
    drift: DriftRules
    watch: WatchRules
    trips: TripRules
    serving: ServingLimits
    retention: RetentionRules
    paper: PaperLimits
    bucket: BucketRules
    alerts: AlertRules
    mlflow: MlflowRules

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is in force, whatever files it came from."""
        return sha256(canonical(self))


# These keys stood in the policy before there was an operations.toml, and are still read there.
MOVED = {"registry": LockRules.__struct_fields__, "hermetic": HermeticLimits.__struct_fields__}


def load_operations(
    path: Path | None, *, policy: Path | None, asked: Path | None = None
) -> tuple[Operations, list[str]]:
    """Read operations.toml over what an older policy says of it, and that over the packaged one.

    Parameters
    ----------
    path : Path, optional
        A team's file; None if it has none.
    policy : Path, optional
        The registry's own policy, in which the same keys stood once.
    asked : Path, optional
        The policy that was asked for in its place; what it says of operations does not count.

    Returns
    -------
    Operations
    list of str
        For each key that still stands in the policy, a line that says where it belongs.

    Raises
    ------
    PolicyError
        If a file is missing or not TOML, has an unknown key or a wrong type.
    """
    own = read_toml(path, "file") if path else {}
    moved = without_moved(read_toml(policy, "policy file"))[1] if policy else {}
    before = over(packaged(NAME), moved)
    checked(before, Operations, str(policy))
    warnings = [f"{policy}: {text}" for _, text in misplaced(moved, own, policy)]
    if asked and asked != policy:
        for section, table in without_moved(read_toml(asked, "policy file"))[1].items():
            place = "registry's own operations.toml"
            warnings += [f"{asked}: [{section}] {key} does not count; it belongs in the {place}" for key in table]
    return checked(over(before, own), Operations, str(path)), warnings


def without_moved(policy: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the tables of a policy into its own and those that belong in operations.toml."""
    kept, moved = dict(policy), {}
    if "hermetic" in kept:
        moved["hermetic"] = kept.pop("hermetic")
    table = kept.get("registry")
    if isinstance(table, dict):
        kept["registry"] = {key: value for key, value in table.items() if key not in MOVED["registry"]}
        moved["registry"] = {key: value for key, value in table.items() if key in MOVED["registry"]}
    return kept, moved


def misplaced(moved: dict[str, Any], own: dict[str, Any], policy: Path | None) -> Iterator[tuple[Keys, str]]:
    """Say of each key that still stands in the policy where it belongs; `own` are the tables of operations.toml."""
    place = policy.with_name(NAME) if policy else NAME
    for section, table in moved.items():
        for key in table if isinstance(table, dict) else ():
            if key in own.get(section, {}):
                text = f"does not count, because {place} sets it; delete it from the policy"
            else:
                text = f"is deprecated in the policy; move it to {place}, under [{section}]"
            yield (section, key), f"[{section}] {key} {text}"
