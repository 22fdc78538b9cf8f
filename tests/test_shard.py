"""A walk over a shard's rows: in real lanes, and over scripted ones for what takes long."""

import contextlib
import hashlib
import io
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from PIL import Image

from farm import shard, storage
from farm.errors import (
    DiskFullError,
    LaneCrashError,
    LaneTimeoutError,
    SourceDeniedError,
    SourceNotFoundError,
)
from farm.isolation import Reply
from farm.record import Status
from farm.row import Row
from farm.shard import ShardWalk
from tests.lanes import shared_pool, writing_pool
from tests.recipes import OUTPUT, make_job, records_by_row, write_source

OK, FAILED, QUARANTINED, DEFERRED = Status


class Drain:
    """A drain that begins on demand and gives what is under way some seconds."""

    began = None
    seconds = 0.0

    def begin(self):
        self.began = time.monotonic()

    def __call__(self):
        return None if self.began is None else self.began + self.seconds


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def sources(folder, *recipes):
    """Rows from 1 on, one for each recipe; what is no dict is a row as it stands."""
    rows = []
    for number, values in enumerate(recipes, 1):
        if isinstance(values, dict):
            path = write_source(folder / f"in/{number}.syn", **values)
            rows.append(Row(number, {"source": str(path)}))
        else:
            rows.append(values)
    return rows


def new_walk(folder, rows, pool, *, job=None, is_final=False, drain=None, **settings):
    """A walk that has not begun."""
    job = job or make_job(folder, settings=settings)
    drain = drain or Drain()
    drain.seconds = job.settings.drain_seconds
    return ShardWalk(
        pool,
        job,
        rows,
        worker="here:1",
        drain_ends=drain,
        is_final=is_final,
    )


def walk(folder, rows, *, pool=None, **options):
    """The walk, done, and its records by row."""
    made = new_walk(folder, rows, pool or shared_pool(), **options)
    records = made.run()
    assert [record.row for record in records] == [row.number for row in rows]
    return made, records_by_row(records)


class TestPictures:
    def test_they_are_stored_and_the_record_says_where(self, folder):
        rows = sources(folder, {}, {"seed": 5})
        _, records = walk(folder, rows)
        record = records[2]
        (artifact,) = record.artifacts
        data = storage.get(artifact.uri)
        assert record.status is OK
        assert artifact.uri.startswith(f"{folder}/out/")
        assert artifact.sha256 == hashlib.sha256(data).hexdigest()
        assert artifact.size_bytes == len(data)
        assert (artifact.width, artifact.height, artifact.format) == (16, 12, "png")
        assert Image.open(io.BytesIO(data)).size == (16, 12)
        assert (record.engine, record.engine_version) == ("synthetic", "1")
        assert (record.attempts, record.worker, record.requests) == (1, "here:1", 0)
        assert (record.source, bool(record.id)) == (rows[1].fields["source"], True)
        assert len(record.fingerprint) == 32
        assert record.bytes_read > 0
        stages = {"fetch", "open", "decode", "resize", "encode", "store"}
        assert set(record.timings_ms) == stages | {"lane"}
        within = sum(record.timings_ms[stage] for stage in stages - {"fetch", "store"})
        assert record.timings_ms["lane"] >= within
        assert abs(time.time() - record.started) < 60
        assert records[1].artifacts[0].sha256 != artifact.sha256

    def test_all_outputs_and_moments_have_their_own_place(self, folder):
        job = make_job(folder, outputs=({"width": 8, "count": 3}, {"width": 16}))
        _, records = walk(folder, sources(folder, {}), job=job)
        artifacts = records[1].artifacts
        assert [(each.output, each.index) for each in artifacts] == [(0, 1), (0, 2), (0, 3), (1, 1)]
        assert len({each.uri for each in artifacts}) == 4

    def test_a_source_of_a_store_is_read_by_ranges(self, folder):
        uri = f"memory://{uuid.uuid4()}/a.syn"
        storage.put(uri, b"FARMSYN1 {}\n" + bytes(1000))
        _, records = walk(folder, [Row(1, {"source": uri})])
        assert records[1].status is OK
        assert records[1].requests == 2  # for the size, and for all of it
        assert records[1].bytes_read == 1012

    def test_a_failed_entry_tells_what_it_took(self, folder):
        uri = f"memory://{uuid.uuid4()}/a.syn"
        storage.put(uri, b"FARMSYN1 broken\n" + bytes(1000))
        _, records = walk(folder, [Row(1, {"source": uri})])
        assert records[1].status is FAILED
        assert (records[1].requests, records[1].bytes_read) == (2, 1016)
        assert records[1].timings_ms.keys() == {"lane"}

    def test_the_same_rows_give_the_same_pictures_again(self, folder):
        rows = sources(folder, {}, {"seed": 5})
        once, again = (walk(folder, rows)[1] for _ in range(2))
        assert [once[row].artifacts for row in once] == [again[row].artifacts for row in again]


