"""Media facts: names of formats and the shown size."""

import pytest

from farm.geometry import Size
from farm.media import MediaFormat, MediaInfo, MediaKind


@pytest.mark.parametrize(
    ("found", "named", "same"),
    [
        ("jpeg", "jpeg", True),
        ("jpeg", "JPG", True),
        ("mov", "mp4", True),
        ("webm", "mkv", True),
        ("mpegts", "m2ts", True),
        ("png", "jpg", False),
        ("mp4", "mkv", False),
        ("png", "unheard", False),
    ],
)
def test_is_called(found, named, same):
    assert MediaFormat(MediaKind.IMAGE, found).is_called(named) is same


@pytest.mark.parametrize(
    ("orientation", "pixel_aspect", "shown"),
    [(1, 1.0, (720, 576)), (6, 1.0, (576, 720)), (1, 64 / 45, (1024, 576)), (8, 2.0, (576, 1440))],
)
def test_shown_size(orientation, pixel_aspect, shown):
    info = MediaInfo(
        MediaKind.VIDEO,
        "mp4",
        "h264",
        Size(720, 576),
        orientation=orientation,
        pixel_aspect=pixel_aspect,
    )
    assert info.shown_size == shown
