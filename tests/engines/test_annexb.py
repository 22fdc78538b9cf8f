import io
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.engines import Source
from farm.engines.annexb import (
    H264,
    HEVC,
    START_CODE,
    SYNTAXES,
    BitstreamError,
    Config,
    byte_stream,
    messages_of,
    read_config,
    units_of,
)
from farm.engines.pyav_frames import planes_of
from farm.engines.pyav_movie import open_movie
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from tests.engines.clips import Clip, make

MP4 = MediaFormat(MediaKind.VIDEO, "mp4")
MOST_PACKETS = 40
SPS, PPS, IDR, AUD = b"\x67sps", b"\x68pps", b"\x65idr", b"\x09\xf0"
VPS = b"\x40\x01vps"
AVCC = b"\1dCP\xff\xe1\0\4" + SPS + b"\1\0\4" + PPS
HVCC = bytes([1, *bytes(20), 0xFF, 1]) + b"\x20\0\1\0\5" + VPS

units = st.binary(min_size=3, max_size=300).filter(
    lambda unit: b"\0\0\1" not in unit and unit[-1] != 0
)


def prefixed(parts: list[bytes], length_bytes: int = 4) -> bytes:
    return b"".join(len(part).to_bytes(length_bytes, "big") + part for part in parts)


def movie_of(data: bytes):
    source = Source(io.BytesIO(data), len(data), "clip")
    return open_movie(source, media_format=MP4, limits=Limits())


def packets_of(movie) -> list[tuple[bytes, int]]:
    """The samples from the first keyframe on, and their times."""
    samples = movie.index.samples(movie.track)
    rows = zip(samples.offset.tolist(), samples.size.tolist(), samples.pts.tolist(), strict=True)
    return [(movie.read_at(offset, size), pts) for offset, size, pts in rows][:MOST_PACKETS]


def decoded(codec: str, packets: list[tuple[bytes, int]], extradata: bytes | None) -> list:
    context = av.CodecContext.create(codec, "r")
    context.extradata = extradata
    context.thread_count = 1
    if codec == "h264":
        context.options = {"strict": "strict"}
    frames = []
    for data, pts in packets:
        packet = av.Packet(data)
        packet.pts = packet.dts = pts
        frames += context.decode(packet)
    frames += context.decode(None)
    assert not any(frame.is_corrupt for frame in frames)
    return [(frame.pts, planes_of(frame, codec)[0]) for frame in frames]


def assert_same_pictures(data: bytes) -> bool:
    movie = movie_of(data)
    if movie is None or movie.decoder not in SYNTAXES:
        return False
    extradata = movie.track.entries[0].extradata
    config = read_config(SYNTAXES[movie.decoder], extradata)
    packets = packets_of(movie)
    streams = [
        (byte_stream(units_of(sample, config), config, begins=number == 0), pts)
        for number, (sample, pts) in enumerate(packets)
    ]
    expected = decoded(movie.decoder, packets, extradata)
    found = decoded(movie.decoder, streams, None)
    assert [pts for pts, _ in found] == [pts for pts, _ in expected]
    assert expected
    for (_, planes), (_, wanted) in zip(found, expected, strict=True):
        assert all(plane.equal(other) for plane, other in zip(planes, wanted, strict=True))
    return True


def test_samples_decode_without_their_record(samples: Path):
    paths = sorted((samples / "videos").glob("*.m[op][4v]"))
    done = [path.name for path in paths if assert_same_pictures(path.read_bytes())]
    assert any("h264" in name for name in done)
    assert any("hevc" in name for name in done)


@pytest.mark.parametrize("muxing", ["", "frag_keyframe+empty_moov"])
def test_clips_decode_without_their_record(muxing):
    options = {"movflags": muxing} if muxing else {}
    assert assert_same_pictures(make(Clip(bframes=2, count=20, container_options=options)))


@given(st.lists(units, min_size=1, max_size=8), st.sampled_from([2, 4]))
def test_start_codes_part_the_very_units(parts, length_bytes):
    config = Config(H264, length_bytes, (SPS, PPS))
    assert units_of(prefixed(parts, length_bytes), config) == parts
    stream = byte_stream(parts, config, begins=False)
    assert stream.split(START_CODE)[1:] == parts


