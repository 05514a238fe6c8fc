"""What operates: operations.toml beside the policy, and the same keys where they stood once, in the policy."""

from pathlib import Path

import pytest

from pytest_modelgates.errors import PolicyError
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.operations import NAME, Operations, load_operations

PACKAGED, _ = load_operations(None, policy=None)


def read(folder: Path, operations: str | None = None, policy: str | None = None) -> tuple[Operations, list[str]]:
    """Read what a team wrote into either file, or did not."""
    places = {NAME: operations, "policy.toml": policy}
    for name, text in places.items():
        if text is not None:
            (folder / name).write_text(text, "utf-8")
    return load_operations(
        folder / NAME if operations is not None else None, policy=folder / "policy.toml" if policy is not None else None
    )


def numbers(operations: Operations) -> tuple[float, bool, float, float]:
    lock, hermetic = operations.registry, operations.hermetic
    return lock.lock_timeout_s, lock.network_file_system, hermetic.memory_gib, hermetic.minutes


def test_the_packaged_ones_have_the_guides_numbers() -> None:
    assert numbers(PACKAGED) == (60, False, 16, 60)
    log = PACKAGED.log
    assert (log.part_mb, log.features, log.hash_keys) == (16, 0, False)
    assert PACKAGED.drift.days_per_false_alarm == 20


def test_the_packaged_watch_acts_warns_and_tries_as_it_is_documented() -> None:
    watch = PACKAGED.watch
    modes = {name: each.mode for name in watch.__struct_fields__ if hasattr(each := getattr(watch, name), "mode")}
    acts, tries = ("latency", "drift", "failed", "rejected", "scores"), ("ic", "pnl", "exposure", "silence", "drill")
    assert modes == {
        **dict.fromkeys(acts, "act"),
        **dict.fromkeys((*tries, "stale_model", "stale_golden"), "dry_run"),
        "shadow": "warn",
    }
    assert (watch.cool_down_h, watch.per_week, watch.latency.patience) == (6, 2, 3)
    limits = {name: load_policy(None).limit(name) for name in ("latency.serve_p95_ms", "drift.psi", "shadow.rank_corr")}
    assert [limits[name].upper for name in ("latency.serve_p95_ms", "drift.psi")] == [200, 0.25]
    assert limits["shadow.rank_corr"].lower == 0.95


def test_a_teams_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    own, warnings = read(tmp_path, "format = 1\n[hermetic]\nminutes = 90\n")
    assert (numbers(own), warnings) == ((60, False, 16, 90), [])
    assert own.digest != PACKAGED.digest
    assert read(tmp_path, "# nothing of its own\n")[0].digest == PACKAGED.digest
    assert read(tmp_path, "[hermetic]\nminutes = 60.0\n")[0].digest == PACKAGED.digest


OLD = "[registry]\nlock_timeout_s = 5\nnetwork_file_system = true\nmay_promote = ['ada']\n[hermetic]\nmemory_gib = 8\n"


def test_an_older_policy_means_what_it_meant_and_is_told_where_its_keys_belong(tmp_path: Path) -> None:
    own, warnings = read(tmp_path, policy=OLD)
    assert numbers(own) == (5, True, 8, 60)
    policy, place = tmp_path / "policy.toml", tmp_path / NAME
    assert sorted(warnings) == [
        f"{policy}: [hermetic] memory_gib is deprecated in the policy; move it to {place}, under [hermetic]",
        f"{policy}: [registry] lock_timeout_s is deprecated in the policy; move it to {place}, under [registry]",
        f"{policy}: [registry] network_file_system is deprecated in the policy; move it to {place}, under [registry]",
    ]
    assert load_policy(policy).registry.may_promote == ("ada",)
    assert load_policy(policy).digest == load_policy(None).digest


def test_operations_toml_counts_before_an_older_policy(tmp_path: Path) -> None:
    own, warnings = read(tmp_path, "[registry]\nlock_timeout_s = 7\n", OLD.replace("[hermetic]\nmemory_gib = 8\n", ""))
    assert numbers(own) == (7, True, 16, 60)
    policy, place = tmp_path / "policy.toml", tmp_path / NAME
    assert sorted(warnings) == [
        f"{policy}: [registry] lock_timeout_s does not count, because {place} sets it; delete it from the policy",
        f"{policy}: [registry] network_file_system is deprecated in the policy; move it to {place}, under [registry]",
    ]


