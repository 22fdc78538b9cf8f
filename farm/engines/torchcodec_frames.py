"""torchcodec's raw frames become planes with colour tags, by the very rules of the pyav engine.

A decoder on the CPU lends its own buffers, which are copied. One on a GPU gives each frame memory
of its own: its surface, whose planes are viewed without a copy. NVDEC tells neither the difference
between BT.601 and no tag, nor what only the container says; there the header's tags come first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from torch import Tensor

from farm.engines.pyav_frames import color_of
from farm.engines.pyav_light import check_colors
from farm.errors import UnsupportedFormatError
from farm.media import ColorTags

if TYPE_CHECKING:
    from torchcodec.decoders import RawFrame, VideoStreamHeaderMetadata

# libav's names of what ITU-T H.273 numbers.
_MATRICES = {
    "gbr": 0,
    "bt709": 1,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "ycgco": 8,
    "bt2020nc": 9,
    "bt2020c": 10,
    "ictcp": 14,
    "ipt-c2": 15,
}
_PRIMARIES = {"bt2020": 9, "smpte432": 12}
_TRANSFERS = {"smpte2084": 16, "arib-std-b67": 18}
_RANGES = {"tv": 1, "pc": 2}
_UNSPECIFIED, _SOME_OTHER = 2, 1
_SILENT = frozenset((None, "reserved", "unknown", "unspecified"))
# What NVDEC's frames are tagged with where the stream has no tag, among others.
_NVDEC_DEFAULT = "smpte170m"

# Planar, interleaved and gray Y'CbCr of 8 to 16 bits; in the last, samples fill the upper bits.
_LAYOUTS = re.compile(r"yuvj?4\d\dp(\d+le)?|gray(\d+le)?|nv(12|16|24)|p[024]1[026]le")
_SHIFTS = {"10le": 6, "12le": 4}

_ORIENTATIONS = {90: 8, 180: 3, 270: 6}


def check_layout(pixel_format: str, *, name: str) -> None:
    """Raises UnsupportedFormatError for samples that are not Y'CbCr, or hold alpha as well."""
    if not _LAYOUTS.fullmatch(pixel_format):
        raise UnsupportedFormatError(
            f"{name}: its samples are {pixel_format}; engine torchcodec takes Y'CbCr without "
            "alpha only"
        )


def shift_of(pixel_format: str) -> int:
    """How many bits higher than they need the samples lie."""
    return _SHIFTS.get(pixel_format[-4:], 0) if pixel_format.startswith("p") else 0


def planes_of(frame: "RawFrame") -> tuple[tuple[Tensor, ...], int]:
    """Planes as a FrameBatch holds them, N = 1, and their shift.

    On the CPU they are Y, U and V without shift, in memory of their own. On a GPU they are views of
    the frame's surface: Y and UV where the surface is interleaved.
    """
    shift = shift_of(frame.pixel_format)
    if frame.storage_cuda is not None:
        return _surface(frame.planes, frame.storage_cuda), shift
    planes = tuple(_samples(plane, frame.bit_depth, shift) for plane in frame.planes)
    if len(planes) == 1:
        gray = torch.full_like(planes[0], 1 << (frame.bit_depth - 1))
        planes = (planes[0], gray, gray)
    return planes, 0


def _samples(plane: Tensor, bits: int, shift: int) -> Tensor:
    """The samples of one plane [1, h, w], copied to the low bits of a signed type."""
    if plane.dtype == torch.uint8:
        return plane[None].clone(memory_format=torch.contiguous_format)
    # torch can do little with uint16: 15 bits fit int16, 16 bits don't.
    samples = plane[None].to(torch.int32, memory_format=torch.contiguous_format) >> shift
    return samples.to(torch.int16) if bits <= 15 else samples


def _surface(planes: tuple[Tensor, ...], storage: Tensor) -> tuple[Tensor, ...]:
    """Views of a surface: Y [1, H, W] and UV [1, h, w, 2], or Y, U and V."""
    luma, *chroma = planes
    if len(chroma) == 2 and chroma[0].stride(1) == 2:
        return _view(luma, storage), _view(chroma[0], storage, channels=2)
    return tuple(_view(plane, storage) for plane in planes)


def _view(plane: Tensor, storage: Tensor, *, channels: int = 1) -> Tensor:
    """A plane [1, h, w], or the channels that begin with it [1, h, w, C], as a part of `storage`.

    torchcodec's own planes only borrow that memory, and so could not be kept on another stream.
    """
    samples = storage.view(plane.dtype)
    offset = (plane.data_ptr() - storage.data_ptr()) // plane.element_size()
    (height, width), (row, column) = plane.shape, plane.stride()
    inner = (channels,) if channels > 1 else ()
    return samples.as_strided(
        (1, height, width, *inner), (height * row, row, column, *(1 for _ in inner)), offset
    )


@dataclass(frozen=True, slots=True)
class _Tagged:
    """The tags of a frame by libav's numbers, as PyAV's frames have them."""

    format: VideoFormat
    height: int
    colorspace: int
    color_range: int
    color_primaries: int
    color_trc: int
    side_data: Mapping[str, object]


def color_tags_of(
    frame: "RawFrame",
    header: "VideoStreamHeaderMetadata",
    *,
    codec: str,
    side_data: Mapping[str, object],
    name: str,
) -> ColorTags:
    """The colour tags of a frame; raises UnsupportedColorError where nothing shows its colours.

    `side_data` are PyAV's of a frame of the same stream: torchcodec tells nothing of light.
    """
    tagged = cast(VideoFrame, _tagged(frame, header, side_data))
    check_colors(tagged, name=name)
    return color_of(tagged, codec)


def _tagged(
    frame: "RawFrame", header: "VideoStreamHeaderMetadata", side_data: Mapping[str, object]
) -> _Tagged:
    matrix: str | None = frame.color_space
    primaries: str | None = frame.color_primaries
    transfer: str | None = frame.color_transfer_characteristic
    full_range = frame.color_range
    if frame.storage_cuda is not None:
        untagged = header.color_space in _SILENT and matrix == _NVDEC_DEFAULT
        matrix = None if untagged else _first(header.color_space, matrix)
        primaries = _first(header.color_primaries, primaries)
        transfer = _first(header.color_transfer_characteristic, transfer)
        if (header.pixel_format or "").startswith("yuvj"):
            full_range = "pc"
    return _Tagged(
        format=VideoFormat(frame.pixel_format, frame.width, frame.height),
        height=frame.height,
        colorspace=_MATRICES.get(matrix or "", _UNSPECIFIED),
        color_range=_RANGES.get(full_range, 0),
        color_primaries=_number(primaries, _PRIMARIES),
        color_trc=_number(transfer, _TRANSFERS),
        side_data=side_data,
    )


def _first(header: str | None, frame: str | None) -> str | None:
    return frame if header in _SILENT else header


def _number(name: str | None, numbers: Mapping[str, int]) -> int:
    """The number of a name that changes what is to be done; any other stands for BT.709's."""
    return _UNSPECIFIED if name is None or name in _SILENT else numbers.get(name, _SOME_OTHER)


def orientation_of(rotation_degrees: float) -> int:
    """The Exif code of a counter-clockwise rotation, to the nearest quarter turn."""
    return _ORIENTATIONS.get(round(rotation_degrees / 90) * 90 % 360, 1)
