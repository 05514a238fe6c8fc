"""A policy and operations.toml against what lies around them: files, gates, days, keys."""

import sys
from datetime import date
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import UsageError
from pytest_modelgates.registry.policy_check import check_file, check_registry

TODAY = date(2026, 12, 1)
KEY = f"ed25519:{'0a' * 32}"
EVERYBODY = "registry/policy.toml: note: [registry] may_promote is empty: everybody may promote"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one gate of its own, as seen from within."""
    for name in ("artifacts", "registry", "model_gates"):
        (tmp_path / name).mkdir()
    (tmp_path / "model_gates" / "test_own.py").write_text('@pytest.mark.gate("own.rows")\ndef test_rows(): ...\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(root: Path, policy: str | None, operations: str | None = None, **more: object) -> list[str]:
    for name, text in (("policy.toml", policy), ("operations.toml", operations)):
        if text is not None:
            (root / "registry" / name).write_text(text)
    checked = check_registry(Artifacts.at(root / "artifacts"), today=TODAY, **more)
    lines = [str(problem) for problem in checked.found]
    assert checked.problems == len([line for line in lines if ": note: " not in line])
    return lines


OWN = '[slo."own.rows"]\nat_least = 1\nunit = "rows"\nseverity = "hard"\nadvice = "pack more"\n'
WAIVER = f"[[waiver]]\ngate = 'drift.psi'\ndigest = '{'0' * 64}'\nreason = 'r'\nowner = 'o'\nuntil = 2026-12-01\n"
NOBODY_ELSE = "[registry]\nmay_promote = ['ada']\n"
AROUND = [
    pytest.param('[evidence]\nsuites = ["model_gates"]\n' + OWN, [], id="a-gate-of-its-own"),
    pytest.param(
        OWN,
        [
            '3:6: [slo."own.rows"] is hard, so no model can be promoted, but no suite has this gate; name its folder '
            "in [evidence] suites"
        ],
        id="required-and-in-no-suite",
    ),
    pytest.param(
        '[evidence]\nsuites = ["model_gates"]\n' + OWN.replace("rows", "row").replace("hard", "soft"),
        [
            '5:6: [slo."own.row"] is measured by nothing: no suite has this gate; name its folder in [evidence] '
            "suites; did you mean own.rows?"
        ],
        id="soft-and-in-no-suite",
    ),
    pytest.param(
        OWN.replace('"own.rows"', '"own.floor"').replace("hard", "soft") + 'gate = "metric.gain"\n',
        [],
        id="measured-by-another-gate",
    ),
    pytest.param(
        '[evidence]\nsuites = ["model_gates", "more"]\nmodules = [\n "lib"]\nplugins = ["xdist", "hooks.py"]\n',
        [
            "4:26: [evidence] suites: no folder {root}/more; fix the path",
            "6:2: [evidence] modules: no folder {root}/lib; fix the path",
            "7:21: [evidence] plugins: no file {root}/hooks.py; fix the path",
        ],
        id="folders-and-files-that-are-missing",
    ),
    pytest.param(
        '[slo."drift.psi"]\ntwin = ["changed_byte", "twins.py:shift"]\n',
        ['4:1: [slo."drift.psi"] twin: no file {root}/twins.py; fix the path'],
        id="a-twin-that-is-missing",
    ),
    pytest.param(WAIVER, [], id="a-waiver-on-its-last-day"),
    pytest.param(
        WAIVER.replace("2026-12-01", "2026-11-30"),
        ["8:1: [[waiver]] until: expired on 2026-11-30; take the row out, or renew it"],
        id="an-expired-waiver",
    ),
    pytest.param(
        WAIVER + WAIVER.replace("drift.psi", "drift.psy") + WAIVER.replace("drift.psi", "ablation.harmless[price]"),
        ["10:1: [[waiver]] gate: the policy has no gate 'drift.psy'; did you mean drift.psi?"],
        id="a-waiver-of-no-gate",
    ),
    pytest.param(
        WAIVER.replace("drift.psi", "pnl.net_exposure"),
        ["4:1: [[waiver]] gate: the policy has no gate 'pnl.net_exposure'; did you mean pnl.exposure?"],
        id="a-waiver-of-a-limit-that-is-not-a-gate",
    ),
    pytest.param(
        WAIVER.replace("'r'", "1") + WAIVER.replace("2026-12-01", "2020-01-01"),
        [
            "6:1: [[waiver]] reason: expected `str`, got `int`",
            "14:1: [[waiver]] until: expired on 2020-01-01; take the row out, or renew it",
        ],
        id="the-second-row-of-two",
    ),
    pytest.param(
        '[evidence]\nlevel = "sealed"\n',
        ['4:1: [evidence] level: "sealed", and keys lists none, so nothing can be promoted'],
        id="sealed-by-nobody",
    ),
    pytest.param(
        f'[evidence]\nlevel = "sealed"\nkeys = ["{KEY}", "keys/ada.pub"]\n',
        [
            f"5:{len(KEY) + 13}: [evidence] keys: 'keys/ada.pub' is not an Ed25519 public key; list what modelgates "
            "keygen printed"
        ],
        id="the-path-of-a-key",
    ),
    pytest.param(
        '[evidence]\nsuites = ["nowhere", 3]\nkeys = 1\nlevel = "sealed"\n',
        ["4:22: [evidence] suites: expected `str`, got `int`", "5:1: [evidence] keys: expected `array`, got `int`"],
        id="nothing-follows-from-a-key-that-is-wrong",
    ),
]


@pytest.mark.parametrize(("policy", "said"), AROUND)
def test_what_is_well_said_and_suspicious_is_found(root: Path, policy: str, said: list[str]) -> None:
    lines = found(root, NOBODY_ELSE + policy)
    assert lines == [f"registry/policy.toml:{line.format(root=root)}" for line in said]


def test_where_a_suite_makes_its_names_by_code_no_gate_is_missed(root: Path) -> None:
    (root / "model_gates" / "test_more.py").write_text("@pytest.mark.gate(name)\ndef test_more(): ...\n")
    policy = '[evidence]\nsuites = ["model_gates"]\n' + OWN.replace("own.rows", "own.columns")
    assert found(root, NOBODY_ELSE + policy) == []


def test_that_everybody_may_promote_is_a_note_and_not_a_problem(root: Path) -> None:
    assert found(root, "format = 1\n") == [EVERYBODY]
    assert found(root, "\n[registry]\nmay_promote = []\n") == [EVERYBODY.replace(".toml:", ".toml:3:1:")]


def test_both_files_are_checked_and_every_problem_is_said(root: Path) -> None:
    lines = found(root, "formt = 1\n[promotion]\nshadow_hours = -1\n", "[log]\nfeatures = 3\npart_mb = 0\n")
    assert [line.partition(": ")[0] for line in lines] == [
        "registry/operations.toml:2:1",
        "registry/operations.toml:3:1",
        "registry/policy.toml",
        "registry/policy.toml:1:1",
        "registry/policy.toml:3:1",
    ]


def test_keys_in_the_wrong_file_are_told_from_those_that_do_not_count(root: Path) -> None:
    policy = NOBODY_ELSE + "lock_timeout_s = 5\n[hermetic]\nminutes = 3\n"
    assert found(root, policy, "[registry]\nlock_timeout_s = 7\n") == [
        "registry/policy.toml:3:1: [registry] lock_timeout_s does not count, because registry/operations.toml sets it; "
        "delete it from the policy",
        "registry/policy.toml:5:1: [hermetic] minutes is deprecated in the policy; move it to "
        "registry/operations.toml, under [hermetic]",
    ]


def test_an_exchange_that_nobody_knows_is_a_problem_where_it_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[watch.silence]\nby = ["close+30"]\ncalendar = "{}"\n'
    assert found(root, NOBODY_ELSE, text.format("XNYS")) == []
    place = "registry/operations.toml:3:1:"
    unknown = "[watch.silence] calendar: 'XNYSE' is no exchange of exchange_calendars; did you mean XNYS?"
    assert found(root, NOBODY_ELSE, text.format("XNYSE")) == [f"{place} {unknown}"]
    checked = check_file(Artifacts.at(root / "artifacts"), root / "registry" / "operations.toml", today=TODAY)
    assert list(map(str, checked.found)) == [f"{place} {unknown}"]
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    missing = "exchange_calendars is not installed; run: pip install 'pytest-modelgates[calendars]'"
    assert found(root, NOBODY_ELSE, text.format("XETR")) == [
        f"{place} note: [watch.silence] calendar was not checked: {missing}"
    ]


def test_a_policy_that_got_lost_is_a_problem(root: Path) -> None:
    (root / "artifacts" / "policy").write_text("../registry/policy.toml\n")
    (line,) = found(root, None)
    assert line.startswith(
        f"artifacts/policy: {root}/artifacts/policy names {root}/registry/policy.toml, which is not "
    )


def test_a_private_key_that_is_not_there_is_a_problem(root: Path) -> None:
    said = "$MODELGATES_KEY: keys/private: no such file; make one: modelgates keygen FILE"
    assert found(root, NOBODY_ELSE, key=Path("keys/private")) == [said]
    (root / "keys").mkdir()
    (root / "keys" / "private").touch()
    assert found(root, NOBODY_ELSE, key=Path("keys/private")) == []


def test_a_file_is_checked_by_itself_where_it_lies(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "desk" / "registry" / "policy.toml"
    other.parent.mkdir(parents=True)
    other.write_text(NOBODY_ELSE + '[evidence]\nsuites = ["gates"]\n')
    checked = check_file(Artifacts.at(root / "artifacts"), other, today=TODAY)
    assert checked.files == ["desk/registry/policy.toml"]
    said = f"desk/registry/policy.toml:4:11: [evidence] suites: no folder {tmp_path}/desk/gates; fix the path"
    assert list(map(str, checked.found)) == [said]
    (root / "spare.toml").write_text("[log]\nhash_keys = 1\n")
    checked = check_file(Artifacts.at(root / "artifacts"), Path("spare.toml"), today=TODAY)
    assert list(map(str, checked.found)) == ["spare.toml:2:1: [log] hash_keys: expected `bool`, got `int`"]


@pytest.mark.parametrize(
    ("name", "what"), [("gone.toml", "no such file"), ("registry", "a folder, expected a file")], ids=["gone", "folder"]
)
def test_what_is_not_a_file_is_used_wrongly(root: Path, name: str, what: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: {what}; give a policy or an operations.toml$"):
        check_file(Artifacts.at(root / "artifacts"), Path(name), today=TODAY)


def test_this_repositorys_own_files_have_no_problem() -> None:
    registry = Path(__file__).parents[2] / "registry"
    for file in (registry / "policy.toml", registry / "operations.toml"):
        assert check_file(Artifacts.at(registry.parent / "artifacts"), file, today=TODAY).problems == 0
