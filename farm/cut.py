"""How rows are cut into shards, and shards into parts of a plan: small ones first."""

from collections.abc import Iterable, Iterator

from farm.row import Row

_FIRST_SHARD_ENTRIES = 16
_SHARDS_BEFORE_DOUBLING = 4
_FIRST_SHARDS_IN_PART = 4
_MOST_SHARDS_IN_PART = 32


def cut_shards(
    rows: Iterable[Row], *, most_entries: int, most_bytes: int, made: int = 0
) -> Iterator[list[Row]]:
    """Cuts rows into shards, behind so many that were made before."""
    shard: list[Row] = []
    size_bytes = 0
    for row in rows:
        weight = listed_bytes(row)
        is_full = len(shard) >= min(_ramp(made), most_entries)
        if shard and (is_full or size_bytes + weight > most_bytes):
            yield shard
            shard, size_bytes, made = [], 0, made + 1
        shard.append(row)
        size_bytes += weight
    if shard:
        yield shard


def count_shards(rows: int, *, most_entries: int) -> int:
    """How many shards so many rows are cut into, where no size in bytes cuts them sooner."""
    made = 0
    while rows > 0 and (ramp := _ramp(made)) < most_entries:
        rows -= ramp
        made += 1
    return made + max(0, -(-rows // most_entries))


def shards_in_part(number: int) -> int:
    """How many shards a part of a plan has, by its number."""
    return min(_FIRST_SHARDS_IN_PART << min(number, 8), _MOST_SHARDS_IN_PART)


def count_parts(shards: int) -> int:
    """How many parts so many shards are put into."""
    number = 0
    while shards > 0 and (most := shards_in_part(number)) < _MOST_SHARDS_IN_PART:
        shards -= most
        number += 1
    return number + max(0, -(-shards // _MOST_SHARDS_IN_PART))


def listed_bytes(row: Row) -> int:
    """The bytes of a row's source, 0 where they are not told."""
    size = row.fields.get("size") if row.fields is not None else None
    return size if isinstance(size, int) and size > 0 else 0


def _ramp(made: int) -> int:
    """The most entries of a shard behind so many."""
    return _FIRST_SHARD_ENTRIES << min(16, made // _SHARDS_BEFORE_DOUBLING)
