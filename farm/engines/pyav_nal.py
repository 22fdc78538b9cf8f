"""The temporal layer of an HEVC picture, read from the header of its first slice."""

from collections.abc import Iterator

# A picture's parameter sets and messages come before its slices, and are seldom longer.
_HEAD_BYTES = 4096
_HVCC_LENGTH_AT = 21
_FIRST_NOT_SLICE = 32
_START_CODE = b"\0\0\1"


def temporal_layer(packet: memoryview, extradata: bytes | None) -> int | None:
    """TemporalId of the picture in a packet (ITU-T H.265, 7.4.2.2); None where no slice is found.

    The stream's `extradata` tells whether lengths or start codes part its units.
    """
    head = bytes(packet[:_HEAD_BYTES])
    if extradata and extradata[0] == 1 and len(extradata) > _HVCC_LENGTH_AT:
        starts = _prefixed(head, (extradata[_HVCC_LENGTH_AT] & 3) + 1)
    else:
        starts = _delimited(head)
    for start in starts:
        if start + 2 <= len(head) and (head[start] >> 1) & 0x3F < _FIRST_NOT_SLICE:
            return (head[start + 1] & 7) - 1
    return None


def _prefixed(head: bytes, length_bytes: int) -> Iterator[int]:
    at = 0
    while at + length_bytes < len(head):
        size = int.from_bytes(head[at : at + length_bytes], "big")
        at += length_bytes
        yield at
        at += size


def _delimited(head: bytes) -> Iterator[int]:
    at = head.find(_START_CODE)
    while at >= 0:
        yield at + len(_START_CODE)
        at = head.find(_START_CODE, at + len(_START_CODE))
