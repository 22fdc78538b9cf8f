"""The files that a report shows: links to them where they are, or copies beside its pages."""

import hashlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

from farm import storage
from farm.errors import SourceError
from farm.report.links import Links

_CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "mp4": "video/mp4",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


class StoredFiles:
    """Gives links; with `copy` to copies, which `settle` makes. Links may be asked by any thread.

    `unlinked` counts files that no browser could open from the report, `missing` those that could
    not be copied.
    """

    def __init__(self, folder: str, *, copy: bool) -> None:
        self._folder = folder
        self._links = Links(folder)
        self._copy = copy
        self._lock = threading.Lock()
        self._pending: dict[str, dict[str, Any]] = {}
        self.unlinked = 0
        self.copied = 0
        self.missing = 0

    def link_to(self, file: dict[str, Any]) -> str | None:
        """The link to an artifact, a struct of `record_schema`."""
        if self._copy:
            name = _copy_name(file)
            with self._lock:
                self._pending[name] = file
            return name
        link = self._links.to(file["uri"])
        if link is None:
            with self._lock:
                self.unlinked += 1
        return link

    def settle(self, threads: Executor) -> None:
        """Makes the copies of all files that were asked for; one that is there already stays."""
        pending, self._pending = self._pending, {}
        for is_there in threads.map(self._take_along, pending.items()):
            self.copied += is_there
            self.missing += not is_there

    def _take_along(self, named: tuple[str, dict[str, Any]]) -> bool:
        name, file = named
        target = storage.join(self._folder, name)
        if storage.exists(target):
            return True
        try:
            data = storage.get(file["uri"])
        except SourceError:
            return False
        storage.put(target, data, content_type=_CONTENT_TYPES.get(file["format"]))
        return True


def _copy_name(file: dict[str, Any]) -> str:
    """`files/ab/abcd....jpg`, by content: the same picture is there once."""
    told = file["sha256"]
    sha256 = told if _SHA256.fullmatch(told) else hashlib.sha256(file["uri"].encode()).hexdigest()
    suffix = file["format"] if file["format"] in _CONTENT_TYPES else "bin"
    return f"files/{sha256[:2]}/{sha256}.{suffix}"


def stale_files(folder: str, *, entries: int, indexes: int) -> Iterator[str]:
    """The URIs of data that an earlier, longer report left, beyond so many files of each kind."""
    counts = {"entries": entries, "index": indexes}
    for listed in storage.list_files(storage.join(folder, "data/")):
        found = re.fullmatch(r"(entries|index)-(\d{5,})\.js", listed.uri.rpartition("/")[2])
        if found is not None and int(found[2]) >= counts[found[1]]:
            yield listed.uri
