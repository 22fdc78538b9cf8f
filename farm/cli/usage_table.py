"""What a run took and what a whole manifest will take, as a table, line by line the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from farm.cli.screen import duration_text, money_text
from farm.estimate import Estimate
from farm.prices import Prices, Usage, cost_of
from farm.wording import size_text

_MILLION = 1_000_000
_HOUR_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Line:
    """A figure, how it follows from a usage, and how it is written."""

    name: str
    of: Callable[[Usage], float]
    text: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Column:
    """One side of the table."""

    title: str
    cells: list[str]


def measured(title: str, used: Usage, prices: Prices) -> Column:
    """What was used."""
    return Column(title, [line.text(line.of(used)) for line in _lines(prices)])


def estimated(title: str, estimate: Estimate, entries: int, prices: Prices) -> Column:
    """What so many entries will take, with intervals where there are any."""
    return Column(title, [_cell(line, estimate, entries) for line in _lines(prices)])


def table(prices: Prices, *columns: Column) -> Iterator[str]:
    """The columns beside each other, with the names of their lines."""
    names = [line.name for line in _lines(prices)]
    rows = [("", *(column.title for column in columns))]
    rows += zip(names, *(column.cells for column in columns), strict=True)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _cell(line: _Line, estimate: Estimate, entries: int) -> str:
    figure = estimate.figure(line.of, entries)
    value = line.text(figure.value)
    if figure.interval is None:
        return value
    low, high = map(line.text, figure.interval)
    return value if low == high else f"{value} ({low} to {high})"


def _lines(prices: Prices) -> list[_Line]:
    money = partial(money_text, currency=prices.currency)
    priced = [
        _Line("cost", lambda used: cost_of(used, prices).total, money),
        _Line("a million entries", lambda used: _of_a_million(used, prices), money),
        _Line("kept for a month", lambda used: cost_of(used, prices).stored_month, money),
    ]
    return [*_LINES, *(priced if prices.are_given else ())]


def _of_a_million(used: Usage, prices: Prices) -> float:
    return cost_of(used, prices).total / used.entries * _MILLION if used.entries else 0.0


def _count_text(count: float) -> str:
    return f"{count:,.0f}"


def _hours_text(seconds: float) -> str:
    hours = seconds / _HOUR_SECONDS
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


_LINES = (
    _Line("time", lambda used: used.seconds, duration_text),
    _Line("worker hours", lambda used: used.worker_seconds, _hours_text),
    _Line("lane hours", lambda used: used.lane_seconds, _hours_text),
    _Line("lane hours busy", lambda used: used.busy_seconds, _hours_text),
    _Line("bytes read", lambda used: used.bytes_read, size_text),
    _Line("requests", lambda used: used.requests, _count_text),
    _Line("files written", lambda used: used.files, _count_text),
    _Line("bytes written", lambda used: used.file_bytes, size_text),
    _Line("ledger objects", lambda used: used.ledger_objects, _count_text),
    _Line("ledger bytes", lambda used: used.ledger_bytes, size_text),
)
