"""Decoded libav frames become planes with colour tags, copied out of libav's buffers."""

import struct
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray
from torch import Tensor

from farm.engines.frame import FrameBatch
from farm.engines.mp4_matrix import orientation_of
from farm.engines.pyav_decode import ticks_of
from farm.engines.pyav_light import check_colors, peak_nits_of, primaries_of, transfer_of
from farm.engines.pyav_reader import Reader
from farm.geometry import Size
from farm.media import ColorTags, Matrix, Siting

# By libav's numbers, which are those of ITU-T H.273.
_MATRICES = {
    1: Matrix.BT709,
    4: Matrix.FCC,
    5: Matrix.BT601,
    6: Matrix.BT601,
    7: Matrix.SMPTE240M,
    8: Matrix.YCGCO,
    9: Matrix.BT2020,
    10: Matrix.BT2020,
}
_SWS_COLORSPACES = {
    Matrix.BT601: Colorspace.ITU601,
    Matrix.BT709: Colorspace.ITU709,
    Matrix.BT2020: Colorspace.BT2020,
    Matrix.SMPTE240M: Colorspace.SMPTE240M,
    Matrix.FCC: Colorspace.FCC,
}
_FULL_RANGE = 2
_HD_LINES = 720
# Codecs whose standard puts chroma in the middle of its luma block.
_CENTRED_CHROMA = frozenset(
    [
        "flv1",
        "h261",
        "h263",
        "h263p",
        "mjpeg",
        "mjpegb",
        "mpeg1video",
        "svq1",
        "theora",
        "vp3",
        "vp6",
        "vp6f",
    ]
)
# Codecs made for video, where luma without a range tag is limited; in stills' codecs it is full.
_LIMITED_GRAY = frozenset(("av1", "h264", "hevc", "vp9", "vvc"))
# Interleaved or most-significant-bit layouts and the planar one that holds the same samples.
_PLANAR = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p216le": "yuv422p16le",
    "p410le": "yuv444p10le",
    "p416le": "yuv444p16le",
    "uyvy422": "yuv422p",
    "yuyv422": "yuv422p",
    "yvyu422": "yuv422p",
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "uyyvyy411": "yuv411p",
    "vuyx": "yuv444p",
    "xv30le": "yuv444p10le",
}


def color_of(frame: VideoFrame, codec: str) -> ColorTags:
    """The colour tags of a decoded frame, with the customary guess where it carries none.

    Untagged pictures of at least 720 lines are BT.709 and others BT.601, except VP8, which is
    BT.601 by definition (RFC 6386, 9.2).
    """
    layout = frame.format
    matrix = _MATRICES.get(frame.colorspace)
    transfer, primaries = transfer_of(frame), primaries_of(frame)
    peak_nits = peak_nits_of(frame)
    if layout.is_rgb or layout.has_palette:
        return ColorTags(transfer=transfer, primaries=primaries, peak_nits=peak_nits)
    if matrix is None:
        high = frame.height >= _HD_LINES and codec != "vp8"
        matrix = Matrix.BT709 if high else Matrix.BT601
    untagged_gray = not frame.color_range and len(layout.components) == 1
    full = frame.color_range == _FULL_RANGE or layout.name.startswith("yuvj")
    return ColorTags(
        matrix=matrix,
        full_range=full or (untagged_gray and codec not in _LIMITED_GRAY),
        transfer=transfer,
        siting=_siting(matrix, codec),
        bits=layout.components[0].bits,
        primaries=primaries,
        peak_nits=peak_nits,
    )


def _siting(matrix: Matrix, codec: str) -> Siting:
    if codec in _CENTRED_CHROMA:
        return Siting.CENTER
    return Siting.TOP_LEFT if matrix is Matrix.BT2020 else Siting.LEFT


