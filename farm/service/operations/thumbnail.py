"""CloudConvert's operation `thumbnail`: pictures of its inputs' files."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath

from farm.dialects.cloudconvert import OUTPUT_FORMATS, Thumbnail, picture_names
from farm.record import Record
from farm.service.filename import unique_filename
from farm.service.model import StoredFile
from farm.service.operation import CancelledTaskError, Outcome, TaskError, Work
from farm.service.operations.entries import make, stored_file

_FILES_AT_ONCE = 8
_CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


def make_thumbnail(work: Work) -> Outcome:
    """Pictures of all files of the inputs; one that fails fails the task, and ends the others."""
    sources = work.files
    if not sources:
        raise TaskError("The input tasks gave no file.", code="NO_INPUT_FILES")
    options = Thumbnail.model_validate(dict(work.payload))
    records = _make_all(work, options, sources)
    extension = OUTPUT_FORMATS[options.output_format]
    found = [
        (source, artifact)
        for source, record in zip(sources, records, strict=True)
        for artifact in record.artifacts
    ]
    stems = [PurePosixPath(source.name).stem for source, _ in found]
    files: list[StoredFile] = []
    taken: set[str] = set()
    asked = picture_names(options.filename, stems=stems, extension=extension)
    for (_, artifact), wish in zip(found, asked, strict=True):
        name = unique_filename(wish, taken)
        taken.add(name.casefold())
        kind = _CONTENT_TYPES[extension]
        files.append(
            stored_file(work, artifact, name=name, id=str(uuid.uuid4()), content_type=kind)
        )
    first = records[0]
    warnings = dict.fromkeys(word for record in records for word in record.warnings)
    return Outcome(
        files=files,
        engine=first.engine,
        engine_version=first.engine_version,
        message=f"warnings: {', '.join(warnings)}" if warnings else None,
    )


def _make_all(work: Work, options: Thumbnail, sources: list[StoredFile]) -> list[Record]:
    spec = options.spec(filename=f"%d.{OUTPUT_FORMATS[options.output_format]}")
    failed = threading.Event()
    own = replace(work, is_cancelled=lambda: failed.is_set() or work.is_cancelled())
    done = 0

    def one(number: int) -> Record:
        nonlocal done
        folder = work.folder / str(number)
        folder.mkdir()
        try:
            made = make(
                own, sources[number], [spec], folder=folder, input_format=options.input_format
            )
        except BaseException:
            failed.set()
            raise
        done += 1
        work.tell(100 * done // (len(sources) + 1))
        return made

    with ThreadPoolExecutor(min(_FILES_AT_ONCE, len(sources))) as threads:
        futures = [threads.submit(one, number) for number in range(len(sources))]
    # The first that failed is the cause; those behind it may only have been told to stop.
    causes = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(causes, key=lambda error: isinstance(error, CancelledTaskError)):
        raise error
    return [future.result() for future in futures]
