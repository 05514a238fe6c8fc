"""Where a registry's policy lies: asked for, pointed at, beside the root, or packaged."""

import os
import shutil
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.errors import PolicyError, RegistryError
from pytest_modelgates.policy.operations import NAME
from pytest_modelgates.policy.place import NEIGHBOUR, find_place


def root_in(folder: Path) -> Artifacts:
    (folder / "artifacts" / "models").mkdir(parents=True)
    return Artifacts.at(folder / "artifacts")


def policy_in(folder: Path, name: Path = NEIGHBOUR) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("format = 1\n")
    return folder / name


def point(artifacts: Artifacts, text: str) -> None:
    artifacts.policy.write_text(text)


def test_nothing_beside_the_root_is_the_packaged_policy(tmp_path: Path) -> None:
    place = find_place(root_in(tmp_path))
    assert (place.file, place.operations, place.source, place.problem) == (None, None, None, None)
    assert place.repository == tmp_path


@pytest.mark.parametrize("pointer", [None, "../registry/policy.toml\n", "../registry/policy.toml", "../registry/link"])
def test_the_policy_beside_the_root_is_its_own_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pointer: str | None
) -> None:
    artifacts, policy = root_in(tmp_path), policy_in(tmp_path)
    (tmp_path / "registry" / "link").symlink_to("policy.toml")
    policy.with_name(NAME).touch()
    if pointer:
        point(artifacts, pointer)
    policy_in(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    place = find_place(artifacts)
    assert place.file == place.own
    assert os.path.realpath(place.file or "") == str(policy)
    assert (place.operations, place.repository) == (policy.with_name(NAME), tmp_path)
    assert place.problem is None


def test_a_pointer_leads_to_a_policy_elsewhere(tmp_path: Path) -> None:
    artifacts = root_in(tmp_path / "data")
    policy = policy_in(tmp_path / "repository")
    point(artifacts, "../../repository/registry/policy.toml\n")
    place = find_place(artifacts)
    assert (place.file, place.source) == (policy, "registry/policy.toml")
    assert place.repository == tmp_path / "repository"


def test_the_one_asked_for_overrides_but_operations_stay_the_registrys_own(tmp_path: Path) -> None:
    artifacts, own, asked = root_in(tmp_path), policy_in(tmp_path), policy_in(tmp_path, Path("strict.toml"))
    for place in (own, asked):
        place.with_name(NAME).touch()
    found = find_place(artifacts, asked)
    assert (found.file, found.source) == (asked, "strict.toml")
    assert found.operations == own.with_name(NAME)
    assert found.repository == tmp_path
    with pytest.raises(PolicyError, match=r"^gone\.toml: no such policy file$"):
        find_place(artifacts, Path("gone.toml"))


def test_a_linked_root_finds_the_policy_where_it_is_named(tmp_path: Path) -> None:
    root_in(tmp_path / "disk")
    policy = policy_in(tmp_path / "repository")
    (tmp_path / "repository" / "artifacts").symlink_to(tmp_path / "disk" / "artifacts")
    model = tmp_path / "disk" / "artifacts" / "models" / "1700000000"
    model.mkdir()
    named = tmp_path / "repository" / "artifacts"
    by_model = Artifacts.of(named / "models" / "1700000000")
    for pointer in (None, "../registry/policy.toml\n"):
        if pointer:
            point(Artifacts.at(named), pointer)
        for artifacts in (Artifacts.at(named), by_model):
            place = find_place(artifacts)
            assert (place.file, place.problem) == (policy, None)
            assert artifacts.root == tmp_path / "disk" / "artifacts"


def test_a_link_to_a_model_directory_leads_to_its_own_root(tmp_path: Path) -> None:
    artifacts, policy = root_in(tmp_path / "repository"), policy_in(tmp_path / "repository")
    (artifacts.models / "1700000000").mkdir()
    (tmp_path / "short").symlink_to(artifacts.models / "1700000000")
    assert find_place(Artifacts.of(tmp_path / "short")).file == policy


def test_a_copy_of_the_whole_repository_has_the_policy_of_the_copy(tmp_path: Path) -> None:
    artifacts = root_in(tmp_path / "one")
    policy_in(tmp_path / "one")
    point(artifacts, "../registry/policy.toml\n")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert find_place(Artifacts.at(tmp_path / "two" / "artifacts")).file == tmp_path / "two" / NEIGHBOUR


def test_a_pointer_to_nothing_is_a_policy_that_got_lost(tmp_path: Path) -> None:
    artifacts, asked = root_in(tmp_path), policy_in(tmp_path, Path("strict.toml"))
    point(artifacts, "../registry/policy.toml\n")
    assert find_place(artifacts).problem == (
        f"{artifacts.policy} names {tmp_path / NEIGHBOUR}, which is not there; put it back, or give --policy, "
        f"or write the new place into {artifacts.policy}, relative to its folder"
    )
    assert find_place(artifacts, asked).problem is None


def test_a_pointer_and_a_neighbour_that_disagree_are_a_problem(tmp_path: Path) -> None:
    artifacts, beside, other = root_in(tmp_path), policy_in(tmp_path), policy_in(tmp_path, Path("other.toml"))
    point(artifacts, "../other.toml\n")
    assert find_place(artifacts).problem == (
        f"{artifacts.policy} names {other}, but {beside} lies beside the root; give one as --policy"
    )
    assert find_place(artifacts, beside).problem is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "0 lines, expected one", id="empty"),
        pytest.param(b"\n", "1 lines, expected one", id="blank"),
        pytest.param(b"a\nb\n", "2 lines, expected one", id="two-lines"),
        pytest.param(b"/etc/policy.toml\n", "an absolute path, expected one relative to its folder", id="absolute"),
        pytest.param(b" /etc/policy.toml\n", "an absolute path, expected one relative to its folder", id="spaces"),
        pytest.param(b"../a\0b.toml\n", "embedded null", id="null-byte"),
        pytest.param(b"x" * 300, "File name too long", id="too-long-a-name"),
        pytest.param(b"\xff\n", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte", id="bytes"),
        pytest.param(b"x" * 5000, "5000 bytes, expected at most 4096", id="long"),
        pytest.param(None, "a folder, expected a regular file", id="folder"),
    ],
)
def test_a_pointer_that_cannot_be_followed_says_what_to_write(tmp_path: Path, content: bytes | None, why: str) -> None:
    artifacts = root_in(tmp_path)
    policy_in(tmp_path)
    if content is None:
        artifacts.policy.mkdir()
    else:
        artifacts.policy.write_bytes(content)
    problem = find_place(artifacts).problem or ""
    assert problem.startswith(f"{artifacts.policy}: cannot be followed (")
    assert why in problem
    assert problem.endswith("); write ../registry/policy.toml into it")