def planes_of(frame: VideoFrame, codec: str) -> tuple[tuple[Tensor, ...], ColorTags]:
    """Planes as a FrameBatch holds them, N = 1, and their tags.

    Planar, interleaved and gray Y'CbCr of 8 to 16 bits keep their samples; everything else goes
    through swscale to RGB or, where there is alpha, RGBA of 8 bits, with the matrix and the range
    of the frame handed to it.
    """
    color = color_of(frame, codec)
    native = _little_endian(frame)
    if _has_planes(native.format):
        return _yuv_planes(native, color.bits), color
    as_rgb = replace(color, matrix=Matrix.RGB, full_range=True, siting=Siting.LEFT, bits=8)
    return (_rgb_plane(frame, color),), as_rgb


def batch_from(
    frame: VideoFrame, reader: Reader, *, targets: tuple[int, ...], orientation: int
) -> FrameBatch:
    """A frame that answers some targets, turned as it says itself, else as its container does.

    Raises UnsupportedColorError where its samples cannot become RGB.
    """
    check_colors(frame, name=reader.name)
    planes, color = planes_of(frame, reader.decoding.codec)
    own = orientation_from(frame)
    return FrameBatch(
        planes=planes,
        color=color,
        full_size=Size(frame.width, frame.height),
        answers=(targets,),
        pts_seconds=(float(ticks_of(frame) * reader.time_base),),
        orientation=orientation if own is None else own,
        pixel_aspect=reader.pixel_aspect,
    )


def orientation_from(frame: VideoFrame) -> int | None:
    """The Exif code of the frame's display matrix; None where it has none."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    return orientation_of(struct.unpack("<9i", bytes(cast("bytes", matrix))))


def _little_endian(frame: VideoFrame) -> VideoFrame:
    name = frame.format.name
    little = name.removesuffix("be") + "le" if name.endswith("be") else name
    planar = _PLANAR.get(little, little)
    return frame if planar == name else frame.reformat(format=planar, threads=1)


def _has_planes(layout: VideoFormat) -> bool:
    if layout.is_rgb or layout.has_palette or layout.is_bayer or layout.is_bit_stream:
        return False
    parts = layout.components
    return (
        len(parts) in (1, 3)
        and [part.plane for part in parts] == list(range(len(parts)))
        and all(8 <= part.bits <= 16 and not part.is_alpha for part in parts)
    )


def _yuv_planes(frame: VideoFrame, bits: int) -> tuple[Tensor, ...]:
    planes = tuple(_samples(plane, bits) for plane in frame.planes)
    if len(planes) == 3:
        return planes
    (luma,) = planes
    gray = torch.full_like(luma, 1 << (bits - 1))
    return luma, gray, gray


def _samples(plane: VideoPlane, bits: int) -> Tensor:
    """The samples of one plane [1, h, w] in memory of their own."""
    if bits == 8:
        return torch.from_numpy(_lines(plane, plane.width).copy())[None]
    # torch can do little with uint16: 15 bits fit int16, 16 bits don't.
    kind = np.int16 if bits <= 15 else np.int32
    samples = np.ascontiguousarray(_lines(plane, 2 * plane.width)).view("<u2")
    return torch.from_numpy(samples.astype(kind))[None]


def _lines(plane: VideoPlane, width_bytes: int) -> NDArray[np.uint8]:
    """A view of the plane's lines without their padding."""
    lines = np.frombuffer(cast("bytes", plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, :width_bytes]


def _rgb_plane(frame: VideoFrame, color: ColorTags) -> Tensor:
    layout = frame.format
    alpha = layout.has_palette or any(part.is_alpha for part in layout.components)
    channels = 4 if alpha else 3
    rgb = frame.reformat(
        format="rgba" if alpha else "rgb24",
        src_colorspace=_SWS_COLORSPACES.get(color.matrix),
        src_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.ACCURATE_RND,
        threads=1,
    )
    pixels = _lines(rgb.planes[0], rgb.width * channels).copy()
    return torch.from_numpy(pixels.reshape(1, rgb.height, rgb.width, channels))
