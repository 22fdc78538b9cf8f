"""Writes a report: a page with figures and plots, its style and script, and the gallery's data."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import farm
from farm import storage
from farm.errors import InvalidJobError
from farm.ledger import Ledger
from farm.report import words
from farm.report.cure import cure_of, meaning_of
from farm.report.figures import OTHER, Figures
from farm.report.gallery import INDEX_ENTRIES, PAGE_ENTRIES, Gallery, write_gallery
from farm.report.histogram import DurationHistogram
from farm.report.job_facts import JobFacts, job_facts
from farm.report.plots import (
    PERCENTILES,
    percentile_name,
    plot_latencies,
    plot_rates,
    plot_stages,
)
from farm.report.record_spool import Group, RecordSpool, spooled
from farm.report.sample import by_code, quotas, spread
from farm.report.stored_files import StoredFiles
from farm.wording import size_text

_GENERATOR = "thumbfarm report"
_HEAD_BYTES = 4096
_MOST_STEPS = 120
_MOST_ENGINES = 8
_ASSETS = {
    "report.css": "text/css",
    "report.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}


def _everything(table: pa.Table) -> pa.Table:
    return table


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What is shown: the records that `choose` leaves, at most `limit` of them in the gallery.

    With `copy` the files that are shown are copied into the report's folder.
    """

    choose: Callable[[pa.Table], pa.Table] = _everything
    limit: int | None = 3000
    copy: bool = False
    selection: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written: its page, and what there is to say about it.

    `unlinked` files lie where no browser could open them from there; `missing` ones could not be
    copied.
    """

    uri: str
    entries: int
    shown: int
    unlinked: int
    copied: int
    missing: int


def write_report(ledger: Ledger, folder: str, options: ReportOptions) -> Written:
    """Writes the report on a ledger into a folder, a URI, over an earlier one.

    Reads the ledger once, takes no lease and holds no more than some hundred records in memory.
    Raises InvalidJobError where the folder holds another page, StoreError where it cannot be
    written.
    """
    check_folder(folder)
    figures = Figures()
    files = StoredFiles(folder, copy=options.copy)
    with spooled(ledger, choose=options.choose, watch=figures.add) as spool:
        gallery = write_gallery(_shown(spool, figures, options.limit), folder, files)
    page = _render(job_facts(ledger), figures, gallery, options, earlier=spool.earlier)
    for name, kind in _ASSETS.items():
        data = resources("farm.report").joinpath("static", name).read_bytes()
        storage.put(storage.join(folder, name), data, content_type=kind)
    uri = storage.join(folder, "index.html")
    storage.put(uri, page.encode(), content_type="text/html; charset=utf-8")
    return Written(
        uri, figures.entries, gallery.entries, files.unlinked, files.copied, files.missing
    )


def check_folder(folder: str) -> None:
    """Raises InvalidJobError where there is a page that is no report."""
    uri = storage.join(folder, "index.html")
    if storage.exists(uri) and _GENERATOR.encode() not in storage.get(uri)[:_HEAD_BYTES]:
        raise InvalidJobError(
            f"--to: expected a folder without a page, or with an earlier report; {uri} is "
            "something else"
        )


def _shown(spool: RecordSpool, figures: Figures, limit: int | None) -> Iterator[dict[str, Any]]:
    """The records of the gallery: failures first, then what is done, then what is left."""
    quota = quotas(spool.counts, limit)
    failed = by_code(spool.records(Group.FAILED), figures.codes, quota[Group.FAILED])
    others = (
        spread(spool.records(group), spool.counts[group], quota[group])
        for group in (Group.DONE, Group.DEFERRED)
    )
    return itertools.chain(failed, *others)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("farm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size_text,
        "took": words.took_text,
        "rate": words.rate_text,
        "visible": words.visible,
        "meaning": meaning_of,
        "cure": cure_of,
    }
    return environment


def _render(
    job: JobFacts, figures: Figures, gallery: Gallery, options: ReportOptions, *, earlier: int
) -> str:
    now = time.time()
    return (
        _environment()
        .get_template("index.html")
        .render(
            generator=f"{_GENERATOR} {farm.__version__}",
            made=words.clock_text(now),
            stamp=f"{int(now * 1000):x}",
            job=job,
            figures=figures,
            earlier=earlier,
            facts=_facts(figures),
            plots=list(_plots(figures)),
            tables=_tables(figures),
            names=[percentile_name(share) for share in PERCENTILES],
            gallery=gallery,
            options={name: _choices(name, gallery, job) for name in gallery.facets},
            page_entries=PAGE_ENTRIES,
            index_entries=INDEX_ENTRIES,
            selection=options.selection,
        )
    )


def _facts(figures: Figures) -> list[tuple[str, str, str]]:
    """The figures at the top: what, how much, and a word on it."""
    busy = figures.begun.busy_seconds
    done, spent = figures.statuses["ok"], figures.spent_ms
    retried = f"{figures.retried:,} tried twice or more" if figures.retried else ""
    return [
        ("entries", f"{figures.entries:,}", retried),
        ("done", f"{done:,}", _share(done, figures.entries)),
        ("failed", f"{figures.failures:,}", _share(figures.failures, figures.entries)),
        ("files", f"{figures.files:,}", size_text(figures.bytes_written)),
        ("read", size_text(figures.bytes_read), ""),
        (
            "entries/s",
            words.rate_text(figures.begun.count / busy) if busy else "-",
            f"in {words.took_text(busy * 1000)} of work" if busy else "",
        ),
        ("time an entry", words.took_text(spent / done) if done else "-", "mean of those done"),
    ]


def _share(count: int, whole: int) -> str:
    return f"{100 * count / whole:.3g} %" if whole else ""


def _plots(figures: Figures) -> Iterator[Markup]:
    rates = figures.begun.rates(_MOST_STEPS)
    if rates is not None:
        yield plot_rates(rates)
    if any(each.count for each in figures.stages.values()):
        yield plot_stages(figures.stages)
    if latencies := _latencies(figures):
        yield plot_latencies(latencies)


def _latencies(figures: Figures) -> dict[str, DurationHistogram]:
    """The engines with most entries."""
    found = sorted(figures.latencies.items(), key=lambda pair: -pair[1].count)
    return {name: each for name, each in found[:_MOST_ENGINES] if each.count}


def _tables(figures: Figures) -> list[tuple[str, list[tuple[str, DurationHistogram]]]]:
    stages = [(name, each) for name, each in figures.stages.items() if each.count]
    return [("engine", list(_latencies(figures).items())), ("stage", stages)]


def _choices(name: str, gallery: Gallery, job: JobFacts) -> list[tuple[str, str, int]]:
    """What a filter offers: value, words, and how many entries have it."""
    found = [pair for pair in gallery.facets[name].most_common() if pair[0] != OTHER]
    if name != "output":
        return [(value, value, count) for value, count in found]
    labels = dict(enumerate(job.outputs))
    return [
        (value, f"{value}: {labels.get(int(value), '')}".rstrip(": "), count)
        for value, count in sorted(found, key=lambda pair: int(pair[0]))
    ]
