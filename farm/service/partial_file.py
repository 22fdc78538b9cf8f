"""Writes a file that is being received, and keeps count of it."""

import hashlib
import time
from pathlib import Path

from farm.errors import SourceTooLargeError
from farm.service.transfer import Fetched, Terms
from farm.storage.failure import WRITE, translate
from farm.storage.redaction import redact

_TOLD_SECONDS = 0.5


class PartialFile:
    """A file as far as it has come, with its hash so far; bounded by the terms."""

    def __init__(self, path: Path, url: str, terms: Terms) -> None:
        """Raises DiskFullError or StoreError where the file cannot be made."""
        self.validator: str | None = None
        self.size_bytes = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self.path = path
        self._url = url
        self._terms = terms
        self._told = 0.0
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise translate(error, "the download", WRITE) from None

    def restart(self, validator: str | None) -> None:
        """Begins anew; `validator` is what tells that later bytes are of the same file."""
        self.validator = validator
        self._digest = hashlib.md5(usedforsecurity=False)
        if self.size_bytes:
            self.size_bytes = 0
            self._file.truncate(0)
            self._file.seek(0)

    def add(self, data: bytes, total_bytes: int | None) -> None:
        """Raises SourceTooLargeError, DiskFullError or StoreError."""
        self.check_size(self.size_bytes + len(data))
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise translate(error, "the download", WRITE) from None
        self._digest.update(data)
        self.size_bytes += len(data)
        if time.monotonic() - self._told > _TOLD_SECONDS or self.size_bytes == total_bytes:
            self._told = time.monotonic()
            self._terms.progress(self.size_bytes, total_bytes)

    def check_size(self, size_bytes: int) -> None:
        """Raises SourceTooLargeError where so many bytes are more than the terms allow."""
        if size_bytes > self._terms.most_bytes:
            raise SourceTooLargeError(
                f"{redact(self._url)!r} has more than the {self._terms.most_bytes} bytes "
                "that are allowed"
            )

    def fetched(self, filename: str, content_type: str | None = None) -> Fetched:
        """The file, where that was all of it."""
        return Fetched(self.path, filename, self.size_bytes, self._digest.hexdigest(), content_type)

    def close(self) -> None:
        """Closes the file, which stays."""
        self._file.close()
