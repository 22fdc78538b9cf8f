"""Records of which there are more than memory holds: sorted runs on a temporary file.

What is added is sorted by its key in runs of some megabytes, which are written one behind the
other; where each first byte of a key begins in a run is remembered. All records whose keys have one
first byte are then read as one slice of each run. Keys are hashes, so that these are equally many.

The file has no name: whatever ends the process, nothing is left of it.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from farm.errors import DiskFullError

KEY_BYTES = 16
KEY = np.dtype(f"S{KEY_BYTES}")
"""A hash of 128 bits. numpy compares such texts to the end, as if the zeros there were none."""

Records = NDArray[Any]

_RUN_BYTES = 32 << 20
_FIRST_BYTES = 256


class SortedRuns:
    """Records of one structured type, which has a field `key`; use it in a `with`.

    In memory are one run, and one 256th of all records while they are read, a few times over.
    Raises DiskFullError where there is no room for the file; `TMPDIR` says where it lies.
    """

    def __init__(self, fields: Sequence[tuple[str, Any]] = ()) -> None:
        self.dtype = np.dtype([("key", KEY), *fields])
        self._run_records = max(1, _RUN_BYTES // self.dtype.itemsize)
        self._file = temporary_file()
        self._bounds: list[list[int]] = []
        self._written = 0
        self._pending: list[Records] = []
        self._pending_records = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, **columns: Any) -> None:
        """Adds records by their columns; a single value stands for all of them."""
        records = np.empty(len(columns["key"]), self.dtype)
        for name, values in columns.items():
            records[name] = values
        self._pending.append(records)
        self._pending_records += len(records)
        if self._pending_records >= self._run_records:
            self._end_run()

    def slices(self) -> Iterator[Records]:
        """All records in the order of their keys, in slices between which no key is divided."""
        self._end_run()
        for first in range(_FIRST_BYTES):
            ranges = ((bounds[first], bounds[first + 1]) for bounds in self._bounds)
            parts = [self._read(begin, end) for begin, end in ranges if end > begin]
            if parts:
                yield _sorted(np.concatenate(parts))

    def _end_run(self) -> None:
        if not self._pending_records:
            return
        records = _sorted(np.concatenate(self._pending))
        self._pending, self._pending_records = [], 0
        first_bytes = records["key"].copy().view(np.uint8)[::KEY_BYTES]
        bounds = np.searchsorted(first_bytes, np.arange(_FIRST_BYTES + 1, dtype=np.int64))
        self._bounds.append((bounds + self._written).tolist())
        self._written += len(records)
        write(self._file, records)

    def _read(self, begin: int, end: int) -> Records:
        self._file.seek(begin * self.dtype.itemsize)
        return np.frombuffer(self._file.read((end - begin) * self.dtype.itemsize), self.dtype)


def temporary_file() -> IO[bytes]:
    """A nameless file; raises DiskFullError where it cannot be made."""
    with _no_room_told():
        return tempfile.TemporaryFile(prefix="farm-")


def write(file: IO[bytes], records: Records) -> None:
    """Writes records at the end of a temporary file."""
    with _no_room_told():
        file.seek(0, 2)
        file.write(records.tobytes())
        file.flush()


def _sorted(records: Records) -> Records:
    return records[np.argsort(records["key"], kind="stable")]


@contextlib.contextmanager
def _no_room_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskFullError(
            f"cannot write temporary files in {tempfile.gettempdir()!r}: {error.strerror}; "
            "set TMPDIR to a folder with more room"
        ) from error
