"""Headers of tracks: names, sizes, shapes and lengths."""

import struct
from dataclasses import replace
from fractions import Fraction

import pytest

from farm.engines.mp4 import NotIndexedError, Track
from farm.geometry import Size
from tests.engines.mp4.build import IDENTITY, Movie, box, full, visual_entry
from tests.engines.mp4.packets import demux, index_of, video_of

MOVIE = Movie(sizes=[9] * 10, durations=[512] * 10, entries=[visual_entry(b"mp4v")])


def track_of(movie: Movie) -> Track:
    return video_of(index_of(movie.data()))


def test_a_track_tells_its_headers() -> None:
    track = track_of(MOVIE)
    assert (track.number, track.id, track.handler, track.is_enabled) == (0, 1, "vide", True)
    assert (track.size, track.orientation, track.pixel_aspect) == (Size(64, 48), 1, None)
    assert (track.timescale, track.duration, track.frame_count) == (12800, 5120, 10)
    assert (track.time_base, track.average_rate) == (Fraction(1, 12800), Fraction(25))
    assert track.protection == ""


def version_1(data: bytes, kind: bytes, content: bytes) -> bytes:
    """The data with the content of a box of the header replaced."""
    for parent in (b"moov", b"trak", b"mdia", kind):
        at = data.index(parent) - 4
        size = int.from_bytes(data[at : at + 4], "big")
        if parent == kind:
            new = full(kind, content, version=1, flags=3)
            data = data[:at] + new + data[at + size :]
            return _resized(data, kind, len(new) - size)
    raise AssertionError(kind)


def _resized(data: bytes, kind: bytes, more: int) -> bytes:
    parents = {b"tkhd": (b"moov", b"trak"), b"mdhd": (b"moov", b"trak", b"mdia")}
    for parent in parents.get(kind, (b"moov",)):
        at = data.index(parent) - 4
        size = int.from_bytes(data[at : at + 4], "big") + more
        data = data[:at] + struct.pack(">I", size) + data[at + 4 :]
    return data


def test_headers_may_have_64_bit_times() -> None:
    data = MOVIE.data()
    matrix = struct.pack(">9i", *IDENTITY)
    data = version_1(data, b"mvhd", struct.pack(">QQIQ16x", 0, 0, 1000, 400) + matrix + bytes(28))
    sides = struct.pack(">II", 64 << 16, 48 << 16)
    data = version_1(data, b"tkhd", struct.pack(">QQIIQ16x", 0, 0, 7, 0, 400) + matrix + sides)
    data = version_1(data, b"mdhd", struct.pack(">QQIQI", 0, 0, 12800, 5120, 0))
    assert video_of(index_of(data)) == replace(track_of(MOVIE), id=7)


def test_a_duration_of_all_ones_is_unknown() -> None:
    data = MOVIE.data().replace(
        struct.pack(">IIIII", 0, 0, 12800, 5120, 0),
        struct.pack(">IIIII", 0, 0, 12800, 2**32 - 1, 0),
    )
    assert video_of(index_of(data)).duration == 5120


@pytest.mark.parametrize(
    ("edits", "duration"),
    [([], 5120), ([(200, 0)], 2560), ([(1000, -1), (200, 0)], 5120), ([(100, -1), (200, 0)], 3840)],
)
def test_the_shortest_length_counts(edits: list[tuple[int, int]], duration: int) -> None:
    movie = replace(MOVIE, edits=edits)
    assert track_of(movie).duration == duration
    assert demux(movie.data())[0].stream.duration == duration


ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "width", "pasp"),
    [
        (IDENTITY, 64, b""),
        (IDENTITY, 32, b""),
        (IDENTITY, 32, box(b"pasp", struct.pack(">II", 4, 3))),
        ((2 * ONE, *IDENTITY[1:]), 64, b""),
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30), 64, b""),
        ((0, ONE, 0, -2 * ONE, 0, 0, 0, 0, 1 << 30), 32, b""),
        ((0,) * 9, 64, b""),
    ],
)
def test_pixels_have_the_aspect_that_libavformat_sees(
    matrix: tuple[int, ...], width: int, pasp: bytes
) -> None:
    entry = visual_entry(b"mp4v", pasp, width=width)
    data = replace(MOVIE, matrix=matrix, entries=[entry]).data()
    assert video_of(index_of(data)).pixel_aspect == demux(data)[0].stream.sample_aspect_ratio


def test_a_track_is_turned_by_its_matrix() -> None:
    quarter = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)
    assert track_of(replace(MOVIE, matrix=quarter)).orientation == 6


@pytest.mark.parametrize("kind", [b"tkhd", b"mdhd", b"stsd"])
def test_a_header_that_is_missing_is_left_to_others(kind: bytes) -> None:
    with pytest.raises(NotIndexedError):
        index_of(MOVIE.data().replace(kind, b"xxxx"))


def test_a_missing_movie_header_does_no_harm_without_edits() -> None:
    assert video_of(index_of(MOVIE.data().replace(b"mvhd", b"xxxx"))) == track_of(MOVIE)
