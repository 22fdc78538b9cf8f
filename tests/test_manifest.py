"""Every format of a manifest, whole and broken, and listings written as manifests."""

import csv
import gzip
import io
import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from farm.errors import InvalidManifestError
from farm.manifest import Row, line, read_rows
from farm.manifest.table import Progress, read_progress, write_listing

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
CELL = PLAIN_TEXT.filter(lambda text: text.strip() != "")


def read(data: bytes, name: str = "m.jsonl") -> list[Row]:
    return list(read_rows(name, open_stream=lambda uri: io.BytesIO(data)))


def fields(data: bytes, name: str = "m.jsonl") -> list[dict[str, Any] | None]:
    return [row.fields for row in read(data, name)]


def parquet(columns: dict[str, list[Any]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


class TestJsonLines:
    def test_rows_are_numbered_by_line(self) -> None:
        data = b'\n{"source": "a"}\r\n\r\n  \n{"source": "b", "outputs": [{"width": 1}]}'
        assert read(data) == [
            Row(2, {"source": "a"}),
            Row(5, {"source": "b", "outputs": [{"width": 1}]}),
        ]

    def test_a_byte_order_mark_is_dropped(self) -> None:
        assert fields(b'\xef\xbb\xbf{"source": "a"}\n') == [{"source": "a"}]

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (b"[1, 2]", "expected a JSON object on the line"),
            (b'"a"', "expected a JSON object"),
            (b'{"source": "a"', "column"),
            (b'{"source": "a", "source": "b"}', r"found twice: \['source'\]"),
            (b'{"source": "a", "outputs": [{"w": 1, "w": 1}]}', "found twice"),
            (b'{"source": "a", "position": NaN}', "finite number, received NaN"),
            (b'{"source": "\xff"}', "UTF-8"),
            (rb'{"source": "\ud800"}', "whole characters"),
            (b'{"a":' * 100_000, "few levels"),
            (b"9" * 5_000, "integer|digits"),
            (b'{"source": "' + b"x" * (1 << 20) + b'"}', "at most 1048576 bytes"),
        ],
    )
    def test_a_bad_row_leaves_its_neighbours(self, bad: bytes, reason: str) -> None:
        first, second, third = read(b'{"source": "a"}\n' + bad + b'\n{"source": "c"}\n')
        assert (first.fields, third.fields) == ({"source": "a"}, {"source": "c"})
        assert second.number == 2
        assert second.fields is None
        assert second.error is not None
        assert re.search(reason, second.error)

    def test_a_whole_surrogate_pair_is_fine(self) -> None:
        assert fields(rb'{"source": "\ud83d\ude00"}') == [{"source": "😀"}]

    def test_a_half_last_line_is_a_row_or_an_error(self) -> None:
        whole, half = read(b'{"source": "a"}\n{"sour')
        assert whole.fields == {"source": "a"}
        assert half.error is not None

    def test_no_rows_are_fine(self) -> None:
        for name in ("m.jsonl", "m.csv", "m.txt", "m.parquet", "m"):
            assert read(b"", name) == []

    @given(st.lists(st.dictionaries(PLAIN_TEXT, st.integers() | PLAIN_TEXT | st.none())))
    def test_round_trip(self, rows: list[dict[str, Any]]) -> None:
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        assert fields(data) == rows
        assert fields(gzip.compress(data), "m.jsonl.gz") == rows
        assert fields(zstandard.compress(data), "m.jsonl.zst") == rows


