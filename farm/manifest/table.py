"""Reads rows from Parquet, and writes listings as Parquet parts that tell where to go on."""

import io
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from farm.errors import InvalidManifestError
from farm.manifest.text import check_columns
from farm.row import Row

ROWS_PER_PART = 100_000
PART_NAME = "part-{:08d}.parquet"
PART_PATTERN = "part-*.parquet"

_BATCH_ROWS = 1024
_LAST = b"thumbfarm.last_source"
_NUMBER = b"thumbfarm.part"
_COMPLETE = b"thumbfarm.complete"
_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("size", pa.int64()),
        ("mtime", pa.float64()),
        ("etag", pa.string()),
    ]
)


class ListedFile(Protocol):
    """What a listing tells of one file."""

    @property
    def uri(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def mtime(self) -> float | None: ...

    @property
    def etag(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a listing got: the parts written, and the last file seen, to list after.

    `unnamed` counts files of this call whose names are no Unicode, which no manifest can hold.
    """

    parts: int = 0
    after: str | None = None
    complete: bool = False
    unnamed: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    last: str
    unnamed: int


def read_parquet(file: BinaryIO, name: str) -> Iterator[Row]:
    """Rows without their nulls; raises InvalidManifestError where it is no sound Parquet."""
    try:
        table = pq.ParquetFile(file, pre_buffer=False)
        check_columns(list(table.schema_arrow.names), name)
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            yield from _rows(batch, number)
            number += batch.num_rows
    except (pa.ArrowException, OSError, OverflowError, UnicodeDecodeError) as error:
        # Damaged metadata is not always found by Arrow: some of it fails only as a Python string.
        cause = str(error).partition("\n")[0][:200]
        raise InvalidManifestError(f"cannot read {name!r} as Parquet: {cause}") from None


def listing_parts(
    files: Iterable[ListedFile],
    *,
    begin: Progress | None = None,
    extensions: Collection[str] | None = None,
    rows_per_part: int = ROWS_PER_PART,
) -> Iterator[tuple[str, bytes, Progress]]:
    """Yields a listing as manifest parts: a name, which sorts like the listing, content, progress.

    One part is in memory at a time. `extensions`, with or without dots, keeps only those files. To
    go on with a listing, give the `Progress` of its last part as `begin`, and the files after
    `begin.after`; a complete one gives no more parts.
    """
    wanted = None if extensions is None else {f".{name.lower().lstrip('.')}" for name in extensions}
    progress = replace(begin, unnamed=0) if begin else Progress()
    remaining = iter(files)
    while not progress.complete:
        rows, seen = _take(remaining, rows_per_part, wanted)
        progress = Progress(
            parts=progress.parts + 1,
            after=seen.last or progress.after,
            complete=len(rows) < rows_per_part,
            unnamed=progress.unnamed + seen.unnamed,
        )
        yield PART_NAME.format(progress.parts - 1), _part(rows, progress), progress


def write_listing(
    files: Iterable[ListedFile],
    write_part: Callable[[str, bytes], None],
    *,
    begin: Progress | None = None,
    extensions: Collection[str] | None = None,
    rows_per_part: int = ROWS_PER_PART,
) -> Progress:
    """Hands the parts of a listing to `write_part` by name, and returns how far it got."""
    progress = begin or Progress()
    parts = listing_parts(files, begin=begin, extensions=extensions, rows_per_part=rows_per_part)
    for name, part, so_far in parts:
        write_part(name, part)
        progress = so_far
    return progress


def read_progress(part: BinaryIO) -> Progress:
    """How far a listing was at this part; raises InvalidManifestError for another file."""
    try:
        notes = pq.ParquetFile(part).schema_arrow.metadata or {}
        return Progress(
            parts=int(notes[_NUMBER]),
            after=notes[_LAST].decode() or None,
            complete=notes[_COMPLETE] == b"1",
        )
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise InvalidManifestError(f"expected a part of a listing: {error}") from None


def _take(
    files: Iterator[ListedFile], count: int, wanted: Collection[str] | None
) -> tuple[list[ListedFile], "_Seen"]:
    """The next wanted files, fewer than `count` only at the end of all."""
    rows: list[ListedFile] = []
    last, unnamed = "", 0
    for file in files:
        if not _is_unicode(file.uri):
            unnamed += 1
            continue
        last = file.uri
        if wanted is None or PurePosixPath(last).suffix.lower() in wanted:
            rows.append(file)
        if len(rows) == count:
            break
    return rows, _Seen(last, unnamed)


def _part(rows: list[ListedFile], progress: Progress) -> bytes:
    notes = {
        _NUMBER: str(progress.parts),
        _LAST: progress.after or "",
        _COMPLETE: "1" if progress.complete else "0",
    }
    columns = {
        "source": [row.uri for row in rows],
        "size": [row.size for row in rows],
        "mtime": [row.mtime for row in rows],
        "etag": [row.etag for row in rows],
    }
    table = pa.table(columns, schema=_SCHEMA.with_metadata(notes))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _rows(batch: Any, before: int) -> Iterator[Row]:
    """The rows of a batch, numbered on from `before`; those with broken text one by one."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            yield Row(before + 1, None, "expected UTF-8 in all cells")
            return
        for index in range(batch.num_rows):
            yield from _rows(batch.slice(index, 1), before + index)
        return
    for number, cells in enumerate(rows, before + 1):
        filled = {name: _filled(cell) for name, cell in cells.items() if cell is not None}
        odd = next((name for name, cell in filled.items() if not _is_plain(cell)), None)
        if odd is None:
            yield Row(number, filled)
        else:
            kind = type(filled[odd]).__name__
            reason = f"{odd}: expected text, numbers, lists or structs of them; received {kind}"
            yield Row(number, None, reason)


def _is_plain(cell: Any) -> bool:
    """Whether JSON, in which plans are kept, can say it: not so for times, decimals and bytes."""
    if isinstance(cell, dict):
        return all(map(_is_plain, cell.values()))
    if isinstance(cell, list):
        return all(map(_is_plain, cell))
    return cell is None or isinstance(cell, str | int | float)


def _filled(cell: Any) -> Any:
    """The cell without the nulls that a struct holds for each field some other row has."""
    if isinstance(cell, dict):
        return {name: _filled(value) for name, value in cell.items() if value is not None}
    if isinstance(cell, list):
        return [_filled(value) for value in cell]
    return cell


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
