import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from farm.engines.jpeg_header import HeaderError, parse_header
from farm.engines.jpeg_scans import cut_early, cut_exactly
from tests.engines.jpegs import noise
from tests.engines.test_pillow import saved

WHOLE = saved(noise((333, 222)), "JPEG", progressive=True, quality=90)


def cut(how, data: bytes, shrink: int):
    return how(data, parse_header(data), shrink=shrink)


def test_exactly_at_an_eighth():
    found = cut(cut_exactly, WHOLE, 8)
    # All but those of the luma's details.
    assert (found.kept, found.seen) == (6, 10)
    assert len(found.data) < len(WHOLE) / 3
    assert found.data.endswith(b"\xff\xd9")


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"subsampling": 0}, 2), ({"subsampling": 1}, 2), ({"mode": "L"}, 2)],
)
def test_chroma_that_is_shrunk_as_far_as_luma_needs_means_only(options, kept):
    picture = noise((333, 222)).convert(options.pop("mode", "RGB"))
    assert cut(cut_exactly, saved(picture, "JPEG", progressive=True, **options), 8).kept == kept


@pytest.mark.parametrize("shrink", [4, 2, 1])
def test_nothing_can_be_left_out_exactly_at_larger_sizes(shrink):
    assert cut(cut_exactly, WHOLE, shrink) is None


@pytest.mark.parametrize("length", [0, 100, 1000, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_file_without_its_end_is_not_cut_exactly(length):
    header = parse_header(WHOLE)
    assert cut_exactly(WHOLE[:length], header, shrink=8) is None


def test_scans_that_never_tell_the_last_bits_are_not_cut_exactly():
    last = WHOLE.rindex(b"\xff\xda")
    assert cut(cut_exactly, WHOLE[:last] + b"\xff\xd9", 8) is None


@pytest.mark.parametrize(("shrink", "kept"), [(8, 1), (4, 4)])
def test_early(shrink, kept):
    found = cut(cut_early, WHOLE, shrink)
    assert (found.kept, found.seen) == (kept, 10)


def test_early_needs_the_first_scans_only():
    ends = [at for at in range(len(WHOLE) - 1) if WHOLE[at : at + 2] == b"\xff\xda"]
    beginning = WHOLE[: ends[1] + 2]
    found = cut(cut_early, beginning, 8)
    assert (found.kept, found.seen) == (1, 1)
    assert cut(cut_early, beginning, 4) is None
    assert cut(cut_early, WHOLE[: ends[1] - 100], 8) is None


def test_early_at_full_size_there_is_nothing_to_gain():
    assert cut(cut_early, WHOLE, 1) is None


def test_a_picture_of_more_blocks_than_one_run():
    data = saved(Image.new("L", (2050, 1100), 70), "JPEG", progressive=True)
    found = cut(cut_exactly, data, 8)
    with Image.open(io.BytesIO(found.data)) as picture:
        assert picture.getextrema() == (70, 70)


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(WHOLE)),
    st.sampled_from((1, 2, 4, 8)),
)
def test_changed_bytes_are_cut_or_not(changes, length, shrink):
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    try:
        header = parse_header(data[:length])
    except HeaderError:
        return
    if header is not None:
        for how in (cut_exactly, cut_early):
            found = how(bytes(data[:length]), header, shrink=shrink)
            assert found is None or 0 < found.kept <= found.seen
