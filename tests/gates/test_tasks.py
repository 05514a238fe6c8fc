"""Models that are not trading signals, on data that scikit-learn ships: packed, gated, promoted, shadowed, proved."""

import json
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pytest_modelgates import pack
from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.cli import main
from pytest_modelgates.drift import detect_drift
from pytest_modelgates.errors import MissingExtraError, PackError, StatisticsError
from pytest_modelgates.evidence.verdict import Verdict, judge
from pytest_modelgates.gating import progress
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.model.directory import MODEL
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.predictions.counting import Tally, Window, count_log, values_of
from pytest_modelgates.proving.twin_markets import knowing_baseline
from pytest_modelgates.proving.twin_panels import rows_twice, telling_feature
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.serving.scorer import named_rows
from pytest_modelgates.stats.baseline import named_metric
from tests.proving.test_twins import faults, twin_of
from tests.support.gate_runs import GATES, outcomes, record_of, run
from tests.support.handmade import LENIENT, green_ledger, logged, modelgates, write_report

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

FAMILIES_OF_RETURNS = '"significance", "ablation", "pnl", "wf"'
NEED_KEYS = '"shadow", "data.no_overlap", "data.window", "data.unique_keys", "data.ordered"'
GATES_OF_RETURNS = (
    '"data.target_agrees", "data.returns_plausible", "data.calendar", "data.holes", "data.repeated_days", '
    '"data.survivors", "leak.too_good", "leak.delay", "leak.profile"'
)
TASKS = f"""
[tasks]
classification = [{FAMILIES_OF_RETURNS}, {NEED_KEYS}, {GATES_OF_RETURNS}]
regression = [{FAMILIES_OF_RETURNS}, {GATES_OF_RETURNS}]
"""


@dataclass(frozen=True)
class Data:
    """Every other row to fit on, the rest as a panel, and the names of the features."""

    train: pd.DataFrame
    panel: pd.DataFrame
    names: list[str]


def tumours() -> Data:
    """Ten measurements of 569 tumours, benign (1) or not; rows without time or name."""
    frame = load_breast_cancer(as_frame=True).frame.astype(np.float32)
    frame.columns = [name.replace(" ", "_") for name in frame]
    names = list(frame)[:10]
    train, panel = frame.iloc[::2], frame.iloc[1::2]
    return Data(train, panel[[*names, "target"]].assign(baseline=train["target"].mean()), names)


def patients() -> Data:
    """Ten measurements of 442 patients, and their illness a year on; each patient has a name and a day."""
    frame = load_diabetes(as_frame=True).frame.astype(np.float32)
    train, panel = frame.iloc[::2], frame.iloc[1::2]
    panel = panel.assign(
        baseline=train["target"].mean(),
        patient=[f"P{row:03d}" for row in range(len(panel))],
        visit=pd.bdate_range("2020-01-01", periods=len(panel)),
    )
    return Data(train, panel, list(frame)[:10])


def pack_tumours(artifacts: Path, **changes: Any) -> Path:
    data = tumours()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        data.train[data.names].to_numpy(), data.train.target
    )
    wanted = {"task": "classification", "metric": "roc_auc", "changes": "A logistic regression."}
    features = {name: name.rpartition("_")[2] for name in data.names}
    return pack(
        changes.pop("model", model),
        changes.pop("panel", data.panel),
        features=features,
        artifacts=artifacts,
        **{**wanted, **changes},
    )


