import io
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.engines import Source
from farm.engines.annexb import H264, HEVC, SYNTAXES, BitstreamError, read_config
from farm.engines.pyav_movie import open_movie
from farm.engines.sps import Bits, SequenceHeader, read_sequence
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from tests.engines.clips import Clip, make

MP4 = MediaFormat(MediaKind.VIDEO, "mp4")
X264 = {
    "plain": {},
    "cropped": {"size": (134, 70)},
    "high": {"options": {"x264-params": "8x8dct=1:cqm=jvt"}},
    "baseline": {"options": {"profile": "baseline"}},
    "444": {"pixels": "yuv444p"},
    "422": {"pixels": "yuv422p"},
    "10 bits": {"pixels": "yuv420p10le"},
    "tagged": {
        "options": {"x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=on"}
    },
    "aspect": {"options": {"x264-params": "sar=16/11"}},
    "odd aspect": {"options": {"x264-params": "sar=7/5"}},
}
X265 = {
    "plain": {},
    "cropped": {"size": (134, 70)},
    "444": {"pixels": "yuv444p"},
    "422 of 10 bits": {"pixels": "yuv422p10le"},
    "10 bits": {"pixels": "yuv420p10le"},
    "12 bits": {"pixels": "yuv420p12le"},
    "reordered": {"bframes": 3},
    "lists": {"options": {"x265-params": "log-level=none:pools=1:scaling-list=default"}},
    "layers": {"options": {"x265-params": "log-level=none:pools=1:temporal-layers=3:bframes=3"}},
    "aspect": {"options": {"x265-params": "log-level=none:pools=1:sar=4"}},
    "tagged": {
        "options": {
            "x265-params": "log-level=none:pools=1:colorprim=9:transfer=18:colormatrix=9:range=full"
        }
    },
}
CLIPS = [
    *(pytest.param(Clip(count=3, **facts), id=f"h264 {name}") for name, facts in X264.items()),
    *(
        pytest.param(Clip("libx265", count=3, **facts), id=f"hevc {name}")
        for name, facts in X265.items()
    ),
]
CHROMAS = {"yuv420p": 1, "yuv422p": 2, "yuv444p": 3}


def sequence_unit(data: bytes):
    movie = open_movie(
        Source(io.BytesIO(data), len(data), "clip"), media_format=MP4, limits=Limits()
    )
    assert movie is not None
    syntax = SYNTAXES[movie.decoder]
    config = read_config(syntax, movie.track.entries[0].extradata)
    (unit,) = (unit for unit in config.units if syntax.kind_of(unit) == syntax.sequence)
    return syntax, unit


def first_frame(data: bytes) -> tuple[av.VideoFrame, Fraction | None]:
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        return frame, container.streams.video[0].codec_context.sample_aspect_ratio


@pytest.mark.parametrize("clip", CLIPS)
def test_the_same_as_libav(clip):
    data = make(clip)
    header = read_sequence(*sequence_unit(data))
    frame, aspect = first_frame(data)
    bits = frame.format.components[0].bits
    layout = frame.format.name.removesuffix(f"{bits}le").replace("yuvj", "yuv")
    assert (header.chroma, header.bits) == (CHROMAS[layout], bits)
    assert header.shown == Size(frame.width, frame.height)
    assert (header.origin, header.is_progressive) == ((0, 0), True)
    assert header.coded.width % 8 == header.coded.height % 8 == 0
    primaries, transfer, matrix = header.signal.tags or (2, 2, 2)
    assert primaries == frame.color_primaries
    assert transfer == frame.color_trc
    assert matrix == frame.colorspace
    assert bool(header.signal.full_range) == (frame.color_range == 2)
    assert (header.signal.aspect or Fraction(0)) == (aspect or Fraction(0))


def test_gray_is_told():
    header = read_sequence(*sequence_unit(make(Clip(count=3, pixels="gray"))))
    assert (header.chroma, header.bits, header.shown) == (0, 8, Size(*Clip().size))


def test_fields_are_told():
    clip = Clip(count=3, options={"x264-params": "tff=1"})
    header = read_sequence(*sequence_unit(make(clip)))
    assert not header.is_progressive
    assert header.shown == Size(*clip.size)


def test_every_cut_is_read_or_an_error():
    for codec in ("libx264", "libx265"):
        syntax, unit = sequence_unit(make(Clip(codec, count=3)))
        whole = read_sequence(syntax, unit)
        for cut in range(syntax.header_bytes, len(unit)):
            try:
                found = read_sequence(syntax, unit[:cut])
            except BitstreamError:
                continue
            assert found.coded == whole.coded


@given(st.binary(max_size=80), st.sampled_from([H264, HEVC]))
def test_any_bytes_are_read_or_an_error(content, syntax):
    try:
        header = read_sequence(syntax, bytes(syntax.header_bytes) + content)
    except BitstreamError:
        return
    assert isinstance(header, SequenceHeader)
    assert min(header.shown) >= 1
    assert header.shown.width <= header.coded.width


def test_too_much_is_not_read():
    with pytest.raises(BitstreamError, match="of 5000 bytes"):
        read_sequence(H264, bytes(5001))


@pytest.mark.parametrize(
    ("digits", "unsigned", "signed"),
    [("1", 0, 0), ("010", 1, 1), ("011", 2, -1), ("00100", 3, 2), ("0001000", 7, 4)],
)
def test_golomb(digits, unsigned, signed):
    content = int(digits.ljust(8, "0"), 2).to_bytes(1, "big")
    assert Bits(content).golomb() == unsigned
    assert Bits(content).signed() == signed


def test_golomb_beyond_its_bounds():
    with pytest.raises(BitstreamError, match="at most 2 in a parameter set; received 3"):
        Bits(b"\x20").golomb(2)
    with pytest.raises(BitstreamError, match="too long"):
        Bits(bytes(8)).golomb()
    with pytest.raises(BitstreamError, match="ends too early"):
        Bits(b"\0").golomb()


def test_bytes_against_start_codes_are_no_content():
    bits = Bits(b"\0\0\3\1")
    assert bits.take(24) == 1
    with pytest.raises(BitstreamError):
        bits.take(1)
