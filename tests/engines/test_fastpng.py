"""Plain PNGs: the same pixels as Pillow's, and whatever is odd is passed on."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from farm.engines import PassedOnError, Source, Wish, load
from farm.engines.png_chunks import PngHeader
from farm.engines.png_rows import decode_rows
from farm.engines.still import OddError
from farm.errors import LimitError, SourceUnavailableError
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from tests.engines.contract import START, EngineContract, source_of
from tests.engines.test_pillow import png_of, saved, scene, shown, swapped_primaries

PNG = MediaFormat(MediaKind.IMAGE, "png")
COLOR_TYPES = {3: 2, 4: 6}


def pixels(data: bytes, engine: str = "fastpng") -> torch.Tensor:
    decoder = load(engine).open(source_of(data, "photo"), media_format=PNG, limits=Limits())
    (batch,) = decoder.frames([START], Wish())
    assert batch.orientation == 1
    return shown(batch)


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        found.append((name, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_chunk(name: bytes, content: bytes, *, behind: bytes = b"IHDR") -> bytes:
    """A small PNG with one more chunk."""
    chunks = chunks_of(saved(scene(), "PNG"))
    place = max(index for index, (each, _) in enumerate(chunks) if each == behind)
    return png_of([*chunks[: place + 1], (name, content), *chunks[place + 1 :]])


def with_rows(rows: bytes, *, width: int, height: int, channels: int = 3) -> bytes:
    """A PNG of filtered rows as they are."""
    header = struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPES[channels], 0, 0, 0)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


class TestContract(EngineContract):
    engine_name = "fastpng"
    media_format = PNG
    size = Size(64, 48)

    @pytest.fixture
    def good(self):
        return saved(scene(), "PNG")


@st.composite
def filtered(draw: st.DrawFn) -> tuple[bytes, int, int, int]:
    """Rows of any filters and bytes, over several bands where they are wide."""
    channels = draw(st.sampled_from([3, 4]))
    width, height = draw(st.sampled_from([1, 2, 7, 64, 30_000])), draw(st.integers(1, 30))
    seed = np.random.default_rng(draw(st.integers(0, 2**31)))
    lines = seed.integers(0, 256, (height, 1 + width * channels), dtype=np.uint8)
    lines[:, 0] = seed.choice(draw(st.sampled_from([[0], [1], [2], [3], [4], range(5)])), height)
    return lines.tobytes(), width, height, channels


@given(filtered())
def test_any_filters_give_the_pixels_of_pillow(made):
    rows, width, height, channels = made
    data = with_rows(rows, width=width, height=height, channels=channels)
    wanted = np.array(Image.open(io.BytesIO(data)))
    parts = [memoryview(body) for name, body in chunks_of(data) if name == b"IDAT"]
    plane = decode_rows(parts, PngHeader(Size(width, height), channels))
    assert np.array_equal(plane.numpy(), wanted)
    # Cut anywhere, the parts are the same stream.
    thirds = [parts[0][: len(parts[0]) // 3], memoryview(b""), parts[0][len(parts[0]) // 3 :]]
    again = decode_rows(thirds, PngHeader(Size(width, height), channels))
    assert torch.equal(again, plane)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_pixels_are_those_of_pillow(mode, level):
    picture = scene((700, 500))
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = saved(picture, "PNG", compress_level=level)
    assert torch.equal(pixels(data), pixels(data, "pillow"))
    assert pixels(data).shape == (500, 700, len(mode))


def test_alpha_that_says_nothing_is_dropped():
    picture = scene()
    picture.putalpha(255)
    assert pixels(saved(picture, "PNG")).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"gAMA", struct.pack(">I", 45_455)),
        (b"pHYs", bytes(9)),
        (b"tEXt", b"Software\0of today"),
        (b"iTXt", b"Title\0\0\0\0\0of tomorrow"),
    ],
)
def test_what_says_nothing_of_pixels_is_no_matter(name, content):
    data = with_chunk(name, content)
    assert torch.equal(pixels(data), pixels(data, "pillow"))


@pytest.mark.parametrize("behind", [b"IHDR", b"IDAT"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0"),
        (b"tEXt", b"Raw profile type exif\0\nexif\n0\n"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        (b"iTXt", b"Title\0\x01\0\0\0" + zlib.compress(b"long")),
        (b"zTXt", b"Title\0\0" + zlib.compress(b"long")),
        (b"tRNS", bytes(6)),
        (b"cICP", bytes(4)),
        (b"QRST", b""),
    ],
)
def test_chunks_that_may_matter_are_passed_on(name, content, behind):
    with pytest.raises(PassedOnError, match=f"photo: has a chunk b'{name.decode()}'"):
        pixels(with_chunk(name, content, behind=behind))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16"])
def test_other_pixels_are_passed_on(mode):
    picture = scene().convert("L") if mode == "I;16" else scene().convert(mode)
    with pytest.raises(PassedOnError, match="colours of type"):
        pixels(saved(picture.convert(mode) if mode == "I;16" else picture, "PNG"))


def test_interlaced_and_16_bits_and_animated_are_passed_on():
    header = chunks_of(saved(scene(), "PNG"))[0][1]
    for odd in (header[:12] + b"\x01", header[:8] + b"\x10" + header[9:]):
        with pytest.raises(PassedOnError, match="bits, colours of type 2 and methods"):
            pixels(png_of([(b"IHDR", odd), (b"IDAT", b""), (b"IEND", b"")]))
    film = io.BytesIO()
    scene().save(film, "PNG", save_all=True, append_images=[scene().rotate(90)])
    with pytest.raises(PassedOnError, match="acTL"):
        pixels(film.getvalue())


def test_profiles_are_applied_as_by_pillow():
    plain = saved(scene(), "PNG")
    swapped = saved(scene(), "PNG", icc_profile=swapped_primaries())
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert torch.equal(pixels(swapped), pixels(swapped, "pillow"))
    assert not torch.equal(pixels(swapped), pixels(plain))
    assert torch.equal(pixels(saved(scene(), "PNG", icc_profile=srgb)), pixels(plain))


@pytest.mark.parametrize("content", [b"", b"name\0\0garbage", b"name\0\0" + zlib.compress(b"x")])
def test_profiles_of_no_use_are_passed_on(content):
    with pytest.raises(PassedOnError, match="profile"):
        pixels(with_chunk(b"iCCP", content))


ROWS = bytes([0, *range(6)]) * 3


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS[:-1], "too few"),
        (ROWS + b"\0", "too many rows"),
        (b"\x05" + ROWS[1:], "unknown filter"),
    ],
)
def test_rows_that_do_not_fit_are_passed_on(rows, words):
    with pytest.raises(PassedOnError, match=words):
        pixels(with_rows(rows, width=2, height=3))


@pytest.mark.parametrize("place", [-1, -3, 2, 9])
def test_a_damaged_stream_is_odd(place):
    stream = bytearray(zlib.compress(ROWS))
    stream[place] ^= 0xFF
    with pytest.raises(OddError, match=r"inflated|too"):
        decode_rows([memoryview(stream)], PngHeader(Size(2, 3), 3))


def test_damage_is_passed_on():
    whole = saved(scene(), "PNG", pnginfo=_text())
    for cut in (0, 7, 20, 40, len(whole) // 2, len(whole) - 5):
        with pytest.raises(PassedOnError, match="photo: "):
            pixels(whole[:cut])
    broken = whole.replace(b"hello", b"hallo")
    with pytest.raises(PassedOnError, match="damaged chunk b'tEXt'"):
        pixels(broken)


def _text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "hello")
    return info


def test_too_many_pixels_are_refused_by_the_header_alone():
    data = with_rows(b"", width=50_000, height=50_000)
    with pytest.raises(LimitError, match="50000 x 50000 pixels"):
        pixels(data)


class Unreadable(io.BytesIO):
    def readinto(self, buffer: object, /) -> int:
        raise OSError(5, "Input/output error")


def test_a_source_that_cannot_be_read_is_unavailable():
    source = Source(Unreadable(b"x" * 99), 99, "photo")
    with pytest.raises(SourceUnavailableError, match="photo: cannot be read"):
        load("fastpng").open(source, media_format=PNG, limits=Limits())
