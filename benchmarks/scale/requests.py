"""How many requests a run sends to its store, as `farm.storage.s3` sends them, by method and kind.

A listing asks first whether its URI is an object, and then gives 1,000 keys a page.
"""

import math
from collections import Counter

_PAGE_KEYS = 1000
_STREAM_WINDOW_BYTES = 1 << 20
_BEAT_SECONDS = 10.0

# What a run of one pass over a manifest asks for once, on a fresh ledger, whatever its size; its
# heads are `pass.json`, `plan.json`, `done.json` and `summary.json`.
_ONCE = {
    "PUT heads": 4,
    "GET heads": 6,
    "HEAD heads": 11,
    "HEAD manifest": 2,
    "HEAD plan": 1,
    "LIST plan": 1,
}
_PASS_HEADS = 3
# `farm run` looks before it takes the lease.
_COMMAND_ONCE = {"HEAD heads": 1, "HEAD manifest": 1}
_LEASE_ONCE = {"PUT lease": 1, "HEAD lease": 2, "LIST lease": 2}
# Every ten seconds the lease and the status are rewritten; twice as often wishes are looked for.
_BEAT = {"PUT lease": 2, "GET lease": 5, "HEAD lease": 1, "LIST lease": 1}
# Planning lists what is committed; the end of a pass and the summary read all of it.
_LOOKS_AT_NOTHING = 1
READINGS = 2

HEAD_OBJECTS = 6
"""The heads, the lease and the status."""


def pages(objects: int) -> int:
    """Requests for a listing of so many objects."""
    return max(1, math.ceil(objects / _PAGE_KEYS))


def once(shards: int, parts: int, manifest_bytes: float) -> Counter[str]:
    """What the client asks for: once each, for each part of the plan, or for each shard."""
    asked = Counter(_ONCE)
    asked["PUT plan"] = parts
    # The summary tells the size of all that the pass has stored.
    asked["LIST heads"] = pages(shards + parts + _PASS_HEADS)
    asked["GET manifest"] = max(1, math.ceil(manifest_bytes / _STREAM_WINDOW_BYTES))
    asked["HEAD results"] = _LOOKS_AT_NOTHING + READINGS
    asked["LIST results"] = _LOOKS_AT_NOTHING + READINGS * pages(shards)
    asked["GET results"] = READINGS * shards
    return asked


def command(seconds: float) -> Counter[str]:
    """What `farm run` asks for beside that in so many seconds: its lease, and a first look."""
    beats = math.floor(seconds / _BEAT_SECONDS) + 1
    beaten = Counter({name: count * beats for name, count in _BEAT.items()})
    return Counter(_COMMAND_ONCE) + Counter(_LEASE_ONCE) + beaten


def resume(shards: int, parts: int) -> Counter[str]:
    """What the same command asks for, once more, to find out what is left of a planned pass."""
    return Counter(
        {
            "HEAD results": 1,
            "LIST results": pages(shards),
            "HEAD plan": 1,
            "LIST plan": pages(parts),
        }
    )


def by_method(asked: Counter[str]) -> Counter[str]:
    """The sums of PUT, GET, HEAD and LIST."""
    found: Counter[str] = Counter()
    for name, count in asked.items():
        found[name.partition(" ")[0]] += count
    return found
