"""What S3 does on its own: metadata, conditions, pages, and servers that lack something."""

import logging
import random
from pathlib import Path
from typing import Any

import pytest

from farm import errors, storage
from farm.storage import failure, s3
from farm.storage.filesystem import registered
from farm.storage.location import parse
from farm.storage.source import HEAD_BYTES
from tests.s3 import SECRET, S3Server, s3_server

__all__ = ["s3_server"]

Call = Any


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "FIRST_DELAY_SECONDS", 0.0)


class Interference:
    """Answers some calls to the server itself, or spoils the answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.before: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        real = s3._call

        def call(method: str, place: Any, **arguments: Any) -> Any:
            self.calls.append(method)
            if self.before.get(method):
                raise self.before[method].pop(0)
            answer = real(method, place, **arguments)
            if self.after.get(method):
                raise self.after[method].pop(0)
            return answer

        monkeypatch.setattr(s3, "_call", call)


@pytest.fixture
def interference(monkeypatch: pytest.MonkeyPatch) -> Interference:
    return Interference(monkeypatch)


def client_error(status: int, code: str) -> OSError:
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate_boto_error(ClientError(answer, "PutObject"))


def test_type_and_hash_are_kept(bucket: str) -> None:
    uri = f"{bucket}/x.png"
    storage.put(uri, b"1", content_type="image/png", sha256="ab" * 32)
    head = s3._call("head_object", parse(uri))
    assert head["ContentType"] == "image/png"
    assert head["Metadata"] == {"sha256": "ab" * 32}
    assert storage.stat(uri).etag == head["ETag"].strip('"')


def test_metadata_of_a_profile_stays(s3_server: S3Server, bucket: str) -> None:
    keys = {"key": "K", "secret": SECRET, "endpoint_url": s3_server.endpoint}
    with registered(keys | {"s3_additional_kwargs": {"Metadata": {"shot": "1"}}}) as name:
        storage.put(f"{bucket.replace('moto', name)}/x", b"1", sha256="ab")
    head = s3._call("head_object", parse(f"{bucket}/x"))
    assert head["Metadata"] == {"shot": "1", "sha256": "ab"}


class TestPutFile:
    def test_small_and_large(self, bucket: str, tmp_path: Path) -> None:
        for size in (0, 5, s3._PART_BYTES, 2 * s3._PART_BYTES + 3):
            data = random.Random(size).randbytes(size)
            (tmp_path / "x").write_bytes(data)
            s3.put_file(f"{bucket}/x", tmp_path / "x", content_type="video/mp4")
            assert storage.get(f"{bucket}/x") == data
            assert s3._call("head_object", parse(f"{bucket}/x"))["ContentType"] == "video/mp4"

    def test_parts_are_sent_again(
        self, bucket: str, tmp_path: Path, interference: Interference
    ) -> None:
        (tmp_path / "x").write_bytes(b"x" * (s3._PART_BYTES + 1))
        interference.before["upload_part"] = [TimeoutError(), client_error(503, "SlowDown")]
        s3.put_file(f"{bucket}/x", tmp_path / "x")
        assert interference.calls.count("upload_part") == 4
        assert storage.stat(f"{bucket}/x").size == s3._PART_BYTES + 1

    def test_nothing_stays_of_what_failed(
        self, bucket: str, tmp_path: Path, interference: Interference
    ) -> None:
        (tmp_path / "x").write_bytes(b"x" * (s3._PART_BYTES + 1))
        interference.before["complete_multipart_upload"] = [client_error(403, "AccessDenied")]
        with pytest.raises(errors.StoreDeniedError):
            s3.put_file(f"{bucket}/x", tmp_path / "x")
        place = parse(bucket)
        left = s3._filesystem(place).call_s3("list_multipart_uploads", Bucket=s3._split(place)[0])
        assert "Uploads" not in left
        assert not storage.exists(f"{bucket}/x")


def test_a_replaced_source_is_noticed(bucket: str) -> None:
    uri = f"{bucket}/x"
    storage.put(uri, b"a" * 600_000)
    with storage.open_source(uri) as source:
        assert source.read_at(0, 1) == b"a"
        storage.put(uri, b"b" * 600_000)
        with pytest.raises(errors.SourceChangedError, match="Precondition"):
            source.read_at(599_999, 1)


def test_a_listing_of_many_pages(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"p/{number:03d}" for number in range(25)]
    for key in keys:
        storage.put(f"{bucket}/{key}", b"1")
    pages = []
    real = s3._filesystem

    class Small:
        def __init__(self, fs: Any) -> None:
            self.fs = fs

        def call_s3(self, method: str, **arguments: Any) -> Any:
            pages.append(arguments.get("StartAfter"))
            return self.fs.call_s3(method, MaxKeys=10, **arguments)

    monkeypatch.setattr(s3, "_filesystem", lambda place: Small(real(place)))
    listing = s3.S3Store().list_scope(s3_scope(f"{bucket}/p"), None)
    assert next(listing).uri == f"{bucket}/p/000"
    assert len(pages) == 1
    assert [file.uri for file in listing] == [f"{bucket}/{key}" for key in keys[1:]]
    assert len(pages) == 3
    pages.clear()
    rest = s3.S3Store().list_scope(s3_scope(f"{bucket}/p"), f"{bucket}/p/019")
    assert len(list(rest)) == 5
    assert pages == ["p/019"]


def s3_scope(uri: str) -> Any:
    from farm.storage.listing import folder_scope

    return folder_scope(uri)


def test_keys_that_are_folders_markers_are_left_out(bucket: str) -> None:
    s3._call("put_object", parse(f"{bucket}/folder/"), Body=b"")
    storage.put(f"{bucket}/folder//double", b"1")
    assert [file.uri for file in storage.list_files(bucket)] == [f"{bucket}/folder//double"]


def test_a_missing_bucket(s3_server: S3Server) -> None:
    with pytest.raises(errors.SourceNotFoundError):
        list(storage.list_files("s3://moto@no-such-bucket"))
    with pytest.raises(errors.StoreError, match="NoSuchBucket"):
        storage.put("s3://moto@no-such-bucket/x", b"1")


def test_defaults_of_the_scheme(bucket: str) -> None:
    storage.put(f"{bucket}/x", b"1")
    assert storage.get(bucket.replace("moto@", "") + "/x") == b"1"


class TestPutNew:
    def test_a_lost_answer_is_still_a_win(self, bucket: str, interference: Interference) -> None:
        interference.after["put_object"] = [ConnectionResetError()]
        assert storage.put_new(f"{bucket}/x", b"mine")

    def test_a_lost_answer_does_not_steal(self, bucket: str, interference: Interference) -> None:
        storage.put(f"{bucket}/x", b"theirs")
        interference.before["put_object"] = [ConnectionResetError()]
        assert not storage.put_new(f"{bucket}/x", b"mine")
        assert storage.get(f"{bucket}/x") == b"theirs"

    def test_a_server_without_conditions(self, bucket: str, interference: Interference) -> None:
        unsupported = client_error(501, "NotImplemented")
        interference.before["put_object"] = [unsupported]
        assert storage.put_new(f"{bucket}/x", b"first")
        interference.before["put_object"] = [unsupported]
        assert not storage.put_new(f"{bucket}/x", b"second")
        assert storage.get(f"{bucket}/x") == b"first"

    def test_a_conflict_is_lost_or_tried_again(
        self, bucket: str, interference: Interference
    ) -> None:
        conflict = client_error(409, "ConditionalRequestConflict")
        interference.before["put_object"] = [conflict]
        assert storage.put_new(f"{bucket}/x", b"first")
        interference.before["put_object"] = [conflict]
        assert not storage.put_new(f"{bucket}/x", b"second")


def test_a_busy_server_is_asked_again(bucket: str, interference: Interference) -> None:
    interference.before["put_object"] = [client_error(503, "SlowDown"), TimeoutError()]
    storage.put(f"{bucket}/x", b"1")
    assert interference.calls == ["put_object"] * 3
    interference.before["put_object"] = [client_error(503, "SlowDown")] * 3
    with pytest.raises(errors.StoreUnavailableError, match="SlowDown"):
        storage.put(f"{bucket}/x", b"1")


def test_a_server_that_is_gone(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    profiles = tmp_path / "gone.yaml"
    profiles.write_text(
        f"profiles: {{gone: {{key: K, secret: {SECRET}, endpoint_url: 'http://127.0.0.1:9'}}}}"
    )
    monkeypatch.setenv("FARM_PROFILES", str(profiles))
    with pytest.raises(errors.SourceUnavailableError) as caught:
        storage.get("s3://gone@b/k")
    assert SECRET not in str(caught.value)


def test_no_secret_is_logged(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        storage.put(f"{bucket}/x", b"1")
        with pytest.raises(errors.SourceNotFoundError):
            storage.get(f"{bucket}/none")
    assert SECRET not in caplog.text


def test_a_server_that_ignores_conditions(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{bucket}/x"
    storage.put(uri, b"a" * 600_000)
    real = s3._get_object

    def careless(place: Any, **arguments: Any) -> Any:
        arguments.pop("IfMatch", None)
        return real(place, **arguments)

    monkeypatch.setattr(s3, "_get_object", careless)
    with storage.open_source(uri) as source:
        storage.put(uri, b"b" * 600_000)
        with pytest.raises(errors.SourceChangedError, match="was replaced"):
            source.read_at(599_999, 1)


def test_opening_is_one_request_that_brings_the_head(bucket: str) -> None:
    uri = f"{bucket}/x"
    data = random.Random(4).randbytes(HEAD_BYTES + 1000)
    storage.put(uri, data)
    with storage.open_source(uri, expected_size=len(data)) as source:
        assert (source.size, source.head) == (len(data), data[:HEAD_BYTES])
        assert (source.requests, source.bytes_read) == (1, HEAD_BYTES)
        assert source.read_at(HEAD_BYTES - 5, 10) == data[HEAD_BYTES - 5 : HEAD_BYTES + 5]
        assert (source.requests, source.bytes_read) == (2, HEAD_BYTES + 5)


def test_an_empty_object(bucket: str) -> None:
    storage.put(f"{bucket}/x", b"")
    with storage.open_source(f"{bucket}/x", expected_size=0) as source:
        assert (source.size, source.head, source.requests) == (0, b"", 1)


def test_a_server_without_ranges(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put(f"{bucket}/small", b"a" * 600)
    storage.put(f"{bucket}/large", b"a" * 600_000)
    real = s3._get_object

    def careless(place: Any, **arguments: Any) -> Any:
        arguments.pop("Range")
        return real(place, **arguments)

    monkeypatch.setattr(s3, "_get_object", careless)
    with storage.open_source(f"{bucket}/small") as source:
        assert source.read_at(100, 1_000) == b"a" * 500
    with pytest.raises(errors.SourceError, match="all of an object where a part"):
        storage.open_source(f"{bucket}/large")
