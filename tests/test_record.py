"""Records: what is stored in Parquet is read back as it was."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from farm.record import STAGES, Artifact, Record, Status, record_schema

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.integers(0, (1 << 31) - 1)
ARTIFACTS = st.builds(
    Artifact,
    uri=TEXT,
    output=COUNT,
    index=COUNT,
    size_bytes=st.integers(0, 1 << 60),
    sha256=TEXT,
    width=COUNT,
    height=COUNT,
    format=TEXT,
    pts_seconds=st.none() | st.floats(0, 1e6),
)
RECORDS = st.builds(
    Record,
    row=st.integers(0, 1 << 60),
    status=st.sampled_from(Status),
    source=TEXT,
    id=TEXT,
    tag=st.none() | TEXT,
    fingerprint=st.none() | TEXT,
    error_code=st.none() | TEXT,
    message=st.none() | TEXT,
    retryable=st.booleans(),
    attempts=st.integers(0, 9),
    engine=st.none() | TEXT,
    engine_version=st.none() | TEXT,
    fallback=st.none() | TEXT,
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    artifacts=st.lists(ARTIFACTS, max_size=2).map(tuple),
    bytes_read=st.integers(0, 1 << 60),
    requests=COUNT,
    timings_ms=st.dictionaries(st.sampled_from(STAGES), st.floats(0, 1e6, width=32)),
    notes=st.dictionaries(TEXT, st.integers(-(1 << 53), 1 << 53) | TEXT, max_size=2),
    started=st.floats(0, 1e10),
    worker=TEXT,
)


def stored(records: list[Record]) -> list[Record]:
    """The records as Parquet gives them back."""
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([record.to_row() for record in records], record_schema())
    pq.write_table(table, buffer)
    return [Record.from_row(row) for row in pq.read_table(buffer).to_pylist()]


@given(st.lists(RECORDS, max_size=3))
def test_records_survive_storage(records):
    assert stored(records) == records


def test_the_least_record():
    record = Record(row=1, status=Status.DEFERRED)
    assert stored([record]) == [record]


def test_every_field_has_its_column():
    assert list(Record(row=1, status=Status.OK).to_row()) == record_schema().names


def test_enum_values_are_the_wire_strings():
    assert [str(status) for status in Status] == ["ok", "failed", "quarantined", "deferred"]
