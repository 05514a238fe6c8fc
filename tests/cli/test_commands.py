"""The command line: its four exit codes, its JSON, and no traceback whatever it is given."""

import gzip
import io
import json
import os
import re
import resource
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_modelgates import __main__ as start
from pytest_modelgates.audit.chain import Commit, Event, append, read_history, read_log
from pytest_modelgates.cli import main
from pytest_modelgates.cli.status import say
from pytest_modelgates.drift import save_golden_predictions
from pytest_modelgates.drift.versions import golden_metadata
from pytest_modelgates.errors import KilledError
from pytest_modelgates.model.candidate import Candidate
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.place import NEIGHBOUR
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.registry.store import live_change, live_id
from pytest_modelgates.serving.adapter import Adapter
from pytest_modelgates.storage.digests import tree_digest
from tests.support.handmade import Registry, golden_of, green_report, log_predictions, logged, modelgates, predictions
from tests.support.panels import FEATURES, invented_panel

Capture = pytest.CaptureFixture[str]


def asked(registry: Registry, *arguments: object) -> int:
    return main([*map(str, arguments), "--artifacts", str(registry.artifacts.root)])


# What `compare` prints for two copies of one model.
WHOLLY = (
    "rank correlation by day 1.0000 with the live model\n"
    "  at least 1.0000 (95 %), over 20 days, 400 rows; top tenth 1.00 in common"
)


@pytest.fixture
def served(registry: Registry) -> Registry:
    """A registry with predictions of both models on the same rows."""
    drawn = np.random.default_rng(8).choice(golden_of(registry.artifacts.model(registry.live)), 400).tolist()
    artifacts = registry.artifacts
    log_predictions(artifacts, predictions(live_change(artifacts).digest, drawn, arm="live"))
    digest = tree_digest(artifacts.model(registry.candidate))
    log_predictions(artifacts, predictions(digest, drawn))
    return registry


def test_status_list_and_log_are_readable(registry: Registry, capsys: Capture) -> None:
    assert (asked(registry, "status"), asked(registry, "list"), asked(registry, "log")) == (0, 0, 0)
    (entry,) = read_log(registry.artifacts.promotions)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"live: {registry.live} since ")
    packed = datetime.fromtimestamp(int(registry.live), UTC)
    assert f"{registry.live}  {packed:%Y-%m-%d %H:%M:%S}  live       A ridge for tests." in out
    assert out[-2:] == [
        f"{entry.time:%Y-%m-%d %H:%M:%S}  promote   - → {registry.live}  {entry.actor}  all hard gates passed",
        f"    policy: registry/policy.toml sha256:{registry.policy.digest[:16]}",
    ]


def test_a_reason_never_takes_two_lines_of_the_log(registry: Registry, capsys: Capture) -> None:
    assert (
        asked(
            registry,
            "promote",
            "--report",
            green_report(registry),
            "--policy",
            registry.policy_file,
            "--reason",
            "a\n2026 b",
        )
        == 0
    )
    capsys.readouterr()
    assert asked(registry, "log") == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("  a 2026 b")


@pytest.mark.parametrize("verb", ["status", "list", "log", "log --verify", "golden show", "golden list", "compare"])
def test_a_mistyped_folder_is_no_registry_without_problems(tmp_path: Path, capsys: Capture, verb: str) -> None:
    assert main([*verb.split(), "--artifacts", str(tmp_path / "artefacts")]) == 1
    assert capsys.readouterr() == (
        "",
        f"modelgates: {tmp_path / 'artefacts'}: no such artifacts folder; pack a model first, or give --artifacts\n",
    )


def test_what_the_log_shows_plays_no_tricks_on_a_terminal(registry: Registry, capsys: Capture) -> None:
    (entry,) = read_log(registry.artifacts.promotions)
    forged = msgspec.structs.replace(entry, actor="eve\n2026", reason="\x1b[2J", waivers=("\r",))
    append(registry.artifacts.promotions, forged)
    append(registry.artifacts.promotions, Commit(time=entry.time))
    assert asked(registry, "log") == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"{entry.time:%Y-%m-%d %H:%M:%S}  promote   - → {registry.live}  eve\\n2026  \\x1b[2J",
        "    \\r",
    ]
    assert asked(registry, "status") == 0
    assert ", by eve\\n2026\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reason", "logged"),
    [
        pytest.param("it \udcff was", "it \\udcff was", id="not-utf8"),
        pytest.param("\x1b[31mred", "\\x1b[31mred", id="escape"),
        pytest.param(" two\n lines ", "two lines", id="two-lines"),
    ],
)
def test_a_reason_is_logged_as_one_printable_line(registry: Registry, reason: str, logged: str) -> None:
    command = ["promote", "--report", green_report(registry), "--policy", registry.policy_file, "--reason", reason]
    assert asked(registry, *command) == 0
    assert read_log(registry.artifacts.promotions)[-1].reason == logged


@pytest.mark.parametrize(
    ("actor", "reason", "said"),
    [
        pytest.param(
            "ada\udcff",
            "x",
            "the actor ada\\udcff… is not a name; set $MODELGATES_ACTOR to at most 200 printable characters in UTF-8",
            id="actor-not-utf8",
        ),
        pytest.param("ada\n2026", "x", "the actor ada\\n2026… is not a name; ", id="actor-two-lines"),
        pytest.param("a" * 201, "x", f"the actor {'a' * 40}… is not a name; ", id="actor-long"),
        pytest.param(
            "ada", "x" * 10_001, "a reason of 10001 characters, at most 10000 are logged; say it shorter", id="essay"
        ),
    ],
)
def test_who_and_why_must_fit_into_the_log(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch, actor: str, reason: str, said: str
) -> None:
    monkeypatch.setenv("MODELGATES_ACTOR", actor)
    report, before = green_report(registry), registry.state()
    assert asked(registry, "promote", "--report", report, "--policy", registry.policy_file, "--reason", reason) == 1
    assert said in capsys.readouterr().err
    assert registry.state() == before


