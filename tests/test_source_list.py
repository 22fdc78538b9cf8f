"""The sources of a job: manifests as they are, folders and globs listed once."""

import uuid

import pytest

from farm import storage
from farm.errors import InvalidManifestError
from farm.manifest import table
from farm.row import Row
from farm.source_list import SourceList
from tests.recipes import write_manifest, write_source


def listing(folder, *, manifest=None, destination=None):
    manifest = f"{folder}/in/" if manifest is None else manifest
    return SourceList(manifest, f"{folder}/ledger", destination)


def rows(sources):
    return list(sources.rows(sources.identity((), False)))


def sources_of(found):
    return [row.fields["source"] for row in found]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("b.syn", "a.syn", "deep/c.syn"):
        write_source(tmp_path / "in" / name)
    return tmp_path


class TestManifest:
    def test_relative_sources_count_from_its_folder(self, tmp_path):
        given = ["a.syn", "/abs/b.syn", "s3://bucket/c.syn"]
        path = write_manifest(tmp_path / "list.jsonl", ({"source": each} for each in given))
        found = rows(listing(tmp_path, manifest=str(path)))
        assert sources_of(found) == [f"{tmp_path}/a.syn", "/abs/b.syn", "s3://bucket/c.syn"]
        assert [row.number for row in found] == [1, 2, 3]

    def test_rows_that_make_no_sense_keep_their_place(self, tmp_path):
        path = write_manifest(tmp_path / "list.jsonl", [{"source": ""}, "{", {"source": 5}, {}])
        found = rows(listing(tmp_path, manifest=str(path)))
        assert [row.fields for row in found] == [{"source": ""}, None, {"source": 5}, {}]
        assert "column" in found[1].error

    def test_its_identity_changes_with_its_content(self, tmp_path):
        path = write_manifest(tmp_path / "list.jsonl", [{"source": "a"}])
        sources = listing(tmp_path, manifest=str(path))
        before = sources.identity((), False)
        assert sources.identity([before], False) == before
        assert sources.identity([before], True) == before
        write_manifest(path, [{"source": "a"}, {"source": "b"}])
        assert sources.identity([before], False) != before

    def test_none_is_explained(self, tmp_path):
        with pytest.raises(InvalidManifestError, match=r"list\.jsonl.*a prefix to list ends in"):
            listing(tmp_path, manifest=f"{tmp_path}/list.jsonl").identity((), False)

    @pytest.mark.parametrize("form", ["{}/parts", "{}/parts/", "file://{}/parts"])
    def test_a_folder_of_parquet_parts_is_one(self, folder, form):
        table.write_listing(
            storage.list_files(f"{folder}/in/"),
            lambda name, part: storage.put(f"{folder}/parts/{name}", part),
        )
        sources = listing(folder, manifest=form.format(folder))
        before = sources.identity((), False)
        assert before["parts"] == 1
        assert len(rows(sources)) == 3
        storage.put(f"{folder}/parts/part-000009.parquet", b"more")
        assert sources.identity([before], False) != before


