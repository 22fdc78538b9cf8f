"""Turns SDR pictures into YCbCr planes, exactly by the matrix, range and light of their tags."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av import VideoCodecContext, VideoFrame
from numpy.typing import NDArray

from farm.media import Matrix, Transfer
from farm.samples.light import encode_light

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_LUMA = {
    Matrix.BT601: (0.299, 0.114),
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.BT2020: (0.2627, 0.0593),
}
"""The weights of red and blue in luma: ITU-R BT.601-7, BT.709-6, BT.2020-2."""

_PIXEL_FORMATS = {
    "yuv420p": (2, 2, 8),
    "yuvj420p": (2, 2, 8),
    "yuv444p": (1, 1, 8),
    "yuv420p10le": (2, 2, 10),
    "yuv422p10le": (2, 1, 10),
}


# Rec. ITU-T H.273, tables 2 to 4: primaries, transfer characteristics, matrix coefficients.
_H273 = {Matrix.BT601: (6, 6, 6), Matrix.BT709: (1, 1, 1), Matrix.BT2020: (9, 14, 9)}
_H273_HDR = {Transfer.PQ: 16, Transfer.HLG: 18}


@dataclass(frozen=True, slots=True)
class Coding:
    """How RGB is stored: FFmpeg's name of the pixel format, the matrix, the range, the transfer.

    With the matrix of BT.2020 go its primaries. `is_tagged` says whether the file tells of all
    that, as far as its format can.
    """

    pixel_format: str = "yuv420p"
    matrix: Matrix = Matrix.BT709
    full_range: bool = False
    is_tagged: bool = True
    transfer: Transfer = Transfer.SDR


def tag(target: VideoFrame | VideoCodecContext, coding: Coding) -> None:
    """Tags a frame or an encoder with its colours: some encoders ask one, some the other."""
    if coding.is_tagged:
        target.color_primaries, target.color_trc, target.colorspace = _H273[coding.matrix]
        target.color_trc = _H273_HDR.get(coding.transfer, target.color_trc)
        target.color_range = 2 if coding.full_range else 1


def to_frame(picture: NDArray[np.uint8], coding: Coding) -> VideoFrame:
    """A frame of libav that holds `picture`, uint8 [3, height, width] sRGB."""
    _, height, width = picture.shape
    frame = VideoFrame(width, height, coding.pixel_format)
    for plane, values in zip(frame.planes, to_planes(picture, coding), strict=True):
        # libav pads its rows; we fill what belongs to the picture.
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        stored = values.view(np.uint8)
        rows[: stored.shape[0], : stored.shape[1]] = stored
    tag(frame, coding)
    return frame


def to_planes(picture: NDArray[np.uint8], coding: Coding) -> Sequence[Plane]:
    """Y, Cb and Cr of `picture`, uint8 [3, height, width]; chroma is sited left, as MPEG-2 has it.

    Equations and quantisation: Rec. ITU-T H.273 (07/2021), 8.3.
    """
    across, down, bits = _PIXEL_FORMATS[coding.pixel_format]
    scale = 1 << (bits - 8)
    peak, luma_span, chroma_span, floor = (
        (1 << bits) - 1,
        *(((1 << bits) - 1,) * 2 if coding.full_range else (219 * scale, 224 * scale)),
        0 if coding.full_range else 16 * scale,
    )
    red_weight, blue_weight = _LUMA[coding.matrix]
    weights = np.array((red_weight, 1 - red_weight - blue_weight, blue_weight), np.float32)
    rgb = picture.astype(np.float32)
    if coding.matrix is Matrix.BT2020:
        rgb = encode_light(rgb / np.float32(255), coding.transfer) * np.float32(255)
    luma = rgb[0] * weights[0] + rgb[1] * weights[1] + rgb[2] * weights[2]
    planes = [luma * np.float32(luma_span / 255) + floor]
    for channel, weight in ((2, blue_weight), (0, red_weight)):
        chroma = _shrink(rgb[channel] - luma, across, down)
        planes.append(chroma * np.float32(chroma_span / 255 / 2 / (1 - weight)) + 128 * scale)
    depth = np.uint8 if bits == 8 else np.dtype("<u2")
    return [np.clip(np.rint(plane), 0, peak).astype(depth) for plane in planes]


def _shrink(plane: NDArray[np.float32], across: int, down: int) -> NDArray[np.float32]:
    """Halves the asked axes: rows are averaged, columns weighed 1-2-1 around the left one."""
    height, width = plane.shape
    if height % down or width % across:
        plane = np.pad(plane, ((0, height % down), (0, width % across)), "edge")
    if down == 2:
        plane = (plane[0::2] + plane[1::2]) * np.float32(1 / 2)
    if across == 2:
        beside = plane[:, 1::2] * np.float32(1 / 4)
        plane = plane[:, 0::2] * np.float32(1 / 2) + beside
        plane[:, 1:] += beside[:, :-1]
        plane[:, 0] *= 4 / 3  # nothing lies to the left of the first column
    return plane
