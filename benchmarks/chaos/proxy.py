"""A proxy in front of an S3 server, which fails on demand as networks and busy stores do."""

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(GET|PUT|POST|HEAD|DELETE) ")
_BUSY = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_FAILURES = ("500", "503", "slow", "reset", "lost answer")
_FAILING_FRACTION = 0.5
_SLOW_SECONDS = 2.0


class Proxy:
    """Forwards connections to a server; while `is_failing`, half of the requests fail.

    One in five each: status 500, status 503, two seconds late, the connection reset, or carried out
    with the answer lost.
    """

    def __init__(self, endpoint: str, *, seed: int) -> None:
        parts = urlsplit(endpoint)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._chooser = random.Random(seed)
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self.is_failing = False
        self.failures = 0

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Serves in a thread of its own."""
        thread = threading.Thread(target=self._serve, name="chaos-proxy", daemon=True)
        thread.start()
        self._is_ready.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._carry, "127.0.0.1", 0, limit=1 << 20)
        )
        self._port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection(*self._server)
            is_lost = asyncio.Event()
            tasks = {
                asyncio.ensure_future(self._ask(reader, back, writer, is_lost)),
                asyncio.ensure_future(self._answer(there, writer, is_lost)),
            }
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                back.close()
                writer.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        is_lost: asyncio.Event,
    ) -> None:
        while chunk := await reader.read(1 << 16):
            failure = self._failure() if _REQUEST.match(chunk) else None
            if failure in ("500", "503"):
                writer.write(_BUSY % f"{failure} Chaos".encode())
                await writer.drain()
                return
            if failure == "reset":
                _reset(writer)
                return
            if failure == "slow":
                await asyncio.sleep(_SLOW_SECONDS)
            if failure == "lost answer":
                is_lost.set()
            back.write(chunk)
            await back.drain()

    async def _answer(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event
    ) -> None:
        while chunk := await there.read(1 << 16):
            # `100 Continue` comes before the request was carried out.
            if is_lost.is_set() and not chunk.startswith(b"HTTP/1.1 100"):
                _reset(writer)
                return
            writer.write(chunk)
            await writer.drain()

    def _failure(self) -> str | None:
        if not self.is_failing or self._chooser.random() > _FAILING_FRACTION:
            return None
        self.failures += 1
        return self._chooser.choice(_FAILURES)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
