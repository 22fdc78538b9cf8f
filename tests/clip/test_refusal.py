"""What no clip can be made of, what limits refuse, and what comes of damage."""

import io

import av
import pytest
from PIL import Image

from farm.errors import (
    EngineUnavailableError,
    LimitError,
    MediaError,
    NoFrameError,
    NoVideoStreamError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.samples.clip import make_tone
from farm.settings import Limits
from tests.clip.clips import file_of, make, see


@pytest.mark.parametrize("start", ["3.5", "1:00:00", "frame:75", "frame:900"])
def test_a_start_past_the_end_is_an_error_that_says_so(start):
    with pytest.raises(NoFrameError, match=r"start at .*, past the end of the video.* 3\.000 s"):
        make(file_of(), start=start)


def test_a_still_is_no_video():
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    with pytest.raises(UnsupportedFormatError, match="clips are made of videos; this is jpeg"):
        make(file.getvalue())


def test_sound_alone_is_no_video():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000)
        for chunk in make_tone(0.5):
            container.mux(stream.encode(chunk))
        container.mux(stream.encode())
    with pytest.raises(NoVideoStreamError):
        make(file.getvalue())


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(clip_bytes=50_000), "more than the 50000 bytes allowed"),
        (Limits(duration_seconds=1), "longer than the 1 s allowed"),
        (Limits(output_side_pixels=600), "at most 600 pixels a side"),
        (Limits(frame_pixels=1000), "pixels, more than the 1000 allowed"),
    ],
    ids=str,
)
def test_limits_hold(limits, words):
    with pytest.raises(LimitError, match=words):
        make(file_of(), limits=limits)


def test_the_limit_of_frames_is_for_thumbnails():
    assert make(file_of(), width=160, limits=Limits(frames=10)).notes["frames_decoded"] == 75


def test_a_build_without_an_encoder_is_told(monkeypatch):
    monkeypatch.setattr("farm.clip.movie._ENCODER", "libx264_of_another_build")
    with pytest.raises(EngineUnavailableError, match=r"clips need the H\.264 encoder"):
        make(file_of())


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_file_gives_what_is_there_or_says_what_is_wrong(kept):
    data = file_of(name="a.mkv")
    try:
        clip = make(data[: int(len(data) * kept)], width=160)
    except MediaError:
        assert kept == 0.1
    else:
        count = len(see(clip.data).pictures)
        assert 0 < count < 75


def test_damage_is_told():
    data = bytearray(file_of())
    middle = data.index(b"mdat") + len(data) // 3
    data[middle : middle + 3000] = bytes(range(250)) * 12
    clip = make(bytes(data), width=320)
    assert clip.warnings
    assert len(see(clip.data).pictures) > 40


def test_a_video_without_any_frame_is_told():
    with pytest.raises(TruncatedError, match="ends before the first frame"):
        make(b"YUV4MPEG2 W64 H64 F25:1 Ip A1:1 C420jpeg\n")
