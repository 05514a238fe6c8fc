"""What a refusal says to type next."""

from pytest_modelgates.evidence.reasons import Reason, next_commands


def test_what_to_type_next_is_each_command_once() -> None:
    again = "modelgates gate DIR"
    reasons = [
        Reason("leak.delay failed", "use what was known", failed="leak.delay"),
        Reason("pnl.sharpe failed", "trade less", failed="pnl.sharpe"),
        Reason("a hook", f"{again}, or write more into the policy"),
        Reason("an old run", again),
        Reason("2 nights", "pytest --model-dir=DIR every night"),
        Reason("nothing in shadow", f"modelgates shadow --csv \x1b; then {again}"),
        Reason("a key", "ask one of them"),
    ]
    assert next_commands(reasons) == [
        "modelgates explain leak.delay",
        again,
        "pytest --model-dir=DIR  # every night",
        "modelgates shadow --csv \\x1b",
    ]
