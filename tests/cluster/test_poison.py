"""An entry that kills whole workers costs a few of them, and is found: the run ends well."""

import dask
import pytest

from farm.cluster.dask import DaskCluster
from farm.history import final_records
from farm.options import RunOptions
from farm.record import Status
from farm.run import RunState, Stop, run_job
from farm.settings import Settings
from tests.cluster.test_beside import Silent
from tests.recipes import make_job, make_ledger, records_by_row, write_manifest, write_source

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SETTINGS = Settings(lanes=2, lane_memory_bytes=256 << 20)


@pytest.fixture
def cluster():
    with dask.config.set({"distributed.worker.preload": ["tests.cluster.poison"]}):
        cluster = DaskCluster(SETTINGS, workers=1)
        yield cluster
        cluster.close()


def test_it_is_quarantined_and_all_others_are_made(cluster, tmp_path):
    names = [*(f"{n}.syn" for n in range(1, 4)), "poison.syn", *(f"{n}.syn" for n in range(5, 13))]
    for name in names:
        write_source(tmp_path / name)
    write_manifest(tmp_path / "list.jsonl", ({"source": name} for name in names))
    job = make_job(tmp_path, settings={"shard_entries": 4})
    report = run_job(
        job,
        make_ledger(tmp_path),
        cluster=lambda: cluster,
        options=RunOptions(),
        observer=Silent(),
        stop=Stop(),
    )
    assert (report.state, report.reason) == (RunState.DONE, "")
    assert report.totals.counts == {"ok": 11, "quarantined": 1}
    found = records_by_row(final_records(make_ledger(tmp_path)))
    assert found[4].status is Status.QUARANTINED
    assert found[4].error_code == "decoder_crash"
    assert found[4].message.startswith(f"{tmp_path}/poison.syn: the workers of ")
    assert len(make_ledger(tmp_path).passes()) == 1
