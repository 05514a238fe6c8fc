"""What came of predictions against what the gates promised, and a candidate in shadow: judged seldom, and rightly."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from pytest_modelgates.audit import ab
from pytest_modelgates.errors import InsufficientDataError, StatisticsError
from pytest_modelgates.monitoring.promised import LEVEL, Promise, exposure, falls_short, promises
from pytest_modelgates.monitoring.seldom import Held, seldom
from pytest_modelgates.monitoring.triggers import Finding, unseen
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import ModeRules, load_operations
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.predictions.outcomes import add_outcomes
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.stats.holdings import simulate
from pytest_modelgates.stats.portfolio import exposures
from pytest_modelgates.stats.sequential import mean_radius
from pytest_modelgates.storage.digests import tree_digest
from pytest_modelgates.storage.strict_json import readable
from tests.support.ab import plan_of
from tests.support.handmade import Registry, green_report, log_predictions, predictions

RULES = ModeRules(mode="dry_run", min_sample=20)
NOW = datetime.now(UTC)
DAYS = pd.bdate_range(end=NOW.date(), periods=60)


def test_the_promise_is_read_from_the_report_of_the_promotion(registry: Registry) -> None:
    live = live_change(registry.artifacts)
    found = promises(registry.artifacts, live, registry.policy)
    (path,) = registry.artifacts.reports(registry.live).glob("*.json")
    gates = json.loads(path.read_text())["modelgates"]["models"][registry.live]["gates"]
    of = {each["gate"]: each["evidence"][0] for each in gates}
    ic, pnl = of["significance.p_against"], of["pnl.p_value"]
    assert found == {
        "ic": Promise(ic["detail"]["ic_net"], ic["sample"]),
        "pnl": Promise(pnl["detail"]["net_return"], pnl["sample"]),
    }
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="a new one")
    rollback(registry.artifacts, registry.live, registry.in_force, reason="back")
    back = live_change(registry.artifacts)
    assert back.report_digest is None
    assert promises(registry.artifacts, back, registry.policy) == found
    path.unlink()
    with pytest.raises(InsufficientDataError, match=f"^the report by which {registry.live} was promoted is not in "):
        promises(registry.artifacts, back, registry.policy)


def test_what_falls_short_of_the_promise_beyond_chance_is_a_breach() -> None:
    series = np.random.default_rng(1).normal(-0.05, 0.1, 250)
    found = falls_short("ic", series, Promise(0.05, 750), RULES, "dry_run")
    assert found.verdict == "breach"
    mean, radius = series.mean(), mean_radius(series, LEVEL)
    promised = 0.05 - 1.645 * series.std() / np.sqrt(750)
    assert mean + radius < promised
    assert found.text == (
        f"the daily IC after costs is {mean:.4g} over 250 days, at most {mean + radius:.4g}; promised 0.05, at least "
        f"{promised:.4g}"
    )
    assert falls_short("ic", series + 0.1, Promise(0.05, 750), RULES, "dry_run").verdict == "clean"
    few = falls_short("pnl", series[:19], Promise(0.05, 750), RULES, "dry_run")
    assert (few.verdict, few.text) == (
        "inconclusive",
        "19 days with outcomes that differ, at least 20 are needed",
    )
    assert falls_short("pnl", series, None, RULES, "dry_run").verdict == "inconclusive"


@pytest.mark.parametrize("draw", ["normal", "heavy", "skewed"])
def test_the_mean_of_a_series_rarely_ever_strays_further_than_its_radius(draw: str) -> None:
    rng = np.random.default_rng(34)
    drawn = {
        "normal": rng.standard_normal((300, 400)),
        "heavy": rng.standard_t(5, (300, 400)),
        "skewed": rng.exponential(size=(300, 400)) - 1,
    }[draw]
    ever = sum(any(abs(row[:n].mean()) > mean_radius(row[:n], 0.1) for n in range(20, 401, 5)) for row in drawn)
    # As many as one in ten, and three standard errors: it is a bound for many values.
    assert ever <= 0.1 * 300 + 3 * np.sqrt(0.09 * 300)


def test_a_radius_asks_for_a_series() -> None:
    for values in ([1.0], [1.0, np.nan], [[1.0, 2.0]]):
        with pytest.raises(StatisticsError, match="values"):
            mean_radius(values, 0.1)
    with pytest.raises(StatisticsError, match=r"^all 2 values are 1, expected some that differ$"):
        mean_radius([1.0, 1.0], 0.1)
    with pytest.raises(StatisticsError, match=r"^level 0, sharpest at 60: give a level between 0 and 1, 1 value or"):
        mean_radius([1.0, 2.0], 0)


def judged(
    registry: Registry,
    held: dict[str, Held] | None = None,
    *,
    operations: Path | None = None,
    policy: Policy | None = None,
) -> dict[str, Held]:
    live = msgspec.structs.replace(live_change(registry.artifacts), time=NOW - timedelta(days=100))
    modes = {"ic": "dry_run", "pnl": "dry_run", "exposure": "dry_run"}
    rules = load_operations(operations, policy=None)[0].watch
    return seldom(registry.artifacts, policy or registry.policy, rules, live, modes, held or {}, now=NOW)


def serve(registry: Registry, scores: np.ndarray, *, arm: str = "live", digest: str | None = None) -> list[str]:
    digest = digest or live_change(registry.artifacts).digest
    keys = [f"{day:%Y-%m-%d}|A{asset:02d}" for day in DAYS for asset in range(20)]
    records = predictions(digest, scores.ravel().tolist(), arm=arm, end=NOW, hours=0.1)
    log_predictions(
        registry.artifacts,
        [msgspec.structs.replace(record, row_key=key) for record, key in zip(records, keys, strict=True)],
    )
    return keys


@pytest.mark.parametrize(("sign", "verdict"), [(1, "clean"), (-1, "breach")])
def test_live_figures_are_held_against_the_promise_whenever_outcomes_were_added(
    registry: Registry, sign: int, verdict: str
) -> None:
    returns = 0.01 * np.random.default_rng(3).standard_normal((60, 20))
    # What is held from the next close on earns the return of the day after.
    keys = serve(registry, sign * np.roll(returns, -1, axis=0))
    first = judged(registry)
    assert first["ic"].finding.text.startswith("no outcome is known of rows since ")
    assert judged(registry, first) == first
    frame = pd.DataFrame([key.split("|") for key in keys], columns=["time", "asset"])
    frame["return"] = returns.ravel()
    source = registry.artifacts.root.parent / "outcomes.csv"
    frame.to_csv(source, index=False)
    add_outcomes(registry.artifacts, source, ["time", "asset"], registry.rules)
    found = judged(registry, first)
    assert (found["ic"].finding.verdict, found["pnl"].finding.verdict) == (verdict, verdict)
    assert found["shadow"] is first["shadow"]
    worst = found["exposure"].finding
    assert (worst.verdict, worst.sample) == ("clean", 59)
    assert worst.text.startswith("pnl.exposure 1 (0 ≤ · ≤ 1), pnl.net_exposure ")
    # Nothing is read anew as long as nothing was added.
    registry.artifacts.reports(registry.live).rename(registry.artifacts.root / "elsewhere")
    assert judged(registry, found) == found


def test_what_an_ab_test_left_of_the_rows_is_not_held_against_the_promise(registry: Registry) -> None:
    artifacts, returns = registry.artifacts, 0.01 * np.random.default_rng(3).standard_normal((60, 20))
    keys = serve(registry, -np.roll(returns, -1, axis=0))
    source = artifacts.root.parent / "outcomes.csv"
    rows = [f"{key.replace('|', ',')},{value}" for key, value in zip(keys, returns.ravel(), strict=True)]
    source.write_text("\n".join(["time,asset,return", *rows]))
    add_outcomes(artifacts, source, ["time", "asset"], registry.rules)
    before = judged(registry)
    assert before["pnl"].finding.verdict == "breach"
    plan = plan_of(artifacts, registry.live, registry.candidate)
    other = msgspec.structs.replace(plan, live_since=NOW)  # of another change, it deals no row
    artifacts.write(artifacts.ab, readable(other))
    assert judged(registry, before)["pnl"].finding == before["pnl"].finding
    plan = msgspec.structs.replace(plan, live_since=NOW - timedelta(days=100))
    artifacts.write(artifacts.ab, readable(plan))
    while_it_runs = judged(registry, before)
    for trigger in ("ic", "pnl", "exposure"):
        found = while_it_runs[trigger].finding
        assert (found.verdict, found.text) == ("inconclusive", f"an A/B test deals its rows: {plan.name}")
    done = ab.stop(artifacts, "seen enough")
    assert done
    first = done.stopped.date() + timedelta(days=1)
    for trigger in ("ic", "pnl", "exposure"):
        found = judged(registry, while_it_runs)[trigger].finding
        assert (found.verdict, found.text) == (
            "inconclusive",
            f"no outcome is known of rows since {first}; see: modelgates outcomes add",
        )
    # Rows of the days after it count, and were scored since.
    (kept,) = artifacts.ended_abs.iterdir()
    early = msgspec.structs.replace(done, stopped=NOW - timedelta(days=99))
    artifacts.write(kept, readable(early))
    assert judged(registry, while_it_runs)["pnl"].finding == before["pnl"].finding
    # One that cannot be read ended when it was written, at the latest.
    kept.write_text("{}")
    assert judged(registry, while_it_runs)["pnl"].finding.text.startswith("no outcome is known of rows since ")


def test_a_damaged_plan_leaves_what_was_promised_unseen(registry: Registry) -> None:
    registry.artifacts.ab.write_text("{")
    found = judged(registry)["pnl"].finding
    assert "ab.json" in found.text
    assert found == unseen("pnl", "dry_run", found.text)


def test_a_position_beyond_a_limit_on_one_day_is_a_breach() -> None:
    policy = load_policy(None)
    rng = np.random.default_rng(5)
    scores, returns = rng.standard_normal((30, 60)), 0.01 * rng.standard_normal((30, 60))
    costs = policy.costs.charged(days_per_year=252)
    held = simulate(scores, returns, horizon=1, cost_bps=costs)
    assert exposure(held.net, exposures(held.weights), policy, RULES, "dry_run").verdict == "clean"
    weights = held.weights.copy()
    weights[7, 3] += 0.3
    found = exposure(held.net, exposures(weights), policy, RULES, "dry_run")
    assert found.verdict == "breach"
    assert " pnl.net_exposure 0.3 (-0.05 ≤ · ≤ 0.05), pnl.largest_weight 0." in found.text
    few = msgspec.structs.replace(RULES, min_sample=100)
    found = exposure(held.net, exposures(held.weights), policy, few, "warn")
    assert found.text == "29 days with outcomes that differ, at least 100 are needed"


@pytest.mark.parametrize(("turned", "verdict"), [(False, "clean"), (True, "breach")])
def test_a_candidate_in_shadow_is_compared_once_a_day(registry: Registry, turned: bool, verdict: str) -> None:
    scores = np.random.default_rng(3).standard_normal((60, 20))
    serve(registry, scores)
    candidate = tree_digest(registry.artifacts.model(registry.candidate))
    serve(registry, -scores if turned else scores, arm="shadow", digest=candidate)
    finding: Finding = judged(registry)["shadow"].finding
    assert (finding.verdict, finding.mode) == (verdict, "warn")
    assert finding.text == (
        f"rank correlation {-1 if turned else 1:.3f} of {registry.candidate} over 60 days, limit 0.95 ≤ · ≤ 1"
    )


def test_another_window_or_limit_for_a_candidate_counts_at_the_next_look(registry: Registry, tmp_path: Path) -> None:
    scores = np.random.default_rng(3).standard_normal((60, 20))
    serve(registry, scores)
    serve(registry, -scores, arm="shadow", digest=tree_digest(registry.artifacts.model(registry.candidate)))
    before = judged(registry)
    assert judged(registry, before)["shadow"] is before["shadow"]
    (operations := tmp_path / "operations.toml").write_text('[watch.shadow]\nmode = "dry_run"\nwindow_days = 90\n')
    wider = judged(registry, before, operations=operations)
    assert [each["shadow"].finding.mode for each in (before, wider)] == ["warn", "dry_run"]
    (looser := tmp_path / "policy.toml").write_text('format = 1\n[slo."shadow.rank_corr"]\nat_least = -1\n')
    found = judged(registry, wider, operations=operations, policy=load_policy(looser))
    assert [each["shadow"].finding.verdict for each in (wider, found)] == ["breach", "clean"]
