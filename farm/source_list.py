"""The sources of a job: the rows of its manifest, or the files below its folder, prefix or glob."""

import io
import itertools
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm import storage
from farm.errors import InvalidManifestError, SourceNotFoundError
from farm.manifest import read_rows
from farm.row import Row
from farm.spec import without_secret


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

    def identity(self, earlier: Sequence[Mapping[str, Any]], refresh: bool) -> dict[str, Any]:
        """What tells this manifest's content from another's, without reading it.

        `earlier` are the identities that the ledger's passes had, oldest first. A listing keeps the
        newest one of its own, unless `refresh` asks for a new one, and never takes a number that
        another had. Raises InvalidManifestError where there is no such manifest.
        """
        if self.is_listed:
            listings = [each for each in earlier if "listing" in each]
            own = [each["listing"] for each in listings if each["uri"] == self._uri]
            if own and not refresh:
                return {"uri": self._uri, "listing": own[-1]}
            self._check_folder()
            last = max((each["listing"] for each in listings), default=0)
            return {"uri": self._uri, "listing": last + 1}
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
            yield row if folder is None else _kept_clean(_anchored(row, folder))

    def preview(self) -> Iterator[Row]:
        """The rows as they are now, without storing a listing."""
        if not self.is_listed:
            return self.rows(self.identity((), False))
        self._check_folder()
        return (
            Row(number, {"source": file.uri, "size": file.size})
            for number, file in enumerate(self._files(None), 1)
        )

    def _files(self, after: str | None) -> Iterator[storage.Listed]:
        files = storage.list_files(self._uri, after=after)
        return (file for file in files if not file.uri.startswith(self._own))

    @property
    def is_listed(self) -> bool:
        """Whether it stands for files to be listed, rather than for a manifest."""
        local = self._local
        if local is not None and local.exists():
            return local.is_dir() and not any(local.glob("part-*.parquet"))
        return self._uri.endswith("/") or any(magic in self._uri for magic in "*[")

    @property
    def _local(self) -> Path | None:
        path = self._uri.removeprefix("file://")
        return None if "://" in path else Path(path)

    def _check_folder(self) -> None:
        """An object store has no folders that could be missing; a file system has."""
        local = self._local
        if self._uri.endswith("/") and local is not None and not local.exists():
            raise InvalidManifestError(f"manifest: there is no folder {self._uri!r}")

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


def _kept_clean(row: Row) -> Row:
    """The row, or why it is refused where it holds a password, which no plan may keep."""
    for name in ("source", "destination"):
        try:
            without_secret(str((row.fields or {}).get(name, "")))
        except ValueError as error:
            return Row(row.number, None, f"{name}: {error}")
    return row


def _part_rows(part: bytes) -> Iterator[Row]:
    return read_rows("part.parquet", open_stream=lambda _: io.BytesIO(part))


def _anchored(row: Row, folder: str) -> Row:
    """The row with its source's path made absolute."""
    source = (row.fields or {}).get("source")
    if not isinstance(source, str) or not source or source.startswith("/") or "://" in source:
        return row
    return replace(row, fields={**(row.fields or {}), "source": storage.join(folder, source)})
