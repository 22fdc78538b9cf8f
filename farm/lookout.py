"""The lookout: what can be told of a run from its stored objects alone, by whoever reads them.

A run that works tells it all in its status. One that is gone has told no more than it knew some
seconds before: what it did since is counted by its newest results, a bounded number of them, so
that the answer takes no longer where 10^8 entries are done.
"""

import collections
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc

from farm import storage
from farm.errors import SourceError, SourceNotFoundError, StoreError
from farm.history import chain
from farm.lease import EXPIRED_SECONDS, Claim, Shelf
from farm.ledger import Ledger, Pass, PassReason, PlanSeal, ShardRef
from farm.run_status import Example, LiveState, PassFigures, RunStatus, read_status, status_uri

_MOST_READ = 50
_QUIET_SECONDS = 20.0
_COLUMNS = ["row", "source", "status", "error_code", "message", "bytes_read", "artifacts"]


def look(ledger: Ledger) -> RunStatus:
    """The state of a ledger's run, whatever it is.

    Reads nothing but the status, the lease and, where the run is gone, some results; to tell how
    old these are, it puts an empty object beside the lease and deletes it again.
    """
    told = read_status(ledger.uri)
    shelf = Shelf.of(ledger.uri)
    claim = shelf.newest()
    status = told or RunStatus(state=LiveState.NEW, ledger=ledger.uri)
    age = None if told is None else _age_seconds(shelf, status_uri(ledger.uri))
    status = status.model_copy(update={"age_seconds": age})
    if claim is not None and _lives(shelf, claim):
        return status if told and told.lease == claim.number else _silent(status, claim)
    is_told = told is not None and not told.state.is_alive
    if is_told and (claim is None or claim.is_ended or claim.number == status.lease):
        return status
    return _gone(ledger, status, claim)


def follow(ledger: Ledger, *, every_seconds: float) -> Iterator[RunStatus]:
    """The state of a ledger's run, and each newer one, until the run is over.

    Whether it lives is looked at only where it tells nothing new for some time.
    """
    status = look(ledger)
    yield status
    heard_at = time.monotonic()
    while status.state.is_alive:
        time.sleep(every_seconds)
        told = read_status(ledger.uri)
        if told is not None and (told.lease, told.beat) > (status.lease, status.beat):
            status, heard_at = told, time.monotonic()
        elif time.monotonic() - heard_at > _QUIET_SECONDS:
            status, heard_at = look(ledger), time.monotonic()
        else:
            continue
        yield status


def _lives(shelf: Shelf, claim: Claim) -> bool:
    """Whether the holder of a claim gives signs of life, or may by the times of the store."""
    if claim.is_ended:
        return False
    if claim.holder.is_here:
        return claim.holder.is_alive()
    return _age_seconds(shelf, shelf.at(claim.number)) <= EXPIRED_SECONDS


def _age_seconds(shelf: Shelf, uri: str) -> float:
    """How long ago an object was written; by this machine's clock where nothing may be stored."""
    try:
        return shelf.silent_seconds(uri)
    except StoreError:
        written = storage.stat(uri).mtime
        return 0.0 if written is None else max(0.0, time.time() - written)


def _silent(status: RunStatus, claim: Claim) -> RunStatus:
    """Of a holder that has not said what it does, with the figures of the run before."""
    return _at_rest(status).model_copy(
        update={
            "state": LiveState.PLANNING,
            "reason": "it has told nothing yet; `farm gc` and `farm verify --repair` never do",
            "lease": claim.number,
            "holder": claim.holder,
            "started": claim.holder.since,
            "seconds": 0.0,
            "age_seconds": None,
        }
    )


def _gone(ledger: Ledger, status: RunStatus, claim: Claim | None) -> RunStatus:
    """Of a run that has not said how it ended, counted up to its last results."""
    passes = chain(ledger.passes())
    if not passes and claim is None:
        return status
    known = {one.number: one for one in status.passes}
    examples = dict(status.examples)
    figures = []
    for one in passes:
        counted, found = caught_up(ledger, one, known.get(one.number))
        examples = found | examples
        figures.append(counted)
    ended = (
        "ended without saying how" if claim is None or claim.is_ended else "was killed or cut off"
    )
    seal = ledger.read_seal(passes[0].number) if passes else None
    carried = seal.carried if seal is not None else 0
    return (
        _at_rest(status)
        .with_passes(figures, carried)
        .model_copy(
            update={
                "state": LiveState.GONE,
                "reason": f"it {ended}; the same `farm run` goes on",
                "holder": claim.holder if claim is not None else status.holder,
                "examples": examples,
            }
        )
    )


def _at_rest(status: RunStatus) -> RunStatus:
    """Without what is true only while a run works."""
    counts = ("beat", "shards_in_flight", "shards_todo", "slots", "entries_per_second")
    names = (*counts, "seconds_left", "oldest")
    return status.model_copy(update={name: RunStatus.model_fields[name].default for name in names})


