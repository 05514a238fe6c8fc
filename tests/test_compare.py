"""How far shadow and live agree on the rows that both have scored."""

import pytest
from handmade import Desk, log_predictions, predictions
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import RegistryError, StatisticsError
from pytest_modelgates.model.files import tree_digest
from pytest_modelgates.monitoring.compare import agreement, compare, live_digest

pytest_plugins = ["handmade"]


@given(values=st.lists(st.integers(), min_size=2, unique=True))
def test_a_model_agrees_with_itself_and_not_with_its_opposite(values: list[int]) -> None:
    scores = {str(index): float(index) for index in range(len(values))}
    opposite = {key: -value for key, value in scores.items()}
    assert agreement(scores, scores).rank_correlation == pytest.approx(1)
    assert agreement(scores, opposite).rank_correlation == pytest.approx(-1)


def test_only_rows_that_both_scored_count() -> None:
    found = agreement({"a": 1.0, "b": 2.0, "c": 3.0, "x": -9.0}, {"c": 30.0, "b": 20.0, "a": 10.0, "y": 99.0})
    assert (found.rank_correlation, found.rows) == (pytest.approx(1), 3)


@pytest.mark.parametrize("shared", [0, 1])
def test_too_few_shared_rows_say_what_to_do(shared: int) -> None:
    with pytest.raises(StatisticsError) as refused:
        agreement({"a": 1.0, "b": 2.0}, {"a": 1.0} if shared else {"c": 1.0})
    assert str(refused.value) == (
        f"{shared} rows were scored by both models, at least 2 are needed; serve and shadow the same CSV"
    )


def test_logs_are_paired_by_row_and_by_the_bytes_of_the_models(desk: Desk) -> None:
    artifacts, candidate = desk.artifacts, desk.artifacts.model(desk.candidate)
    values = [float(value) for value in range(20)]
    log_predictions(artifacts.predictions, predictions(live_digest(artifacts), values, arm="live"))
    log_predictions(artifacts.predictions, predictions("1" * 64, values[::-1], arm="live"))
    log_predictions(artifacts.shadow_predictions, predictions(tree_digest(candidate), values[:15]))
    found = compare(artifacts, candidate)
    assert (found.rank_correlation, found.rows) == (pytest.approx(1), 15)


def test_an_unknown_candidate_is_refused(desk: Desk) -> None:
    with pytest.raises(RegistryError, match="1700000000 is unknown: no directory"):
        compare(desk.artifacts, desk.artifacts.model("1700000000"))


def test_without_a_live_model_there_is_nothing_to_compare_with(empty_desk: Desk) -> None:
    with pytest.raises(RegistryError, match=r"nothing is live under .*: promote a model first"):
        compare(empty_desk.artifacts, empty_desk.artifacts.model(empty_desk.candidate))


def test_a_link_without_its_log_is_refused(desk: Desk) -> None:
    desk.artifacts.promotions.unlink()
    with pytest.raises(RegistryError, match=r"promotions\.log says nothing is live"):
        live_digest(desk.artifacts)
