"""Sources and destinations as Qencode's callers name them: URLs, buckets, uploads and folders."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from farm.dialects.qencode.query import Destination
from farm.errors import InvalidEntryError, SourceNotFoundError
from farm.service.bucket import open_bucket
from farm.service.config import ServiceConfig
from farm.service.fetch import download
from farm.service.folder import put_below
from farm.service.model import StoredFile
from farm.service.operation import Outcome, Work
from farm.service.operations.imports import fetched_file, terms_of
from farm.service.place import DEFAULT_REGION, S3Object, parse_qencode_place
from farm.service.transfer import Fetched
from farm.service.uploads import upload_path
from farm.storage import redact

UPLOAD_SCHEME = "tus:"
_S3_SCHEME = "s3://"


def shown_source(source: str, config: ServiceConfig) -> str:
    """What may be shown of a source; raises InvalidEntryError where it cannot be one at all."""
    if source.startswith(UPLOAD_SCHEME):
        return source
    if source.lower().startswith(_S3_SCHEME):
        found = parse_qencode_place(source, is_source=True)
        server = f"{found.place.endpoint}/" if found.place.endpoint else ""
        return f"{_S3_SCHEME}{server}{found.place.bucket}/{found.key}"
    config.policy.check_url(source)
    return redact(source)


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
    if _is_local(destination):
        if not config.destination_roots:
            raise InvalidEntryError("local folders are not open to results here")
        return {"url": destination.url, "storage": {"type": "local", "key": destination.url}}
    found = object_of(destination)
    endpoint = found.place.endpoint_url(config.policy)
    region = found.place.region or DEFAULT_REGION
    server = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    storage = {
        "type": "custom_s3" if endpoint else "amazon_s3",
        "scheme": server.scheme,
        "host": server.hostname,
        "port": server.port,
        "bucket": found.place.bucket,
        "key": found.key,
    }
    return {"url": f"s3://{server.netloc}/{found.place.bucket}/{found.key}", "storage": storage}


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
    if source.lower().startswith(_S3_SCHEME):
        found = parse_qencode_place(source, is_source=True)
        with open_bucket(found.place, policy=work.config.policy, terms=terms_of(work)) as bucket:
            fetched = bucket.download(found.key, path)
    else:
        fetched = download(source, path, policy=work.config.policy, terms=terms_of(work))
    return Outcome(files=[fetched_file(work, fetched)])


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
    """The key, or the URL, of a file whose destination is a folder, or the file itself."""
    if not is_folder and key and not key.endswith("/"):
        return key
    return f"{key.rstrip('/')}/{name}".lstrip("/")


def _store(
    work: Work, destination: Destination, files: list[StoredFile], *, is_folder: bool
) -> None:
    if _is_local(destination):
        for file in files:
            work.check()
            uri = key_of(destination.url, file.name, is_folder=is_folder)
            put_below(work.config.destination_roots, uri, work.path_of(file))
        return
    found = object_of(destination)
    with open_bucket(found.place, policy=work.config.policy, terms=terms_of(work)) as bucket:
        for file in files:
            work.check()
            key = key_of(found.key, file.name, is_folder=is_folder)
            bucket.upload(key, work.path_of(file), content_type=file.content_type)


def _is_local(destination: Destination) -> bool:
    return destination.url.startswith("file://")


def _uploaded(work: Work, path: Path) -> StoredFile:
    # A second name, no copy: were the task begun anew, the upload must still be there.
    try:
        os.link(upload_path(work.config.data, str(work.payload["upload"])), path)
    except FileNotFoundError:
        raise SourceNotFoundError("the upload is no longer here") from None
    fetched = Fetched(path, str(work.payload["name"]), path.stat().st_size, md5="")
    return replace(fetched_file(work, fetched), md5=None)
