"""The forms in which the objects of a ledger are stored, and which farm wrote them.

Every object says the version of its form: JSON objects in `schema_version`, Parquet objects in
their metadata. Version 1, which only `pass.json` told, is read as well. A newer one is refused, by
each object: a newer farm may have gone on with what an older one began.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import farm
from farm.effort import Effort
from farm.errors import RunConflictError
from farm.record import Record, record_schema
from farm.row import Row

SCHEMA_VERSION = 2
_OLDEST_READ = 1

_VERSION_KEY = b"thumbfarm.schema_version"
_FARM_KEY = b"thumbfarm.version"
_EFFORT_KEY = b"thumbfarm.effort"
_STAMP = {_VERSION_KEY: str(SCHEMA_VERSION), _FARM_KEY: farm.__version__}

_ROW_SCHEMA = pa.schema([("number", pa.int64()), ("fields", pa.string()), ("error", pa.string())])


def to_json(fields: Mapping[str, Any]) -> bytes:
    """A JSON object, with who wrote it in which version."""
    stamp = {"schema_version": SCHEMA_VERSION, "farm_version": farm.__version__}
    return json.dumps(stamp | dict(fields), indent=2, sort_keys=True, ensure_ascii=False).encode()


def read_json(data: bytes, uri: str) -> dict[str, Any]:
    """What a JSON object says; raises RunConflictError where a newer farm wrote it."""
    fields: dict[str, Any] = json.loads(data)
    _check(fields.get("schema_version", _OLDEST_READ), fields.get("farm_version"), uri)
    return fields


def part_of_plan(shards: Iterable[Sequence[Row]]) -> bytes:
    """A part of a plan: a row group for each shard."""
    buffer = io.BytesIO()
    schema = _ROW_SCHEMA.with_metadata(_STAMP)
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for rows in shards:
            table = pa.Table.from_pylist([_row_values(row) for row in rows], schema)
            writer.write_table(table, row_group_size=max(1, len(rows)))
    return buffer.getvalue()


def read_shard(part: bytes, index: int, uri: str) -> list[Row]:
    """The rows of one shard of a part."""
    table = _open(part, uri).read_row_group(index, use_threads=False)
    return [
        Row(
            row["number"],
            None if row["fields"] is None else json.loads(row["fields"]),
            row["error"],
        )
        for row in table.to_pylist()
    ]


def results(records: Sequence[Record], effort: Effort | None = None) -> bytes:
    """The records of a shard, with what it took in their metadata, where that is known."""
    buffer = io.BytesIO()
    more = {} if effort is None else {_EFFORT_KEY: json.dumps(effort.to_fields())}
    schema = record_schema().with_metadata(_STAMP | more)
    table = pa.Table.from_pylist([record.to_row() for record in records], schema)
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_table(data: bytes, columns: Sequence[str] | None, uri: str) -> pa.Table:
    """Some columns of a Parquet object, or all; raises RunConflictError for a newer farm's."""
    return _open(data, uri).read(columns=columns, use_threads=False)


def effort_of(results: pa.Table) -> Effort | None:
    """What a shard took, of whose records this is; None where an older farm did it."""
    told = (results.schema.metadata or {}).get(_EFFORT_KEY)
    return None if told is None else Effort.from_fields(json.loads(told))


def _row_values(row: Row) -> dict[str, Any]:
    fields = None if row.fields is None else json.dumps(row.fields, ensure_ascii=False)
    return {"number": row.number, "fields": fields, "error": row.error}


def _open(data: bytes, uri: str) -> pq.ParquetFile:
    # On this thread alone: a read-ahead thread of Arrow's that still holds a Python object when the
    # interpreter ends aborts the process.
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    stamp = file.metadata.metadata or {}
    version, writer = stamp.get(_VERSION_KEY), stamp.get(_FARM_KEY)
    _check(
        _OLDEST_READ if version is None else int(version), writer and writer.decode("latin-1"), uri
    )
    return file


def _check(version: Any, writer: str | None, uri: str) -> None:
    if isinstance(version, int) and _OLDEST_READ <= version <= SCHEMA_VERSION:
        return
    writer = writer or "of an unknown version"
    raise RunConflictError(
        f"{uri} was written by thumbfarm {writer} in ledger schema {version}; this is thumbfarm "
        f"{farm.__version__}, which reads {_OLDEST_READ} to {SCHEMA_VERSION}: go on with thumbfarm "
        f"{writer} or a later one, on all machines, or use another ledger"
    )
