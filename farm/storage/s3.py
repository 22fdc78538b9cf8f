"""The S3 store: single requests by bucket and key, so that any key and condition comes through."""

import errno
import importlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from farm.storage.failure import READ, attempt, http_status, known
from farm.storage.filesystem import filesystem
from farm.storage.listing import Listed, Scope
from farm.storage.location import Location, parse
from farm.storage.remote import RemoteStore
from farm.storage.source import check_etag

# One loop tries again: ours. Checksums in trailers are left out: lesser servers choke on them.
_CONFIG = {
    "retries": {"total_max_attempts": 1},
    "max_pool_connections": 64,
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


class S3Store(RemoteStore):
    """Objects of an S3 server."""

    def get(self, place: Location) -> bytes:
        """The whole object."""
        return _get_object(place)[0]

    def put(
        self, place: Location, data: bytes, *, content_type: str | None, sha256: str | None
    ) -> None:
        """Writes the object in one request, with its type and its hash as metadata `sha256`."""
        arguments: dict[str, Any] = {"ContentType": content_type} if content_type else {}
        if sha256:
            arguments["Metadata"] = {"sha256": sha256}
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
        """Size, time and hash of the object."""
        found = _call("head_object", place)
        time = found["LastModified"].timestamp()
        return Listed(place.uri, found["ContentLength"], time, _etag(found))

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

    def read_range(self, found: Listed, offset: int, length: int) -> bytes:
        """Bytes of the object, unless it was replaced since it was found."""
        condition = {"IfMatch": f'"{found.etag}"'} if found.etag else {}
        span = f"bytes={offset}-{offset + length - 1}"
        data, etag = _get_object(parse(found.uri), Range=span, **condition)
        check_etag(found.uri, etag, found.etag)
        return data


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


def _get_object(place: Location, **arguments: Any) -> tuple[bytes, str | None]:
    """The content and the ETag of an object, or of a part of it."""
    fs = _filesystem(place)
    bucket, key = _object(place)

    async def read() -> tuple[bytes, str | None]:
        answer = await fs._call_s3("get_object", Bucket=bucket, Key=key, **arguments)
        async with answer["Body"] as body:
            return bytes(await body.read()), _etag(answer)

    found: tuple[bytes, str | None] = importlib.import_module("fsspec.asyn").sync(fs.loop, read)
    return found


def _etag(answer: dict[str, Any]) -> str | None:
    return str(answer.get("ETag") or "").strip('"') or None
