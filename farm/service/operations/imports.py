"""Imports: files come from the web or a bucket into the service."""

import mimetypes
import re
import uuid

from farm.dialects.cloudconvert import ImportS3, ImportUrl, S3Options
from farm.service.bucket import open_bucket
from farm.service.fetch import download
from farm.service.model import StoredFile
from farm.service.operation import Outcome, Work
from farm.service.place import S3Place
from farm.service.transfer import Fetched, Terms

MOST_FILES = 1000

_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}$")


def from_url(work: Work) -> Outcome:
    """A file from the web."""
    asked = ImportUrl.model_validate({**work.payload, **work.secrets})
    fetched = download(
        asked.url,
        work.folder / "0",
        policy=work.config.policy,
        terms=terms_of(work),
        headers=asked.headers,
        filename=asked.filename,
    )
    return Outcome(files=(fetched_file(work, fetched),))


def from_s3(work: Work) -> Outcome:
    """A file from a bucket, or all whose keys begin alike."""
    asked = ImportS3.model_validate({**work.payload, **work.secrets})
    place, policy = s3_place(asked), work.config.policy
    with open_bucket(place, policy=policy, terms=terms_of(work)) as bucket:
        if asked.key is not None:
            found = [bucket.download(asked.key, work.folder / "0", filename=asked.filename)]
        else:
            prefix = asked.key_prefix or ""
            found = bucket.download_all(prefix, work.folder, most_files=MOST_FILES)
    return Outcome(files=tuple(fetched_file(work, each) for each in found))


def s3_place(asked: S3Options) -> S3Place:
    """The bucket that a request names; raises InvalidEntryError."""
    return S3Place.of(asked.model_dump(include=set(S3Place.model_fields), exclude_none=True))


def terms_of(work: Work) -> Terms:
    """The bounds of a transfer that is a task of its own."""

    def progress(received: int, total: int | None) -> None:
        if total:
            work.tell(min(99, 100 * received // total))

    return Terms(
        most_bytes=work.config.settings.limits.source_bytes,
        total_seconds=work.seconds_left,
        check=work.check,
        progress=progress,
    )


def fetched_file(work: Work, fetched: Fetched) -> StoredFile:
    """A file that was brought into the task's folder, as the task's.

    On the disk it keeps its extension: some formats show themselves by nothing else.
    """
    path, name = fetched.path, fetched.filename
    if not path.suffix and (found := _EXTENSION.search(name.lower())):
        path = path.rename(path.with_name(path.name + found[0]))
    return StoredFile(
        id=str(uuid.uuid4()),
        name=name,
        path=work.stored(path),
        size_bytes=fetched.size_bytes,
        md5=fetched.md5,
        content_type=fetched.content_type or mimetypes.guess_type(name)[0],
    )