class TestBadRows:
    def test_each_is_a_failed_record_that_says_why(self, folder):
        (folder / "in/no.mp4").write_bytes(b"no media at all, but text")
        rows = sources(
            folder,
            Row(1, None, "line 1: expected a JSON object"),
            Row(2, {"sauce": "a"}),
            Row(3, {"source": "x", "width": -1}),
            Row(4, {"source": str(folder / "in/none.syn")}),
            Row(5, {"source": str(folder / "in/no.mp4")}),
            {"fault": "error"},
            {},
        )
        _, records = walk(folder, rows)
        codes = [record.error_code for record in records.values()]
        assert codes == ["invalid_entry"] * 3 + ["source_not_found", "not_media", "corrupt", None]
        assert [record.status for record in records.values()] == [FAILED] * 6 + [OK]
        assert records[1].message == "line 1: expected a JSON object"
        assert "sauce: unknown column" in records[2].message
        assert "width" in records[3].message
        assert "none.syn" in records[4].message
        assert not any(record.retryable for record in records.values())
        assert [record.fingerprint is None for record in records.values()] == [True] * 3 + [
            False
        ] * 4

    def test_two_pictures_of_one_name_are_refused_before_anything_is_read(self, folder):
        job = make_job(folder, outputs=({"width": 8, "filename": "a.jpg"},) * 2)
        _, records = walk(folder, [Row(1, {"source": "/none.syn"})], job=job)
        assert records[1].error_code == "invalid_entry"
        assert "same name" in records[1].message


class TestLanesThatDie:
    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            ("segfault", "decoder_crash"),
            ("abort", "decoder_crash"),
            ("exit", "decoder_crash"),
            ("memory", "out_of_memory"),
            ("hang", "timeout"),
        ],
    )
    def test_the_entry_is_tried_once_more_alone_and_others_are_untouched(self, folder, fault, code):
        counter = folder / "strikes"
        bad = {"fault": fault, "fault_file": str(counter), "fault_times": 9}
        timeout = 0.5 if fault == "hang" else 20
        job = make_job(folder, outputs=(OUTPUT | {"timeout": timeout},))
        _, records = walk(
            folder, sources(folder, {}, {}, bad, {}, {}), job=job, pool=writing_pool()
        )
        record = records.pop(3)
        assert (record.status, record.error_code) == (QUARANTINED, code)
        assert (record.attempts, record.artifacts) == (2, ())
        assert record.id
        assert len(record.fingerprint) == 32
        assert record.message
        assert counter.read_bytes() == b".."
        assert {(each.status, each.attempts) for each in records.values()} == {(OK, 1)}

    def test_a_fault_that_strikes_once_is_forgiven_and_noted(self, folder):
        once = {"fault": "segfault", "fault_file": str(folder / "strikes"), "fault_times": 1}
        _, records = walk(folder, sources(folder, {}, once), pool=writing_pool())
        assert (records[2].status, records[2].attempts) == (OK, 2)
        assert records[2].notes["first_attempt"] == (
            "decoder_crash: the decoder's process died of SIGSEGV"
        )
        assert records[2].notes["frames_decoded"] == 1
        assert records[1].attempts == 1
        assert storage.exists(records[2].artifacts[0].uri)


