"""Exports: the files of the inputs, for whoever has their URLs, or in a bucket."""

import hashlib
import os
import shutil
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm.dialects.cloudconvert import ExportS3, ExportUrl, numbered
from farm.service.bucket import open_bucket
from farm.service.filename import safe_filename, unique_filename
from farm.service.model import StoredFile
from farm.service.operation import Outcome, TaskError, Work
from farm.service.operations.imports import s3_place, terms_of
from farm.storage.failure import WRITE, translate


def to_url(work: Work) -> Outcome:
    """The files of the inputs as files of this task; several as one ZIP where that is asked."""
    options = ExportUrl.model_validate(dict(work.payload))
    files = _inputs(work)
    try:
        if options.archive_multiple_files and len(files) > 1:
            made = [_zipped(work, files)]
        else:
            made = _linked(work, files)
    except OSError as error:
        raise translate(error, "the exported files", WRITE) from None
    return Outcome(files=made, result={"inline": options.inline})


def to_s3(work: Work) -> Outcome:
    """The files of the inputs as objects of a bucket."""
    options = ExportS3.model_validate({**work.payload, **work.secrets})
    files = _inputs(work)
    keys = object_keys(options, [file.name for file in files])
    with open_bucket(s3_place(options), policy=work.config.policy, terms=terms_of(work)) as bucket:
        for number, (key, file) in enumerate(zip(keys, files, strict=True)):
            work.check()
            work.tell(100 * number // len(files))
            kind = options.content_type or file.content_type
            bucket.upload(key, work.path_of(file), content_type=kind)
    return Outcome(result={"files": [_shown(*pair) for pair in zip(keys, files, strict=True)]})


def object_keys(options: ExportS3, names: Sequence[str]) -> list[str]:
    """The keys of files: those of `key`, else each its name, behind the prefix."""
    if options.key is not None:
        return numbered(options.key, len(names))
    return [f"{options.key_prefix or ''}{name}" for name in _distinct(names)]


def _shown(key: str, file: StoredFile) -> Mapping[str, Any]:
    folder, _, name = key.rpartition("/")
    return {"filename": name, "dir": folder or None, "size": file.size_bytes}


def _inputs(work: Work) -> list[StoredFile]:
    if not work.files:
        raise TaskError("The input tasks gave no file.", code="NO_INPUT_FILES")
    return work.files


def _distinct(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    found = []
    for name in names:
        found.append(unique_filename(name, taken))
        taken.add(found[-1].casefold())
    return found


def _linked(work: Work, files: Sequence[StoredFile]) -> list[StoredFile]:
    """The files once more, so that they stay when the inputs are deleted."""
    made = []
    names = _distinct([file.name for file in files])
    for number, (name, file) in enumerate(zip(names, files, strict=True)):
        work.check()
        path = work.folder / f"{number}{Path(file.path).suffix}"
        link(work.path_of(file), path)
        made.append(replace(file, id=str(uuid.uuid4()), name=name, path=work.stored(path)))
    return made


def link(source: Path, path: Path) -> None:
    """A second name of a file, or a copy where the file system has no such thing."""
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, path)


def _zipped(work: Work, files: Sequence[StoredFile]) -> StoredFile:
    path = work.folder / "0.zip"
    names = _distinct([file.name for file in files])
    # Pictures are packed already.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, (name, file) in enumerate(zip(names, files, strict=True)):
            work.check()
            work.tell(100 * number // len(files))
            archive.write(work.path_of(file), name)
    return StoredFile(
        id=str(uuid.uuid4()),
        name=safe_filename(f"{work.task.name or 'files'}.zip"),
        path=work.stored(path),
        size_bytes=path.stat().st_size,
        md5=md5_of(path),
        content_type="application/zip",
    )


def md5_of(path: Path) -> str:
    """The MD5 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
