"""Files from and to a real S3 server, with keys that come and go with a request."""

import hashlib
import logging
import random
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from farm import errors, storage
from farm.service.bucket import Bucket, open_bucket
from farm.service.place import S3Place
from farm.service.policy import AddressPolicy
from farm.service.transfer import Terms
from farm.storage import failure, filesystem, profile, s3
from tests.s3 import S3Server, s3_server
from tests.service.web import Web, web

__all__ = ["s3_server", "web"]

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "t0ken-value"
MIB = 1 << 20
LOCAL = AddressPolicy(allow_hosts=("127.0.0.1",))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "FIRST_DELAY_SECONDS", 0.01)


def place_of(server: S3Server, **fields: Any) -> S3Place:
    bucket = fields.pop("bucket", None) or server.new_bucket().rpartition("@")[2]
    given = {
        "bucket": bucket,
        "endpoint": server.endpoint,
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": SECRET,
    }
    return S3Place.of(given | fields)


def client_of(server: S3Server, service: str = "s3") -> Any:
    keys = {"aws_access_key_id": "A", "aws_secret_access_key": "B", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=server.endpoint, **keys)


@pytest.fixture
def place(s3_server: S3Server) -> S3Place:
    return place_of(s3_server)


@pytest.fixture
def bucket(place: S3Place) -> Iterator[Bucket]:
    with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=100 * MIB)) as opened:
        yield opened


def test_what_goes_up_comes_down(bucket: Bucket, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(20 * MIB)
    (tmp_path / "made").write_bytes(data)
    bucket.upload("deep/a b?é%20.mp4", tmp_path / "made", content_type="video/mp4")
    found = bucket.download("deep/a b?é%20.mp4", tmp_path / "got")
    assert (found.filename, found.size_bytes) == ("a b_é%20.mp4", len(data))
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert found.path.read_bytes() == data
    bucket.upload("empty", b"")
    assert bucket.download("empty", tmp_path / "none").size_bytes == 0


def test_large_files_go_in_parts(
    s3_server: S3Server, place: S3Place, bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "made").write_bytes(b"x" * (s3._PART_BYTES + 1))
    bucket.upload("k", tmp_path / "made", content_type="video/mp4")
    head = client_of(s3_server).head_object(Bucket=place.bucket, Key="k")
    assert head["ETag"].endswith('-2"')
    assert (head["ContentType"], head["ContentLength"]) == ("video/mp4", s3._PART_BYTES + 1)


@pytest.mark.parametrize("size", [10, s3._PART_BYTES + 1])
def test_an_object_is_put_as_asked(s3_server: S3Server, tmp_path: Path, size: int) -> None:
    place = place_of(
        s3_server,
        acl="public-read",
        cache_control="max-age=60",
        metadata={"shot": "1"},
        server_side_encryption="AES256",
        tagging={"kind": "thumb nail", "a": "b=c+d"},
        storage_class="STANDARD_IA",
    )
    (tmp_path / "made").write_bytes(b"x" * size)
    with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
        bucket.upload("x.png", tmp_path / "made", content_type="image/png")
    client, where = client_of(s3_server), {"Bucket": place.bucket, "Key": "x.png"}
    head = client.head_object(**where)
    assert (head["CacheControl"], head["ContentType"]) == ("max-age=60", "image/png")
    assert head["Metadata"] == {"shot": "1"}
    assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")
    tags = {tag["Key"]: tag["Value"] for tag in client.get_object_tagging(**where)["TagSet"]}
    assert tags == {"kind": "thumb nail", "a": "b=c+d"}
    grants = client.get_object_acl(**where)["Grants"]
    everyone = [one for one in grants if "AllUsers" in one["Grantee"].get("URI", "")]
    assert [one["Permission"] for one in everyone] == ["READ"]
    url = f"{s3_server.endpoint}/{place.bucket}/x.png"
    assert len(urllib.request.urlopen(url).read()) == size


def test_private_is_the_default(s3_server: S3Server) -> None:
    place = place_of(s3_server, acl="private")
    with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
        bucket.upload("x", b"1")
    grants = client_of(s3_server).get_object_acl(Bucket=place.bucket, Key="x")["Grants"]
    assert [one["Grantee"]["Type"] for one in grants] == ["CanonicalUser"]


def test_a_prefix_is_many_files(bucket: Bucket, tmp_path: Path) -> None:
    for key in ("in/a/x.jpg", "in/b/X.jpg", "in/c", "in-d/y.jpg", "other", "in/e/"):
        bucket.upload(key, key.encode())
    found = bucket.download_all("in", tmp_path, most_files=4)
    assert [one.filename for one in found] == ["y.jpg", "x.jpg", "X-2.jpg", "c"]
    assert [one.path.read_bytes() for one in found[:2]] == [b"in-d/y.jpg", b"in/a/x.jpg"]
    assert all(one.path.parent == tmp_path for one in found)
    with pytest.raises(errors.SourceTooLargeError, match="more than the 3 files"):
        bucket.download_all("in", tmp_path, most_files=3)
    with pytest.raises(errors.SourceNotFoundError, match="no object has a key that"):
        bucket.download_all("none", tmp_path, most_files=3)


def test_bounds_on_bytes(place: S3Place, tmp_path: Path) -> None:
    with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=10)) as bucket:
        bucket.upload("in/1", b"123456")
        bucket.upload("in/2", b"123456")
        bucket.upload("large", b"12345678901")
        with pytest.raises(errors.SourceTooLargeError, match="more than the 10 bytes"):
            bucket.download_all("in/", tmp_path, most_files=3)
        with pytest.raises(errors.SourceTooLargeError, match=r"11 bytes; at most 10") as caught:
            bucket.download("large", tmp_path / "x")
    assert f"'s3://{place.bucket}/large'" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(bucket: Bucket, place: S3Place, tmp_path: Path) -> None:
    with pytest.raises(errors.SourceNotFoundError) as caught:
        bucket.download("no/such", tmp_path / "x")
    assert f"cannot read 's3://{place.bucket}/no/such'" in str(caught.value)
    assert not (tmp_path / "x").exists()