@dataclass
class ScriptedLane:
    """A lane whose answers are scripted; `kill` ends a call that waits for it."""

    script: object
    is_alone: bool
    killed: threading.Event = field(default_factory=threading.Event)
    __hash__ = object.__hash__

    def call(self, request, *, fd, head, read_at, timeout_seconds, held_seconds):
        return self.script(self, request)

    def kill(self):
        self.killed.set()

    def hang(self):
        assert self.killed.wait(20)
        raise LaneCrashError("the decoder's process died of SIGKILL")


@dataclass
class ScriptedPool:
    """Lanes that answer as `script(lane, request)` says; none is a process."""

    script: object
    lanes: int = 2
    leased: list = field(default_factory=list)

    @contextlib.contextmanager
    def lease(self, *, alone=False, urgent=False, gpu=False):
        lane = ScriptedLane(self.script, alone)
        self.leased.append(lane)
        yield lane


def made(*pictures, payload=b"png", **fields):
    """A reply with these pictures; without any, the first of the first output."""
    one = {"output": 0, "index": 1, "width": 1, "height": 1, "size_bytes": 3, "pts_seconds": 0.0}
    facts = [one | picture for picture in pictures or ({},)]
    header = {
        "op": "made",
        "files": facts,
        "engine": "synthetic",
        "engine_version": "1",
        "fallback": None,
        "warnings": [],
        "notes": {},
        "timings_ms": {"decode": 1.0},
        "bytes_read": 9,
    }
    return Reply(header | fields, payload)


class TestLies:
    @pytest.mark.parametrize(
        "reply",
        [
            made({"output": 1}),
            made({"index": 2}),
            made({"output": -1}),
            made({"output": "0"}),
            made({}, {}, payload=b"pngpng"),
            made({"size_bytes": 2}),
            made({"size_bytes": -3}),
            made({"width": 1 << 31}),
            made({"pts_seconds": "1"}),
            made(engine="\ud800"),
            made(engine=None),
            made(warnings=[1]),
            made(timings_ms={"decode": "1"}),
            made(bytes_read=1 << 63),
            Reply({"op": "made"}, b""),
        ],
    )
    def test_what_cannot_be_true_is_refused_and_nothing_is_stored(self, folder, reply):
        pool = ScriptedPool(lambda lane, request: reply)
        _, records = walk(folder, sources(folder, {}), pool=pool)
        assert (records[1].status, records[1].error_code) == (QUARANTINED, "decoder_crash")
        assert "the decoder's process" in records[1].message
        assert not (folder / "out").exists()
        assert [lane.is_alone for lane in pool.leased] == [False, True]

    def test_keys_are_the_workers_own(self, folder):
        evil = made({"key": "../../evil.png", "format": "exe", "uri": "/etc/passwd"})
        _, records = walk(folder, sources(folder, {}), pool=ScriptedPool(lambda *_: evil))
        (artifact,) = records[1].artifacts
        assert artifact.uri.startswith(f"{folder}/out/")
        assert ".." not in artifact.uri
        assert artifact.format == "png"
        assert storage.get(artifact.uri) == b"png"
        assert not list(folder.rglob("evil*"))


def test_a_defect_of_ours_is_kept_to_its_entry(folder):
    def script(lane, request):
        if request["row"] == 2:
            raise RuntimeError("a defect")
        return made()

    _, records = walk(folder, sources(folder, {}, {}, {}), pool=ScriptedPool(script))
    assert [record.status for record in records.values()] == [OK, FAILED, OK]
    assert records[2].error_code == "internal_error"
    assert "RuntimeError: a defect" in records[2].message


