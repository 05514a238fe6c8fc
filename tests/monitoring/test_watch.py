"""The watch: what it finds, what it does about it, and what it does not do."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pytest_modelgates.audit.actor import acting_as
from pytest_modelgates.audit.chain import Event, Intent, read_history
from pytest_modelgates.audit.writer import locked
from pytest_modelgates.cli import main
from pytest_modelgates.errors import RegistryError, UsageError
from pytest_modelgates.monitoring import drift_check
from pytest_modelgates.monitoring import judge as judging
from pytest_modelgates.monitoring import watch as watching
from pytest_modelgates.monitoring.drift_check import acknowledge
from pytest_modelgates.monitoring.rescored import Rescore, Rescored
from pytest_modelgates.monitoring.seldom import Held
from pytest_modelgates.monitoring.triggers import Finding
from pytest_modelgates.monitoring.watch import Look, Watch, refuse_without_right
from pytest_modelgates.monitoring.watch_words import in_words
from pytest_modelgates.monitoring.way_out import ACTOR
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.predictions.compacting import compact
from pytest_modelgates.predictions.parts import parts
from pytest_modelgates.proving.rescoring import score_again
from pytest_modelgates.registry.promote import promote
from pytest_modelgates.registry.rollback import rollback
from pytest_modelgates.registry.store import link_text, live_change
from pytest_modelgates.registry.way_back import WayBack
from pytest_modelgates.serving.drill import Drill, Shown, record_drill
from pytest_modelgates.storage.digests import sha256_of, tree_digest
from tests.support.handmade import LENIENT, Registry, golden_of, green_report, log_predictions, predictions
from tests.support.panels import served_rows


def sound(directory: Path) -> WayBack:
    """What the rehearsal of a rollback finds of a sound model."""
    return WayBack(model_id=directory.name, digest=tree_digest(directory), rows=9, difference=0.0)


@dataclass
class Desk:
    """A registry whose candidate was promoted over its first model, and a watch over it."""

    registry: Registry
    told: list[tuple[str, str, bool]] = field(default_factory=list)
    rehearse: Callable[[Path], WayBack] = sound
    rescore: Rescore = lambda directory, rows: Rescored(model_id=directory.name, problem="not asked")
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.watch = self.again()

    def again(self) -> Watch:
        """A watch in a process of its own."""
        return Watch(
            self.registry.artifacts,
            rehearse=lambda path: self.rehearse(path),
            rescore=lambda path, rows: self.rescore(path, rows),
            tell=self.tell,
        )

    def tell(self, model_id: str, found: Finding, *, on: bool) -> None:
        self.told.append((model_id, found.trigger, on))

    def log(
        self, values: list[float | None], *, end: datetime | None = None, hours: float = 0.4, **changes: object
    ) -> None:
        """Let the live model score rows within the last half hour."""
        digest = live_change(self.registry.artifacts).digest
        end = end or self.now
        log_predictions(
            self.registry.artifacts, predictions(digest, values, arm="live", end=end, hours=hours, **changes)
        )

    def calm(self, rows: int = 600) -> list[float | None]:
        """Predictions as the live model's own panel has them."""
        golden = golden_of(self.registry.artifacts.model(live_change(self.registry.artifacts).to))
        return list(np.random.default_rng(4).choice(golden, rows).tolist())

    def look(self, *, minutes: float = 0, again: bool = False) -> Look:
        if again:
            self.watch = self.again()
        return self.watch.look(self.registry.in_force, now=self.now + timedelta(minutes=minutes))

    def operations(self, text: str) -> None:
        self.registry.policy_file.with_name("operations.toml").write_text(f"format = 1\n{text}")

    @property
    def live(self) -> str | None:
        return link_text(self.registry.artifacts)


