"""JPEG: sampling, quality and progression."""

import pytest

from farm.encoders import encode
from farm.encoding import Encoding
from farm.spec import ImageFormat, Subsampling
from tests.encoders.pictures import mean_error, opened, ramp


def jpeg(channels: int = 3, **options: object) -> bytes:
    (data,) = encode(ramp(channels=channels), Encoding(ImageFormat.JPG, **options))
    return data


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [80, 95])
@pytest.mark.parametrize(
    ("subsampling", "factors"),
    [
        (None, (2, 2)),
        (Subsampling.QUARTER, (2, 2)),
        (Subsampling.HALF, (2, 1)),
        (Subsampling.FULL, (1, 1)),
    ],
)
def test_chroma_is_sampled_as_asked(quality, subsampling, factors, progressive):
    picture = opened(jpeg(quality=quality, subsampling=subsampling, progressive=progressive))
    assert [layer[1:3] for layer in picture.layer] == [factors, (1, 1), (1, 1)]
    assert ("progressive" in picture.info) is progressive


@pytest.mark.parametrize("quality", [80, 95])
def test_gray_has_one_component(quality):
    picture = opened(jpeg(channels=1, quality=quality))
    assert (picture.mode, len(picture.layer)) == ("L", 1)


def test_quality_counts_in_bytes_and_in_truth():
    sizes = [len(jpeg(quality=quality)) for quality in (1, 40, 80, 89, 90, 95, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 2
    errors = [mean_error(jpeg(quality=q), ramp(channels=3)[0]) for q in (10, 80, 100)]
    assert errors == sorted(errors, reverse=True)


def test_a_progressive_picture_shows_the_same():
    plain, progressive = jpeg(quality=95), jpeg(quality=95, progressive=True)
    assert plain != progressive
    assert opened(plain).tobytes() == opened(progressive).tobytes()
