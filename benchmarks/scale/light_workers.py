"""Many Dask workers in one process, whose shards do nothing: for what a scheduler costs.

    python -m benchmarks.scale.light_workers tcp://127.0.0.1:8786 100

They have the farm's plugin and slots, give heartbeats and answer as others do; what is replaced is
the work. Ends when its standard input does.
"""

import asyncio
import contextlib
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from distributed import Worker

from farm.cluster import plugin
from farm.ledger import ShardRef
from farm.summary import Summary


@dataclass(frozen=True, slots=True)
class _NoLanes:
    entry_slots: int = 1
    is_leaving: bool = False


def _run_shard(ref: ShardRef, run: str, *_: object) -> Summary:
    return Summary(ref.name, committed=True, counts={"ok": 1}, pictures=1, worker=run)


def _start(*_: object) -> _NoLanes:
    return _NoLanes()


async def _serve(address: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    words: dict[str, Any] = {"nthreads": 1, "memory_limit": 0, "dashboard": False}
    with tempfile.TemporaryDirectory(prefix="farm-light-") as folder:
        async with contextlib.AsyncExitStack() as workers:
            for number in range(count):
                one = Worker(address, name=f"{folder}-{number}", local_directory=folder, **words)
                await workers.enter_async_context(one)
            await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Reads the address of a scheduler and a number of workers."""
    # Tasks name these functions by their module, so that workers here find what stands for them.
    setattr(plugin, "run_shard", _run_shard)  # noqa: B010
    setattr(plugin, "_start", _start)  # noqa: B010
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))


if __name__ == "__main__":
    main()
