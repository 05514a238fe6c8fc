"""What of the policy judges: everything that is not marked, at whatever depth."""

import msgspec

from pytest_modelgates.policy.judging import NotJudging, judging
from pytest_modelgates.policy.load import load_policy


class Row(msgspec.Struct):
    """Nested in the one below."""

    limit: float
    advice: NotJudging[str] = "look"


class Rules(msgspec.Struct):
    """A section, with a key of every shape."""

    rows: dict[str, Row]
    more: tuple[Row, ...]
    one: Row
    aside: NotJudging[Row]
    limit: float | None = None


def test_marked_keys_are_left_out_at_every_depth() -> None:
    rules = Rules(rows={"a": Row(1)}, more=(Row(2), Row(3)), one=Row(4), aside=Row(5))
    assert judging(rules) == {
        "rows": {"a": {"limit": 1}},
        "more": [{"limit": 2}, {"limit": 3}],
        "one": {"limit": 4},
        "limit": None,
    }


def test_these_sections_judge_and_of_an_slo_all_but_the_advice() -> None:
    found = judging(load_policy(None))
    sections = {"promotion", "costs", "data", "significance", "leak", "ablation", "drift", "onnx", "evidence"}
    assert set(found) == sections | {"format", "not_applicable", "tasks", "waiver", "slo"}
    bounds = {"above", "at_least", "below", "at_most"}
    assert set(found["slo"]["drift.psi"]) == bounds | {"unit", "severity", "gate", "each", "parameters", "twin"}