class TestKeys:
    """A server that checks signatures and users."""

    @pytest.fixture
    def strict(self, s3_server: S3Server) -> Iterator[S3Server]:
        def allow(count: str) -> None:
            url = f"{s3_server.endpoint}/moto-api/reset-auth"
            kind = {"Content-Type": "text/plain"}
            urllib.request.urlopen(urllib.request.Request(url, count.encode(), kind)).close()

        self.bucket = s3_server.new_bucket().rpartition("@")[2]
        iam = client_of(s3_server, "iam")
        iam.create_user(UserName=self.bucket)
        rule = (
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        )
        iam.put_user_policy(UserName=self.bucket, PolicyName="all", PolicyDocument=rule)
        self.keys = iam.create_access_key(UserName=self.bucket)["AccessKey"]
        allow("0")
        yield s3_server
        allow("1000000000")

    def test_right_ones(self, strict: S3Server, tmp_path: Path) -> None:
        place = place_of(
            strict,
            bucket=self.bucket,
            access_key_id=self.keys["AccessKeyId"],
            secret_access_key=self.keys["SecretAccessKey"],
        )
        with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
            bucket.upload("x", b"1")
            assert bucket.download("x", tmp_path / "x").size_bytes == 1

    @pytest.mark.parametrize("fault", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "Token"])
    def test_wrong_ones(
        self, strict: S3Server, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        key = "AKIANOBODY" if fault == "InvalidAccessKeyId" else self.keys["AccessKeyId"]
        token = TOKEN if fault == "Token" else None
        place = place_of(strict, bucket=self.bucket, access_key_id=key, session_token=token)
        with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
            with pytest.raises(errors.StoreDeniedError, match=f"HTTP 40.*{fault}") as put:
                bucket.upload("x", b"1")
            with pytest.raises(errors.SourceDeniedError, match=f"HTTP 40.*{fault}") as got:
                bucket.download("x", tmp_path / "x")
        for error in (put.value, got.value):
            assert f"'s3://{self.bucket}/x'" in str(error)
            assert key not in str(error)
            assert SECRET not in f"{error} {error!r} {error.__cause__!r}"
        for hidden in (SECRET, TOKEN):
            assert hidden not in caplog.text
            assert hidden not in f"{place} {place!r} {bucket!r}"


def test_many_places_at_once(s3_server: S3Server, tmp_path: Path) -> None:
    def carry(number: int) -> bytes:
        place = place_of(s3_server)
        with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
            bucket.upload("x", str(number).encode())
            return bucket.download("x", tmp_path / str(number)).path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(carry, range(8))) == [str(number).encode() for number in range(8)]


def test_nothing_stays_of_the_keys(place: S3Place) -> None:
    with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
        bucket.upload("x", b"1")
        assert len(profile._registered) == 1
    assert profile._registered == {}
    assert not [key for key in filesystem._filesystems if str(key[1]).startswith("registered-")]
    with pytest.raises(errors.StoreDeniedError, match="is not in"):
        storage.put(bucket._uri("x"), b"2")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"])
def test_endpoints_obey_the_policy(s3_server: S3Server, host: str) -> None:
    port = s3_server.endpoint.rpartition(":")[2]
    place = place_of(s3_server, endpoint=f"http://{host}:{port}", bucket="any")
    with (
        open_bucket(place, policy=AddressPolicy(), terms=Terms(most_bytes=1)) as bucket,
        pytest.raises(errors.StoreDeniedError, match="an address that is not public"),
    ):
        bucket.upload("x", b"1")


def test_names_that_change_their_address(s3_server: S3Server, place: S3Place) -> None:
    port = s3_server.endpoint.rpartition(":")[2]
    rounds = [["10.0.0.1", "127.0.0.1"], ["10.0.0.1"]]
    named = place.model_copy(update={"endpoint": f"http://localhost:{port}"})
    terms = Terms(most_bytes=MIB, connect_seconds=1)
    with open_bucket(
        named, policy=LOCAL, terms=terms, resolve=lambda host, port: rounds.pop(0)
    ) as bucket:
        bucket.upload("x", b"1")
    with (
        open_bucket(
            named, policy=LOCAL, terms=terms, resolve=lambda host, port: rounds.pop(0)
        ) as bucket,
        pytest.raises(errors.StoreDeniedError, match="'localhost' leads to an address"),
    ):
        bucket.upload("x", b"1")


def test_the_environment_is_left_aside(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with open_bucket(place, policy=LOCAL, terms=Terms(most_bytes=MIB)) as bucket:
        bucket.upload("x", b"1")


@pytest.mark.parametrize("kind", ["slow", "silent"])
def test_a_server_cannot_hold_a_transfer(web: Web, tmp_path: Path, kind: str) -> None:
    fields = {"access_key_id": "A", "secret_access_key": SECRET}
    place = S3Place.of({"bucket": kind, "endpoint": web.url("").rstrip("/"), **fields})
    began = time.monotonic()
    terms = Terms(most_bytes=MIB, total_seconds=1)
    with open_bucket(place, policy=LOCAL, terms=terms) as bucket:
        with pytest.raises(errors.SourceUnavailableError, match="not done within 1 s"):
            bucket.download("x", tmp_path / "x")
        with pytest.raises(errors.StoreUnavailableError, match="not done within 1 s"):
            bucket.upload("x", b"1")
    assert time.monotonic() - began < 5
