"""Pictures that a JPEG has to spend bytes on, and Exif segments with a thumbnail."""

import struct

import numpy as np
from PIL import Image

BICUBIC = Image.Resampling.BICUBIC


def noise(size: tuple[int, int]) -> Image.Image:
    """Shapes of all sizes, the same every time; brightness has more of the small ones."""
    random = np.random.default_rng(5)
    width, height = size
    total = np.full((height, width, 3), 128, np.float32)
    for step, brightness, color in ((1, 5, 0), (8, 15, 3), (64, 25, 15), (400, 30, 20)):
        for channels, strength in (([0, 1, 2], brightness), ([0], color), ([2], color)):
            cells = random.normal(0, strength, (height // step + 2, width // step + 2))
            layer = Image.fromarray(cells.astype(np.float32))
            total[..., channels] += np.asarray(layer.resize(size, BICUBIC))[..., None]
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def exif_of(
    thumbnail: bytes,
    *,
    orientation: int = 1,
    thumbnail_orientation: int | None = None,
    order: str = "<",
) -> bytes:
    """An Exif segment's body: a directory with an orientation, one with a thumbnail."""
    first = [(0x112, 3, orientation)]
    second_at = 8 + _directory_bytes(first)
    second = [(0x201, 4, 0), (0x202, 4, len(thumbnail))]
    if thumbnail_orientation is not None:
        second.insert(0, (0x112, 3, thumbnail_orientation))
    thumbnail_at = second_at + _directory_bytes(second)
    second = [(tag, kind, thumbnail_at if tag == 0x201 else value) for tag, kind, value in second]
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return b"".join(
        (
            b"Exif\0\0" + magic + struct.pack(order + "I", 8),
            _directory(first, order, second_at),
            _directory(second, order, 0),
            thumbnail,
        )
    )


def _directory_bytes(tags: list[tuple[int, int, int]]) -> int:
    return 2 + 12 * len(tags) + 4


def _directory(tags: list[tuple[int, int, int]], order: str, following: int) -> bytes:
    values = {3: "HHIHxx", 4: "HHII"}
    entries = (struct.pack(order + values[kind], tag, kind, 1, value) for tag, kind, value in tags)
    return (
        struct.pack(order + "H", len(tags))
        + b"".join(entries)
        + struct.pack(order + "I", following)
    )
