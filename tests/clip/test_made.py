"""Clips as outputs of entries: beside other outputs, made in lanes, in records."""

import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from farm.engines import Source
from farm.entry import EntryWork
from farm.pipeline import Result, make_thumbnails, probe
from farm.plan import ClipPlan
from farm.record import Record, Status
from farm.row import Row
from farm.settings import Limits
from farm.spec import Entry, Job
from tests.clip.clips import clicking, file_of, see
from tests.lanes import request, shared_pool

CLIP = {"kind": "clip", "width": 160, "start": 1, "duration": 0.4}


def entry_of(*outputs: dict[str, Any]) -> Entry:
    fields = {"source": "/in/a.mp4", "id": "e", "outputs": outputs, "destination": "/out"}
    return Entry.model_validate(fields)


def made(data: bytes, *outputs: dict[str, Any]) -> Result:
    source = Source(io.BytesIO(data), len(data), "a.mp4")
    return make_thumbnails(entry_of(*outputs), 1, source, limits=Limits())


def test_a_clip_is_one_of_several_outputs():
    thumbnail = {"width": 160, "position": 0.4, "accuracy": "exact"}
    board = {"kind": "storyboard", "count": 2, "width": 80, "sheets": True}
    whole = {"kind": "clip", "height": 90, "framerate": 5, "filename": "{id}-whole.{ext}"}
    result = made(file_of(), CLIP, thumbnail, board, whole)
    files = [(file.output, file.index, file.format) for file in result.files]
    assert files == [(0, 1, "mp4"), (1, 1, "jpg"), (2, 0, "vtt"), (2, 1, "jpg"), (3, 1, "mp4")]
    first, last = result.files[0], result.files[-1]
    assert see(first.data).numbers == list(range(25, 35))
    assert (first.width, first.height, first.pts_seconds) == (160, 90, 1.0)
    assert first.key.endswith("/e~a-w160.mp4")
    assert last.key == "e-whole.mp4"
    assert len(see(last.data).pictures) == 15
    assert result.engine == "pyav"
    assert result.timings_ms["encode"] > 0


def test_clips_alone_are_planned_and_probed():
    data = file_of()
    source = Source(io.BytesIO(data), len(data), "a.mp4")
    info, plans = probe(entry_of(CLIP, {"kind": "clip", "height": 90}), 1, source, limits=Limits())
    assert info.duration_seconds == pytest.approx(3.0)
    assert [type(plan) for plan in plans] == [ClipPlan, ClipPlan]
    assert [plan.output for plan in plans] == [0, 1]


class TestInALane:
    def test_by_a_descriptor_and_by_ranges(self, tmp_path: Path) -> None:
        data = clicking("matroska", clicks=(0.4,), codec="libopus")
        asked = {"outputs": (CLIP | {"start": 0},)}
        path = tmp_path / "a.mkv"
        path.write_bytes(data)
        reads: list[int] = []

        def read_at(offset: int, length: int) -> bytes:
            reads.append(length)
            return data[offset : offset + length]

        with shared_pool().lease() as lane:
            with path.open("rb") as file:
                local = lane.call(request(len(data), **asked), fd=file.fileno(), timeout_seconds=30)
            remote = lane.call(
                request(len(data), **asked),
                head=data[:4096],
                read_at=read_at,
                timeout_seconds=30,
            )
        assert local.payload == remote.payload
        assert reads
        (file,) = remote.header["files"]
        assert (file["index"], file["width"], file["height"]) == (1, 160, 90)
        seen = see(local.payload)
        assert len(seen.pictures) == 10
        assert seen.sound_seconds == pytest.approx(0.4, abs=0.022)

    def test_in_a_record(self, tmp_path: Path) -> None:
        record = self._record(tmp_path, file_of(), CLIP)
        assert record.status is Status.OK, record.message
        (artifact,) = record.artifacts
        assert (artifact.output, artifact.index, artifact.format) == (0, 1, "mp4")
        assert (artifact.width, artifact.height, artifact.pts_seconds) == (160, 90, 1.0)
        stored = Path(artifact.uri)
        assert stored.suffix == ".mp4"
        assert artifact.size_bytes == stored.stat().st_size
        assert see(stored.read_bytes()).numbers == list(range(25, 35))
        assert (record.notes["clip_frames"], record.notes["clip_seconds"]) == (10, 0.4)

    def test_an_error_is_the_entrys(self, tmp_path: Path) -> None:
        record = self._record(tmp_path, file_of(), CLIP | {"start": 60})
        assert (record.status, record.error_code) == (Status.FAILED, "no_frame")
        assert "past the end of the video, which is 3.000 s long" in (record.message or "")

    def _record(self, folder: Path, data: bytes, output: dict[str, Any]) -> Record:
        source = folder / "a.mp4"
        source.write_bytes(data)
        job = Job.model_validate(
            {"manifest": "-", "destination": str(folder / "out"), "outputs": (output,)}
        )
        work = EntryWork(shared_pool(), job, "here:1", lambda _: nullcontext())
        row = Row(1, {"source": str(source)})
        return work.attempt(row, is_alone=False)[0]
