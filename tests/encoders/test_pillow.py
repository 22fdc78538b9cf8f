import io

import pytest
import torch
from PIL import Image

from farm.encoders import encode, load
from farm.errors import EncodeError
from farm.spec import ImageFormat


def ramp(*, channels: int, count: int = 1, height: int = 40, width: int = 60) -> torch.Tensor:
    across = torch.linspace(0, 255, width)[None, None, :, None]
    down = torch.linspace(255, 0, height)[None, :, None, None]
    step = torch.arange(channels)[None, None, None, :] * 20
    one = (across + down) / 2 + step
    return one.clamp(0, 255).to(torch.uint8).repeat(count, 1, 1, 1)


def decoded(data: bytes, mode: str) -> torch.Tensor:
    picture = Image.open(io.BytesIO(data)).convert(mode)
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(picture.height, picture.width, -1)


@pytest.mark.parametrize(
    ("format", "channels"),
    [
        ("jpg", 1),
        ("jpg", 3),
        ("webp", 1),
        ("webp", 3),
        ("webp", 4),
        ("png", 1),
        ("png", 3),
        ("png", 4),
    ],
)
def test_picture_survives(format, channels):
    pictures = ramp(channels=channels, count=2)
    files = encode(pictures, format=format, quality=90)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    assert len(files) == 2
    for data, picture in zip(files, pictures, strict=True):
        error = (decoded(data, mode).int() - picture.int()).abs().float().mean()
        assert error <= (0 if format == "png" else 3)


def test_formats_are_what_they_say():
    kinds = {"jpg": "JPEG", "webp": "WEBP", "png": "PNG"}
    for format in ImageFormat:
        (data,) = encode(ramp(channels=3), format=format, quality=80)
        assert Image.open(io.BytesIO(data)).format == kinds[format.value]


@pytest.mark.parametrize("format", list(ImageFormat))
def test_bytes_are_deterministic_and_without_metadata(format):
    first, second = encode(ramp(channels=3, count=2), format=format, quality=80)
    assert first == second == encode(ramp(channels=3), format=format, quality=80)[0]
    picture = Image.open(io.BytesIO(first))
    assert not picture.getexif()
    assert not {"icc_profile", "dpi", "comment", "xmp"} & set(picture.info)


def test_jpeg_is_420_and_quality_counts():
    (small,) = encode(ramp(channels=3), format="jpg", quality=10)
    (large,) = encode(ramp(channels=3), format="jpg", quality=95)
    assert len(small) < len(large)
    sampling = [layer[1:3] for layer in Image.open(io.BytesIO(large)).layer]
    assert sampling == [(2, 2), (1, 1), (1, 1)]


def test_a_view_that_is_not_contiguous_is_encoded_as_seen():
    pictures = ramp(channels=3)
    mirrored = pictures.flip(2)[:, ::2]
    (data,) = encode(mirrored, format="png", quality=80)
    assert torch.equal(decoded(data, "RGB"), mirrored[0])


def test_no_pictures_give_no_files():
    assert encode(ramp(channels=3)[:0], format="png", quality=80) == []


@pytest.mark.parametrize(
    ("pictures", "format", "quality", "words"),
    [
        (ramp(channels=4), "jpg", 80, "no transparency"),
        (
            ramp(channels=3),
            "gif",
            80,
            "expected format to be one of png, jpg, webp; received 'gif'",
        ),
        (ramp(channels=3), "png", 0, "expected quality from 1 to 100; received 0"),
        (ramp(channels=3), "png", 101, "received 101"),
        (ramp(channels=3).float(), "png", 80, r"uint8 \[N, H, W, C\]"),
        (ramp(channels=3)[0], "png", 80, r"\[40, 60, 3\]"),
        (ramp(channels=2), "png", 80, "C = 1, 3 or 4"),
        (torch.zeros(1, 1, 16_384, 3, dtype=torch.uint8), "webp", 80, "1 to 16383 pixels for webp"),
        (torch.zeros(1, 0, 5, 3, dtype=torch.uint8), "png", 80, "received 5 x 0"),
    ],
)
def test_what_cannot_be_encoded_is_explained(pictures, format, quality, words):
    with pytest.raises(EncodeError, match=words):
        encode(pictures, format=format, quality=quality)


def test_unknown_encoder_names_the_known_ones():
    with pytest.raises(EncodeError, match="one of pillow; received 'nvjpeg'"):
        load("nvjpeg")
    assert load("pillow") is load("pillow")
    assert load().version
