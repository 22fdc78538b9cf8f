"""The gallery's data: entries and an index of them, cut into scripts that are loaded on demand.

Scripts, because pages that were opened from a file may not fetch, but may load scripts.
"""

import collections
import itertools
import json
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from farm import storage
from farm.report.entry_view import entry_view, facets_of, total_ms, words_of
from farm.report.figures import count_names
from farm.report.stored_files import StoredFiles, stale_files

PAGE_ENTRIES = 100
INDEX_ENTRIES = 5000

# Mostly they wait for the store.
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Gallery:
    """What was written: how many entries, and how often each value comes that they are found by."""

    entries: int
    facets: dict[str, collections.Counter[str]]


def write_gallery(records: Iterable[dict[str, Any]], folder: str, files: StoredFiles) -> Gallery:
    """Writes the records, in their order, as `data/entries-*.js` and `data/index-*.js`.

    In memory are the records of one page, and of the index that is being written some words each.
    """
    facets: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    index: list[str] = []
    indexes = entries = pages = 0
    stream = iter(records)
    with ThreadPoolExecutor(_THREADS, "farm-report") as threads:
        while page := list(itertools.islice(stream, PAGE_ENTRIES)):
            _write_page(page, pages, folder, files, threads)
            for record in page:
                found = facets_of(record)
                for name, values in found.items():
                    count_names(facets[name], values)
                about = [total_ms(record), record["row"], words_of(record)]
                # As text, which takes a tenth of what the lists do.
                index.append(_json([*found.values(), *about]))
            pages += 1
            entries += len(page)
            if len(index) >= INDEX_ENTRIES:
                _put(folder, "index", indexes, index)
                indexes, index = indexes + 1, []
    if index:
        _put(folder, "index", indexes, index)
        indexes += 1
    for uri in list(stale_files(folder, entries=pages, indexes=indexes)):
        storage.delete(uri)
    return Gallery(entries, dict(facets))


def _write_page(
    page: list[dict[str, Any]], number: int, folder: str, files: StoredFiles, threads: Executor
) -> None:
    views = list(threads.map(lambda record: entry_view(record, files.link_to), page))
    files.settle(threads)
    _put(folder, "entries", number, map(_json, views))


def _put(folder: str, kind: str, number: int, items: Iterable[str]) -> None:
    name = f"{kind}-{number:05d}"
    script = f'thumbfarmReport.take("{name}",[{",".join(items)}]);\n'
    uri = storage.join(folder, f"data/{name}.js")
    storage.put(uri, script.encode("ascii"), content_type="text/javascript")


def _json(value: Any) -> str:
    """In ASCII, so that no server's idea of an encoding matters."""
    return json.dumps(value, separators=(",", ":"))
