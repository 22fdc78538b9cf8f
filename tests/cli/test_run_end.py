"""The end of a run: what it took beside what was estimated, line by line."""

import re

import pytest

from farm.cli.run_end import _hints, usage_lines
from farm.cli.usage_table import measured, table
from farm.history import Totals
from farm.ledger_growth import LedgerGrowth
from farm.prices import Prices, Usage
from farm.run import RunReport, RunState
from tests.test_estimate import flat

USED = Usage(
    entries=100,
    seconds=100.0,
    worker_seconds=200.0,
    lane_seconds=400.0,
    busy_seconds=390.0,
    bytes_read=2_500_000,
    requests=300,
    files=200,
    file_bytes=1_200_000,
    ledger_objects=12,
    ledger_bytes=90_000,
)
PRICES = Prices(currency="EUR", worker_hour=0.36, gb_month_stored=2.0)
TOLD = flat(means=(4.0, 3.9, 25_000.0, 3.0, 2.0, 12_000.0), workers=2, lanes=2.0,
            growth=LedgerGrowth(500, 1000.0, 100.0))  # fmt: skip


def cells(lines):
    """The table's cells by the name of the line."""
    rows = [re.split(r"\s{2,}", line) for line in lines if "  " in line]
    return {row[0]: row[1:] for row in rows}


def test_what_was_used_is_told_alone_where_nothing_was_estimated():
    said = cells(usage_lines(USED, None, Prices(), is_sample=False))
    assert said == {
        "": ["100 entries"],
        "time": ["1:40"],
        "worker hours": ["0.0556"],
        "lane hours": ["0.111"],
        "lane hours busy": ["0.108"],
        "bytes read": ["2.5 MB"],
        "requests": ["300"],
        "files written": ["200"],
        "bytes written": ["1.2 MB"],
        "ledger objects": ["12"],
        "ledger bytes": ["90 kB"],
    }


def test_prices_add_what_it_costs():
    said = cells(usage_lines(USED, None, PRICES, is_sample=False))
    assert said["cost"] == ["0.02 EUR"]
    assert said["a million entries"] == ["200.00 EUR"]
    assert said["kept for a month"] == ["0.00258 EUR"]


def test_a_sample_tells_of_all_rows_how_sure_it_is():
    lines = usage_lines(USED, TOLD, PRICES, is_sample=True)
    said = cells(lines)
    assert said[""] == ["100 entries", "all 1,000, estimated"]
    assert said["time"] == ["1:40", "16:40 (16:01 to 17:19)"]
    assert said["requests"] == ["300", "3,000"]  # they do not differ
    assert said["cost"] == ["0.02 EUR", "0.2 EUR (0.192 EUR to 0.208 EUR)"]
    assert said["a million entries"] == ["200.00 EUR", "200.00 EUR (192.20 EUR to 207.80 EUR)"]
    assert "from 100 entries, on 2 workers with 2 lanes each" in lines[-2]
    assert lines[-1] == "in brackets: 90 % intervals, as far as it is entries that differ"


def test_where_nobody_counted_the_rows_it_is_of_a_million():
    few = flat(rows=None)
    said = cells(usage_lines(USED, few, Prices(), is_sample=True))
    assert said[""] == ["100 entries", "a million, estimated"]
    assert said["time"][1].startswith("277:46:40 (")


def test_too_few_say_how_many_would_do():
    lines = usage_lines(USED, flat(sampled=20, lanes=16.0), Prices(), is_sample=True)
    assert cells(lines)["time"] == ["1:40", "1:02"]
    assert lines[-1] == "too few entries to tell how sure that is: --sample 64 or more"


def test_a_whole_run_stands_beside_what_was_estimated_for_as_many_entries():
    said = cells(usage_lines(USED, TOLD, PRICES, is_sample=False))
    assert said[""] == ["100 entries", "estimated before"]
    assert said["time"][1].startswith("1:40 (")
    assert said["files written"] == ["200", "200"]


def test_a_run_that_made_nothing_says_nothing():
    assert usage_lines(Usage(), None, PRICES, is_sample=False) == []
    assert usage_lines(Usage(), TOLD, PRICES, is_sample=False) == []
    (title, *_) = usage_lines(Usage(), TOLD, PRICES, is_sample=True)
    assert title.strip() == "all 1,000, estimated"


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (0.0, "0.00 EUR"),
        (0.000_04, "0.00000444 EUR"),
        (1234.5, "137.17 EUR"),
        (1e7, "1,111,111.11 EUR"),
    ],
)
def test_money_is_readable_at_any_size(price, said):
    prices = Prices(currency="EUR", worker_hour=price * 2, gb_month_stored=1.0)
    lines = list(table(prices, measured("", USED, prices)))
    assert cells(lines)["cost"] == [said]


@pytest.mark.parametrize(
    ("counts", "status", "is_retried"),
    [
        ({"failed": 1, "quarantined": 2}, "failed", True),
        ({"ok": 1, "quarantined": 2}, "quarantined", False),
    ],
)
def test_hints_lead_to_what_failed(counts, status, is_retried):
    hints = _hints(RunReport(RunState.DONE, Totals(counts=counts), "/l", "", 1.0))
    assert hints[0] == f"what failed:  farm ledger /l --status {status}"
    assert any("--retry-failed" in hint for hint in hints) is is_retried
