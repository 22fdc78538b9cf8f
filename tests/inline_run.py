"""A whole run in this process, through real lanes: for tests of what comes after a run."""

from pathlib import Path
from typing import Any

import pytest

from farm import worker
from farm.cluster.inline import InlineCluster
from farm.history import final_records
from farm.ledger import Ledger
from farm.options import RunOptions
from farm.record import Record
from farm.run import Progress, RunState, Stop, run_job
from farm.settings import Settings
from farm.spec import Job
from tests.lanes import shared_pool
from tests.recipes import make_ledger


class Silent:
    """An observer that keeps nothing."""

    def progressed(self, progress: Progress) -> None: ...

    def noticed(self, message: str, **_: Any) -> None: ...

    def settled(self, outcome: Any) -> None: ...


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets runs of this process share the lanes of all tests, which stay open between them."""
    monkeypatch.setattr(shared_pool(), "close", lambda: None)
    monkeypatch.setattr(worker, "LanePool", lambda **_: shared_pool())


def run_inline(folder: Path, job: Job, **options: Any) -> Ledger:
    """Carries out a job of `make_job` to its end, and gives its ledger."""
    ledger = make_ledger(folder) if job.ledger is None else Ledger(job.ledger, worker.storage)
    report = run_job(
        job,
        ledger,
        cluster=lambda: InlineCluster(Settings()),
        options=RunOptions(**options),
        observer=Silent(),
        stop=Stop(),
    )
    assert report.state is RunState.DONE, report.reason
    return ledger


def newest_records(ledger: Ledger) -> dict[int, Record]:
    """The newest record of each row."""
    return {record.row: record for record in final_records(ledger)}
