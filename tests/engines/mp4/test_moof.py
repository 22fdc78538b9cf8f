"""Fragments: every combination of what they may leave to defaults."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.engines.mp4.box import NotIndexedError
from farm.engines.mp4.moof import Defaults, Run, read_defaults, read_moof
from tests.engines.mp4.build import box, full

SYNC, NO_SYNC, DEPENDENT = 0x2000000, 0x10000, 0x1000000
DEFAULTS = Defaults(entry=1, duration=512, size=100, flags=SYNC)
OFFSET = 1000
COLUMNS = (0x100, 0x200, 0x400, 0x800)


def tfhd(flags: int = 0x20000, *fields: bytes, track_id: int = 1) -> bytes:
    return full(b"tfhd", struct.pack(">I", track_id), *fields, flags=flags)


def tfdt(ticks: int, version: int = 1) -> bytes:
    return full(b"tfdt", struct.pack(">Q" if version else ">I", ticks), version=version)


def trun(flags: int, count: int, *content: bytes) -> bytes:
    return full(b"trun", struct.pack(">I", count), *content, flags=flags)


def data_offset(value: int) -> bytes:
    return struct.pack(">i", value)


def runs_of(*trafs: bytes, track_id: int = 1, most_bytes: int = 1 << 20) -> list[Run]:
    moof = b"".join(box(b"traf", traf) for traf in trafs)
    return read_moof(
        memoryview(full(b"mfhd", bytes(4)) + moof),
        offset=OFFSET,
        track_id=track_id,
        defaults={1: DEFAULTS, 2: DEFAULTS._replace(size=7)},
        most_bytes=most_bytes,
    )


@given(st.data(), st.integers(1, 9), st.sampled_from(range(16)), st.booleans(), st.booleans())
def test_columns_that_are_missing_have_defaults(
    data: st.DataObject, count: int, present: int, has_offset: bool, has_first_flags: bool
) -> None:
    numbers = st.lists(st.integers(1, 2**31 - 1), min_size=count, max_size=count)
    columns = [data.draw(numbers) if present >> bit & 1 else None for bit in range(4)]
    flags = sum(flag for flag, column in zip(COLUMNS, columns, strict=True) if column)
    head = b""
    if has_offset:
        flags, head = flags | 0x1, data_offset(40)
    if has_first_flags:
        flags, head = flags | 0x4, head + struct.pack(">I", NO_SYNC)
    rows = [column for column in columns if column]
    content = struct.pack(
        f">{count * len(rows)}I", *(n for row in zip(*rows, strict=True) for n in row)
    )
    (run,) = runs_of(tfhd() + tfdt(77) + trun(flags, count, head, content))
    duration, size, sample_flags, cts_offset = columns
    assert run.dts == 77
    assert run.duration.tolist() == (duration or [512] * count)
    assert run.size.tolist() == (size or [100] * count)
    assert run.cts_offset.tolist() == (cts_offset or [0] * count)
    base = OFFSET + (40 if has_offset else 0)
    assert run.offset.tolist() == (base + np.cumsum(run.size) - run.size).tolist()
    expected = sample_flags or [NO_SYNC if has_first_flags else SYNC, *[SYNC] * (count - 1)]
    assert run.is_sync.tolist() == [not value & (NO_SYNC | DEPENDENT) for value in expected]


@given(st.sampled_from(range(32)))
def test_a_track_may_have_defaults_of_its_own(present: int) -> None:
    fields = (
        (0x1, struct.pack(">Q", 5000)),
        (0x2, struct.pack(">I", 3)),
        (0x8, struct.pack(">I", 40)),
        (0x10, struct.pack(">I", 9)),
        (0x20, struct.pack(">I", DEPENDENT)),
    )
    used = [field for bit, field in enumerate(fields) if present >> bit & 1]
    flags = sum(flag for flag, _ in used)
    traf = tfhd(flags, *(content for _, content in used)) + tfdt(0, version=0) + trun(0, 2)
    (run,) = runs_of(traf)
    assert run.offset[0] == (5000 if flags & 0x1 else OFFSET)
    assert run.entry == (2 if flags & 0x2 else 0)
    assert run.duration[0] == (40 if flags & 0x8 else 512)
    assert run.size[0] == (9 if flags & 0x10 else 100)
    assert run.is_sync[0] == (not flags & 0x20)


def test_offsets_of_presentation_may_be_negative() -> None:
    (run,) = runs_of(tfhd() + tfdt(0) + trun(0x800, 2, struct.pack(">ii", -512, 512)))
    assert run.cts_offset.tolist() == [-512, 512]


def test_runs_follow_one_another_in_time() -> None:
    second = trun(0x1, 1, data_offset(900))
    runs = runs_of(tfhd() + tfdt(1024) + trun(0x1, 2, data_offset(40)) + trun(0, 0) + second)
    assert [run.dts for run in runs] == [1024, 2048]
    assert [run.offset.tolist() for run in runs] == [[1040, 1140], [1900]]


def test_without_a_base_data_follow_those_of_the_track_before() -> None:
    sound = tfhd(0, track_id=2) + tfdt(0) + trun(0x1, 3, data_offset(50))
    (run,) = runs_of(sound, tfhd(0) + tfdt(0) + trun(0, 1))
    assert run.offset.tolist() == [OFFSET + 50 + 3 * 7]


def test_a_track_without_a_time_has_none() -> None:
    (run,) = runs_of(tfhd() + trun(0, 1))
    assert run.dts is None


def test_other_tracks_are_passed_over() -> None:
    unknown = tfhd(track_id=9) + trun(0, 1)
    other = tfhd(track_id=2) + tfdt(0) + trun(0, 1)
    assert runs_of(unknown, other) == []
    assert len(runs_of(unknown, other, track_id=2)) == 1


DAMAGED = {
    "no header": tfdt(0) + trun(0, 1),
    "a header cut off": full(b"tfhd", bytes(2)) + trun(0, 1),
    "a field cut off": tfhd(0x8) + trun(0, 1),
    "description zero": tfhd(0x2, bytes(4)) + trun(0, 1),
    "a description past all": tfhd(0x2, b"\xff" * 4) + trun(0, 1),
    "a run cut off": tfhd() + full(b"trun", bytes(2)),
    "columns cut off": tfhd() + trun(0x200, 3, struct.pack(">II", 5, 5)),
    "a lie of many sizes": tfhd() + trun(0x200, 2**32 - 1, struct.pack(">II", 5, 5)),
    "a lie of one size": tfhd() + trun(0, 2**32 - 1),
    "empty samples": tfhd() + trun(0x200, 1, bytes(4)),
    "samples before the file": tfhd() + trun(0x1, 1, data_offset(-OFFSET - 1)),
    "samples past any file": tfhd(0x1, struct.pack(">Q", 2**63)) + trun(0, 1),
    "a later run anywhere": tfhd() + trun(0, 1) + trun(0, 1),
    "a time past all times": tfhd() + tfdt(2**62) + trun(0, 1),
}


@pytest.mark.parametrize("traf", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_damaged_is_left_to_others(traf: bytes) -> None:
    with pytest.raises(NotIndexedError):
        runs_of(traf)


def test_a_track_twice_needs_two_times() -> None:
    timed = tfhd() + tfdt(0) + trun(0, 1)
    assert len(runs_of(timed, timed)) == 2
    with pytest.raises(NotIndexedError, match="twice"):
        runs_of(timed, tfhd() + trun(0, 1))


def test_samples_have_to_fit_the_file() -> None:
    with pytest.raises(NotIndexedError, match="fit the file"):
        runs_of(tfhd() + trun(0, 3), most_bytes=299)
    assert len(runs_of(tfhd() + trun(0, 3), most_bytes=300)) == 1


def test_defaults_are_told_by_track() -> None:
    first, second = (
        full(b"trex", struct.pack(">5I", number, 1, 512, 0, SYNC)) for number in (1, 2)
    )
    assert read_defaults(memoryview(first + second + first)) == {
        1: Defaults(1, 512, 0, SYNC),
        2: Defaults(1, 512, 0, SYNC),
    }
