"""Places as callers write them: both APIs' forms, and what none of them may be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import InvalidEntryError
from farm.service.place import S3Place, parse_qencode_place
from farm.service.policy import AddressPolicy

SECRET = "wJalr/XUtn+FEMI=K7MDENG"
FIELDS = {"bucket": "media", "access_key_id": "AKIAEXAMPLE", "secret_access_key": SECRET}


def told(found: Any) -> tuple[str | None, str, str, str | None]:
    place = found.place
    assert place.access_key_id.get_secret_value() == "AKIA"
    assert place.secret_access_key.get_secret_value() == SECRET
    return place.endpoint, place.bucket, found.key, place.region


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://s3.example.org/media/a/b.jpg", ("s3.example.org", "media", "a/b.jpg", None)),
        ("s3://minio:9000/media/folder/", ("minio:9000", "media", "folder/", None)),
        ("s3://127.0.0.1:9000/media", ("127.0.0.1:9000", "media", "", None)),
        ("s3://[::1]:9000/media/x", ("[::1]:9000", "media", "x", None)),
        ("s3://s3-us-west-2.amazonaws.com/media/x", (None, "media", "x", "us-west-2")),
        ("s3://s3.eu-central-1.amazonaws.com/media/x", (None, "media", "x", "eu-central-1")),
        ("s3://s3.amazonaws.com/media/x", (None, "media", "x", None)),
        (
            "s3://s3.us-west-002.backblazeb2.com/media/x",
            ("s3.us-west-002.backblazeb2.com", "media", "x", "us-west-002"),
        ),
        ("s3://s3.fr-par.scw.cloud/media/x", ("s3.fr-par.scw.cloud", "media", "x", "fr-par")),
        ("s3://host.example/media/a@b c?d#e%20", ("host.example", "media", "a@b c?d#e%20", None)),
    ],
)
def test_destinations(url: str, expected: tuple[str | None, ...]) -> None:
    assert told(parse_qencode_place(url, is_source=False, key="AKIA", secret=SECRET)) == expected
    with_keys = url.replace("s3://", f"s3://AKIA:{SECRET}@")
    assert told(parse_qencode_place(with_keys, is_source=False)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"s3://AKIA:{SECRET}@media/a/b.mp4", (None, "media", "a/b.mp4", None)),
        (f"s3://AKIA:{SECRET}@my.media.example/b.mp4", (None, "my.media.example", "b.mp4", None)),
        ("s3://AKIA:wJalr%2FXUtn%2BFEMI%3DK7MDENG@media/x", (None, "media", "x", None)),
        (f"s3://AKIA:{SECRET}@minio:9000/media/x", ("minio:9000", "media", "x", None)),
        (f"s3://AKIA:{SECRET}@10.0.0.1/media/x", ("10.0.0.1", "media", "x", None)),
        (f"s3://AKIA:{SECRET}@localhost/media/x", ("localhost", "media", "x", None)),
    ],
)
def test_sources(url: str, expected: tuple[str | None, ...]) -> None:
    assert told(parse_qencode_place(url, is_source=True)) == expected


def test_fields_beside_a_url() -> None:
    found = parse_qencode_place(
        "s3://host/media/x",
        is_source=False,
        key="K",
        secret=SECRET,
        permissions="public-read",
        storage_class="STANDARD_IA",
        cache_control="max-age=1",
    )
    assert found.place.put_options() == {
        "ACL": "public-read",
        "StorageClass": "STANDARD_IA",
        "CacheControl": "max-age=1",
    }


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/x", "expected s3://HOST/BUCKET/PATH"),
        ("s3://", "expected s3://HOST"),
        ("s3:///media/x", "expected s3://HOST"),
        ("s3://host", "expected a bucket"),
        ("s3://host/", "expected a bucket"),
        ("s3://ho st/media/x", "expected s3://HOST"),
        ("s3://host/media/x", "expected a key and a secret"),
        (f"s3://:{SECRET}@host/media/x", "expected a key and a secret"),
        (f"s3://AKIA:{SECRET}@host/m/x", "bucket: "),
        (f"s3://AKIA:{SECRET}@ho$t/media/x", "endpoint: expected a host"),
        (f"ftp://AKIA:{SECRET}@host/media/x", "expected s3://HOST"),
    ],
)
def test_what_is_no_place(url: str, message: str) -> None:
    with pytest.raises(InvalidEntryError, match=message) as caught:
        parse_qencode_place(url, is_source=False)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_a_place_or_an_error(text: str, is_source: bool) -> None:
    for url in (text, f"s3://{text}", f"s3://AKIA:{SECRET}@{text}"):
        try:
            found = parse_qencode_place(url, is_source=is_source, key="AKIA", secret=SECRET)
        except InvalidEntryError:
            continue
        assert SECRET not in f"{found!r}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bucket": "a/b"}, "bucket: String should match"),
        ({"bucket": None}, "bucket: "),
        ({"endpoint": "http://me:x@host"}, "endpoint: expected a host, host:port or URL"),
        ({"endpoint": "file:///etc"}, "endpoint: expected a host"),
        ({"endpoint": "http://host/?x"}, "endpoint: expected a host"),
        ({"acl": "everybody"}, "acl: Input should be 'private', 'public-read'"),
        ({"cache_control": "a\r\nb: c"}, "cache_control: String should match"),
        ({"metadata": {"a": "b\nc"}}, "metadata.a: String should match"),
        ({"tagging": {"a": "&"}}, "tagging.a: String should match"),
        ({"server_side_encryption": "none"}, "server_side_encryption: Input should be 'AES256'"),
        ({"secret_access_key": ""}, "secret_access_key: "),
        ({"secret_access_key": [SECRET]}, "secret_access_key: Input should be a valid string"),
        ({"region": SECRET}, "region: String should match"),
        ({"nonsense": SECRET}, "nonsense: unknown; allowed: bucket, region"),
    ],
)
def test_faults_are_told_without_values(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEntryError, match=message) as caught:
        S3Place.of(FIELDS | change)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidEntryError, match="secret_access_key: required"):
        S3Place.of({"bucket": "media", "access_key_id": "A"})


def test_no_text_shows_a_key() -> None:
    place = S3Place.of(FIELDS | {"session_token": "t0ken"})
    for text in (repr(place), str(place), f"{place.model_dump()}", place.model_dump_json()):
        assert SECRET not in text
        assert "AKIAEXAMPLE" not in text
        assert "t0ken" not in text


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (None, None),
        ("", None),
        ("https://s3.example.org", "https://s3.example.org"),
        ("http://s3.example.org:81/path", "http://s3.example.org:81/path"),
        ("s3.example.org", "https://s3.example.org"),
        ("minio:9000", "http://minio:9000"),
        ("minio", "https://minio"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_endpoints_are_by_tls(endpoint: str | None, expected: str | None) -> None:
    policy = AddressPolicy(plain_http_hosts=("minio:9000", "127.0.0.1", "::1"))
    assert S3Place.of(FIELDS | {"endpoint": endpoint}).endpoint_url(policy) == expected


def test_nothing_is_said_of_what_is_private() -> None:
    assert S3Place.of(FIELDS | {"acl": "private"}).put_options() == {}
