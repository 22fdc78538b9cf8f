"""Messages between a worker, its zygote and its lanes: JSON, one payload and file descriptors.

A lane may be taken over by the file that it decodes, so nothing that it says is ever unpickled and
every length is bounded before it is believed.
"""

import json
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_PREFIX = struct.Struct("!IQ")
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
    fds: Iterable[int] = (),
    deadline: float | None = None,
) -> None:
    """Sends one message whose payload is the concatenation of `payloads`; see `receive`."""
    _arm(sock, deadline)
    text = json.dumps(header, separators=(",", ":")).encode()
    start = _PREFIX.pack(len(text), sum(map(len, payloads))) + text
    descriptors = list(fds)
    if descriptors:
        sent = socket.send_fds(sock, [start], descriptors)
        start = start[sent:]
    sock.sendall(start)
    for payload in payloads:
        sock.sendall(payload)


def receive(sock: socket.socket, *, deadline: float | None = None, most_fds: int = 0) -> Message:
    """Receives one message, with at most so many descriptors: the kernel drops the others.

    `deadline` is a time of `time.monotonic()`. Raises EOFError when the other side is gone,
    TimeoutError past the deadline and ValueError for a message that breaks the bounds.
    """
    prefix, fds = _receive_prefix(sock, deadline, most_fds)
    header_bytes, payload_bytes = _PREFIX.unpack(prefix)
    if header_bytes > _MAX_HEADER_BYTES or payload_bytes > _MAX_PAYLOAD_BYTES:
        raise ValueError(f"message of {header_bytes} + {payload_bytes} bytes is out of bounds")
    header = json.loads(_receive_exactly(sock, header_bytes, deadline))
    if not isinstance(header, dict):
        raise ValueError(f"expected a JSON object, received {type(header).__name__}")
    return Message(header, _receive_exactly(sock, payload_bytes, deadline), fds)


def _receive_prefix(
    sock: socket.socket, deadline: float | None, most_fds: int
) -> tuple[bytes, tuple[int, ...]]:
    _arm(sock, deadline)
    data, fds, _, _ = socket.recv_fds(sock, _PREFIX.size, most_fds)
    if not data:
        raise EOFError
    rest = _receive_exactly(sock, _PREFIX.size - len(data), deadline)
    return data + rest, tuple(fds)


def _receive_exactly(sock: socket.socket, length: int, deadline: float | None) -> bytes:
    buffer = bytearray(length)
    view = memoryview(buffer)
    while view:
        _arm(sock, deadline)
        count = sock.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return bytes(buffer)


def _arm(sock: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        sock.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
