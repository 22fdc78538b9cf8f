"""Files that come in parts: how much of each is here, kept so that a restart knows it too."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from sqlalchemy import delete, func, insert, select, update

from farm.service.database import Database
from farm.service.model import uploads

# How much may have to be sent again after a crash.
_NOTE_BYTES = 64 << 20


class TooManyUploadsError(Exception):
    """A task has as many uploads as it may."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of which `offset_bytes` are here for good; `job_id` may be that of a job to come."""

    id: str
    job_id: str
    name: str
    length_bytes: int
    offset_bytes: int
    created_at: float

    @property
    def is_complete(self) -> bool:
        """Whether all of it is here."""
        return self.offset_bytes == self.length_bytes


def upload_path(data: Path, upload_id: str) -> Path:
    """Where an upload lies in the service's folder."""
    return data / "uploads" / upload_id


class UploadStore:
    """The uploads of all jobs."""

    def __init__(self, database: Database, data: Path) -> None:
        self._database = database
        self._data = data

    def add(self, job_id: str, *, name: str, length_bytes: int, most: int) -> Upload:
        """Begins one; raises TooManyUploadsError where the job has `most` already, and OSError."""
        made = Upload(str(uuid.uuid4()), job_id, name, length_bytes, 0, time.time())
        row = {field: getattr(made, field) for field in Upload.__dataclass_fields__}
        count = select(func.count()).select_from(uploads).where(uploads.c.job_id == job_id)
        with self._database.write() as connection:
            if (connection.scalar(count) or 0) >= most:
                raise TooManyUploadsError
            connection.execute(insert(uploads).values(row))
            upload_path(self._data, made.id).touch(mode=0o600)
        return made

    def find(self, upload_id: str, job_id: str) -> Upload | None:
        """An upload of a job."""
        asked = select(uploads).where(uploads.c.id == upload_id, uploads.c.job_id == job_id)
        with self._database.read() as connection:
            row = connection.execute(asked).mappings().one_or_none()
        return None if row is None else Upload(**row)

    @contextmanager
    def writing(self, upload: Upload) -> Iterator["Writer"]:
        """Goes on behind what is here; what was written is kept however the block is left."""
        with upload_path(self._data, upload.id).open("r+b", buffering=0) as file:
            file.truncate(upload.offset_bytes)  # what a crash left behind is not known to be whole
            file.seek(upload.offset_bytes)
            writer = Writer(self, upload, file)
            try:
                yield writer
            finally:
                writer.note()

    def note(self, upload_id: str, offset_bytes: int) -> None:
        """Notes how much of an upload is here for good."""
        with self._database.write() as connection:
            connection.execute(
                update(uploads).where(uploads.c.id == upload_id).values(offset_bytes=offset_bytes)
            )

    def remove(self, upload_id: str) -> None:
        """Forgets an upload."""
        with self._database.write() as connection:
            connection.execute(delete(uploads).where(uploads.c.id == upload_id))
        upload_path(self._data, upload_id).unlink(missing_ok=True)

    def expire(self, before: float) -> None:
        """Forgets what was begun before a time."""
        asked = select(uploads.c.id).where(uploads.c.created_at < before)
        with self._database.read() as connection:
            old = connection.scalars(asked).all()
        for upload_id in old:
            self.remove(upload_id)


class Writer:
    """Writes the next bytes of one upload."""

    def __init__(self, store: UploadStore, upload: Upload, file: FileIO) -> None:
        self.offset_bytes = upload.offset_bytes
        self._store = store
        self._upload = upload
        self._file = file
        self._noted = upload.offset_bytes

    @property
    def left_bytes(self) -> int:
        """How much is still to come."""
        return self._upload.length_bytes - self.offset_bytes

    def write(self, data: bytes) -> None:
        """Adds bytes; raises OSError where they find no room."""
        left = memoryview(data)
        while left:  # a full disk takes a part, and then raises
            written = self._file.write(left)
            self.offset_bytes += written
            left = left[written:]
        if self.offset_bytes - self._noted >= _NOTE_BYTES:
            self.note()

    def note(self) -> None:
        """Sees to it that what was written is here for good."""
        os.fsync(self._file.fileno())
        if self.offset_bytes > self._noted:
            self._store.note(self._upload.id, self.offset_bytes)
            self._noted = self.offset_bytes
