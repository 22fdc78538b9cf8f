"""Makes the odd and hostile files that no corpus need bring; `canary` is what none may reach."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import av
import numpy as np
from PIL import Image

from farm.geometry import Size
from farm.samples.clip import Recipe, make_clip
from tests.engines.clips import Clip, make
from tests.recipes import recipe

FONTS = 100


@dataclass(frozen=True, slots=True)
class Canary:
    """A file and an address that only somebody who follows a playlist would open."""

    path: str
    url: str


Maker = Callable[[Canary], bytes]


def always(make_bytes: Callable[[], bytes]) -> Maker:
    """A file that names no canary."""
    return lambda _: make_bytes()


def saved(picture: Image.Image, format: str, **options: object) -> bytes:
    """A picture in a file."""
    target = io.BytesIO()
    picture.save(target, format, **options)
    return target.getvalue()


def make_gif(frames: int) -> bytes:
    """An animation of so many frames of few pixels."""
    data = saved(Image.new("L", (8, 8), 99), "GIF")
    start = data.index(b",\0\0\0\0\x08\0\x08\0")
    return data[:start] + data[start:-1] * frames + data[-1:]


def make_tiff(pages: int) -> bytes:
    """A TIFF of so many pages that share their pixels."""
    data = bytearray(saved(Image.new("L", (4, 4)), "TIFF"))
    (place,) = struct.unpack_from("<I", data, 4)
    (fields,) = struct.unpack_from("<H", data, place)
    link = place + 2 + 12 * fields
    directory = data[place:link]
    for _ in range(pages - 1):
        struct.pack_into("<I", data, link, len(data))
        link = len(data) + len(directory)
        data += directory + bytes(4)
    return bytes(data)


def make_jpeg(*, profile: bytes | None = None) -> bytes:
    """A plain photo, perhaps with a profile."""
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    extra = {} if profile is None else {"icc_profile": profile}
    return saved(Image.fromarray(noise), "JPEG", **extra)


def with_cut_adobe_marker(data: bytes) -> bytes:
    """A JPEG whose APP14 segment ends before it names the transform."""
    return data[:2] + b"\xff\xee\x00\x07Adobe" + data[2:]


def make_playlist(canary: Canary) -> bytes:
    """An HLS playlist of a local file."""
    return f"#EXTM3U\n#EXTINF:3,\nfile://{canary.path}\n#EXT-X-ENDLIST\n".encode()


def make_web_playlist(canary: Canary) -> bytes:
    """An HLS playlist of an internal address."""
    return f"#EXTM3U\n#EXTINF:3,\n{canary.url}\n#EXT-X-ENDLIST\n".encode()


def make_concat(canary: Canary) -> bytes:
    """A list of files to join, in the format of FFmpeg."""
    return f"ffconcat version 1.0\nfile '{canary.path}'\n".encode()


def make_relative_concat(_: Canary) -> bytes:
    """The same by a relative path."""
    return b"ffconcat version 1.0\nfile canary.png\n"


def make_dash(canary: Canary) -> bytes:
    """A DASH manifest."""
    return f"<MPD><BaseURL>{canary.url}</BaseURL></MPD>".encode()


def make_sdp(canary: Canary) -> bytes:
    """A session description, which makes a library open sockets."""
    port = canary.url.rpartition(":")[2].partition("/")[0]
    return f"v=0\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n".encode()


def make_xml(canary: Canary) -> bytes:
    """An SVG with an external entity."""
    entity = f'<!DOCTYPE s [<!ENTITY x SYSTEM "file://{canary.path}">]>'
    return f'<?xml version="1.0"?>{entity}<svg>&x;</svg>'.encode()


def make_subtitled_avi(canary: Canary) -> bytes:
    """An AVI whose subtitles, in a chunk GAB2, are a playlist: FFmpeg opens what is in there."""
    text = make_playlist(canary)
    gab2 = struct.pack("<4sBHI2sHI", b"GAB2", 0, 2, 2, b"x\0", 4, len(text)) + text
    jpeg = make_jpeg()
    main = struct.pack("<14I", 40_000, 0, 0, 0x10, 1, 0, 2, 1 << 20, 64, 48, 0, 0, 0, 0)
    video = _chunk(b"strh", _stream_header(b"vids", b"MJPG")) + _chunk(
        b"strf", struct.pack("<IiiHH4sIiiII", 40, 64, 48, 1, 24, b"MJPG", 9216, 0, 0, 0, 0)
    )
    texts = _chunk(b"strh", _stream_header(b"txts", b"\0\0\0\0")) + _chunk(b"strf", b"")
    header = _list(b"hdrl", _chunk(b"avih", main), _list(b"strl", video), _list(b"strl", texts))
    movie = _list(b"movi", _chunk(b"01tx", gab2), _chunk(b"00dc", jpeg))
    return b"RIFF" + struct.pack("<I", 4 + len(header + movie)) + b"AVI " + header + movie


def _stream_header(kind: bytes, codec: bytes) -> bytes:
    return struct.pack("<4s4sIHHIIIIIIII8x", kind, codec, 0, 0, 0, 0, 1, 25, 0, 1, 1 << 20, 0, 0)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _list(name: bytes, *chunks: bytes) -> bytes:
    return _chunk(b"LIST", name + b"".join(chunks))


def make_huge_avi() -> bytes:
    """A video that says it has frames of 16384 x 16384."""
    data = bytearray(make(Clip(codec="mjpeg", container="avi", pixels="yuvj420p", count=2)))
    place = data.index(b"strf") + 12
    struct.pack_into("<ii", data, place, 16_384, 16_384)
    while (place := data.find(b"\xff\xc0\0\x11", place)) > 0:
        struct.pack_into(">HH", data, place + 5, 16_384, 16_384)
        place += 1
    return bytes(data)


def make_huge_mp4() -> bytes:
    """A video of 16384 x 16384 by its index, though not by its stream."""
    data = bytearray(make(Clip(count=2)))
    struct.pack_into(">HH", data, data.index(b"avc1", data.index(b"stsd")) + 28, 16_384, 16_384)
    return bytes(data)


def make_attachments() -> bytes:
    """A Matroska file with as many fonts as a fansub."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for number in range(FONTS):
            container.add_attachment(f"{number}.ttf", "font/ttf", b"font")
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


def make_encrypted() -> bytes:
    """An MP4 with encrypted samples (ISO/IEC 23001-7)."""
    scheme = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00" * 16,
        "encryption_kid": "11" * 16,
    }
    return make(Clip(count=5, container_options=scheme))


make_rotated = partial(make, Clip(count=3, rotation=(90, False)))
make_av1 = partial(make, Clip(codec="libsvtav1", count=5))
make_uneven = partial(make, Clip(count=4, times=(0, 20, 1500, 1520)))
_SHORT = Recipe("short.ts", "libx264", "some frames", size=Size(160, 90), frames=50)
make_late = partial(make_clip, replace(_SHORT, start_seconds=2))
make_early = partial(make_clip, replace(_SHORT, name="short.mp4", start_seconds=-1))
make_hang = partial(recipe, fault="hang")
make_crash = partial(recipe, fault="segfault")
make_glutton = partial(recipe, fault="memory")
