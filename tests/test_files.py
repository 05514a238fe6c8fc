"""Files written whole or not at all, strict JSON, and digests."""

import ctypes
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.errors import FormatError
from pytest_modelgates.model.files import (
    MAX_JSON_BYTES,
    canonical,
    first_line,
    listing,
    parse_json,
    printable,
    read_bytes,
    read_json,
    readable,
    rename_new,
    sha256,
    tree_digest,
    typed,
    write_whole,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    # JSON text in UTF-8 has no lone surrogates.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abé"), inner, max_size=3),
    max_leaves=8,
)


class Machine(msgspec.Struct, forbid_unknown_fields=True):
    """A file of some kind."""

    name: str
    cores: int
    load: float = 0


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")
    script = (
        "import resource, sys; from pathlib import Path; from pytest_modelgates.model.files import write_whole;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); write_whole(Path(sys.argv[1]), bytes(2000))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "file"], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_threads_that_write_one_file_never_trip_over_each_other(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_tree_digest_is_what_sha256sum_prints(tmp_path: Path) -> None:
    for name in ("b", "A", "a-1", "a_1", "model.onnx", "ü"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    shell = subprocess.run("LC_ALL=C sha256sum * | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert tree_digest(tmp_path) == shell.stdout.split()[0]


CHANGES = [
    pytest.param(lambda folder: (folder / "a").write_bytes(b"other"), id="bytes"),
    pytest.param(lambda folder: (folder / "a").rename(folder / "c"), id="name"),
    pytest.param(lambda folder: (folder / ".hidden").touch(), id="hidden-file"),
    pytest.param(lambda folder: (folder / "sub").mkdir(), id="folder"),
    pytest.param(lambda folder: os.mkfifo(folder / "pipe"), id="pipe"),
    pytest.param(
        lambda folder: ((folder / "a").rename(folder.parent / "a"), (folder / "a").symlink_to("../a")), id="link"
    ),
]


@pytest.mark.parametrize("change", CHANGES)
def test_tree_digest_sees_every_change(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode())
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder) != before


@given(value=JSON)
def test_canonical_and_readable_json_read_back_as_what_was_written(value: object) -> None:
    assert parse_json(canonical(value), "file") == parse_json(readable(value), "file") == value


@given(value=st.dictionaries(st.text("abc"), st.integers()))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


@pytest.mark.parametrize("encode", [canonical, readable])
def test_nan_is_never_written(encode: Callable[[object], bytes]) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})


