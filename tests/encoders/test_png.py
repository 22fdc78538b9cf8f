"""PNG: every decoder gives back every pixel, and the file is as the format says."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torchvision.io import ImageReadMode, decode_png

from farm.encoders import encode
from farm.encoders.pillow import save
from farm.encoders.png import Filter, _filtered
from farm.encoding import Encoding
from farm.spec import ImageFormat
from tests.encoders.pictures import decoded, opened, ramp

PNG = Encoding(ImageFormat.PNG)


def screen() -> torch.Tensor:
    """Text and boxes in few colours."""
    picture = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 320, 30), fill="navy")
    for y in range(40, 230, 14):
        draw.text((10 + y % 3 * 20, y), f"line {y}: the quick brown fox, {y * y}", fill="black")
    return torch.from_numpy(np.array(picture))


def photo(colors: int = 3) -> torch.Tensor:
    """Shades with a little noise, like a photograph; in one channel repeated where asked."""
    smooth = ramp(channels=colors, height=240, width=320)[0].int()
    noise = torch.randint(-4, 5, smooth.shape, generator=torch.Generator().manual_seed(1))
    return (smooth + noise).clamp(0, 255).to(torch.uint8).expand(-1, -1, 3).contiguous()


@st.composite
def pictures(draw: st.DrawFn) -> torch.Tensor:
    """Batches of any small size, from one colour over stripes and shades to noise."""
    shape = [draw(st.integers(1, 3)), *(draw(st.integers(1, 40)) for _ in "hw")]
    shape.append(draw(st.sampled_from([1, 3, 4])))
    seeded = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    highest = draw(st.sampled_from([1, 2, 256]))
    batch = torch.randint(0, highest, shape, dtype=torch.uint8, generator=seeded)
    match draw(st.sampled_from(["as it is", "columns", "rows", "ramp", "gray"])):
        case "columns":
            batch[:] = batch[:, :1]
        case "rows":
            batch[:] = batch[:, :, :1]
        case "ramp":
            batch = batch.cumsum(2).to(torch.uint8)
        case "gray":
            batch[..., :3] = batch[..., :1]
    return batch


@given(pictures())
def test_pillow_and_torchvision_give_back_every_pixel(batch):
    for data, picture in zip(encode(batch, PNG), batch, strict=True):
        assert torch.equal(decoded(data, batch.shape[3]), picture)
        assert opened(data).mode == {1: "L", 3: "RGB", 4: "RGBA"}[batch.shape[3]]
        read = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        assert torch.equal(read.permute(1, 2, 0), picture)


@given(pictures(), st.sampled_from(Filter))
def test_filters_are_undone_by_the_rules_of_the_format(batch, filter):
    picture = batch[0].numpy()
    lines = _filtered(picture, filter).astype(int)
    height, width, channels = picture.shape
    assert lines.shape == (height, 1 + width * channels)
    undone = np.zeros((height + 1, (width + 1) * channels), int)
    for y in range(height):
        assert lines[y, 0] == filter
        for x in range(width * channels):
            left, above = undone[y + 1, x], undone[y, x + channels]
            predicted = (0, left, above, (left + above) // 2)[filter]
            undone[y + 1, x + channels] = (lines[y, 1 + x] + predicted) % 256
    assert np.array_equal(undone[1:, channels:], picture.reshape(height, -1))


def test_chunks_are_whole_and_in_order():
    (data,) = encode(ramp(channels=4, height=3, width=5), PNG)
    file = io.BytesIO(data)
    assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    names = []
    while head := file.read(8):
        length, name = struct.unpack(">I4s", head)
        content = file.read(length)
        assert struct.unpack(">I", file.read(4))[0] == zlib.crc32(name + content)
        names.append(name)
        if name == b"IHDR":
            assert struct.unpack(">IIBBBBB", content) == (5, 3, 8, 6, 0, 0, 0)
        if name == b"IDAT":
            assert len(zlib.decompress(content)) == 3 * (1 + 5 * 4)
    assert names == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize(
    "picture", [photo(), screen(), photo(1)], ids=["photo", "screen", "gray photo"]
)
def test_files_are_at_most_a_tenth_larger_than_those_of_level_3(picture):
    (data,) = encode(picture[None], PNG)
    assert len(data) < 1.1 * len(save(picture, "PNG", compress_level=3))


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_level_is_zlibs(level):
    picture = screen()
    (data,) = encode(picture[None], Encoding(ImageFormat.PNG, compression=level))
    assert data == save(picture, "PNG", compress_level=level)
    assert torch.equal(decoded(data, 3), picture)


def test_large_pictures_too():
    picture = photo().repeat(8, 8, 1)
    (data,) = encode(picture[None], PNG)
    read = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    assert torch.equal(read.permute(1, 2, 0), picture)
