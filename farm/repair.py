"""Repair: a pass over entries that were done and whose files are damaged."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

import farm
from farm.errors import RunConflictError
from farm.history import chain
from farm.ledger import Ledger, PassReason, PlanSeal
from farm.ledger_form import SCHEMA_VERSION
from farm.row import Row
from farm.row_set import RowSet
from farm.spec import Job

_SHARDS_IN_PART = 32


def damaged_rows(
    ledger: Ledger, damaged: Mapping[int, RowSet], numbers: list[int]
) -> Iterator[Row]:
    """The damaged rows of some passes, as they were planned."""
    for number in numbers:
        rows = damaged.get(number)
        if not rows:
            continue
        for ref in ledger.shards(number, ledger.parts(number)):
            shard = ledger.read_shard(ref)
            is_meant = rows.mask(np.array([row.number for row in shard], np.int64))
            yield from itertools.compress(shard, is_meant)


def check_repairable(ledger: Ledger) -> None:
    """Raises RunConflictError while a pass is unfinished or has left entries for the next."""
    last = ledger.passes()[-1]
    if ledger.deferred(last.number) != 0:
        raise RunConflictError(
            f"pass {last.number} of {ledger.uri} is not finished: let `farm run` end it first"
        )


def plan_repair(ledger: Ledger, damaged: Mapping[int, RowSet]) -> int:
    """Stores a pass over the damaged rows of the newest manifest, which the next run carries out.

    Returns how many there are; without any there is no pass. Rows that an older manifest's passes
    did are left out: their numbers mean others today. The caller holds the ledger's lease. Raises
    RunConflictError as `check_repairable`.
    """
    check_repairable(ledger)
    current = chain(ledger.passes())
    last = current[-1]
    rows = damaged_rows(ledger, damaged, [one.number for one in current])
    if (first := next(rows, None)) is None:
        return 0
    shard_entries = Job.model_validate(last.job).settings.shard_entries
    new = replace(
        last,
        number=last.number + 1,
        reason=PassReason.REPAIR,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        farm_version=farm.__version__,
        parent=last.number,
        shard_entries=shard_entries,
        schema_version=SCHEMA_VERSION,
    )
    ledger.create_pass(new)
    shards = _chunks(itertools.chain([first], rows), shard_entries)
    count = parts = 0
    while part := list(itertools.islice(shards, _SHARDS_IN_PART)):
        ledger.put_part(new.number, parts, part)
        parts, count = parts + 1, count + sum(map(len, part))
    ledger.seal_plan(new.number, PlanSeal(parts, count))
    return count


def _chunks(rows: Iterator[Row], most: int) -> Iterator[list[Row]]:
    while chunk := list(itertools.islice(rows, most)):
        yield chunk
