"""Makes the stills of the corpus, with the bytes per pixel of real photographs."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.scene import Scene, make_scene

_STEPS = 8
_MOST_DETAIL = 24.0


@dataclass(frozen=True, slots=True)
class Still:
    """One still: `bytes_per_pixel` is what its JPEG of that quality is made to weigh."""

    name: str
    width: int
    height: int
    quality: int
    bytes_per_pixel: float
    is_progressive: bool = False
    seed: int = 1


# As measured on photographs: 2.9 MB for 12 MP at quality 91, 0.33 MB for 2 MP at quality 85.
STILLS = (
    Still("2mp.jpg", 1920, 1080, 85, 0.16),
    Still("12mp.jpg", 4000, 3000, 91, 0.24),
    Still("12mp-progressive.jpg", 4000, 3000, 91, 0.24, is_progressive=True),
    Still("24mp.jpg", 6000, 4000, 91, 0.22),
    Still("24mp-progressive.jpg", 6000, 4000, 91, 0.22, is_progressive=True),
    Still("2mp-progressive.jpg", 1920, 1080, 85, 0.16, is_progressive=True),
    Still("2mp.png", 1920, 1080, 85, 0.16),
    Still("2mp.webp", 1920, 1080, 85, 0.16),
)


def make_stills(folder: Path) -> Iterator[str]:
    """Makes the stills that are missing, and tells of each."""
    missing = [still for still in STILLS if not (folder / still.name).exists()]
    sizes = dict.fromkeys((still.width, still.height, still.seed) for still in missing)
    for width, height, seed in sizes:
        scene = make_scene(width, height, seed)
        detail: float | None = None
        for still in missing:
            if (still.width, still.height, still.seed) != (width, height, seed):
                continue
            detail = detail or _find_detail(scene, still)
            data = _encode(scene.render(detail), still)
            (folder / still.name).write_bytes(data)
            yield f"{still.name}: {len(data) / 1e6:.2f} MB"


def _find_detail(scene: Scene, still: Still) -> float:
    """The detail at which the picture has the wanted bytes per pixel."""
    wanted = still.bytes_per_pixel * still.width * still.height
    low, high = 0.0, _MOST_DETAIL
    for _ in range(_STEPS):
        middle = (low + high) / 2
        size = len(_jpeg(scene.render(middle), still.quality, is_progressive=False))
        low, high = (middle, high) if size < wanted else (low, middle)
    return (low + high) / 2


def _encode(picture: Image.Image, still: Still) -> bytes:
    file = io.BytesIO()
    match Path(still.name).suffix:
        case ".png":
            picture.save(file, "PNG")
        case ".webp":
            picture.save(file, "WEBP", quality=still.quality)
        case _:
            return _jpeg(picture, still.quality, is_progressive=still.is_progressive)
    return file.getvalue()


def _jpeg(picture: Image.Image, quality: int, *, is_progressive: bool) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling="4:2:0", progressive=is_progressive)
    return file.getvalue()
