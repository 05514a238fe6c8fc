"""The dashboard: what stands on which page, in a registry that is sound, damaged, large or hostile."""

import http.client
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.audit import ab
from pytest_modelgates.cli import main
from pytest_modelgates.errors import UsageError
from pytest_modelgates.monitoring.ab import ab_found
from pytest_modelgates.monitoring.reconcile import reconcile
from pytest_modelgates.pages import business as module
from pytest_modelgates.pages.dashboard import PAGES, dashboard, one_page
from pytest_modelgates.pages.render import is_page
from pytest_modelgates.pages.serve import DashboardServer
from pytest_modelgates.policy.limits import short
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.predictions.records import Prediction
from pytest_modelgates.registry.events import record_event
from pytest_modelgates.registry.store import live_change
from pytest_modelgates.serving.paper_ledger import read_ledger
from tests.cli.test_paper import predicted, traded
from tests.monitoring.test_ab import KNOWING, NOISE
from tests.monitoring.test_ab import Test as AbTest
from tests.support.ab import plan_of
from tests.support.handmade import (
    Registry,
    evidence,
    green_ledger,
    green_run,
    log_predictions,
    predictions,
    record,
    write_report,
)

from .reading import Read, is_harmless

Capture = pytest.CaptureFixture[str]
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e{{ 7 * 7 }}"
NOW = datetime.now(UTC)


def said(registry: Registry, name: str) -> str:
    return Read(one_page(name, registry.artifacts, registry.in_force).decode()).text


def written(registry: Registry, out: Path, *options: str) -> int:
    return main(["dashboard", "--artifacts", str(registry.artifacts.root), "--out", str(out), *options])


def checked(registry: Registry, **changes: object) -> None:
    """Add a line to the list of checks for drift."""
    line = {
        "time": NOW.isoformat(),
        "model_id": registry.live,
        "digest": "0" * 64,
        "arm": "live",
        "overall_drift": True,
        "reasons": ["PSI 0.31"],
        "psi": {"value": 0.31, "critical": 0.02, "bins": [{"values": "up to 0", "golden": 0.5, "current": 0.9}]},
    }
    place = registry.artifacts.drift_checks
    place.parent.mkdir(exist_ok=True)
    with place.open("a") as file:
        file.write(json.dumps(line | changes) + "\n")


def scored(registry: Registry, count: int = 20) -> list[Prediction]:
    """Records of the live model, at latencies of 1 ms."""
    digest = live_change(registry.artifacts).digest
    return predictions(digest, [float(number % 7) for number in range(count)], model_id=registry.live, arm="live")


def test_the_registry_says_what_is_live_who_promoted_it_and_on_which_evidence(registry: Registry) -> None:
    text = said(registry, "registry")
    assert f"{registry.live} is live, and the registry is sound" in text
    assert f"promote nothing → {registry.live}" in text
    assert "all hard gates passed report sha256:" in text
    assert "1 in a row; the policy asks for" in text
    assert "The newest 2 of 2." in text


def test_an_event_stands_in_the_history(registry: Registry) -> None:
    record_event(
        registry.artifacts, registry.rules, kind="acknowledge", subject="drift", reason=HOSTILE, evidence="a" * 64
    )
    content = one_page("registry", registry.artifacts, registry.in_force)
    assert is_harmless(content)
    assert "acknowledge drift" in Read(content.decode()).text
    assert "sha256:aaaaaaaaaaaaaaaa" in Read(content.decode()).text


def test_a_damaged_log_is_said_and_the_rest_is_shown(registry: Registry) -> None:
    content = registry.artifacts.promotions.read_bytes()
    registry.artifacts.promotions.write_bytes(content.replace(b'"promote"', b'"prom0te"'))
    text = said(registry, "registry")
    assert "not all is sound" in text
    assert "modelgates recover" in text
    assert "The newest 2 of 2." in text