class TestListing:
    @pytest.mark.parametrize("form", ["{}/in/", "{}/in", "file://{}/in/", "{}/in/**"])
    def test_a_folder_or_glob_gives_its_files_in_order(self, folder, form):
        found = rows(listing(folder, manifest=form.format(folder)))
        names = [each.rpartition("/in/")[2] for each in sources_of(found)]
        assert names == ["a.syn", "b.syn", "deep/c.syn"]
        assert [row.number for row in found] == [1, 2, 3]
        assert found[0].fields["size"] == (folder / "in/a.syn").stat().st_size

    def test_a_prefix_of_another_store(self, tmp_path):
        store = f"memory://{uuid.uuid4()}"
        storage.put(f"{store}/in/a.syn", b"x")
        assert sources_of(rows(listing(tmp_path, manifest=f"{store}/in/"))) == [f"{store}/in/a.syn"]

    def test_it_is_made_once(self, folder):
        sources = listing(folder)
        first = sources.identity((), False)
        found = list(sources.rows(first))
        write_source(folder / "in/z.syn")
        again = sources.identity([first], False)
        assert again == first
        assert list(sources.rows(again)) == found

    def test_refresh_makes_another(self, folder):
        sources = listing(folder)
        first = sources.identity((), False)
        list(sources.rows(first))
        write_source(folder / "in/z.syn")
        second = sources.identity([first], True)
        assert second["listing"] == first["listing"] + 1
        assert len(list(sources.rows(second))) == 4
        assert len(list(sources.rows(first))) == 3

    def test_another_prefix_has_a_listing_of_its_own(self, folder):
        sources = listing(folder)
        first = sources.identity((), False)
        assert len(list(sources.rows(first))) == 3
        other = listing(folder, manifest=f"{folder}/in/deep/")
        second = other.identity([first], False)
        assert sources_of(other.rows(second)) == [f"{folder}/in/deep/c.syn"]
        assert sources.identity([first, second], False) == first
        assert sources.identity([first, second], True)["listing"] == 3

    def test_a_manifest_between_changes_no_listing(self, folder):
        path = write_manifest(folder / "list.jsonl", [{"source": "a"}])
        sources = listing(folder)
        first = sources.identity((), False)
        between = listing(folder, manifest=str(path)).identity([first], False)
        assert sources.identity([first, between], False) == first
        assert sources.identity([first, between], True)["listing"] == 2

    @pytest.mark.parametrize("form", ["{}/nowhere/", "file://{}/nowhere/"])
    def test_a_folder_that_is_not_there_is_explained(self, folder, form):
        sources = listing(folder, manifest=form.format(folder))
        with pytest.raises(InvalidManifestError, match=r"there is no folder '.*/nowhere/'"):
            sources.identity((), False)
        with pytest.raises(InvalidManifestError, match="there is no folder"):
            sources.preview()

    def test_an_interrupted_listing_is_continued(self, folder, monkeypatch):
        monkeypatch.setattr(table, "ROWS_PER_PART", 1)
        monkeypatch.setattr(table.listing_parts, "__kwdefaults__",
                            table.listing_parts.__kwdefaults__ | {"rows_per_part": 1})  # fmt: skip
        sources = listing(folder)
        identity = sources.identity((), False)
        begun = sources.rows(identity)
        first = next(begun)
        begun.close()
        (folder / "in/a.syn").unlink()
        assert next(iter(sources.rows(identity))) == first
        assert len(list(sources.rows(identity))) == 3

    def test_what_the_job_writes_is_left_out(self, folder):
        for path in ("out/a.png", "ledger/x", "outside/b.png"):
            storage.put(f"{folder}/in/{path}", b"x")
        sources = SourceList(f"{folder}/in/", f"{folder}/in/ledger", f"{folder}/in/out/")
        names = [each.rpartition("/in/")[2] for each in sources_of(rows(sources))]
        assert names == ["a.syn", "b.syn", "deep/c.syn", "outside/b.png"]

    def test_an_empty_prefix_has_no_rows(self, folder):
        (folder / "none").mkdir()
        assert rows(listing(folder, manifest=f"{folder}/none/")) == []

    def test_a_row_is_what_the_ledger_keeps(self, folder):
        assert all(isinstance(row, Row) for row in rows(listing(folder)))


def test_a_password_reaches_no_plan(tmp_path):
    manifest = tmp_path / "list.txt"
    manifest.write_text("s3://key:hunter2@bucket/a\n/b.syn\n")
    rows = list(SourceList(str(manifest), str(tmp_path / "ledger"), None).preview())
    assert [row.fields for row in rows] == [None, {"source": "/b.syn"}]
    assert "name a profile instead" in rows[0].error
    assert "hunter2" not in rows[0].error
