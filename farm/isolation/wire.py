"""Messages between a worker, its zygote and its lanes: JSON, one payload and file descriptors.

A lane may be taken over by the file that it decodes, so nothing that it says is ever unpickled and
every length is bounded before it is believed.
"""

import array
import contextlib
import json
import math
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MOST_READ_BYTES = 64 << 20
"""The longest range of a source that a lane may ask for at once."""

_PREFIX = struct.Struct("!IQ")
_TIMEVAL = struct.Struct("@ll")
_MAX_HEADER_BYTES = 16 << 20
_MAX_PAYLOAD_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its JSON object, its payload and the descriptors that came with it."""

    header: dict[str, Any]
    payload: bytes = b""
    fds: tuple[int, ...] = ()


def send(
    sock: socket.socket,
    header: dict[str, Any],
    *,
    payloads: Sequence[bytes] = (),
    fds: Sequence[int] = (),
    deadline: float | None = None,
) -> None:
    """Sends one message whose payload is the concatenation of `payloads`; see `receive`."""
    text = json.dumps(header, separators=(",", ":")).encode()
    payload = b"".join(payloads)
    start = _PREFIX.pack(len(text), len(payload)) + text
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with _until(deadline, sock, socket.SO_SNDTIMEO):
        sent = sock.sendmsg([start, payload], rights)
    for part in (start, payload):
        view = memoryview(part)[sent:]
        sent = max(0, sent - len(part))
        while view:
            with _until(deadline, sock, socket.SO_SNDTIMEO):
                view = view[sock.send(view) :]


def receive(sock: socket.socket, *, deadline: float | None = None, most_fds: int = 0) -> Message:
    """Receives one message, with at most so many descriptors: the kernel drops the others.

    `deadline` is a time of `time.monotonic()`. Raises EOFError when the other side is gone,
    TimeoutError past the deadline and ValueError for a message that breaks the bounds.
    """
    prefix, fds = _receive_prefix(sock, deadline, most_fds)
    header_bytes, payload_bytes = _PREFIX.unpack(prefix)
    if header_bytes > _MAX_HEADER_BYTES or payload_bytes > _MAX_PAYLOAD_BYTES:
        raise ValueError(f"message of {header_bytes} + {payload_bytes} bytes is out of bounds")
    data = _receive_exactly(sock, header_bytes + payload_bytes, deadline)
    header = json.loads(data[:header_bytes])
    if not isinstance(header, dict):
        raise ValueError(f"expected a JSON object, received {type(header).__name__}")
    return Message(header, data[header_bytes:], fds)


def _receive_prefix(
    sock: socket.socket, deadline: float | None, most_fds: int
) -> tuple[bytes, tuple[int, ...]]:
    if not most_fds:
        return _receive_exactly(sock, _PREFIX.size, deadline), ()
    with _until(deadline, sock, socket.SO_RCVTIMEO):
        data, fds, _, _ = socket.recv_fds(sock, _PREFIX.size, most_fds)
    if not data:
        raise EOFError
    return data + _receive_exactly(sock, _PREFIX.size - len(data), deadline), tuple(fds)


def _receive_exactly(sock: socket.socket, length: int, deadline: float | None) -> bytes:
    parts = []
    while length:
        with _until(deadline, sock, socket.SO_RCVTIMEO):
            data = sock.recv(length, socket.MSG_WAITALL)
        if not data:
            raise EOFError
        parts.append(data)
        length -= len(data)
    return b"".join(parts)


@contextlib.contextmanager
def _until(deadline: float | None, sock: socket.socket, option: int) -> Iterator[None]:
    """Bounds the next call on a blocking socket.

    The kernel keeps the time: Python's own time limits cost a poll before every call.
    """
    left = 0.0  # for ever
    if deadline is not None and (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    seconds, microseconds = divmod(math.ceil(left * 1e6), 1_000_000)
    sock.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(seconds, microseconds))
    try:
        yield
    except BlockingIOError:
        raise TimeoutError from None
