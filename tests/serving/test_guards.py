"""The kill switch."""

import pytest

from pytest_modelgates.errors import KilledError
from pytest_modelgates.serving.guards import refuse_if_killed


@pytest.mark.parametrize("value", ["1", "true", "no", "false", "off", " ", "00", "0 ", "-0", "０"])
def test_whatever_is_not_clearly_off_is_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SERVE_KILL", value)
    with pytest.raises(KilledError) as refused:
        refuse_if_killed()
    assert str(refused.value) == f"the kill switch is on (SERVE_KILL={value}): nothing is scored; unset it to go on"


def test_it_is_off_when_unset_empty_or_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVE_KILL", raising=False)
    refuse_if_killed()
    for value in ("", "0"):
        monkeypatch.setenv("SERVE_KILL", value)
        refuse_if_killed()