@given(st.lists(units, min_size=1, max_size=5), st.data())
def test_a_cut_sample_is_an_error_except_between_units(parts, data):
    sample, config = prefixed(parts), Config(HEVC, 4, ())
    cut = data.draw(st.integers(0, len(sample) - 1))
    whole = [parts[:count] for count in range(1, len(parts))]
    between = {len(prefixed(some)): some for some in whole}
    if cut in between:
        assert units_of(sample[:cut], config) == between[cut]
    else:
        with pytest.raises(BitstreamError):
            units_of(sample[:cut], config)


@given(st.binary(max_size=200), st.sampled_from([1, 2, 4]), st.sampled_from([H264, HEVC]))
def test_any_sample_gives_units_or_an_error(sample, length_bytes, syntax):
    try:
        found = units_of(sample, Config(syntax, length_bytes, ()))
    except BitstreamError:
        return
    assert prefixed(found, length_bytes) == sample


@given(st.binary(max_size=60), st.sampled_from([H264, HEVC]))
def test_any_record_is_read_or_an_error(record, syntax):
    try:
        config = read_config(syntax, b"\1" + record)
    except BitstreamError:
        return
    assert config.length_bytes in (1, 2, 4)


def test_records():
    assert read_config(H264, AVCC) == Config(H264, 4, (SPS, PPS))
    assert read_config(HEVC, HVCC) == Config(HEVC, 4, (VPS,))
    for syntax, record in ((H264, AVCC), (HEVC, HVCC)):
        for cut in range(len(record)):
            with pytest.raises(BitstreamError):
                read_config(syntax, record[:cut])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"", "version 1; received none"),
        (b"\0\0\0\1\x67", "version 1; received 00000001"),
        (b"\1dCP\xfe\xe1", "lengths of 1, 2 or 4 bytes; received 3"),
        (AVCC.replace(b"pps", b"\0\0\1"), "a start code inside"),
        (AVCC.replace(b"\1\0\4", b"\1\0\1"), "a unit of 1 bytes"),
    ],
)
def test_bad_records(record, words):
    with pytest.raises(BitstreamError, match=words):
        read_config(H264, record)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (b"", "without any unit"),
        (b"\0\0\0\5abc", "ends at byte 9 of a sample of 7 bytes"),
        (b"\0\0\0\0", "a unit of 0 bytes"),
        (b"\0\0\0\6\x65\0\0\1ab", "a start code inside"),
    ],
)
def test_bad_samples(sample, words):
    with pytest.raises(BitstreamError, match=words):
        units_of(sample, Config(H264, 4, ()))


def test_parameter_sets_come_before_the_first_picture_only():
    config = read_config(H264, AVCC)
    for begins, expected in ((True, [AUD, SPS, PPS, IDR]), (False, [AUD, IDR])):
        stream = byte_stream([AUD, IDR], config, begins=begins)
        assert stream == b"".join(START_CODE + unit for unit in expected)
    assert byte_stream([IDR], config, begins=True).endswith(START_CODE + IDR)


def test_sets_in_band_come_last_and_so_count():
    config, own = read_config(H264, AVCC), b"\x67own"
    stream = byte_stream([own, IDR], config, begins=True)
    assert stream.split(START_CODE)[1:] == [SPS, PPS, own, IDR]


def test_kinds_of_units():
    assert [H264.kind_of(unit) for unit in (SPS, PPS, IDR, AUD)] == [7, 8, 5, 9]
    assert HEVC.kind_of(VPS) == 32


@pytest.mark.parametrize("syntax", [H264, HEVC])
def test_types_of_messages(syntax):
    header = bytes(syntax.header_bytes)
    two = header + b"\x2f\x02ab" + b"\xff\x05\x01c" + b"\x80"
    assert messages_of(two, syntax) == [47, 260]
    assert messages_of(header + b"\x2f\xff\xff", syntax) == [47]
    assert messages_of(header + b"\x80", syntax) == []
