"""When a worker process has lived long enough, or grown too large, to go on."""

import asyncio
import os
import random
import time

from farm.settings import Settings

_LOOK_SECONDS = 10.0
# Workers that began together should not all leave together.
_SPREAD = (0.9, 1.1)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


async def retirement(settings: Settings) -> str:
    """Waits until this process should be replaced; why it should."""
    began = time.monotonic()
    seconds = settings.worker_seconds * random.uniform(*_SPREAD)
    while True:
        await asyncio.sleep(min(_LOOK_SECONDS, seconds / 4))
        if time.monotonic() - began > seconds:
            return f"the worker is {seconds:.0f} s old"
        resident = resident_bytes()
        if resident > settings.worker_memory_bytes:
            return f"the worker has grown to {resident >> 20} MiB"


def resident_bytes() -> int:
    """The memory that this process has, without its lanes; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
