"""Manifests: lists of sources in JSONL, CSV, Parquet or plain text, read row by row.

A row that cannot be read is a `Row` with an error; a manifest that cannot be read raises
InvalidManifestError. No row is checked against the schema here, and no storage is known: the caller
gives what opens and what lists.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from farm.errors import InvalidManifestError
from farm.manifest.line import LineError, Lines, unpacked
from farm.manifest.text import read_csv, read_jsonl, read_text
from farm.row import Row

if TYPE_CHECKING:
    from farm.manifest.table import ListedFile

__all__ = ["Row", "read_rows"]

_JSONL = frozenset({".jsonl", ".ndjson", ".json"})
_TEXT = frozenset({".txt", ".list", ".lst"})
_PACKED = frozenset({".gz", ".zst", ".zstd"})
_PARQUET_MAGIC = b"PAR1"
_HEAD_BYTES = 4096


def read_rows(
    uri: str,
    *,
    open_stream: Callable[[str], BinaryIO],
    list_files: "Callable[[str], Iterable[ListedFile]] | None" = None,
) -> Iterator[Row]:
    """Yields the rows of a manifest in bounded memory; blank rows are skipped but counted.

    JSONL, CSV and text may be compressed by gzip or Zstandard. Compression and Parquet are told by
    the first bytes, the rest by the name, and where that tells nothing by the first line. With
    `list_files` (such as `farm.storage.list_files`), `uri` may be a folder of Parquet parts
    `part-*.parquet`, whose rows are numbered on.
    """
    parts = _parts(uri, list_files) if list_files else []
    before = 0
    for part in parts or [uri]:
        last = 0
        with open_stream(part) as file:
            for row in _rows(file, _shown(part)):
                last = row.number
                yield replace(row, number=before + last) if before else row
        before += last


def _parts(uri: str, list_files: "Callable[[str], Iterable[ListedFile]]") -> list[str]:
    if _suffix(_shown(uri)):
        return []
    from farm.manifest.table import PART_PATTERN  # pyarrow takes a while to load

    return [file.uri for file in list_files(f"{uri.rstrip('/')}/{PART_PATTERN}")]


def _shown(uri: str) -> str:
    """The URI without its query, which may hold a signature."""
    return uri.partition("?")[0] if "://" in uri else uri


def _suffix(name: str) -> str:
    path = PurePosixPath(name.rpartition("/")[2])
    while path.suffix.lower() in _PACKED:
        path = path.with_suffix("")
    return path.suffix.lower()


def _rows(file: BinaryIO, name: str) -> Iterator[Row]:
    head = file.read(len(_PARQUET_MAGIC))
    file.seek(0)
    if head == _PARQUET_MAGIC:
        from farm.manifest.table import read_parquet  # pyarrow takes a while to load

        yield from read_parquet(file, name)
        return
    suffix = _suffix(name)
    if suffix in (".parquet", ".pq") and head:
        raise InvalidManifestError(f"expected {name!r} to be Parquet; its first bytes are not")
    if suffix not in _JSONL | _TEXT | {".csv"}:
        suffix = _guess(file, name)
        file.seek(0)
    lines = Lines(unpacked(file, name))
    if suffix == ".csv":
        yield from read_csv(lines, name)
    else:
        yield from read_jsonl(lines) if suffix in _JSONL else read_text(lines)


def _guess(file: BinaryIO, name: str) -> str:
    """The suffix that the first line looks like; raises InvalidManifestError for no text at all."""
    if b"\0" in next(unpacked(file, name), b"")[:_HEAD_BYTES]:
        raise InvalidManifestError(
            f"expected JSON lines, CSV, Parquet or text in {name!r}, received binary data; "
            "`farm thumbnail` takes a single picture or video"
        )
    file.seek(0)
    try:
        line = next(Lines(unpacked(file, name)), "").strip()
    except LineError:
        return ".txt"
    if line.startswith("{"):
        return ".jsonl"
    columns = [column.strip(' "') for column in line.split(",")]
    return ".csv" if "source" in columns else ".txt"
