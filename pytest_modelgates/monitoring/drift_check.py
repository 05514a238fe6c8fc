"""Whether the live model's recent predictions still look like its golden predictions."""

from ..artifacts import Artifacts
from ..drift import detect_drift, load_golden_predictions
from ..drift.distances import DriftLimits, DriftReport
from ..errors import StatisticsError
from ..policy.policy import Policy
from ..predictions.records import read_predictions, values_of
from ..registry.store import live_change


def limits_of(policy: Policy) -> DriftLimits:
    """Take the same limits that the drift gates use."""
    return DriftLimits(
        psi_moderate=policy.limit("drift.psi_moderate").upper,
        psi=policy.limit("drift.psi").upper,
        ks_p=policy.drift.ks_p,
        ks_distance=policy.limit("drift.ks").upper,
    )


def check_live(artifacts: Artifacts, policy: Policy, *, last: int | None = None) -> tuple[str, int, DriftReport]:
    """Compare the live model's predictions with its golden.

    Parameters
    ----------
    artifacts : Artifacts
    policy : Policy
    last : int, optional
        Compare only so many of the newest rows.

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
    current = values_of(read_predictions(artifacts.predictions, digest=live.digest))[-last if last else 0 :]
    if not current.size:
        raise StatisticsError(
            f"{artifacts.predictions}: no prediction of {live.to}, which is live; run: modelgates serve --onnx "
            f"{artifacts.latest_onnx} --csv {artifacts.root / 'live_data.csv'}"
        )
    golden = load_golden_predictions(live.to, folder=artifacts.golden)
    return live.to, len(current), detect_drift(golden, current, limits=limits_of(policy))


def in_words(model_id: str, rows: int, report: DriftReport) -> str:
    """Say the result to people."""
    verdict = "DRIFT" if report["overall_drift"] else "no drift"
    return (
        f"{model_id}: {verdict} over {rows} live predictions\n"
        f"  PSI {report['psi']['value']:.4f} ({report['psi']['level']})\n"
        f"  KS  {report['ks']['statistic']:.4f} (p {report['ks']['p_value']:.3g})"
    )