DEEP = b"[" * 100_000 + b"]" * 100_000
ODD_NUMBER = "NaN, infinity or too large a number at `{}`; mend it or leave the key out"
REFUSED_JSON = [
    pytest.param(b'{"a": NaN}', ODD_NUMBER.format("$.a"), id="nan"),
    pytest.param(b'{"a": [1, -Infinity]}', ODD_NUMBER.format("$.a[1]"), id="infinity"),
    pytest.param(b'{"a": {"b": 1e999}}', ODD_NUMBER.format("$.a.b"), id="beyond-float"),
    pytest.param(b'{"a": 1' + b"0" * 10_000 + b"}", ODD_NUMBER.format("$.a"), id="ten-thousand-digits"),
    pytest.param(b'{"a": {"b": 1, "c": 2, "b": 3}}', "key 'b' appears twice; keep one", id="duplicate-key"),
    pytest.param(b'{"a": "\\ud800"}', "half a surrogate pair at `$.a`; mend it or leave the key out", id="surrogate"),
    pytest.param(
        b'{"\\udc00": 1}', "half a surrogate pair at `$, a key`; mend it or leave the key out", id="surrogate-key"
    ),
    pytest.param(b'{"a\\nb": NaN}', ODD_NUMBER.format("$.a\\nb"), id="key-with-newline"),
    pytest.param(b"\xef\xbb\xbf{}", "not JSON in UTF-8 (Unexpected UTF-8 BOM", id="byte-order-mark"),
    pytest.param("{}".encode("utf-16"), "not JSON in UTF-8 ('utf-8' codec", id="utf-16"),
    pytest.param(b'{"a": "\xff"}', "not JSON in UTF-8 ('utf-8' codec", id="latin-1"),
    pytest.param(DEEP, "not JSON in UTF-8 (maximum recursion depth", id="nested-too-deep"),
    pytest.param(b"", "not JSON in UTF-8 (Expecting value", id="empty"),
    pytest.param(b'{"a": 1} {}', "not JSON in UTF-8 (Extra data", id="two-values"),
    pytest.param(b'{"a": 1,}', "not JSON in UTF-8 (", id="trailing-comma"),
    pytest.param(b'{"a": 01}', "not JSON in UTF-8 (", id="leading-zero"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED_JSON)
def test_json_that_is_not_strict_is_refused_with_file_and_key(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=f"^{re.escape(f'some/file.json: {message}')}"):
        parse_json(content, "some/file.json")


def test_a_duplicate_among_many_keys_is_found_in_a_moment() -> None:
    keys = [f'"{number}": 0' for number in range(200_000)]
    with pytest.raises(FormatError, match="key '199999' appears twice"):
        parse_json(("{" + ",".join([*keys, keys[-1]]) + "}").encode(), "file")


def test_large_integers_that_python_reads_are_read() -> None:
    assert parse_json(b'{"a": 1' + b"0" * 600 + b"}", "file") == {"a": 10**600}


def test_more_json_than_the_cap_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # holds nothing; to read it all would take a terabyte of memory
    with pytest.raises(FormatError, match=f"^{path}: {2**40} bytes, expected at most {MAX_JSON_BYTES}$"):
        read_json(path, Machine)
    with pytest.raises(FormatError, match=f"^text: more than {MAX_JSON_BYTES} bytes of JSON, which is the most"):
        parse_json(bytes(MAX_JSON_BYTES + 1), "text")


GOOD = {"name": "a", "cores": 2}
REFUSED_FIELDS = [
    pytest.param(GOOD | {"colour": "red"}, "Object contains unknown field `colour`", id="unknown-key"),
    pytest.param(GOOD | {"a\nb": 1}, "Object contains unknown field `a\\nb`", id="unknown-key-with-newline"),
    pytest.param(GOOD | {"cores": "2"}, "Expected `int`, got `str` - at `$.cores`", id="text-for-number"),
    pytest.param(GOOD | {"cores": 2.5}, "Expected `int`, got `float` - at `$.cores`", id="fraction"),
    pytest.param(GOOD | {"cores": True}, "Expected `int`, got `bool` - at `$.cores`", id="truth-value"),
    pytest.param(GOOD | {"load": 10**400}, "Number out of range - at `$.load`", id="beyond-float"),
    pytest.param({"cores": 2}, "Object missing required field `name`", id="missing-key"),
    pytest.param([GOOD], "Expected `object`, got `array`", id="list"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED_FIELDS)
def test_a_value_of_another_type_is_refused_with_file_and_key(tmp_path: Path, value: object, message: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read_json(path, Machine)


def test_a_whole_number_serves_as_a_float() -> None:
    assert typed({**GOOD, "load": 1}, Machine, "file").load == 1


@contextmanager
def in_time() -> Iterator[None]:
    """Fail what would wait for ever, as for a pipe that nobody writes to."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


NOT_FILES = [
    pytest.param(os.mkfifo, id="pipe"),
    pytest.param(lambda path: path.symlink_to("/dev/zero"), id="device"),
    pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling-link"),
    pytest.param(lambda path: path.symlink_to(path.name), id="link-to-itself"),
    pytest.param(Path.mkdir, id="folder"),
    pytest.param(lambda path: None, id="nothing"),
]


@pytest.mark.parametrize("place", NOT_FILES)
def test_what_is_no_plain_file_is_never_read(tmp_path: Path, place: Callable[[Path], object]) -> None:
    path = tmp_path / "sidecar.json"
    place(path)
    with in_time(), pytest.raises(FormatError, match=f"^{path}: no such file$"):
        read_bytes(path)


def test_a_path_through_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FormatError, match="no such file"):
        read_bytes(tmp_path / "file" / "below")


@given(text=st.text())
def test_printable_text_fits_a_line_and_any_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()
    assert printable(shown) == shown
    shown.encode()


def test_printable_text_keeps_what_can_be_printed() -> None:
    assert printable("größer\x1b[2J\n\udcff") == "größer\\x1b[2J\\n\\udcff"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (NotImplementedError(), "NotImplementedError"),
        (ValueError("\n \n"), "ValueError"),
    ],
)
def test_the_first_line_of_an_error_is_never_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize("place", ["empty", "full", "file", "link"])
@pytest.mark.parametrize("knows", [True, False], ids=["system-call", "without-it"])
def test_a_rename_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, knows: bool) -> None:
    if not knows:
        monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: object())
    (tmp_path / "new").mkdir()
    rename_new(tmp_path / "new", tmp_path / "source")
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    for name in ("file", "full/file", "source/mine"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match=f"File exists: '{tmp_path / place}'"):
        rename_new(tmp_path / "source", tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


def test_any_other_failure_of_a_rename_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        rename_new(tmp_path / "source", tmp_path / "target")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_umask_has_no_say_in_modes(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a" / "b" / "usual", b"")
        write_whole(tmp_path / "c" / "narrow", b"", mode=0o640, folder_mode=0o750)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"a": 0o755, "b": 0o755, "usual": 0o644, "c": 0o750, "narrow": 0o640}


def test_a_listing_opens_nothing_that_is_no_plain_file(tmp_path: Path) -> None:
    for name in ("plain", "twice"):
        (tmp_path / name).touch()
    os.link(tmp_path / "twice", tmp_path / "again")
    (tmp_path / "link").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    found = listing(tmp_path)
    assert found.pop("plain") == sha256(b"")
    assert found == dict.fromkeys(["twice", "again", "link", "pipe", "sparse"], "not a file")


def test_the_name_of_a_new_folder_is_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    write_whole(tmp_path / "a" / "b" / "file", b"")
    assert {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino, (tmp_path / "a" / "b").stat().st_ino} < set(synced)
