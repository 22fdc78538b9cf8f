"""What an output's fields become for the encoders."""

from dataclasses import fields

import pytest

from farm.encoding import Encoding
from farm.spec import FORMAT_OPTIONS, ImageFormat, Subsampling, ThumbnailSpec


@pytest.mark.parametrize(
    "options",
    [
        {"format": "jpg", "quality": 7, "progressive": True, "subsampling": "4:4:4"},
        {"format": "webp", "lossless": True, "method": 0},
        {"format": "png", "compression": 9},
    ],
)
def test_carries_what_was_asked(options):
    encoding = Encoding.of(ThumbnailSpec(**options))
    assert {name: getattr(encoding, name) for name in options} == options
    rest = {name for name in FORMAT_OPTIONS if name not in options}
    assert all(getattr(encoding, name) in (None, False) for name in rest)


def test_defaults_agree_with_those_of_an_output():
    assert Encoding.of(ThumbnailSpec()) == Encoding(ImageFormat.JPG)
    assert Encoding.of(ThumbnailSpec(subsampling="4:2:2")).subsampling is Subsampling.HALF


def test_every_option_of_a_format_is_carried():
    assert {field.name for field in fields(Encoding)} == {"format", "quality", *FORMAT_OPTIONS}
