"""One attempt at a shard as a task of Dask's, and how it ended."""

import asyncio
from dataclasses import dataclass
from typing import Any

from farm.cluster.port import Outcome, OutcomeKind, outcome_of
from farm.ledger import ShardRef

_RESULT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a shard; `future` where it was sent."""

    key: str
    ref: ShardRef
    is_final: bool
    future: Any = None


def end_of(ref: ShardRef, future: Any) -> Outcome:
    """What became of a task that ended; lets go of it."""
    try:
        if future.status == "finished":
            return outcome_of(ref, future.result(timeout=_RESULT_SECONDS))
        if future.status == "error":
            error = future.exception(timeout=_RESULT_SECONDS)
            is_lost = type(error).__name__ == "KilledWorker"
            kind = OutcomeKind.LOST if is_lost else OutcomeKind.FAILED
            return Outcome(ref, kind, reason=f"{type(error).__name__}: {error}"[:500])
        return Outcome(ref, OutcomeKind.LOST, reason=f"the task was {future.status}")
    except (OSError, TimeoutError, asyncio.CancelledError) as error:
        return Outcome(ref, OutcomeKind.LOST, reason=f"{type(error).__name__}: {error}")
    finally:
        future.release()
