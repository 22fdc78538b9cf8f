"""All outputs of a Qencode query, made of one source in one pass."""

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from farm.dialects.qencode.output import file_name, needs_size, output_specs
from farm.dialects.qencode.query import Query
from farm.errors import FarmError
from farm.geometry import Fit, Size
from farm.position import Position
from farm.record import Record
from farm.service.model import StoredFile
from farm.service.operation import Outcome, Work
from farm.service.operations.entries import make, stored_file
from farm.spec import Fidelity, ImageFormat, ThumbnailSpec

_CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "vtt": "text/vtt",
    "mp4": "video/mp4",
}


def make_outputs(work: Work) -> Outcome:
    """Makes what the payload's `query` asks of the one input file.

    Each file's `facts` have its `output`, from 0, and `index`. Where an output may fail softly, the
    `result` tells of those that did: `failed` has code and message by output. Raises the error of
    the first other one.
    """
    query = Query.model_validate(work.payload["query"])
    (source,) = work.files
    attempt = _Attempt(work, query, source)
    try:
        attempt.look()
        attempt.make(range(len(query.format)))
    except FarmError as error:
        if not any(each.allow_soft_fail for each in query.format):
            raise
        work.check()
        attempt.make_each(error)
    return Outcome(
        files=attempt.files,
        result={"failed": attempt.failed, "warnings": sorted(attempt.warnings)},
        engine=", ".join(dict.fromkeys(attempt.engines)) or None,
        engine_version=", ".join(dict.fromkeys(attempt.versions)) or None,
    )


@dataclass(slots=True)
class _Attempt:
    """One query's outputs on their way."""

    work: Work
    query: Query
    source: StoredFile
    shown: Size | None = None
    files: list[StoredFile] = field(default_factory=list)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: set[str] = field(default_factory=set)
    engines: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Finds out how large the source is shown, where that matters."""
        if needs_size(self.query):
            self.shown = _shown(self.work, self.source)

    def make(self, places: Sequence[int]) -> None:
        """Makes some outputs together, in one pass."""
        specs = output_specs(self.query, places, shown=self.shown)
        record = make(self.work, self.source, specs, folder=self.work.folder / "made")
        self.warnings.update(record.warnings)
        self.engines += [record.engine] if record.engine else []
        self.versions += [record.engine_version] if record.engine_version else []
        self.files += self._stored(record, places)

    def make_each(self, error: FarmError) -> None:
        """Makes the outputs one by one, since together they met an error: which are to blame?

        All of them are, where the source could not even be looked at.
        """
        is_common = len(self.query.format) == 1 or (needs_size(self.query) and self.shown is None)
        for place, asked in enumerate(self.query.format):
            try:
                if is_common:
                    raise error
                self.make([place])
            except FarmError as own:
                self.work.check()
                if not asked.allow_soft_fail:
                    raise
                self.failed[str(place)] = {"code": own.code, "message": str(own)}

    def _stored(self, record: Record, places: Sequence[int]) -> list[StoredFile]:
        found = []
        for artifact in record.artifacts:
            place = places[artifact.output]
            file = stored_file(
                self.work,
                artifact,
                name=file_name(self.query.format[place], artifact.index),
                id=str(uuid.uuid4()),
                content_type=_CONTENT_TYPES[artifact.format],
            )
            facts = {**file.facts, "output": place, "index": artifact.index}
            found.append(replace(file, facts=facts))
        return sorted(found, key=lambda each: each.facts["output"])


def _shown(work: Work, source: StoredFile) -> Size:
    """How large the source is shown: as large as a picture of it that is not resized."""
    spec = ThumbnailSpec(
        fit=Fit.MAX,
        position=Position.model_validate(0),
        format=ImageFormat.JPG,
        quality=1,
        fidelity=Fidelity.FAST,
        filename="look.jpg",
    )
    folder = work.folder / "look"
    (artifact,) = make(work, source, [spec], folder=folder).artifacts
    shutil.rmtree(folder)
    return Size(artifact.width, artifact.height)
