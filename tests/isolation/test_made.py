"""What a lane says that it made is believed only where it can be true."""

import pytest

from farm.errors import LaneCrashError
from farm.isolation import Reply, made_of

PICTURE = {"output": 0, "index": 1, "width": 4, "height": 2, "size_bytes": 3, "pts_seconds": None}
HEADER = {
    "op": "made",
    "files": [PICTURE],
    "engine": "synthetic",
    "engine_version": "1",
    "fallback": None,
    "warnings": ["odd"],
    "notes": {"frames_decoded": 1},
    "timings_ms": {"decode": 1},
    "bytes_read": 9,
}
WANTED = {(0, 1), (0, 2)}


def test_what_can_be_true_is_taken_over():
    made = made_of(Reply(HEADER, b"png"), WANTED, most=2)
    assert made.files[0].model_dump() == PICTURE
    assert made.model_dump(exclude={"files"}) == {
        name: HEADER[name] for name in HEADER if name not in ("op", "files")
    }


def test_a_video_that_gives_fewer_pictures_than_asked_for_is_fine():
    assert made_of(Reply(HEADER | {"files": []}, b""), WANTED, most=2).files == []


@pytest.mark.parametrize(
    ("pictures", "payload", "message"),
    [
        ([PICTURE | {"index": 3}], b"png", "file 3 of output 0 unasked"),
        ([PICTURE, PICTURE], b"pngpng", "file 1 of output 0 unasked"),
        ([PICTURE], b"pn", "impossible answer: size_bytes"),
        ([PICTURE | {"width": -1}], b"png", r"impossible answer: files\.0\.width"),
        ([PICTURE | {"size_bytes": True}], b"png", r"files\.0\.size_bytes"),
    ],
)
def test_pictures_that_cannot_be(pictures, payload, message):
    with pytest.raises(LaneCrashError, match=message):
        made_of(Reply(HEADER | {"files": pictures}, payload), WANTED, most=2)


def test_more_files_than_are_allowed():
    files = [PICTURE | {"index": index} for index in (1, 2)]
    with pytest.raises(LaneCrashError, match="made 2 files where 1 are allowed"):
        made_of(Reply(HEADER | {"files": files}, b"pngpng"), WANTED, most=1)


@pytest.mark.parametrize("name", [name for name in HEADER if name != "op"])
def test_every_fact_is_needed_and_has_its_type(name):
    for header in (HEADER | {name: object()}, {k: v for k, v in HEADER.items() if k != name}):
        with pytest.raises(LaneCrashError, match=f"impossible answer: {name}"):
            made_of(Reply(header, b"png"), WANTED, most=2)
