"""Figures are what the records say, however they are cut into tables."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from farm.record import Record, Status, record_schema
from farm.report.figures import Figures
from farm.report.histogram import DurationHistogram
from tests.report.ledgers import BEGAN, done, failed, picture


def _figures(records: list[Record], *, cut: int = 1000) -> Figures:
    figures = Figures()
    for at in range(0, len(records), cut):
        rows = [record.to_row() for record in records[at : at + cut]]
        figures.add(pa.Table.from_pylist(rows, record_schema()))
    return figures


def _counts(histograms: dict[str, DurationHistogram]) -> dict[str, int]:
    return {name: each.count for name, each in histograms.items()}


@pytest.mark.parametrize("cut", [1, 2, 1000])
def test_counts_and_sums(cut: int) -> None:
    records = [
        done(1, picture("/a.jpg"), picture("/b.jpg"), warnings=("salvaged", "decoder: x")),
        done(2, engine="pillow", warnings=("decoder: y", "decoder: z"), attempts=2),
        failed(3, "corrupt"),
        replace(failed(4, "timeout"), status=Status.QUARANTINED),
        Record(5, Status.DEFERRED, attempts=0),
    ]
    figures = _figures(records, cut=cut)
    assert figures.entries == 5
    assert figures.failures == 2
    assert figures.statuses == {"ok": 2, "failed": 1, "quarantined": 1, "deferred": 1}
    assert figures.codes == {"corrupt": 1, "timeout": 1}
    assert figures.engines == {"pyav": 1, "pillow": 1}
    assert figures.warnings == {"salvaged": 1, "decoder": 2}
    assert (figures.files, figures.bytes_written, figures.bytes_read) == (2, 1000, 4000)
    assert figures.retried == 1
    assert figures.spent_ms == pytest.approx(120)
    assert {name: each.count for name, each in figures.latencies.items()} == {
        "pyav": 1,
        "pillow": 1,
    }
    assert figures.latencies["pyav"].quantile(0.5) == pytest.approx(60)
    rates = figures.begun.rates(10)
    assert rates is not None
    assert rates.start == BEGAN + 1
    assert figures.begun.count == 4


def test_stages_that_were_not_reached_do_not_count() -> None:
    figures = _figures([done(1, timings_ms={"decode": 7.0}), done(2, timings_ms={})])
    assert {name: each.count for name, each in figures.stages.items() if each.count} == {
        "decode": 1
    }
    assert figures.latencies["pyav"].count == 2


def test_invented_names_are_bounded() -> None:
    records = [done(row, engine=f"engine-{row}", warnings=(f"w{row}",)) for row in range(500)]
    figures = _figures(records, cut=100)
    for names in (figures.engines, figures.warnings):
        assert len(names) <= 65
        assert names.total() == 500
        assert names["other"] >= 430
    assert len(figures.latencies) <= 65
    assert sum(each.count for each in figures.latencies.values()) == 500


def test_times_that_a_lane_made_up_do_no_harm() -> None:
    timings = {"decode": float("nan"), "open": float("inf"), "resize": -5.0, "encode": 2.0}
    figures = _figures([done(1, timings_ms=timings, started=float("nan"))])
    assert np.isfinite(figures.spent_ms)
    assert figures.begun.rates(10) is None


def test_nothing_gives_nothing() -> None:
    figures = _figures([])
    figures.add(record_schema().empty_table())
    assert (figures.entries, figures.spent_ms) == (0, 0)
