"""Waste: what lies at the destination and in the ledger and is of no use any more.

Conservative throughout: only what the farm surely made, only what is surely replaced. Passes older
than the newest one over a whole manifest are looked at only if that one is finished and carried
nothing over, so that all that the job asks for is in its own records. Of each older pass a shard
goes when every entry that it did was done again by the newest passes; oldest pass first, up to the
first one of which something stays. Else a record might come to stand again that a pass between
had replaced.
"""

import itertools
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from farm import storage
from farm.audit import THREADS, read_hash
from farm.errors import SourceError
from farm.history import chain
from farm.ledger import Ledger, Pass, ShardRef
from farm.record import Status
from farm.standing import carried, standing_tables
from farm.storage.local import temporary_files
from farm.storage.location import parse

# What another job may still be writing is younger.
_TEMPORARY_AGE_SECONDS = 86_400.0
_ENTRY_COLUMNS = ["status", "source", "id"]


class WasteKind(StrEnum):
    """What a wasted object is.

    `temporary`: half of a file, of a writer that died. `mark`: of a pass that is over. `records`:
    of a pass that was replaced. `picture`: a file that only such records name.
    """

    TEMPORARY = "temporary"
    MARK = "mark"
    RECORDS = "records"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Waste:
    """One object that nothing needs."""

    kind: WasteKind
    uri: str
    size_bytes: int


def why_older_passes_stay(ledger: Ledger) -> str | None:
    """Why nothing of older passes can go at present, for people; None where it may."""
    passes = ledger.passes()
    root, last = chain(passes)[0], passes[-1]
    if root is passes[0]:
        return None
    if ledger.deferred(last.number) != 0:
        return f"pass {last.number} is not finished"
    if count := carried(ledger, root):
        return f"pass {root.number} carried {count:,} entries over from older ones"
    return None


def find_waste(ledger: Ledger, destination: str | None) -> Iterator[Waste]:
    """What may go, in the order in which it must; the caller holds the ledger's lease.

    Takes 16 bytes of memory for each entry of the newest passes, and 8 for each of their files.
    """
    yield from _temporaries(ledger.uri, destination)
    passes = ledger.passes()
    for one in passes:
        if one is not passes[-1] or ledger.deferred(one.number) is not None:
            listed = _objects(ledger, one, "marks")
            yield from (Waste(WasteKind.MARK, each.uri, each.size) for each in listed)
    if why_older_passes_stay(ledger) is None:
        current = chain(passes)
        yield from _replaced(ledger, passes[: len(passes) - len(current)], current)


def remove(found: Iterable[Waste]) -> Iterator[Waste]:
    """Deletes what was found, and yields what is gone; raises a StoreError where that fails.

    Records go before their pictures: what nobody tells of any more nobody takes for done.
    """
    with ThreadPoolExecutor(THREADS, "farm-waste") as threads:
        under_way: list[tuple[Waste, Future[None]]] = []
        for waste in found:
            if waste.kind is WasteKind.RECORDS or len(under_way) >= THREADS:
                yield from _settle(under_way)
                under_way = []
            under_way.append((waste, threads.submit(storage.delete, waste.uri)))
            if waste.kind is WasteKind.RECORDS:
                yield from _settle(under_way)
                under_way = []
        yield from _settle(under_way)


def _settle(under_way: list[tuple[Waste, Future[None]]]) -> Iterator[Waste]:
    for waste, deleted in under_way:
        deleted.result()
        yield waste


def _temporaries(ledger: str, destination: str | None) -> Iterator[Waste]:
    folders = {destination, ledger} - {None}
    if destination is not None and ledger.startswith(f"{destination.rstrip('/')}/"):
        folders.remove(ledger)
    for place in (parse(uri) for uri in sorted(filter(None, folders))):
        if place.scheme != "file":
            continue  # other stores keep nothing half-written under a name
        for listed in temporary_files(place.path):
            if time.time() - (listed.mtime or 0.0) > _TEMPORARY_AGE_SECONDS:
                yield Waste(WasteKind.TEMPORARY, listed.uri, listed.size)


def _objects(ledger: Ledger, one: Pass, folder: str) -> Iterator[storage.Listed]:
    return storage.list_files(storage.join(ledger.uri, f"pass-{one.number:04d}/{folder}/"))


@dataclass(frozen=True, slots=True)
class _Doomed:
    """The results objects of one older pass that may go; with all of them its plan goes too."""

    one: Pass
    results: list[storage.Listed]
    is_whole: bool


