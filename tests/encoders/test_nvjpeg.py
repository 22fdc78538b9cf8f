"""JPEG by nvImageCodec: the CPU encoder here, and on a GPU the same pictures as on the CPU."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from farm.encoders import encode, encode_with
from farm.encoders.nvjpeg import NvJpegEncoder
from farm.encoding import Encoding
from farm.errors import EncodeError
from farm.spec import ImageFormat, Subsampling
from tests.encoders.pictures import decoded, mean_error, opened, ramp


def files(pictures: torch.Tensor, **options: object) -> list[bytes]:
    return encode_with(NvJpegEncoder(), pictures, Encoding(ImageFormat.JPG, **options))


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    error = (one.double() - other.double()).square().mean()
    return float(10 * torch.log10(255**2 / error.clamp(min=1e-9)))


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)]


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    return request.param


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_survive_in_their_order(device, channels):
    pictures = torch.cat([ramp(channels=channels), ramp(channels=channels).flip(2)] * 3)
    made = files(pictures.to(device), quality=85)
    assert len(made) == 6
    for data, picture in zip(made, pictures, strict=True):
        assert opened(data).format == "JPEG"
        assert mean_error(data, picture) <= 3


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("subsampling", "factors"),
    [
        (None, (2, 2)),
        (Subsampling.QUARTER, (2, 2)),
        (Subsampling.HALF, (2, 1)),
        (Subsampling.FULL, (1, 1)),
    ],
)
def test_chroma_is_sampled_as_asked(device, subsampling, factors, progressive):
    pictures = ramp(channels=3).to(device)
    (data,) = files(pictures, subsampling=subsampling, progressive=progressive)
    picture = opened(data)
    assert [layer[1:3] for layer in picture.layer] == [factors, (1, 1), (1, 1)]
    assert ("progressive" in picture.info) is progressive


def test_gray_has_one_component(device):
    (data,) = files(ramp(channels=1).to(device))
    picture = opened(data)
    assert (picture.mode, len(picture.layer)) == ("L", 1)


def test_quality_counts_in_bytes_and_in_truth(device):
    pictures = ramp(channels=3).to(device)
    made = [files(pictures, quality=quality)[0] for quality in (1, 40, 80, 95, 100)]
    sizes = [len(data) for data in made]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 2
    errors = [mean_error(made[index], pictures[0].cpu()) for index in (0, 2, 4)]
    assert errors == sorted(errors, reverse=True)


def test_bytes_are_deterministic_and_without_metadata(device):
    pictures = ramp(channels=3, count=2).to(device)
    first, second = files(pictures)
    assert first == second == files(pictures[:1])[0]
    picture = opened(first)
    assert not picture.getexif()
    assert not {"icc_profile", "comment", "xmp"} & set(picture.info)


def test_a_view_that_is_not_contiguous_is_encoded_as_seen(device):
    mirrored = ramp(channels=3).flip(2)[:, ::2]
    (data,) = files(mirrored.to(device))
    assert mean_error(data, mirrored[0]) <= 4


def test_one_pixel_and_no_pictures(device):
    pixel = torch.full((1, 1, 1, 3), 77, dtype=torch.uint8, device=device)
    (data,) = files(pixel)
    assert (decoded(data, 3).int() - 77).abs().max() <= 2
    assert files(pixel[:0]) == []


def test_what_cannot_be_encoded_is_explained(device):
    with pytest.raises(EncodeError, match="expected 1 or 3 channels for jpg; received 4"):
        files(ramp(channels=4).to(device))


@pytest.mark.parametrize("refusal", ["none", "fewer", "raise"])
def test_a_refusal_is_an_error_and_no_missing_picture(monkeypatch, refusal):
    class Refusing:
        def encode(self, images: list[object], *_: object, **__: object) -> list[None]:
            if refusal == "raise":
                raise RuntimeError("CUDA Runtime failure: '#2'")
            return [None] * (len(images) - (refusal == "fewer"))

    monkeypatch.setattr("farm.encoders.nvjpeg._encoder_of", lambda *_: Refusing())
    with pytest.raises(EncodeError, match="2 pictures of 60 x 40 pixels cannot become JPEG"):
        files(ramp(channels=3, count=2))


def test_threads_get_their_own_pictures(device):
    shades = [torch.full((2, 24, 32, 3), 4 * n, dtype=torch.uint8) for n in range(48)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda each: files(each.to(device)), shades))
    for pictures, pair in zip(shades, made, strict=True):
        for data in pair:
            assert mean_error(data, pictures[0]) <= 1


@pytest.mark.parametrize("quality", [50, 80, 95])
def test_it_is_as_true_as_the_encoder_of_the_cpu(device, quality):
    pictures = ramp(channels=3, count=4, height=240, width=320)
    encoding = Encoding(ImageFormat.JPG, quality=quality)
    theirs = encode(pictures, encoding)
    for data, other, picture in zip(
        files(pictures.to(device), quality=quality), theirs, pictures, strict=True
    ):
        one = psnr(decoded(data, 3), picture)
        assert one >= psnr(decoded(other, 3), picture) - 1
        assert len(data) <= 1.2 * len(other)
