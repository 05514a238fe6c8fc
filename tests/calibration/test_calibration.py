"""Whether the tests reject as often as they say. Takes minutes: ``pytest -m slow tests/calibration``."""

from pathlib import Path

import numpy as np
import pytest

from tests.calibration.arms_sweep import ALIKE as ARMS_ALIKE
from tests.calibration.arms_sweep import SOON
from tests.calibration.arms_sweep import UNTOLD as ARMS_UNTOLD
from tests.calibration.arms_sweep import delays as arms_delays
from tests.calibration.arms_sweep import sizes as arms_sizes
from tests.calibration.baseline_sweep import CASES
from tests.calibration.baseline_sweep import rejections as baseline_rejections
from tests.calibration.calibration_sweep import LENGTHS, NULLS, ceiling, false_passes, family_errors, rejections
from tests.calibration.drift_sweep import FEATURES, JOINT, OTHERS, UNTOLD, joint_sizes, power
from tests.calibration.drift_sweep import SHAPES as DRIFT_SHAPES
from tests.calibration.drift_sweep import found as drift_found
from tests.calibration.drift_sweep import sizes as drift_sizes
from tests.calibration.families_sweep import ALIKE, APART, confused, lost
from tests.calibration.fold_sweep import SHAPES
from tests.calibration.fold_sweep import rejections as fold_rejections
from tests.calibration.holes_sweep import HOLES, IN_HOLES, IN_POWER, RUNS, SIGNALS, Columns, Row, judged, shares
from tests.calibration.over_time_sweep import DAYS_PER_ALARM, DRIFTS, STREAMS, delays, false_alarms
from tests.calibration.over_time_sweep import UNTOLD as UNTOLD_OVER_TIME
from tests.calibration.panel_sweep import HARD, SOFT, refused
from tests.calibration.placebo_sweep import SIGNALS as PLACEBO_SIGNALS
from tests.calibration.placebo_sweep import WORLDS, powers, sizes
from tests.calibration.rows_sweep import GATES as ROWS
from tests.calibration.rows_sweep import refused as refused_rows
from tests.calibration.trials_sweep import CASES as TRIALS_CASES
from tests.calibration.trials_sweep import passes as trials_passes
from tests.calibration.watch_sweep import AT_THE_LIMITS, SHIFTED
from tests.calibration.watch_sweep import DAYS_PER_ALARM as WATCH_DAYS
from tests.calibration.watch_sweep import delays as watch_delays
from tests.calibration.watch_sweep import false_alarms as watch_false_alarms

pytestmark = pytest.mark.slow
TEXT = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text("utf-8")


@pytest.mark.parametrize("n", [n for n in LENGTHS if n >= 500])
def test_a_held_signal_over_five_days_has_the_size_promised(n: int) -> None:
    # Three standard errors of 1,000 samples beyond the band that is promised.
    size = rejections("MA(5)", n, runs=1000)
    assert 0.08 - 0.026 <= size.at_ten[0] <= 0.115 + 0.03


@pytest.mark.parametrize("null", NULLS)
def test_the_larger_p_value_rejects_no_more_than_either(null: str) -> None:
    size = rejections(null, 500, runs=400)
    assert size.at_ten[0] <= min(size.at_ten[1:])
    assert size.at_five[0] <= min(size.at_five[1:])


@pytest.mark.parametrize("null", ["iid", "AR(0.6)", "GARCH-t"])
def test_what_does_not_overlap_has_the_level_asked_for(null: str) -> None:
    size = rejections(null, 1250, runs=600)
    assert 0.05 <= size.at_ten[0] <= 0.14


def test_power_comes_near_the_ceiling() -> None:
    power = rejections("iid", 1250, runs=400, noncentrality=2.0).at_ten[0]
    assert ceiling(2.0) - 0.09 <= power <= ceiling(2.0) + 0.06


@pytest.mark.parametrize("joint", [False, True], ids=["holm", "stepm"])
@pytest.mark.parametrize("groups", [2, 8])
def test_no_family_of_groups_is_blamed_too_often(groups: int, joint: bool) -> None:
    assert family_errors(runs=300, groups=groups, joint=joint) <= 0.10 + 0.05


@pytest.mark.parametrize("horizon", [1, 5])
def test_at_most_one_model_of_noise_in_ten_passes_every_hard_gate(horizon: int) -> None:
    assert false_passes(runs=300, horizon=horizon) <= 0.10 + 0.05


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", ["years alike", "volatility of each year its own", "volatility clusters, fat tails"])
def test_a_model_whose_years_are_alike_is_refused_for_its_worst_no_more_often_than_asked(case: str, shape: str) -> None:
    one, five = fold_rejections(case, shape, runs=1000)
    assert one <= 0.01 + 0.0095
    assert five <= 0.05 + 0.021


