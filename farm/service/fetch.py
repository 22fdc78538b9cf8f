"""Downloads what callers name by URL: within bounds, from addresses that the policy admits."""

import random
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import httpx

from farm.errors import FarmError, InvalidEntryError, SourceUnavailableError
from farm.service.connect import SILENCE_SECONDS, Resolve, resolve, web_client
from farm.service.filename import NAMELESS, disposition_filename, safe_filename, url_filename
from farm.service.partial_file import PartialFile
from farm.service.policy import AddressPolicy
from farm.service.transfer import Fetched, Stopwatch, Terms, TransferTimeError
from farm.storage.failure import READ, NotUsableError, translate
from farm.storage.redaction import redact

TRIES = 3
MOST_REDIRECTS = 5
MOST_WAIT_SECONDS = 30.0
FIRST_DELAY_SECONDS = 0.5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_UNPACKED_BYTES = 1 << 18

# They say how bytes travel, which is ours to say, or whom they are for.
_OUR_HEADERS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "if-range"),
        *("keep-alive", "proxy-authorization", "proxy-connection", "range", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")


class _StatusError(Exception):
    """An answer that brings no file; `failure.translate` reads `status`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"HTTP {response.status_code}")
        self.status = response.status_code
        self.retry_after = response.headers.get("retry-after", "")

    @property
    def may_pass(self) -> bool:
        return self.status in _PASSING or self.status >= 500


def download(
    url: str,
    path: Path,
    *,
    policy: AddressPolicy,
    terms: Terms,
    headers: Mapping[str, str] | None = None,
    filename: str | None = None,
    resolve: Resolve = resolve,
) -> Fetched:
    """Brings the file behind a URL by http or https to `path`, which is gone where that fails.

    Its name is the given one, else that of Content-Disposition, else that of the URL. `headers` go
    to the URL's own origin only. What may pass is tried again, behind the bytes that are there
    already where the server can. Raises InvalidEntryError, a SourceError, DiskFullError or
    StoreError, whose texts hold no secret.
    """
    _check_url(policy, url)
    sent = _checked_headers(headers or {})
    watch = Stopwatch(terms)
    kept = PartialFile(path, url, terms)
    try:
        with web_client(
            policy, watch=watch, connect_seconds=terms.connect_seconds, resolve=resolve
        ) as client:
            response = _persist(_Request(client, policy, url, sent), kept, watch)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, NotUsableError | TransferTimeError | _StatusError | httpx.HTTPError):
            raise _failure(error, url, terms) from None
        raise
    finally:
        kept.close()
    disposition = disposition_filename(response.headers.get("content-disposition"))
    names = (filename, disposition, url_filename(str(response.url)), url_filename(url), NAMELESS)
    return kept.fetched(safe_filename(next(filter(None, names))), _content_type(response))


class _Request:
    """A request that can be sent again, from any byte on."""

    def __init__(
        self, client: httpx.Client, policy: AddressPolicy, url: str, headers: dict[str, str]
    ) -> None:
        self._client = client
        self._policy = policy
        self._url = url
        self._headers = headers

    @contextmanager
    def answer(self, extra: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer behind all redirects, its body unread; raises _StatusError."""
        here, sent = httpx.URL(self._url), self._headers
        for _ in range(MOST_REDIRECTS + 1):
            headers = {**sent, "Accept-Encoding": "identity", **extra}
            response = self._client.send(
                self._client.build_request("GET", here, headers=headers), stream=True
            )
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not location:
                    if not response.is_success:
                        raise _StatusError(response)
                    yield response
                    return
            finally:
                response.close()
            there = self._joined(here, location)
            if _origin(there) != _origin(here):
                sent = {}
            here = there
        raise NotUsableError(f"it redirects more than {MOST_REDIRECTS} times")

    def _joined(self, here: httpx.URL, location: str) -> httpx.URL:
        try:
            there = here.join(location)
            _check_url(self._policy, str(there))
        except (httpx.InvalidURL, ValueError, InvalidEntryError):
            raise NotUsableError(f"it redirects to {redact(location)!r:.200}, no web URL") from None
        return there


def _persist(request: _Request, kept: PartialFile, watch: Stopwatch) -> httpx.Response:
    """The answer whose body is kept, after as many tries as it takes, or the last one's error."""
    for number in range(1, TRIES + 1):
        delay = FIRST_DELAY_SECONDS * 4 ** (number - 1) * random.uniform(0.5, 1.5)
        try:
            return _receive(request, kept)
        except _StatusError as error:
            if number == TRIES or not error.may_pass:
                raise
            delay = max(delay, _wait_seconds(error.retry_after))
            if delay > min(MOST_WAIT_SECONDS, watch.seconds_left):
                raise
        except httpx.TransportError:
            if number == TRIES:
                raise
        watch.sleep(delay)
    raise AssertionError("unreachable")


def _receive(request: _Request, kept: PartialFile) -> httpx.Response:
    extra = {}
    if kept.size_bytes and kept.validator:
        extra = {"Range": f"bytes={kept.size_bytes}-", "If-Range": kept.validator}
    with request.answer(extra) as response:
        is_packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        if response.status_code == HTTPStatus.PARTIAL_CONTENT and not is_packed:
            total_bytes = _rest_of(response, kept)
        else:
            kept.restart(None if is_packed else _validator(response))
            total_bytes = None if is_packed else _length(response)
        kept.check_size(total_bytes or 0)
        chunks = response.iter_raw()
        for chunk in _unpacked(chunks) if is_packed else chunks:
            kept.add(chunk, total_bytes)
    return response


def _rest_of(response: httpx.Response, kept: PartialFile) -> int | None:
    """The size of all, where the answer goes on behind what is there; else from the start."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
    if found is None or int(found[1]) != kept.size_bytes:
        kept.restart(None)
        raise httpx.RemoteProtocolError("the server gave another range than asked for")
    return None if found[2] == "*" else int(found[2])


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What gzip or deflate packed although asked not to, in parts that fit into memory."""
    decoder = zlib.decompressobj(wbits=47)  # gzip or zlib, by the header
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if decoder.eof:
                    decoder = zlib.decompressobj(wbits=47)
                yield decoder.decompress(data, _UNPACKED_BYTES)
                data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error:
        raise NotUsableError("the server packs it in a way that is not gzip or is broken") from None
    if not decoder.eof:
        raise httpx.RemoteProtocolError("the packed body ends early")


def _check_url(policy: AddressPolicy, url: str) -> None:
    policy.check_url(url)
    try:
        scheme = httpx.URL(url).scheme
    except (httpx.InvalidURL, ValueError):
        scheme = ""
    if scheme not in ("http", "https"):
        raise InvalidEntryError(f"expected a URL by http or https, received {redact(url)!r:.200}")


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, unless one would break the request; the text shows no value."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OUR_HEADERS:
            raise InvalidEntryError(f"headers: {name!r:.100} cannot be set")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidEntryError(f"headers: the value of {name!r} cannot be sent")
    return {name.lower(): value.strip() for name, value in headers.items()}


def _failure(error: Exception, url: str, terms: Terms) -> FarmError:
    if isinstance(error, NotUsableError | _StatusError):
        return translate(error, url, READ)
    # What httpx says of the request itself may quote it.
    is_ours = isinstance(error, httpx.LocalProtocolError)
    reason = type(error).__name__ if is_ours else redact(str(error)) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        reason = f"no connection within {terms.connect_seconds:g} s"
    elif isinstance(error, httpx.TimeoutException):
        reason = f"no answer for {SILENCE_SECONDS:g} s"
    return SourceUnavailableError(f"cannot read {redact(url)!r}: {reason:.200}")


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _validator(response: httpx.Response) -> str | None:
    etag: str = response.headers.get("etag", "")
    if response.headers.get("accept-ranges") != "bytes" or etag.startswith("W/"):
        return None
    return etag or response.headers.get("last-modified")


def _length(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _content_type(response: httpx.Response) -> str | None:
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind) else None


def _wait_seconds(header: str) -> float:
    """What Retry-After asks for, in seconds or as a time; 0 where it does not say."""
    if header.isdecimal():
        return float(header)
    with suppress(ValueError, TypeError):
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    return 0.0