def test_latency_is_shown_by_day_and_by_version(registry: Registry) -> None:
    log_predictions(registry.artifacts, scored(registry))
    text = said(registry, "performance")
    assert "Latency of live by day" in text
    assert f"{registry.live} live" in text
    assert "As packing measured it" in text


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (b"x" * 2**21 + b"\n", "a line of more than 1048576 bytes"),
        (b'{"time":"2026-11-01T00:00:00Z"', None),
    ],
    ids=["a line without end", "a writer that was killed"],
)
def test_a_part_of_the_log_that_cannot_be_read_is_said_and_the_others_are_drawn(
    registry: Registry, damaged: bytes, why: str | None
) -> None:
    log_predictions(registry.artifacts, scored(registry))
    log_predictions(registry.artifacts, scored(registry))
    parts(registry.artifacts, "live")[-1].path.write_bytes(damaged)
    text = said(registry, "performance")
    assert f"{registry.live} live 20 1 1 1" in text
    assert why is None or why in text


def test_latency_stays_when_parts_become_parquet(registry: Registry) -> None:
    for _ in range(2):
        log_predictions(registry.artifacts, scored(registry, 80))
    before = said(registry, "performance")
    assert f"{registry.live} live 126 1 1 1" in before  # of each part the last 64 lines, one of which closes it
    oldest, newest = parts(registry.artifacts, "live")
    assert compact(registry.artifacts, oldest) is None
    assert f"{registry.live} live 127 1 1 1" in said(registry, "performance")
    assert compact(registry.artifacts, newest) is not None  # a link leads to it
    oldest.path.with_suffix(".parquet").write_bytes(b"PAR1")
    text = said(registry, "performance")
    assert f"{registry.live} live 63 1 1 1" in text
    assert "cannot be read as Parquet" in text


def test_a_latency_that_no_clock_gives_is_said_and_the_rest_is_shown(registry: Registry) -> None:
    records = [msgspec.structs.replace(each, arm="shadow", latency_ms=1e308) for each in scored(registry)]
    log_predictions(registry.artifacts, records)
    log_predictions(registry.artifacts, scored(registry))
    text = said(registry, "performance")
    assert "sample reaches 1e+308 in size" in text
    assert f"{registry.live} live 20 1 1 1" in text
    assert "As packing measured it" in text


def test_what_lies_among_the_arms_and_is_none_hides_no_arm(registry: Registry) -> None:
    log_predictions(registry.artifacts, scored(registry))
    (registry.artifacts.predictions / "lost+found").mkdir()
    (registry.artifacts.predictions / ".snapshot").mkdir()
    assert f"{registry.live} live 20 1 1 1" in said(registry, "performance")


def test_quality_shows_gates_with_their_margins_and_checks_for_drift(registry: Registry) -> None:
    checked(registry)
    text = said(registry, "quality")
    assert "parity.max_abs_diff passed" in text
    assert "PSI of each check for drift" in text
    assert f"{registry.live} live drift 1 PSI 0.31" in text
    assert "Predictions: golden and current" in text


def test_quality_names_verdicts_as_the_table_of_a_run_does(registry: Registry) -> None:
    policy, directory = registry.policy, registry.artifacts.model(registry.candidate)
    gates = [
        record("latency.onnx_p95_ms", policy, 1000.0),
        record("significance.p_against", policy, 0.5),
        msgspec.structs.replace(
            record("drift.psi", policy),
            evidence=(evidence("drift.psi", policy.slo["drift.psi"], state="no reference yet"),),
        ),
    ]
    run = msgspec.structs.replace(green_run(directory, policy), gates=tuple(gates))
    ledger = green_ledger(directory, policy, run=run)
    write_report(registry.artifacts.new_report(registry.candidate, ledger.run.finished), ledger, exitcode=1)
    text = said(registry, "quality")
    for words in ("latency.onnx_p95_ms WARN", "significance.p_against failed", "drift.psi no reference"):
        assert f"{words} " in text
    assert "no reference yet" not in text


