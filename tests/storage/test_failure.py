"""Which error of the farm comes of which exception, and what is tried again."""

import errno
from typing import Any

import pytest

from farm import errors
from farm.storage import failure
from farm.storage.failure import READ, WRITE, NotAllowedError, NotUsableError, attempt, translate

URI = "s3://b/k?X-Amz-Signature=abc"


def client_error(status: int, code: str) -> Exception:
    from botocore.exceptions import ClientError

    answer: Any = {
        "Error": {"Code": code, "Message": "see https://h/?sig=abc"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "GetObject")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (FileNotFoundError(), errors.SourceNotFoundError, errors.StoreError),
        (IsADirectoryError(errno.EISDIR, ""), errors.SourceNotFoundError, errors.StoreError),
        (NotADirectoryError(errno.ENOTDIR, ""), errors.SourceNotFoundError, errors.StoreError),
        (OSError(errno.ENAMETOOLONG, ""), errors.SourceNotFoundError, errors.StoreError),
        (ValueError("embedded null byte"), errors.SourceNotFoundError, errors.StoreError),
        (PermissionError(errno.EACCES, ""), errors.SourceDeniedError, errors.StoreDeniedError),
        (OSError(errno.EROFS, ""), errors.SourceDeniedError, errors.StoreDeniedError),
        (NotAllowedError("no"), errors.SourceDeniedError, errors.StoreDeniedError),
        (NotUsableError("no"), errors.SourceError, errors.StoreError),
        (OSError(errno.ENOSPC, ""), errors.DiskFullError, errors.DiskFullError),
        (OSError(errno.EDQUOT, ""), errors.DiskFullError, errors.DiskFullError),
        (TimeoutError(), errors.SourceUnavailableError, errors.StoreUnavailableError),
        (ConnectionResetError(), errors.SourceUnavailableError, errors.StoreUnavailableError),
        (OSError(errno.ESTALE, ""), errors.SourceUnavailableError, errors.StoreUnavailableError),
        (OSError(errno.ENXIO, ""), errors.SourceError, errors.StoreError),
        (client_error(403, "AccessDenied"), errors.SourceDeniedError, errors.StoreDeniedError),
        (client_error(404, "NoSuchBucket"), errors.SourceNotFoundError, errors.StoreError),
        (client_error(412, "PreconditionFailed"), errors.SourceChangedError, errors.StoreError),
        (
            client_error(503, "SlowDown"),
            errors.SourceUnavailableError,
            errors.StoreUnavailableError,
        ),
        (client_error(500, ""), errors.SourceUnavailableError, errors.StoreUnavailableError),
        (client_error(429, ""), errors.SourceUnavailableError, errors.StoreUnavailableError),
        (client_error(501, "NotImplemented"), errors.SourceError, errors.StoreError),
        (client_error(400, "ExpiredToken"), errors.SourceDeniedError, errors.StoreDeniedError),
        (
            caused(OSError(), caused(ValueError("wrapped"), NotAllowedError("no"))),
            errors.SourceDeniedError,
            errors.StoreDeniedError,
        ),
        (client_error(400, "BadDigest"), errors.SourceError, errors.StoreError),
        (client_error(507, ""), errors.DiskFullError, errors.DiskFullError),
        (
            caused(OSError(errno.EBUSY, "x"), client_error(503, "SlowDown")),
            errors.SourceUnavailableError,
            errors.StoreUnavailableError,
        ),
        (
            caused(PermissionError("expired"), client_error(400, "ExpiredToken")),
            errors.SourceDeniedError,
            errors.StoreDeniedError,
        ),
    ],
)
def test_translate(error: Exception, read: type, write: type) -> None:
    for side, expected in ((READ, read), (WRITE, write)):
        found = translate(error, URI, side)
        assert type(found) is expected
        assert str(found).startswith(f"cannot {side.verb} 's3://b/k?X-Amz-Signature=***': ")
        assert "abc" not in str(found)


def test_libraries_of_their_own_kind() -> None:
    import aiohttp
    from botocore import exceptions

    assert isinstance(
        translate(exceptions.NoCredentialsError(), URI, READ), errors.SourceDeniedError
    )
    unreachable = exceptions.EndpointConnectionError(endpoint_url="https://h/?sig=abc")
    found = translate(unreachable, URI, WRITE)
    assert isinstance(found, errors.StoreUnavailableError)
    assert "abc" not in str(found)
    assert isinstance(
        translate(aiohttp.ClientPayloadError(), URI, READ), errors.SourceUnavailableError
    )
    for error in (exceptions.NoCredentialsError, aiohttp.ClientError, exceptions.ClientError):
        assert issubclass(error, failure.known())


def test_a_cause_is_told() -> None:
    assert str(translate(client_error(503, "SlowDown"), "s3://b/k", WRITE)) == (
        "cannot write 's3://b/k': HTTP 503 Service Unavailable (SlowDown)"
    )


class Flaky:
    def __init__(self, *raised: Exception) -> None:
        self.raised = list(raised)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.raised:
            raise self.raised.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(failure.time, "sleep", found.append)
    return found


def test_what_may_pass_is_tried_again_later_and_later(delays: list[float]) -> None:
    call = Flaky(TimeoutError(), ConnectionResetError())
    assert attempt(call, URI, READ) == "done"
    assert call.calls == 3
    assert 0.1 <= delays[0] <= 0.3
    assert 0.4 <= delays[1] <= 1.2


def test_tries_end(delays: list[float]) -> None:
    call = Flaky(*[TimeoutError()] * 5)
    with pytest.raises(errors.SourceUnavailableError) as caught:
        attempt(call, URI, READ)
    assert call.calls == failure.TRIES
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(), OSError(errno.ENOSPC, ""), PermissionError(), client_error(400, "X")],
)
def test_what_cannot_pass_is_tried_once(error: Exception) -> None:
    call = Flaky(error, error)
    with pytest.raises(errors.FarmError):
        attempt(call, URI, WRITE)
    assert call.calls == 1


def test_defects_are_not_hidden() -> None:
    with pytest.raises(KeyError):
        attempt(Flaky(KeyError("x")), URI, READ)