def test_what_was_moved_as_the_warnings_say_means_the_same_and_warns_no_more(tmp_path: Path) -> None:
    before, _ = read(tmp_path, policy=OLD)
    moved = OLD.replace("may_promote = ['ada']\n", "")
    after, warnings = read(tmp_path, moved, "[registry]\nmay_promote = ['ada']\n")
    assert (after.digest, warnings) == (before.digest, [])


REFUSED = [
    pytest.param("[registry]\nlock_timeout = 5", "Object contains unknown field `lock_timeout`", id="unknown-key"),
    pytest.param("[registry]\nlock_timeout_s = -1", "Expected `float` >= 0", id="below"),
    pytest.param("[registry]\nlock_timeout_s = inf", "Expected `float` <= 1000000000.0", id="infinite"),
    pytest.param("[registry]\nnetwork_file_system = 1", "Expected `bool`, got `int`", id="no-boolean"),
    pytest.param('[registry]\nmay_promote = ["ada"]', "Object contains unknown field `may_promote`", id="who-may"),
    pytest.param("[hermetic]\nminutes = 0", "Expected `float` > 0", id="no-time"),
    pytest.param("[hermetic]\nhours = 1", "Object contains unknown field `hours`", id="hours"),
    pytest.param("hermetic = 3", "Expected `object`, got `int` - at `$.hermetic`", id="no-table"),
    pytest.param("[log]\npart_mb = 0", "Expected `float` > 0", id="no-part"),
    pytest.param("[log]\nfeatures = 1.5", "Expected `float` <= 1", id="more-than-all"),
    pytest.param("[log]\nfeatures = nan", "Expected `float`", id="nan"),
    pytest.param("[log]\nhash_keys = 'yes'", "Expected `bool`, got `str`", id="yes"),
    pytest.param("[log]\npart_mib = 1", "Object contains unknown field `part_mib`", id="part-mib"),
    pytest.param("[drift]\ndays_per_false_alarm = 0.5", "Expected `float` >= 1.0", id="half-a-day"),
    pytest.param("[drift]\ndays_per_false_alarm = inf", "Expected `float` <= 100000.0", id="never"),
    pytest.param('[watch.silence]\nby = ["close+30"]', 'name one, such as calendar = "XNYS"', id="no-exchange"),
    pytest.param('[watch.silence]\nby = ["close-30"]', "matching regex", id="before-the-close"),
    pytest.param("[slow]", "Object contains unknown field `slow`", id="unknown-section"),
    pytest.param("format = 2", "Invalid enum value 2", id="later-format"),
    pytest.param("minutes", "not TOML (", id="not-toml"),
    pytest.param("a = " + "[" * 9999, "not TOML (", id="deep"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_operations_that_say_nothing_sensible_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / NAME}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[registry]\nlock_timeout_s = -1", "Expected `float` >= 0", id="below"),
        pytest.param("[registry]\nnetwork_file_system = 1", "Expected `bool`, got `int`", id="no-boolean"),
        pytest.param("[hermetic]\nhours = 1", "Object contains unknown field `hours`", id="hours"),
        pytest.param("hermetic = 3", "Expected `object`, got `int` - at `$.hermetic`", id="no-table"),
    ],
)
def test_what_an_older_policy_says_wrongly_is_still_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    for operations in (None, ""):
        with pytest.raises(PolicyError) as refused:
            read(tmp_path, operations, text)
        assert str(refused.value).startswith(f"{tmp_path / 'policy.toml'}: ")
        assert said in str(refused.value)
    with pytest.raises(PolicyError, match=r"policy\.toml: ") as refused:
        load_policy(tmp_path / "policy.toml")
    assert said in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff")
    with pytest.raises(PolicyError, match=r"operations\.toml: not TOML"):
        load_operations(tmp_path / NAME, policy=None)


def test_operations_that_got_lost_are_not_replaced_by_the_packaged_ones(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to("nowhere")
    with pytest.raises(PolicyError, match=r"operations\.toml: no such file$"):
        load_operations(tmp_path / NAME, policy=None)
    (tmp_path / "folder").mkdir()
    with pytest.raises(PolicyError, match=r"folder: a folder, expected a regular file$"):
        load_operations(tmp_path / "folder", policy=None)


def test_what_another_policy_says_of_operations_is_named_and_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[hermetic]\nminutes = 3\n")
    operations, warnings = load_operations(None, policy=None, asked=tmp_path / "other.toml")
    assert operations == load_operations(None, policy=None)[0]
    assert warnings == [
        f"{tmp_path / 'other.toml'}: [hermetic] minutes does not count; "
        "it belongs in the registry's own operations.toml"
    ]
