"""The S3 store: single requests by bucket and key, so that any key and condition comes through."""

import errno
import importlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from farm.errors import FarmError
from farm.settings import Limits
from farm.storage.failure import READ, WRITE, NotUsableError, attempt, http_status, known
from farm.storage.filesystem import filesystem
from farm.storage.listing import Listed, Scope
from farm.storage.location import Location, parse
from farm.storage.remote import RemoteStore
from farm.storage.source import OpenedSource, RangeSource, check_etag, check_size

# One loop tries again: ours. Checksums in trailers are left out: lesser servers choke on them.
_CONFIG = {
    "retries": {"total_max_attempts": 1},
    "max_pool_connections": 64,
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}

_PART_BYTES = 16 << 20
_MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class _Object:
    """Bytes of an object, the size of all of it, and its hash."""

    data: bytes
    size: int
    etag: str | None


class S3Store(RemoteStore):
    """Objects of an S3 server."""

    def get(self, place: Location) -> bytes:
        """The whole object."""
        return _get_object(place).data

    def put(
        self, place: Location, data: bytes, *, content_type: str | None, sha256: str | None
    ) -> None:
        """Writes the object in one request, with its type and its hash as metadata `sha256`."""
        arguments: dict[str, Any] = {"ContentType": content_type} if content_type else {}
        if sha256:
            more = _filesystem(place).s3_additional_kwargs.get("Metadata", {})
            arguments["Metadata"] = {**more, "sha256": sha256}
        _call("put_object", place, Body=data, **arguments)

    def put_new(self, place: Location, data: bytes, *, again: bool) -> bool:
        """Writes on the condition that the key is free; a server that knows none is asked first.

        A server that ignores the condition lets several win: `farm doctor` finds that out. `again`
        says that an earlier try may have been stored although its answer was lost.
        """
        try:
            _call("put_object", place, Body=data, IfNoneMatch="*")
        except known() as error:
            status = http_status(error)
            if isinstance(error, FileExistsError) or status == HTTPStatus.PRECONDITION_FAILED:
                return again and self.get(place) == data
            if status == HTTPStatus.CONFLICT and self.exists(place):
                return False
            if status != HTTPStatus.NOT_IMPLEMENTED:
                raise
            if self.exists(place):
                return False
            _call("put_object", place, Body=data)
        return True

    def delete(self, place: Location) -> None:
        """Removes the object, if there is one."""
        _call("delete_object", place)

    def stat(self, place: Location) -> Listed:
        """Size, time and hash of the object, and the metadata `sha256`."""
        found = _call("head_object", place)
        time = found["LastModified"].timestamp()
        # Some servers write names with capitals.
        told = {name.lower(): value for name, value in found.get("Metadata", {}).items()}
        return Listed(place.uri, found["ContentLength"], time, _etag(found), told.get("sha256"))

    def list_scope(self, scope: Scope, after: str | None) -> Iterator[Listed]:
        """What a scope covers, a page of at most 1,000 keys at a time."""
        place = parse(scope.root)
        bucket, folder = _split(place)
        start = scope.after(after)
        arguments = {"Bucket": bucket, "Prefix": folder + scope.literal}
        if start:
            arguments["StartAfter"] = folder + start
        while True:
            page = attempt(
                lambda: _filesystem(place).call_s3("list_objects_v2", **arguments), place.uri, READ
            )
            for found in page.get("Contents", ()):
                key = found["Key"][len(folder) :]
                if key and not key.endswith("/") and scope.pattern.matches(key):
                    time = found["LastModified"].timestamp()
                    yield Listed(scope.root + key, found["Size"], time, _etag(found))
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def open_source(
        self, place: Location, *, expected_size: int | None, limits: Limits, head_bytes: int
    ) -> OpenedSource:
        """The source, read by ranges, the first of which tells the size of all."""
        try:
            first = _get_range(place, 0, head_bytes)
        except known() as error:
            if http_status(error) != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            first = _Object(b"", 0, None)  # empty objects have no first byte
        check_size(place.uri, first.size, expected_size=expected_size, limits=limits)

        def fetch(offset: int, length: int) -> bytes:
            ask = partial(_get_range, place, offset, length, first.etag)
            return attempt(ask, place.uri, READ).data

        return RangeSource(fetch, size=first.size, name=place.uri, head=first.data, requests=1)


def put_file(uri: str, path: Path, *, content_type: str | None = None) -> None:
    """Stores a file of any size, in parts where it is large, over whatever was there.

    Raises a StoreError, or OSError where the file cannot be read.
    """
    place = parse(uri)
    kind = {"ContentType": content_type} if content_type else {}
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > _PART_BYTES:
            _put_parts(place, file, size_bytes, kind)
        else:
            data = file.read()
            attempt(partial(_call, "put_object", place, Body=data, **kind), uri, WRITE)


def _put_parts(place: Location, file: BinaryIO, size_bytes: int, kind: dict[str, str]) -> None:
    """Parts by one request each; where one fails for good, none stays."""

    def call(method: str, **arguments: Any) -> Any:
        return attempt(partial(_call, method, place, **arguments), place.uri, WRITE)

    part_bytes = max(_PART_BYTES, -(-size_bytes // _MOST_PARTS))
    upload = call("create_multipart_upload", **kind)["UploadId"]
    parts = []
    try:
        for number in range(1, -(-size_bytes // part_bytes) + 1):
            data = file.read(part_bytes)
            answer = call("upload_part", PartNumber=number, UploadId=upload, Body=data)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        call("complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(FarmError):
            call("abort_multipart_upload", UploadId=upload)
        raise


def _filesystem(place: Location) -> Any:
    fs = filesystem(place, config_kwargs=_CONFIG)
    fs.retries = 1
    return fs


def _split(place: Location) -> tuple[str, str]:
    bucket, _, key = place.path.partition("://")[2].partition("/")
    return bucket, key


def _object(place: Location) -> tuple[str, str]:
    """Bucket and key; raises IsADirectoryError for a bucket alone."""
    bucket, key = _split(place)
    if not key:
        raise IsADirectoryError(errno.EISDIR, "a bucket is no object")
    return bucket, key


def _call(method: str, place: Location, **arguments: Any) -> Any:
    bucket, key = _object(place)
    return _filesystem(place).call_s3(method, Bucket=bucket, Key=key, **arguments)


def _get_object(place: Location, *, most_bytes: int | None = None, **arguments: Any) -> _Object:
    """An object or a part of it; raises NotUsableError where that is more than `most_bytes`."""
    fs = _filesystem(place)
    bucket, key = _object(place)

    async def read() -> _Object:
        answer = await fs._call_s3("get_object", Bucket=bucket, Key=key, **arguments)
        async with answer["Body"] as body:
            if most_bytes is not None and answer["ContentLength"] > most_bytes:
                raise NotUsableError("the server gives all of an object where a part is asked for")
            data = bytes(await body.read())
        total = answer.get("ContentRange", "").rpartition("/")[2]
        return _Object(data, int(total) if total.isdigit() else len(data), _etag(answer))

    found: _Object = importlib.import_module("fsspec.asyn").sync(fs.loop, read)
    return found


def _get_range(place: Location, offset: int, length: int, etag: str | None = None) -> _Object:
    """A part of an object, unless its hash is another by now."""
    span = f"bytes={offset}-{offset + length - 1}"
    condition = {"IfMatch": f'"{etag}"'} if etag else {}
    found = _get_object(place, most_bytes=length, Range=span, **condition)
    check_etag(place.uri, found.etag, etag)
    return found


def _etag(answer: dict[str, Any]) -> str | None:
    return str(answer.get("ETag") or "").strip('"') or None