def pack_patients(artifacts: Path, **changes: Any) -> Path:
    data = patients()
    model = Ridge(alpha=0.1).fit(data.train[data.names].to_numpy(), data.train.target)
    wanted = {
        "task": "regression",
        "metric": "neg_mean_absolute_error",
        "time": "visit",
        "asset": "patient",
        "trained_until": date(2019, 12, 31),
        "changes": "A ridge.",
    }
    return pack(model, data.panel, features=dict.fromkeys(data.names, "all"), artifacts=artifacts, **(wanted | changes))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model of each kind, which no test may change."""
    root = tmp_path_factory.mktemp("families")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations
        return {
            "classification": pack_tumours(root / "tumours" / "artifacts"),
            "regression": pack_patients(root / "patients" / "artifacts"),
        }


@pytest.fixture
def model(packed: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of them, in an artifacts root of its own."""

    def copied(task: str) -> Path:
        target = tmp_path / "artifacts" / "models" / packed[task].name
        shutil.copytree(packed[task], target)
        return target

    return copied


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy that admits both kinds."""
    path = tmp_path / "policy.toml"
    path.write_text(LENIENT + TASKS)
    return path


LIVE = {
    "classification": (lambda row: None, tumours, []),
    "regression": (lambda row: f"2021-01-04|P{row:03d}", patients, ["visit", "patient"]),
}


@pytest.mark.integration
@pytest.mark.parametrize("task", LIVE)
def test_it_goes_the_whole_way(
    model: Callable[[str], Path], policy: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    directory, root = model(task), policy.parent
    promoted = modelgates("promote", directory, "--policy", policy, cwd=root)
    assert promoted.returncode == 0, promoted.stdout + promoted.stderr
    assert re.search(rf"^significance, .*, wf, .*: not asked of a {task}, says the policy$", promoted.stdout, re.M)
    assert re.search(r"^metric\.beats_baseline +hard 0\.001 p", promoted.stdout, re.M)
    key, data, keys = LIVE[task]
    panel, names = data().panel, data().names
    live = panel.assign(visit="2021-01-04", patient=[f"P{row:03d}" for row in range(len(panel))])
    live[[*keys, *names]].to_csv(root / "live.csv", index=False)
    for verb, onnx in (("serve", "latest.onnx"), ("shadow", f"{directory.name}/model.onnx")):
        assert main([verb, "--onnx", str(directory.parent / onnx), "--csv", str(root / "live.csv")]) == 0
    artifacts = Artifacts.of(directory)
    served, shadowed = (logged(artifacts, arm) for arm in ("live", "shadow"))
    assert [record.row_key for record in served] == [record.row_key for record in shadowed]
    assert len({record.row_key for record in served}) == len(panel)
    assert key(5) in (None, served[5].row_key)
    assert {record.error for record in served} == {None}
    capsys.readouterr()
    flags = ["--artifacts", str(artifacts.root)]
    assert main(["status", *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["live"] == directory.name
    assert main(["drift-check", *flags, "--policy", str(policy)]) == 0
    assert f"no drift over {len(panel)} live predictions" in capsys.readouterr().out


def test_rows_without_a_name_are_paired_by_what_they_hold(model: Callable[[str], Path]) -> None:
    sidecar = Candidate(model("classification")).sidecar
    frame = tumours().panel[sidecar.names]

    def row_keys(frame: pd.DataFrame) -> list[str]:
        return named_rows({}, frame.to_numpy(np.float32), sidecar).keys

    keys = row_keys(frame)
    # The same rows in another order, as another file would have them.
    assert row_keys(frame.iloc[::-1]) == keys[::-1]
    frame.iloc[0, 0] += 1
    assert row_keys(frame)[0] != keys[0]
    assert row_keys(frame)[1:] == keys[1:]


def test_rows_that_hold_the_same_all_count_for_drift(model: Callable[[str], Path], tmp_path: Path) -> None:
    directory = model("classification")
    candidate = Candidate(directory)
    frame, golden = tumours().panel[candidate.sidecar.names], candidate.panel.native_scores
    again = np.repeat(np.arange(len(frame)), np.where(golden > np.median(golden), 3, 1))
    rows = {
        "stuck": (frame.iloc[[*range(len(frame)), *[0] * 9 * len(frame)]], golden, True),
        "as-on-the-panel": (frame.iloc[again], golden[again], False),
    }
    for name, (live, reference, drift) in rows.items():
        root = Artifacts(tmp_path / name)
        with Adapter(directory / MODEL, arm="live", artifacts=root) as adapter:
            adapter.score(named_rows({}, live.to_numpy(np.float32), candidate.sidecar))
        found = values_of(count_log(root, "live", Window(), Tally()))
        assert len(found) == len(live)
        assert detect_drift(reference, found)["overall_drift"] is drift


def test_a_policy_that_does_not_admit_it_refuses_it_and_says_what_to_write(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path
) -> None:
    directory = model("classification")
    result = run(pytester, f"--model-dir={directory}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    refusal = (
        f"{directory.name} is a classification model, and the policy admits no such model: if it is meant to, write "
        f"under [[]tasks] of the policy: {TASKS.splitlines()[2].replace('[', '[[]')}"
    )
    result.stderr.fnmatch_lines([f"ERROR: {refusal}"])
    assert run(pytester, f"--model-dir={directory}", f"--policy={policy}", "-m", "schema").ret == 0


def test_a_report_that_says_otherwise_promotes_nothing(
    model: Callable[[str], Path], policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = model("regression")
    policy.write_text(LENIENT)
    report = write_report(policy.parent / "report.json", green_ledger(directory, load_policy(policy)))
    words = ["--report", str(report), "--artifacts", str(directory.parents[1]), "--policy", str(policy)]
    assert main(["promote", *words]) == 1
    said = capsys.readouterr().err
    refusal = f"{directory.name} is a regression model, and the policy admits no such model"
    wanted = f"regression = [{FAMILIES_OF_RETURNS}, {GATES_OF_RETURNS}]"
    repair = f"if it is meant to, write under [tasks] of the policy: {wanted}"
    assert f"  {refusal} → {repair}\n" in said


def gates_of(pytester: pytest.Pytester, directory: Path, policy: Path, *words: str) -> pytest.RunResult:
    return run(pytester, f"--model-dir={directory}", f"--policy={policy}", str(GATES / "test_metric.py"), *words)


def spoiled(directory: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    path = directory / "evaluation.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    return directory


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(target=np.random.default_rng(1).permutation(frame["target"]))


def as_good_a_baseline(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(baseline=frame["reference"])


@pytest.mark.parametrize("change", [shuffled, as_good_a_baseline])
@pytest.mark.parametrize("task", LIVE)
def test_a_model_no_better_than_its_baseline_is_red(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path, task: str, change: Any
) -> None:
    directory = spoiled(model(task), change)
    assert outcomes(gates_of(pytester, directory, policy))["failed"] == 1
    record = record_of(directory, "metric.beats_baseline")
    assert judge(record, load_policy(policy))[0] is Verdict.FAILED
    (shown,) = record.evidence
    assert shown.value > 0.10
    assert shown.sample == len(Candidate(directory).panel.frame)
    assert shown.detail["gain"] == pytest.approx(shown.detail["model"] - shown.detail["baseline"])
    assert shown.detail["gain_from"] <= shown.detail["gain"] <= shown.detail["gain_to"]


@pytest.mark.parametrize(("metric", "shown"), [("average_precision", True), ("roc_auc", False)])
def test_a_metric_that_is_computed_anew_says_how_far_it_is(
    pytester: pytest.Pytester, tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, metric: str, shown: bool
) -> None:
    monkeypatch.setattr(progress, "progress_lines", partial(progress.progress_lines, every=0))
    result = gates_of(pytester, pack_tumours(tmp_path / "artifacts", metric=metric), policy)
    line = f"metric.beats_baseline: resamples of {metric}: "
    said = [each for each in result.outlines if each.startswith(line)]
    assert len(said) == (998 if shown else 0)
    assert all(fnmatchcase(each, f"{line}* of 999, about * s left") for each in said)


FEW = [
    pytest.param(lambda frame: frame.head(99), "truth has 99 values, expected at least 100: measure more", id="rows"),
    pytest.param(
        lambda frame: pd.concat([frame[frame.target == 1], frame[frame.target == 0].head(19)]),
        "19 rows of class 0 and *, expected at least 20 of each: measure more",
        id="class",
    ),
    pytest.param(
        lambda frame: frame[frame.target == 1], "0 rows of class 0 and *, expected at least 20 *", id="one-class"
    ),
]


@pytest.mark.parametrize(("change", "why"), FEW)
def test_too_little_data_is_inconclusive(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path, change: Any, why: str
) -> None:
    directory = spoiled(model("classification"), change)
    result = gates_of(pytester, directory, policy)
    result.stdout.fnmatch_lines([f"metric.beats_baseline: inconclusive: {why}"])
    record = record_of(directory, "metric.beats_baseline")
    assert judge(record, load_policy(policy))[0] is Verdict.INCONCLUSIVE


def test_days_are_resampled_whole_where_there_are_days(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path
) -> None:
    directory = spoiled(
        model("regression"), lambda frame: frame.assign(visit=frame["visit"].dt.to_period("M").dt.start_time)
    )
    result = gates_of(pytester, directory, policy)
    result.stdout.fnmatch_lines(["metric.beats_baseline: inconclusive: 11 days, expected at least 20: *"])


def test_a_floor_is_kept_if_the_policy_sets_one(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path
) -> None:
    floor = (
        '[slo."metric.floor"]\ngate = "metric.gain"\nat_least = 0.99\nunit = "AUC"\nseverity = "soft"\nadvice = "fit"\n'
    )
    policy.write_text(policy.read_text() + floor)
    directory = model("classification")
    result = gates_of(pytester, directory, policy)
    assert outcomes(result) == {"passed": 1, "xfailed": 1}
    result.stdout.fnmatch_lines(["metric.floor * WARN"])


@pytest.mark.integration
def test_each_gate_goes_red_on_its_twin(model: Callable[[str], Path], policy: Path) -> None:
    directory = model("regression")
    others = [
        "integrity",
        "schema",
        "data.finite",
        "data.unique_keys",
        "data.ordered",
        "data.no_overlap",
        "data.window",
    ]
    policy.write_text(f"not_applicable = {json.dumps([*others, 'parity', 'drift'])}\n{LENIENT}{TASKS}")
    done = modelgates("prove", directory, "--policy", policy, cwd=policy.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "red    data.repeated_rows on its twin rows_twice: failed, measured 0.5 of the rows",
        "red    leak.target on its twin telling_feature: failed, measured 1 AUC or rho",
        "red    metric.beats_baseline on its twin knowing_baseline: failed, measured 1 p",
    ):
        assert line in done.stdout


def test_the_twin_has_its_own_fault_alone(packed: dict[str, Path], tmp_path: Path) -> None:
    assert faults(twin_of(packed["regression"], tmp_path, knowing_baseline)) == set()
    assert faults(twin_of(packed["regression"], tmp_path / "rows", rows_twice)) == {"keys", "order"}
    assert faults(twin_of(packed["regression"], tmp_path / "feature", telling_feature)) == {"parity"}


@pytest.mark.usefixtures("packed")  # imports pyarrow, which cannot be loaded twice, before pytester can forget it
def test_what_the_page_on_classifiers_shows_works(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "classifier.md").read_text("utf-8")
    code, policy = (page.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("python", "toml"))
    monkeypatch.chdir(pytester.path)
    exec(compile(code, "page", "exec"), {})  # prints where the model lies
    directory = pytester.path / capsys.readouterr().out.strip()
    (pytester.path / "policy.toml").write_text(policy)
    assert gates_of(pytester, directory, pytester.path / "policy.toml").ret == 0


def test_a_boosted_classifier_is_scored_by_its_chances(tmp_path: Path) -> None:
    data = tumours()
    booster = LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(
        data.train[data.names].to_numpy(), data.train.target
    )
    directory = pack_tumours(tmp_path / "artifacts", model=booster, metric="neg_log_loss")
    chances = booster.predict_proba(data.panel[data.names].to_numpy())[:, 1]
    assert Candidate(directory).scores == pytest.approx(chances, abs=1e-6)


def test_it_is_packed_from_files(packed: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready = Candidate(packed["classification"])
    (tmp_path / "model.onnx").write_bytes(ready.onnx_bytes)
    ready.panel.frame.to_csv(tmp_path / "panel.csv", index=False)
    groups = {group: [ready.sidecar.names[at] for at in positions] for group, positions in ready.sidecar.groups.items()}
    lines = "\n".join(f"{group} = {json.dumps(names)}" for group, names in groups.items())
    spec = 'task = "classification"\nmetric = "roc_auc"\nchanges = "From files."\n[groups]\n' + lines
    (tmp_path / "list.toml").write_text(spec)
    words = [
        str(tmp_path / "model.onnx"),
        "--panel",
        str(tmp_path / "panel.csv"),
        "--spec",
        str(tmp_path / "list.toml"),
    ]
    assert main(["pack", *words, "--artifacts", str(tmp_path / "artifacts")]) == 0
    again = Candidate(Path(capsys.readouterr().out.strip()))
    assert again.sidecar == ready.sidecar
    assert again.sidecar.keys == []


UNPACKABLE = [
    pytest.param(
        lambda data: {"panel": data.panel.drop(columns="baseline")},
        PackError,
        "the panel has no column 'baseline'; it holds *; 'baseline' is what the baseline predicts of each row, such as "
        "the training mean or the model in use",
        id="no-baseline",
    ),
    pytest.param(
        lambda data: {"panel": data.panel.assign(target=2)},
        PackError,
        "the panel's 'target' holds more than 0 and 1; give 1 where the class was met, else 0",
        id="three-classes",
    ),
    pytest.param(
        lambda data: {"metric": "auc"},
        StatisticsError,
        "scikit-learn has no scorer 'auc'; see sklearn.metrics.get_scorer_names()",
        id="unknown-metric",
    ),
]


@pytest.mark.parametrize(("changes", "error", "message"), UNPACKABLE)
def test_what_cannot_be_judged_is_not_packed(
    tmp_path: Path, changes: Callable[[Data], dict[str, Any]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as found:
        pack_tumours(tmp_path / "artifacts", **changes(tumours()))
    assert fnmatchcase(str(found.value), message)
    assert not (tmp_path / "artifacts").exists()


def test_without_scikit_learn_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    message = "sklearn is not installed; run: pip install 'pytest-modelgates[metrics]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        named_metric("r2")


def alone(pytester: pytest.Pytester, directory: Path, policy: Path, gate: str) -> tuple[Verdict, pytest.RunResult]:
    """Run one gate of a model that is not a signal."""
    family, _, name = gate.partition(".")
    place = ["-c", pytester.makeini("[pytest]"), f"{GATES}/test_{family}.py::test_{name}"]
    result = run(pytester, f"--model-dir={directory}", f"--policy={policy}", *place)
    return judge(record_of(directory, gate), load_policy(policy))[0], result


def twice_over(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.head(5)])


def told_by_a_feature(frame: pd.DataFrame) -> pd.DataFrame:
    noise = 0.01 * frame["target"].std() * np.random.default_rng(1).standard_normal(len(frame))
    return frame.assign(**{frame.columns[-4]: (noise - frame["target"]).astype(frame.iloc[:, -4].dtype)})


LEAKING = [
    pytest.param(
        "data.repeated_rows",
        "classification",
        twice_over,
        "data.repeated_rows: measured 0.0173 of the rows, limit ≤ 0.001, first_row 284",
        "rows come several times: pack each once, or name what tells them apart with time= or asset=",
        id="rows-twice",
    ),
    pytest.param(
        "data.repeated_rows",
        "regression",
        twice_over,
        "data.repeated_rows: measured 0.0221* of the rows, limit ≤ 0.001, first_row 221",
        "rows come several times: pack each once, or name what tells them apart with time= or asset=",
        id="named-rows-twice",
    ),
    pytest.param(
        "leak.target",
        "classification",
        told_by_a_feature,
        "leak.target: measured 1 AUC or rho, limit 0 ≤ · < 0.99, feature mean_fractal_dimension",
        "one feature tells the target: it was written down with it or after it; leave it out",
        id="class-told",
    ),
    pytest.param(
        "leak.target",
        "regression",
        told_by_a_feature,
        "leak.target: measured 0.99* AUC or rho, limit 0 ≤ · < 0.99, feature s6",
        "one feature tells the target: it was written down with it or after it; leave it out",
        id="number-told",
    ),
]


@pytest.mark.parametrize(("gate", "task", "change", "message", "advice"), LEAKING)
def test_rows_that_come_twice_and_features_that_tell_the_target_are_refused(
    pytester: pytest.Pytester,
    model: Callable[[str], Path],
    policy: Path,
    gate: str,
    task: str,
    change: Any,
    message: str,
    advice: str,
) -> None:
    verdict, result = alone(pytester, spoiled(model(task), change), policy, gate)
    assert verdict is Verdict.FAILED
    result.stdout.fnmatch_lines([message, advice])


@pytest.mark.parametrize("gate", ["data.repeated_rows", "leak.target"])
@pytest.mark.parametrize("task", LIVE)
def test_honest_rows_pass(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path, gate: str, task: str
) -> None:
    assert alone(pytester, model(task), policy, gate)[0] is Verdict.PASSED


def test_rows_of_a_few_values_may_be_alike(
    pytester: pytest.Pytester, model: Callable[[str], Path], policy: Path
) -> None:
    def coarse(frame: pd.DataFrame) -> pd.DataFrame:
        names = list(frame)[:10]
        return frame.assign(**{name: (frame[name] > frame[name].median()).astype(frame[name].dtype) for name in names})

    directory = spoiled(model("classification"), coarse)
    assert pd.read_parquet(directory / "evaluation.parquet").iloc[:, :11].duplicated().any()
    assert alone(pytester, directory, policy, "data.repeated_rows")[0] is Verdict.PASSED
