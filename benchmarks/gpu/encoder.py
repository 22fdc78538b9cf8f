"""Times JPEG encoding of finished pictures on the GPU against the CPU's encoder.

Unverified on a GPU.
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.gpu.likeness import psnr_db
from benchmarks.gpu.part import Row, Task
from benchmarks.gpu.timing import wall_seconds
from farm import encoders
from farm.encoders import Encoder
from farm.encoding import Encoding
from farm.errors import FarmError
from farm.geometry import Size
from farm.machine import usable_cores
from farm.samples.card import Card, timecode
from farm.spec import ImageFormat

_SIZES = (Size(320, 180), Size(1280, 720))
_COUNT = 64
_ENCODING = Encoding(ImageFormat.JPG)


def rows(task: Task) -> Iterator[Row]:
    """A row for each size and encoder: pictures a second, bytes, and what the coding costs."""
    del task
    for size in _SIZES:
        yield from _rows_of(size)


def _rows_of(size: Size) -> Iterator[Row]:
    card = Card(size)
    drawn = [card.draw(number, timecode(0, number)) for number in range(_COUNT)]
    pictures = torch.stack([torch.from_numpy(one.copy()).permute(1, 2, 0) for one in drawn])
    pictures = pictures.contiguous()
    cpu, cores = encoders.load(ImageFormat.JPG), usable_cores()
    yield _row("cpu, 1 thread", size, pictures, lambda: cpu.encode(pictures, _ENCODING))
    with ThreadPoolExecutor(cores) as pool:
        name = f"cpu, {cores} threads"
        yield _row(name, size, pictures, lambda: _shared(pool, cpu, pictures))
    yield _by_gpu(size, pictures)


def _shared(pool: ThreadPoolExecutor, encoder: Encoder, pictures: Tensor) -> list[bytes]:
    parts = pool.map(lambda one: encoder.encode(one[None], _ENCODING), pictures)
    return [file for part in parts for file in part]


def _by_gpu(size: Size, pictures: Tensor) -> Row:
    name = "nvjpeg, from the GPU's memory"
    try:
        encoder = cast(Encoder, import_module("farm.encoders.nvjpeg").NvJpegEncoder())
        there = pictures.cuda()
        return _row(name, size, pictures, lambda: encoder.encode(there, _ENCODING))
    # A library may be missing or refuse: the CPU's figures stand.
    except (FarmError, ImportError, RuntimeError, OSError) as error:
        return {"encoder": name, "size": f"{size.width}x{size.height}", "why": str(error)}


def _row(name: str, size: Size, pictures: Tensor, encode: Callable[[], list[bytes]]) -> Row:
    files = encode()
    seconds = wall_seconds(encode, repeats=5)
    return {
        "encoder": name,
        "size": f"{size.width}x{size.height}",
        "pictures_per_second": round(len(pictures) / seconds),
        "bytes_each": round(sum(map(len, files)) / len(files)),
        "psnr_db": round(psnr_db(_decoded(files[0]), pictures[0]), 1),
    }


def _decoded(data: bytes) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).copy())
