"""Sorted runs: all records come back in the order of their keys, and disks may be full."""

import errno
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import sorted_runs
from farm.errors import DiskFullError
from farm.sorted_runs import KEY, SortedRuns

# Keys of few first bytes, zeros at their ends included.
KEYS = st.lists(st.sampled_from([bytes([a, *[b] * 15]) for a in (0, 7, 255) for b in (0, 9)]))


def keys_of(keys):
    return np.frombuffer(b"".join(keys), KEY)


@given(st.lists(KEYS, max_size=6), st.sampled_from([24, 60, 1 << 20]))
def test_all_records_come_back_in_order(batches, run_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_runs, "_RUN_BYTES", run_bytes)
        with SortedRuns([("value", np.int64)]) as runs:
            added = []
            for keys in batches:
                values = range(len(added), len(added) + len(keys))
                runs.add(key=keys_of(keys), value=np.array(values, np.int64))
                added += zip(keys, values, strict=True)
            parts = list(runs.slices())
    found = [(each["key"].ljust(16, b"\0"), each["value"]) for part in parts for each in part]
    assert found == sorted(added)
    # No key is divided.
    firsts = [{each["key"].ljust(16, b"\0")[:1] for each in part} for part in parts]
    assert all(len(first) == 1 for first in firsts)
    assert len(firsts) == len(set().union(*firsts))


def test_one_value_stands_for_all():
    with SortedRuns([("value", np.int32)]) as runs:
        runs.add(key=keys_of([b"a" * 16, b"b" * 16]), value=3)
        assert [each["value"].tolist() for each in runs.slices()] == [[3], [3]]


def test_its_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with SortedRuns() as runs:
        runs.add(key=keys_of([b"a" * 16]))
        list(runs.slices())
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(monkeypatch):
    class Full:
        def seek(self, *_):
            pass

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match=r"No space left on device; set TMPDIR"):
        sorted_runs.write(Full(), keys_of([b"a" * 16]))
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    with pytest.raises(DiskFullError, match="/nowhere/at/all"):
        SortedRuns()
