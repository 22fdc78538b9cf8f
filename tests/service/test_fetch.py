"""Downloads from a server that also misbehaves: what comes, what is told, and what is bounded."""

import hashlib
import json
import logging
import resource
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from farm import errors
from farm.service import fetch
from farm.service.fetch import download
from farm.service.policy import AddressPolicy
from farm.service.transfer import Fetched, Terms
from tests.service.web import DATA, Web, web

__all__ = ["web"]

SECRET = "hunter2"
MIB = 1 << 20


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_DELAY_SECONDS", 0.01)


class Getter:
    """Downloads from the server into a folder."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.web = web
        self.path = folder / "download"

    def __call__(self, path: str, *, most_bytes: int = MIB, **options: Any) -> Fetched:
        url = self.web.url(path) if path[0] != "=" else path[1:]
        watched = {key: options.pop(key) for key in TERMS & options.keys()}
        terms = Terms(most_bytes=most_bytes, **watched)
        policy = AddressPolicy(allow_hosts=("127.0.0.1:" + str(self.web.port),))
        return download(url, self.path, policy=policy, terms=terms, **options)

    def asked(self, of: str) -> list[dict[str, str]]:
        with urllib.request.urlopen(self.web.url(f"asked?of={of}")) as answer:
            found: list[dict[str, str]] = json.load(answer)
            return found


TERMS = {"total_seconds", "connect_seconds", "check", "progress"}


@pytest.fixture
def get(web: Web, tmp_path: Path) -> Getter:
    return Getter(web, tmp_path)


def test_a_file_comes_whole(get: Getter) -> None:
    told: list[tuple[int, int | None]] = []
    found = get("file/a%20clip.mp4?x=1", progress=lambda *pair: told.append(pair))
    assert found == Fetched(
        get.path, "a clip.mp4", len(DATA), hashlib.md5(DATA).hexdigest(), "video/mp4"
    )
    assert get.path.read_bytes() == DATA
    assert told[-1] == (len(DATA), len(DATA))
    assert get.asked("a%2520clip")[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename=clip.mov", "clip.mov"),
        (
            "attachment; filename=\"x.mp4\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.mp4",
            "naïve €.mp4",
        ),
        (r'inline; filename="a\"b\\c.jpg"', "c.jpg"),
        ("attachment; filename*=utf-8''..%2F..%2Fx%00.jpg", "x.jpg"),
        ("attachment; filename*=no-such''%C3x; filename=y.png", "y.png"),
        ("attachment", "named"),
    ],
)
def test_names_that_servers_give(get: Getter, header: str, name: str) -> None:
    url = f"named?as={urllib.request.quote(header)}"  # type: ignore[attr-defined]
    assert get(url).filename == name
    assert get(url, filename="../mine.jpg").filename == "mine.jpg"


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("status/404", errors.SourceNotFoundError, "HTTP 404 Not Found"),
        ("status/410", errors.SourceNotFoundError, "HTTP 410 Gone"),
        ("status/401", errors.SourceDeniedError, "HTTP 401"),
        ("status/403", errors.SourceDeniedError, "HTTP 403 Forbidden"),
        ("status/400", errors.SourceError, "HTTP 400"),
        ("status/503", errors.SourceUnavailableError, "HTTP 503"),
        ("status/304", errors.SourceError, "HTTP 304"),
        ("loop/1", errors.SourceError, "redirects more than 5 times"),
        ("hops/6", errors.SourceError, "redirects more than 5 times"),
        ("endless", errors.SourceTooLargeError, f"more than the {MIB} bytes"),
        ("bomb", errors.SourceTooLargeError, f"more than the {MIB} bytes"),
        ("lying/99999999999", errors.SourceTooLargeError, f"more than the {MIB} bytes"),
        ("lying/600000", errors.SourceUnavailableError, "peer closed connection"),
        ("packed/1000", errors.SourceUnavailableError, "ends early"),
        ("brotli", errors.SourceError, "not gzip or is broken"),
        ("to?url=http://127.0.0.1:1/x", errors.SourceDeniedError, "address that is not public"),
        ("to?url=http://localhost/x", errors.SourceDeniedError, "'localhost' leads to an address"),
        ("to?url=file:///etc/passwd", errors.SourceError, "redirects to 'file:///etc/passwd'"),
        ("to?url=s3://bucket/key", errors.SourceError, "no web URL"),
        ("=http://127.0.0.1:1/x", errors.SourceDeniedError, "address that is not public"),
        ("=http://no-such.invalid/x", errors.SourceUnavailableError, "no address is known of"),
        ("=s3://bucket/key", errors.InvalidEntryError, "expected a URL by http or https"),
        ("=ftp://x/key", errors.InvalidEntryError, "expected a URL by http"),
    ],
)
def test_what_fails_is_told_and_leaves_nothing(
    get: Getter, path: str, error: type[errors.FarmError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        get(path)
    assert type(caught.value) is error
    assert not get.path.exists()


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_what_passes_is_tried_again(get: Getter, status: int) -> None:
    assert get(f"second/{status}").size_bytes == len(DATA)


def test_retry_after_is_kept_within_bounds(get: Getter) -> None:
    began = time.monotonic()
    assert get("second/503?wait=1").size_bytes == len(DATA)
    assert time.monotonic() - began >= 1
    with pytest.raises(errors.SourceUnavailableError, match="HTTP 503"):
        get("second/503?wait=3600")
    with pytest.raises(errors.SourceUnavailableError, match="HTTP 503"):
        get("second/503?wait=20", total_seconds=5)


@pytest.mark.parametrize("kind", ["ranges", "other", "whole"])
def test_broken_bodies_go_on_or_begin_anew(get: Getter, kind: str) -> None:
    assert get(f"broken/{kind}").md5 == hashlib.md5(DATA).hexdigest()
    assert get.path.read_bytes() == DATA
    asked = [one.get("range") for one in get.asked(f"broken/{kind}")]
    assert asked[:2] == [None, "bytes=200000-"]


def test_packed_bodies_are_unpacked(get: Getter) -> None:
    assert get("packed").size_bytes == len(DATA) + 4
    assert get.path.read_bytes() == DATA + b"more"


def test_a_bomb_takes_no_memory(get: Getter) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.SourceTooLargeError):
        get("bomb", most_bytes=150 * MIB)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB


def test_redirects_are_followed(get: Getter) -> None:
    assert get("hops/5").filename == "end.mp4"


def test_headers_stay_with_their_origin(get: Getter, web: Web) -> None:
    mine = {"Authorization": f"Bearer {SECRET}", "X-Mine": SECRET}
    get("to?url=/file/same", headers=mine | {"X-Blank": f" {SECRET}\t"})
    assert get.asked("/file/same")[0]["x-mine"] == SECRET
    elsewhere = f"http://localhost:{web.port}/file/elsewhere"
    policy = AddressPolicy(allow_hosts=("127.0.0.1", "localhost", "::1"))
    first = web.url(f"to?url={elsewhere}")
    download(first, get.path, policy=policy, terms=Terms(most_bytes=MIB), headers=mine)
    (asked,) = get.asked("/file/elsewhere")[-1:]
    assert SECRET not in str({k: v for k, v in asked.items() if k != "path"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": SECRET},
        {"range": SECRET},
        {"a b": SECRET},
        {"x": f"{SECRET}\r\ny: z"},
        {"": SECRET},
    ],
)
def test_headers_that_cannot_be(get: Getter, headers: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidEntryError, match="headers:") as caught:
        get("file", headers=headers)
    assert SECRET not in str(caught.value)


def test_no_secret_is_told(get: Getter, caplog: pytest.LogCaptureFixture, web: Web) -> None:
    caplog.set_level(logging.DEBUG)
    for path in ("status/403", "status/500", "lying/600000", "loop/1", "silent"):
        url = f"=http://me:{SECRET}@127.0.0.1:{web.port}/{path}?X-Amz-Signature={SECRET}"
        with pytest.raises(errors.FarmError) as caught:
            get(url, headers={"X-Mine": SECRET}, total_seconds=1)
        assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    asked = get.asked("status/403")[-1]
    assert asked["x-mine"] == SECRET
    assert asked["authorization"].startswith("Basic ")
    assert "status/403" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("path", ["slow", "silent", "endless"])
def test_all_tries_together_are_bounded(get: Getter, path: str) -> None:
    began = time.monotonic()
    with pytest.raises(errors.SourceUnavailableError, match=r"not done within 0\.5 s"):
        get(path, total_seconds=0.5, most_bytes=1 << 40)
    assert time.monotonic() - began < 3
    assert not get.path.exists()


def test_the_caller_ends_it(get: Getter) -> None:
    class StopError(Exception):
        pass

    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()

    def check() -> None:
        if stopped.is_set():
            raise StopError

    began = time.monotonic()
    with pytest.raises(StopError):
        get("silent", check=check)
    assert time.monotonic() - began < 3
    assert not get.path.exists()


def test_a_full_disk(get: Getter) -> None:
    get.path.symlink_to("/dev/full")
    with pytest.raises(errors.DiskFullError, match="No space left"):
        get("file")
    assert not get.path.is_symlink()
    assert Path("/dev/full").is_char_device()


def test_a_folder_that_is_not_there(get: Getter) -> None:
    get.path = get.path / "none" / "x"
    with pytest.raises(errors.StoreError, match="cannot write"):
        get("file")
