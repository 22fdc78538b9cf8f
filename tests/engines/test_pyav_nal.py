import pytest

from farm.engines.pyav_nal import temporal_layer

AUD, SEI, TRAIL_N, VPS = 35, 39, 0, 32
HVCC = bytes([1, *bytes(20), 0xFF, 0])


def unit(kind: int, layer: int) -> bytes:
    return bytes([kind << 1, layer + 1]) + b"\x55" * 9


def prefixed(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(_).to_bytes(4, "big") + _ for _ in units))


def delimited(*units: bytes) -> memoryview:
    return memoryview(b"".join(b"\0\0\0\1" + _ for _ in units))


@pytest.mark.parametrize("layer", [0, 1, 6])
def test_layer_of_the_first_slice(layer):
    units = unit(AUD, 0), unit(SEI, 0), unit(TRAIL_N, layer)
    assert temporal_layer(prefixed(*units), HVCC) == layer
    assert temporal_layer(delimited(*units), None) == layer
    assert temporal_layer(delimited(*units), delimited(unit(VPS, 0)).tobytes()) == layer


@pytest.mark.parametrize("packet", [b"", b"\0\0\1", b"\0\0\0\0", b"\xff" * 30])
def test_no_slice_no_layer(packet):
    assert temporal_layer(memoryview(packet), HVCC) is None
    assert temporal_layer(memoryview(packet), None) is None
    assert temporal_layer(prefixed(unit(SEI, 0)), HVCC) is None
