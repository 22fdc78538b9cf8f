"""What a run left behind, and whether two runs left the same."""

import collections
import hashlib
from dataclasses import dataclass

from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Record, Status

_MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Result:
    """The newest record of every row, and the hash of every stored file by its key.

    `doubled` are rows with two newest records.
    """

    records: dict[int, Record]
    files: dict[str, str]
    doubled: tuple[int, ...]

    def count(self, status: Status) -> int:
        """Rows of one status."""
        return sum(record.status is status for record in self.records.values())


def read_result(destination: str) -> Result:
    """The result set below a destination, all bytes read."""
    ledger = storage.join(destination, "_ledger")
    records = list(final_records(Ledger(ledger, storage)))
    counts = collections.Counter(record.row for record in records)
    files = {
        listed.uri.removeprefix(destination).lstrip("/"): hashlib.sha256(
            storage.get(listed.uri)
        ).hexdigest()
        for listed in storage.list_files(destination.rstrip("/") + "/")
        if not listed.uri.startswith(ledger)
    }
    doubled = tuple(row for row, count in counts.items() if count > 1)
    return Result({record.row: record for record in records}, files, doubled)


def differences(calm: Result, rough: Result, *, entries: int) -> list[str]:
    """What distinguishes the result of a disturbed run from that of an undisturbed one."""
    found = []
    for name, each in (("calm", calm), ("rough", rough)):
        found += [f"{name}: row {row} has two records" for row in each.doubled]
        if set(each.records) != set(range(1, entries + 1)):
            found.append(f"{name}: {len(each.records)} of {entries} rows have a record")
    for row in sorted(calm.records.keys() & rough.records.keys()):
        before, after = _essence(calm.records[row]), _essence(rough.records[row])
        if before != after:
            found.append(f"row {row}: {before}, under chaos {after}: {rough.records[row].message}")
    for key in sorted(calm.files.keys() | rough.files.keys()):
        if calm.files.get(key) != rough.files.get(key):
            states = calm.files.get(key, "none")[:8], rough.files.get(key, "none")[:8]
            found.append(f"file {key}: {states[0]}, under chaos {states[1]}")
    more = len(found) - _MOST_TOLD
    return found[:_MOST_TOLD] + ([f"and {more} more"] if more > 0 else [])


def _essence(record: Record) -> tuple[object, ...]:
    """What must not depend on chance: of a quarantined entry not how its lanes ended."""
    is_quarantined = record.status is Status.QUARANTINED
    code = None if is_quarantined else record.error_code
    return record.status.value, code, tuple(artifact.sha256 for artifact in record.artifacts)
