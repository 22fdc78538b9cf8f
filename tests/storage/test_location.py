"""How URIs are read and joined, and what is hidden of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.storage.failure import NotAllowedError
from farm.storage.location import join, parse
from farm.storage.redaction import redact


@pytest.mark.parametrize(
    ("uri", "scheme", "profile", "path"),
    [
        ("a/b.jpg", "file", None, "a/b.jpg"),
        ("/a/b@c:d.jpg", "file", None, "/a/b@c:d.jpg"),
        ("file:///a/b%20c", "file", None, "/a/b%20c"),
        ("file://localhost/a/b", "file", None, "/a/b"),
        ("s3://bucket/key@2x.png", "s3", None, "s3://bucket/key@2x.png"),
        ("S3://archive@bucket/a//b", "s3", "archive", "s3://bucket/a//b"),
        ("https://host:8080/x?mail=a@b", "https", None, "https://host:8080/x?mail=a@b"),
        ("https://host?mail=a@b", "https", None, "https://host?mail=a@b"),
        ("https://me@host:8080/x", "https", "me", "https://host:8080/x"),
        ("c:/windows", "file", None, "c:/windows"),
    ],
)
def test_parse(uri: str, scheme: str, profile: str | None, path: str) -> None:
    place = parse(uri)
    assert (place.uri, place.scheme, place.profile, place.path) == (uri, scheme, profile, path)
    assert place.is_local == (scheme == "file")


def test_a_password_is_refused_and_not_told() -> None:
    with pytest.raises(NotAllowedError, match="name a profile") as caught:
        parse("s3://AKIA:hunter2@bucket/key")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "key", "uri"),
    [
        ("s3://b", "k/x", "s3://b/k/x"),
        ("s3://b/a/", "k", "s3://b/a/k"),
        ("/", "k", "/k"),
        ("", "k", "k"),
        ("/out", "/etc/passwd", "/out/etc/passwd"),
        ("/out/", "a/b.jpg", "/out/a/b.jpg"),
        ("memory://", "a/b.jpg", "memory://a/b.jpg"),
    ],
)
def test_join(base: str, key: str, uri: str) -> None:
    assert join(base, key) == uri


@pytest.mark.parametrize(
    ("uri", "hidden"),
    [
        ("s3://AKIA:hunter2@b/k", "s3://AKIA:***@b/k"),
        ("s3://AKIA:hun/ter2@b/k", "s3://AKIA:***@b/k"),
        ("s3://AKIA:p@ss@b/k@2x", "s3://AKIA:***@b/k@2x"),
        ("http://:pw@host/x", "http://:***@host/x"),
        ("https://h/x?X-Amz-Signature=ab&size=3", "https://h/x?X-Amz-Signature=***&size=3"),
        ("https://h/x?x-amz-credential=AK%2F1", "https://h/x?x-amz-credential=***"),
        ("https://h/x?X%2DAmz%2DSignature=ab", "https://h/x?X%2DAmz%2DSignature=***"),
        ("https://h/x?sv=1&sig=a%3D%3D", "https://h/x?sv=1&sig=***"),
        (
            "https://h/x?AWSAccessKeyId=A&Signature=B",
            "https://h/x?AWSAccessKeyId=***&Signature=***",
        ),
        ("https://h/x?access_token=A#token=B", "https://h/x?access_token=***#token=***"),
        ("cannot get 'https://h/x?key=A' now", "cannot get 'https://h/x?key=***' now"),
    ],
)
def test_redact(uri: str, hidden: str) -> None:
    assert redact(uri) == hidden
    assert redact(hidden) == hidden


@pytest.mark.parametrize(
    "uri",
    [
        "https://h:8080/a@2x.png?w=1",
        "s3://profile@b/a=b&c",
        "/plain/a?b=1",
        "two s3://b/k https://h/",
    ],
)
def test_what_is_no_secret_stays(uri: str) -> None:
    assert redact(uri) == uri


@given(st.text("abcXYZ019/+=@%.-_", min_size=1).filter(lambda text: not text[0].isdigit()))
def test_no_password_comes_through(password: str) -> None:
    mark = "Zq7" + password
    assert "Zq7" not in redact(f"s3://AKIA:{mark}@bucket/key")
