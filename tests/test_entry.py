"""Entries with storyboards: what lanes make is stored and recorded under names of the worker's."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from farm import storage, worker
from farm.cluster.inline import InlineCluster
from farm.entry import EntryWork
from farm.history import final_records
from farm.isolation import Reply
from farm.options import RunOptions
from farm.record import Record, Status
from farm.row import Row
from farm.run import Progress, RunState, Stop, run_job
from farm.samples.card import read_frame_number
from farm.samples.clip import Recipe, make_clip
from farm.settings import Settings
from tests.lanes import shared_pool
from tests.recipes import make_job, make_ledger, write_manifest, write_source
from tests.test_storyboard import read_vtt

BOARD = {"kind": "storyboard", "interval": 0.25, "width": 160, "format": "png", "accuracy": "exact"}
SHEETS = BOARD | {"sheets": True, "columns": 2, "sheet_pixels": 330, "filename": "{id}-%d.png"}


class Silent:
    """An observer that keeps nothing."""

    def progressed(self, progress: Progress) -> None: ...

    def noticed(self, message: str, **_: Any) -> None: ...

    def settled(self, outcome: Any) -> None: ...


def attempt(folder: Path, pool: Any, *outputs: dict[str, Any], **settings: Any) -> Record:
    source = write_source(folder / "a.syn", seconds=1)
    job = make_job(folder, outputs=outputs, settings=settings)
    work = EntryWork(pool, job, "here:1", lambda lane: contextlib.nullcontext())
    record, _ = work.attempt(Row(1, {"source": str(source), "id": "e"}), is_alone=False)
    return record


def test_a_run_stores_and_records_a_storyboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LanePool", lambda **_: shared_pool())
    source = tmp_path / "clip.mp4"
    source.write_bytes(make_clip(Recipe("clip.mp4", "libx264", "two seconds", frames=50)))
    rows = [
        {"source": str(source), "id": "job's"},
        {"source": str(source), "id": "own", "kind": "storyboard", "interval": 1},
    ]
    write_manifest(tmp_path / "list.jsonl", rows)
    job = make_job(tmp_path, outputs=(SHEETS, {"width": 64}))
    ledger = make_ledger(tmp_path)
    report = run_job(
        job,
        ledger,
        cluster=lambda: InlineCluster(Settings()),
        options=RunOptions(),
        observer=Silent(),
        stop=Stop(),
    )
    assert report.state is RunState.DONE
    by_job, own = sorted(final_records(ledger), key=lambda record: record.row)
    assert by_job.status is own.status is Status.OK
    shown = [(each.output, each.index, each.format, each.width, each.height)
             for each in by_job.artifacts]  # fmt: skip
    assert shown == [
        (0, 0, "vtt", 0, 0),
        (0, 1, "png", 320, 270),
        (0, 2, "png", 320, 90),
        (1, 1, "jpg", 64, 36),
    ]
    # The row's interval takes the place of the job's.
    assert [each.format for each in own.artifacts] == ["vtt", "png", "jpg"]
    for artifact in (*by_job.artifacts, *own.artifacts):
        data = storage.get(artifact.uri)
        assert len(data) == artifact.size_bytes
        assert hashlib.sha256(data).hexdigest() == artifact.sha256
    numbers = frames_under_cues(tmp_path / "out", "job's.vtt")
    assert numbers == [0, 6, 12, 18, 25, 31, 37, 43]
    assert frames_under_cues(tmp_path / "out", "own.vtt") == [0, 25]


def frames_under_cues(folder: Path, vtt: str) -> list[int]:
    """The numbers on the tiles that a player finds by a WebVTT file."""
    numbers = []
    for _, _, address in read_vtt((folder / vtt).read_text()):
        name, _, box = address.partition("#xywh=")
        left, top, width, height = map(int, box.split(","))
        with Image.open(folder / unquote(name)) as sheet:
            tile = sheet.crop((left, top, left + width, top + height))
            numbers.append(read_frame_number(tile))
    return numbers


def test_every_file_is_stored_with_its_content_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = {}

    def put(uri: str, data: bytes, *, content_type: str, sha256: str) -> None:
        types[uri.rpartition("/")[2]] = content_type

    monkeypatch.setattr(storage, "put", put)
    record = attempt(tmp_path, shared_pool(), BOARD | {"interval": 0.5, "filename": "%d.png"})
    assert record.status is Status.OK, record.message
    assert types == {"storyboard.vtt": "text/vtt", "1.png": "image/png", "2.png": "image/png"}


class LyingPool:
    """A pool whose only lane says that it made these files of three bytes each."""

    def __init__(self, *files: tuple[int, int]) -> None:
        self._files = files

    @contextlib.contextmanager
    def lease(self, **_: bool) -> Any:
        yield self

    def call(self, request: Any, **_: Any) -> Reply:
        files = [
            {"output": output, "index": index, "width": 1, "height": 1, "size_bytes": 3,
             "pts_seconds": None, "key": "../../evil", "format": "exe"}
            for output, index in self._files
        ]  # fmt: skip
        facts = {"engine": "e", "engine_version": "1", "fallback": None, "warnings": []}
        header = {"files": files, "notes": {}, "timings_ms": {}, "bytes_read": 1}
        return Reply(facts | header, b"abc" * len(files))


def test_names_and_formats_are_the_workers_own(tmp_path: Path) -> None:
    record = attempt(tmp_path, LyingPool((0, 0), (0, 7)), BOARD | {"filename": "{id}/%d.png"})
    assert [(each.uri, each.format) for each in record.artifacts] == [
        (f"{tmp_path}/out/e/storyboard.vtt", "vtt"),
        (f"{tmp_path}/out/e/7.png", "png"),
    ]
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        ([(0, 21)], {}),
        ([(0, -1)], {}),
        ([(0, 0)], {"webvtt": False}),
        ([(0, 3)], {"interval": None, "count": 2}),
        ([(0, 1), (0, 1)], {}),
        ([(1, 0)], {}),
        ([(0, index) for index in range(21)] + [(1, 1)], {}),
    ],
)
def test_files_that_cannot_be_are_refused_and_nothing_is_stored(
    tmp_path: Path, files: list[tuple[int, int]], fields: dict[str, Any]
) -> None:
    pool = LyingPool(*files)
    limits = {"limits": {"outputs": 20}}
    record = attempt(tmp_path, pool, BOARD | fields, {"width": 9}, **limits)
    assert (record.status, record.error_code) == (Status.FAILED, "decoder_crash")
    assert not (tmp_path / "out").exists()
