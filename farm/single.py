"""One source through one lane, without a cluster and without a ledger."""

import os
from typing import Any

from farm.isolation import LanePool
from farm.record import Record
from farm.row import Row
from farm.shard import ShardWalk
from farm.spec import Job

# Twice the longest time that an output may allow, for the second try of a source that was lost.
_BUDGET_SECONDS = 2 * 86_400.0


def make_one(job: Job, fields: dict[str, Any]) -> Record:
    """Makes the pictures of one manifest row and says what became of it.

    Raises ClusterError where no lane can be started.
    """
    settings = job.settings.model_copy(update={"shard_seconds": _BUDGET_SECONDS})
    pool = LanePool(lanes=1, rules=settings.lane_rules)
    try:
        walk = ShardWalk(
            pool,
            job.model_copy(update={"settings": settings}),
            [Row(1, fields)],
            worker=str(os.getpid()),
            drain_ends=lambda: None,
            is_final=True,
        )
        return walk.run()[0]
    finally:
        pool.close()