def test_it_is_told_when_no_row_is_left(folder):
    """Before the last entry ends, but not before it was taken."""
    told, release = threading.Event(), threading.Event()

    def script(lane, request):
        assert request["row"] < 20 or release.wait(20)
        return made()

    pool = ScriptedPool(script)
    walk = new_walk(folder, sources(folder, *[{}] * 20), pool)
    with ThreadPoolExecutor(1) as executor:
        run = executor.submit(walk.run, last_taken=told.set)
        assert told.wait(20)
        assert len(pool.leased) >= 19
        assert not run.done()
        release.set()
        assert len(run.result(20)) == 20


def test_where_stores_are_far_away_more_is_under_way_than_there_are_lanes(folder):
    """As many as lanes is enough for files; an answer from afar is waited for beside others."""
    together = threading.Barrier(4)

    def script(lane, request):
        together.wait(20)
        return made()

    bucket = f"memory://{uuid.uuid4()}"
    rows = [Row(number, {"source": f"{bucket}/{number}"}) for number in range(1, 5)]
    for row in rows:
        storage.put(row.fields["source"], b"x")
    _, records = walk(folder, rows, pool=ScriptedPool(script))
    assert {record.status for record in records.values()} == {OK}


class TestBudget:
    def test_too_small_a_one_still_gets_somewhere(self, folder):
        pool = ScriptedPool(lambda *_: made())
        _, records = walk(folder, sources(folder, *[{}] * 20), pool=pool, shard_seconds=1e-6)
        statuses = [record.status for record in records.values()]
        assert 1 <= statuses.count(OK) <= pool.lanes
        assert statuses.count(OK) + statuses.count(DEFERRED) == 20

    def test_deferred_rows_were_not_tried(self, folder):
        pool = ScriptedPool(lambda *_: made())
        _, records = walk(folder, sources(folder, *[{}] * 9), pool=pool, shard_seconds=1e-6)
        record = records[9]
        assert (record.status, record.attempts, record.error_code) == (DEFERRED, 0, None)
        assert record.source.endswith("9.syn")

    def test_entries_that_end_their_lanes_use_it_up_too(self, folder):
        """Else a shard of hanging videos would take as long as all of them together."""

        def script(lane, request):
            raise LaneTimeoutError("took longer than 300 s")

        pool = ScriptedPool(script)
        _, records = walk(folder, sources(folder, *[{}] * 20), pool=pool, shard_seconds=1e-6)
        assert len(pool.leased) <= pool.lanes + 1
        statuses = [record.status for record in records.values()]
        # One lone retry happens whatever is left: else such an entry would be deferred for ever.
        assert statuses.count(QUARANTINED) == 1
        assert statuses.count(DEFERRED) == 19


