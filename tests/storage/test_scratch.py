"""Arrays of any size: on disk or in memory, in parts or whole, they hold the same values."""

import errno
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelgates.storage import scratch


@given(rows=st.integers(0, 300), width=st.integers(0, 2**17))
def test_parts_cover_all_rows_and_none_is_a_single_row(rows: int, width: int) -> None:
    cut = list(scratch.parts(rows, width))
    assert [part.start for part in cut] + [rows] == [0, *(part.stop for part in cut)]
    assert all(part.stop - part.start > 1 for part in cut) or len(cut) == 1


@given(codes=st.lists(st.integers(0, 9), max_size=60), most=st.integers(1, 20))
def test_groups_hold_each_row_once_and_whole_codes(codes: list[int], most: int) -> None:
    given = np.array(codes, dtype=np.int64)
    found = list(scratch.groups(given, most))
    assert sorted(row for rows in found for row in rows.tolist()) == list(range(len(codes)))
    of_groups = [set(given[rows].tolist()) for rows in found if rows.size]
    assert all(max(one) < min(other) for one, other in pairwise(of_groups))
    assert all(rows.size <= most or len(set(given[rows].tolist())) == 1 for rows in found)


@pytest.mark.parametrize("shape", [(0, 7), (1, 5), (40, 3), (7, 9000)])
def test_a_function_of_rows_gives_the_same_in_parts(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, also of sums over long rows."""
    values = np.random.default_rng(0).standard_normal(shape)
    for size in (1, 50, 2**17):
        monkeypatch.setattr(scratch, "_PART", size)
        for function in (np.exp, lambda some: np.einsum("ij,ij->i", some, some), lambda some: some.sum(axis=1)):
            assert scratch.in_parts(function, values).tobytes() == function(values).tobytes()


def test_a_large_array_takes_no_memory_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = scratch.empty((2**23, 2))
    array[:] = 1.5
    assert (array.shape, array.dtype, array.sum()) == ((2**23, 2), np.float64, 1.5 * 2**24)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match=str(tmp_path)) as found:
        scratch.empty(2**50)
    assert found.value.errno in (errno.ENOSPC, errno.EFBIG)


@pytest.mark.integration
def test_what_lies_on_disk_does_not_count_as_memory(tmp_path: Path) -> None:
    code = (
        "import resource; from pytest_modelgates.storage import scratch; "
        "resource.setrlimit(resource.RLIMIT_DATA, (2**29, 2**29)); array = scratch.empty(2**27); array[::512] = 1; "
        "print(int(array[::512].sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"TMPDIR": str(tmp_path)})
    assert (done.stdout, done.stderr) == (f"{2**18}\n", "")
