"""What is fuzzed: each target has seeds and a check that fails where a promise is broken."""

import atexit
import contextlib
import io
import json
import posixpath
import shutil
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import unquote

from farm.dialects.native import parse_row
from farm.engines import Source
from farm.engines.fastwebp import parse_header as parse_webp
from farm.engines.jpeg_header import HeaderError
from farm.engines.jpeg_header import parse_header as parse_jpeg
from farm.engines.jpeg_scans import cut_early, cut_exactly
from farm.engines.mp4 import NotIndexedError
from farm.engines.png_chunks import image_data
from farm.engines.png_chunks import parse_header as parse_png
from farm.engines.pyav_movie import open_movie
from farm.engines.still import OddError
from farm.engines.tiff_header import parse_tiff
from farm.engines.tiff_pages import count_pages
from farm.entry import EntryWork
from farm.errors import FarmError, InvalidManifestError, MediaError, error_classes
from farm.geometry import Size
from farm.manifest import read_rows
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.plan import Plan, known_keys, make_plans
from farm.row import Row
from farm.settings import Limits
from farm.sniff import sniff
from farm.spec import Job, ThumbnailSpec
from farm.storyboard import Cue, webvtt
from tests.fuzz import seed
from tests.lanes import shared_pool
from tests.recipes import make_job
from tests.test_storyboard import read_vtt

_MP4 = MediaFormat(MediaKind.VIDEO, "mp4")
_JOB = Job(manifest="m", destination="/out", outputs=(ThumbnailSpec(width=320),))
_MOVIE = MediaInfo(MediaKind.VIDEO, "mp4", "h264", Size(640, 360), duration_seconds=10.0)
# What becomes of a file must never be one of these.
_DEFECTS = frozenset({"internal_error", "decoder_crash", "lane_failed", "timeout", "engine_failed"})


@dataclass(frozen=True, slots=True)
class Target:
    """`check` takes any bytes and raises where something is wrong with our code."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]] = field(repr=False)


def check_sniff(data: bytes) -> None:
    """Any bytes are of a known format or of none."""
    with contextlib.suppress(MediaError):
        found = sniff(data, name="input")
        assert sniff(data + b"\0" * 8192, name="input.tga").name == found.name or len(data) < 4096


def check_headers(data: bytes) -> None:
    """Readers of stills' headers give what they know or say that they do not."""
    view = memoryview(data)
    for read in (_read_jpeg, _read_png, parse_tiff, lambda _: parse_webp(data[:30])):
        with contextlib.suppress(HeaderError, OddError):
            read(view)
    count_pages(Source(io.BytesIO(data), len(data), "input"), most=1000)


def _read_jpeg(data: memoryview) -> None:
    header = parse_jpeg(data)
    if header is not None:
        for shrink in (1, 2, 4, 8):
            cut_exactly(data, header, shrink=shrink)
            cut_early(data, header, shrink=shrink)


def _read_png(data: memoryview) -> None:
    if parse_png(data) is not None:
        image_data(data)


def check_manifest(data: bytes) -> None:
    """A manifest gives rows, each an entry with safe names or an error, or it is refused."""
    for name in ("m.jsonl", "m.csv", "m.txt", "m.parquet", "m"):
        with contextlib.suppress(InvalidManifestError):
            for row in read_rows(name, open_stream=lambda _: io.BytesIO(data)):
                assert (row.fields is None) != (row.error is None)
                _check_row(row)


def _check_row(row: Row) -> None:
    with contextlib.suppress(FarmError):
        entry = parse_row(row.fields or {}, number=row.number, job=_JOB)
        json.dumps(entry.model_dump(mode="json"), ensure_ascii=False).encode()
        for info in (None, _MOVIE):
            for plan in make_plans(entry, row.number, info, limits=Limits()):
                for key in known_keys(plan):
                    _check_key(key)


def _check_key(key: str) -> None:
    assert not any(character in '<>:"|?*\\' for character in key)
    assert not {"Cc", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, key))
    assert len(key.encode()) <= 1024
    assert not {"", ".", ".."} & set(key.split("/"))


def check_mp4(data: bytes) -> None:
    """An index lists samples within reason, or is left to libavformat."""
    source = Source(io.BytesIO(data), len(data), "input")
    with contextlib.suppress(MediaError, NotIndexedError):
        movie = open_movie(source, media_format=_MP4, limits=Limits())
        if movie is None:
            return
        samples = movie.index.samples(movie.track)
        assert int(samples.size.min(initial=0)) >= 0
        near = movie.index.samples_near(movie.track, int(samples.pts[len(samples) // 2]))
        assert len(near) > 0
        movie.index.average_rate(movie.track)


def check_webvtt(data: bytes) -> None:
    """The WebVTT file of any storyboard is read by others as it was meant."""
    (seconds, count), text = struct.unpack_from("<HB", data.ljust(3)), data[3:]
    entry_id, _, filename = text.decode("utf-8", "replace").partition("|")
    fields = {
        "source": "/a.mp4",
        "id": entry_id,
        "filename": filename or None,
        "kind": "storyboard",
        "count": count or 1,
    }
    try:
        entry = parse_row(fields, number=1, job=_JOB)
        info = MediaInfo(_MOVIE.kind, "mp4", "h264", _MOVIE.size, duration_seconds=seconds / 1000)
        plans = make_plans(entry, 1, info, limits=Limits())
    except FarmError:
        return
    (plan,) = (plan for plan in plans if isinstance(plan, Plan) and plan.vtt)
    keys = [shot.key or "" for shot in plan.shots]
    cues = [Cue(span, key) for span, key in zip(plan.spans, keys, strict=True)]
    folder = posixpath.dirname(plan.vtt or "")
    for start, end, address in read_vtt(webvtt(cues, key=plan.vtt or "")):
        assert start < end
        assert posixpath.normpath(posixpath.join(folder, unquote(address))) in keys


def check_lane(data: bytes) -> None:
    """Any file ends with pictures or with a code that explains it, and its lane lives on."""
    source = _folder() / "input.bin"
    source.write_bytes(data)
    outputs = ({"width": 32, "timeout": 20}, {"width": 16, "position": "60%", "accuracy": "exact"})
    job = make_job(_folder(), outputs=outputs)
    work = EntryWork(shared_pool(), job, "here:1", lambda _: contextlib.nullcontext())
    record, _ = work.attempt(Row(1, {"source": str(source), "id": "e"}), is_alone=False)
    code = record.error_code
    assert code not in _DEFECTS, f"{code}: {record.message}"
    assert code is None or code in error_classes()


@cache
def _folder() -> Path:
    folder = mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


TARGETS = {
    target.name: target
    for target in (
        Target("sniff", check_sniff, seed.files),
        Target("headers", check_headers, seed.stills),
        Target("manifest", check_manifest, seed.manifests),
        Target("mp4", check_mp4, seed.movies),
        Target("webvtt", check_webvtt, seed.storyboards),
        Target("lane", check_lane, seed.files),
    )
}
