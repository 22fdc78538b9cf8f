"""The sources of a job: the rows of its manifest, or the files below its folder, prefix or glob."""

import io
import itertools
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm import storage
from farm.errors import InvalidManifestError, SourceNotFoundError
from farm.manifest import read_rows
from farm.row import Row


class SourceList:
    """What a job's `manifest` stands for.

    A manifest file is read as it is. A folder, a prefix that ends in a slash, or a glob is listed
    once, page by page, into Parquet parts in the ledger, from which every later command reads; what
    the job itself writes is left out.
    """

    def __init__(self, manifest: str, ledger: str, destination: str | None) -> None:
        self._uri = manifest
        self._ledger = ledger
        self._own = tuple(f"{uri.rstrip('/')}/" for uri in (ledger, destination) if uri is not None)

    def identity(self, before: dict[str, Any] | None, refresh: bool) -> dict[str, Any]:
        """What tells this manifest's content from another's, without reading it.

        For a listing it is that of `before`, the last run's, unless `refresh` asks for a new one.
        Raises InvalidManifestError where there is no such manifest.
        """
        if self._is_listed():
            known = before is not None and before.get("uri") == self._uri and "listing" in before
            last = int(before["listing"]) if known and before is not None else 0
            return {"uri": self._uri, "listing": last + 1 if refresh or not known else last}
        try:
            found = storage.stat(self._uri)
        except SourceNotFoundError as error:
            return self._identity_of_parts(error)
        return {"uri": self._uri, "size": found.size, "mtime": found.mtime, "etag": found.etag}

    def _identity_of_parts(self, missing: SourceNotFoundError) -> dict[str, Any]:
        """The same of a folder of Parquet parts."""
        from farm.manifest.table import PART_PATTERN

        parts = list(storage.list_files(f"{self._uri.rstrip('/')}/{PART_PATTERN}"))
        if not parts:
            raise InvalidManifestError(f"manifest: {missing}; a prefix to list ends in a slash")
        return {
            "uri": self._uri,
            "parts": len(parts),
            "size": sum(part.size for part in parts),
            "mtime": max(part.mtime or 0.0 for part in parts),
        }

    def rows(self, identity: dict[str, Any]) -> Iterator[Row]:
        """The rows, in order; relative sources count from the manifest's folder."""
        listing = identity.get("listing")
        found = self._read(self._uri) if listing is None else self._listed(int(listing))
        folder = posixpath.dirname(self._uri.rstrip("/")) if listing is None else None
        for row in found:
            yield row if folder is None else _anchored(row, folder)

    def preview(self) -> Iterator[Row]:
        """The rows as they are now, without storing a listing."""
        if not self._is_listed():
            return self.rows(self.identity(None, False))
        return (
            Row(number, {"source": file.uri, "size": file.size})
            for number, file in enumerate(self._files(None), 1)
        )

    def _files(self, after: str | None) -> Iterator[storage.Listed]:
        files = storage.list_files(self._uri, after=after)
        return (file for file in files if not file.uri.startswith(self._own))

    def _is_listed(self) -> bool:
        local = Path(self._uri.removeprefix("file://"))
        if "://" not in self._uri.removeprefix("file://") and local.exists():
            return local.is_dir() and not any(local.glob("part-*.parquet"))
        return self._uri.endswith("/") or any(magic in self._uri for magic in "*[")

    def _read(self, uri: str) -> Iterator[Row]:
        return read_rows(uri, open_stream=storage.open_stream, list_files=storage.list_files)

    def _listed(self, listing: int) -> Iterator[Row]:
        rows = itertools.chain.from_iterable(map(_part_rows, self._listed_parts(listing)))
        return (replace(row, number=number) for number, row in enumerate(rows, 1))

    def _listed_parts(self, listing: int) -> Iterator[bytes]:
        """The parts that are stored, then those that are still to be listed, storing them."""
        from farm.manifest.table import Progress, listing_parts, read_progress

        folder = storage.join(self._ledger, f"listing-{listing:04d}")
        progress = Progress()
        for stored in storage.list_files(f"{folder}/"):
            part = storage.get(stored.uri)
            progress = read_progress(io.BytesIO(part))
            yield part
        for name, part, _ in listing_parts(self._files(progress.after), begin=progress):
            storage.put_new(storage.join(folder, name), part)
            yield part


def _part_rows(part: bytes) -> Iterator[Row]:
    return read_rows("part.parquet", open_stream=lambda _: io.BytesIO(part))


def _anchored(row: Row, folder: str) -> Row:
    """The row with its source's path made absolute."""
    source = (row.fields or {}).get("source")
    if not isinstance(source, str) or not source or source.startswith("/") or "://" in source:
        return row
    return replace(row, fields={**(row.fields or {}), "source": storage.join(folder, source)})
