"""Reads a form with a file in it, straight to the disk and no further than its bounds."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

_FILE = "file"
_MOST_FIELDS = 100
_MOST_FIELD_BYTES = 16 << 10
_MOST_HEADER_BYTES = 16 << 10


class FormError(Exception):
    """A form that cannot be taken; `status` is how the request is answered."""

    def __init__(self, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class PostedFile:
    """The file of a form, as its sender calls it."""

    filename: str
    content_type: str | None
    size_bytes: int
    md5: str


class FormReader:
    """Takes a form piece by piece: fields first, then the file.

    `admit` gets the fields in front of the file, and says how many bytes it may have, or raises.
    What `feed` and `end` raise besides is FormError and OSError.
    """

    def __init__(
        self, content_type: str, path: Path, *, admit: Callable[[Mapping[str, str]], int]
    ) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise FormError("The body must be multipart/form-data.")
        self._path = path
        self._admit = admit
        self._fields: dict[str, str] = {}
        self._header = [bytearray(), bytearray()]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._value = bytearray()
        self._file: BinaryIO | None = None
        self._is_file = False
        self._left_bytes = 0
        self._size_bytes = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        self._posted: tuple[str, str | None] | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._header_part(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._header_part(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": lambda data, start, end: self._take(data[start:end]),
                "on_part_end": self._end_part,
            },
        )

    def feed(self, data: bytes) -> None:
        """Takes the next piece."""
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise FormError("The form cannot be read.", status=400) from None

    def end(self) -> PostedFile:
        """The file, once all is here."""
        try:
            self._parser.finalize()
        except MultipartParseError:
            raise FormError("The form ends early.", status=400) from None
        if self._posted is None or self._file is not None:
            raise FormError("The file field is required.")
        name, kind = self._posted
        return PostedFile(name, kind, self._size_bytes, self._digest.hexdigest())

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def _begin_part(self) -> None:
        self._headers = {}
        self._value = bytearray()

    def _header_part(self, which: int, data: bytes) -> None:
        self._header[which] += data
        if len(self._header[which]) > _MOST_HEADER_BYTES:
            raise FormError("A part of the form has too long a header.", status=400)

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == _FILE
        if not self._is_file:
            if len(self._fields) >= _MOST_FIELDS:
                raise FormError("The form has too many fields.", status=400)
            return
        if self._posted is not None:
            raise FormError("The form may have one file only.")
        self._left_bytes = self._admit(self._fields)
        filename = options.get(b"filename", b"").decode("utf-8", "replace")
        kind = self._headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip()
        self._posted = (filename, kind.lower() or None)
        self._file = self._path.open("wb")

    def _take(self, data: bytes) -> None:
        if not self._is_file:
            self._value += data
            if len(self._value) > _MOST_FIELD_BYTES:
                raise FormError("A field of the form is too long.", status=400)
            return
        assert self._file is not None
        self._size_bytes += len(data)
        if self._size_bytes > self._left_bytes:
            raise FormError(f"The file has more than {self._left_bytes} bytes.", status=413)
        self._digest.update(data)
        self._file.write(data)

    def _end_part(self) -> None:
        if not self._is_file:
            self._fields[self._name] = self._value.decode("utf-8", "replace")
        elif self._file is not None:
            self._file.close()
            self._file = None
