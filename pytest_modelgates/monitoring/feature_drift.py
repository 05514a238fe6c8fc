"""Whether the features that are served still look like those of the panel, each alone and across assets and days."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifacts
from ..drift.frames import ColumnReading, compare_frames
from ..drift.joint import ByAsset, JointReport, compare_by_asset
from ..drift.verdict import DriftLimits
from ..errors import InsufficientDataError, StatisticsError
from ..model.directory import PANEL, LocalDirectory
from ..model.panel import Panel
from ..policy.policy import Policy
from ..predictions.counting import Rows, Tally, Window, asked_for, days_of, refuse_incomplete
from ..predictions.parts import parts
from ..predictions.reading import Reading
from ..predictions.records import Prediction
from ..registry.store import live_change
from .drift_check import limits_of

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCheck:
    """What a check of the features found; `overall_drift` is None if nobody can tell.

    `columns` holds each feature alone, the worst first, `joint` each across assets and days. `not_joint` says why
    `joint` is empty. `rows` may have no score, and of `unread` ones without a score the log keeps no feature.
    """

    model_id: str
    rows: int
    unread: int
    overall_drift: bool | None
    columns: list[ColumnReading]
    joint: dict[str, JointReport]
    not_joint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The values of some rows, shape (n_rows, n_features), and what they are of, where that is known."""

    values: Matrix
    days: NDArray[np.datetime64] | None
    assets: list[str] | None


def check_features(artifacts: Artifacts, policy: Policy, *, last: int | None = None) -> FeatureCheck:
    """Compare the features that the log kept of the live model's rows with those of its panel.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
        Its limits of drift; p-values allow for the number of features.
    last : int, optional
        Compare only so many of the newest rows of which features were kept.

    Raises
    ------
    InsufficientDataError
        If features of no row were kept, or the log is not whole.
    """
    live = live_change(artifacts)
    with LocalDirectory(artifacts.model(live.to)) as model:
        model.verify(keep={PANEL})
        panel = Panel.read(model.verified_panel(), model.sidecar)
        now, unread = _rows_in_log(artifacts, live.digest, model.sidecar.names, last)
    if now is None:
        raise InsufficientDataError(
            f"the log keeps the features of no row of {live.to}; in operations.toml set [log] features to the share of "
            "rows whose features it keeps, such as 0.1, and serve again"
        )
    then, limits = _rows_of_panel(panel), limits_of(policy)
    names = panel.sidecar.names
    found = compare_frames(
        dict(zip(names, then.values.T, strict=True)),
        dict(zip(names, now.values.T, strict=True)),
        golden_days=then.days,
        days=now.days,
        limits=limits,
        correction="bh",
    )
    joint, why = _joint(names, then, now, limits)
    verdicts = {found["overall_drift"], *(each["overall_drift"] for each in joint.values())}
    if why and then.assets is not None and now.assets is not None:  # they were there, and could not be compared
        verdicts.add(None)
    return FeatureCheck(
        model_id=live.to,
        rows=len(now.values),
        unread=unread,
        overall_drift=True if True in verdicts else None if None in verdicts else False,
        columns=found["columns"],
        joint=joint,
        not_joint=why,
    )


def _rows_of_panel(panel: Panel) -> _Rows:
    sidecar = panel.sidecar
    return _Rows(
        values=np.asarray(panel.features, dtype=np.float64),
        days=panel.times.astype("datetime64[D]") if sidecar.time else None,
        assets=panel.column(sidecar.asset).astype(str).tolist() if sidecar.asset else None,
    )


def _rows_in_log(artifacts: Artifacts, digest: str, names: list[str], last: int | None) -> tuple[_Rows | None, int]:
    """Take the rows whose features were kept, and count those without a score whose were not.

    A row that was refused for a feature has drifted more than any other.
    """
    records, tally, unread = deque[Prediction](maxlen=last), Tally(), 0
    for part in parts(artifacts, "live"):
        rows = Rows[Prediction]()
        for record in asked_for(part, Window(digest=digest), tally, Reading()):
            if record.features:
                rows.put(record, record, tally)
            unread += record.prediction is None and not record.features
        records.extend(rows.last.values())
    refuse_incomplete(tally, "live")
    if not records:
        return None, unread
    for record in records:
        if len(record.features or ()) != len(names):
            raise StatisticsError(
                f"row {record.row_key} has {len(record.features or ())} features in the log, and the model "
                f"{len(names)}; that line was not written by `serve`"
            )
    keys = [record.row_key for record in records]
    known = not any(record.goes_by_content or record.row_key.startswith("hashed:") for record in records)
    found = _Rows(
        values=np.array([record.features for record in records], dtype=np.float64),
        days=days_of(records),
        assets=[key.partition("|")[2] for key in keys] if known else None,
    )
    return found, unread


def _joint(names: list[str], then: _Rows, now: _Rows, limits: DriftLimits) -> tuple[dict[str, JointReport], str | None]:
    """Compare each feature across assets and days; or say why that cannot be done."""
    if then.days is None or then.assets is None:
        return {}, "the model's rows name no time and asset"
    if now.days is None or now.assets is None:
        return {}, "the keys in the log name no time and asset, or hide them ([log] hash_keys)"
    of_each = replace(limits, ks_p=limits.ks_p / len(names))  # by Bonferroni, since so many features are asked
    found = dict[str, JointReport]()
    try:
        for name, before, after in zip(names, then.values.T, now.values.T, strict=True):
            golden = ByAsset.of(before, assets=then.assets, days=then.days)
            found[name] = compare_by_asset(golden, ByAsset.of(after, assets=now.assets, days=now.days), limits=of_each)
    except StatisticsError as error:
        return {}, str(error)
    return found, None
