"""How an archive is cut into shards and parts: the planner's rule, without any rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

_FIRST_SHARD_ENTRIES = 16
_SHARDS_BEFORE_DOUBLING = 4
_FIRST_SHARDS_IN_PART = 4
_MOST_SHARDS_IN_PART = 32


@dataclass(frozen=True, slots=True)
class Cut:
    """How many parts, shards and entries a plan has, and the most entries of one part."""

    parts: int
    shards: int
    entries: int
    most_part_entries: int


def parts(entries: int, shard_entries: int) -> Iterator[list[int]]:
    """The entries of each shard, part by part, where the sizes of files are not known."""
    made, number = 0, 0
    while entries:
        part: list[int] = []
        while entries and len(part) < _shards_in_part(number):
            ramp = _FIRST_SHARD_ENTRIES << min(16, made // _SHARDS_BEFORE_DOUBLING)
            part.append(min(ramp, shard_entries, entries))
            entries -= part[-1]
            made += 1
        yield part
        number += 1


def cut(entries: int, shard_entries: int) -> Cut:
    """The sums over all parts; all but the first few are alike."""
    left, most, shards, number = entries, 0, 0, 0
    full = shard_entries * _MOST_SHARDS_IN_PART
    for part in parts(entries, shard_entries):
        if sum(part) == full:
            number += math.ceil(left / full)
            shards += math.ceil(left / shard_entries)
            return Cut(number, shards, entries, full)
        left -= sum(part)
        most = max(most, sum(part))
        shards += len(part)
        number += 1
    return Cut(number, shards, entries, most)


def _shards_in_part(number: int) -> int:
    return min(_FIRST_SHARDS_IN_PART << min(number, 8), _MOST_SHARDS_IN_PART)