class TestDrain:
    def test_no_entry_starts_after_it(self, folder):
        drain = Drain()
        drain.begin()
        pool = ScriptedPool(lambda *_: made())
        _, records = walk(folder, sources(folder, {}, {}), pool=pool, drain=drain)
        assert pool.leased == []
        assert {record.status for record in records.values()} == {DEFERRED}

    def test_entries_under_way_are_finished(self, folder):
        drain = Drain()

        def script(lane, request):
            drain.begin()
            time.sleep(0.05)
            return made()

        pool = ScriptedPool(script)
        _, records = walk(folder, sources(folder, *[{}] * 20), pool=pool, drain=drain)
        statuses = [record.status for record in records.values()]
        assert statuses.count(OK) == len(pool.leased) <= pool.lanes + shard._BESIDE_NEAR
        assert statuses.count(DEFERRED) == 20 - len(pool.leased)

    def test_those_that_take_too_long_are_dropped(self, folder, monkeypatch):
        monkeypatch.setattr(shard, "_WATCH_SECONDS", 0.02)
        drain = Drain()

        def script(lane, request):
            drain.begin()
            lane.hang()

        pool = ScriptedPool(script)
        began = time.monotonic()
        _, records = walk(
            folder, sources(folder, {}, {}, {}), pool=pool, drain=drain, drain_seconds=0.1
        )
        assert 0.1 <= time.monotonic() - began < 5
        assert {record.status for record in records.values()} == {DEFERRED}

    def test_a_lone_retry_is_dropped_too(self, folder, monkeypatch):
        monkeypatch.setattr(shard, "_WATCH_SECONDS", 0.02)
        drain = Drain()

        def script(lane, request):
            if not lane.is_alone:
                raise LaneCrashError("the decoder's process died of SIGSEGV")
            drain.begin()
            lane.hang()

        _, records = walk(
            folder, sources(folder, {}), pool=ScriptedPool(script), drain=drain, drain_seconds=0.1
        )
        assert records[1].status is DEFERRED

    def test_a_real_lane_is_dropped(self, folder, monkeypatch):
        monkeypatch.setattr(shard, "_WATCH_SECONDS", 0.02)
        drain = Drain()
        timer = threading.Timer(0.3, drain.begin)
        timer.start()
        rows = sources(folder, {"fault": "hang"}, {"fault": "spin"})
        began = time.monotonic()
        _, records = walk(folder, rows, drain=drain, drain_seconds=0.1)
        assert time.monotonic() - began < 60
        assert {record.status for record in records.values()} == {DEFERRED}


class TestBreaker:
    @pytest.fixture
    def denied(self, monkeypatch):
        def open_source(uri, **_):
            raise SourceDeniedError(f"cannot read {uri!r}: HTTP 403")

        monkeypatch.setattr(storage, "open_source", open_source)

    def test_one_cause_from_outside_gives_the_shard_up(self, folder, denied):
        made_walk, _ = walk(folder, sources(folder, *[{}] * 100), pool=ScriptedPool(None))
        assert isinstance(made_walk.blocked_by, SourceDeniedError)

    def test_it_does_not_take_many_entries_to_see(self, folder, monkeypatch):
        tried = []

        def put(uri, data, **_):
            tried.append(uri)
            raise DiskFullError("no space left")

        monkeypatch.setattr(storage, "put", put)
        pool = ScriptedPool(lambda *_: made())
        made_walk, _ = walk(folder, sources(folder, *[{}] * 100), pool=pool)
        assert isinstance(made_walk.blocked_by, DiskFullError)
        assert len(tried) <= 3 + pool.lanes

    @pytest.mark.parametrize("options", [{"is_final": True}, {"pause_seconds": 0}])
    def test_for_good_they_are_failed_records_that_may_be_retried(self, folder, denied, options):
        made_walk, records = walk(folder, sources(folder, *[{}] * 20), **options)
        assert made_walk.blocked_by is None
        assert {(each.status, each.error_code, each.retryable) for each in records.values()} == {
            (FAILED, "source_denied", True)
        }

    def test_causes_of_the_entries_do_not(self, folder, monkeypatch):
        def open_source(uri, **_):
            raise SourceNotFoundError(f"cannot read {uri!r}")

        monkeypatch.setattr(storage, "open_source", open_source)
        made_walk, records = walk(folder, sources(folder, *[{}] * 30))
        assert made_walk.blocked_by is None
        assert {record.error_code for record in records.values()} == {"source_not_found"}

    def test_a_few_among_many_do_not(self, folder, monkeypatch):
        real = storage.open_source

        def open_source(uri, **options):
            if int(uri.rpartition("/")[2].removesuffix(".syn")) % 4 == 0:
                raise SourceDeniedError("HTTP 403")
            return real(uri, **options)

        monkeypatch.setattr(storage, "open_source", open_source)
        rows = sources(folder, *[{}] * 40)
        made_walk, records = walk(folder, rows, pool=ScriptedPool(lambda *_: made()))
        assert made_walk.blocked_by is None
        assert [record.status for record in records.values()].count(FAILED) == 10