def test_a_lost_link_to_a_policy_is_not_passed_over(tmp_path: Path) -> None:
    artifacts = root_in(tmp_path)
    (tmp_path / "registry").mkdir()
    (tmp_path / NEIGHBOUR).symlink_to("gone.toml")
    assert find_place(artifacts).file == tmp_path / NEIGHBOUR


def test_folders_inside_a_registry_are_not_roots(tmp_path: Path) -> None:
    artifacts = root_in(tmp_path)
    model = artifacts.models / "1700000000"
    model.mkdir()
    artifacts.latest.symlink_to("1700000000")
    for wrong, what in ((model, "a model directory"), (artifacts.latest, "a model directory")):
        with pytest.raises(RegistryError) as refused:
            Artifacts.at(wrong).refuse_other_folders()
        assert str(refused.value) == (
            f"{model}: {what}, expected the artifacts root above it; give --artifacts {artifacts.root}"
        )
    with pytest.raises(RegistryError, match=r"models: a folder of models, expected the artifacts root above it"):
        Artifacts.at(artifacts.models).refuse_other_folders()
    artifacts.refuse_other_folders()


def test_a_folder_of_models_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk" / "1700000000").mkdir(parents=True)
    (tmp_path / "artifacts").mkdir()
    models = tmp_path / "artifacts" / "models"
    models.symlink_to(tmp_path / "disk")
    said = (
        f"{models} is a link, by which one registry would become two; "
        "let it be a folder, and make the artifacts root itself a link if it must lie elsewhere"
    )
    for ask in (
        lambda: Artifacts.at(tmp_path / "artifacts").refuse_other_folders(),
        lambda: Artifacts.of(models / "1700000000"),
    ):
        with pytest.raises(RegistryError) as refused:
            ask()
        assert str(refused.value) == said
