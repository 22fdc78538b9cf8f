"""Files that come inside a request, and end their tasks at once."""

import mimetypes
import uuid
from dataclasses import replace
from pathlib import Path

from farm.dialects.cloudconvert import ImportBase64, ImportRaw
from farm.service.filename import safe_filename
from farm.service.model import StoredFile
from farm.service.operations.exports import link, md5_of
from farm.service.runner import folder_of
from farm.storage.failure import WRITE, translate

OPERATIONS = ("import/base64", "import/raw")


def keep(data: Path, task_id: str, options: ImportBase64 | ImportRaw) -> StoredFile:
    """Writes the file of a request; raises InvalidRequestError, DiskFullError or StoreError."""
    content = options.content()
    try:
        path = _new_path(data, task_id)
        path.write_bytes(content)
        md5 = md5_of(path)
    except OSError as error:
        raise translate(error, "the file", WRITE) from None
    name = safe_filename(options.filename)
    return StoredFile(
        id=str(uuid.uuid4()),
        name=name,
        path=str(path.relative_to(data)),
        size_bytes=len(content),
        md5=md5,
        content_type=mimetypes.guess_type(name)[0],
    )


def keep_again(data: Path, task_id: str, file: StoredFile) -> StoredFile:
    """The file of an earlier task for another one; raises DiskFullError or StoreError."""
    try:
        path = _new_path(data, task_id)
        link(data / file.path, path)
    except OSError as error:
        raise translate(error, "the file", WRITE) from None
    return replace(file, id=str(uuid.uuid4()), path=str(path.relative_to(data)))


def _new_path(data: Path, task_id: str) -> Path:
    folder = folder_of(data, task_id)
    folder.mkdir(parents=True)
    return folder / "0"
