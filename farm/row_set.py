"""A set of row numbers, kept as bits: those of an archive of 10^8 entries take 12.5 MB."""

import numpy as np
from numpy.typing import NDArray

_LEAST_BYTES = 1024


class RowSet:
    """Row numbers, 0 or more; takes an eighth of the largest one in bytes, twice that at most."""

    def __init__(self) -> None:
        self._bits = np.zeros(_LEAST_BYTES, np.uint8)
        self._is_empty = True

    def __bool__(self) -> bool:
        return not self._is_empty

    def add(self, rows: NDArray[np.int64]) -> None:
        """Adds all of these, int64 [N], in any order."""
        if rows.size == 0:
            return
        self._is_empty = False
        self._grow(int(rows.max() >> 3) + 1)
        np.bitwise_or.at(self._bits, rows >> 3, _bit_of(rows))

    def update(self, other: "RowSet") -> None:
        """Adds all rows of another set."""
        self._grow(other._bits.size)
        self._bits[: other._bits.size] |= other._bits
        self._is_empty &= other._is_empty

    def mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these are in the set, bool [N]."""
        places = rows >> 3
        is_within = places < self._bits.size
        bits = self._bits[np.where(is_within, places, 0)]
        found: NDArray[np.bool_] = is_within & ((bits & _bit_of(rows)) != 0)
        return found

    def _grow(self, size_bytes: int) -> None:
        if size_bytes > self._bits.size:
            grown = np.zeros(max(size_bytes, 2 * self._bits.size), np.uint8)
            grown[: self._bits.size] = self._bits
            self._bits = grown


def _bit_of(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    bits: NDArray[np.uint8] = np.left_shift(1, rows & 7).astype(np.uint8)
    return bits
