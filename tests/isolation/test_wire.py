"""The wire: what one side sends arrives, and what breaks the bounds is refused."""

import json
import os
import socket
import struct
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.isolation import wire
from tests.lanes import open_fds

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def prefix(header_bytes: int, payload_bytes: int) -> bytes:
    return struct.pack("!IQ", header_bytes, payload_bytes)


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@given(st.dictionaries(st.text(), JSON, max_size=4), st.lists(st.binary(max_size=64), max_size=4))
def test_any_message_arrives_as_it_was_sent(header, payloads):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours, header, payloads=payloads)
        wire.send(ours, {"next": True})
        message = wire.receive(theirs, deadline=soon())
        assert message == wire.Message(header, b"".join(payloads))
        assert wire.receive(theirs, deadline=soon()).header == {"next": True}


def test_a_message_larger_than_the_socket_buffer(pair):
    ours, theirs = pair
    data = os.urandom(3 << 20)
    sender = threading.Thread(target=wire.send, args=(ours, {}), kwargs={"payloads": [data, data]})
    sender.start()
    assert wire.receive(theirs, deadline=soon()).payload == data + data
    sender.join()


def test_a_descriptor_crosses(pair, tmp_path):
    ours, theirs = pair
    path = tmp_path / "source"
    path.write_bytes(b"bytes")
    with path.open("rb") as file:
        wire.send(ours, {"op": "make"}, fds=(file.fileno(),))
    message = wire.receive(theirs, deadline=soon(), most_fds=1)
    assert message.header == {"op": "make"}
    with open(message.fds[0], "rb") as received:
        assert received.read() == b"bytes"


def test_descriptors_that_nobody_asked_for_are_dropped(pair):
    """A lane must not be able to fill its worker's table of descriptors."""
    ours, theirs = pair
    before = open_fds()
    wire.send(ours, {}, fds=(0, 1, 2))
    assert wire.receive(theirs, deadline=soon()).fds == ()
    assert open_fds() == before


@pytest.mark.parametrize(
    "start",
    [b"", b"\0\0\0", prefix(2, 0), prefix(2, 0) + b"{", prefix(2, 3) + b"{}ab"],
    ids=["nothing", "half a prefix", "no header", "half a header", "half a payload"],
)
def test_an_end_within_a_message_is_an_end(pair, start):
    ours, theirs = pair
    ours.sendall(start)
    ours.close()
    with pytest.raises(EOFError):
        wire.receive(theirs, deadline=soon())


@pytest.mark.parametrize(
    "sizes", [((16 << 20) + 1, 0), (2, (4 << 30) + 1), (0xFFFF_FFFF, 0), (2, (1 << 64) - 1)]
)
def test_sizes_out_of_bounds_are_refused_before_anything_is_read(pair, sizes):
    ours, theirs = pair
    ours.sendall(prefix(*sizes))
    with pytest.raises(ValueError, match="out of bounds"):
        wire.receive(theirs, deadline=soon())


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'"a"', b"{}x"])
def test_a_header_that_is_no_json_object_is_refused(pair, text):
    ours, theirs = pair
    ours.sendall(prefix(len(text), 0) + text)
    with pytest.raises(ValueError, match=r".+"):
        wire.receive(theirs, deadline=soon())


def test_a_deadline_bounds_the_whole_message_however_slowly_it_drips(pair):
    ours, theirs = pair
    text = json.dumps({"op": "x" * 500}).encode()
    stop = threading.Event()

    def drip() -> None:
        for byte in prefix(len(text), 0) + text:
            if stop.wait(0.02):
                return
            ours.sendall(bytes([byte]))

    sender = threading.Thread(target=drip)
    sender.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive(theirs, deadline=soon(0.2))
    assert 0.15 < time.monotonic() - began < 2
    stop.set()
    sender.join()


def test_a_deadline_that_is_over(pair):
    ours, theirs = pair
    wire.send(ours, {})
    with pytest.raises(TimeoutError):
        wire.receive(theirs, deadline=time.monotonic() - 1)
    with pytest.raises(TimeoutError):
        wire.send(ours, {}, deadline=time.monotonic() - 1)


def test_sending_to_one_that_does_not_read_ends_at_the_deadline(pair):
    ours, _ = pair
    with pytest.raises(TimeoutError):
        wire.send(ours, {}, payloads=[bytes(8 << 20)], deadline=soon(0.2))


def test_sending_to_one_that_is_gone(pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionError):
        wire.send(ours, {"op": "make"}, deadline=soon())