def gated(registry: Registry, model_id: str, difference: float, gain: float, group: str = "momentum") -> None:
    """Keep a report with this parity, and this gain of IC without a group of features."""
    policy, directory = registry.policy, registry.artifacts.model(model_id)
    detail = {"gain": gain, "gain_from": gain - 0.01, "gain_to": gain + 0.01, "bound": 0.0015}
    ablation = record("ablation.harmless[x]", policy)
    ablation = msgspec.structs.replace(
        ablation,
        gate=f"ablation.harmless[{group}]",
        evidence=(msgspec.structs.replace(ablation.evidence[0], detail=detail),),
    )
    run = green_run(directory, policy)
    gates = [each for each in run.gates if not each.gate.startswith(("ablation.", "parity.max_abs_diff"))]
    gates += [record("parity.max_abs_diff", policy, difference), ablation]
    ledger = green_ledger(directory, policy, run=msgspec.structs.replace(run, gates=tuple(gates)))
    write_report(registry.artifacts.new_report(model_id, ledger.run.finished), ledger)


def test_quality_shows_parity_and_ablations_over_versions(registry: Registry) -> None:
    gated(registry, registry.live, 2e-6, -0.002, HOSTILE)
    gated(registry, registry.candidate, 3e-6, 0.004, HOSTILE)
    content = one_page("quality", registry.artifacts, registry.in_force)
    text = Read(content.decode()).text
    assert is_harmless(content)
    assert f"model farthest {registry.live} 2e-06 {registry.candidate} 3e-06" in text
    intervals = f"{registry.live} -0.002 -0.012 0.008 {registry.candidate} 0.004 -0.006 0.014"
    assert f"model gain of IC from to {intervals}" in text
    assert "Margin of parity.max_abs_diff" not in text


def test_what_one_version_could_not_measure_is_a_gap(registry: Registry) -> None:
    gated(registry, registry.candidate, 3e-6, 0.004)
    policy, directory = registry.policy, registry.artifacts.model(registry.live)
    unknown = (evidence("parity.max_abs_diff", policy.slo["parity.max_abs_diff"], state="inconclusive"),)
    run = green_run(directory, policy)
    gates = tuple(msgspec.structs.replace(each, evidence=unknown) for each in run.gates if "max_abs" in each.gate)
    ledger = green_ledger(directory, policy, run=msgspec.structs.replace(run, gates=gates))
    write_report(registry.artifacts.new_report(registry.live, ledger.run.finished), ledger)
    text = said(registry, "quality")
    assert f"model farthest {registry.live} – {registry.candidate} 3e-06" in text


def test_checks_that_say_the_same_are_one_line_and_an_alarm_stands_out(registry: Registry) -> None:
    rows = {"since": None, "rows": 400, "psi": 3.4361}
    calm = {"overall_drift": False, "reasons": [], "over_time": {"alarm": None, "window": rows | {"psi": 0.02}}}
    alarm = {"overall_drift": False, "reasons": [], "over_time": {"alarm": {"by": "window"}, "window": rows}}
    times = [(NOW - timedelta(days=9 - number)).isoformat() for number in range(8)]
    for time, of in zip(times, [calm, calm, calm, alarm, calm], strict=False):
        checked(registry, time=time, **of)
    checked(registry, time=times[5], **calm, model_id="1700000001")
    checked(registry, time=times[6], **calm)
    checked(registry, time=times[7], overall_drift=None, reasons=["too few"], arm="shadow")
    content = one_page("quality", registry.artifacts, registry.in_force).decode()
    text = Read(content).text
    assert '<td class="bad">drift over time' in content
    said = re.findall(r"(\d{10}) (live|shadow) (drift over time|no drift|cannot tell) (\d+)(.*?UTC|$)", text)
    assert [(model_id, arm, verdict, count) for model_id, arm, verdict, count, _ in said] == [
        (registry.live, "shadow", "cannot tell", "1"),
        (registry.live, "live", "no drift", "1"),
        ("1700000001", "live", "no drift", "1"),
        (registry.live, "live", "no drift", "1"),
        (registry.live, "live", "drift over time", "1"),
        (registry.live, "live", "no drift", "3"),
    ]
    assert "drift over time 1 PSI 3.436 of the newest 400 rows" in text
    assert "PSI of the newest rows" in text
    assert "look PSI" in text
    assert "3.436" in text.partition("look PSI")[2]


