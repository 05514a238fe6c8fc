"""Whether the live model's recent predictions still look like its golden predictions."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from ..artifacts import Artifacts
from ..drift import load_golden_predictions
from ..drift.running import RunningDrift
from ..drift.verdict import DriftLimits, DriftReport
from ..errors import StatisticsError
from ..policy.policy import Policy
from ..predictions.counting import Tally, Window, count_whole, days_of, values_of
from ..predictions.records import Prediction
from ..registry.store import live_change


def limits_of(policy: Policy) -> DriftLimits:
    """Take the same limits that the drift gates use."""
    return DriftLimits(
        psi_moderate=policy.limit("drift.psi_moderate").upper,
        psi=policy.limit("drift.psi").upper,
        ks_p=policy.drift.ks_p,
        ks_distance=policy.limit("drift.ks").upper,
    )


def check_live(
    artifacts: Artifacts, policy: Policy, *, last: int | None = None, tally: Tally | None = None
) -> tuple[str, int, DriftReport]:
    """Compare the live model's predictions with its golden.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    last : int, optional
        Compare only so many of the newest rows.
    tally : Tally, optional
        Is added to: what became of every line of the log.

    Returns
    -------
    str
        The live model's id.
    int
        Rows compared.
    DriftReport

    Raises
    ------
    StatisticsError
        If it has scored no row, or too few to tell.
    """
    live = live_change(artifacts)
    drift = RunningDrift(load_golden_predictions(live.to, folder=artifacts.golden), limits=limits_of(policy))
    for records in _newest(count_whole(artifacts, "live", Window(digest=live.digest), tally), last):
        drift.add(values_of([records]), days=days_of(records))
    if not drift.rows:
        raise StatisticsError(
            f"no prediction of {live.to}, which is live, in {artifacts.predictions / 'live'}; run: modelgates serve "
            f"--onnx {artifacts.latest_onnx} --csv {artifacts.root / 'live_data.csv'}"
        )
    return live.to, drift.rows, drift.report()


def _newest(parts: Iterable[list[Prediction]], last: int | None) -> Iterator[list[Prediction]]:
    """Give the records of each part, or in one list the newest so many of all."""
    if last is None:
        yield from parts
    elif newest := deque(chain.from_iterable(parts), maxlen=last):
        yield list(newest)


def in_words(model_id: str, rows: int, report: DriftReport, *, repeated: float = 0.0) -> str:
    """Say the result to people, and which share of the predictions is of rows that another part of the log has too."""
    again = f"  {repeated:.1%} of them are of rows that another process scored too\n" if repeated else ""
    verdict = {True: "DRIFT", False: "no drift", None: "INCONCLUSIVE"}[report["overall_drift"]]
    why = "".join(f"  {reason}\n" for reason in report["reasons"])
    return (
        f"{model_id}: {verdict} over {rows} live predictions\n{why}{again}"
        f"  PSI {report['psi']['value']:.4f} ({report['psi']['level']})\n"
        f"  KS  {report['ks']['statistic']:.4f} (p {report['ks']['p_value']:.3g})"
    )
