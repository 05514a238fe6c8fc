"""What a green run says of its report, so that nobody learns it at promotion."""

from pathlib import Path

import pytest

from tests.support.gate_runs import own_gate, record_of, run, run_apart

HEADING = "promotion would refuse this report:"


def trusted_gate(pytester: pytest.Pytester, *, value: str = "0") -> Path:
    """A hard gate of the team's own in a suite that the policy names."""
    model = own_gate(pytester, severity="hard", value=value)
    policy = pytester.path / "registry" / "policy.toml"
    policy.write_text('[evidence]\nsuites = ["mine"]\n' + policy.read_text())
    pytester.mkdir("mine")
    (pytester.path / "test_mine.py").rename(pytester.path / "mine" / "test_mine.py")
    return model


def test_a_run_that_may_be_promoted_says_nothing(pytester: pytest.Pytester) -> None:
    model = trusted_gate(pytester)
    result = run(pytester, f"--model-dir={model}", "mine")
    assert result.ret == 0
    result.stdout.no_fnmatch_line(HEADING)


def test_a_green_run_says_why_its_report_would_be_refused(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="0")
    result = run(pytester, f"--model-dir={model}", "test_mine.py")
    place = f"{pytester.path.name}/test_mine.py"
    reason = f"mine.answer was defined in {place}, which is not a gate file that counts here"
    result.stdout.fnmatch_lines([HEADING, f"  {reason} → modelgates gate {model}"])


def test_a_red_run_has_enough_to_say(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, severity="hard", value="2")
    run(pytester, f"--model-dir={model}", "test_mine.py").stdout.no_fnmatch_line(HEADING)


def test_a_suite_that_is_missing_is_named(pytester: pytest.Pytester) -> None:
    model = trusted_gate(pytester)
    (pytester.path / "mine").rename(pytester.path / "moved")
    result = run(pytester, f"--model-dir={model}", "moved")
    result.stdout.fnmatch_lines([f"{HEADING} the policy names the suite */mine, which is not a folder; *"])


def test_it_gives_the_line_that_lets_a_plugin_in(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trusted_gate(pytester)
    policy = pytester.path / "registry" / "policy.toml"
    policy.write_text(policy.read_text().replace("[evidence]\n", '[evidence]\nplugins = ["pytest_jsonreport"]\n'))
    result = run(pytester, f"--model-dir={model}", "mine")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            HEADING,
            f"  pytest_rerunfailures can alter the run (pytest_runtest_protocol), and * → modelgates gate {model}, *",
            "to let these plugins take part, write this into the policy, and run again:",
            "[[]evidence[]]",
        ]
    )
    (line,) = [line for line in result.outlines if line.startswith("plugins = ")]
    policy.write_text(policy.read_text().replace('plugins = ["pytest_jsonreport"]', line))
    run(pytester, f"--model-dir={model}", "mine").stdout.no_fnmatch_line(HEADING)


@pytest.mark.integration
def test_pytest_html_takes_part_and_shows_every_gate(pytester: pytest.Pytester) -> None:
    model = trusted_gate(pytester)
    with (pytester.path / "mine" / "test_mine.py").open("a") as file:
        file.write(
            '\n@pytest.mark.gate("pnl.turnover")\ndef test_misses(gate):\n    gate.check(9)\n'
            '\n@pytest.mark.gate("drift.psi")\ndef test_first(gate):\n    gate.no_reference("nothing was ever live")\n'
        )
    result = run_apart(pytester, f"--model-dir={model}", "mine", "--html=page.html", "--self-contained-html")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.no_fnmatch_line(HEADING)
    page = (pytester.path / "page.html").read_text("utf-8")
    for shown in ("1 Passed,", "1 Skipped,", "1 Expected failures,"):
        assert shown in page


def test_a_fixture_that_nothing_asks_for_is_automatic(pytester: pytest.Pytester) -> None:
    model = own_gate(pytester, value="0")
    pytester.makeini("[pytest]\nusefixtures = by_ini")
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.fixture(autouse=True)
        def alone(helper): pass

        @pytest.fixture
        def helper(): pass

        @pytest.fixture(autouse=True)
        def shared(): pass

        @pytest.fixture
        def asked(shared): pass

        @pytest.fixture
        def by_ini(): pass

        @pytest.fixture
        def by_mark(): pass

        @pytest.fixture
        def late(): pass

        @pytest.mark.usefixtures("by_mark")
        @pytest.mark.gate("mine.answer")
        def test_answer(gate, asked, request):
            request.getfixturevalue("late")
            gate.check(0)
        """
    )
    run(pytester, f"--model-dir={model}", "test_mine.py")
    mine = {name for name, origin in record_of(model).fixtures.items() if origin.endswith("test_mine.py")}
    assert mine == {"alone", "helper", "shared", "asked", "by_ini", "by_mark", "late"}
    assert mine & set(record_of(model).automatic) == {"alone", "helper"}
