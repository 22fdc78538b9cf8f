"""How a worker leaves its cluster: what it has begun is ended, what waits here goes elsewhere."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

_POLL_SECONDS = 0.5
_FETCH_SECONDS = 10.0


async def depart(
    worker: Any,
    *,
    is_busy: Callable[[], bool],
    restart: bool,
    reason: str,
    seconds: float | None = None,
) -> None:
    """Has one of Dask's workers leave when nothing is under way any more, or after some seconds.

    It has no slots left by then. With `restart` its nanny starts it anew. Tasks that wait here, and
    those that did not end in time, are sent to other workers, and nobody is blamed for it.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_end(worker, is_busy), seconds)
    # A worker that ends itself leaves a traceback of the thread that waits for its nanny to do so.
    logging.getLogger("distributed.nanny").setLevel(logging.CRITICAL)
    await worker.close_gracefully(restart=restart, reason=reason)


async def _end(worker: Any, is_busy: Callable[[], bool]) -> None:
    while is_busy():
        await asyncio.sleep(_POLL_SECONDS)
    # With a summary that its run has yet to fetch it would not be let go, and shards that wait here
    # would be lost as if it had died.
    for _ in range(round(_FETCH_SECONDS / _POLL_SECONDS)):
        if not worker.data:
            return
        await asyncio.sleep(_POLL_SECONDS)