class TestCsv:
    def test_cells_under_a_header(self) -> None:
        data = (
            b'\xef\xbb\xbfid, source,tag\r\n1,a.jpg,\r\n\r\n,"b,c.jpg","two\nlines"\r\n,,\r\n3,d,t'
        )
        assert read(data, "m.csv") == [
            Row(2, {"id": "1", "source": "a.jpg"}),
            Row(4, {"source": "b,c.jpg", "tag": "two\nlines"}),
            Row(7, {"id": "3", "source": "d", "tag": "t"}),
        ]

    def test_columns_are_named_where_source_is_missing(self) -> None:
        with pytest.raises(
            InvalidManifestError, match=r"'source' in 'm.csv', found \['url', 'id'\]"
        ):
            read(b"url,id\n1,2\n", "m.csv")

    def test_a_column_occurs_once(self) -> None:
        with pytest.raises(InvalidManifestError, match=r"found twice: \['id'\]"):
            read(b"source,id,id\n1,2,3\n", "m.csv")

    def test_a_broken_header(self) -> None:
        with pytest.raises(InvalidManifestError, match="header"):
            read(b"source,\xff\n1,2\n", "m.csv")

    def test_bad_rows_leave_their_neighbours(self) -> None:
        data = b'source,tag\na,1\nb\n"c"x,2\n\xff,3\nd,4\n' + b"x" * (2 << 20) + b",5\ne,6\n"
        rows = read(data, "m.csv")
        assert [row.number for row in rows] == [2, 3, 4, 5, 6, 7, 8]
        good = [row.fields["source"] for row in rows if row.fields is not None]
        assert good == ["a", "d", "e"]
        assert rows[1].error == "expected 2 cells, received 1"

    def test_an_open_quote_does_not_take_the_file_along(self) -> None:
        data = b'source\n"open\n' + b"line of some length\n" * 20_000
        rows = read(data, "m.csv")
        assert rows[0].error is not None
        assert rows[-2].fields == {"source": "line of some length"}

    @given(st.lists(st.tuples(CELL, PLAIN_TEXT), min_size=1))
    def test_round_trip(self, rows: list[tuple[str, str]]) -> None:
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows([("source", "tag"), *rows])
        expected = [{"source": source, "tag": tag} for source, tag in rows]
        assert fields(buffer.getvalue().encode(), "m.csv") == expected


class TestText:
    def test_lines_are_verbatim(self) -> None:
        data = b"a b.jpg \r\n\n# c.jpg\n{d}\ns3://b/\xc3\xa9"
        assert read(data, "m.txt") == [
            Row(1, {"source": "a b.jpg "}),
            Row(3, {"source": "# c.jpg"}),
            Row(4, {"source": "{d}"}),
            Row(5, {"source": "s3://b/é"}),
        ]


class TestParquet:
    def test_nested_outputs_lose_their_nulls(self) -> None:
        outputs = [[{"width": 1, "fit": None}, {"width": None, "fit": "crop"}], None]
        data = parquet({"source": ["a", "b"], "outputs": outputs, "size": [1, None]})
        assert read(data, "m.parquet") == [
            Row(1, {"source": "a", "outputs": [{"width": 1}, {"fit": "crop"}], "size": 1}),
            Row(2, {"source": "b"}),
        ]

    def test_columns_are_named_where_source_is_missing(self) -> None:
        with pytest.raises(InvalidManifestError, match=r"found \['url'\]"):
            read(parquet({"url": ["a"]}))

    def test_broken_text_in_a_cell_fails_its_row(self) -> None:
        sources = pa.Array.from_buffers(
            pa.string(), 3, pa.array([b"ok", b"\xff", b"z"], pa.binary()).buffers()
        )
        data = parquet({"source": sources})  # type: ignore[dict-item]
        assert [row.fields for row in read(data)] == [{"source": "ok"}, None, {"source": "z"}]

    @pytest.mark.parametrize(
        ("cell", "kind"),
        [(datetime(2026, 1, 1), "datetime"), (Decimal("3"), "Decimal"), ([{"a": b"x"}], "list")],
    )
    def test_a_cell_that_no_plan_can_keep_fails_its_row(self, cell: Any, kind: str) -> None:
        rows = read(parquet({"source": ["a", "b"], "size": [None, cell]}))
        assert rows[0] == Row(1, {"source": "a"})
        assert rows[1].fields is None
        assert rows[1].error is not None
        assert re.fullmatch(rf"size: expected text, numbers.*; received {kind}", rows[1].error)

    @pytest.mark.parametrize("data", [b"PAR1", b"PAR1" * 100, b"PAR1\xff\xff\xff\x7fPAR1"])
    def test_a_damaged_file(self, data: bytes) -> None:
        with pytest.raises(InvalidManifestError, match=r"cannot read 'm.parquet' as Parquet"):
            read(data, "m.parquet")

    def test_another_file_by_that_name(self) -> None:
        with pytest.raises(InvalidManifestError, match="to be Parquet"):
            read(b'{"source": "a"}', "m.parquet")

    @given(st.lists(st.tuples(PLAIN_TEXT, st.none() | st.integers(0, 2**62))))
    def test_round_trip(self, rows: list[tuple[str, int | None]]) -> None:
        table = pa.table(
            {"source": [row[0] for row in rows], "size": [row[1] for row in rows]},
            schema=pa.schema([("source", pa.string()), ("size", pa.int64())]),
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, row_group_size=3)
        expected = [
            {"source": source} | ({} if size is None else {"size": size}) for source, size in rows
        ]
        assert fields(buffer.getvalue()) == expected


