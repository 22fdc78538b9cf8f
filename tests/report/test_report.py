"""Reports as files: what they count and show, what they leave alone, wherever they are stored."""

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from farm import storage
from farm.cli.selection import Selection
from farm.errors import InvalidJobError
from farm.lease import Lease
from farm.ledger import Ledger, PassReason
from farm.record import Artifact, Record, Status
from farm.report import ReportOptions, write_report
from farm.run_status import LiveState, RunStatus, put_status
from tests.report.ledgers import data_of, done, failed, make_ledger, picture, store_picture
from tests.s3 import S3Server, s3_server

__all__ = ["s3_server"]


def _ids(folder: Path) -> list[str]:
    return [entry["id"] for entry in data_of(folder, "entries")]


def _all_kinds(count: int) -> list[Record]:
    """A tenth each failed by two codes, one in quarantine, one left for later, the rest done."""
    records = [
        failed(row, ("corrupt", "timeout")[row % 20 == 0])
        if row % 10 == 0
        else done(row, picture(f"/t/{row}.jpg"))
        for row in range(1, count + 1)
    ]
    records[0] = Record(1, Status.DEFERRED, source="/archive/later.mp4", id="later", attempts=0)
    records[1] = replace(failed(2, "decoder_crash"), status=Status.QUARANTINED)
    return records


