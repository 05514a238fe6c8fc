"""The lock: which process has it, how long others wait, and which file systems would not keep it."""

import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.audit.writer import locked
from pytest_modelgates.errors import RegistryError
from pytest_modelgates.policy.operations import load_operations
from pytest_modelgates.storage import lock
from pytest_modelgates.storage.lock import file_system, is_locked, locked_file, refuse_network


def test_whoever_waits_too_long_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked_file(path, timeout_s=0):
        assert is_locked(path)
        with pytest.raises(RegistryError) as refused, locked_file(path, timeout_s=0.05):
            pass
    assert re.fullmatch(
        rf"{path} is held by process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC; "
        "waited 0.05 s: let it end, or end it, then try again; never delete the file",
        str(refused.value),
    )
    assert not is_locked(path)
    with locked_file(path, timeout_s=0):
        pass


def test_a_lock_that_something_else_holds_is_respected(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked_file(path, timeout_s=0):  # who held it before and let go is not named
        pass
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(RegistryError, match="is held by another process; waited 0 s"),
            locked_file(path, timeout_s=0),
        ):
            pass


def test_who_waited_for_a_lock_that_was_deleted_meanwhile_takes_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, genuine = tmp_path / ".lock", fcntl.flock

    def delete_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", genuine)
        path.unlink()
        genuine(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    with (
        locked_file(path, timeout_s=0),
        pytest.raises(RegistryError, match=r"\.lock is held by"),
        locked_file(path, timeout_s=0),
    ):
        pass


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(Path.mkdir, id="folder"),
        pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling-link"),
        pytest.param(os.mkfifo, id="pipe"),
    ],
)
def test_what_is_no_file_in_the_locks_place_is_named_with_the_way_on(
    tmp_path: Path, put: Callable[[Path], object]
) -> None:
    path = tmp_path / ".lock"
    put(path)
    with pytest.raises(RegistryError) as refused, locked_file(path, timeout_s=0):
        pass
    assert str(refused.value) == (
        f"{path}: a folder, link or pipe, expected the registry's lock, which is a file; while no modelgates runs "
        f"here, move it away: mv {path} {path}.moved"
    )


def test_a_lock_that_never_was_is_not_held(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / ".lock")


def test_nobody_waits_for_a_pipe_in_the_locks_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    assert not is_locked(tmp_path / ".lock")


def test_the_lock_file_stays_and_has_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with locked_file(tmp_path / ".lock", timeout_s=0, mode=0o664):
            inode = (tmp_path / ".lock").stat().st_ino
    finally:
        os.umask(before)
    with locked_file(tmp_path / ".lock", timeout_s=0):
        assert (tmp_path / ".lock").stat().st_ino == inode
    assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o664


def test_a_full_disk_does_not_keep_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with locked_file(tmp_path / ".lock", timeout_s=0):
        assert is_locked(tmp_path / ".lock")


# Shortened from proc(5) and from a machine with an NFS home and a bind mount whose name holds a space.
MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 0:32 / /srv/models rw,relatime - nfs4 server:/models rw,vers=4.2
37 36 0:33 / /srv/models/local rw - tmpfs tmpfs rw
38 22 0:34 / /mnt/with\040space rw - cifs //server/share rw
39 22 0:35 / /srv/model rw - xfs /dev/vdb rw
40 22 0:36 / /mnt/données rw - nfs /srv rw
41 22 0:37 / /mnt/a{nbsp}b{formfeed}c{latin1} rw - nfs /srv rw
""".strip().format(nbsp="\u00a0", formfeed="\f", latin1="\udce9")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ada", "ext4"),
        ("/srv/models", "nfs4"),
        ("/srv/models/artifacts", "nfs4"),
        ("/srv/models/local/artifacts", "tmpfs"),
        ("/srv/model/artifacts", "xfs"),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/données/x", "nfs"),
        ("/mnt/a\u00a0b\fc\udce9/x", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system(Path(path), os.fsencode(MOUNTS)) == kind


def test_a_network_file_system_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(f"36 22 0:32 / {tmp_path} rw - nfs4 server:/models rw\n")
    monkeypatch.setattr(lock, "MOUNTS", tmp_path / "mounts")
    with pytest.raises(RegistryError) as refused:
        refuse_network(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} lies on nfs4, a network file system, whose locks do not hold when a server is lost; keep the "
        "registry on a local disk, or set network_file_system = true under [registry] in registry/operations.toml"
    )


def test_models_on_a_network_file_system_of_their_own_are_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "mounts").write_text(f"36 22 0:32 / {tmp_path}/models rw - nfs4 server:/models rw\n")
    monkeypatch.setattr(lock, "MOUNTS", tmp_path / "mounts")
    with (
        pytest.raises(RegistryError, match=rf"^{tmp_path}/models lies on nfs4, a network file system"),
        locked(Artifacts(tmp_path), load_operations(None, policy=None)[0].registry),
    ):
        pass


def test_the_disk_of_this_machine_is_not_refused(tmp_path: Path) -> None:
    refuse_network(tmp_path)
