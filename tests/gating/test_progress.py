"""What a gate that takes long says on the terminal."""

import pytest

SLOW = """
    import pytest
    from pytest_modelgates.gating.progress import progress_lines

    @pytest.fixture
    def slow(pytestconfig):
        progress = progress_lines(pytestconfig, "metric.beats_baseline: f1, resamples", every={every})
        for done in range(3):
            progress(done, 3)

    def test_it(slow):
        pass
"""


@pytest.mark.parametrize("option", ["--capture=fd", "--capture=sys", "-s"])
def test_progress_shows_while_output_is_captured(pytester: pytest.Pytester, option: str) -> None:
    pytester.makepyfile(SLOW.format(every=0))
    result = pytester.runpytest(option)
    result.stdout.fnmatch_lines(
        [
            "metric.beats_baseline: f1, resamples: 1 of 3, about * s left",
            "metric.beats_baseline: f1, resamples: 2 of 3, about * s left",
            "*1 passed*",
        ]
    )


@pytest.mark.parametrize(("every", "options"), [(60, ()), (0, ("-p", "no:terminal"))], ids=["quick", "no-terminal"])
def test_a_quick_gate_and_one_without_a_terminal_say_nothing(
    pytester: pytest.Pytester, every: int, options: tuple[str, ...]
) -> None:
    pytester.makepyfile(SLOW.format(every=every))
    result = pytester.runpytest(*options)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*resamples:*")