def test_failures_come_first_and_all_is_counted(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", _all_kinds(250), shard=40)
    written = write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    assert (written.entries, written.shown) == (250, 250)
    assert written.uri == f"{tmp_path}/_report/index.html"
    entries = data_of(tmp_path / "_report", "entries")
    statuses = [entry["status"] for entry in entries]
    assert statuses[:26].count("failed") == 25
    assert statuses[26:] == ["ok"] * 223 + ["deferred"]
    index = data_of(tmp_path / "_report", "index")
    assert [row[6] for row in index] == [entry["row"] for entry in entries]
    assert index[0][:5] == [["quarantined"], ["decoder_crash"], [], [], []]
    page = (tmp_path / "_report/index.html").read_text("utf-8")
    assert "A sample" not in page
    assert "1 entries were not tried yet" in page
    assert 'data-entries="250"' in page
    assert re.search(r"<dt>failed</dt><dd>26<small>10.4 %", page)


def test_a_sample_is_told_and_bounded(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", _all_kinds(600))
    write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    assert len(list((tmp_path / "_report/data").iterdir())) == 7
    written = write_report(ledger, f"{tmp_path}/_report", ReportOptions(limit=40))
    assert (written.entries, written.shown) == (600, 40)
    entries = data_of(tmp_path / "_report", "entries")
    codes = [entry["code"] for entry in entries]
    assert [codes.count(code) for code in ("decoder_crash", "corrupt", "timeout")] == [1, 10, 9]
    assert codes[20:] == [""] * 20
    rows = [entry["row"] for entry in entries[20:]]
    assert rows[-1] - rows[0] > 500
    # What the longer one had besides is gone.
    assert sorted(path.name for path in (tmp_path / "_report/data").iterdir()) == [
        "entries-00000.js",
        "index-00000.js",
    ]
    page = (tmp_path / "_report/index.html").read_text("utf-8")
    assert "A sample: 40 of 600 entries" in page


def test_only_what_is_chosen_is_counted(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", _all_kinds(100))
    options = ReportOptions(choose=Selection.of(None, "timeout").filter, selection="code timeout")
    assert write_report(ledger, f"{tmp_path}/_report", options).entries == 5
    assert {entry["code"] for entry in data_of(tmp_path / "_report", "entries")} == {"timeout"}
    page = (tmp_path / "_report/index.html").read_text("utf-8")
    assert "Only entries with code timeout are counted and shown." in page


def test_the_newest_record_of_each_entry_is_shown(tmp_path: Path) -> None:
    uri = f"{tmp_path}/_ledger"
    make_ledger(uri, [done(1, id="old"), done(2, id="stays", fingerprint="cc" * 16)])
    second = [done(1, id="new", fingerprint="aa" * 16), failed(2, "timeout", fingerprint="bb" * 16)]
    make_ledger(uri, second, number=2, reason=PassReason.CHANGED, carried=1)
    ledger = make_ledger(
        uri, [done(2, id="retried", fingerprint="bb" * 16)], number=3, reason=PassReason.RETRY
    )
    written = write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    # Two of the first pass were not done again with their fingerprints: one may be carried over.
    assert set(_ids(tmp_path / "_report")) == {"retried", "new", "stays", "old"}
    assert written.entries == 4
    page = (tmp_path / "_report/index.html").read_text("utf-8")
    assert "its 3 passes" in page
    assert "2 of them were done by passes before the newest manifest" in page


@pytest.mark.parametrize(
    ("is_finished", "told", "state", "reason"),
    [
        (True, None, "done", ""),
        (True, {"state": "done"}, "done", ""),
        (True, {"state": "failed", "reason": "no s3://b/k?a=1&key=secret"}, "failed", "key=***"),
        (False, None, "gone", "it ended without saying how"),
        (False, {"state": "stopped", "reason": "by a signal"}, "stopped", "by a signal"),
    ],
)
def test_the_state_is_told(
    tmp_path: Path, is_finished: bool, told: dict[str, Any] | None, state: str, reason: str
) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", [done(1)], is_finished=is_finished)
    if told is not None:
        put_status(ledger.uri, RunStatus(**told))
    write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    page = (tmp_path / "_report/index.html").read_text("utf-8")
    assert f'<span class="pill {state}">{state}</span>' in page
    assert reason in page
    assert "secret" not in page


def test_a_run_that_is_under_way_is_told(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", [done(1)], is_finished=False)
    with Lease.take(ledger.uri) as lease:
        put_status(ledger.uri, RunStatus(state=LiveState.RUNNING, lease=lease.claim.number))
        write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    page = (tmp_path / "_report/index.html").read_text("utf-8")
    assert '<span class="pill running">running</span>' in page


def test_a_pass_without_any_record_has_a_report(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", [], is_finished=False)
    written = write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    assert (written.entries, written.shown) == (0, 0)
    assert "<svg" not in Path(written.uri).read_text("utf-8")


def test_another_page_is_left_alone(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", [done(1)])
    page = tmp_path / "site/index.html"
    page.parent.mkdir()
    page.write_text("<!doctype html><title>Mine</title>")
    with pytest.raises(InvalidJobError, match="is something else"):
        write_report(ledger, f"{tmp_path}/site", ReportOptions())
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


def test_copies_make_it_whole(tmp_path: Path) -> None:
    stored = store_picture(f"{tmp_path}/t/a.png", Image.new("RGB", (8, 8)))
    gone = picture(f"{tmp_path}/t/gone.jpg", output=1)
    odd = replace(gone, sha256="../../up", output=2)
    ledger = make_ledger(f"{tmp_path}/_ledger", [done(1, stored, gone, odd), done(2, stored)])
    written = write_report(ledger, f"{tmp_path}/elsewhere", ReportOptions(copy=True))
    assert (written.copied, written.missing, written.unlinked) == (1, 2, 0)
    hrefs = [file["href"] for entry in data_of(tmp_path / "elsewhere", "entries")
             for file in entry["files"]]  # fmt: skip
    assert all(re.fullmatch(r"files/[0-9a-f]{2}/[0-9a-f]{64}\.(png|jpg)", href) for href in hrefs)
    assert hrefs[0] == hrefs[3]
    copied = tmp_path / "elsewhere" / hrefs[0]
    assert copied.read_bytes() == (tmp_path / "t/a.png").read_bytes()
    assert len([path for path in (tmp_path / "elsewhere/files").rglob("*") if path.is_file()]) == 1
    # The same again: what is there stays.
    (tmp_path / "t/a.png").unlink()
    assert write_report(ledger, f"{tmp_path}/elsewhere", ReportOptions(copy=True)).copied == 1


def test_in_a_bucket_links_are_relative(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3_server.new_bucket()
    stored = store_picture(f"{bucket}/t/a b.png", Image.new("RGB", (8, 8)))
    ledger = make_ledger(f"{bucket}/t/_ledger", [done(1, stored)])
    written = write_report(ledger, f"{bucket}/t/_report", ReportOptions())
    assert written.uri == f"{bucket}/t/_report/index.html"
    data = storage.get(f"{bucket}/t/_report/data/entries-00000.js").decode()
    assert '"href":"../a%20b.png"' in data
    # From a disk the profile's server is asked.
    write_report(ledger, f"{tmp_path}/report", ReportOptions())
    (entry,) = data_of(tmp_path / "report", "entries")
    name = bucket.partition("@")[2]
    assert entry["files"][0]["href"] == f"{s3_server.endpoint}/{name}/t/a%20b.png"
    assert write_report(ledger, f"{tmp_path}/copy", ReportOptions(copy=True)).copied == 1
    assert list((tmp_path / "copy/files").rglob("*.png"))


def test_what_no_browser_opens_is_counted(tmp_path: Path) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", [done(1, picture("sftp://h/a.jpg"))])
    assert write_report(ledger, f"{tmp_path}/_report", ReportOptions()).unlinked == 1
    (entry,) = data_of(tmp_path / "_report", "entries")
    assert (entry["files"][0]["href"], entry["files"][0]["uri"]) == (None, "sftp://h/a.jpg")


def test_memory_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        records = [done(row, picture(f"/t/{row}.jpg")) for row in range(1, count + 1)]
        ledger = Ledger(make_ledger(f"{tmp_path}/{count}/_ledger", records).uri, storage)
        del records
        tracemalloc.start()
        written = write_report(ledger, f"{tmp_path}/{count}/_report", ReportOptions(limit=None))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert written.shown == count
        return most

    peak(200)  # what is loaded once
    small, large = peak(500), peak(4000)
    # The index of up to 5000 entries is all that grew, some hundred bytes for each.
    assert large < small + 3500 * 600


def test_many_pictures_of_an_entry_are_bounded(tmp_path: Path) -> None:
    many: tuple[Artifact, ...] = tuple(picture(f"/t/{n}.jpg", index=n) for n in range(1, 101))
    ledger = make_ledger(f"{tmp_path}/_ledger", [done(1, *many)])
    write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    (entry,) = data_of(tmp_path / "_report", "entries")
    assert (len(entry["files"]), entry["more"]) == (24, 76)


def test_a_ledger_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = make_ledger(f"{tmp_path}/_ledger", _all_kinds(200), shard=50)
    read: list[str] = []
    get: Callable[[str], bytes] = storage.get

    def noted(uri: str) -> bytes:
        read.append(uri)
        return get(uri)

    monkeypatch.setattr(storage, "get", noted)
    write_report(ledger, f"{tmp_path}/_report", ReportOptions())
    results = [uri for uri in read if "/results/" in uri]
    assert len(results) == len(set(results)) == 4
