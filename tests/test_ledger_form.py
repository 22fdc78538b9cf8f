"""Forms: what an older farm began is gone on with, each object of a newer one is refused.

The ledgers of both are made by hand here, as those farms would have written them.
"""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import farm
from farm import ledger_form, storage
from farm.errors import RunConflictError
from farm.history import final_records, totals
from farm.ledger import PassReason
from farm.options import RunOptions
from farm.passes import Passes
from farm.record import Record, Status, record_schema
from tests.recipes import commit_all, make_job, make_ledger, records_by_row, write_manifest

ROWS = 30


@pytest.fixture
def folder(tmp_path):
    rows = ({"source": f"{n}.syn"} for n in range(1, ROWS + 1))
    write_manifest(tmp_path / "list.jsonl", rows)
    return tmp_path


def parquet(rows, schema):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, compression="zstd")
    return buffer.getvalue()


def begun_by_version_1(folder):
    """A pass with its first shard planned and committed, as thumbfarm 0.1.0 left it at a kill."""
    ledger, job = make_ledger(folder), make_job(folder)
    planner = Passes(ledger, job, RunOptions()).next_planner()
    head = json.loads(storage.get(f"{ledger.uri}/pass-0001/pass.json"))
    assert planner.number == 1
    head |= {"schema_version": 1, "farm_version": "0.1.0"}
    storage.put(f"{ledger.uri}/pass-0001/pass.json", json.dumps(head).encode())
    fields = [json.dumps({"source": f"{folder}/{n}.syn"}) for n in range(1, 17)]
    schema = pa.schema([("number", pa.int64()), ("fields", pa.string()), ("error", pa.string())])
    rows = [{"number": n, "fields": each, "error": None} for n, each in enumerate(fields, 1)]
    part = parquet(rows, schema)
    storage.put(f"{ledger.uri}/pass-0001/plan/part-000000.n0001.parquet", part)
    done = [Record(n, Status.OK, source=f"{n}.syn").to_row() for n in range(1, 17)]
    storage.put(
        f"{ledger.uri}/pass-0001/results/000000-0000.parquet", parquet(done, record_schema())
    )
    return ledger, job


def written_by_a_newer_farm(data):
    """The object in a form of the future."""
    stamp = {"schema_version": 3, "farm_version": "9.0"}
    if data.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(data))
        stamped = {f"thumbfarm.{name}": str(value) for name, value in stamp.items()}
        stamped["thumbfarm.version"] = "9.0"
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(stamped), buffer)
        return buffer.getvalue()
    return json.dumps(json.loads(data) | stamp).encode()


class TestOlder:
    def test_a_run_is_gone_on_with(self, folder):
        ledger, job = begun_by_version_1(folder)
        planner = Passes(ledger, job, RunOptions()).next_planner()
        assert (planner.number, planner.is_planned()) == (1, False)
        done = commit_all(planner)
        assert done == list(range(1, ROWS + 1))
        assert sorted(records_by_row(final_records(ledger))) == list(range(1, ROWS + 1))
        assert totals(ledger).counts == {"ok": ROWS}
        assert [one.schema_version for one in ledger.passes()] == [1]
        assert Passes(ledger, job, RunOptions()).next_planner() is None

    def test_one_that_it_finished_stays_finished(self, folder):
        ledger, job = begun_by_version_1(folder)
        head = f"{ledger.uri}/pass-0001"
        storage.put(f"{head}/plan.json", b'{"parts": 1, "rows": 16, "carried": 0}')
        storage.put(f"{head}/done.json", b'{"deferred": 0}')
        assert (ledger.read_seal(1).rows, ledger.deferred(1)) == (16, 0)
        assert Passes(ledger, job, RunOptions()).next_planner() is None

    def test_what_is_added_says_its_own_version(self, folder):
        ledger, job = begun_by_version_1(folder)
        storage.delete(f"{ledger.uri}/pass-0001/results/000000-0000.parquet")
        commit_all(Passes(ledger, job, RunOptions()).next_planner())
        (ref, *_) = ledger.shards(1, ledger.parts(1))
        stamp = ledger.results(ref).schema.metadata
        assert stamp[b"thumbfarm.schema_version"] == b"2"
        assert stamp[b"thumbfarm.version"] == farm.__version__.encode()
        for name in ("plan", "done"):
            said = json.loads(storage.get(f"{ledger.uri}/pass-0001/{name}.json"))
            assert (said["schema_version"], said["farm_version"]) == (2, farm.__version__)


OBJECTS = {
    "pass.json": lambda ledger, ref: ledger.passes(),
    "plan.json": lambda ledger, ref: ledger.read_seal(1),
    "done.json": lambda ledger, ref: ledger.deferred(1),
    "plan/part-000000.n0002.parquet": lambda ledger, ref: ledger.read_shard(ref),
    "results/000000-0001.parquet": lambda ledger, ref: list(ledger.tables(1)),
}


class TestNewer:
    @pytest.mark.parametrize("name", OBJECTS)
    def test_each_object_is_refused_with_who_wrote_it_and_what_to_do(self, folder, name):
        ledger = make_ledger(folder)
        commit_all(Passes(ledger, make_job(folder), RunOptions()).next_planner())
        ref = ledger.shards(1, ledger.parts(1))[0]
        uri = f"{ledger.uri}/pass-0001/{name}"
        storage.put(uri, written_by_a_newer_farm(storage.get(uri)))
        message = (
            rf"{name} was written by thumbfarm 9\.0 in ledger schema 3; this is thumbfarm .*, "
            r"which reads 1 to 2: go on with thumbfarm 9\.0 or a later one, .* use another ledger"
        )
        with pytest.raises(RunConflictError, match=message):
            OBJECTS[name](make_ledger(folder), ref)

    def test_a_pass_of_a_kind_that_is_not_known_yet(self, folder):
        ledger = make_ledger(folder)
        newer = {"schema_version": 3, "farm_version": "9.0", "reason": "dreamt", "more": 1}
        storage.put(f"{ledger.uri}/pass-0001/pass.json", json.dumps(newer).encode())
        with pytest.raises(RunConflictError, match=r"thumbfarm 9\.0"):
            Passes(ledger, make_job(folder), RunOptions()).next_planner()

    @pytest.mark.parametrize("version", [None, 0, "2", 2.0])
    def test_versions_that_make_no_sense(self, version):
        data = json.dumps({"schema_version": version}).encode()
        with pytest.raises(RunConflictError, match="of an unknown version in ledger schema"):
            ledger_form.read_json(data, "pass.json")


def test_a_run_of_today_is_what_it_says(folder):
    ledger = make_ledger(folder)
    commit_all(Passes(ledger, make_job(folder), RunOptions()).next_planner())
    (one,) = ledger.passes()
    assert (one.reason, one.schema_version) == (PassReason.NEW, ledger_form.SCHEMA_VERSION)
