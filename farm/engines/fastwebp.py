"""Decodes opaque lossy WebPs to YUV with FFmpeg; the rest is Pillow's."""

import struct
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import av
import torch
from torch import Tensor

from farm.engines import PassedOnError, Source
from farm.engines.pillow_errors import too_large, translated
from farm.engines.prefix import Prefix
from farm.engines.still import OddError, Planes, StillDecoder, passed_on
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


@dataclass(frozen=True, slots=True)
class WebpHeader:
    """What a simple lossy file (RFC 9649, 2.5) says of itself."""

    size: Size
    file_bytes: int


class FastWebpEngine:
    """WebP of nothing but one lossy picture: no transparency, profile, tags or animation."""

    name: ClassVar[str] = "fastwebp"
    kinds: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    device: ClassVar[str] = "cpu"

    @property
    def version(self) -> str:
        """The version of PyAV."""
        return str(av.__version__)

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> StillDecoder:
        """Reads the header; raises PassedOnError for all but simple lossy files."""
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
        width, height = header.size
        if width * height > limits.image_pixels:
            raise too_large(source, f"{width} x {height} pixels", limits=limits)
        decode = partial(_decode, data, header)
        return StillDecoder(
            source, format_name="webp", size=header.size, decode=decode, limits=limits
        )


def parse_header(data: bytes) -> WebpHeader:
    """The header of a file that begins with `data`; raises OddError at what is not plain."""
    if len(data) < _HEADER_BYTES or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise OddError("has no header of WebP")
    if data[12:16] != b"VP8 ":
        raise OddError(f"begins with a chunk {data[12:16]!r}")
    file_bytes, frame_bytes = struct.unpack_from("<I8xI", data, 4)
    if frame_bytes + 12 > file_bytes:
        raise OddError("has a frame that does not fit its file")
    # The header of a key frame: RFC 6386, 9.1.
    if data[20] & 1 or data[23:26] != b"\x9d\x01\x2a":
        raise OddError("does not begin with a key frame")
    width, height = struct.unpack_from("<HH", data, 26)
    if not (0 < width < 1 << 14 and 0 < height < 1 << 14):
        raise OddError("has no pixels, or some that are to be scaled up")
    return WebpHeader(Size(width, height), 8 + file_bytes)


def _decode(data: Prefix, header: WebpHeader, at_least: Size, fidelity: Fidelity) -> Planes:
    file = data.all()
    if len(file) < header.file_bytes:
        raise OddError("ends early")
    shrink = min(header.size.width / at_least.width, header.size.height / at_least.height)
    if fidelity is Fidelity.BEST or shrink < _UNFILTERED_SHRINK:
        return Planes(_yuv(file, header.size), _COLOR)
    planes = _yuv(file, header.size, skip_loop_filter="all")
    return Planes(planes, _COLOR, {"loop_filter": "skipped"})


def _yuv(file: memoryview, size: Size, **options: str) -> tuple[Tensor, ...]:
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