def test_the_newest_check_that_has_bins_is_drawn(registry: Registry) -> None:
    checked(registry)
    checked(registry, by="gates", arm="shadow", psi={"value": 0.02, "critical": 0.03})
    text = said(registry, "quality")
    assert "Predictions: golden and current" in text
    assert "0.31 0.02" in text
    assert "0.02 0.03" in text


def test_lines_that_are_not_a_check_are_passed_over(registry: Registry) -> None:
    checked(registry, time="yesterday")
    checked(registry, time="2026-11-01T00:00:00")  # of no known zone
    with registry.artifacts.drift_checks.open("ab") as file:
        file.write(b"\xff\n[]\n" + b"[" * 100_000 + b"\n")
    assert "No check for drift was made yet." in said(registry, "quality")


def test_business_says_what_is_missing(registry: Registry) -> None:
    assert "no outcome is known" in said(registry, "business")


def test_business_draws_what_the_ledger_on_paper_says(registry: Registry, tmp_path: Path) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    ledger = read_ledger(registry.artifacts.paper("live"))
    assert ledger
    earned = ledger.days[-1].value_cents / ledger.opening.capital_cents - 1
    text = said(registry, "business")
    assert f"{earned:.2%} of capital" in text.partition("earned on paper after costs")[2]
    assert "Return on paper" in text
    assert {"Exposure on paper", "Drawdown on paper", "Turnover on paper"} <= set(re.findall(r"\w+ on paper", text))
    content = registry.artifacts.paper("live").read_text()
    registry.artifacts.paper("live").write_text("{}\n")
    assert "Return on paper" not in said(registry, "business")
    registry.artifacts.paper("live").write_text(re.sub(r'"capital_cents":\d+', '"capital_cents":0', content))
    assert "live.jsonl, line 1: not a line of a paper ledger" in said(registry, "business")


def test_paper_stands_against_live_by_the_days_of_the_positions(registry: Registry, tmp_path: Path) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    ledger = read_ledger(registry.artifacts.paper("live"))
    assert ledger
    first, second, third = ledger.days
    found = module.paper(registry.artifacts, [], [])
    capital = ledger.opening.capital_cents
    assert found == {
        str(first.day): (second.gross_cents - first.cost_cents) / capital,
        str(second.day): (third.gross_cents - second.cost_cents) / capital,
    }
    booked = reconcile(registry.artifacts, registry.policy, "live").booked
    assert sum(found.values()) == pytest.approx(booked)
    (chart,) = module.against(found, dict.fromkeys([*found, "2024-02-01"], 0.01))
    names = [row[0] for row in chart.rows]
    assert (chart.title, names) == ("Paper against live", [str(first.day), str(second.day)])
    assert [row[2] for row in chart.rows] == ["0.01", "0.02"]
    assert module.against(found, {str(first.day): 0.01}) == []


