"""Pictures made by the cluster: a file of the service becomes an urgent entry."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import TimeoutError
from pathlib import Path
from typing import Any

from farm.errors import error_from
from farm.record import Artifact, Record, Status
from farm.service.model import StoredFile
from farm.service.operation import Work
from farm.spec import Entry

_LOOK_SECONDS = 0.25


def make(
    work: Work, source: StoredFile, outputs: Sequence[Any], *, folder: Path, **fields: Any
) -> Record:
    """The record of one file's outputs, made below `folder`; raises the error that it met.

    `outputs` are specs with a filename each. `fields` are further ones of an Entry. Raises what
    `Work.check` does once the task was cancelled or is out of time; then nothing runs any more.
    """
    entry = Entry(
        source=str(work.path_of(source)),
        destination=str(folder),
        outputs=tuple(_timed(spec, work.seconds_left) for spec in outputs),
        **fields,
    )
    handle = work.cluster.submit_entry(entry, limits=work.config.settings.limits)
    try:
        while True:
            work.check()
            try:
                record = handle.future.result(timeout=min(_LOOK_SECONDS, work.seconds_left))
                break
            except TimeoutError:
                continue
    except BaseException:
        handle.cancel()
        raise
    if record.status is not Status.OK:
        # Callers know their files by other names than the disk does.
        message = (record.message or "").replace(entry.source, source.name)
        raise error_from(record.error_code or "internal_error", message)
    return record


def _timed(spec: Any, seconds: float) -> Any:
    return spec.model_copy(update={"timeout": min(spec.timeout, max(1.0, seconds))})


def stored_file(
    work: Work, artifact: Artifact, *, name: str, id: str, content_type: str
) -> StoredFile:
    """An artifact as a file of the task, which callers see as `name`."""
    path = Path(artifact.uri.removeprefix("file://"))
    return StoredFile(
        id=id,
        name=name,
        path=work.stored(path),
        size_bytes=artifact.size_bytes,
        md5=hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
        content_type=content_type,
        facts={
            "width": artifact.width,
            "height": artifact.height,
            "pts_seconds": artifact.pts_seconds,
        },
    )
