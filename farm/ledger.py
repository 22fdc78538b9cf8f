"""The ledger: passes, their write-once plans and one immutable results object per shard.

    LEDGER/pass-0001/pass.json                          what the pass is; put first, put once
    LEDGER/pass-0001/plan/part-000000.n0012.parquet     12 shards, one row group each; put once
    LEDGER/pass-0001/plan.json                          the plan is complete: parts, rows
    LEDGER/pass-0001/results/000000-0003.parquet        shard 3 of part 0 is committed
    LEDGER/pass-0001/done.json                          all of them are; how many were deferred
    LEDGER/pass-0001/marks/000000-0003/...              entries begun, see `trail`; rarely
    LEDGER/estimate.json                                what a sample told of the whole manifest

List and put suffice: nothing is renamed, appended or rewritten, so that any store will do and a
process that dies at any moment leaves either a whole object or none. A shard is done when its
results object exists; its name alone says so, and no entry is read to find out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from farm import ledger_form
from farm.effort import Effort
from farm.errors import RunConflictError
from farm.ledger_form import SCHEMA_VERSION, to_json
from farm.ledger_store import Store
from farm.read_ahead import read_ahead
from farm.record import Record
from farm.row import Row

if TYPE_CHECKING:
    import pyarrow as pa


class PassReason(StrEnum):
    """Why a pass was made.

    `retry` takes up all that failed, because somebody asked for it; `retryable` what may succeed by
    now, of itself; `repair` what was done and whose files are damaged.
    """

    NEW = "new"
    CHANGED = "changed"
    FORCED = "forced"
    RETRY = "retry"
    DEFERRED = "deferred"
    RETRYABLE = "retryable"
    REPAIR = "repair"

    @property
    def is_derived(self) -> bool:
        """Whether its rows are those of earlier passes, by their numbers."""
        return self not in (PassReason.NEW, PassReason.CHANGED, PassReason.FORCED)


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass is: which manifest and job it walks, and why.

    `fingerprint` is equal for two runs that would do the same. `parent` is the pass whose rows a
    derived one takes up; its rows keep their numbers.
    """

    number: int
    reason: PassReason
    fingerprint: str
    job: dict[str, Any]
    manifest: dict[str, Any]
    created: str
    farm_version: str
    parent: int | None = None
    shard_entries: int | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, order=True)
class ShardRef:
    """A shard by reference: a few words, whatever its entries weigh.

    `losses` is how many attempts at it were lost, for all that the run knows, and tells it from
    no other.
    """

    ledger: str
    number: int
    part: int
    shards_in_part: int
    index: int
    losses: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The shard's name within its pass."""
        return f"{self.part:06d}-{self.index:04d}"


@dataclass(frozen=True, slots=True)
class Part:
    """One stored part of a plan."""

    number: int
    shards: int


@dataclass(frozen=True, slots=True)
class PlanSeal:
    """The end of a plan: nothing is added after it.

    `drawn_from` is how many rows a sample was drawn from.
    """

    parts: int
    rows: int
    carried: int = 0
    drawn_from: int | None = None