class TestForms:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b'{"source": "a"}\n', {"source": "a"}),
            (b"id,source\n1,a\n", {"id": "1", "source": "a"}),
            (b"photos/a.jpg\n", {"source": "photos/a.jpg"}),
            (parquet({"source": ["a"]}), {"source": "a"}),
            (gzip.compress(b"id,source\n1,a\n", mtime=0), {"id": "1", "source": "a"}),
        ],
    )
    @pytest.mark.parametrize("name", ["manifest", "https://host/manifest?sig=x.csv"])
    def test_a_name_without_suffix_is_told_by_its_content(
        self, data: bytes, expected: dict[str, str], name: str
    ) -> None:
        assert fields(data, name) == [expected]

    def test_a_video_is_no_manifest(self) -> None:
        with pytest.raises(InvalidManifestError, match="received binary data; `farm thumbnail`"):
            read(b"\0\0\0\x20ftypisom\0\0\2\0", "clip.mp4")

    def test_compression_is_told_by_content(self) -> None:
        assert fields(gzip.compress(b'{"source": "a"}'), "m.jsonl") == [{"source": "a"}]
        assert fields(b'{"source": "a"}', "m.jsonl.gz") == [{"source": "a"}]

    def test_many_members_and_frames(self) -> None:
        first, second = b'{"source": "a"}\n', b'{"source": "b"}\n'
        expected = [{"source": "a"}, {"source": "b"}]
        assert fields(gzip.compress(first) + gzip.compress(second)) == expected
        assert fields(zstandard.compress(first) + zstandard.compress(second)) == expected

    @pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
    def test_what_is_cut_off_is_said(self, compress: Any) -> None:
        lines = b"".join(b'{"source": "%d"}\n' % (n * 7919 % 100_003) for n in range(20_000))
        data = compress(lines)
        rows = read_rows("m.jsonl", open_stream=lambda uri: io.BytesIO(data[: len(data) * 9 // 10]))
        assert next(rows).fields == {"source": "0"}
        with pytest.raises(InvalidManifestError, match="damaged or cut off"):
            list(rows)

    def test_a_bomb_is_read_in_bounded_memory(self) -> None:
        data = zstandard.compress(b"x" * (200 << 20))
        tracemalloc.start()
        try:
            rows = read(data, "m.txt")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [row.fields for row in rows] == [None]
        assert peak < 100 << 20

    def test_utf16_is_named(self) -> None:
        with pytest.raises(InvalidManifestError, match="UTF-16"):
            read('{"source": "a"}'.encode("utf-16"))

    def test_queries_are_kept_out_of_messages(self) -> None:
        with pytest.raises(InvalidManifestError) as caught:
            read(b"url\n1\n", "https://host/m.csv?X-Amz-Signature=abc")
        assert "abc" not in str(caught.value)

    def test_lines_longer_than_a_chunk(self) -> None:
        rows = [{"source": "x" * n} for n in (300_000, 1, 600_000)]
        assert fields(b"".join(json.dumps(row).encode() + b"\n" for row in rows)) == rows

    @given(st.binary(max_size=300), st.sampled_from(["m", "m.jsonl", "m.csv", "m.txt", "m.pq"]))
    @example(b"PAR1" + b"\0" * 20 + b"PAR1", "m")
    @example(b"source\n\0", "m.csv")
    @example(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff", "m")
    @example(b"\x28\xb5\x2f\xfd\x04\0\0", "m")
    def test_nothing_else_is_ever_raised(self, data: bytes, name: str) -> None:
        self.check(data, name)

    @given(
        st.binary(max_size=200), st.sampled_from([b"PAR1", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"])
    )
    def test_nothing_else_behind_a_magic(self, data: bytes, magic: bytes) -> None:
        self.check(magic + data, "m")

    @given(st.data())
    def test_nothing_else_for_damage(self, draw: st.DataObject) -> None:
        rows = b'{"source": "a", "tag": "t"}\n' * 30
        sound = draw.draw(
            st.sampled_from(
                [
                    parquet({"source": ["a", "bb"] * 9, "size": [1, 2] * 9}),
                    gzip.compress(rows),
                    zstandard.compress(rows),
                    rows,
                ]
            )
        )
        at = draw.draw(st.integers(0, len(sound) - 1))
        broken = bytearray(sound)
        broken[at] = draw.draw(st.integers(0, 255))
        self.check(bytes(broken[: draw.draw(st.integers(0, len(sound)))]), "m")
        self.check(bytes(broken), "m")

    def check(self, data: bytes, name: str) -> None:
        try:
            rows = read(data, name)
        except InvalidManifestError:
            return
        assert all((row.fields is None) != (row.error is None) for row in rows)


def test_lines_are_cut_the_same_however_chunks_fall() -> None:
    data = b"a\nbb\r\n\nccc\n" + "é".encode() * 10 + b"\nlast"
    expected = data.decode().replace("\r\n", "\n").split("\n")
    for size in range(1, len(data) + 1):
        chunks = iter([data[start : start + size] for start in range(0, len(data), size)])
        assert list(line.Lines(chunks)) == expected


@dataclass(frozen=True)
class File:
    uri: str
    size: int = 1
    mtime: float | None = 2.5
    etag: str | None = None


class Folder:
    """A folder in memory that a listing is written to and read from."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        assert name not in self.parts
        self.parts[f"out/{name}"] = data

    def list_files(self, pattern: str) -> Iterator[File]:
        assert pattern == "out/part-*.parquet"
        return (File(name) for name in sorted(self.parts))

    def open_stream(self, uri: str) -> BinaryIO:
        return io.BytesIO(self.parts[uri])

    def rows(self) -> list[Row]:
        return list(read_rows("out/", open_stream=self.open_stream, list_files=self.list_files))

    def progress(self) -> Progress:
        return read_progress(self.open_stream(max(self.parts)))


class TestListing:
    @pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 25])
    def test_parts_hold_the_listing(self, count: int) -> None:
        files = [File(f"s3://b/{n:04d}.jpg", n) for n in range(count)]
        folder = Folder()
        done = write_listing(iter(files), folder.write, rows_per_part=10)
        assert done == folder.progress()
        assert done.complete
        rows = folder.rows()
        assert [row.number for row in rows] == list(range(1, count + 1))
        assert [row.fields for row in rows] == [
            {"source": file.uri, "size": file.size, "mtime": 2.5} for file in files
        ]

    def test_an_interrupted_listing_goes_on(self) -> None:
        files = [File(f"s3://b/{n:04d}.jpg", n) for n in range(35)]

        def interrupted() -> Iterator[File]:
            yield from files[:27]
            raise KeyboardInterrupt

        folder = Folder()
        with pytest.raises(KeyboardInterrupt):
            write_listing(interrupted(), folder.write, rows_per_part=10)
        begin = folder.progress()
        assert (begin.parts, begin.complete) == (2, False)
        rest = [file for file in files if begin.after is None or file.uri > begin.after]
        write_listing(iter(rest), folder.write, begin=begin, rows_per_part=10)
        assert [row.fields["source"] for row in folder.rows() if row.fields] == [
            file.uri for file in files
        ]

    def test_a_complete_listing_is_left_alone(self) -> None:
        folder = Folder()
        done = write_listing(iter([File("a")]), folder.write)
        assert write_listing(iter([File("b")]), folder.write, begin=done) == done

    def test_extensions_and_names_that_are_no_unicode(self) -> None:
        folder = Folder()
        names = ["a.JPG", "b.txt", "c.mp4", "\udcff.jpg", "d.bin"]
        done = write_listing(map(File, names), folder.write, extensions=["jpg", ".mp4"])
        assert [row.fields["source"] for row in folder.rows() if row.fields] == ["a.JPG", "c.mp4"]
        assert (done.after, done.unnamed) == ("d.bin", 1)

    def test_another_parquet_is_no_part(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidManifestError, match="part of a listing"):
            read_progress(io.BytesIO(parquet({"source": ["a"]})))
        with pytest.raises(InvalidManifestError, match="part of a listing"):
            read_progress(io.BytesIO(b"PAR1"))
