"""The watchdog: how workers get on with their shards, and what is done where they do not.

Entries have time limits and a worker that dies is noticed by Dask. What is left is a worker that
lives, or seems to, and does nothing: its process stands still, or a shard waits for a store, a disk
or a lane that never answers.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from farm.cluster.plugin import pace
from farm.pace import EntryUnderWay, WorkerPace

_LOOK_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_RESTART_SECONDS = 30
_ASKED_AT_ONCE = 100


class Watchdog:
    """Asks workers of one client how they get on with a run's shards; called from one thread.

    A worker is stuck that has not answered for `patience_seconds`, or has a shard that has not
    moved for as long past all time limits of its entries.
    """

    def __init__(self, client: Any, patience_seconds: float, run: str) -> None:
        self._client = client
        self._patience_seconds = patience_seconds
        self._run = run
        self._looked = time.monotonic()
        self._heard: dict[str, float] = {}
        self._oldest: EntryUnderWay | None = None

    def stuck(self, addresses: Collection[str]) -> dict[str, str]:
        """The cause for each worker that is stuck; looks now and then and says nothing between.

        Raises OSError or TimeoutError where the scheduler does not answer.
        """
        now = time.monotonic()
        if now - self._looked < min(_LOOK_SECONDS, self._patience_seconds):
            return {}
        self._looked = now
        # One that has just been given a shard counts as heard.
        self._heard = {each: self._heard.get(each, now) for each in addresses}
        answers = self._client.sync(self._ask_all, list(addresses))
        under_way = [answer.oldest for answer in answers.values() if answer and answer.oldest]
        self._oldest = max(under_way, key=lambda entry: entry.seconds, default=None)
        found = {each: self._cause(each, answer) for each, answer in answers.items()}
        return {each: cause for each, cause in found.items() if cause}

    def oldest_entry(self) -> EntryUnderWay | None:
        """The oldest entry under way at the last look, as old as it is by now; from any thread."""
        oldest = self._oldest
        if oldest is None:
            return None
        return replace(oldest, seconds=oldest.seconds + time.monotonic() - self._looked)

    def _cause(self, address: str, answer: WorkerPace | None) -> str:
        now = time.monotonic()
        if answer is not None:
            self._heard[address] = now
            overdue = answer.overdue_seconds
            late = overdue > self._patience_seconds
            return f"no entry moved for {overdue:.0f} s past its time limit" if late else ""
        silent = now - self._heard[address]
        return f"no answer for {silent:.0f} s" if silent > self._patience_seconds else ""

    async def _ask_all(self, addresses: list[str]) -> dict[str, WorkerPace | None]:
        answers: dict[str, WorkerPace | None] = {}
        for begin in range(0, len(addresses), _ASKED_AT_ONCE):
            some = addresses[begin : begin + _ASKED_AT_ONCE]
            heard = await asyncio.gather(*(self._ask(each) for each in some))
            answers |= zip(some, heard, strict=True)
        return answers

    async def _ask(self, address: str) -> WorkerPace | None:
        asked = self._client.run(pace, self._run, workers=[address], on_error="return")
        try:
            answers = await asyncio.wait_for(asked, _ANSWER_SECONDS)
        except TimeoutError:
            return None
        answer = answers.get(address)
        return answer if isinstance(answer, WorkerPace) else None

    def restart(self, address: str) -> None:
        """Has a worker's nanny start it anew; the scheduler forgets one that has none."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.sync(self._restart, address, callback_timeout=2 * _RESTART_SECONDS)

    async def _restart(self, address: str) -> None:
        await self._client.scheduler.restart_workers(
            workers=[address],
            timeout=_RESTART_SECONDS,
            wait_for_workers=False,
            on_error="return",
            stimulus_id=f"farm-watchdog-{uuid.uuid4().hex}",
        )