def test_business_draws_the_same_days_that_outcomes_realised_sums_up(
    registry: Registry, capsys: Capture, tmp_path: Path
) -> None:
    root = registry.artifacts.root
    days = [(NOW - timedelta(days=number)).date() for number in range(30, 0, -1)]
    records = scored(registry, 150)
    keys = [f"{day}|A{asset}" for day in days for asset in range(5)]
    records = [msgspec.structs.replace(record, row_key=key) for record, key in zip(records, keys, strict=True)]
    log_predictions(registry.artifacts, records)
    rows = [f"{key.replace('|', ',')},{(number * 37 % 11 - 5) / 1000}" for number, key in enumerate(keys)]
    file = tmp_path / "outcomes.csv"
    file.write_text("\n".join(["time,asset,return", *rows]) + "\n")
    assert main(["outcomes", "add", str(file), "--artifacts", str(root)]) == 0
    capsys.readouterr()
    assert main(["outcomes", "realised", "--artifacts", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    text = said(registry, "business")
    assert f"its mean is {found['traded']['ic']['value']:.4f}" in text
    assert "Shaded: where the mean lies, with 90 % confidence" in text
    assert f"days {found['days']}" in text


def of_days(registry: Registry, *counts: int) -> None:
    """Log so many rows a day, one part a day, the last of them today."""
    for ago, count in zip(range(len(counts) - 1, -1, -1), counts, strict=True):
        day = NOW - timedelta(days=ago)
        rows = [
            msgspec.structs.replace(each, time=day, row_key=f"{day:%Y-%m-%d}|A") for each in scored(registry, count)
        ]
        log_predictions(registry.artifacts, rows)


def test_a_log_with_too_many_rows_a_day_is_not_joined(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    of_days(registry, 1, 3)
    monkeypatch.setattr(module, "_MOST_ROWS", 2)
    expected = "not read the log: a day of it has too many rows; see: modelgates outcomes realised"
    assert expected in said(registry, "business")


def test_of_a_long_log_the_newest_days_are_joined(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    of_days(registry, 5, 3, 2, 2)
    for most, days in ((4, 0), (7, 1), (11, 1), (12, None)):
        monkeypatch.setattr(module, "_MOST_ROWS", most)
        since = module._readable(parts(registry.artifacts, "live"))
        assert since == (date.min if days is None else (NOW - timedelta(days=days)).date())


def test_a_part_that_is_open_or_in_parquet_has_its_rows_counted(registry: Registry) -> None:
    of_days(registry, 30, 1)
    part, _ = parts(registry.artifacts, "live")
    content = part.path.read_bytes()
    assert module._rows(part) == 30
    part.path.write_bytes(b"".join(content.splitlines(keepends=True)[:-1]))
    assert module._rows(part) == pytest.approx(30, rel=0.5)
    part.path.write_bytes(content)
    assert compact(registry.artifacts, part) is None
    packed, _ = parts(registry.artifacts, "live")
    assert packed.path.suffix == ".parquet"
    assert module._rows(packed) == 30


def test_outcomes_that_are_too_many_are_not_joined(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    log_predictions(registry.artifacts, scored(registry))
    registry.artifacts.outcomes.mkdir()
    (registry.artifacts.outcomes / "many.jsonl").write_bytes(b" " * 2**21)
    monkeypatch.setattr(module, "_MOST_BYTES", 2**20)
    assert "not read 2 MB of outcomes; see: modelgates outcomes realised" in said(registry, "business")
    ab.start(registry.artifacts, plan_of(registry.artifacts, registry.live, registry.candidate))
    assert "A/B test not read: 2 MB of outcomes; see: modelgates ab status" in said(registry, "business")


def test_a_ledger_that_is_too_long_is_not_read(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_predictions(registry.artifacts, predicted(registry))
    assert traded(registry, tmp_path) == 0
    with registry.artifacts.paper("live").open("a") as file:
        file.write(" " * 2**21)
    monkeypatch.setattr(module, "_MOST_BYTES", 2**20)
    text = said(registry, "business")
    assert "on paper not read: a ledger of 2 MB; see: modelgates reconcile" in text
    assert "Return on paper" not in text


def test_each_place_that_the_guide_names_for_a_page_or_a_log_is_there(
    registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    records = predicted(registry)
    log_predictions(registry.artifacts, [msgspec.structs.replace(each, arm="shadow") for each in records])
    digest = live_change(registry.artifacts).digest
    log_predictions(registry.artifacts, [msgspec.structs.replace(each, digest=digest) for each in records])
    assert traded(registry, tmp_path) == 0
    file, root = tmp_path / "outcomes.csv", str(registry.artifacts.root)
    file.write_text(f"time,asset,return\n{records[0].row_key.replace('|', ',')},0.01\n")
    assert main(["outcomes", "add", str(file), "--artifacts", root]) == 0
    assert main(["drift-check", "--artifacts", root]) in (0, 1)
    assert main(["push", f"file://{tmp_path}/bucket", "--artifacts", root]) == 0
    assert written(registry, tmp_path / "out") == 0
    docs = Path(__file__).parents[2] / "docs"
    pages = (docs / "how-to" / "browser.md").read_text("utf-8").partition("and told by commands:\n\n")[2]
    logs = (docs / "reference" / "files.md").read_text("utf-8").partition("## Logs\n\n")[2]
    pages, logs = (text.partition("\n\n")[0] for text in (pages, logs))
    named = re.findall(r"`([^`]+)`", pages + logs)
    assert len(set(named)) == 4 + 9 + 9 + 2
    for name in named:
        if name.startswith("modelgates "):
            with pytest.raises(SystemExit) as ended:
                main([*name.split()[1:], "--help"])
            assert (name, ended.value.code) == (name, 0)
        elif name.endswith(".html"):
            assert (tmp_path / "out" / name).is_file()
        else:
            assert list(registry.artifacts.root.parent.glob(name)), name


def test_business_draws_how_the_difference_of_an_ab_test_went(registry: Registry, tmp_path: Path) -> None:
    test = AbTest(registry, tmp_path)
    test.log(NOISE, KNOWING)
    test.add()
    text = said(registry, "business")
    assert f"{test.plan.name}: {registry.candidate} beside {registry.live}, 50% of the rows; runs" in text
    assert "the candidate is better by its IC" in text
    assert "costs of the live model include the trades that the split makes" in text
    for name in ("IC", "return"):
        assert f"A/B test: difference of {name}" in text
    assert f"A/B test {test.plan}" in said(registry, "registry")
    found = ab_found(registry.artifacts, test.plan)
    assert found.ic
    assert short(found.ic.upper) in text
    done = ab.stop(registry.artifacts, HOSTILE)
    assert done
    content = one_page("business", registry.artifacts, registry.in_force)
    assert is_harmless(content)
    assert "ended: </title><script>" in Read(content.decode()).text


def test_an_ab_test_whose_log_is_too_large_is_not_read(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    ab.start(registry.artifacts, plan_of(registry.artifacts, registry.live, registry.candidate))
    log_predictions(registry.artifacts, scored(registry))
    monkeypatch.setattr(module, "_MOST_ROWS", -1)
    assert "see: modelgates ab status" in said(registry, "business")


def test_a_damaged_plan_of_an_ab_test_is_said(registry: Registry) -> None:
    registry.artifacts.ab.write_text("{")
    assert 'take it away: modelgates ab stop --reason "…"' in said(registry, "business")


def test_hostile_text_stays_text_on_every_page(registry: Registry) -> None:
    record_event(registry.artifacts, registry.rules, kind="acknowledge", subject=HOSTILE, reason=HOSTILE)
    checked(registry, model_id=HOSTILE, arm=HOSTILE, reasons=[HOSTILE], psi={"bins": [], "value": 1})
    records = scored(registry, 3)
    log_predictions(registry.artifacts, [msgspec.structs.replace(each, model_id=HOSTILE) for each in records])
    changes = registry.artifacts.model(registry.candidate) / "CHANGES.md"
    changes.chmod(0o644)
    changes.write_text(HOSTILE)
    seen = 0
    for content in dashboard(registry.artifacts, registry.in_force).values():
        assert is_harmless(content)
        assert is_page(content)
        assert b"\x1b" not in content
        assert "\u202e" not in content.decode()
        seen += Read(content.decode()).text.count("{{ 7 * 7 }}")
    assert seen >= 5


def test_an_empty_registry_has_four_pages(empty_registry: Registry) -> None:
    for name in PAGES:
        assert PAGES[name] in said(empty_registry, name)


def test_the_command_writes_four_pages_again_and_again(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    for _ in range(2):
        assert written(registry, tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"{name}.html" for name in PAGES)
    assert str(tmp_path / "out" / "registry.html") in capsys.readouterr().out


def test_pages_never_go_over_what_is_not_one_nor_where_the_registry_keeps_its_own(
    registry: Registry, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "quality.html").write_text("precious")
    assert written(registry, tmp_path) == 1
    assert "a file that is not a page of the dashboard lies there; move it first" in capsys.readouterr().err
    assert (tmp_path / "quality.html").read_text() == "precious"
    assert not (tmp_path / "registry.html").exists()
    assert written(registry, registry.artifacts.golden) == 1
    assert "the registry keeps its own files there; give --out another folder" in capsys.readouterr().err


def test_without_the_extra_the_command_names_it(
    registry: Registry, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert written(registry, tmp_path / "out") == 1
    assert "run: pip install 'pytest-modelgates[pages]'" in capsys.readouterr().err


def test_options_that_do_not_go_together_are_said(registry: Registry, tmp_path: Path, capsys: Capture) -> None:
    assert written(registry, tmp_path, "--port", "8765") == 2
    assert "--out writes the pages and --port serves them; give one of them" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["dashboard", "--port", "99999", "--artifacts", str(registry.artifacts.root)])
    assert "'99999' is not an address; give a port such as 8080, or 0.0.0.0:8080" in capsys.readouterr().err


@pytest.fixture
def server(registry: Registry) -> Iterator[DashboardServer]:
    """The dashboard of a registry, served."""
    in_force = registry.in_force
    with DashboardServer(0, lambda name: one_page(name, registry.artifacts, in_force)) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def asked(
    server: DashboardServer, method: str, path: str, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/registry.html", "/performance.html", "/quality.html", "/business.html"])
def test_each_page_is_served_with_what_it_may_load(server: DashboardServer, path: str) -> None:
    status, headers, content = asked(server, "GET", path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert is_page(content)
    status, headers, nothing = asked(server, "HEAD", path)
    assert (status, nothing) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/../promotions.log", {}, 404),
        ("GET", "/%2e%2e/promotions.log", {}, 404),
        ("GET", "/style.css", {}, 404),
        ("POST", "/registry.html", {}, 501),
        ("PUT", "/registry.html", {}, 501),
        ("DELETE", "/registry.html", {}, 501),
        ("GET", "/", {"Host": "evil.example:80"}, 421),
        ("GET", "/", {"Host": ""}, 421),
    ],
)
def test_nothing_else_is_answered(
    server: DashboardServer, method: str, path: str, headers: dict[str, str], expected: int
) -> None:
    assert asked(server, method, path, **headers)[0] == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "localhost:80"])
def test_a_browser_that_leaves_the_port_out_is_answered(server: DashboardServer, host: str) -> None:
    assert asked(server, "GET", "/", Host=host)[0] == 200


def test_a_client_that_goes_away_leaves_no_traceback(server: DashboardServer, capsys: Capture) -> None:
    for error, shown in ((BrokenPipeError(), False), (TimeoutError(), False), (ValueError("a bug"), True)):
        try:
            raise error
        except type(error):
            server.handle_error(None, ("127.0.0.1", 1))
        assert ("Traceback" in capsys.readouterr().err) is shown


def test_told_where_it_answers_there_by_every_name(registry: Registry) -> None:
    with DashboardServer(0, lambda name: name.encode(), host="0.0.0.0") as found:
        assert found.address == f"http://0.0.0.0:{found.server_port}/"
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            assert asked(found, "GET", "/", Host="desk.example:80")[::2] == (200, b"registry")
            assert asked(found, "GET", "/../promotions.log", Host="desk.example")[0] == 404
        finally:
            found.shutdown()
            thread.join()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_the_address_of_ipv6_is_written_in_brackets() -> None:
    with DashboardServer(0, lambda name: b"", host="::1") as found:
        assert found.address == f"http://[::1]:{found.server_port}/"


def test_an_address_that_is_not_this_machines_is_said() -> None:
    with pytest.raises(UsageError, match=r"^cannot listen on 192\.0\.2\.1:1 \(.*\); give another --port$"):
        DashboardServer(1, lambda name: b"", host="192.0.2.1")


def test_a_port_that_is_taken_is_said(server: DashboardServer) -> None:
    said = rf"^cannot listen on 127.0.0.1:{server.server_port} \(.*\); give another --port$"
    with pytest.raises(UsageError, match=said):
        DashboardServer(server.server_port, lambda name: b"")
