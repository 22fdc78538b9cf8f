"""The audit: whether the files that the records tell of are there, and what they were."""

import collections
import hashlib
import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from farm import storage
from farm.errors import SourceError, SourceNotFoundError, SourceUnavailableError
from farm.ledger import Ledger
from farm.standing import standing_tables

# Mostly they wait for the store.
THREADS = 32
_AHEAD = 4 * THREADS
_READ_BYTES = 1 << 20
# So many entries in a row without an answer: it is the store, not the files.
_MOST_UNREADABLE = 100


class FaultKind(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Fault:
    """One file that is not what its record says."""

    kind: FaultKind
    uri: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One entry whose files were looked at; `pass_number` is of the pass that has its record."""

    pass_number: int
    row: int
    id: str
    source: str
    files: int
    size_bytes: int
    faults: tuple[Fault, ...]

    @property
    def is_damaged(self) -> bool:
        """Whether a file is missing or changed; one that cannot be read may be whole."""
        return any(fault.kind is not FaultKind.UNREADABLE for fault in self.faults)


def audit(ledger: Ledger, *, with_hash: bool = False) -> Iterator[Checked]:
    """Looks at the files of all records that stand, newest pass first, many entries at once.

    By size, and by the SHA-256 that the store keeps beside a file; with `with_hash` by reading it.
    Raises SourceUnavailableError where the files of many entries in a row cannot be read.
    """
    silent = 0
    with ThreadPoolExecutor(THREADS, "farm-audit") as threads:
        entries = _entries(ledger)
        under_way: collections.deque[Future[Checked]] = collections.deque()
        try:
            while True:
                room = _AHEAD - len(under_way)
                for number, record in itertools.islice(entries, room):
                    under_way.append(threads.submit(_check, number, record, with_hash))
                if not under_way:
                    return
                checked = under_way.popleft().result()
                silent = silent + 1 if checked.faults and not checked.is_damaged else 0
                if silent >= _MOST_UNREADABLE:
                    raise SourceUnavailableError(
                        f"the files of {silent} entries in a row cannot be read, lastly: "
                        f"{checked.faults[-1].message}"
                    )
                yield checked
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _entries(ledger: Ledger) -> Iterator[tuple[int, dict[str, Any]]]:
    for one, table in standing_tables(ledger, ["row", "id", "source", "artifacts"]):
        for record in table.to_pylist():
            yield one.number, record


def _check(number: int, record: dict[str, Any], with_hash: bool) -> Checked:
    artifacts = record["artifacts"]
    faults = (_fault(artifact, with_hash) for artifact in artifacts)
    return Checked(
        pass_number=number,
        row=record["row"],
        id=record["id"],
        source=record["source"],
        files=len(artifacts),
        size_bytes=sum(artifact["size_bytes"] for artifact in artifacts),
        faults=tuple(filter(None, faults)),
    )


def _fault(artifact: dict[str, Any], with_hash: bool) -> Fault | None:
    uri, size_bytes, sha256 = artifact["uri"], artifact["size_bytes"], artifact["sha256"]
    try:
        found_bytes, found_sha256 = read_hash(uri) if with_hash else _look(uri)
    except SourceNotFoundError as error:
        return Fault(FaultKind.MISSING, uri, str(error))
    except SourceError as error:
        return Fault(FaultKind.UNREADABLE, uri, str(error))
    if found_bytes != size_bytes:
        message = f"expected {size_bytes} bytes, found {found_bytes}"
        return Fault(FaultKind.CHANGED, uri, message)
    if found_sha256 is not None and found_sha256 != sha256:
        return Fault(FaultKind.CHANGED, uri, f"expected SHA-256 {sha256}, found {found_sha256}")
    return None


def _look(uri: str) -> tuple[int, str | None]:
    found = storage.stat(uri)
    return found.size, found.sha256


def read_hash(uri: str) -> tuple[int, str]:
    """Bytes and SHA-256 of a stored file, read in pieces; raises a SourceError."""
    digest = hashlib.sha256()
    size_bytes = 0
    with storage.open_stream(uri) as stream:
        while data := stream.read(_READ_BYTES):
            digest.update(data)
            size_bytes += len(data)
    return size_bytes, digest.hexdigest()
