"""Sources and destinations as Qencode's callers name them: URLs, buckets, uploads and folders."""

import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from farm.dialects.qencode.query import Destination
from farm.errors import SourceNotFoundError
from farm.service.bucket import open_bucket
from farm.service.config import ServiceConfig
from farm.service.fetch import download
from farm.service.model import StoredFile
from farm.service.operation import Outcome, Work
from farm.service.place import DEFAULT_REGION, S3Object, parse_qencode_place
from farm.service.transfer import Fetched, Terms
from farm.service.uploads import upload_path

UPLOAD_SCHEME = "tus:"
_S3_SCHEME = "s3://"


def check_source(source: str, config: ServiceConfig) -> None:
    """Raises InvalidEntryError where a source, which is no upload, cannot be one at all."""
    if source.lower().startswith(_S3_SCHEME):
        parse_qencode_place(source, is_source=True)
    else:
        config.policy.check_url(source)


def object_of(destination: Destination) -> S3Object:
    """The object or folder that a destination names; raises InvalidEntryError."""
    return parse_qencode_place(
        destination.url,
        is_source=False,
        key=destination.key.get_secret_value() if destination.key else None,
        secret=destination.secret.get_secret_value() if destination.secret else None,
        permissions=destination.permissions,
        storage_class=destination.storage_class,
        cache_control=destination.cache_control,
    )


def shown_place(destination: Destination, config: ServiceConfig) -> dict[str, Any]:
    """What callers are told of a destination, without its keys; raises InvalidEntryError."""
    found = object_of(destination)
    endpoint = found.place.endpoint_url(config.policy)
    region = found.place.region or DEFAULT_REGION
    server = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    return {
        "type": "custom_s3" if endpoint else "amazon_s3",
        "scheme": server.scheme,
        "host": server.hostname,
        "port": server.port,
        "bucket": found.place.bucket,
        "key": found.key,
    }


def secrets_of(destination: Destination) -> dict[str, Any]:
    """All fields of a destination as they came, for the vault."""
    shown = destination.model_dump(exclude_none=True)
    hidden = {name: getattr(destination, name) for name in ("key", "secret") if name in shown}
    return shown | {name: value.get_secret_value() for name, value in hidden.items()}


def from_place(work: Work) -> Outcome:
    """Brings the source that the secrets name; the payload may name the upload that it is."""
    path = work.folder / "source"
    if "upload" in work.payload:
        return Outcome(files=[_uploaded(work, path)])
    source = str(work.secrets["source"])
    terms = _terms(work, work.config.settings.limits.source_bytes)
    if source.lower().startswith(_S3_SCHEME):
        found = parse_qencode_place(source, is_source=True)
        with open_bucket(found.place, policy=work.config.policy, terms=terms) as bucket:
            fetched = bucket.download(found.key, path)
    else:
        fetched = download(source, path, policy=work.config.policy, terms=terms)
    return Outcome(files=[_fetched(work, fetched)])


def to_places(work: Work) -> Outcome:
    """Stores the files of the payload's `output` at each of its destinations, which are secrets."""
    output = work.payload["output"]
    files = [file for file in work.files if file.facts.get("output") == output]
    for number, fields in enumerate(work.secrets["destinations"]):
        destination = Destination.model_validate(fields)
        _store(work, destination, files, is_folder=bool(work.payload["is_folder"]))
        work.tell(100 * (number + 1) // len(work.secrets["destinations"]))
    return Outcome()


def key_of(key: str, name: str, *, is_folder: bool) -> str:
    """The key of a file whose destination is a folder, or the file itself."""
    if not is_folder and key and not key.endswith("/"):
        return key
    return f"{key.rstrip('/')}/{name}".lstrip("/")


def _store(
    work: Work, destination: Destination, files: list[StoredFile], *, is_folder: bool
) -> None:
    found = object_of(destination)
    terms = _terms(work, work.config.settings.limits.source_bytes)
    with open_bucket(found.place, policy=work.config.policy, terms=terms) as bucket:
        for file in files:
            work.check()
            key = key_of(found.key, file.name, is_folder=is_folder)
            bucket.upload(key, work.path_of(file), content_type=file.content_type)


def _terms(work: Work, most_bytes: int) -> Terms:
    def progress(received_bytes: int, total_bytes: int | None) -> None:
        if total_bytes:
            work.tell(min(99, 100 * received_bytes // total_bytes))

    return Terms(
        most_bytes=most_bytes,
        total_seconds=work.seconds_left,
        check=work.check,
        progress=progress,
    )


def _uploaded(work: Work, path: Path) -> StoredFile:
    # A second name, no copy: were the task begun anew, the upload must still be there.
    try:
        os.link(upload_path(work.config.data, str(work.payload["upload"])), path)
    except FileNotFoundError:
        raise SourceNotFoundError("the upload is no longer here") from None
    return StoredFile(
        id=str(uuid.uuid4()),
        name=str(work.payload["name"]),
        path=work.stored(path),
        size_bytes=path.stat().st_size,
    )


def _fetched(work: Work, fetched: Fetched) -> StoredFile:
    return StoredFile(
        id=str(uuid.uuid4()),
        name=fetched.filename,
        path=work.stored(fetched.path),
        size_bytes=fetched.size_bytes,
        md5=fetched.md5,
        content_type=fetched.content_type,
    )
