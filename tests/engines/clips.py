"""Small videos made by PyAV whose frames carry their number as a row of black and white blocks."""

import io
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import torch

from farm.engines.frame import FrameBatch
from farm.samples.scheduling import scheduling_kept

BITS = 8
BLOCK = 16
WIDTH, HEIGHT = BITS * BLOCK, 64
FPS = 25


@dataclass(frozen=True)
class Clip:
    """How to make a video; times are frame numbers divided by FPS unless `times` gives them."""

    codec: str = "libx264"
    container: str = "mp4"
    count: int = 50
    gop: int = 10
    bframes: int = 0
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    times: tuple[int, ...] = ()
    rotation: tuple[float, bool] = (0, False)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    delay: int = 0  # frames by which the container presents late


def luma(number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """A limited-range luma plane that shows a number."""
    width, height = size
    plane = np.full((height, width), 60, np.uint8)
    for bit in range(BITS):
        plane[:, bit * width // BITS : (bit + 1) * width // BITS] = 200 if number >> bit & 1 else 40
    return plane


def picture(number: int, pixels: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(luma(number, size), format="gray")
    # swscale takes gray for full range: say so, lest it squeezes the luma.
    return frame.reformat(format=pixels, src_color_range=2, dst_color_range=2, threads=1)


def codec_options(clip: Clip) -> dict[str, str]:
    if clip.codec == "libx264":
        return {"preset": "veryfast", "sc_threshold": "0", "x264-params": "keyint_min=1"}
    if clip.codec == "libx265":
        params = f"log-level=none:keyint={clip.gop}:min-keyint={clip.gop}:scenecut=0:pools=1"
        return {"preset": "ultrafast", "x265-params": f"{params}:bframes={clip.bframes}"}
    if clip.codec == "libsvtav1":
        return {"preset": "12", "svtav1-params": "lp=1"}
    if clip.codec == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "8", "threads": "1"}
    return {}


@scheduling_kept()
def make(clip: Clip) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=clip.container, options=clip.container_options) as container:
        rate = 1000 if clip.times else FPS
        stream = container.add_stream(
            clip.codec, rate=rate, options=codec_options(clip) | clip.options
        )
        stream.width, stream.height = clip.size
        stream.pix_fmt = clip.pixels
        stream.codec_context.gop_size = clip.gop
        stream.codec_context.max_b_frames = clip.bframes
        stream.codec_context.thread_count = 1
        if clip.codec in ("mpeg1video", "mpeg2video", "mpeg4"):
            stream.codec_context.bit_rate = 2_000_000
        if clip.rotation != (0, False):
            stream.set_display_rotation(clip.rotation[0], hflip=clip.rotation[1])
        for number in range(clip.count):
            frame = picture(number, clip.pixels, clip.size)
            frame.pts = clip.times[number] if clip.times else number
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def number_of(batch: FrameBatch) -> int:
    """The number that the first frame of a batch shows."""
    plane = batch.planes[0][0]
    if not batch.is_yuv:
        plane = plane[..., :3].float().mean(-1)
    elif batch.color.bits > 8:
        plane = plane / 2 ** (batch.color.bits - 8)
    if batch.orientation != 1:
        plane = upright(plane, batch.orientation)
    columns = plane.float().mean(0).reshape(BITS, -1)
    margin = columns.shape[1] // 4
    means = columns[:, margin:-margin].mean(1)
    return int(sum(1 << bit for bit in range(BITS) if means[bit] > 120))


def upright(plane: torch.Tensor, orientation: int) -> torch.Tensor:
    """A plane as an Exif orientation shows it."""
    if orientation >= 5:
        plane = plane.T
    if orientation in (2, 3, 6, 7):
        plane = plane.flip(1)
    if orientation in (3, 4, 7, 8):
        plane = plane.flip(0)
    return plane
