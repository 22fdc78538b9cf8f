"""Turns what stores raise into the farm's errors, and tries again where that may help."""

import errno
import os
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from farm import errors
from farm.storage.redaction import redact

T = TypeVar("T")

TRIES = 3
FIRST_DELAY_SECONDS = 0.2

# Libraries behind fsspec whose errors are no OSError; looked up only where they are loaded already.
_FOREIGN = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
    ("paramiko", "SSHException"),
)
_DENIED_NAMES = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "ProfileNotFound",
    "ClientAuthenticationError",
    "AuthenticationException",
}
_UNAVAILABLE_NAMES = {
    "ConnectionError",  # botocore has one of its own
    "HTTPClientError",
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "ServiceRequestError",  # azure
    "ServiceResponseError",
}
_UNAVAILABLE_CODES = {"SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError"}
_DENIED_CODES = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}  # by HTTP 400

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
_UNAVAILABLE = {
    errno.EIO,
    errno.EREMOTEIO,
    errno.ESTALE,
    errno.EBUSY,
    errno.EAGAIN,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}


class NotUsableError(Exception):
    """The store cannot do what was asked; the text is for people and holds no secret."""


class NotAllowedError(NotUsableError):
    """Credentials are missing or may not be used; the text is for people and holds no secret."""


@dataclass(frozen=True, slots=True)
class Side:
    """The errors of one direction of transfer; `verb` completes "cannot ... URI"."""

    verb: str
    failed: type[errors.FarmError]
    missing: type[errors.FarmError]
    denied: type[errors.FarmError]
    unavailable: type[errors.FarmError]
    changed: type[errors.FarmError]


READ = Side(
    "read",
    errors.SourceError,
    errors.SourceNotFoundError,
    errors.SourceDeniedError,
    errors.SourceUnavailableError,
    errors.SourceChangedError,
)
WRITE = Side(
    "write",
    errors.StoreError,
    errors.StoreError,
    errors.StoreDeniedError,
    errors.StoreUnavailableError,
    errors.StoreError,
)


def known() -> tuple[type[BaseException], ...]:
    """The exceptions that a store may raise, for an `except` clause, which asks at that moment."""
    foreign = (getattr(sys.modules.get(module), name, None) for module, name in _FOREIGN)
    return (OSError, ValueError, NotUsableError, NotImplementedError, *filter(None, foreign))


def attempt(call: Callable[[], T], uri: str, side: Side) -> T:
    """The call's value; tries again after what may pass, and raises only errors of the farm.

    The first cause is not chained: its text may hold a signature or a key.
    """
    for number in range(1, TRIES + 1):
        try:
            return call()
        except known() as error:
            failure = translate(error, uri, side)
            if number == TRIES or not isinstance(failure, side.unavailable):
                raise failure from None
        time.sleep(FIRST_DELAY_SECONDS * 4 ** (number - 1) * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def translate(error: BaseException, uri: str, side: Side) -> errors.FarmError:
    """The farm's error for a store's exception, with the redacted URI and the cause in its text."""
    error = _own(error) or error
    return _class(error, side)(f"cannot {side.verb} {redact(uri)!r}: {_reason(error)}")


def http_status(error: BaseException | None) -> int | None:
    """The HTTP status behind an exception of botocore, s3fs, aiohttp or gcsfs, if there is one."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            status = getattr(error, "status", None) or getattr(error, "status_code", None)
        if isinstance(status, int) and status >= 100:
            return status
        error = error.__cause__
    return None


def _own(error: BaseException | None) -> NotUsableError | None:
    """What our own code raised inside a library, which wrapped it."""
    while error is not None and not isinstance(error, NotUsableError):
        error = error.__cause__ or error.__context__
    return error


def _class(error: BaseException, side: Side) -> type[errors.FarmError]:
    names = {base.__name__ for base in type(error).__mro__}
    code = getattr(error, "errno", None)
    status = http_status(error) or 0
    if code in _DISK_FULL or status == HTTPStatus.INSUFFICIENT_STORAGE:
        return errors.DiskFullError
    if (
        isinstance(error, PermissionError | NotAllowedError)
        or code in _DENIED
        or names & _DENIED_NAMES
    ):
        return side.denied
    if isinstance(error, TimeoutError | ConnectionError) or names & _UNAVAILABLE_NAMES:
        return side.unavailable
    if status:
        return _class_of_status(status, side, _store_code(error))
    if isinstance(error, NotUsableError | NotImplementedError):
        return side.failed
    if isinstance(error, FileNotFoundError | IsADirectoryError | ValueError) or code in _MISSING:
        return side.missing
    return side.unavailable if code in _UNAVAILABLE else side.failed


def _class_of_status(status: int, side: Side, code: str) -> type[errors.FarmError]:
    if status in (404, 410):
        return side.missing
    if status in (401, 403, 407) or code in _DENIED_CODES:
        return side.denied
    if status == HTTPStatus.PRECONDITION_FAILED:
        return side.changed
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return side.failed
    passing = status >= 500 or status in (408, 409, 425, 429) or code in _UNAVAILABLE_CODES
    return side.unavailable if passing else side.failed


def _store_code(error: BaseException | None) -> str:
    """The code that an S3 server gave, such as `SlowDown`; else nothing."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            return code if re.fullmatch(r"\w{1,64}", code) else ""
        error = error.__cause__
    return ""


def _reason(error: BaseException) -> str:
    if isinstance(error, NotUsableError):
        return str(error)
    if status := http_status(error):
        code = _store_code(error)
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        return " ".join(filter(None, (f"HTTP {status}", phrase, code and f"({code})")))
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    if isinstance(error, FileNotFoundError):
        return os.strerror(errno.ENOENT)
    if isinstance(error, ValueError) and "null byte" in str(error):
        return "a path holds no NUL"
    text = redact(" ".join(str(error).split()))[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
