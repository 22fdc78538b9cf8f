"""The clips and stills to compare engines by: test cards that tell their number and colours."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.gpu.part import Row, Task, Verdict
from farm.geometry import Size
from farm.media import Matrix, MediaKind
from farm.samples.card import Card, timecode, to_image
from farm.samples.clip import Recipe, make_clip
from farm.samples.yuv import Coding
from farm.sampling import Target
from farm.spec import Accuracy

FPS = 25
_FRAMES, _GOP = 24, 8
_SIZE = Size(640, 360)
_X264 = {"preset": "superfast", "crf": "23"}
_X265 = {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none"}
_VPX = {"deadline": "realtime", "cpu-used": "8"}
_SVT = {"preset": "12", "crf": "30"}
_SD = Coding(matrix=Matrix.BT601)
_TEN = Coding("yuv420p10le")
_FULL = Coding("yuv444p")
_JPEG = Coding("yuvj420p", Matrix.BT601, full_range=True, is_tagged=False)
_EXIF_ORIENTATION = 0x0112

MOMENTS = (
    Target(12.5 / FPS, Accuracy.KEYFRAME),
    Target(5.5 / FPS, Accuracy.EXACT),
    Target(17.5 / FPS, Accuracy.EXACT),
)
"""What is asked of each clip: a keyframe, and two frames between keyframes."""


def _clip(name: str, codec: str, options: dict[str, str], **more: Any) -> Recipe:
    usual = Recipe(name, codec, "", _SIZE, _FRAMES, FPS, _GOP, options=options)
    return replace(usual, **more)


CLIPS = (
    _clip("h264.mp4", "libx264", _X264),
    _clip("h264-b-frames.mp4", "libx264", _X264, b_frames=3),
    _clip("h264-601.mp4", "libx264", _X264, coding=_SD),
    _clip("h264-full-range.mp4", "libx264", _X264, coding=Coding(full_range=True)),
    _clip("h264-444.mp4", "libx264", _X264, coding=_FULL),
    _clip("h264-10-bit.mp4", "libx264", _X264, coding=_TEN),
    _clip("h264-turned.mp4", "libx264", _X264, rotation=90),
    _clip("h264-odd-size.mp4", "libx264", _X264, size=Size(642, 358)),
    _clip("hevc.mp4", "libx265", _X265, codec_tag="hvc1"),
    _clip("hevc-10-bit.mp4", "libx265", _X265, codec_tag="hvc1", coding=_TEN),
    _clip("hevc-444.mp4", "libx265", _X265, codec_tag="hvc1", coding=_FULL),
    _clip("vp9.webm", "libvpx-vp9", _VPX, bit_rate=2_000_000),
    _clip("vp8.webm", "libvpx", _VPX, bit_rate=2_000_000, coding=_SD),
    _clip("av1.mp4", "libsvtav1", _SVT),
    _clip("av1-10-bit.mp4", "libsvtav1", _SVT, coding=_TEN),
    _clip("mpeg4.avi", "mpeg4", {}, bit_rate=3_000_000, coding=_SD),
    _clip("mjpeg.avi", "mjpeg", {}, gop=1, bit_rate=12_000_000, coding=_JPEG),
)


@dataclass(frozen=True, slots=True)
class Still:
    """How a picture of the card is stored: Pillow's mode and format, and an Exif orientation."""

    name: str
    format: str
    mode: str = "RGB"
    options: dict[str, Any] = field(default_factory=dict)
    is_turned: bool = False


STILLS = (
    Still("420.jpg", "JPEG", options={"quality": 90, "subsampling": "4:2:0"}),
    Still("422.jpg", "JPEG", options={"quality": 90, "subsampling": "4:2:2"}),
    Still("444.jpg", "JPEG", options={"quality": 90, "subsampling": "4:4:4"}),
    Still("progressive.jpg", "JPEG", options={"quality": 90, "progressive": True}),
    Still("gray.jpg", "JPEG", "L", {"quality": 90}),
    Still("turned.jpg", "JPEG", options={"quality": 90}, is_turned=True),
    Still("rgb.png", "PNG"),
    Still("alpha.png", "PNG", "RGBA"),
    Still("gray.png", "PNG", "L"),
    Still("lossy.webp", "WEBP", options={"quality": 90, "method": 0}),
    Still("lossless.webp", "WEBP", options={"lossless": True, "method": 0}),
    Still("lzw.tiff", "TIFF", options={"compression": "tiff_lzw"}),
    Still("plain.bmp", "BMP"),
)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One made file, and what is asked of it."""

    path: Path
    kind: MediaKind
    targets: tuple[Target, ...]


def rows(task: Task) -> Iterator[Row]:
    """Makes every file, and tells of those that no encoder here can make."""
    folder = task.folder / "material"
    folder.mkdir(exist_ok=True)
    for recipe in CLIPS:
        try:
            data = make_clip(recipe)
        # LookupError: an encoder that PyAV's build lacks; ValueError, OSError: one that refuses.
        except (LookupError, ValueError, OSError) as error:
            yield _row(recipe.name, Verdict.MISSING, f"{recipe.codec}: {error}")
            continue
        (folder / recipe.name).write_bytes(data)
        yield _row(recipe.name, Verdict.OK, size=len(data))
    card = to_image(Card(Size(640, 480), seed=3).draw(7, timecode(0, 7)))
    for still in STILLS:
        data = encode(card, still)
        (folder / still.name).write_bytes(data)
        yield _row(still.name, Verdict.OK, size=len(data))


def exhibits(folder: Path, kinds: frozenset[MediaKind]) -> Iterator[Exhibit]:
    """The files of these kinds that could be made."""
    names = {clip.name: MediaKind.VIDEO for clip in CLIPS}
    names |= {still.name: MediaKind.IMAGE for still in STILLS}
    for name, kind in names.items():
        path = folder / "material" / name
        if kind in kinds and path.exists():
            yield Exhibit(path, kind, MOMENTS if kind is MediaKind.VIDEO else MOMENTS[:1])


def encode(card: Image.Image, still: Still) -> bytes:
    """The bytes of a still that shows the card upright."""
    options = dict(still.options)
    picture = card.convert(still.mode)
    if still.is_turned:
        # Code 6 says: turn clockwise to show. So it is stored turned the other way.
        picture = picture.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[_EXIF_ORIENTATION] = 6
        options["exif"] = exif
    file = io.BytesIO()
    picture.save(file, still.format, **options)
    return file.getvalue()


def _row(name: str, verdict: Verdict, why: str = "", size: int = 0) -> Row:
    return {"file": name, "verdict": verdict, "bytes": size, "why": why}
