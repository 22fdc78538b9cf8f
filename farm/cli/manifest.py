"""`farm manifest`: lists a store once, so that no later run need do it."""

import io
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.screen import say

if TYPE_CHECKING:
    from farm.manifest.table import Progress

_MEDIA_EXTENSIONS = (
    *("3gp", "asf", "avi", "flv", "h264", "hevc", "ivf", "m2ts", "m4v", "mkv", "mov", "mp4"),
    *("mpeg", "mpg", "mts", "mxf", "ogv", "rm", "ts", "vob", "webm", "wmv", "y4m"),
    *("avif", "bmp", "dds", "gif", "heic", "heif", "ico", "j2k", "jfif", "jp2", "jpeg", "jpg"),
    *("pbm", "pgm", "png", "ppm", "psd", "qoi", "tga", "tif", "tiff", "webp"),
)  # fmt: skip
_OTHER_MANIFESTS = (".csv", ".json", ".jsonl", ".ndjson", ".txt", ".list", ".lst", ".pq")


def list_sources(
    sources: Annotated[str, typer.Argument(help="A folder, prefix/ or glob.")],
    out: Annotated[str, typer.Option("--out", "-o", help="A folder, or one file .parquet.")],
    media_only: Annotated[
        bool, typer.Option("--media-only", help="Only names that end like videos or pictures.")
    ] = False,
) -> None:
    """List a store into a Parquet manifest.

    Where the manifest is a folder, the same command goes on with a listing that was cut short.
    """
    from farm import storage
    from farm.cli.job import absolute
    from farm.errors import InvalidJobError, InvalidManifestError
    from farm.manifest.table import ROWS_PER_PART, Progress, listing_parts

    sources, out = absolute(sources), absolute(out)
    if out.lower().endswith(_OTHER_MANIFESTS):
        raise InvalidJobError(
            f"--out: expected a folder or a name ending in .parquet, received {out!r}"
        )
    is_file = out.endswith(".parquet")
    progress = Progress() if is_file else _progress(out)
    own = out if is_file else f"{out.rstrip('/')}/"
    files = (
        file
        for file in storage.list_files(sources, after=progress.after)
        if not file.uri.startswith(own)
    )
    parts = listing_parts(
        files,
        begin=progress,
        extensions=_MEDIA_EXTENSIONS if media_only else None,
        rows_per_part=sys.maxsize if is_file else ROWS_PER_PART,
    )
    for name, part, progress in parts:
        if progress.after is None:
            raise InvalidManifestError(f"found no file at {storage.redact(sources)!r}")
        storage.put(out if is_file else storage.join(out, name), part)
        say(f"part {progress.parts}, up to {progress.after}", to_stderr=True)
    if progress.unnamed:
        say(f"left out: {progress.unnamed} files whose names are no Unicode", to_stderr=True)
    say(f"manifest: {out}")


def _progress(folder: str) -> "Progress":
    """How far an earlier listing into the folder got."""
    from farm import storage
    from farm.manifest.table import PART_PATTERN, Progress, read_progress

    stored = [file.uri for file in storage.list_files(storage.join(folder, PART_PATTERN))]
    return read_progress(io.BytesIO(storage.get(stored[-1]))) if stored else Progress()
