"""How long the client reads results objects: some requests under way, answers taken in turn."""

import random

from benchmarks.scale.scenario import Store
from farm.read_ahead import DEPTH

_MOST_READ = 20_000


def reading_seconds(objects: int, cpu_seconds: float, store: Store, seed: int) -> float:
    """Wall seconds to read so many objects once, each of which takes so many CPU seconds.

    As `farm.read_ahead` does: a request is sent when the object `DEPTH` places before it has been
    parsed, and parsed when all before it are. So one late answer holds all others up, and where
    latencies are spread it takes longer than `DEPTH` requests at a time would. Of very many
    objects the first ones are simulated and stand for all.
    """
    chosen = random.Random(seed)
    read = min(objects, _MOST_READ)
    parsed_at = [0.0] * DEPTH
    now = 0.0
    for number in range(read):
        answered_at = parsed_at[number % DEPTH] + store.draw_seconds(chosen)
        now = max(now, answered_at) + cpu_seconds
        parsed_at[number % DEPTH] = now
    return now * objects / read if read else 0.0
