"""WebP: loss, effort and transparency."""

import pytest
import torch

from farm.encoders import encode
from farm.encoding import Encoding
from farm.spec import ImageFormat
from tests.encoders.pictures import decoded, mean_error, opened, ramp


def noise(channels: int) -> torch.Tensor:
    seeded = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, 33, 47, channels), dtype=torch.uint8, generator=seeded)


def webp(pictures: torch.Tensor, **options: object) -> bytes:
    (data,) = encode(pictures, Encoding(ImageFormat.WEBP, **options))
    return data


@pytest.mark.parametrize("method", [None, 0, 6])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_loss_every_pixel_stays(channels, method):
    data = webp(noise(channels), lossless=True, method=method)
    assert torch.equal(decoded(data, channels), noise(channels)[0])
    assert webp(noise(channels), lossless=True, method=method, quality=1) == data


def test_methods_differ_and_two_is_the_default():
    pictures = ramp(channels=3, height=120, width=160)
    files = [webp(pictures, method=method) for method in range(7)]
    assert webp(pictures) == files[2]
    assert len(files[6]) < len(files[0])
    assert all(mean_error(data, pictures[0]) <= 3 for data in files)


def test_quality_counts():
    assert len(webp(noise(3), quality=10)) < len(webp(noise(3), quality=90))


def test_transparency_stays():
    pictures = ramp(channels=4)
    pictures[..., 3] = 255
    pictures[:, :20, :, 3] = 0
    picture = opened(webp(pictures))
    assert picture.mode == "RGBA"
    assert torch.equal(decoded(webp(pictures), 4)[..., 3], pictures[0, ..., 3])
