"""Charts: what is drawn where, what it is called, and that no text of anybody's becomes a tag."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_modelgates.pages.charts import HEIGHT, MOST_POINTS, MOST_ROWS, WIDTH, Chart, bars, histograms, line, thin

from .reading import Read, is_harmless

HOSTILE = "</svg><script>alert(1)</script>\" onload='x' &amp; \x1b[31m \u202e"
NUMBERS = st.none() | st.floats()


def read(chart: Chart) -> Read:
    return Read(chart.__html__())


def test_a_line_has_a_name_a_description_and_its_table() -> None:
    found = read(line("IC", "It rises.", ["2024-01-01", "2024-01-02"], {"before": [1.0, 2.0], "after": [0.5, None]}))
    (svg,) = found.all("svg")
    assert (svg["role"], svg["aria-label"]) == ("img", "IC")
    assert [tag for tag, _ in found.tags[:5]] == ["figure", "figcaption", "svg", "title", "desc"]
    assert "day before after 2024-01-01 1 0.5 2024-01-02 2 –" in found.text
    assert {each["stroke"] for each in found.all("path")} == {"currentColor"}
    assert len(found.all("details")) == 1


def test_a_gap_breaks_the_line() -> None:
    found = line("IC", "", ["a", "b", "c", "d"], {"x": [0.0, None, 1.0, 2.0]})
    (path,) = [each["d"] for each in read(found).all("path") if "s0" in str(each["class"])]
    assert str(path).count("M") == 2
    assert str(path).count("L") == 1


def test_the_greatest_value_lies_at_the_top_and_the_least_at_the_bottom() -> None:
    found = read(line("IC", "", ["a", "b"], {"x": [0.0, 4.0]}))
    low, high = (float(str(each["cy"])) for each in found.all("circle"))
    assert (low, high) == (HEIGHT - 22, 8)


def test_a_bar_reaches_from_nothing_to_its_value_and_its_interval_lies_around_it() -> None:
    found = bars("Gain", "", {"a": 1.0, "b": -1.0}, of="group", intervals={"a": (0.5, 1.5)}, limit=0.25)
    first, second = (each for each in read(found).all("rect") if each["class"] == "bar")
    assert float(str(second["x"])) + float(str(second["width"])) == pytest.approx(float(str(first["x"])))
    assert "group value from to a 1 0.5 1.5 b -1 – –" in read(found).text


def test_two_samples_stand_side_by_side() -> None:
    found = read(histograms("Drift", "", ["low", "high"], [0.5, 0.5], [0.25, 0.75], "golden", "live"))
    assert len([each for each in found.all("rect") if each["class"] == "h0"]) == 3  # and one in the legend
    assert "values golden live low 50.0% 25.0% high 50.0% 75.0%" in found.text


@pytest.mark.parametrize(
    "chart",
    [
        line(HOSTILE, HOSTILE, [HOSTILE], {HOSTILE: [1.0], f"{HOSTILE}2": [2.0]}, of=HOSTILE, band=(HOSTILE, 0, 1)),
        bars(HOSTILE, HOSTILE, {HOSTILE: 1.0}, of=HOSTILE, unit=HOSTILE, intervals={HOSTILE: (0, 1)}),
        histograms(HOSTILE, HOSTILE, [HOSTILE], [1.0], [1.0], HOSTILE, HOSTILE),
    ],
    ids=["line", "bars", "histograms"],
)
def test_no_text_becomes_a_tag_or_a_control_character(chart: Chart) -> None:
    html = chart.__html__()
    assert is_harmless(html.encode())
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "</svg><script>alert(1)" in Read(html).text


@settings(deadline=None)
@given(values=st.lists(NUMBERS, max_size=400), limit=st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_whatever_is_drawn_lies_in_the_picture(values: list[float | None], limit: float | None) -> None:
    names = [str(number) for number in range(len(values))]
    for chart in (
        line("a", "b", names, {"x": values, "y": values[::-1]}, limit=limit),
        bars("a", "b", dict(zip(names, values, strict=True)), of="c", limit=limit),
    ):
        found = read(chart)
        assert "nan" not in chart.drawing
        assert "inf" not in chart.drawing
        for each in found.all("rect") + found.all("circle"):
            x, y = (float(str(each.get(name) or each.get(f"c{name}"))) for name in "xy")
            assert -1 <= x <= WIDTH + 1
            assert -1 <= y <= chart.height + 1


def test_a_long_series_is_thinned_to_its_ends_and_what_is_even_between() -> None:
    days = [str(number) for number in range(10_000)]
    chart = line("a", "b", days, {"x": [math.sin(number / 500) for number in range(10_000)]})
    found = read(chart)
    assert len(found.all("tr")) == MOST_ROWS + 1
    assert "Table: a (40 of 10000 rows)" in found.text
    assert MOST_POINTS / 2 < chart.drawing.count("L") < MOST_POINTS
    assert thin(days, 3) == ["0", "5000", "9999"]


def test_one_day_among_thousands_is_still_drawn() -> None:
    values = [0.0] * 10_000
    values[4_321] = 4.0
    chart = line("a", "b", [str(number) for number in range(10_000)], {"x": values})
    (path,) = [str(each["d"]) for each in read(chart).all("path") if "s0" in str(each["class"])]
    assert " 8L" in path


def test_forty_charts_stay_below_300_kilobytes() -> None:
    days = [f"2024-{number:05}" for number in range(2_500)]
    values = [math.sin(number / 50) * 1.2345678 for number in range(2_500)]
    charts = [line(f"Chart {number}", "What it shows. " * 8, days, {"a": values, "b": values}) for number in range(40)]
    assert sum(len(chart.__html__().encode()) for chart in charts) < 290_000