def caught_up(
    ledger: Ledger,
    one: Pass,
    known: PassFigures | None = None,
    *,
    among: Collection[str] | None = None,
) -> tuple[PassFigures, dict[str, Example]]:
    """The figures of a pass, from those known and what has been committed since.

    Only shards `among` those count, where given. Of the ones missing in `known` the newest are
    read, 50 at most, which stand for the others; an example of each error in them comes along.
    """
    seal = ledger.read_seal(one.number)
    begin = known or PassFigures(number=one.number, reason=one.reason)
    begin = begin.model_copy(update={"rows": None if seal is None else seal.rows})
    if known is not None and among is not None and known.shards == len(among):
        return begin, {}
    listed = [
        (each.mtime or 0.0, name)
        for each in storage.list_files(storage.join(ledger.uri, f"pass-{one.number:04d}/results/"))
        if (name := each.uri.rpartition("/")[2].removesuffix(".parquet"))
        and (among is None or name in among)
    ]
    if known is not None and known.shards > len(listed):
        # Somebody deleted results: nothing that was known holds.
        return caught_up(ledger, one, among=among)
    missing = len(listed) - begin.shards
    names = [name for _, name in sorted(listed, reverse=True)[: min(missing, _MOST_READ)]]
    read = PassFigures(number=one.number, reason=one.reason)
    examples: dict[str, Example] = {}
    for name in names:
        table = shard_table(ledger, one.number, name)
        read = read.plus(_figures_of(one.number, table))
        examples = examples_in(table) | examples
    return begin.plus(read, times=missing / len(names)) if names else begin, examples


def shard_table(ledger: Ledger, number: int, name: str) -> pa.Table:
    """The records of a shard by its name, of which figures and examples are made."""
    part, _, index = name.partition("-")
    ref = ShardRef(ledger.uri, number, int(part), 0, int(index))
    return ledger.results(ref, _COLUMNS)


def _figures_of(number: int, table: pa.Table) -> PassFigures:
    artifacts = pc.list_flatten(table["artifacts"].combine_chunks())
    return PassFigures(
        number=number,
        reason=PassReason.NEW,
        shards=1,
        counts=_counted(table["status"].to_pylist()),
        codes=_counted(table["error_code"].drop_null().to_pylist()),
        pictures=len(artifacts),
        bytes_read=pc.sum(table["bytes_read"]).as_py() or 0,
        bytes_written=pc.sum(pc.struct_field(artifacts, "size_bytes")).as_py() or 0,
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(values).most_common())


def examples_in(table: pa.Table) -> dict[str, Example]:
    """The first failed entry of each error code."""
    found: dict[str, Example] = {}
    failed = table.filter(pc.is_valid(table["error_code"]))
    for record in failed.select(["row", "source", "error_code", "message"]).to_pylist():
        example = Example(
            row=record["row"], source=record["source"], message=record["message"] or ""
        )
        found.setdefault(record["error_code"], example)
    return found


class Accounts:
    """The figures of a run's passes over all commands that worked on them, by one of these.

    What commands before it did is what the last status tells, and counted where that does not.
    Called from one thread.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.examples: dict[str, Example] = {}
        self.carried = 0
        self._ledger = ledger
        self._last: dict[int, PassFigures] = {}
        self._before: dict[int, PassFigures] = {}
        self._missed: dict[int, list[PassFigures]] = {}
        self._found: dict[tuple[int, str], PassFigures] = {}
        self._seals: dict[int, PlanSeal] = {}
        self._chain: list[Pass] = []

    def remember(self) -> list[PassFigures]:
        """Reads what the command before has told of its passes."""
        told = read_status(self._ledger.uri)
        if told is None:
            return []
        self._last = {one.number: one for one in told.passes}
        self.examples, self.carried = dict(told.examples), told.carried
        return list(told.passes)

    def passes(
        self,
        number: int | None,
        settled: Mapping[int, PassFigures],
        before: Mapping[int, Collection[str]],
    ) -> list[PassFigures]:
        """The figures of all passes up to `number`, oldest first; of all where it is None.

        `settled` is what this command did, by pass, and `before` which shards were committed when
        it came to the pass; neither knows of passes that were over by then.
        """
        if number is None or not self._chain or self._chain[-1].number != number:
            found = chain(self._ledger.passes())
            self._chain = [one for one in found if number is None or one.number <= number]
        return [self._figures(one, number, settled, before) for one in self._chain]

    def _figures(
        self,
        one: Pass,
        number: int | None,
        settled: Mapping[int, PassFigures],
        before: Mapping[int, Collection[str]],
    ) -> PassFigures:
        base = self._before.get(one.number)
        if base is None and (one.number in before or one.number != number):
            last = self._last.get(one.number)
            base, found = caught_up(self._ledger, one, last, among=before.get(one.number))
            self._before[one.number] = base
            self.examples = found | self.examples
        figures = base or PassFigures(number=one.number, reason=one.reason)
        if one.number in settled:
            figures = figures.plus(settled[one.number])
        for figures_of_shard in self._missed.get(one.number, ()):
            figures = figures.plus(figures_of_shard)
        seal = self._seal(one.number)
        if seal is not None and one is self._chain[0]:
            self.carried = seal.carried
        return figures.model_copy(update={"rows": None if seal is None else seal.rows})

    def _seal(self, number: int) -> PlanSeal | None:
        if number not in self._seals and (seal := self._ledger.read_seal(number)) is not None:
            self._seals[number] = seal
        return self._seals.get(number)

    def find_missed(self, missed: Collection[tuple[int, str]]) -> None:
        """Reads shards that were committed by attempts of which the run has heard nothing."""
        self._missed = {}
        for number, name in missed:
            with suppress(SourceNotFoundError):  # it was not, and is sent again
                if (number, name) not in self._found:
                    table = shard_table(self._ledger, number, name)
                    self._found[number, name] = _figures_of(number, table)
                self._missed.setdefault(number, []).append(self._found[number, name])

    def find_examples(self, witnesses: Mapping[str, tuple[int, str]]) -> None:
        """Reads a shard for each error code of which there is no example yet."""
        for code, (number, name) in witnesses.items():
            if code not in self.examples:
                with suppress(SourceError):
                    table = shard_table(self._ledger, number, name)
                    self.examples = examples_in(table) | self.examples
