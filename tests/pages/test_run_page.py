"""The page of a run, from records made by hand and from real runs."""

import re
import sys
from pathlib import Path

import msgspec
import pytest

from pytest_modelgates.evidence.report import Evidence, Ledger, read_report
from pytest_modelgates.pages.pictures import of_evidence
from pytest_modelgates.pages.render import is_page, page
from pytest_modelgates.pages.run_page import run_page
from pytest_modelgates.policy.limits import short
from tests.support.gate_runs import PACKAGED, own_gate, reports_of, run
from tests.support.handmade import evidence, green_ledger, record

from .reading import Read, is_harmless

HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\" '\x1b[31m\u202e{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def ledger(packed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The ledger of a run of some of the shipped gates."""
    return ran(packed_once, tmp_path_factory.mktemp("run") / "report.json", "wf", "significance", "ablation")


@pytest.fixture(scope="module")
def parity_ledger(packed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The ledger of a run of the gates of parity."""
    return ran(packed_once, tmp_path_factory.mktemp("parity") / "report.json", "parity")


def ran(model: Path, report: Path, *families: str) -> Ledger:
    """Run gates in a process of its own."""
    import subprocess

    gates = Path(__file__).parents[2] / "gates"
    command = [sys.executable, "-m", "pytest", "-q", f"--model-dir={model}", f"--gate-report={report}"]
    command += [str(gates / f"test_{family}.py") for family in families]
    subprocess.run([*command, "-p", "no:cacheprovider"], check=False, capture_output=True)
    return read_report(report).report.modelgates


def text_of(content: bytes) -> str:
    return Read(content.decode()).text


def test_the_pictures_are_of_the_panel_and_agree_with_the_evidence(ledger: Ledger) -> None:
    content = run_page(ledger, PACKAGED, report="report.json")
    titles = [
        title for title in re.findall(r"<figcaption>(.*?)</figcaption>", content.decode()) if "intervals" not in title
    ]
    assert titles[:4] == ["Cumulative IC", "Cumulative return on paper", "Drawdown", "IC by fold"]
    assert {"Ablation", "Placebo", "Decay"} <= set(titles)
    (model,) = ledger.models.values()
    measured = {each.slo: each for record in model.gates for each in record.evidence}
    net, gross = (measured["significance.p_against"].detail[name] for name in ("ic_net", "ic_gross"))
    assert f"its mean is {gross:.4f} before costs and {net:.4f} after them" in text_of(content)
    assert f"{measured['wf.positive_folds'].value:.0%} are above 0" in text_of(content)


def parity_of(value: float, **detail: float) -> str:
    """What is drawn of a value of parity."""
    shown = evidence("parity.max_abs_diff", PACKAGED.slo["parity.max_abs_diff"], value, detail=detail)
    gate = msgspec.structs.replace(record("parity.max_abs_diff", PACKAGED), evidence=(shown,))
    (chart,) = of_evidence([gate]) or [None]
    return text_of(chart.__html__().encode()) if chart else ""


def test_parity_is_drawn_by_how_far_it_is_below_its_limit() -> None:
    said = parity_of(1e-6, half_within=1e-9, p99_within=1e-8)
    assert "half of the rows at most 1e-09, 99 in 100 rows at most 1e-08, every row at most 1e-06" in said
    assert "the limit is 1e-05" in said
    assert "below the limit half of the rows 4 99 in 100 rows 3 every row 1" in said


def test_a_row_beyond_the_limit_of_parity_lies_left_of_it_and_no_difference_has_no_bar() -> None:
    said = parity_of(1e-3, half_within=0.0, p99_within=1e-5)
    assert "below the limit half of the rows – 99 in 100 rows 0 every row -2" in said


@pytest.mark.parametrize("value", [-1.0, 10**400, True, "1e-9"])
def test_what_is_recorded_of_parity_and_is_not_a_distance_has_no_bar(value: float) -> None:
    assert "below the limit half of the rows – 99 in 100 rows – every row 1" in parity_of(1e-6, half_within=value)


def test_an_old_report_has_the_farthest_row_alone() -> None:
    assert "below the limit half of the rows – 99 in 100 rows – every row 1" in parity_of(1e-6, max_abs_diff=1e-6)


def test_parity_of_a_real_run_is_drawn_as_the_gate_measured_it(parity_ledger: Ledger) -> None:
    ((_, found),) = parity_ledger.models.items()
    (measured,) = (each for gate in found.gates if gate.gate == "parity.max_abs_diff" for each in gate.evidence)
    half, most = measured.detail["half_within"], measured.detail["p99_within"]
    assert measured.value is not None
    assert 0 <= float(half or 0) <= float(most or 0) <= measured.value
    said = text_of(run_page(parity_ledger, PACKAGED, report="report.json"))
    assert f"every row at most {short(measured.value)}" in said


def test_a_page_is_harmless_and_known_as_ours(ledger: Ledger) -> None:
    content = run_page(ledger, PACKAGED, report="report.json")
    assert is_harmless(content)
    assert is_page(content)
    (policy,) = [each["content"] for each in Read(content.decode()).all("meta") if each.get("http-equiv") is not None]
    assert str(policy).startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in str(policy)


def test_a_page_is_green_only_if_every_gate_that_must_run_did(good_model: Path) -> None:
    whole = green_ledger(good_model, PACKAGED)
    ((model_id, run),) = whole.models.items()
    content = run_page(whole, PACKAGED, report="report.json")
    assert "Green: no gate keeps it from being live" in text_of(content)
    some = msgspec.structs.replace(run, gates=run.gates[:3])
    part = msgspec.structs.replace(whole, models={model_id: some})
    left = [record.gate for record in run.gates[3:]]
    said = text_of(run_page(part, PACKAGED, report="report.json"))
    assert "Green" not in said
    assert f"Not complete: no gate that ran keeps it from being live, but {len(left)} that must run did not" in said
    assert f"did not run: {', '.join(left[:5])} and {len(left) - 5} more; run all: modelgates gate {good_model}" in said
    (good_model / "CHANGES.md").chmod(0o644)
    (good_model / "CHANGES.md").write_text("another by now")
    said = text_of(run_page(part, PACKAGED, report="report.json"))
    assert "Not known: no gate that ran keeps it from being live, but nobody can tell whether all ran" in said


def spoiled(ledger: Ledger, text: str) -> Ledger:
    """Put a text wherever a ledger can hold one, but for names that the policy must know."""
    evidence = Evidence(
        slo="wf.worst_fold", state="measured", value=0.0, unit=text, detail={text: text}, note=text, not_asked=None
    )
    models = {}
    for found in ledger.models.values():
        gates = tuple(
            msgspec.structs.replace(
                record,
                node_id=text,
                file=text,
                gate=f"{record.gate.partition('[')[0]}[{text}]",
                evidence=(*record.evidence, evidence) if record.gate == "wf.worst_fold" else record.evidence,
            )
            for record in found.gates
        )
        models[text] = msgspec.structs.replace(found, gates=gates, waivers=(text,))
    info = msgspec.structs.replace(
        ledger.run,
        arguments=(text,),
        policy_source=text,
        libraries={text: text},
        hooks={text: (text,)},
        changed=(text,),
        twice=(text,),
    )
    return msgspec.structs.replace(ledger, run=info, models=models)


def test_hostile_text_in_every_field_stays_text(ledger: Ledger) -> None:
    content = run_page(spoiled(ledger, HOSTILE), PACKAGED, report=HOSTILE, report_digest=HOSTILE)
    assert is_harmless(content)
    assert b"\x1b" not in content
    assert "\u202e" not in content.decode()
    assert text_of(content).count("{{ 7 * 7 }}") > 10
    assert "alert(1)" in text_of(content)


def test_a_model_that_is_another_by_now_is_not_drawn(ledger: Ledger, tmp_path: Path) -> None:
    ((model_id, found),) = ledger.models.items()
    other = tmp_path / "artifacts" / "models" / model_id
    other.mkdir(parents=True)
    (other / "CHANGES.md").write_text("substituted")
    moved = msgspec.structs.replace(ledger, models={model_id: msgspec.structs.replace(found, directory=str(other))})
    said = text_of(run_page(moved, PACKAGED, report="report.json"))
    assert "The model's files are others by now than those that were judged: nothing is drawn of them." in said
    assert "substituted" not in said
    assert "Placebo" in said


def test_a_red_run_says_why_and_what_to_do(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="2")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-html=out/page.html")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["page: out/page.html"])
    content = (pytester.path / "out" / "page.html").read_bytes()
    said = text_of(content)
    assert "Red: 1 gate keeps it from being live" in said
    assert "mine.answer failed : measured 2 x, limit ≤ 1 → give less" in said
    assert "mine.answer failed 2 x ≤ 1 -1" in said
    (report,) = reports_of(model)
    assert str(report) in said
    assert f"sha256:{read_report(report).digest}" in said


def test_what_blocks_stands_first(ledger: Ledger) -> None:
    ((model_id, found),) = ledger.models.items()
    instead = {
        name: record(name, PACKAGED, value) for name, value in (("pnl.after_costs", -1.0), ("wf.worst_fold", 0.0))
    }
    spoiled = msgspec.structs.replace(
        ledger, models={model_id: msgspec.structs.replace(found, gates=tuple(instead.values()))}
    )
    said = text_of(run_page(spoiled, PACKAGED, report="report.json")).partition("what to do")[2]
    assert PACKAGED.slo["pnl.after_costs"].severity == "soft"
    assert list(PACKAGED.slo).index("pnl.after_costs") < list(PACKAGED.slo).index("wf.worst_fold")
    assert 0 <= said.index("wf.worst_fold failed") < said.index("pnl.after_costs WARN")


def test_a_run_of_one_gate_of_a_model_without_a_sidecar_is_not_green(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    assert run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-html=page.html").ret == 0
    content = (pytester.path / "page.html").read_bytes()
    assert "Not known: no gate that ran keeps it from being live" in text_of(content)
    assert "Green" not in text_of(content)
    assert is_harmless(content)


def test_a_page_of_an_earlier_run_does_not_stand_for_one_that_died(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    arguments = (f"--model-dir={model}", "test_mine.py", "--gate-html=page.html")
    assert run(pytester, *arguments).ret == 0
    pytester.makepyfile(test_mine="import pytest\npytest.exit('gone')")
    run(pytester, *arguments)
    assert not (pytester.path / "page.html").exists()


def test_a_run_that_asks_for_a_page_needs_the_extra_before_it_begins(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    model = own_gate(pytester, value="0")
    result = run(pytester, f"--model-dir={model}", "test_mine.py", "--gate-html=page.html")
    assert result.ret == 4
    what = "jinja2 is not installed; run: pip install 'pytest-modelgates[pages]'"
    assert f"ERROR: --gate-html=page.html: {what}" in result.stderr.lines
    assert run(pytester, f"--model-dir={model}", "test_mine.py").ret == 0


def test_a_template_that_asks_for_what_is_not_given_fails_here_and_not_at_a_user() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        page("run.html", models=[])
