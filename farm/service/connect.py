"""HTTP connections to addresses that the policy admits, and to no others.

A name is looked up once, its addresses are checked, and one of these is connected to. So neither a
redirect nor a name that changes its address between check and connection gets around the policy.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpcore
import httpx

from farm.service.policy import AddressPolicy
from farm.service.transfer import Stopwatch
from farm.storage.redaction import redact

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host, best one first; raises OSError."""

SILENCE_SECONDS = 30.0
_SLICE_SECONDS = 0.5
_MOST_ADDRESSES = 4


class _Redacting(logging.Filter):
    """Hides what is secret in the URLs that httpx logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                redact(str(each)) if isinstance(each, httpx.URL) else each for each in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_Redacting())
logging.getLogger("httpcore").setLevel(logging.INFO)  # below it, headers are logged as they are


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to admitted addresses; what it opens ends when its watch does."""

    def __init__(
        self, policy: AddressPolicy, *, watch: Stopwatch | None = None, resolve: Resolve = resolve
    ) -> None:
        self._policy = policy
        self._watch = watch
        self._resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers; raises AddressRefusedError."""
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError(f"no address is known of {host!r}") from None
        failure: Exception = httpcore.ConnectError(f"no address is known of {host!r}")
        for address in self._policy.admitted(found, host=host, port=port)[:_MOST_ADDRESSES]:
            if self._watch is not None:
                self._watch.check()
            try:
                stream = self._plain.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return stream if self._watch is None else _WatchedStream(stream, self._watch)
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Refused."""
        raise httpcore.UnsupportedProtocol("sockets of this machine are not connected to")


class _WatchedStream(httpcore.NetworkStream):
    """A stream that looks up from waiting now and then.

    A server that sends a byte at a time never times out, not even in its headers.
    """

    def __init__(self, stream: httpcore.NetworkStream, watch: Stopwatch) -> None:
        self._stream = stream
        self._watch = watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        silent_until = time.monotonic() + (SILENCE_SECONDS if timeout is None else timeout)
        while True:
            self._watch.check()
            wait = max(0.001, min(_SLICE_SECONDS, silent_until - time.monotonic()))
            try:
                return self._stream.read(max_bytes, wait)
            except httpcore.ReadTimeout:
                if time.monotonic() >= silent_until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.check()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _WatchedStream(stream, self._watch)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedTransport(httpx.BaseTransport):
    """An httpx transport over a guarded backend; without proxies, whatever the environment says."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._pool = httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request and its answer, as httpx asks for them."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _words_of_httpx(request):
            answer = self._pool.handle_request(asked)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, request),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _words_of_httpx(self._request):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def web_client(
    policy: AddressPolicy,
    *,
    watch: Stopwatch | None = None,
    connect_seconds: float = 10.0,
    resolve: Resolve = resolve,
) -> httpx.Client:
    """A client for addresses that callers name: it follows no redirect on its own.

    Raises AddressRefusedError on connecting, and what its watch raises, besides httpx's errors.
    """
    return httpx.Client(
        transport=GuardedTransport(GuardedBackend(policy, watch=watch, resolve=resolve)),
        timeout=httpx.Timeout(SILENCE_SECONDS, connect=connect_seconds),
        follow_redirects=False,
        trust_env=False,
    )


@contextmanager
def _words_of_httpx(request: httpx.Request) -> Iterator[None]:
    """Errors of httpcore as those of the same name that httpx has."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = getattr(httpx, type(error).__name__)
        raise kind(str(error), request=request) from None


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
