"""Which entries earlier passes have done, out of core: by their fingerprints, on temporary disk.

An entry is done if a pass ended it well and no later pass stored a file where one of its files
lies: a pass with other outputs may have stored under the same keys. In other words, of all passes
that stored at each of its addresses, its own is the newest.

For E done entries with P files a process needs about 200 MB + 0.5 bytes x (E + P) of memory, and
40 bytes x E + 28 bytes x P of temporary disk. P counts from the third pass on: before, nothing can
have been replaced. 16 bytes x E of the disk are read by mapping, which the kernel may drop from
memory at any time.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from farm import storage
from farm.dialects.native import parse_row
from farm.errors import InvalidEntryError, LimitError
from farm.ledger import Ledger
from farm.plan import known_keys, make_plans
from farm.record import Status
from farm.row_set import RowSet
from farm.sorted_runs import KEY, KEY_BYTES, SortedRuns, temporary_file, write
from farm.spec import Job

_FEW = 4096
# Stands for the entry of a file of which only the address is known.
_NO_ENTRY = -1


class DoneEntries:
    """The entries that passes before one have done; use it in a `with`.

    Raises DiskFullError where there is no room for temporary files.
    """

    def __init__(self, ledger: Ledger, before: int) -> None:
        self._ledger = ledger
        self._file = temporary_file()
        self._keys: NDArray[Any] = np.empty(0, KEY)
        entries = SortedRuns([("entry", np.int64)])
        files = SortedRuns([("entry", np.int64), ("number", np.int32)])
        with entries, files:
            self._gather(range(1, before), entries, files)
            self._keep(entries, _replaced(files))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keys = np.empty(0, KEY)
        self._file.close()

    def __len__(self) -> int:
        return len(self._keys)

    def contains(self, fingerprints: Sequence[str | None]) -> list[bool]:
        """Which of these are done, a fingerprint being 32 hex digits; None never is."""
        if not len(self._keys):
            return [False] * len(fingerprints)
        known = [each for each in fingerprints if each is not None]
        keys = _keys_of(known)
        places = np.searchsorted(self._keys, keys)
        places[places == len(self._keys)] = 0
        found = iter((self._keys[places] == keys).tolist())
        return [each is not None and next(found) for each in fingerprints]

    def _gather(self, numbers: range, entries: SortedRuns, files: SortedRuns) -> None:
        """Notes all entries that ended well, numbered on, and where their files lie."""
        columns = ["status", "fingerprint", *(["artifacts"] if len(numbers) > 1 else [])]
        count = 0
        for number in numbers:
            for table in self._ledger.tables(number, columns):
                ended_well = table.filter(
                    pc.and_(
                        pc.equal(table["status"], Status.OK.value),
                        pc.equal(pc.utf8_length(table["fingerprint"]), 2 * KEY_BYTES),
                    )
                )
                keys = _keys_of(ended_well["fingerprint"].to_pylist())
                entries.add(key=keys, entry=np.arange(count, count + len(keys)))
                if len(numbers) > 1:
                    _add_files(files, ended_well["artifacts"], count, number)
                count += len(keys)
            if number > 1 and self._ledger.deferred(number) is None:
                _add_perhaps_stored(files, self._ledger, number)

    def _keep(self, entries: SortedRuns, replaced: RowSet) -> None:
        """Stores the fingerprints of entries that were not replaced, in order, each once."""
        for part in entries.slices():
            kept = part["key"][~replaced.mask(part["entry"])]
            write(self._file, np.unique(kept))
        if self._file.tell():
            self._keys = np.asarray(np.memmap(self._file, KEY, mode="r"))


def _replaced(files: SortedRuns) -> RowSet:
    """The entries of which a newer pass replaced a file."""
    replaced = RowSet()
    for part in files.slices():
        is_first = np.append(True, part["key"][1:] != part["key"][:-1])
        starts = np.flatnonzero(is_first)
        newest = np.maximum.reduceat(part["number"], starts)
        is_old = part["number"] < np.repeat(newest, np.diff(np.append(starts, len(part))))
        replaced.add(part["entry"][is_old & (part["entry"] != _NO_ENTRY)])
    return replaced


def _add_files(files: SortedRuns, artifacts: pa.ChunkedArray, first: int, number: int) -> None:
    artifacts = artifacts.combine_chunks()
    uris = pc.struct_field(pc.list_flatten(artifacts), "uri").to_pylist()
    entries = pc.list_parent_indices(artifacts).to_numpy(zero_copy_only=False) + first
    files.add(key=_hashes(uris), entry=entries, number=number)


def _add_perhaps_stored(files: SortedRuns, ledger: Ledger, number: int) -> None:
    uris: list[str] = []
    for uri in _perhaps_stored(ledger, number):
        uris.append(uri)
        if len(uris) == _FEW:
            files.add(key=_hashes(uris), entry=_NO_ENTRY, number=number)
            uris = []
    files.add(key=_hashes(uris), entry=_NO_ENTRY, number=number)


def _perhaps_stored(ledger: Ledger, number: int) -> Iterator[str]:
    """The files that a pass which was never finished may have stored without a record.

    Of a storyboard those that are stored first stand for the others, whose number nobody knows.
    """
    committed = ledger.committed(number)
    job = Job.model_validate(ledger.read_pass(number).job)
    for ref in ledger.shards(number, ledger.parts(number)):
        for row in ledger.read_shard(ref) if ref.name not in committed else ():
            with contextlib.suppress(InvalidEntryError, LimitError):
                entry = parse_row(row.fields or {}, number=row.number, job=job)
                for plan in make_plans(entry, row.number, None, limits=job.settings.limits):
                    for key in known_keys(plan):
                        yield storage.redact(storage.join(entry.destination, key))


def _keys_of(fingerprints: Sequence[str]) -> NDArray[Any]:
    return np.frombuffer(bytes.fromhex("".join(fingerprints)), KEY)


def _hashes(uris: Iterable[str]) -> NDArray[Any]:
    digests = (
        hashlib.blake2b(uri.encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()
        for uri in uris
    )
    return np.frombuffer(b"".join(digests), KEY)
