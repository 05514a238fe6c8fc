"""`watch` on the command line: its exit codes, what it prints, the loop, and the way back as a process tries it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from pytest_modelgates.cli import main
from pytest_modelgates.cli.watch import again_and_again
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.store import link_text, live_change
from tests.support.handmade import Registry, golden_of, green_report, log_predictions, predictions
from tests.support.panels import FEATURES, invented_panel
from tests.support.webhooks import webhook

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def watched(registry: Registry) -> Registry:
    """A registry whose candidate took the place of its first model."""
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="a new one")
    return registry


def words(registry: Registry, *more: object) -> list[str]:
    place = ["--artifacts", str(registry.artifacts.root), "--policy", str(registry.policy_file)]
    return ["watch", *map(str, more), *place]


def log(registry: Registry, *, shift: float = 0.0, **changes: object) -> None:
    golden = golden_of(registry.artifacts.model(live_change(registry.artifacts).to))
    values = [value + shift for value in golden[:600]]
    digest = live_change(registry.artifacts).digest
    log_predictions(registry.artifacts, predictions(digest, values, arm="live", hours=0.4, **changes))


def test_a_calm_model_ends_with_0_and_a_breach_with_1(watched: Registry, capsys: Capture) -> None:
    log(watched)
    assert main(words(watched)) == 0
    assert capsys.readouterr().out.startswith(f"{watched.candidate}, watched at 20")
    log(watched, shift=1.0)
    assert main(words(watched, "--json")) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["deed"]["did"], said["deed"]["to"]) == ("rolled back", watched.live)
    assert link_text(watched.artifacts) == watched.live


def test_a_model_that_does_not_load_is_not_gone_back_to(watched: Registry, capsys: Capture) -> None:
    model = watched.artifacts.model(watched.live) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    log(watched, shift=1.0)
    assert main(words(watched)) == 1
    said = capsys.readouterr().out
    assert "\n  killed:\n    arm live was killed by modelgates-watch on " in said
    assert f"there is no way back to {watched.live}: model.onnx" in " ".join(said.split())
    assert link_text(watched.artifacts) == watched.candidate


def test_what_was_really_served_is_scored_alike_by_another_process(watched: Registry, capsys: Capture) -> None:
    operations = watched.policy_file.with_name("operations.toml")
    operations.write_text("[log]\nfeatures = 1\n")
    rows = watched.artifacts.root / "live_data.csv"
    invented_panel(seed=2)[["time", "asset", *FEATURES]][:200].to_csv(rows, index=False)
    assert main(["serve", "--onnx", str(watched.artifacts.latest_onnx), "--csv", str(rows)]) == 0
    capsys.readouterr()
    assert main(words(watched)) == 0
    assert "\n  scores    clean         200 rows scored again, apart by " in capsys.readouterr().out


def test_who_is_not_listed_may_not_watch(watched: Registry, capsys: Capture) -> None:
    with watched.policy_file.open("a") as file:
        file.write('[registry]\nmay_roll_back = ["ada"]\n')
    assert main(words(watched)) == 2
    assert capsys.readouterr().err == (
        'modelgates: modelgates-watch may not roll back; the policy lets ada; add "modelgates-watch" to may_roll_back '
        "under [registry] of the policy\n"
    )


def test_an_exchange_whose_sessions_are_not_known_is_refused_at_the_start(
    watched: Registry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = watched.policy_file.with_name("operations.toml")
    operations.write_text('[watch.silence]\ncalendar = "XNYSE"\n')
    assert main(words(watched)) == 2
    said = "[watch.silence] calendar: 'XNYSE' is no exchange of exchange_calendars; did you mean XNYS?"
    assert capsys.readouterr().err == f"modelgates: {said}\n"
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    operations.write_text('[watch.silence]\ncalendar = "XLON"\n')
    assert main(words(watched)) == 2
    said = "exchange_calendars is not installed; run: pip install 'pytest-modelgates[calendars]'"
    assert capsys.readouterr().err == f"modelgates: {said}\n"


def test_what_cannot_be_seen_ends_with_3(watched: Registry, capsys: Capture) -> None:
    log(watched)
    (part,) = parts(watched.artifacts, "live")
    with part.path.open("a") as file:
        file.write("nonsense\n")
    assert main(words(watched)) == 3
    assert "  latency, failed, rejected  UNSEEN        the log of live predictions is not\n" in capsys.readouterr().out
    watched.artifacts.latest.unlink()
    assert main(words(watched)) == 3
    assert capsys.readouterr().err.startswith("modelgates: cannot see: promotions.log says ")


def test_without_the_registrys_policy_nothing_is_judged_nor_done(watched: Registry, capsys: Capture) -> None:
    log(watched, shift=1.0)
    watched.policy_file.rename(watched.policy_file.with_name("elsewhere.toml"))
    assert main(["watch", "--artifacts", str(watched.artifacts.root)]) == 3
    said = capsys.readouterr().err
    assert said.startswith("modelgates: cannot see: ")
    assert "policy" in said
    assert link_text(watched.artifacts) == watched.candidate


@pytest.mark.parametrize("text", ["60", "0s", "1d", "-5s", "1.5h", ""])
def test_a_span_is_a_number_and_a_unit(watched: Registry, capsys: Capture, text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words(watched, f"--every={text}"))
    said = f"argument --every: {text!r} is not a span of time; give one such as 60s, 5m or 1h\n"
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize(("took", "paused"), [(0.0, 60.0), (45.0, 15.0), (70.0, 0.0)], ids=["none", "some", "late"])
def test_looks_begin_a_span_apart(took: float, paused: float) -> None:
    class Over(Exception):  # noqa: N818  # what ends the loop
        pass

    now, pauses = [0.0], list[float]()

    def look() -> None:
        now[0] += took

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds
        if len(pauses) == 3:
            raise Over

    with pytest.raises(Over):
        again_and_again(look, 60.0, clock=lambda: now[0], pause=pause)
    assert pauses == [paused] * 3


def test_the_loop_goes_on_past_what_it_cannot_see_and_tells_people(watched: Registry) -> None:
    with webhook() as service:
        operations = watched.policy_file.with_name("operations.toml")
        operations.write_text(f'[[alerts.route]]\nurl = "json://127.0.0.1:{service.port}/"\nkinds = ["rollback"]\n')
        roll_back_in_a_loop(watched)
        assert service.titles == [f"model: rolled back to {watched.live}, in place of {watched.candidate}"]


def roll_back_in_a_loop(watched: Registry) -> None:
    """Look each second while first the link is missing, and then the model drifts."""
    latest = link_text(watched.artifacts)
    watched.artifacts.latest.unlink()
    command = [sys.executable, "-m", "pytest_modelgates", *words(watched, "--every", "1s")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert "cannot see: promotions.log says " in process.stderr.readline()
            watched.artifacts.latest.symlink_to(str(latest))
            log(watched, shift=1.0)
            until(process.stdout.readline, f"  rolled back to {watched.live}:\n")
            until(process.stdout.readline, "  at most one false alarm in 20 days")
            until(process.stdout.readline, f"{watched.live}, watched at")
        finally:
            process.terminate()


def until(read: Callable[[], str], begin: str) -> None:
    end = time.monotonic() + 120  # the watch never stops printing by itself
    while (line := read()) and not line.startswith(begin):
        assert time.monotonic() < end, begin
    assert line
