"""Passes: which one a run goes on with, or makes."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import farm
from farm.history import RETRIED, chain, rows_to_redo
from farm.ledger import Ledger, Pass, PassReason
from farm.options import RunOptions
from farm.planner import Planner
from farm.source_list import SourceList
from farm.spec import Job

_FIRST_PAUSE_SECONDS = 2.0
_PAUSE_GROWTH = 6


class Passes:
    """The passes that one `farm run` works through, each made when the one before is done."""

    def __init__(self, ledger: Ledger, job: Job, options: RunOptions) -> None:
        self._ledger = ledger
        self._job = job
        self._options = options
        self._force = options.force
        self._retry = options.retry_failed
        self._refresh = options.refresh

    def next_planner(self) -> Planner | None:
        """The unfinished pass to go on with, or a new one; None when nothing is left to do."""
        passes = self._ledger.passes()
        current = chain(passes)
        sources = SourceList(self._job.manifest, self._ledger.uri, self._job.destination)
        root = current[0] if current else None
        manifest = sources.identity([each.manifest for each in passes], self._refresh)
        self._refresh = False
        wanted = _fingerprint(self._job, manifest, self._options)
        if root is None:
            return self._root(passes, PassReason.NEW, wanted, manifest)
        last = passes[-1]
        deferred = self._ledger.deferred(last.number)
        if root.fingerprint == wanted and deferred is None:
            self._force &= root.reason is not PassReason.FORCED
            self._retry &= last.reason is not PassReason.RETRY
            return Planner(self._ledger, last, self._options)
        if self._force:
            self._force = False
            return self._root(passes, PassReason.FORCED, wanted, manifest)
        if root.fingerprint != wanted:
            return self._root(passes, PassReason.CHANGED, wanted, manifest)
        if deferred:
            return self._derived(last, PassReason.DEFERRED, deferred)
        if self._retry:
            self._retry = False
            if next(rows_to_redo(self._ledger, last.number + 1, RETRIED), None) is not None:
                return self._derived(last, PassReason.RETRY, 0)
        return self._retryable(current)

    def _root(
        self, passes: list[Pass], reason: PassReason, wanted: str, manifest: dict[str, Any]
    ) -> Planner:
        new = Pass(
            number=len(passes) + 1,
            reason=reason,
            fingerprint=wanted,
            job=_kept(self._job),
            manifest=manifest,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            farm_version=farm.__version__,
        )
        self._ledger.create_pass(new)
        return Planner(self._ledger, new, self._options)

    def _retryable(self, current: list[Pass]) -> Planner | None:
        """A pass over what may succeed by now, unless as many have been made as are wanted.

        They count from the newest pass that somebody asked for, over all commands.
        """
        made = failed = 0
        for one in reversed(current):
            # Those that failed before it are among its own.
            failed += self._ledger.retryable(one.number) if not made else 0
            made += one.reason is PassReason.RETRYABLE
            if one.reason not in (PassReason.RETRYABLE, PassReason.DEFERRED):
                break
        if made >= self._options.passes or not failed:
            return None
        pause = min(_FIRST_PAUSE_SECONDS * _PAUSE_GROWTH**made, self._job.settings.pause_seconds)
        return self._derived(current[-1], PassReason.RETRYABLE, 0, pause_seconds=pause)

    def _derived(
        self, last: Pass, reason: PassReason, deferred: int, *, pause_seconds: float = 0.0
    ) -> Planner:
        shard_entries = last.shard_entries or self._job.settings.shard_entries
        seal = self._ledger.read_seal(last.number)
        if deferred and seal is not None:
            # What a shard could do in its budget is the measure for the next ones.
            shards = sum(part.shards for part in self._ledger.parts(last.number))
            shard_entries = min(shard_entries, max(1, (seal.rows - deferred) // max(1, shards)))
        new = Pass(
            number=last.number + 1,
            reason=reason,
            fingerprint=chain(self._ledger.passes())[0].fingerprint,
            job=_kept(self._job),
            manifest=last.manifest,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            farm_version=farm.__version__,
            parent=last.number,
            shard_entries=shard_entries,
        )
        self._ledger.create_pass(new)
        return Planner(self._ledger, new, self._options, pause_seconds=pause_seconds)


def _kept(job: Job) -> dict[str, Any]:
    """The job as a pass keeps it: without its prices, which are those of the day."""
    return job.model_dump(mode="json", exclude_defaults=True, exclude={"prices"})


def whole_fingerprint(job: Job, manifest: dict[str, Any]) -> str:
    """The fingerprint of a run over all of a manifest, by which its passes are known."""
    return _fingerprint(job, manifest, RunOptions())


def _fingerprint(job: Job, manifest: dict[str, Any], options: RunOptions) -> str:
    decisive = {
        "job": job.model_dump(
            mode="json", include={"outputs", "destination", "input_format", "tag"}
        ),
        "manifest": manifest,
        "limit": options.limit,
        "sample": options.sample,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]