class Ledger:
    """The passes below one URI."""

    def __init__(self, uri: str, store: Store) -> None:
        self.uri = uri
        self._store = store
        # Shards are asked for in the order in which they lie in a part.
        self._last_part: tuple[str, bytes] = ("", b"")

    def _at(self, number: int, key: str) -> str:
        return self._store.join(self.uri, f"pass-{number:04d}/{key}")

    def passes(self) -> list[Pass]:
        """All passes, oldest first; raises RunConflictError for one that a newer farm wrote."""
        found: list[Pass] = []
        while self._store.exists(uri := self._at(len(found) + 1, "pass.json")):
            found.append(self._pass(uri))
        return found

    def read_pass(self, number: int) -> Pass:
        """One pass by its number."""
        return self._pass(self._at(number, "pass.json"))

    def _pass(self, uri: str) -> Pass:
        fields = self._read_json(uri)
        return Pass(**(fields | {"reason": PassReason(fields["reason"])}))

    def _read_json(self, uri: str) -> dict[str, Any]:
        return ledger_form.read_json(self._store.get(uri), uri)

    def create_pass(self, new: Pass) -> None:
        """Writes the head of a pass; raises RunConflictError where another run was faster."""
        if not self._store.put_new(self._at(new.number, "pass.json"), to_json(asdict(new))):
            raise RunConflictError(
                f"pass {new.number} of {self.uri} was made by another run just now: "
                "let it finish, or use another ledger"
            )

    def put_part(self, number: int, part: int, shards: Sequence[Sequence[Row]]) -> Part:
        """Stores one part of a plan, a row group for each shard; what is there already stays."""
        key = _part_key(part, len(shards))
        self._store.put_new(self._at(number, key), ledger_form.part_of_plan(shards))
        return Part(part, len(shards))

    def parts(self, number: int) -> list[Part]:
        """The stored parts of a plan, in order; the gapless beginning where some are missing."""
        names = (
            listed.uri.rpartition("/")[2]
            for listed in self._store.list_files(self._at(number, "plan/"))
        )
        # part-000000.n0012.parquet
        found = {int(name[5:11]): int(name[13:17]) for name in names if name.startswith("part-")}
        gapless = next(k for k in range(len(found) + 1) if k not in found)
        return [Part(k, found[k]) for k in range(gapless)]

    def part_rows(self, number: int, part: Part) -> list[int]:
        """The numbers of a stored part's rows, in their order."""
        uri = self._at(number, _part_key(part.number, part.shards))
        numbers: list[int] = self._read_table(uri, ["number"])["number"].to_pylist()
        return numbers

    def seal_plan(self, number: int, seal: PlanSeal) -> None:
        """Marks a plan as complete."""
        self._store.put_new(self._at(number, "plan.json"), to_json(asdict(seal)))

    def read_seal(self, number: int) -> PlanSeal | None:
        """The plan's end, None while it is not complete."""
        uri = self._at(number, "plan.json")
        if not self._store.exists(uri):
            return None
        fields = self._read_json(uri)
        known = ("parts", "rows", "carried", "drawn_from")
        return PlanSeal(**{name: fields[name] for name in known if name in fields})

    def finish_pass(self, number: int, deferred: int, retryable: int = 0) -> None:
        """Marks a pass as done, so that nobody need list its results to know.

        `retryable` of its entries failed and may succeed later.
        """
        left = {"deferred": deferred, "retryable": retryable}
        self._store.put_new(self._at(number, "done.json"), to_json(left))

    def deferred(self, number: int) -> int | None:
        """How many entries a finished pass left for the next, None while it is not finished."""
        uri = self._at(number, "done.json")
        return int(self._read_json(uri)["deferred"]) if self._store.exists(uri) else None

    def retryable(self, number: int) -> int:
        """How many entries of a finished pass failed and may succeed later.

        None of a pass that a farm of schema 1 finished: what was over for it stays over.
        """
        return int(self._read_json(self._at(number, "done.json")).get("retryable", 0))

    def shards(self, number: int, parts: Iterable[Part]) -> list[ShardRef]:
        """References to all shards of some parts."""
        return [
            ShardRef(self.uri, number, part.number, part.shards, index)
            for part in parts
            for index in range(part.shards)
        ]

    def read_shard(self, ref: ShardRef) -> list[Row]:
        """The rows of one shard."""
        uri = self._at(ref.number, _part_key(ref.part, ref.shards_in_part))
        return ledger_form.read_shard(self._part(uri), ref.index, uri)

    def _part(self, uri: str) -> bytes:
        """A stored part, which never changes; the last one is kept."""
        known, data = self._last_part
        if known != uri:
            data = self._store.get(uri)
            self._last_part = (uri, data)
        return data

    def is_committed(self, ref: ShardRef) -> bool:
        """Whether the results of a shard are stored."""
        return self._store.exists(self._at(ref.number, f"results/{ref.name}.parquet"))

    def committed(self, number: int) -> set[str]:
        """The names of all committed shards of a pass, by listing alone."""
        listed = self._store.list_files(self._at(number, "results/"))
        return {_.uri.rpartition("/")[2].removesuffix(".parquet") for _ in listed}

    def commit(
        self, ref: ShardRef, records: Sequence[Record], effort: Effort | None = None
    ) -> bool:
        """Stores a shard's records, once; False where another attempt has done so already."""
        uri = self._at(ref.number, f"results/{ref.name}.parquet")
        return self._store.put_new(uri, ledger_form.results(records, effort))

    def results(self, ref: ShardRef, columns: Sequence[str] | None = None) -> "pa.Table":
        """The committed records of one shard."""
        return self._read_table(self._at(ref.number, f"results/{ref.name}.parquet"), columns)

    def tables(self, number: int, columns: Sequence[str] | None = None) -> "Iterator[pa.Table]":
        """The committed records of a pass, shard by shard."""
        uris = (each.uri for each in self._store.list_files(self._at(number, "results/")))
        for uri, data in read_ahead(lambda uri: (uri, self._store.get(uri)), uris):
            yield ledger_form.read_table(data, columns, uri)

    def _read_table(self, uri: str, columns: Sequence[str] | None) -> "pa.Table":
        return ledger_form.read_table(self._store.get(uri), columns, uri)

    def put_mark(self, ref: ShardRef, name: str) -> None:
        """Stores a mark of an attempt at a shard; it says all by its name."""
        self._store.put_new(self._at(ref.number, f"marks/{ref.name}/{name}"), b"")

    def marks(self, number: int, shard: str = "") -> list[str]:
        """The marks of a shard, by its name; of all shards of a pass each behind that name."""
        key = f"marks/{shard}/" if shard else "marks/"
        listed = self._store.list_files(self._at(number, key))
        return [each.uri.rpartition(key)[2] for each in listed]

    def stored(self, number: int) -> tuple[int, int]:
        """How many objects a pass has in the ledger, and how many bytes they have."""
        sizes = [listed.size for listed in self._store.list_files(self._at(number, ""))]
        return len(sizes), sum(sizes)

    def put_estimate(self, estimate: dict[str, Any]) -> None:
        """Stores what a sample told of the whole manifest, over what an earlier one did."""
        self._store.put(self._store.join(self.uri, "estimate.json"), to_json(estimate))

    def read_estimate(self) -> dict[str, Any] | None:
        """What the newest sample told, None where there was none."""
        uri = self._store.join(self.uri, "estimate.json")
        return self._read_json(uri) if self._store.exists(uri) else None

    def put_summary(self, summary: dict[str, Any]) -> str:
        """Stores the newest summary, for people and dashboards; returns where."""
        uri = self._store.join(self.uri, "summary.json")
        self._store.put(uri, json.dumps(summary, indent=2, ensure_ascii=False).encode())
        return uri


def _part_key(part: int, shards: int) -> str:
    return f"plan/part-{part:06d}.n{shards:04d}.parquet"
