"""Decodes opaque lossy WebPs to YUV with FFmpeg; the rest is Pillow's."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import av
import torch
from torch import Tensor

from farm.engines import PassedOnError, Source, Wish
from farm.engines.pillow_errors import check_pixels, translated
from farm.engines.pillow_salvage import LEAST_ROWS_FRACTION
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.still import Note, OddError, Planes, StillDecoder, passed_on, still_info
from farm.geometry import Size
from farm.media import ColorTags, Matrix, MediaFormat, MediaKind, Siting
from farm.settings import Limits
from farm.spec import Fidelity

_MOST_BYTES = 256 << 20  # all of a file is held in memory
_HEADER_BYTES = 30

# As libwebp has it: studio range, and chroma between the luma samples.
_COLOR = ColorTags(matrix=Matrix.BT601, full_range=False, siting=Siting.CENTER)

# The filter that smooths the edges of blocks takes a third of the time. No block is predicted from
# what it makes, so that without it no error spreads: shrunk to a sixth or less, the picture is 54
# to 58 dB near the filtered one, to a third 48 to 50. The size asked for has a margin of its own.
_UNFILTERED_SHRINK = 8 / 3

_BLOCK_PIXELS = 16  # a side of a macroblock
_BLACK_LUMA, _NO_CHROMA = 16, 128

_PROFILE = 0x20  # the flag of an extended file that has nothing but a profile


@dataclass(frozen=True, slots=True)
class WebpHeader:
    """What a simple lossy file (RFC 9649, 2.5) or an extended one (2.7) says of itself."""

    size: Size
    file_bytes: int
    is_extended: bool = False


class FastWebpEngine:
    """WebP of one lossy picture, perhaps with a profile: no transparency, tags or animation."""

    name: ClassVar[str] = "fastwebp"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """The version of PyAV."""
        return str(av.__version__)

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> StillDecoder:
        """Reads the header; raises PassedOnError for all but opaque lossy files."""
        if media_format.name != "webp":
            raise PassedOnError(
                f"{source.name}: is {media_format.name}; engine {self.name} decodes webp only"
            )
        try:
            if source.size_bytes > _MOST_BYTES:
                raise OddError(f"has {source.size_bytes} bytes")
            data = Prefix(source)
            header = parse_header(bytes(data.first(_HEADER_BYTES)[:_HEADER_BYTES]))
        except OddError as error:
            raise passed_on(source, error) from error
        except OSError as error:
            raise translated(error, source, format_name="webp", limits=limits) from error
        check_pixels(source, header.size, limits=limits)
        decode = partial(_decode, data, header)
        return StillDecoder(source, still_info("webp", header.size), decode, limits=limits)


def parse_header(data: bytes) -> WebpHeader:
    """The header of a file that begins with `data`; raises OddError at what is not plain."""
    if len(data) < _HEADER_BYTES or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise OddError("has no header of WebP")
    file_bytes = 8 + int.from_bytes(data[4:8], "little")
    if data[12:16] == b"VP8X":
        flags = data[20]
        if flags != _PROFILE:
            raise OddError(f"is extended with flags {flags:#04x}")
        size = Size(*(1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27)))
        return WebpHeader(size, file_bytes, is_extended=True)
    if data[12:16] != b"VP8 ":
        raise OddError(f"begins with a chunk {data[12:16]!r}")
    if int.from_bytes(data[16:20], "little") + 20 > file_bytes:
        raise OddError("has a frame that does not fit its file")
    return WebpHeader(_frame_size(data[20:]), file_bytes)


def _frame_size(frame: bytes) -> Size:
    """The size of a lossy picture by the header of its key frame: RFC 6386, 9.1."""
    if len(frame) < 10 or frame[0] & 1 or frame[3:6] != b"\x9d\x01\x2a":
        raise OddError("does not begin with a key frame")
    width, height = struct.unpack_from("<HH", frame, 6)
    if not (0 < width < 1 << 14 and 0 < height < 1 << 14):
        raise OddError("has no pixels, or some that are to be scaled up")
    return Size(width, height)


def _decode(data: Prefix, header: WebpHeader, wish: Wish) -> Planes:
    at_least = wish.at_least or header.size
    shrink = min(header.size.width / at_least.width, header.size.height / at_least.height)
    is_small = wish.fidelity is not Fidelity.BEST and shrink >= _UNFILTERED_SHRINK
    file = data.all()
    if len(file) < header.file_bytes:
        if header.is_extended or not wish.salvage:
            raise OddError("ends early")
        return _salvaged(file, header)
    profile = _profile(file, header) if header.is_extended else None
    options = {"skip_loop_filter": "all"} if is_small else {}
    notes: dict[str, Note] = {"loop_filter": "skipped"} if is_small else {}
    return Planes(_yuv(file, header.size, options), _COLOR, notes, profile=profile)


def _salvaged(file: memoryview, header: WebpHeader) -> Planes:
    """What is left of a simple file that is cut, black below; raises OddError if it is too little.

    What is said of all its blocks comes first, then their coefficients from top to bottom. FFmpeg
    ends where these do, and leaves zeros, which are darker than black.
    """
    frame = bytes(file[20:])[: (len(file) - 20) & ~1]
    head = struct.pack("<4sI8sI", b"RIFF", 12 + len(frame), b"WEBPVP8 ", len(frame))
    planes = _yuv(memoryview(head + frame), header.size, {})
    luma, *chroma = planes
    height = header.size.height
    there = luma[:, -_BLOCK_PIXELS:].any(dim=1).tolist()
    rows = there.index(False) if False in there else height
    if rows < LEAST_ROWS_FRACTION * height:
        raise OddError(f"ends early, with {rows} of {height} rows")
    luma[rows:] = _BLACK_LUMA
    for plane in chroma:
        plane[-(-rows // 2) :] = _NO_CHROMA
    return Planes(planes, _COLOR, {"rows": f"{rows} of {height}"}, ("salvaged",))


def _profile(file: memoryview, header: WebpHeader) -> bytes | None:
    """The profile of an extended file; raises OddError where its chunks are not the usual ones."""
    chunks = dict(_chunks(file[: header.file_bytes]))
    if list(chunks) != [b"VP8X", b"ICCP", b"VP8 "]:
        raise OddError(f"has the chunks {list(chunks)}")
    if _frame_size(bytes(chunks[b"VP8 "][:10])) != header.size:
        raise OddError("has a picture that does not fill its canvas")
    try:
        return needed_profile(bytes(chunks[b"ICCP"]), "RGB")
    except ProfileError as error:
        raise OddError("has a profile of no use") from error


def _chunks(file: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    place = 12
    while place + 8 <= len(file):
        name, size = struct.unpack_from("<4sI", file, place)
        content = file[place + 8 : place + 8 + size]
        if len(content) < size:
            raise OddError("ends early")
        yield name, content
        place += 8 + size + size % 2


def _yuv(file: memoryview, size: Size, options: dict[str, str]) -> tuple[Tensor, ...]:
    """Y [H, W], U and V [h, w]; raises OddError at any fault."""
    decoder = av.CodecContext.create("webp", "r")
    decoder.thread_count = 1
    decoder.options = options
    try:
        (frame,) = decoder.decode(av.Packet(bytes(file)))
    except (av.FFmpegError, ValueError) as error:
        raise OddError(f"cannot be decoded: {error}") from error
    found = (frame.format.name, frame.width, frame.height)
    if found != ("yuv420p", *size) or frame.is_corrupt:
        raise OddError(f"is {found} to FFmpeg")
    half = Size(-(-size.width // 2), -(-size.height // 2))
    return tuple(
        torch.frombuffer(plane, dtype=torch.uint8).view(-1, plane.line_size)[
            : each.height, : each.width
        ]
        for plane, each in zip(frame.planes, (size, half, half), strict=True)
    )
