"""What all encoders share: the pictures survive, the bytes repeat, faults are explained."""

import pytest
import torch

from farm.encoders import encode, load
from farm.encoding import Encoding
from farm.errors import EncodeError
from farm.spec import ImageFormat
from tests.encoders.pictures import decoded, mean_error, opened, ramp

JPG, PNG, WEBP = ImageFormat.JPG, ImageFormat.PNG, ImageFormat.WEBP


@pytest.mark.parametrize(
    ("format", "channels"),
    [(format, channels) for format in ImageFormat for channels in load(format).channels],
)
def test_picture_survives(format, channels):
    pictures = ramp(channels=channels, count=2)
    files = encode(pictures, Encoding(format, quality=85))
    assert len(files) == 2
    for data, picture in zip(files, pictures, strict=True):
        assert mean_error(data, picture) <= (0 if format is PNG else 3)


@pytest.mark.parametrize("format", ImageFormat)
def test_formats_are_what_they_say(format):
    (data,) = encode(ramp(channels=3), Encoding(format))
    assert opened(data).format == {JPG: "JPEG", WEBP: "WEBP", PNG: "PNG"}[format]


@pytest.mark.parametrize(
    "encoding",
    [*map(Encoding, ImageFormat), Encoding(JPG, quality=95), Encoding(PNG, compression=6)],
    ids=repr,
)
def test_bytes_are_deterministic_and_without_metadata(encoding):
    first, second = encode(ramp(channels=3, count=2), encoding)
    assert first == second == encode(ramp(channels=3), encoding)[0]
    picture = opened(first)
    assert not picture.getexif()
    assert not {"icc_profile", "dpi", "comment", "xmp"} & set(picture.info)


@pytest.mark.parametrize("format", ImageFormat)
def test_a_view_that_is_not_contiguous_is_encoded_as_seen(format):
    mirrored = ramp(channels=3).flip(2)[:, ::2]
    (data,) = encode(mirrored, Encoding(format))
    assert mean_error(data, mirrored[0]) <= (0 if format is PNG else 4)


@pytest.mark.parametrize("format", ImageFormat)
def test_one_pixel_and_no_pictures(format):
    pixel = torch.full((1, 1, 1, 3), 77, dtype=torch.uint8)
    (data,) = encode(pixel, Encoding(format))
    assert (decoded(data, 3).int() - 77).abs().max() <= 2
    assert encode(pixel[:0], Encoding(format)) == []


@pytest.mark.parametrize(
    ("pictures", "format", "words"),
    [
        (ramp(channels=4), JPG, "expected 1 or 3 channels for jpg; received 4"),
        (ramp(channels=3).float(), PNG, r"uint8 \[N, H, W, C\]"),
        (ramp(channels=3)[0], PNG, r"\[40, 60, 3\]"),
        (ramp(channels=2), PNG, "C = 1, 3 or 4"),
        (torch.zeros(1, 1, 16_384, 3, dtype=torch.uint8), WEBP, "1 to 16383 pixels for webp"),
        (torch.zeros(1, 1, 65_501, 3, dtype=torch.uint8), JPG, "1 to 65500 pixels for jpg"),
        (torch.zeros(1, 0, 5, 3, dtype=torch.uint8), PNG, "received 5 x 0"),
    ],
)
def test_what_cannot_be_encoded_is_explained(pictures, format, words):
    with pytest.raises(EncodeError, match=words):
        encode(pictures, Encoding(format))


@pytest.mark.parametrize("format", [JPG, WEBP])
def test_the_longest_side_is_true(format):
    longest = load(format).longest_side
    for quality in (50, 95):
        (data,) = encode(
            torch.zeros(1, 1, longest, 3, dtype=torch.uint8), Encoding(format, quality=quality)
        )
        assert opened(data).size == (longest, 1)


@pytest.mark.parametrize("format", ImageFormat)
def test_encoders_are_kept_and_have_a_version(format):
    assert load(format) is load(format)
    assert any(letter.isdigit() for letter in load(format).version)