def test_a_ruined_year_is_seen() -> None:
    assert fold_rejections("one year lower by 5", "17 of 250", runs=200)[0] >= 0.87


@pytest.mark.parametrize("case", CASES)
def test_a_model_as_good_as_its_baseline_is_called_better_no_more_often_than_asked(case: str) -> None:
    # Three standard errors of 400 samples, and what the bootstrap itself is off by.
    assert baseline_rejections(case, 250, runs=400)[0] <= 0.10 + 0.05


def test_a_better_model_is_seen_on_a_thousand_rows() -> None:
    assert baseline_rejections("roc_auc, 30 % of class 1", 1000, runs=100, skilled=True)[0] >= 0.8


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    ("name", "row", "columns"),
    [
        pytest.param(name, row, columns, id=name)
        for rows, columns in ((HOLES, IN_HOLES), (SIGNALS, IN_POWER))
        for name, row in rows.items()
    ],
)
def test_models_pass_as_often_as_the_documentation_says(name: str, row: Row, columns: Columns) -> None:
    (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {name} |"))
    printed = np.array([float(cell) for cell in line.split("|")[2:-2]])
    passed, _ = judged(row, runs=200, seed=7)
    # Four standard errors of both samples, at least of a share of 1 %: some 340 shares are compared.
    share = np.clip(printed / 100, 0.01, 0.99)
    error = 100 * np.sqrt(share * (1 - share) * (1 / 200 + 1 / RUNS))
    assert (np.abs(shares(passed, columns) - printed) <= 4 * error).all()


def test_honest_panels_are_hardly_ever_refused() -> None:
    # Promised are 1 % a gate and 3 % together; three standard errors of 300 panels beyond that.
    found = refused(runs=300, seed=1)
    assert {gate: found[gate] for gate in (*HARD, *SOFT) if found[gate] > 300 * 0.01 + 3 * np.sqrt(3)} == {}
    assert found["any hard gate"] <= 300 * 0.03 + 3 * np.sqrt(9)


def test_honest_rows_of_other_models_are_hardly_ever_refused() -> None:
    found = refused_rows(runs=300, seed=1)
    assert {gate: found[gate] for gate in ROWS if found[gate] > 300 * 0.01 + 3 * np.sqrt(3)} == {}


@pytest.mark.parametrize("case", [name for name in TRIALS_CASES if "one of" not in name])
def test_the_best_of_many_trials_without_skill_passes_no_more_often_than_the_level(case: str) -> None:
    found = trials_passes(case, runs=300, seed=1)
    assert max(found.known, found.unknown) <= 0.10 + 2.6 * 0.0173


@pytest.mark.parametrize("change", ALIKE)
def test_a_panel_that_was_changed_as_vendors_do_is_of_its_family(change: str) -> None:
    assert lost(change, runs=60, seed=1) <= 0.01


@pytest.mark.parametrize("pair", APART)
def test_panels_of_other_markets_are_told_apart(pair: str) -> None:
    assert max(confused(pair, names=20, runs=60, seed=1), confused(pair, names=300, runs=5, seed=1)) <= 0.01


@pytest.mark.parametrize("world", WORLDS)
def test_the_best_of_many_trials_without_skill_beats_its_placebos_no_more_often_than_the_level(world: str) -> None:
    found = sizes(world, runs=60, seed=1)
    assert max(found[1], found[3]) <= 0.10 + 2.6 * 0.039


def test_without_the_charge_the_best_of_many_noises_would_beat_them() -> None:
    assert sizes("a portfolio of names that differ, and noise that lasts", runs=20, seed=1)[2] >= 0.5


@pytest.mark.parametrize("signal", [name for name in PLACEBO_SIGNALS if "0.998" not in name])
def test_a_signal_that_moves_hardly_pays_for_the_charge(signal: str) -> None:
    luck, _, charged = powers(signal, trials=20, runs=60, seed=1)
    assert charged >= luck - 0.05


@pytest.mark.parametrize("name", DRIFT_SHAPES)
def test_drift_is_found_where_there_is_none_no_more_often_than_asked(name: str) -> None:
    found = drift_found(DRIFT_SHAPES[name], runs=200, seed=1)
    # Three standard errors of 200 samples, and what few clusters of 0 and 1 are off by.
    assert found.ks[1] <= 0.05 + 0.046 + 0.02
    assert found.ks[2] <= 0.10 + 0.064 + 0.02
    assert found.drift <= 0.05 + 0.046 + 0.02


@pytest.mark.parametrize("name", ["AR(0.98)", "AR(0.9), 30 % still", "AR(0.9), 80 % still"])
def test_a_feature_is_blamed_by_asset_no_more_often_than_asked(name: str) -> None:
    found, drift = joint_sizes(FEATURES[name], runs=200, seed=1)
    # Three standard errors of 200 samples, and what windows beside each other share where a feature lasts.
    for check in JOINT:
        one, five, ten = found[check]
        assert one <= 0.01 + 0.021 + 0.02, check
        assert five <= 0.05 + 0.046 + 0.02, check
        assert ten <= 0.10 + 0.064 + 0.02, check
    assert drift <= 0.05


def test_a_short_golden_does_not_show_how_a_feature_that_lasts_moves() -> None:
    found, _ = joint_sizes(FEATURES["AR(0.98), against 150"], runs=80, seed=1)
    assert found["persistence"][1] >= 0.15
    assert found["identity"] == []


@pytest.mark.parametrize("name", OTHERS)
def test_shares_of_missing_values_and_categories_move_by_chance_no_more_often_than_asked(name: str) -> None:
    one, five, ten = drift_sizes(name, runs=400, seed=1)
    # Three standard errors of 400 samples.
    assert one <= 0.01 + 0.015
    assert five <= 0.05 + 0.033
    assert ten <= 0.10 + 0.045


@pytest.mark.parametrize("name", UNTOLD)
def test_rows_that_are_taken_as_independent_drift_by_themselves(name: str) -> None:
    assert drift_found(UNTOLD[name], runs=100, seed=1).ks[1] >= 0.25


def test_a_shift_worth_an_index_of_a_quarter_is_seen_in_three_hundred_rows() -> None:
    assert power(300, 0.507, runs=50, seed=1).drift >= 0.98


@pytest.mark.parametrize("name", STREAMS)
def test_looks_over_time_give_no_more_false_alarms_than_promised(name: str) -> None:
    found = false_alarms(STREAMS[name], looks=2_000, runs=1)
    promised = max(found.days / DAYS_PER_ALARM, 1)
    assert found.window + found.all <= promised + 3 * np.sqrt(promised)


@pytest.mark.parametrize("name", UNTOLD_OVER_TIME)
def test_rows_without_their_days_break_the_promise(name: str) -> None:
    found = false_alarms(UNTOLD_OVER_TIME[name], looks=500, runs=1)
    assert found.window > 2 * found.days / DAYS_PER_ALARM


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_seen_about_as_soon_as_the_documentation_says(name: str) -> None:
    (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {name} |"))
    middle, most = map(float, line.split("|")[2:4])
    waited, _ = delays(DRIFTS[name], runs=5)
    assert np.median(waited) <= max(most, 2 * middle)


@pytest.mark.parametrize("name", AT_THE_LIMITS)
def test_the_watch_gives_no_more_false_alarms_than_promised(name: str) -> None:
    found, days = watch_false_alarms(AT_THE_LIMITS[name], looks=2_000, runs=1)
    promised = max(days / WATCH_DAYS, 1)
    assert sum(found.values()) <= promised + 3 * np.sqrt(promised)


@pytest.mark.parametrize("name", SHIFTED)
def test_the_watch_finds_what_is_wrong_about_as_soon_as_the_documentation_says(name: str) -> None:
    (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {name} |"))
    middle, most = map(float, line.split("|")[2:4])
    trigger, desk = SHIFTED[name]
    waited = watch_delays(trigger, desk, runs=5, most=4 * int(most))
    assert np.median(waited) <= max(most, 2 * middle)


@pytest.mark.parametrize("name", ARMS_ALIKE)
def test_arms_that_do_not_differ_are_told_apart_no_more_often_than_promised(name: str) -> None:
    assert max(arms_sizes(ARMS_ALIKE[name], runs=1_000)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1_000)


@pytest.mark.parametrize("name", ARMS_UNTOLD)
def test_arms_that_break_what_is_assumed_break_the_promise(name: str) -> None:
    assert arms_sizes(ARMS_UNTOLD[name], runs=1_000)[0] > 0.05


@pytest.mark.parametrize("name", SOON)
def test_a_worse_arm_is_told_about_as_soon_as_the_documentation_says(name: str) -> None:
    (line,) = (line for line in TEXT.splitlines() if line.startswith(f"| {name} |"))
    middle, most = (float(cell.replace(",", "")) for cell in line.split("|")[2:4])
    assert np.median(arms_delays(*SOON[name], runs=20)) <= max(most, 2 * middle)