@pytest.fixture
def desk(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Let the candidate be live for two days, by the hand of somebody else."""
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="a new one")
    real = live_change

    def two_days(artifacts: object) -> Intent:
        found = real(artifacts)  # type: ignore[arg-type]
        return msgspec.structs.replace(found, time=found.time - timedelta(days=2))

    for module in (watching, drift_check):
        monkeypatch.setattr(module, "live_change", two_days)
    return Desk(registry)


def verdicts(looked: Look) -> dict[str, str]:
    return {each.trigger: each.verdict for each in looked.findings}


UNASKED = dict.fromkeys(
    ("scores", "ic", "pnl", "exposure", "shadow", "silence", "stale_model", "stale_golden", "drill"), "inconclusive"
)
CLEAN = {"latency": "clean", "failed": "clean", "rejected": "clean", "drift": "clean"} | UNASKED


def test_a_calm_model_is_left_alone(desk: Desk) -> None:
    desk.log(desk.calm())
    looked = desk.look()
    assert (verdicts(looked), looked.deed, looked.status, desk.told) == (CLEAN, None, 0, [])
    assert desk.live == desk.registry.candidate
    assert not (desk.registry.artifacts.watch / "findings").exists()
    said = in_words(looked).splitlines()
    assert said[0] == f"{desk.live}, watched at {desk.now:%Y-%m-%d %H:%M:%S} UTC"
    assert said[1] == "  latency   clean         p95 1 ms of 600 batches, limit 0 < · ≤ 200"
    assert said[2] == "  failed    clean         0.00% of 600 rows, limit ≤ 0.01"
    assert said[4].startswith("  drift     clean         PSI 0.0")
    assert said[5] == "  scores    inconclusive  no new row keeps its features; see: [log] features"
    since = f"{desk.now - timedelta(days=2):%Y-%m-%d}"
    assert said[6] == f"  ic, pnl, exposure  inconclusive  no outcome is known of rows since {since};"
    assert said[7] == f"{' ' * 26}see: modelgates outcomes add"
    assert said[8] == "  at most one false alarm in 20 days, of latency, failed, rejected and drift"
    assert [line for line in said if len(line) > 80] == []


def test_too_little_is_inconclusive_and_says_so(desk: Desk) -> None:
    looked = desk.look()
    assert set(verdicts(looked).values()) == {"inconclusive"}
    assert looked.status == 0
    texts = [each.text for each in looked.findings]
    assert texts[:2] == ["0 batches in 1 h, at least 50 are needed", "0 rows in 1 h, at least 100 are needed"]
    assert texts[3].startswith(f"no prediction of {desk.live}, which is live, in ")
    desk.log(desk.calm(40))
    texts = [each.text for each in desk.look(minutes=1).findings]
    assert texts[0] == "40 batches in 1 h, at least 50 are needed"
    assert texts[3] == "40 rows, at least 500 are needed"


def test_drift_rolls_back_to_the_model_before_with_its_evidence(desk: Desk) -> None:
    desk.log([value + 1 for value in desk.calm() if value is not None])
    looked = desk.look()
    assert looked.deed is not None
    assert (looked.deed.did, looked.deed.to, looked.status) == ("rolled back", desk.registry.live, 1)
    assert desk.live == desk.registry.live
    assert desk.told == [(desk.registry.candidate, "drift", True)]
    change = live_change(desk.registry.artifacts)
    assert (change.action, change.actor) == ("rollback", ACTOR)
    assert change.reason.startswith("the watch found drift: PSI ")
    (finding,) = (desk.registry.artifacts.watch / "findings").iterdir()
    assert change.evidence_digest == sha256_of(finding)
    kept = json.loads(finding.read_text())
    assert [each["trigger"] for each in kept["findings"] if each["verdict"] == "breach"] == ["drift"]
    assert "  no server was asked what it serves: [watch] adapters names none" in in_words(looked)
    # What is live now has no record yet, and the watch goes on with it.
    after = desk.look(minutes=1)
    assert (after.model_id, after.status, after.deed) == (desk.registry.live, 0, None)


def test_a_slow_model_is_rolled_back_once_three_looks_in_a_row_find_it_slow(desk: Desk) -> None:
    for number in range(3):
        assert desk.live == desk.registry.candidate
        desk.log(desk.calm(200), end=desk.now + timedelta(minutes=number), latency_ms=812.0)
        looked = desk.look(minutes=number, again=True)
        if number < 2:
            assert verdicts(looked)["latency"] == "inconclusive"
            assert looked.findings[0].text.endswith(f"limit 0 < · ≤ 200; look {number + 1} of 3 in a row")
            # A look at what was seen before is not one more.
            assert desk.look(minutes=number + 0.5).findings[0].text.endswith(f"look {number + 1} of 3 in a row")
    assert verdicts(looked)["latency"] == "breach"
    assert looked.deed is not None
    assert desk.live == looked.deed.to == desk.registry.live


@pytest.mark.parametrize(
    ("error", "trigger", "share"), [("model: the score is inf", "failed", 0.1), ("schema: x is nan", "rejected", 0.5)]
)
def test_rows_without_a_score_roll_back(desk: Desk, error: str, trigger: str, share: float) -> None:
    values = desk.calm(400)
    bad = round(share * len(values))
    desk.log(values[bad:])
    desk.log([None] * bad, error=error, latency_ms=0.0)
    looked = desk.look()
    assert verdicts(looked) == CLEAN | {trigger: "breach", "drift": "inconclusive"}
    assert desk.live == desk.registry.live


def test_what_chance_may_explain_is_no_breach(desk: Desk) -> None:
    desk.log(desk.calm(596))
    desk.log([None] * 7, error="model: the score is inf")
    found = {each.trigger: each for each in desk.look().findings}["failed"]
    assert (found.verdict, found.text) == ("inconclusive", "1.16% of 603 rows, limit ≤ 0.01: chance may explain it")


MODES = [
    ("warn", None, 0, "candidate"),
    ("dry_run", "would roll back", 1, "candidate"),
    ("act", "rolled back", 1, "live"),
]


@pytest.mark.parametrize(("mode", "did", "status", "live"), MODES)
def test_the_mode_says_what_follows(desk: Desk, mode: str, did: str | None, status: int, live: str) -> None:
    desk.operations(f'[watch.drift]\nmode = "{mode}"\n')
    desk.log([value + 1 for value in desk.calm() if value is not None])
    looked = desk.look()
    assert (looked.deed.did if looked.deed else None, looked.status) == (did, status)
    assert desk.live == getattr(desk.registry, live)
    assert desk.told == [(desk.registry.candidate, "drift", True)]
    said = in_words(looked)
    assert "BREACH" in said
    assert mode == "act" or f"({mode.replace('_', ' ')})" in said


def test_a_dry_run_acts_once_it_has_lasted_its_days(desk: Desk) -> None:
    desk.operations('[watch.drift]\nmode = "dry_run"\ndays = 3\n')
    desk.look(minutes=-3 * 24 * 60 + 1)
    desk.log([value + 1 for value in desk.calm() if value is not None])
    looked = desk.look(again=True)
    assert looked.deed is not None
    assert looked.deed.did == "would roll back"
    assert desk.live == desk.registry.candidate
    looked = desk.look(minutes=2, again=True)
    assert looked.deed is not None
    assert looked.deed.did == "rolled back"


def test_calm_rows_after_bad_ones_are_calm_also_at_a_look_without_new_rows(desk: Desk) -> None:
    desk.operations('[watch.drift]\nmode = "dry_run"\n')
    desk.now -= timedelta(hours=1)
    calm, found = desk.calm(), list[str]()
    for minutes, moved in enumerate((0, 0, 0, 1, 1, 1, 0, 0, None, None)):
        if moved is not None:
            end = desk.now + timedelta(minutes=minutes)
            desk.log([value + moved for value in calm if value is not None], end=end, hours=0.01)
        found.append(verdicts(desk.look(minutes=minutes, again=moved is None))["drift"])
    # All rows together are beyond the limit by now, and an alarm over time is on.
    assert found == ["clean"] * 3 + ["breach"] * 3 + ["clean"] * 4


def test_rows_that_another_look_has_taken_are_not_new(desk: Desk) -> None:
    desk.log([value + 1 for value in desk.calm() if value is not None])
    rules = desk.registry.in_force.operations.drift
    artifacts = desk.registry.artifacts
    drift_check.record(artifacts, drift_check.check_log(artifacts, desk.registry.policy, rules=rules, now=desk.now))
    found = {each.trigger: each for each in desk.look(minutes=1).findings}["drift"]
    assert (found.verdict, found.text) == ("inconclusive", "no new row since the last look")
    assert desk.live == desk.registry.candidate


def test_an_acknowledged_breach_does_not_stand(desk: Desk) -> None:
    desk.operations('[watch.drift]\nmode = "dry_run"\n')
    desk.log([value + 1 for value in desk.calm() if value is not None])
    assert verdicts(desk.look())["drift"] == "breach"
    assert verdicts(desk.look(minutes=1))["drift"] == "breach"
    acknowledge(desk.registry.artifacts, desk.registry.in_force.operations.registry, reason="a new feed")
    assert verdicts(desk.look(minutes=2))["drift"] == "inconclusive"


def test_outcomes_are_waited_for_by_new_outcomes_and_not_by_new_rows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.operations('[watch.ic]\nmode = "act"\nmin_sample = 20\npatience = 3\n')
    bad = Finding(trigger="ic", mode="act", verdict="breach", text="short", beyond=True)
    added = ["first"]

    def found(*_: object, **__: object) -> dict[str, Held]:
        return {"ic": Held(of=added[-1], finding=bad)}

    monkeypatch.setattr(judging, "seldom", found)
    said = []
    for minutes, new in enumerate((False, False, False, True, True)):
        desk.log(desk.calm(), end=desk.now + timedelta(minutes=minutes), hours=0.01)
        added += [f"outcomes {minutes}"] * new
        said.append(next(each.text for each in desk.look(minutes=minutes).findings if each.trigger == "ic"))
    assert said == ["short; look 1 of 3 in a row"] * 3 + ["short; look 2 of 3 in a row", "short"]


def test_a_log_that_was_compacted_is_not_silent(desk: Desk) -> None:
    desk.log(desk.calm(), end=desk.now)
    artifacts = desk.registry.artifacts
    (part,) = parts(artifacts, "live")
    last = judging.newest_row(artifacts, since=desk.now)
    assert last is not None
    for link in artifacts.newest_parts.values():
        link.unlink(missing_ok=True)
    assert compact(artifacts, part) is None
    assert judging.newest_row(artifacts, since=desk.now) == last


def test_an_arm_that_is_stopped_is_left_alone(desk: Desk) -> None:
    rehearsed = list[Path]()

    def rehearse(directory: Path) -> WayBack:
        rehearsed.append(directory)
        return sound(directory)

    desk.rehearse = rehearse
    root = ["--artifacts", str(desk.registry.artifacts.root)]
    assert main(["kill", "--arm", "live", "--reason", "by hand", *root]) == 0
    looked = breach_again(desk, minutes=0)
    assert (verdicts(looked)["drift"], looked.status, looked.deed, rehearsed) == ("breach", 1, None, [])
    assert not (desk.registry.artifacts.watch / "findings").exists()


def test_a_breach_that_waits_keeps_no_file(desk: Desk) -> None:
    breach_again(desk, minutes=0)
    findings = desk.registry.artifacts.watch / "findings"
    kept = list(findings.iterdir())
    looked = breach_again(desk, minutes=5)
    assert looked.deed is not None
    assert (looked.deed.did, list(findings.iterdir())) == ("waits", kept)


def breach_again(desk: Desk, *, minutes: float) -> Look:
    desk.log([value + 1 for value in desk.calm() if value is not None], end=desk.now)
    return desk.look(minutes=minutes)


def test_a_second_rollback_waits_for_the_cool_down(desk: Desk) -> None:
    breach_again(desk, minutes=0)
    assert desk.live == desk.registry.live
    looked = breach_again(desk, minutes=5)
    assert looked.deed is not None
    assert (looked.deed.did, looked.status) == ("waits", 1)
    assert looked.deed.text.startswith("the watch rolled back less than 6 h ago and does so again from ")
    assert desk.live == desk.registry.live


def test_where_nothing_good_is_left_the_arm_is_stopped(desk: Desk) -> None:
    desk.operations("[watch]\ncool_down_h = 0\n")
    breach_again(desk, minutes=0)
    looked = breach_again(desk, minutes=5)
    assert looked.deed is not None
    assert looked.deed.did == "killed"
    assert f"nothing to roll back to: {desk.registry.candidate} was rolled back by the watch" in looked.deed.text
    assert desk.registry.artifacts.kill("live").exists()
    assert not desk.registry.artifacts.kill("shadow").exists()
    last = next(iter(reversed(read_history(desk.registry.artifacts.promotions))))
    assert "  arm live was killed by modelgates-watch on " in in_words(desk.look(minutes=6))
    assert isinstance(last, Event)
    assert (last.kind, last.subject, last.actor) == ("kill", "live", ACTOR)


def test_a_model_that_was_promoted_again_since_may_be_gone_back_to(desk: Desk) -> None:
    registry = desk.registry
    desk.operations("[watch]\ncool_down_h = 0\n")
    breach_again(desk, minutes=0)
    assert desk.live == registry.live
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="mended")
    with acting_as("ada"):
        rollback(registry.artifacts, registry.live, registry.in_force, reason="by hand")
    looked = breach_again(desk, minutes=5)
    assert looked.deed is not None
    assert (looked.deed.did, looked.deed.to) == ("rolled back", registry.candidate)


def test_more_rollbacks_than_a_week_may_have_stop_the_arm(desk: Desk) -> None:
    desk.operations("[watch]\ncool_down_h = 0\nper_week = 1\n")
    breach_again(desk, minutes=0)
    looked = breach_again(desk, minutes=5)
    assert looked.deed is not None
    assert looked.deed.did == "killed"
    assert "1 rollback by the watch within seven days, and at most 1 are made" in looked.deed.text


BROKEN = [
    WayBack(model_id="x", problem="it is in pieces"),
    WayBack(model_id="x", digest="0" * 64, rows=9, difference=0.0),
    WayBack(model_id="x", digest="", rows=9, difference=0.5),
]


@pytest.mark.parametrize("way_back", BROKEN, ids=["does not load", "other bytes", "other scores"])
def test_a_model_that_is_not_sound_is_not_gone_back_to(desk: Desk, way_back: WayBack) -> None:
    def rehearse(directory: Path) -> WayBack:
        digest = way_back.digest or (None if way_back.problem else tree_digest(directory))
        return msgspec.structs.replace(way_back, model_id=directory.name, digest=digest)

    desk.rehearse = rehearse
    looked = breach_again(desk, minutes=0)
    assert looked.deed is not None
    assert (looked.deed.did, desk.live) == ("killed", desk.registry.candidate)
    assert f"there is no way back to {desk.registry.live}: " in looked.deed.text


def test_a_model_that_was_promoted_meanwhile_is_not_rolled_back(desk: Desk) -> None:
    def rehearse(directory: Path) -> WayBack:
        with acting_as("ada"):
            rollback(desk.registry.artifacts, desk.registry.live, desk.registry.in_force, reason="by hand")
        return sound(directory)

    desk.rehearse = rehearse
    looked = breach_again(desk, minutes=0)
    assert looked.deed is not None
    assert looked.deed.did == "waits"
    assert looked.deed.text.startswith(f"{desk.registry.live} is live now, and this was decided about ")
    assert live_change(desk.registry.artifacts).actor == "ada"
    assert not desk.registry.artifacts.kill("live").exists()


def test_an_arm_is_not_stopped_for_a_model_that_is_live_no_more(desk: Desk) -> None:
    def rehearse(directory: Path) -> WayBack:
        with acting_as("ada"):
            rollback(desk.registry.artifacts, desk.registry.live, desk.registry.in_force, reason="by hand")
        return WayBack(model_id=directory.name, problem="it is in pieces")

    desk.rehearse = rehearse
    looked = breach_again(desk, minutes=0)
    assert looked.deed is not None
    assert looked.deed.did == "waits"
    assert looked.deed.text.startswith(f"{desk.registry.live} is live now, and this was decided about ")
    assert not desk.registry.artifacts.kill("live").exists()


def test_the_watch_may_roll_back_if_nobody_or_the_watch_is_listed(tmp_path: Path) -> None:
    def policy(names: str) -> None:
        path = tmp_path / "policy.toml"
        path.write_text(f"format = 1\n[registry]\nmay_roll_back = [{names}]\n")
        refuse_without_right(load_policy(path))

    policy("")
    policy(f'"ada", "{ACTOR}"')
    with pytest.raises(
        UsageError,
        match=f'^{ACTOR} may not roll back; the policy lets ada; add "{ACTOR}" to may_roll_back under .registry. of',
    ):
        policy('"ada"')


def test_a_clock_that_was_moved_back_is_said_and_spends_nothing(desk: Desk) -> None:
    desk.log(desk.calm())
    desk.look()
    before = json.loads((desk.registry.artifacts.watch / "state.json").read_text())["spent"]
    looked = desk.look(minutes=-60, again=True)
    assert (set(verdicts(looked).values()), looked.status) == ({"unseen"}, 3)
    assert looked.findings[0].text == (
        f"the clock says {desk.now - timedelta(hours=1):%Y-%m-%d %H:%M} UTC, and the last look was at "
        f"{desk.now:%Y-%m-%d %H:%M}; set it right, or move {desk.registry.artifacts.watch / 'state.json'} away"
    )
    assert json.loads((desk.registry.artifacts.watch / "state.json").read_text())["spent"] == before


@pytest.mark.parametrize("again", [False, True], ids=["same process", "another process"])
def test_a_part_that_was_cut_is_said(desk: Desk, again: bool) -> None:
    desk.log(desk.calm())
    desk.look()
    (part,) = parts(desk.registry.artifacts, "live")
    content = part.path.read_bytes()
    half = content[: content.rindex(b"\n", 0, len(content) // 2) + 1]
    part.path.write_bytes(half)
    for _ in range(2):
        looked = desk.look(minutes=1, again=again)
        assert looked.status == 3
        said = f"the log of live predictions is not whole: {part.path}: {len(half)} bytes, and {len(content)} were read"
        assert looked.findings[0].text == f"{said} before; it was cut"


def test_a_state_that_is_damaged_leaves_nothing_to_spend(desk: Desk) -> None:
    desk.log(desk.calm(400))
    desk.log([None] * 200, error="model: the score is inf")
    state = desk.registry.artifacts.watch / "state.json"
    state.parent.mkdir()
    state.write_text("{")
    looked = desk.look()
    assert verdicts(looked)["failed"] == "inconclusive"
    assert looked.notes[0].endswith("; where the watch stood is not known: begun anew")
    assert verdicts(desk.look(minutes=1))["failed"] == "breach"


def test_nothing_is_done_where_it_cannot_be_kept_what_was_spent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.log([None] * 300, error="model: the score is inf")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(desk.registry.artifacts), "write", full)
    with pytest.raises(OSError, match="No space left"):
        desk.look()
    assert desk.live == desk.registry.candidate


def test_an_alert_ends_when_what_it_told_of_is_over(desk: Desk) -> None:
    desk.operations('[watch.failed]\nmode = "dry_run"\n')
    desk.log([None] * 300, error="model: the score is inf", end=desk.now - timedelta(hours=2))
    desk.look(minutes=-110)
    desk.look(minutes=-109, again=True)
    desk.log(desk.calm())
    desk.look()
    assert desk.told == [(desk.registry.candidate, "failed", True), (desk.registry.candidate, "failed", False)]


def test_where_nothing_is_live_there_is_nothing_to_watch(empty_registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"^nothing is live under"):
        Desk(empty_registry).look()


def log_served(desk: Desk, *, wrong: int = 0, rows: int = 60) -> None:
    """Let the live model score rows of its panel, keep their features, and say something else of some."""
    artifacts = desk.registry.artifacts
    live = live_change(artifacts)
    served = served_rows(artifacts.model(live.to), rows)
    records = predictions(live.digest, [row.prediction for row in served], arm="live", end=desk.now, hours=0.4)
    log_predictions(
        artifacts,
        [
            msgspec.structs.replace(record, features=row.features, prediction=row.prediction + 1e-3 * (number < wrong))
            for number, (record, row) in enumerate(zip(records, served, strict=True))
        ],
    )


def test_rows_that_score_otherwise_now_indict_the_live_model(desk: Desk) -> None:
    desk.rescore = score_again
    log_served(desk)
    looked = desk.look()
    assert verdicts(looked)["scores"] == "clean"
    assert looked.findings[4].text.startswith("60 rows scored again, apart by ")
    # Each row is asked about once.
    assert verdicts(desk.look(minutes=1))["scores"] == "inconclusive"
    log_served(desk, wrong=3)
    looked = desk.look(minutes=2)
    found = looked.findings[4]
    assert (found.verdict, desk.live) == ("breach", desk.registry.live)
    assert ", limit 0 ≤ · ≤ 1e-05; the furthest: 2024-01-01|A0" in found.text
    assert live_change(desk.registry.artifacts).reason.startswith("the watch found scores: 60 rows scored again, ")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"problem": "it is in pieces"}, "the rows cannot be scored again: it is in pieces"),
        ({"digest": "0" * 64, "rows": 9, "difference": 0.0}, "has other bytes than when it went live"),
    ],
)
def test_rows_that_cannot_be_scored_again_indict_nobody(desk: Desk, found: dict[str, object], said: str) -> None:
    desk.rescore = lambda directory, rows: Rescored(model_id=directory.name, **found)  # type: ignore[arg-type]
    log_served(desk)
    looked = desk.look()
    assert (looked.findings[4].verdict, looked.status, looked.deed) == ("unseen", 3, None)
    assert said in looked.findings[4].text


def test_a_silence_is_told_and_nobody_is_rolled_back_for_it(desk: Desk) -> None:
    desk.operations(
        '[watch.silence]\nby = ["00:00", "12:00"]\nweekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\n'
        "[watch.stale_model]\nlimit_days = 1\n[watch.stale_golden]\nlimit_days = 1\n"
    )
    looked = desk.look()
    quiet = {each.trigger: each for each in looked.findings[9:]}
    assert (quiet["silence"].verdict, quiet["stale_model"].verdict) == ("breach", "breach")
    assert quiet["silence"].text.startswith("no row since ")
    assert quiet["stale_model"].text.endswith(" days since the last day that it was trained on, limit ≤ 1")
    assert quiet["stale_golden"].text == "0.0 days since the golden was put in force, limit ≤ 1"
    assert (looked.status, looked.deed) == (1, None)
    assert {trigger for _, trigger, _ in desk.told} == {"silence", "stale_model"}
    desk.log(desk.calm(20))
    assert verdicts(desk.look(minutes=1))["silence"] == "clean"
    assert desk.told[-1] == (desk.registry.candidate, "silence", False)


def test_a_silence_is_held_against_the_sessions_of_an_exchange(desk: Desk) -> None:
    """The desk's clock is that of the machine: a market that never closes has a session on every day of it."""
    every_day = 'weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'
    desk.operations(f'[watch.silence]\nby = ["close+1"]\ncalendar = "24/7"\n{every_day}\n')
    looked = desk.look()
    (silent,) = (each for each in looked.findings if each.trigger == "silence")
    assert (silent.verdict, silent.limit) == ("breach", "by close+1")
    assert re.fullmatch(r"no row since \S+ 00:01 UTC, due by \S+ 00:01 UTC; none at all", silent.text)
    desk.operations('[watch.silence]\nby = ["18:30"]\ncalendar = "XNYSE"\n')  # while the watch goes on
    looked = desk.look(minutes=1)
    (unseen,) = (each for each in looked.findings if each.trigger == "silence")
    assert (unseen.verdict, looked.status) == ("unseen", 3)
    assert unseen.text.endswith("'XNYSE' is no exchange of exchange_calendars; did you mean XNYS?")


def test_an_overdue_drill_is_told_until_one_has_proved_the_switch(desk: Desk) -> None:
    artifacts = desk.registry.artifacts
    desk.registry.policy_file.write_text(LENIENT + '[slo."safety.kill_drill"]\nat_most = 1\n')
    looked = desk.look()
    assert looked.findings[-1].trigger == "drill"
    assert looked.findings[-1].text.startswith("2.0 days since the model is live, and no drill has proved the kill ")
    assert (verdicts(looked)["drill"], looked.status, looked.deed) == ("breach", 1, None)
    took = Shown(server="here", model="m", stopped_s=0.1, resumed_s=0.1, why=None)
    with locked(artifacts, desk.registry.rules):
        record_drill(artifacts, Drill(began=desk.now, ended=desk.now, actor="me", servers=(took,)))
    assert verdicts(desk.look(minutes=1))["drill"] == "clean"
    told = [(trigger, on) for _, trigger, on in desk.told if trigger == "drill"]
    assert told == [("drill", True), ("drill", False)]


def test_a_model_that_is_live_again_is_judged_by_what_it_does_since(registry: Registry) -> None:
    desk = Desk(registry)
    desk.operations('[watch.drift]\nmode = "dry_run"\n')
    drifted = [value + 1 for value in desk.calm() if value is not None]
    desk.log(drifted)
    assert verdicts(desk.look())["drift"] == "breach"
    promote(registry.artifacts, registry.candidate, green_report(registry), registry.in_force, reason="a new one")
    rollback(registry.artifacts, registry.live, registry.in_force, reason="worse still")
    for minutes in (2, 3):
        looked = desk.look(minutes=minutes, again=True)
        found = {each.trigger: each for each in looked.findings}["drift"]
        assert (looked.model_id, found.verdict) == (registry.live, "inconclusive")
        assert found.text == "0 rows, at least 500 are needed"
    desk.log(drifted, end=datetime.now(UTC) + timedelta(minutes=3), hours=0.01)
    looked = desk.look(minutes=4, again=True)
    assert verdicts(looked)["drift"] == "breach"
