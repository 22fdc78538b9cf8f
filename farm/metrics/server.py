"""Serves the figures of this process: /metrics for Prometheus, /workers to find the others."""

import json
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from farm.errors import UsageError

DEFAULT_HOST = "127.0.0.1"
_END_SECONDS = 5.0


class MetricsServer:
    """Answers GET /metrics and /workers on a port, from its start until `close`.

    `workers` gives the HOST:PORT of each worker's own page, as Prometheus's `http_sd_configs` asks
    for them. Raises UsageError where the address cannot be listened on.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *collectors: Collector,
        workers: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        registry = CollectorRegistry(auto_describe=False)
        for each in collectors:
            registry.register(each)
        self._metrics: WSGIApplication = make_wsgi_app(registry)
        self._workers = workers
        host, port = address
        server = _IPv6Server if ":" in host else _Server
        try:
            self._server = make_server(host, port, self._answer, server, _SilentHandler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"--metrics: cannot listen on {host}:{port}: {error}") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="farm-metrics", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the figures are."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return self._metrics(environ, start)
            case "/workers":
                start("200 OK", [("Content-Type", "application/json")])
                targets = [{"targets": sorted(self._workers()), "labels": {}}]
                return [json.dumps(targets).encode()]
        start("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics or /workers\n"]

    def close(self) -> None:
        """Answers nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def parse_address(text: str) -> tuple[str, int]:
    """The host and port of `[HOST:]PORT`, this machine's own by default; raises UsageError."""
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and port.isascii() and int(port) < 65_536):
        raise UsageError(f"--metrics: expected [HOST:]PORT, such as 9108, received {text!r}")
    return host.strip("[]") or DEFAULT_HOST, int(port)


class _Server(ThreadingMixIn, WSGIServer):
    """One that a caller who takes his time does not hold up."""

    daemon_threads = True
    # A run that is started again at once finds its port free.
    allow_reuse_address = True


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *words: Any) -> None:
        """Says nothing of requests."""
