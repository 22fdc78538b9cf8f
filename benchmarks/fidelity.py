"""Measures how near shrunk JPEGs come to the ideal: `python -m benchmarks.fidelity`.

With the interpreter of the peers, `build/bench/venv/bin/python`, pyvips is among them.

The ideal is the whole picture, its planes resampled by Lanczos with three lobes in float64. To
decode a JPEG at 1/2, 1/4 or 1/8 of its size is quicker, and a little off. How far depends on how
much larger than the result the decoder leaves the picture; a margin bounds that from below.
"""

import io
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d

import kernels
from benchmarks.scene import make_scene
from farm import engines
from farm.engines import Source, Wish
from farm.geometry import Fit, Geometry, Size, fit_geometry
from farm.picture import DECODE_MARGINS, finish
from farm.sampling import Target
from farm.settings import Limits
from farm.sniff import sniff
from farm.spec import Accuracy, ImageFormat, ThumbnailSpec

# Sizes as cameras, phones and editors leave them; few are multiples of 8 or 16.
_PICTURES = (
    (Size(2000, 1500), 2.0, 91),
    (Size(1999, 1333), 1.0, 85),
    (Size(1500, 2250), 3.0, 80),
    (Size(2048, 1365), 0.5, 95),
)
# The result's width over the picture's: from more than 1/16 to 1/2, evenly on a scale of factors.
_SCALES = tuple(2 ** (-4 + step / 4) for step in range(1, 13))
_MARGINS = (1.0, 1.25, 1.5, 2.0, 3.0)
_REPEATS = 3

Method = Callable[[bytes, Geometry], Tensor]


@dataclass(frozen=True, slots=True)
class Score:
    """One result against the ideal: PSNR in dB, SSIM of luma, and CPU time."""

    psnr: float
    ssim: float
    milliseconds: float


def main() -> None:
    """Prints a table in Markdown."""
    torch.set_num_threads(1)
    methods = dict(_methods())
    scores: dict[str, list[Score]] = {name: [] for name in methods}
    for data, geometry, ideal in _cases():
        for name, method in methods.items():
            scores[name].append(_score(method, data, geometry, ideal))
    print("| method | PSNR, mean | worst | SSIM, mean | worst | decode and resize |")  # noqa: T201
    print("|---|---:|---:|---:|---:|---:|")  # noqa: T201
    for name, found in scores.items():
        print(_row(name, found))  # noqa: T201


def _row(name: str, scores: list[Score]) -> str:
    psnr, ssim = [each.psnr for each in scores], [each.ssim for each in scores]
    milliseconds = statistics.mean(each.milliseconds for each in scores)
    return (
        f"| {name} | {statistics.mean(psnr):.1f} | {min(psnr):.1f} "
        f"| {statistics.mean(ssim):.4f} | {min(ssim):.4f} | {milliseconds:.2f} ms |"
    )


def _methods() -> Iterator[tuple[str, Method]]:
    for margin in _MARGINS:
        users = ", ".join(f"`{word}`" for word, used in DECODE_MARGINS.items() if used == margin)
        name = f"margin {margin:g}" + (f" ({users})" if users else "")
        yield name, partial(_by_engine, margin=margin)
    yield "Pillow `thumbnail`, Lanczos", _by_pillow
    if find_spec("pyvips") is not None:
        yield "pyvips `thumbnail_buffer`", _by_pyvips


def _by_engine(data: bytes, geometry: Geometry, *, margin: float) -> Tensor:
    source = Source(io.BytesIO(data), len(data), "picture.jpg")
    engine = engines.load("turbojpeg")
    decoder = engine.open(source, media_format=sniff(data, name=source.name), limits=Limits())
    size = Size(round(geometry.box.width), round(geometry.box.height))
    (batch,) = decoder.frames(
        [Target(0.0, Accuracy.KEYFRAME)],
        Wish(at_least=geometry.needed_size(size, margin=margin)),
    )
    return finish(batch, (0,), geometry=geometry, spec=ThumbnailSpec(format=ImageFormat.PNG))


def _by_pillow(data: bytes, geometry: Geometry) -> Tensor:
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", geometry.size)
    return torch.from_numpy(np.array(image.resize(geometry.size, Image.Resampling.LANCZOS)))[None]


def _by_pyvips(data: bytes, geometry: Geometry) -> Tensor:
    import pyvips

    pyvips.cache_set_max(0)
    width, height = geometry.size
    image = pyvips.Image.thumbnail_buffer(data, width, height=height, size="force")
    return torch.from_numpy(image.numpy().copy())[None]


def _cases() -> Iterator[tuple[bytes, Geometry, Tensor]]:
    """Each picture as a JPEG, each size that it is brought to, and the ideal result."""
    for seed, (size, detail, quality) in enumerate(_PICTURES):
        file = io.BytesIO()
        make_scene(*size, seed).render(detail).save(file, "JPEG", quality=quality)
        planes = _planes(file.getvalue())
        for scale in _SCALES:
            width, height = (max(1, math.floor(side * scale)) for side in size)
            geometry = fit_geometry(
                size, orientation=1, pixel_aspect=1.0, fit=Fit.SCALE, width=width, height=height
            )
            yield file.getvalue(), geometry, _ideal(planes, geometry)


def _planes(data: bytes) -> tuple[Tensor, Tensor, Tensor]:
    """Y, U and V of a JPEG as they are coded, [1, H, W] each."""
    (frame,) = av.CodecContext.create("mjpeg", "r").decode(av.Packet(data))
    luma, u, v = (
        torch.frombuffer(bytearray(plane), dtype=torch.uint8)
        .view(plane.height, plane.line_size)[None, :, : plane.width]
        .clone()
        for plane in frame.planes
    )
    return luma, u, v


def _ideal(planes: tuple[Tensor, Tensor, Tensor], geometry: Geometry) -> Tensor:
    return kernels.yuv_to_rgb(
        planes,
        box=geometry.box,
        height=geometry.size.height,
        width=geometry.size.width,
        matrix="bt601",
        full_range=True,
        siting="center",
        implementation="reference",
    )


def _score(method: Method, data: bytes, geometry: Geometry, ideal: Tensor) -> Score:
    times = []
    for _ in range(_REPEATS):
        began = time.process_time()
        result = method(data, geometry)
        times.append(time.process_time() - began)
    return Score(_psnr(result, ideal), _ssim(result, ideal), min(times) * 1e3)


def _psnr(one: Tensor, other: Tensor) -> float:
    error = (one.to(torch.float64) - other.to(torch.float64)).square().mean()
    return 10 * math.log10(255**2 / max(float(error), 1e-9))


def _ssim(one: Tensor, other: Tensor) -> float:
    """The mean structural similarity of luma, by a Gaussian of 11x11 with a deviation of 1.5.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", 2004.
    """
    x, y = _luma(one), _luma(other)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x**2
    variance_y = _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return float((above / below).mean())


def _luma(pictures: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    return (pictures.to(torch.float64) @ weights)[:, None]


def _blurred(plane: Tensor) -> Tensor:
    line = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    line /= line.sum()
    return conv2d(conv2d(plane, line.view(1, 1, 11, 1)), line.view(1, 1, 1, 11))


if __name__ == "__main__":
    main()