def test_the_log_knows_what_was_live_at_a_time(registry: Registry, capsys: Capture) -> None:
    (entry,) = read_log(registry.artifacts.promotions)
    assert asked(registry, "log", "--at", "2000-01-01") == 0
    assert asked(registry, "log", "--at", entry.time.isoformat()) == 0
    assert asked(registry, "log", "--at", "9999-12-31T23:59") == 0
    assert capsys.readouterr().out.splitlines() == ["nothing was live then", registry.live, registry.live]
    assert asked(registry, "log", "--json", "--at", "2000-01-01") == 0
    assert json.loads(capsys.readouterr().out) == {"live": None}


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "", "9999-12-31T23:59-14:00", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_wrong_usage(registry: Registry, capsys: Capture, time: str) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(registry, "log", "--at", time)
    assert ended.value.code == 2
    assert f"argument --at: {time!r} is not a time; give one such as 2026-11-23T07:30" in capsys.readouterr().err


def test_what_shows_nothing_says_so(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "models").mkdir()
    for verb, said in (
        (["list"], "no model was packed yet"),
        (["log"], "nothing was promoted yet"),
        (["golden", "show"], "no golden yet; a promotion saves one, and so does: modelgates golden set ID"),
        (["golden", "list"], "no golden yet; a promotion saves one, and so does: modelgates golden set ID"),
    ):
        assert main([*verb, "--artifacts", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"{said}\n"


def test_everything_that_prints_prints_json_too(served: Registry, capsys: Capture) -> None:
    def parsed(*arguments: object) -> object:
        assert asked(served, *arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    status = parsed("status")
    assert (status["live"], status["problems"], status["newest"]) == (served.live, [], served.candidate)
    assert [row["id"] for row in parsed("list")] == [served.live, served.candidate]
    assert [entry.get("to", entry.get("kind")) for entry in parsed("log")] == ["trial", served.live, "trial"]
    assert parsed("log", "--at", "9999-01-01") == {"live": served.live}
    assert list(parsed("golden", "list")["goldens"]) == [served.live]
    assert parsed("golden", "show")["model_id"] == served.live
    assert parsed("golden", "diff", served.live, served.live)["psi"]["value"] == 0
    drift = parsed("drift-check")
    assert (drift["model_id"], drift["rows"], drift["overall_drift"]) == (served.live, 400, False)
    numbers = {"psi", "ks", "missing", "literal", "sizes"}
    said = {"model_id", "rows", "repeated", "overall_drift", "reasons", "dependence", "over_time"}
    assert set(drift) == said | numbers
    assert [day["rows"] for day in parsed("drift-check", "--by", "day")["days"]] == [20] * 20
    assert parsed("compare") == {
        "model_id": served.candidate,
        "agrees": True,
        "earned_more": None,
        "not_earned": None,
        "latency_ms": [pytest.approx(1, rel=0.02)] * 2,
        "live_latency_ms": [pytest.approx(1, rel=0.02)] * 2,
        "flipped": 0,
        "largest": 0,
        "mean": pytest.approx(1),
        "lower": pytest.approx(1),
        "overlap": pytest.approx(1),
        "days": 20,
        "constant": 0,
        "rows": 400,
    }


def test_golden_set_show_and_list(registry: Registry, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("prediction\n1\n2\n")
    before = golden_metadata(registry.artifacts.golden).goldens[registry.live]
    for model_id in (registry.candidate, registry.live):
        assert asked(registry, "golden", "set", model_id, "--from", tmp_path / "own.csv") == 0
        said = capsys.readouterr()
        assert said.out == f"{registry.artifacts.golden / model_id}.parquet\n  2 rows from own.csv\n"
    back = f"modelgates golden set {registry.live} --from {before.name}"
    assert said.err == f"modelgates: the golden before is kept; to put it back: {back}\n"
    assert asked(registry, "golden", "list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in listed] == [[registry.live, "2 rows"], [registry.candidate, "2 rows"]]
    assert [line.endswith("  1 earlier") for line in listed] == [True, False]
    assert asked(registry, *back.split()[1:]) == 0
    capsys.readouterr()
    assert asked(registry, "golden", "show") == 0
    assert capsys.readouterr().out.startswith(f"{registry.live}: {before.name} is in force\n")


def test_a_golden_is_not_made_of_a_window_without_a_log(registry: Registry, capsys: Capture) -> None:
    for options, said in (
        (["--since", "2026-01-01"], "--since and --until choose from the live log: add --from log"),
        (
            ["--from", "log", "--since", "2026-01-02", "--until", "2026-01-02"],
            "--since 2026-01-02 00:00 is not before ",
        ),
    ):
        assert asked(registry, "golden", "set", registry.live, *options) == 2
        assert said in capsys.readouterr().err


def test_a_golden_that_is_not_in_its_place_is_shown_with_what_to_type(registry: Registry, capsys: Capture) -> None:
    registry.artifacts.golden.joinpath(f"{registry.live}.parquet").write_bytes(b"")
    assert asked(registry, "golden", "show") == 1
    assert f"set it again: modelgates golden set {registry.live}\n" in capsys.readouterr().out


def test_a_drift_check_ends_with_one_on_drift(served: Registry, capsys: Capture) -> None:
    assert asked(served, "drift-check") == 0
    assert ": no drift over 400 live predictions" in capsys.readouterr().out
    moved = predictions(live_change(served.artifacts).digest, [float(value) for value in range(400)], arm="live")
    log_predictions(served.artifacts, moved)
    assert asked(served, "drift-check", "--last", 400) == 1
    assert f"{served.live}: DRIFT over 400 live predictions" in capsys.readouterr().out


def test_a_drift_check_selects_in_the_log(served: Registry, capsys: Capture) -> None:
    assert asked(served, "drift-check", "--since", "2020-01-01", "--until", "9999-01-01T00:00+01:00") == 0
    assert ": no drift over 400 live predictions" in capsys.readouterr().out
    assert asked(served, "drift-check", "--until", "2020-01-01", "--since", "2019-12-31T23:00:00-01:00") == 1
    place = served.artifacts.predictions / "live"
    ends = "from 2020-01-01T00:00:00+00:00 until 2020-01-01T00:00:00+00:00"
    said = f"no prediction of {served.live} in {place} that was scored {ends}; see: modelgates predictions"
    assert capsys.readouterr().err == f"modelgates: {said}\n"
    moved = predictions(live_change(served.artifacts).digest, [float(value) for value in range(400)], arm="blue")
    log_predictions(served.artifacts, moved)
    assert asked(served, "drift-check", "--arm", "blue") == 1
    assert f"{served.live}: DRIFT over 400 blue predictions" in capsys.readouterr().out
    assert asked(served, "drift-check", "--model", served.live) == 0
    assert f"{served.live}: no drift over 400 live predictions" in capsys.readouterr().out
    checks = [json.loads(line) for line in served.artifacts.drift_checks.read_text().splitlines()]
    assert [(check["arm"], check["window"]["since"]) for check in checks] == [
        ("live", "2020-01-01T00:00:00Z"),
        ("blue", None),
        ("live", None),
    ]


WRONG_SELECTIONS = [
    pytest.param(["--model", "1600000000"], "1600000000: no such model; give --model one of: modelgates list", 1),
    pytest.param(["--model", "x"], "'x' is not a model id: expected the 10 to 12 digits of a Unix time, such as ", 1),
    pytest.param(["--arm", "../x"], "'../x' is not an arm: expected a name such as live, shadow or blue-2", 1),
    pytest.param(["--arm", "green"], "green; see what is in the log: modelgates predictions", 1),
]


@pytest.mark.parametrize(("words", "said", "code"), WRONG_SELECTIONS)
def test_what_is_not_in_the_log_is_said(
    served: Registry, capsys: Capture, words: list[str], said: str, code: int
) -> None:
    assert asked(served, "drift-check", *words) == code
    assert said in capsys.readouterr().err


def test_a_candidate_without_a_golden_is_told_how_to_get_one(served: Registry, capsys: Capture) -> None:
    assert asked(served, "drift-check", "--arm", "shadow", "--model", served.candidate) == 1
    assert "set one: modelgates golden set" in capsys.readouterr().err


def test_a_drift_check_reads_files(
    served: Registry, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calm = np.random.default_rng(4).choice(golden_of(served.artifacts.model(served.live)), 600)
    for day, values in (("2026-01-01", calm[:300]), ("2026-01-02", calm[300:])):
        (tmp_path / "scores" / f"date={day}").mkdir(parents=True)
        pd.DataFrame({"prediction": values}).to_parquet(tmp_path / "scores" / f"date={day}" / "a.parquet")
    assert asked(served, "drift-check", "scores/*/a.parquet", "scores") == 0
    assert f"{served.live}: no drift over 600 predictions in 2 files\n" in capsys.readouterr().out
    Path("moved.csv").write_text("score\n" + "\n".join(map(str, (calm + 1).tolist())))
    assert asked(served, "drift-check", "moved.csv", "--column", "score", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["overall_drift"]) == (600, True)
    *_, check = map(json.loads, served.artifacts.drift_checks.read_text().splitlines())
    assert (check["arm"], check["files"], check["column"]) == (None, ["moved.csv"], "score")


def test_predictions_of_fewer_bits_are_compared_as_such(served: Registry, capsys: Capture, tmp_path: Path) -> None:
    save_golden_predictions([0.1, 0.2, 0.3] * 200, served.live, folder=served.artifacts.golden)
    pd.DataFrame({"prediction": np.array([0.1, 0.2, 0.3] * 100, np.float32)}).to_parquet(tmp_path / "a.parquet")
    kept = served.artifacts.golden / f"{served.live}.counts"
    for prepared in (False, True):  # for the log the golden is kept as it is
        assert kept.exists() == prepared
        assert asked(served, "drift-check", tmp_path / "a.parquet", "--json") == 0
        assert json.loads(capsys.readouterr().out)["ks"]["statistic"] == 0
        asked(served, "drift-check")
        capsys.readouterr()


WRONG_FILES = [
    pytest.param(["--column", "score"], 2, "--column names a column of files; give FILE as well"),
    pytest.param(
        ["a.csv", "--arm", "live", "--by", "day"],
        2,
        "--arm and --by select in the log, and files have neither times nor arms; give FILE without them",
    ),
    pytest.param(["nothing.csv"], 1, "nothing.csv: no such file; give files, folders, or a pattern such as "),
    pytest.param(["empty.csv"], 1, "no row in 1 file: give one that holds predictions"),
    pytest.param(["a.csv"], 1, "a.csv: has no column 'prediction'; it holds score; name the one of predictions"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG_FILES)
def test_files_that_cannot_be_compared_are_named(
    served: Registry,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("score\n1\n")
    Path("empty.csv").write_text("prediction\n")
    assert asked(served, "drift-check", *words) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_check_of_the_log_waits_for_no_heavy_library(served: Registry) -> None:
    script = f"""
import sys
from pytest_modelgates.cli import main
verb = ["drift-check", "--artifacts={served.artifacts.root}"]
for last in ([], ["--last=100"], ["--since=2020-01-01"]):
    assert main([*verb, *last]) == 0
heavy = {{"pandas", "pyarrow", "scipy", "sklearn", "onnx", "onnxruntime", "pytest", "dask", "distributed"}}
print("RAN", *sorted(heavy & set(sys.modules)))
"""
    main(["drift-check", f"--artifacts={served.artifacts.root}"])  # prepares the golden, which is a file of Parquet
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "RAN", done.stderr


@pytest.mark.parametrize("last", ["0", "-5", "x", "１"])
def test_a_number_of_rows_is_a_positive_one(registry: Registry, capsys: Capture, last: str) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(registry, "drift-check", f"--last={last}")
    assert ended.value.code == 2
    said = "'0' is too few, give 1 or more" if last == "0" else f"{last!r} is not a whole number; give one such as 5"
    assert f"argument --last: {said}" in capsys.readouterr().err


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A CSV file of live rows."""
    path = tmp_path / "live_data.csv"
    invented_panel(days=20, seed=9)[["time", "asset", *FEATURES]].to_csv(path, index=False)
    return path


def test_serve_and_shadow_score_the_same_rows_and_compare_pairs_them(
    registry: Registry, rows: Path, capsys: Capture
) -> None:
    latest, candidate = registry.artifacts.latest_onnx, registry.artifacts.model(registry.candidate) / "model.onnx"
    assert main(["serve", "--onnx", str(latest), "--csv", str(rows)]) == 0
    assert main(["shadow", "--onnx", str(candidate), "--csv", str(rows)]) == 0
    assert asked(registry, "compare") == 0
    assert capsys.readouterr().out.splitlines()[:5] == [
        f"{registry.live} (live): 400 rows scored, 0 refused; log: {registry.artifacts.newest_parts['live']}",
        f"{registry.candidate} (shadow): 400 rows scored, 0 refused; log: {registry.artifacts.newest_parts['shadow']}",
        *f"{registry.candidate}: {WHOLLY}".splitlines(),
        "  within the policy's limit, shadow.rank_corr",
    ]


@pytest.mark.integration
def test_the_script_in_the_registry_folder_compares(served: Registry) -> None:
    script = Path(__file__).parents[2] / "registry" / "compare_shadow_vs_prod.py"
    done = subprocess.run([sys.executable, script], cwd=served.artifacts.root.parent, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        *f"{served.candidate}: {WHOLLY}".splitlines(),
        "  within the policy's limit, shadow.rank_corr",
        "  0.00% of the signs are opposite, largest difference of two scores 0",
        "  latency 1 ms, p95 1 ms; of the live model 1 ms, p95 1 ms",
    ]


def test_the_script_in_the_registry_folder_rolls_back(registry: Registry) -> None:
    assert asked(registry, "promote", "--report", green_report(registry), "--policy", registry.policy_file) == 0
    script = Path(__file__).parents[2] / "registry" / "rollback.py"
    command = [sys.executable, script, registry.live, "--reason", "worse"]
    done = subprocess.run(command, cwd=registry.artifacts.root.parent, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_log(registry.artifacts.promotions)[-1].reason == "worse"


@pytest.mark.integration
@pytest.mark.parametrize("verb", ["serve", "shadow"])
def test_the_kill_switch_refuses_both_verbs(registry: Registry, rows: Path, verb: str) -> None:
    done = modelgates(
        verb, "--onnx", registry.artifacts.latest_onnx, "--csv", rows, env=os.environ | {"SERVE_KILL": "false"}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "modelgates: the kill switch is on (SERVE_KILL=false): nothing is scored; unset it to go on\n"
    )
    assert logged(registry.artifacts, "live") == []


def events(registry: Registry) -> list[tuple[str, str]]:
    """What the log says of the kill switch: kind and subject."""
    history = read_history(registry.artifacts.promotions)
    return [(each.kind, each.subject) for each in history if isinstance(each, Event) and "kill" in each.kind]


def test_kill_and_unkill_are_said_shown_and_logged(registry: Registry, rows: Path, capsys: Capture) -> None:
    serve = ["serve", "--onnx", str(registry.artifacts.latest_onnx), "--csv", str(rows)]
    assert asked(registry, "kill", "--reason", "wrong scores") == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"every arm was killed by \S+ on \S+ at [0-9: -]+ UTC: wrong scores\n", said.out)
    assert said.err == ""
    assert main(serve) == 1
    assert capsys.readouterr().err == (
        f'modelgates: {said.out.strip()}; nothing is scored; to go on: modelgates unkill --reason "…"\n'
    )
    assert asked(registry, "kill", "--arm", "live", "--reason", "stale") == 0
    assert asked(registry, "unkill", "--reason", "mended") == 0
    assert re.search(r"^all: not killed any more; arm live was killed by .*: stale\n\Z", capsys.readouterr().out, re.M)
    assert asked(registry, "status", "--policy", registry.policy_file) == 0
    assert re.search(r"^arm live was killed by .*: stale$", capsys.readouterr().out, re.M)
    assert asked(registry, "unkill", "--arm", "live", "--reason", "fresh") == 0
    assert main(serve) == 0
    assert capsys.readouterr().out.startswith("live: not killed any more\n")
    assert events(registry) == [("kill", "all"), ("kill", "live"), ("unkill", "all"), ("unkill", "live")]


def test_kill_stops_though_the_log_is_damaged_or_held(registry: Registry, rows: Path, capsys: Capture) -> None:
    with registry.artifacts.promotions.open("ab") as file:
        file.write(b"nonsense\n")
    assert asked(registry, "kill", "--reason", "fire") == 0
    note = capsys.readouterr().err
    assert note.startswith("modelgates: the event is not in the audit log yet (")
    assert note.endswith("); the next command that writes the log adds it\n")
    assert main(["serve", "--onnx", str(registry.artifacts.latest_onnx), "--csv", str(rows)]) == 1
    assert asked(registry, "recover", "--yes", "--policy", registry.policy_file) == 0
    assert asked(registry, "unkill", "--reason", "out") == 0
    assert events(registry) == [("kill", "all"), ("unkill", "all")]


@pytest.mark.parametrize("kept", ["promotions.log", "predictions"])
def test_kill_stops_what_still_runs_though_the_models_are_gone(
    registry: Registry, rows: Path, capsys: Capture, kept: str
) -> None:
    root = registry.artifacts.root
    with Adapter(registry.artifacts.latest_onnx, arm="live") as running:
        list(running.run_csv(rows))
        for path in list(root.iterdir()):
            if path.name != kept:
                path.rename(root.with_name(path.name))
        assert asked(registry, "kill", "--reason", "fire") == 0
        assert re.search(r"not in the audit log yet \(.*(put it back|not an artifacts root)", capsys.readouterr().err)
        with pytest.raises(KilledError, match="fire"):
            running.switch.refuse()


@pytest.mark.parametrize("verb", ["kill", "unkill"])
def test_an_arm_has_a_name(registry: Registry, capsys: Capture, verb: str) -> None:
    assert asked(registry, verb, "--arm", "../live", "--reason", "x") == 1
    assert capsys.readouterr().err == (
        "modelgates: '../live' is not an arm: expected a name such as live, shadow or blue-2\n"
    )


def test_rows_that_were_refused_show_in_the_exit_code(registry: Registry, rows: Path, capsys: Capture) -> None:
    with rows.open("a") as file:
        file.write("2021-01-01,A00,,0.5\n")
    assert main(["shadow", "--onnx", str(registry.artifacts.latest_onnx), "--csv", str(rows)]) == 1
    said = capsys.readouterr()
    assert "400 rows scored, 1 refused" in said.out
    why = "schema: line 402: column 'momentum' is empty, and it may not be missing"
    assert said.err == f"modelgates: {rows}, 2021-01-01|A00: {why}\n"


def test_the_first_rows_that_were_refused_are_named_on_stderr(
    registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    csv = tmp_path / "live.csv"
    csv.write_text("time,asset,momentum,value\n" + "\n" * 12 + "2021-01-01,A00,0.5,0.5\n")
    assert main(["serve", "--onnx", str(registry.artifacts.latest_onnx), "--csv", str(csv)]) == 1
    said = capsys.readouterr()
    assert "1 rows scored, 12 refused" in said.out
    assert said.err.splitlines() == [
        *(
            f"modelgates: {csv}: schema: line {line}: a blank line, expected 4 fields; delete it"
            for line in range(2, 12)
        ),
        f"modelgates: {csv}: 2 more rows are refused; the log has the reason for each",
    ]
    assert len(logged(registry.artifacts, "live")) == 13


@pytest.mark.parametrize("verb", ["serve", "shadow"])
def test_a_header_alone_is_done_with_a_warning(registry: Registry, tmp_path: Path, capsys: Capture, verb: str) -> None:
    csv = tmp_path / "live.csv"
    csv.write_text("time,asset,momentum,value\n")
    assert main([verb, "--onnx", str(registry.artifacts.latest_onnx), "--csv", str(csv)]) == 0
    said = capsys.readouterr()
    assert said.err == f"modelgates: warning: {csv}: a header and not a row\n"
    assert "0 rows scored, 0 refused" in said.out
    assert not registry.artifacts.predictions.exists()


def test_a_broken_gz_file_is_refused_in_a_line_and_leaves_a_record(
    registry: Registry, rows: Path, capsys: Capture
) -> None:
    packed = rows.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(rows.read_bytes())[:-20])
    assert main(["serve", "--onnx", str(registry.artifacts.latest_onnx), "--csv", str(packed)]) == 1
    why = "Compressed file ended before the end-of-stream marker was reached"
    said = f"{packed}: not a whole .gz file ({why}); write or fetch it again"
    assert capsys.readouterr() == ("", f"modelgates: {said}\n")
    (record,) = logged(registry.artifacts, "live")
    assert record.error == f"schema: {said}"


def test_panel_prints_the_line_that_admits_a_panel_alone(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    judged = Candidate(registry.artifacts.model(registry.live)).panel
    line = f'panel = "{judged.rows_digest}"  # 15000 rows of 20 assets, 2020-01-01 to 2022-11-15\n'
    # In another order, under other names, with other columns, and as text.
    kept = judged.frame[["asset", "ret_next", "time", "reference"]].sample(frac=1, random_state=1)
    kept.to_parquet(tmp_path / "kept.parquet")
    kept.rename(columns={"time": "date", "asset": "name"}).to_csv(tmp_path / "kept.csv", index=False)
    assert main(["panel", str(tmp_path / "kept.parquet")]) == 0
    assert main(["panel", str(tmp_path / "kept.csv"), "--time=date", "--asset=name"]) == 0
    assert capsys.readouterr() == (2 * line, "")
    policy = tmp_path / "policy.toml"
    policy.write_text("[data]\n" + line)
    assert load_policy(policy).data.panel == judged.rows_digest


NO_PANEL = [
    pytest.param(
        "time,asset\n2020-01-01,A\n", ": no column 'ret_next'; it holds time, asset; rename the column", id="column"
    ),
    pytest.param(
        "date,asset,ret_next\n2020-01-01,A,0.1\n",
        ": no column 'time'; it holds date, asset, ret_next; name the columns of times and assets with --time and",
        id="column-of-times",
    ),
    pytest.param(
        "time,asset,ret_next\n2020-01-01,A,0.1\n2020-01-01,A,0.1\n",
        " has 1 rows of a day and asset that has one already, such as 2020-01-01 A; keep one row per day and asset",
        id="twice",
    ),
    pytest.param("time,asset,ret_next\n2020-01-01,A,\n", ": 'ret_next' is missing in 1 rows; drop them", id="gap"),
    pytest.param("time,asset,ret_next\n", ": no rows; give those that models are to be judged by", id="empty"),
    pytest.param(
        "time,asset,ret_next\n2020-01-01,A,x\n", ", line 2: column 'ret_next' holds 'x', expected a number", id="words"
    ),
]


@pytest.mark.parametrize(("content", "why"), NO_PANEL)
def test_panel_refuses_what_is_not_one(tmp_path: Path, capsys: Capture, content: str, why: str) -> None:
    (tmp_path / "kept.csv").write_text(content)
    assert main(["panel", str(tmp_path / "kept.csv")]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"modelgates: {tmp_path / 'kept.csv'}{why}")) == ("", True), err


def test_verify_lists_every_problem(registry: Registry, capsys: Capture) -> None:
    directory = registry.artifacts.model(registry.live)
    assert main(["verify", str(directory)]) == 0
    assert capsys.readouterr().out == f"{registry.live}: sound, sha256:{tree_digest(directory)}\n"
    (directory / "notes.txt").write_text("")
    (directory / "bench.json").unlink()
    assert main(["verify", str(directory)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{registry.live}: bench.json: missing",
        f"{registry.live}: notes.txt: does not belong in a model directory",
    ]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["promote", "--nonsense"], ["golden"], ["serve"]])
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    done = modelgates(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: modelgates")


def test_promote_of_nothing_is_wrong_usage(capsys: Capture) -> None:
    assert main(["promote"]) == 2
    assert capsys.readouterr().err == "modelgates: promote what? Give a model directory, or --report FILE\n"


def test_what_is_refused_says_so_in_one_line(registry: Registry, capsys: Capture, tmp_path: Path) -> None:
    policy, report = tmp_path / "gone.toml", tmp_path / "gone.json"
    path = "give its path, such as artifacts/models/1763884678, or its id"
    for arguments, said in (
        (["promote", "1700000000"], f"1700000000: no such model directory; {path}"),
        (["promote", "--report", report], f"{report}: no such file → pytest --model-dir=DIR"),
        (["promote", "--report", report, "--policy", policy], f"{policy}: no such policy file"),
        (["compare", "1700000000"], f"1700000000 is unknown: no directory {registry.artifacts.models / '1700000000'}"),
        (
            ["golden", "set", "x"],
            "'x' is not a model id: expected the 10 to 12 digits of a Unix time, such as 1763884678",
        ),
        (["golden", "set", registry.live, "--from", report], f"{report}: no such file"),
    ):
        assert asked(registry, *arguments) == 1
        assert capsys.readouterr().err == f"modelgates: {said}\n"


def test_without_a_packed_model_there_is_nothing_to_compare(registry: Registry, capsys: Capture) -> None:
    registry.artifacts.latest_id.unlink()
    assert asked(registry, "compare") == 1
    assert "no model was packed here; give an id, or pack one" in capsys.readouterr().err


# Coverage writes to the same disk at the end of a process, and says so if it is full.
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def limited(room: int) -> None:
    """A disk that is full after so many bytes of a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))


def test_a_full_disk_ends_with_three_and_changes_nothing(registry: Registry) -> None:
    assert asked(registry, "promote", "--report", green_report(registry), "--policy", registry.policy_file) == 0
    before = registry.state()
    room = registry.artifacts.promotions.stat().st_size + 5
    done = modelgates(
        *("rollback", registry.live, "--reason", "x", "--artifacts", registry.artifacts.root),
        preexec_fn=lambda: limited(room),
        env=UNMEASURED,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("modelgates: File too large")
    assert done.stderr.count("\n") == 1
    assert registry.state() == before


@pytest.mark.integration
def test_a_full_disk_leaves_no_half_a_golden(registry: Registry) -> None:
    before = registry.state()
    done = modelgates(
        *(
            "promote",
            "--report",
            green_report(registry),
            "--policy",
            registry.policy_file,
            "--artifacts",
            registry.artifacts.root,
        ),
        preexec_fn=lambda: limited(10_000),
    )
    assert done.returncode == 3
    assert registry.state() == before
    assert [path.name for path in registry.artifacts.golden.iterdir() if registry.candidate in path.name] == []


def test_a_full_disk_leaves_no_half_of_a_key(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    assert modelgates("keygen", tmp_path / "key", preexec_fn=lambda: limited(9)).returncode == 3
    assert modelgates("keygen", tmp_path / "key").returncode == 0


@pytest.mark.integration
def test_a_full_disk_does_not_tear_a_prediction_log(registry: Registry, rows: Path) -> None:
    header, *lines = rows.read_text().splitlines()
    rows.write_text("\n".join([header, *lines * 6, ""]))
    done = modelgates(
        *("serve", "--onnx", registry.artifacts.latest_onnx, "--csv", rows), preexec_fn=lambda: limited(500_000)
    )
    assert done.returncode == 3
    assert f"File too large: {registry.artifacts.root}" in done.stderr
    (part,) = parts(registry.artifacts, "live")
    assert 0 < len(logged(registry.artifacts, "live")) < 6 * len(lines)
    assert part.path.read_bytes().endswith(b"\n")


def test_a_file_in_a_folders_place_ends_with_three(registry: Registry, capsys: Capture) -> None:
    (registry.artifacts.root / "shadow").write_text("")
    model = registry.artifacts.model(registry.candidate) / "model.onnx"
    csv = registry.artifacts.root / "live.csv"
    csv.write_text("time,asset,momentum,value\n2026-01-02,A,1,2\n")
    assert main(["shadow", "--onnx", str(model), "--csv", str(csv)]) == 3
    said = f"modelgates: a file, expected a folder; move it away: {registry.artifacts.root / 'shadow'}\n"
    assert capsys.readouterr().err == said


def test_output_that_cannot_be_written_ends_with_three(registry: Registry, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_modelgates", "log", "--artifacts", str(registry.artifacts.root)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: limited(0),
            env={name: value for name, value in UNMEASURED.items() if name != "PYTHONUNBUFFERED"},
        )
    assert (done.returncode, done.stderr) == (3, "modelgates: File too large\n")


def test_a_reader_that_has_seen_enough_hears_no_complaint(registry: Registry) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "pytest_modelgates", "log", "--artifacts", str(registry.artifacts.root)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.integration
@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]], ids=["stdin", "stdout", "stderr", "all"])
def test_a_closed_stream_is_no_failure_and_no_file_of_the_registry_takes_its_place(
    registry: Registry, closed: list[int]
) -> None:
    code = (
        "import os, sys; from pytest_modelgates.__main__ import open_streams; "
        "open_streams(); from pytest_modelgates.cli import main; "
        "from pytest_modelgates.registry import promote; "
        "switch = promote.change_live; noise = lambda: [os.write(number, b'noise') for number in (1, 2)]; "
        "kept = lambda root: root.lock.read_text().startswith('process ') or sys.exit('the lock was written to'); "
        "promote.change_live = lambda *given, **more: (noise(), kept(given[0]), switch(*given, **more))[2]; "
        "sys.exit(main())"
    )
    words = [
        "promote",
        "--report",
        green_report(registry),
        "--policy",
        registry.policy_file,
        "--artifacts",
        registry.artifacts.root,
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], preexec_fn=lambda: [os.close(number) for number in closed]
    )
    assert done.returncode == 0
    assert live_id(registry.artifacts) == registry.candidate


STATUSES = {"full": (["log"], 3), "usage": (["promote"], 2), "refused": (["promote", "--report", "nowhere"], 1)}


@pytest.mark.integration
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("words", "status"), STATUSES.values(), ids=STATUSES)
def test_the_status_holds_where_nothing_can_be_said(registry: Registry, words: list[str], status: int) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pytest_modelgates", *words, "--artifacts", str(registry.artifacts.root)]
        # Buffered, as everywhere but in some containers: what is left in a buffer is flushed at the end.
        usual = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        assert subprocess.run(command, stdout=full, stderr=full, env=usual).returncode == status


def test_what_is_asked_in_a_hurry_waits_for_no_heavy_library(registry: Registry) -> None:
    root = f"--artifacts={registry.artifacts.root}"
    verbs = [
        ["status", root],
        ["list", root],
        ["log", root],
        ["log", root, "--verify"],
        ["verify", str(registry.artifacts.model(registry.live))],
        ["recover", root],
        ["gc", root, "--keep=1"],
        ["rollback", root, registry.candidate, "--reason=drill"],
    ]
    script = f"""
import sys
from pytest_modelgates.cli import main
for verb in {verbs}:
    code = main(verb)
    heavy = {{"numpy", "pandas", "pyarrow", "scipy", "sklearn", "onnx", "onnxruntime", "pytest"}} & set(sys.modules)
    print("RAN", verb[0], code, *sorted(heavy))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=registry.artifacts.root.parent
    )
    ran = [line for line in done.stdout.splitlines() if line.startswith("RAN")]
    assert ran == [f"RAN {verb[0]} {int(verb[0] == 'rollback')}" for verb in verbs]
    assert f"{registry.candidate} was never live" in done.stderr


def test_a_terminal_that_knows_no_arrow_shows_the_rest(registry: Registry) -> None:
    done = modelgates(
        "log", "--artifacts", registry.artifacts.root, env=os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    )
    assert done.returncode == 0
    assert f"- \\u2192 {registry.live}" in done.stdout


@pytest.mark.integration
def test_an_actor_without_a_name_is_a_number(registry: Registry) -> None:
    code = "import getpass, sys; getpass.getuser = lambda: {}['no name']; import pytest_modelgates.cli as cli; "
    command = [sys.executable, "-c", code + "sys.exit(cli.main())", "promote", "--report", str(green_report(registry))]
    command += ["--policy", str(registry.policy_file), "--artifacts", str(registry.artifacts.root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_log(registry.artifacts.promotions)[-1].actor == f"uid {os.getuid()}"


PLACES = [
    "promotions.log",
    "latest_id.txt",
    "predictions.jsonl",
    "shadow/predictions.jsonl",
    "golden/metadata.json",
    "golden/LIVE.parquet",
    "golden/earlier",
    "drift/checks.jsonl",
    "handmade.json",
    "models/LIVE/manifest.json",
    "models/LIVE/sidecar.json",
    "models/LIVE/model.onnx",
    "models/LIVE/evaluation.parquet",
    "models/CANDIDATE/manifest.json",
    "models/CANDIDATE/sidecar.json",
    "models/CANDIDATE/CHANGES.md",
    "models/latest",
    "models/latest.onnx",
    "policy.toml",
    "live.csv",
    ".pending.json",
    ".lock",
]
HOSTILE = st.binary(max_size=60) | st.sampled_from(
    [
        b"",
        b"\n",
        b"{}",
        b"[]",
        b"null\n",
        b"[" * 3000,
        b'{"a": 1e999}',
        b'{"reason": "\\ud800"}',
        b'\xef\xbb\xbf{"format": 1}',
        b"9" * 5000,
        b"PAR1",
        "１７００００００００".encode(),
    ]
)


@pytest.fixture(scope="module")
def attacked(first_promotion: tuple[Registry, object], tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that a test damages and restores again and again."""
    import shutil

    from pytest_modelgates.artifacts import Artifacts

    original, _ = first_promotion
    root = tmp_path_factory.mktemp("attacked") / "registry"
    shutil.copytree(original.artifacts.root.parent, root, symlinks=True)
    registry = Registry(
        Artifacts(root / "artifacts"), original.live, original.candidate, root / "artifacts" / "policy.toml"
    )
    (root / NEIGHBOUR).rename(registry.policy_file)
    (registry.artifacts.root / "live.csv").write_text("time,asset,momentum,value\nt,A,1,2\n")
    drawn = golden_of(registry.artifacts.model(registry.live))[:300]
    log_predictions(registry.artifacts, predictions(live_change(registry.artifacts).digest, drawn, arm="live"))
    green_report(registry)
    return registry


@settings(max_examples=35, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), content=HOSTILE | st.none(), cut=st.booleans())
def test_no_file_whatever_it_holds_makes_a_traceback(
    attacked: Registry, capsys: Capture, place: str, content: bytes | None, cut: bool
) -> None:
    import shutil

    root, spare = attacked.artifacts.root, attacked.artifacts.root.with_name("spare")
    if not spare.exists():
        shutil.copytree(root, spare, symlinks=True)
    target = root / place.replace("LIVE", attacked.live).replace("CANDIDATE", attacked.candidate)
    genuine = target.read_bytes() if target.is_file() else b""
    target.unlink(missing_ok=True)
    target.parent.mkdir(exist_ok=True)
    if content is None:
        target.mkdir()
    else:
        target.write_bytes(genuine[: len(genuine) // 2] + content if cut else content)
    models = attacked.artifacts.models
    verbs: list[list[object]] = [
        ["status", "--json"],
        ["list", "--json"],
        ["log", "--json"],
        ["status"],
        ["list"],
        ["log"],
        ["golden", "show", "--json"],
        ["golden", "list"],
        ["golden", "diff", attacked.live, attacked.live],
        ["golden", "set", attacked.candidate],
        ["golden", "set", attacked.live, "--from", target],
        ["drift-check", "--policy", attacked.policy_file],
        ["compare", attacked.candidate],
        ["compare"],
        ["promote", "--report", root / "handmade.json", "--policy", attacked.policy_file, "--dry-run"],
        ["rollback", attacked.candidate, "--reason", "x"],
    ]
    try:
        for verb in verbs:
            assert asked(attacked, *verb) in (0, 1, 3), verb
        for arguments in (
            ["verify", str(models / attacked.live)],
            ["serve", "--onnx", str(models / "latest.onnx"), "--csv", str(root / "live.csv")],
            ["shadow", "--onnx", str(models / attacked.candidate / "model.onnx"), "--csv", str(root / "live.csv")],
        ):
            assert main(arguments) in (0, 1, 3), arguments
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
    finally:
        shutil.rmtree(root)
        shutil.copytree(spare, root, symlinks=True)


IDS = st.text(max_size=14) | st.sampled_from(
    ["../../x", "１７００００００００", "1700000000\n", "latest", ".", "..", "/", "-", "1" * 300, "\ud800", "a\0b"]
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=IDS)
def test_no_id_makes_a_traceback_or_leaves_a_trace(attacked: Registry, capsys: Capture, name: str) -> None:
    before = sorted(attacked.artifacts.root.parent.rglob("*"))
    for verb in (
        [
            "promote",
            "--report",
            attacked.artifacts.root / "handmade.json",
            "--policy",
            attacked.policy_file,
            "--",
            name,
        ],
        ["rollback", "--reason", "x", "--", name],
        ["golden", "set", "--", name],
        ["compare", "--", name],
    ):
        if name == attacked.candidate:
            continue
        ended = main([*map(str, verb[:-2]), "--artifacts", str(attacked.artifacts.root), *verb[-2:]])
        # An empty id counts as none: the report names its own model, and compare takes the newest.
        assert ended in (0, 1, 3) if name == "" else ended in (1, 3)
        if name == "":
            break
    capsys.readouterr()
    assert name == "" or sorted(attacked.artifacts.root.parent.rglob("*")) == before


def test_json_goes_to_whatever_takes_the_output(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = io.StringIO()
    monkeypatch.setattr(sys, "stdout", taken)
    assert asked(registry, "status", "--json") == 0
    assert json.loads(taken.getvalue())["live"] == registry.live


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(
            ImportError("libgomp.so.1: failed to map segment"),
            3,
            "out of memory, or a library cannot be loaded (libgomp.so.1: failed to map segment); see: ulimit -v, "
            "pip check",
            id="no-memory-for-a-library",
        ),
        pytest.param(
            MemoryError(),
            3,
            "out of memory, or a library cannot be loaded (MemoryError); see: ulimit -v, pip check",
            id="no-memory",
        ),
        pytest.param(
            RuntimeError("can't start new thread"),
            3,
            "no further thread can be started; see: ulimit -u, and the limit of processes of this container",
            id="no-thread",
        ),
        pytest.param(KeyboardInterrupt(), 130, "interrupted", id="interrupt"),
    ],
)
def test_where_the_machine_or_a_person_ends_a_command_it_says_so(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def ends(*_: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules[main.__module__], "parser", ends)
    assert main(["status"]) == code
    assert capsys.readouterr() == ("", f"modelgates: {said}\n")


def test_an_interrupt_while_the_command_line_is_imported_is_answered(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "open_streams", interrupted)
    assert start.main() == 130
    assert capsys.readouterr() == ("", "modelgates: interrupted\n")


def test_names_that_are_not_utf8_stop_nothing(
    registry: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="ho\udcffst"))
    assert asked(registry, "promote", "--report", green_report(registry), "--policy", registry.policy_file) == 0
    assert read_log(registry.artifacts.promotions)[-1].host == r"ho\udcffst"
    odd = registry.artifacts.root.with_name("art\udcff")
    registry.artifacts.root.rename(odd)
    (odd / "models" / "latest.onnx").unlink()
    capsys.readouterr()
    assert main(["status", "--json", "--artifacts", str(odd)]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem.startswith(f"{odd}/models/latest.onnx does not lead to ")


def test_an_arm_that_nothing_predicted_as_is_stopped_with_a_warning(registry: Registry, capsys: Capture) -> None:
    log_predictions(registry.artifacts, predictions("0" * 64, [0.5], arm="live"))
    assert asked(registry, "kill", "--arm", "lvie", "--reason", "drill") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("arm lvie was killed by ")
    assert captured.err == (
        "modelgates: warning: nothing has predicted as lvie here yet; arms with predictions: live\n"
    )
    assert asked(registry, "kill", "--arm", "live", "--reason", "drill") == 0
    assert capsys.readouterr().err == ""


def test_keygen_says_where_each_half_belongs(tmp_path: Path, capsys: Capture) -> None:
    assert main(["keygen", str(tmp_path / "key.pem")]) == 0
    said = capsys.readouterr()
    public = said.out.strip()
    assert said.err == (
        f'modelgates: write the public half under [evidence] of registry/policy.toml: keys = ["{public}"]\n'
        f"modelgates: the private half is in {tmp_path / 'key.pem'}: keep it out of the repository, and name it in "
        "$MODELGATES_KEY\n"
    )


def test_the_summary_of_ci_says_what_went_live_and_what_speaks_against_it(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    report = green_report(registry)
    assert asked(registry, "promote", "--report", report, "--policy", registry.policy_file) == 0
    assert asked(registry, "promote", "--report", report, "--policy", registry.policy_file) == 1
    live, refused = (tmp_path / "step.md").read_text("utf-8").split("### ")[1:]
    assert live.startswith(f"modelgates promote\n\n{registry.candidate} is live, in place of {registry.live} (sha256:")
    assert refused.startswith(f"modelgates promote: refused\n\n{registry.candidate} is not promoted:\n\n- ")
    # A summary that cannot be written changes nothing.
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert asked(registry, "promote", "--report", report, "--policy", registry.policy_file) == 1


def test_a_terminal_gets_reasons_wrapped_and_commands_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    long = f"  modelgates shadow --onnx {'x' * 40} --csv {'y' * 40}"
    reason = f"  something is wrong → {' '.join(['do what is right'] * 6)}"
    monkeypatch.setenv("COLUMNS", "60")
    for stderr, lines in (
        (io.StringIO(), [reason]),
        (Terminal(), textwrap.wrap(reason, 60, subsequent_indent=" " * 4)),
    ):
        monkeypatch.setattr(sys, "stderr", stderr)
        say(f"7 is not promoted:\n{reason}\nnext:\n{long}")
        assert stderr.getvalue().splitlines() == ["modelgates: 7 is not promoted:", *lines, "next:", long]