def _replaced(ledger: Ledger, earlier: list[Pass], current: list[Pass]) -> Iterator[Waste]:
    if not earlier:
        return
    doomed = list(_doomed(ledger, earlier))
    gone = {listed.uri for each in doomed for listed in each.results}
    named = _named_files(ledger, [*earlier, *current], gone)
    with ThreadPoolExecutor(THREADS, "farm-waste-check") as threads:
        for each in doomed:
            for listed in each.results:
                table = ledger.results(_ref(ledger, each.one, listed.uri), ["artifacts"])
                pictures = [_ for _ in _pictures(table) if not _is_in(hash(_["uri"]), named)]
                # Looked at before anything tells that they may go.
                ours = list(threads.map(_is_ours, pictures))
                yield Waste(WasteKind.RECORDS, listed.uri, listed.size)
                for picture in itertools.compress(pictures, ours):
                    yield Waste(WasteKind.PICTURE, picture["uri"], picture["size_bytes"])
            if each.is_whole:
                plan = _objects(ledger, each.one, "plan")
                yield from (Waste(WasteKind.RECORDS, _.uri, _.size) for _ in plan)


def _doomed(ledger: Ledger, earlier: list[Pass]) -> Iterator[_Doomed]:
    """What may go of the older passes, from the oldest on."""
    newest = _Counts(table for _, table in standing_tables(ledger, _ENTRY_COLUMNS))
    for one in earlier:
        results = list(_objects(ledger, one, "results"))
        older = _Counts(ledger.tables(one.number, _ENTRY_COLUMNS))
        may_go = []
        for listed in results:
            table = ledger.results(_ref(ledger, one, listed.uri), _ENTRY_COLUMNS)
            if newest.cover(older, table):
                may_go.append(listed)
        is_whole = len(may_go) == len(results)
        yield _Doomed(one, may_go, is_whole)
        if not is_whole:
            return


class _Counts:
    """How often each source with its id was done: 16 bytes of memory for each."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        keys = [_entry_keys(table) for table in tables]
        joined = np.concatenate([np.empty(0, np.int64), *keys])
        self._keys, self._counts = np.unique(joined, return_counts=True)

    def of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts of some, int64 [N]."""
        if not self._keys.size:
            return np.zeros(keys.size, np.int64)
        places = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        return np.where(self._keys[places] == keys, self._counts[places], 0)

    def cover(self, older: "_Counts", table: pa.Table) -> bool:
        """Whether all that a table of older records did was done as often as then.

        Rows may share a source and an id and differ in their outputs: fewer of them than then may
        mean that one was left out.
        """
        keys = _entry_keys(table)
        return bool(np.all(self.of(keys) >= older.of(keys)))


def _entry_keys(table: pa.Table) -> NDArray[np.int64]:
    """One number for each record that ended well, of its source and id."""
    done = table.filter(pc.equal(table["status"], Status.OK.value))
    pairs = zip(done["source"].to_pylist(), done["id"].to_pylist(), strict=True)
    return np.fromiter(map(hash, pairs), np.int64, done.num_rows)


def _named_files(ledger: Ledger, passes: list[Pass], gone: set[str]) -> NDArray[np.int64]:
    """The hashes of all files that records name which stay, in order; 8 bytes of memory each.

    Where two have one hash, a file stays that might go.
    """
    found = [np.empty(0, np.int64)]
    for one in passes:
        for listed in _objects(ledger, one, "results"):
            if listed.uri not in gone:
                table = ledger.results(_ref(ledger, one, listed.uri), ["artifacts"])
                uris = [each["uri"] for each in _pictures(table)]
                found.append(np.fromiter(map(hash, uris), np.int64, len(uris)))
    return np.unique(np.concatenate(found))


def _pictures(table: pa.Table) -> list[dict[str, Any]]:
    return [each for artifacts in table["artifacts"].to_pylist() for each in artifacts]


def _is_in(key: int, keys: NDArray[np.int64]) -> bool:
    place = int(np.searchsorted(keys, key))
    return place < keys.size and int(keys[place]) == key


def _is_ours(artifact: dict[str, Any]) -> bool:
    """Whether a file is, byte for byte, what its record tells of: else somebody else's by now."""
    try:
        found = storage.stat(artifact["uri"])
        if found.size != artifact["size_bytes"]:
            return False
        sha256 = found.sha256 or read_hash(artifact["uri"])[1]
    except SourceError:
        return False
    return bool(sha256 == artifact["sha256"])


def _ref(ledger: Ledger, one: Pass, uri: str) -> ShardRef:
    """The shard whose results an object holds."""
    part, _, index = uri.rpartition("/")[2].removesuffix(".parquet").partition("-")
    return ShardRef(ledger.uri, one.number, int(part), 0, int(index))
