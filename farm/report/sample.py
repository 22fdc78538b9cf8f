"""Which records a report shows where there are more than it should: chosen evenly, no dice."""

import collections
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from farm.report.record_spool import Group


def quotas(counts: Mapping[Group, int], limit: int | None) -> dict[Group, int]:
    """How many records of each group are shown, `limit` in all; None shows all.

    Failures take at most half of the room that other records need.
    """
    if limit is None:
        return {group: counts[group] for group in Group}
    failed, done, deferred = (counts[group] for group in Group)
    failed = min(failed, max(limit - limit // 2, limit - done - deferred))
    done = min(done, limit - failed)
    return {
        Group.FAILED: failed,
        Group.DONE: done,
        Group.DEFERRED: min(deferred, limit - failed - done),
    }


def spread(records: Iterable[dict[str, Any]], count: int, quota: int) -> Iterator[dict[str, Any]]:
    """`quota` of `count` records, evenly spaced."""
    for index, record in enumerate(records):
        if (index + 1) * quota // count > index * quota // count:
            yield record


def by_code(
    records: Iterable[dict[str, Any]], counts: Mapping[str, int], quota: int
) -> Iterator[dict[str, Any]]:
    """`quota` failures, as many of each code as of any other while there are any: none is missed.

    `counts` tells how often each code comes; of each the first ones are taken.
    """
    most, left = _share(counts, quota)
    taken: collections.Counter[str] = collections.Counter()
    for record in records:
        code = record["error_code"] or ""
        if taken[code] < most:
            taken[code] += 1
            yield record
        elif taken[code] == most and left > 0:
            taken[code] += 1
            left -= 1
            yield record


def _share(counts: Mapping[str, int], quota: int) -> tuple[int, int]:
    """How many of each code fit, and how many codes may have one more."""
    most, left, codes = 0, quota, sorted(counts.values())
    for index, count in enumerate(codes):
        step = min(count - most, left // (len(codes) - index))
        most += step
        left -= step * (len(codes) - index)
        if most < count:
            break
    return most, left
