"""The policy: limits, what a team's file may say, and what it means."""

import math
import os
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import PolicyError
from pytest_modelgates.model.directory import SIDECAR
from pytest_modelgates.model.sidecar import Sidecar
from pytest_modelgates.policy.limits import Bounds, short
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy
from pytest_modelgates.storage.strict_json import read_json
from tests.support.onnx_models import sidecar

DEFAULT = load_policy(None)
SLOS = DEFAULT.slo


def team(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.toml"
    file.write_text(text, "utf-8")
    return load_policy(file)


@given(value=st.floats(), low=st.floats(-10, 10), high=st.floats(-10, 10))
def test_a_limit_holds_between_its_bounds(value: float, low: float, high: float) -> None:
    assert Bounds(at_least=low, at_most=high).contains(value) == (low <= value <= high)
    assert Bounds(above=low, below=high).contains(value) == (low < value < high)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_keeps_no_limit(value: float | None) -> None:
    assert not Bounds(at_least=-1).contains(value)
    assert not Bounds(at_most=1).contains(value)


WRITTEN = [
    pytest.param(Bounds(above=0, at_most=60), "0 < · ≤ 60", 5, 5, id="both-ends"),
    pytest.param(Bounds(at_least=0, at_most=0.1), "0 ≤ · ≤ 0.1", 0.001, 0.099, id="a-p-value-far-from-its-limit"),
    pytest.param(Bounds(at_least=0, at_most=0.1), "0 ≤ · ≤ 0.1", -0.5, -0.5, id="beyond-the-end-all-the-same"),
    pytest.param(Bounds(at_least=0.95, at_most=1), "0.95 ≤ · ≤ 1", 0.99, 0.04, id="a-chance-near-1"),
    pytest.param(Bounds(at_least=0.5, at_most=1), "0.5 ≤ · ≤ 1", 0.5, 0, id="on-its-limit"),
    pytest.param(Bounds(at_least=0, at_most=1), "0 ≤ · ≤ 1", 0.9, 0.1, id="a-limit-of-1"),
    pytest.param(Bounds(at_least=0), "≥ 0", 0.03, 0.03, id="0-alone-can-be-missed"),
    pytest.param(Bounds(at_least=1, at_most=1), "1 ≤ · ≤ 1", 1, None, id="one-value-alone"),
    pytest.param(SLOS["latency.onnx_p95_ms"], "0 < · ≤ 60", 0.03, 59.97, id="a-time"),
    pytest.param(Bounds(at_least=0.95), "≥ 0.95", 1, 0.05, id="closed-below"),
    pytest.param(Bounds(above=0), "> 0", -1, -1, id="open-below"),
    pytest.param(Bounds(below=0.25), "< 0.25", 0.5, -0.25, id="open-above"),
    pytest.param(Bounds(at_most=0), "≤ 0", 0, None, id="no-offender"),
    pytest.param(Bounds(at_most=0), "≤ 0", 2, -2, id="two-offenders"),
]


@pytest.mark.parametrize(("bounds", "text", "value", "margin"), WRITTEN)
def test_a_limit_is_written_as_people_write_it(bounds: Bounds, text: str, value: float, margin: float | None) -> None:
    assert str(bounds) == text
    assert bounds.margin(value) == (None if margin is None else pytest.approx(margin))


# The table of gates, which is contract.
GATES = {
    "integrity.required_files": ("hard", "≤ 0"),
    "integrity.sha256": ("hard", "≤ 0"),
    "integrity.onnx_is_sound": ("hard", "≤ 0"),
    "schema.crc32": ("hard", "≤ 0"),
    "schema.columns": ("hard", "≤ 0"),
    "schema.dtypes": ("hard", "≤ 0"),
    "schema.onnx_inputs": ("hard", "≤ 0"),
    "data.finite": ("hard", "≤ 0"),
    "data.unique_keys": ("hard", "≤ 0"),
    "data.ordered": ("hard", "≤ 0"),
    "data.no_overlap": ("hard", "≤ 0"),
    "data.window": ("hard", "≤ 0"),
    "data.target_agrees": ("hard", "≥ 0.5"),
    "data.target_lead": ("hard", "1 ≤ · ≤ 1"),
    "data.target_differs": ("hard", "≤ 0.01"),
    "data.target_breaks": ("hard", "≤ 0"),
    "data.returns_plausible": ("hard", "≤ 0"),
    "data.return_size": ("hard", "0.0001 ≤ · ≤ 0.1"),
    "data.constant_names": ("hard", "≤ 0"),
    "data.odd_names": ("hard", "≤ 0"),
    "data.repeated_names": ("hard", "≤ 0"),
    "data.clipped_returns": ("hard", "≤ 0.001"),
    "data.calendar": ("hard", "≤ 10"),
    "data.frequency": ("hard", "≤ 0.1"),
    "data.days_left_out": ("hard", "≤ 0"),
    "data.days_left_out_p": ("hard", "0.001 < · ≤ 1"),
    "data.holes": ("hard", "≤ 0.001"),
    "data.holes_p": ("hard", "0.01 < · ≤ 1"),
    "data.repeated_days": ("hard", "≤ 0"),
    "data.survivors": ("soft", "0 ≤ · < 1"),
    "data.repeated_rows": ("hard", "≤ 0.001"),
    "leak.too_good": ("hard", "0 ≤ · ≤ 0.15"),
    "leak.sharpe": ("hard", "≤ 5"),
    "leak.one_name": ("hard", "0 ≤ · ≤ 0.5"),
    "leak.perfect_days_p": ("hard", "0.001 < · ≤ 1"),
    "leak.delay": ("hard", "≥ 0"),
    "leak.profile": ("soft", "0 ≤ · ≤ 3"),
    "leak.target": ("hard", "0 ≤ · < 0.99"),
    "parity.max_abs_diff": ("hard", "0 ≤ · ≤ 1e-05"),
    "parity.claim": ("hard", "≤ 0"),
    "parity.decisions": ("hard", "≤ 0"),
    "parity.batch_invariance": ("soft", "≤ 0"),
    "significance.p_against": ("hard", "0 ≤ · ≤ 0.1"),
    "significance.placebo": ("hard", "0 ≤ · ≤ 0.1"),
    "significance.p_adjusted": ("hard", "0 ≤ · ≤ 0.1"),
    "significance.rank_ic": ("soft", "0 < · ≤ 0.5"),
    "significance.deflated_sharpe": ("soft", "0.95 ≤ · ≤ 1"),
    "significance.backtest_length": ("soft", "0 ≤ · ≤ 1"),
    "significance.track_record": ("soft", "0 ≤ · ≤ 1"),
    "significance.pbo": ("soft", "0 ≤ · ≤ 0.2"),
    "significance.spa": ("soft", "0 ≤ · ≤ 0.1"),
    "metric.beats_baseline": ("hard", "0 ≤ · ≤ 0.1"),
    "metric.gain": ("soft", "> 0"),
    "ablation.harmless": ("hard", "0.1 < · ≤ 1"),
    "drift.psi": ("hard", "0 ≤ · ≤ 0.25"),
    "drift.psi_moderate": ("soft", "0 ≤ · ≤ 0.1"),
    "drift.ks": ("soft", "0 ≤ · < 0.05"),
    "latency.onnx_p95_ms": ("soft", "0 < · ≤ 60"),
    "latency.serve_p95_ms": ("soft", "0 < · ≤ 200"),
    "safety.kill_drill": ("soft", "0 ≤ · ≤ 92"),
    "ab.ic_difference": ("soft", "≥ 0"),
    "shadow.rank_corr": ("soft", "0.95 ≤ · ≤ 1"),
    "pnl.p_value": ("hard", "0 ≤ · ≤ 0.25"),
    "pnl.after_costs": ("soft", "> 0"),
    "pnl.sharpe": ("soft", "> 0"),
    "pnl.drawdown": ("soft", "0 ≤ · ≤ 0.3"),
    "pnl.probabilistic_sharpe": ("soft", "0.95 ≤ · ≤ 1"),
    "pnl.break_even": ("soft", "2 < · ≤ 1000"),
    "pnl.turnover": ("soft", "0 ≤ · ≤ 0.5"),
    "pnl.exposure": ("soft", "0 ≤ · ≤ 1"),
    "pnl.net_exposure": ("soft", "-0.05 ≤ · ≤ 0.05"),
    "pnl.largest_weight": ("soft", "0 ≤ · ≤ 0.2"),
    "pnl.within_limits": ("soft", "> 0"),
    "pnl.participation": ("soft", "0 ≤ · ≤ 0.05"),
    "pnl.reconciled": ("soft", "≤ 0"),
    "wf.positive_folds": ("hard", "0.5 ≤ · ≤ 1"),
    "wf.worst_fold": ("hard", "0.01 ≤ · ≤ 1"),
}


def test_the_packaged_policy_has_the_guides_numbers() -> None:
    assert {name: (slo.severity, str(slo)) for name, slo in DEFAULT.slo.items()} == GATES
    asked = DEFAULT.promotion
    assert (asked.parity_nights, asked.shadow_hours, asked.drift_psi) == (7, 24, 0.25)
    costs = DEFAULT.costs
    assert (costs.half_spread_bps, costs.commission_bps, costs.slippage_bps) == (2, 0, 0)
    assert DEFAULT.onnx.domains == ("", "ai.onnx.ml")
    assert all(slo.advice and slo.unit for slo in DEFAULT.slo.values())


def test_a_teams_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    own = team(tmp_path, 'format = 1\n[promotion]\nparity_nights = 0\n[slo."latency.onnx_p95_ms"]\nat_most = 5\n')
    assert (own.promotion.parity_nights, own.promotion.shadow_hours) == (0, 24)
    assert str(own.slo["latency.onnx_p95_ms"]) == "0 < · ≤ 5"
    assert own.slo["latency.onnx_p95_ms"].advice == DEFAULT.slo["latency.onnx_p95_ms"].advice
    assert own.digest != DEFAULT.digest


def test_the_digest_is_of_what_is_in_force_not_of_a_file(tmp_path: Path) -> None:
    assert team(tmp_path, "# nothing of its own\n").digest == DEFAULT.digest
    assert team(tmp_path, "[promotion]\nshadow_hours = 24.0").digest == DEFAULT.digest


ROW = f'[[waiver]]\ngate = "drift.psi"\ndigest = "{"0" * 64}"\nreason = "r"\nowner = "o"\nuntil = 2026-12-01\n'
JUDGES = [
    'not_applicable = ["wf"]',
    "[tasks]\nsignal = []",
    "[tasks]\nregression = []",
    "[promotion]\nparity_nights = 8",
    "[costs]\nhalf_spread_bps = 3",
    "[significance]\ndetectable_ic = 0.04",
    '[significance]\nplacebo = "names"',
    "[leak]\ndelay_ic = 0.03",
    "[ablation]\nmargin = 0.002",
    "[drift]\nks_p = 0.04",
    '[onnx]\ndomains = [""]',
    '[evidence]\nlevel = "sealed"',
    "[evidence]\nproof = true",
    ROW,
    ROW.replace('owner = "o"', 'owner = "p"'),
    '[slo."drift.psi"]\nat_most = 0.3',
    '[slo."drift.psi"]\nseverity = "soft"',
    '[slo."drift.psi"]\nunit = "bit"',
    '[slo."drift.psi"]\ntwin = "changed_byte"',
    '[slo."own.size"]\nat_most = 9\nunit = "MB"\nseverity = "hard"\nadvice = "smaller"',
]
JUDGES_NOT = [
    '[slo."drift.psi"]\nadvice = "ask Ada"',
    '[registry]\nmay_promote = ["ada"]',
    '[registry]\nmay_roll_back = ["ada"]',
    "[registry]\nlock_timeout_s = 61",
    "[registry]\nnetwork_file_system = true",
    "[hermetic]\nmemory_gib = 8",
    "[hermetic]\nminutes = 61",
]


def test_what_judges_changes_the_digest_each_in_its_own_way(tmp_path: Path) -> None:
    digests = {team(tmp_path, text).digest for text in JUDGES}
    assert len({DEFAULT.digest, *digests}) == 1 + len(JUDGES)


@pytest.mark.parametrize("text", JUDGES_NOT)
def test_what_does_not_judge_leaves_the_digest_alone(tmp_path: Path, text: str) -> None:
    assert team(tmp_path, text).digest == DEFAULT.digest


def test_an_open_bound_takes_the_place_of_a_closed_one(tmp_path: Path) -> None:
    own = team(tmp_path, '[slo."latency.onnx_p95_ms"]\nat_least = 1\nbelow = 20\n')
    assert str(own.slo["latency.onnx_p95_ms"]) == "1 ≤ · < 20"


BREAK_EVEN = [
    pytest.param("", "2 < · ≤ 1000", id="packaged"),
    pytest.param("[costs]\nhalf_spread_bps = 5", "5 < · ≤ 1000", id="costs"),
    pytest.param("[costs]\ncommission_bps = 1\nslippage_bps = 0.5", "3.5 < · ≤ 1000", id="all-of-turnover"),
    pytest.param("[costs]\nborrow_bps_per_year = 300\nimpact_bps = 9", "2 < · ≤ 1000", id="not-of-turnover"),
    pytest.param('[slo."pnl.break_even"]\nat_most = 90', "2 < · ≤ 90", id="upper"),
    pytest.param('[costs]\nhalf_spread_bps = 5\n[slo."pnl.break_even"]\nat_least = 7', "7 ≤ · ≤ 1000", id="own"),
]


@pytest.mark.parametrize(("text", "limit"), BREAK_EVEN)
def test_the_break_even_must_exceed_what_the_policy_charges(tmp_path: Path, text: str, limit: str) -> None:
    assert str(team(tmp_path, text).slo["pnl.break_even"]) == limit


def test_a_team_may_add_gates_of_its_own(tmp_path: Path) -> None:
    own = team(tmp_path, '[slo."own.size"]\nat_most = 9\nunit = "MB"\nseverity = "hard"\nadvice = "smaller"\n')
    assert own.slos_of("own.size") == ["own.size"]
    assert own.slos_of("pnl.exposure") == ["pnl.exposure", "pnl.net_exposure", "pnl.largest_weight"]


def test_required_are_the_hard_gates_of_families_that_apply(packed_once: Path, tmp_path: Path) -> None:
    packed = read_json(packed_once / SIDECAR, Sidecar)
    for_others = {"metric.beats_baseline", "data.repeated_rows", "leak.target"}
    gates = [name for name, slo in DEFAULT.slo.items() if slo.gate is None and name not in for_others]
    expected = [name for name in gates if GATES[name][0] == "hard" and name != "ablation.harmless"]
    expected += ["ablation.harmless[price]", "ablation.harmless[fundamental]"]
    assert sorted(DEFAULT.required_gates(packed)) == sorted(expected)
    own = team(tmp_path, 'not_applicable = ["wf", "ablation"]')
    assert sorted(own.required_gates(packed)) == sorted(
        name for name in expected if not name.startswith(("wf.", "ablation."))
    )
    assert own.applies("drift.psi", "signal")
    assert not own.applies("wf.worst_fold", "signal")


def no_signal(**changes: object) -> Sidecar:
    """A sidecar of a classifier whose rows are of customers."""
    keys = {"task": "classification", "horizon": 0, "metric": "roc_auc", "asset": "customer"}
    return msgspec.structs.replace(sidecar("a"), **{**keys, "time": None, "trained_until": None, **changes})


MONTHLY = {"time": "month", "trained_until": date(2020, 1, 1)}
FAMILIES_OF_RETURNS = ["significance", "ablation", "pnl", "wf"]
GATES_OF_RETURNS = [
    *(f"data.{name}" for name in ("target_agrees", "returns_plausible", "calendar", "holes", "repeated_days")),
    *("data.survivors", "leak.too_good", "leak.delay", "leak.profile"),
]
SIGNALS_ONLY = ", ".join(f'"{name}"' for name in FAMILIES_OF_RETURNS + GATES_OF_RETURNS)
MISFITS = [
    pytest.param("", MONTHLY, "the policy admits no such model", SIGNALS_ONLY, id="not-admitted"),
    pytest.param(
        "classification = []",
        MONTHLY,
        f"the policy asks it for {', '.join(FAMILIES_OF_RETURNS + GATES_OF_RETURNS)}",
        SIGNALS_ONLY,
        id="asked-for-all",
    ),
    pytest.param(
        'classification = ["wf", "drift"]',
        MONTHLY,
        f"the policy asks it for {', '.join(['significance', 'ablation', 'pnl', *GATES_OF_RETURNS])}",
        '"wf", "drift", ' + SIGNALS_ONLY.replace(', "wf"', ""),
        id="keeps-its-own",
    ),
    pytest.param(
        f"classification = [{SIGNALS_ONLY}]",
        {},
        "the policy asks it for shadow, data.no_overlap, data.window",
        f'{SIGNALS_ONLY}, "shadow", "data.no_overlap", "data.window"',
        id="no-times",
    ),
    pytest.param(
        f"classification = [{SIGNALS_ONLY}]",
        MONTHLY | {"asset": None},
        "the policy asks it for data.unique_keys, data.ordered",
        f'{SIGNALS_ONLY}, "data.unique_keys", "data.ordered"',
        id="no-names",
    ),
]


@pytest.mark.parametrize(("tasks", "changes", "why", "wanted"), MISFITS)
def test_a_policy_says_what_it_lacks_to_judge_a_model(
    tmp_path: Path, tasks: str, changes: dict[str, object], why: str, wanted: str
) -> None:
    line = f"classification = [{wanted}]"
    assert team(tmp_path, f"[tasks]\n{tasks}").why_not_admitted(no_signal(**changes)) == (
        f"is a classification model, and {why}",
        f"if it is meant to, write under [tasks] of the policy: {line}",
    )
    # What it says to write is enough.
    assert team(tmp_path, f"[tasks]\n{line}").why_not_admitted(no_signal(**changes)) is None


def test_what_a_team_declares_not_applicable_to_all_need_not_be_said_again(tmp_path: Path) -> None:
    own = team(tmp_path, f"not_applicable = [{SIGNALS_ONLY}]\n[tasks]\nclassification = []")
    assert own.why_not_admitted(no_signal(**MONTHLY)) is None


def test_signals_are_judged_as_ever_whatever_else_is_admitted(tmp_path: Path) -> None:
    own = team(tmp_path, f"[tasks]\nclassification = [{SIGNALS_ONLY}]")
    assert own.why_not_admitted(sidecar("a")) is None
    assert own.required_gates(sidecar("a")) == DEFAULT.required_gates(sidecar("a"))
    assert "metric.beats_baseline" in own.required_gates(no_signal(**MONTHLY))
    assert not own.applies("ablation.harmless[a]", "classification")


def test_a_gates_own_parameters_are_required_one_by_one(packed_once: Path, tmp_path: Path) -> None:
    rest = 'at_most = 9\nunit = "MB"\nseverity = "hard"\nadvice = "smaller"\n'
    own = team(tmp_path, f'[slo."own.size"]\nparameters = ["small", "large"]\n{rest}')
    required = own.required_gates(read_json(packed_once / SIDECAR, Sidecar))
    assert required[-2:] == ["own.size[small]", "own.size[large]"]
    assert "own.size" not in required


REFUSED = [
    pytest.param('[slo."drift.psi"]\nparameters = []', "Expected `array` of length >= 1", id="no-parameter"),
    pytest.param(
        '[slo."ablation.harmless"]\nparameters = ["a"]',
        '[slo."ablation.harmless"] has parameters and each; keep one, they contradict',
        id="parameters-twice",
    ),
    pytest.param(
        '[slo."pnl.net_exposure"]\nparameters = ["a"]',
        '[slo."pnl.net_exposure"] has parameters and gate; keep one, they contradict',
        id="parameters-of-another-gate",
    ),
    pytest.param("x = [", "not TOML (", id="half-a-list"),
    pytest.param("x = " + "[" * 5000, "not TOML (", id="too-deep"),
    pytest.param("format = 2", "Invalid enum value 2 - at `$.format`", id="format"),
    pytest.param("formt = 1", "Object contains unknown field `formt`", id="unknown-key"),
    pytest.param('[promotion]\nparity_nights = "7"', "Expected `int`, got `str` - at `$.promotion.parity", id="text"),
    pytest.param("[promotion]\nparity_nights = -1", "Expected `int` >= 0 - at `$.promotion.parity", id="negative"),
    pytest.param("[promotion]\nparity_nights = 1000000000", "Expected `int` <= 366", id="a-million-years"),
    pytest.param("[promotion]\nshadow_hours = nan", "$.promotion.shadow_hours", id="nan"),
    pytest.param("[promotion]\ndrift_psi = inf", "$.promotion.drift_psi", id="infinity"),
    pytest.param("[costs]\nslippage_bps = inf", "$.costs.slippage_bps", id="infinite-costs"),
    pytest.param("[costs]\ncapital = 0", "$.costs.capital", id="no-capital"),
    pytest.param("promotion = 3", "Expected `object`, got `int` - at `$.promotion`", id="number-for-a-table"),
    pytest.param("slo = 3", "Expected `object`, got `int` - at `$.slo`", id="number-for-the-limits"),
    pytest.param('[slo]\n"drift.psi" = 3', "Expected `object`, got `int`", id="number-for-a-limit"),
    pytest.param('[slo."drift.psi"]\nat_most = nan', '[slo."drift.psi"] needs a finite bound', id="nan-limit"),
    pytest.param(
        '[slo."drift.psi"]\nat_most = 1\nbelow = 1',
        '[slo."drift.psi"] has two bounds on one side; keep the open or the closed one',
        id="two-bounds",
    ),
    pytest.param(
        '[slo."drift.psi"]\nat_most = -1', "no value can satisfy its bounds (0 ≤ · ≤ -1); widen one", id="crossed"
    ),
    pytest.param('[slo."drift.psi"]\nbelow = 0', "no value can satisfy its bounds (0 ≤ · < 0); widen one", id="empty"),
    pytest.param(
        '[slo."own.x"]\nunit = "u"\nseverity = "hard"\nadvice = "a"',
        '[slo."own.x"] needs a finite bound: above or at_least, below or at_most',
        id="no-bound",
    ),
    pytest.param('[slo."own.x"]\nat_most = 1', "Object missing required field `unit`", id="no-unit"),
    pytest.param('[tasks]\nregression = ["pln"]', "regression: no family 'pln'; there are ab,", id="task-family"),
    pytest.param("[tasks]\nranking = []", "Invalid enum value 'ranking'", id="unknown-task"),
    pytest.param('not_applicable = ["pln"]', "not_applicable: no family 'pln'; there are ab,", id="family"),
    pytest.param(
        '[slo."pnl.net_exposure"]\nseverity = "hard"',
        "is hard, but pnl.exposure, which measures it, is soft; make both hard",
        id="hard-in-a-soft-gate",
    ),
    pytest.param(
        '[slo."pnl.net_exposure"]\ngate = "pnl.exposre"',
        "is measured by 'pnl.exposre', which is not a gate of the policy",
        id="unknown-gate",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_a_policy_that_says_nothing_sensible_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        team(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'policy.toml'}: ")
    assert said in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="not TOML"):
        load_policy(tmp_path / "policy.toml")


def test_a_file_that_is_missing_or_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such policy file"):
        load_policy(tmp_path / "policy.toml")
    with pytest.raises(PolicyError, match="a folder, expected a regular file"):
        load_policy(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")  # opening it would wait for a writer, and so would rollback
    with pytest.raises(PolicyError, match="a pipe, expected a regular file"):
        load_policy(tmp_path / "pipe.toml")


def test_an_unknown_limit_says_how_to_add_it() -> None:
    with pytest.raises(PolicyError, match=r'no SLO \'own.size\' in the policy; add \[slo."own.size"\] with its bounds'):
        DEFAULT.limit("own.size")


def test_this_repositorys_own_policy_is_the_packaged_one() -> None:
    assert load_policy(Path(__file__).parents[2] / "registry" / "policy.toml").digest == DEFAULT.digest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(12_000, "12000", id="a-count"),
        pytest.param(-98_765.4, "-98765", id="beyond-the-digits"),
        pytest.param(9999.6, "10000", id="just-below"),
        pytest.param(0.000123456, "0.0001235", id="small"),
        pytest.param(0.0, "0", id="zero"),
        pytest.param(1e20, "1e+20", id="huge"),
        pytest.param(float("inf"), "inf", id="endless"),
    ],
)
def test_a_count_is_written_whole(value: float, text: str) -> None:
    assert short(value) == text
