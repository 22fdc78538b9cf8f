"""Small sound files and texts, from which damaged ones are made."""

import gzip
import io
import os
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.bad_media import make_jpeg, make_tiff, saved
from tests.engines.clips import Clip, make

_MOST_BYTES = 200_000


@cache
def stills() -> tuple[bytes, ...]:
    """Stills of most formats, of few pixels."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 48, 3), np.uint8))
    exif = Image.Exif()
    exif[0x112] = 6
    plain = [saved(noise, name) for name in ("PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO")]
    return (
        *plain,
        make_jpeg(),
        make_tiff(4),
        saved(noise, "JPEG", progressive=True, exif=exif),
        saved(noise.convert("CMYK"), "JPEG"),
        saved(noise.convert("P"), "PNG"),
        saved(noise.convert("RGBA"), "WEBP", lossless=True),
        saved(noise, "TIFF", compression="tiff_lzw"),
    )


@cache
def movies() -> tuple[bytes, ...]:
    """MP4s, whole and in fragments."""
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    return (
        make(Clip(count=12, gop=4)),
        make(Clip(count=12, gop=4, bframes=2)),
        make(Clip(count=12, gop=4, container_options=fragments)),
        make(Clip(count=6, container_options={"moov_size": "20000"}, rotation=(90, False))),
        make(Clip(codec="mpeg4", container="mov", count=6)),
    )


@cache
def files() -> tuple[bytes, ...]:
    """Stills, videos and, where $FARM_CORPUS is a folder of real files, the small ones of it."""
    others = (
        make(Clip(codec="libvpx-vp9", container="webm", count=6)),
        make(Clip(codec="mpeg2video", container="mpegts", count=6)),
        make(Clip(codec="mjpeg", container="avi", pixels="yuvj420p", count=4)),
        make(Clip(codec="flv", container="flv", count=4)),
        b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    )
    return (*stills(), *movies(), *others, *_real_files())


def _real_files() -> tuple[bytes, ...]:
    folder = os.environ.get("FARM_CORPUS")
    paths = sorted(Path(folder).rglob("*")) if folder else []
    return tuple(
        path.read_bytes()
        for path in paths
        if path.is_file() and 0 < path.stat().st_size <= _MOST_BYTES
    )


@cache
def manifests() -> tuple[bytes, ...]:
    """Rows in every form."""
    lines = b"""\
{"source": "/a/b.mp4", "id": "x", "position": "15%", "width": 320}
{"source": "s3://bucket/k\\u00e9y.jpg", "outputs": [{"width": 9, "filename": "{id}-%03d.{ext}"}]}
{"source": "c.mov", "kind": "storyboard", "interval": 2.5, "sheets": true, "tag": "t/u"}
{"source": "d.mp4", "count": 3, "filename": "{stem}/{path}/{index}.jpg", "accuracy": "exact"}
"""
    cells = b'source,width,position,tag\n"/a, b.mp4",320,1/4,"x\ny"\nc.jpg,,frame:-1,\n'
    table = pa.table({"source": ["a.mp4", None], "width": [3, 4], "size": [1.5, 2.0]})
    packed = io.BytesIO()
    pq.write_table(table, packed)
    return (lines, cells, b"a.jpg\n\nb c.png\n", gzip.compress(lines), packed.getvalue())


@cache
def storyboards() -> tuple[bytes, ...]:
    """A duration in milliseconds, a count, an id and a template of names."""
    return (
        b"\x10\x27\x05movie|{id}-%d.jpg",
        b"\x01\x00\xffa b#c%d?&--> d|boards/{id}/{index}.webp",
        "\x03\x20\x02\u00e9t\u00e9~\u2028|a~b/x y%03d.{ext}".encode(),
    )
