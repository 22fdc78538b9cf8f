"""Clips show the right frames for the right time, upright and in true colours."""

import io
from fractions import Fraction

import av
import pytest
from PIL import Image

from farm.errors import (
    EngineUnavailableError,
    LimitError,
    MediaError,
    NoFrameError,
    NoVideoStreamError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import Matrix, Transfer
from farm.samples.card import PATCHES, read_patches
from farm.samples.clip import make_tone
from farm.samples.yuv import Coding
from farm.settings import Limits
from tests.clip.clips import FAST, file_of, make, see

X265 = {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=none"}


def boxes(data: bytes) -> list[str]:
    """The names of a file's outermost boxes (ISO/IEC 14496-12, 4.2)."""
    names, offset = [], 0
    while offset < len(data):
        names.append(data[offset + 4 : offset + 8].decode())
        offset += int.from_bytes(data[offset : offset + 4], "big")
    return names


def test_a_clip_begins_with_the_frame_at_its_start_and_lasts_as_asked():
    clip = make(file_of(), width=320, start="1.2", duration=1)
    seen = see(clip.data)
    assert seen.numbers == list(range(30, 55))
    assert seen.seconds == pytest.approx([number / 25 for number in range(25)])
    assert seen.length_seconds == pytest.approx(1.0)
    assert (clip.duration_seconds, clip.pts_seconds) == pytest.approx((1.0, 1.2))
    assert (clip.width, clip.height) == (320, 180) == seen.pictures[0].size
    assert clip.warnings == ()
    # From the keyframe at 1 s on, and no further than the decoder's reordering needs.
    assert clip.notes["frames_decoded"] < 40


def test_a_start_between_two_frames_shows_the_earlier_one_for_the_rest_of_its_time():
    seen = see(make(file_of(), width=320, start=0.53, duration=0.2).data)
    assert seen.numbers == [13, 14, 15, 16, 17, 18]
    assert seen.seconds == pytest.approx([0, 0.03, 0.07, 0.11, 0.15, 0.19])
    assert seen.length_seconds == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("start", ["frame:40", "1.6", "-1.4", "frame:-35"])
def test_a_start_may_be_any_position(start):
    clip = make(file_of(), width=320, start=start, duration=0.1)
    assert see(clip.data).numbers == [40, 41, 42]
    assert clip.pts_seconds == pytest.approx(1.6)


def test_without_start_and_duration_it_is_the_whole_video():
    clip = make(file_of(), width=320, audio=False)
    seen = see(clip.data)
    assert seen.numbers == list(range(75))
    assert seen.length_seconds == pytest.approx(3.0)


def test_a_duration_past_the_end_ends_with_the_video():
    seen = see(make(file_of(), width=320, start=2.6, duration=60).data)
    assert seen.numbers == list(range(65, 75))
    assert seen.length_seconds == pytest.approx(0.4)
    assert seen.sound_seconds == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("start", ["3.5", "1:00:00", "frame:75", "frame:900"])
def test_a_start_past_the_end_is_an_error_that_says_so(start):
    with pytest.raises(NoFrameError, match=r"start at .*, past the end of the video.* 3\.000 s"):
        make(file_of(), start=start)


def test_a_framerate_counts_the_pictures():
    clip = make(file_of(), width=320, start=0.4, duration=2, framerate=10)
    seen = see(clip.data)
    assert seen.numbers == [10 + int(number * 2.5) for number in range(20)]
    assert seen.seconds == pytest.approx([number / 10 for number in range(20)])
    assert seen.length_seconds == pytest.approx(2.0)
    assert clip.notes["clip_frames"] == 20


def test_a_framerate_above_the_sources_repeats_pictures():
    seen = see(make(file_of(), width=320, duration=0.2, framerate=50).data)
    assert seen.numbers == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_29_97_is_30000_over_1001():
    clip = make(file_of(), width=320, duration=1.5, framerate=29.97)
    with av.open(io.BytesIO(clip.data)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == stream.guessed_rate == Fraction(30000, 1001)
        times = [packet.pts * stream.time_base for packet in container.demux(stream) if packet.size]
    assert sorted(times) == [number * Fraction(1001, 30000) for number in range(45)]


def test_a_variable_rate_is_kept():
    cadence = (40, 40, 120, 20)
    data = file_of(cadence=cadence, frames=40, has_audio=False)
    seen = see(make(data, width=320, start=0.22, duration=1).data)
    times = [0]
    for number in range(39):
        times.append(times[-1] + cadence[number % 4])
    assert seen.numbers[0] == 4
    shown = [(time - 220) / 1000 for time in times if 220 <= time < 1220]
    assert seen.seconds == pytest.approx(shown)
    assert seen.numbers == list(range(4, 4 + len(shown)))


@pytest.mark.parametrize("interval", [1, 10])
def test_keyframes_lie_where_they_were_asked(interval):
    seen = see(make(file_of(), width=320, duration=1.4, keyframe_interval=interval).data)
    assert [n for n, is_key in enumerate(seen.is_key) if is_key] == list(range(0, 35, interval))


def test_the_file_is_what_every_browser_plays():
    data = make(file_of(), width=320, duration=1).data
    assert boxes(data)[:2] == ["ftyp", "moov"]
    with av.open(io.BytesIO(data)) as container:
        assert "mp4" in container.format.name
        video, audio = container.streams
        codec = video.codec_context
        assert (codec.name, codec.profile, codec.pix_fmt) == ("h264", "High", "yuv420p")
        assert (codec.colorspace, codec.color_primaries, codec.color_trc) == (1, 1, 1)
        assert codec.color_range == 1
        sound = audio.codec_context
        assert (sound.name, sound.profile, sound.rate) == ("aac", "LC", 48_000)
        assert sound.layout.name == "stereo"


def test_more_quality_makes_a_larger_file():
    sizes = [len(make(file_of(), duration=0.5, quality=quality).data) for quality in (1, 80, 100)]
    assert sizes[0] * 2 < sizes[1]
    assert sizes[1] * 1.5 < sizes[2]


def test_the_same_source_gives_the_same_bytes():
    asked = {"width": 320, "start": 0.5, "duration": 0.5}
    assert len({make(file_of(), **asked).data for _ in range(4)}) == 1


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (332, 250)),
        ({"width": 201}, (200, 150)),
        ({"width": 161, "height": 161, "fit": "crop"}, (160, 160)),
        ({"width": 401, "height": 181, "fit": "pad"}, (400, 180)),
        ({"width": 501, "fit": "scale"}, (500, 376)),
        ({"width": 1, "height": 1, "fit": "scale"}, (2, 2)),
        ({"width": 1000}, (332, 250)),
    ],
)
def test_sides_are_even(asked, size):
    odd = file_of(size=Size(333, 251), coding=Coding("yuv444p"), frames=3, has_audio=False)
    clip = make(odd, **asked)
    seen = see(clip.data)
    assert (clip.width, clip.height) == size == seen.pictures[0].size
    if size == (400, 180):
        assert seen.pictures[0].crop((0, 0, 70, 180)).convert("L").getextrema()[1] < 20


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_video_becomes_upright(rotation):
    data = file_of(rotation=rotation, frames=6, size=Size(640, 360), has_audio=False)
    clip = make(data, height=320)
    # The number is found on an upright card only, and a player turns it no more.
    seen = see(clip.data)
    assert seen.numbers == [0, 1, 2, 3, 4, 5]
    assert seen.pictures[0].size == ((568, 320) if rotation == 180 else (180, 320))


def test_oblong_pixels_become_square():
    data = file_of(pixel_aspect=Fraction(4, 3), size=Size(480, 360), frames=3, has_audio=False)
    clip = make(data)
    with av.open(io.BytesIO(clip.data)) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)
    assert (clip.width, clip.height) == (640, 360)


@pytest.mark.parametrize(
    ("coding", "codec", "tolerance", "note"),
    [
        (Coding(), "libx264", 4, None),
        (Coding(matrix=Matrix.BT601), "libx264", 4, None),
        (Coding(full_range=True), "libx264", 4, None),
        (Coding("yuv420p10le", Matrix.BT2020, transfer=Transfer.HLG), "libx265", 18, "hlg"),
        (Coding("yuv420p10le", Matrix.BT2020, transfer=Transfer.PQ), "libx265", 18, "pq"),
    ],
    ids=str,
)
def test_colours_are_true(coding, codec, tolerance, note):
    options, tag = (FAST, None) if codec == "libx264" else (X265, "hvc1")
    data = file_of(
        coding=coding, codec=codec, options=options, codec_tag=tag, frames=5, has_audio=False
    )
    clip = make(data, width=480, quality=95)
    found = read_patches(see(clip.data).pictures[-1])
    for name, color in PATCHES.items():
        assert found[name] == pytest.approx(color, abs=tolerance), name
    assert clip.notes.get("tone_mapped") == note


@pytest.mark.parametrize(
    ("name", "codec", "changes"),
    [
        ("a.mkv", "libx264", {}),
        ("a.ts", "libx264", {}),
        ("a.webm", "libvpx", {"options": {"deadline": "realtime", "cpu-used": "-8"}}),
        ("a.avi", "mpeg4", {"options": {}, "b_frames": 0}),
        ("a.mp4", "libx264", {"muxing": {"movflags": "+frag_keyframe+empty_moov"}}),
        ("a.mp4", "libx264", {"options": FAST | {"x264-params": "open-gop=1"}}),
    ],
)
def test_any_container_will_do(name, codec, changes):
    rate = {} if codec == "libx264" else {"bit_rate": 1_500_000}
    data = file_of(name=name, codec=codec, has_audio=False, **(changes | rate))
    seen = see(make(data, width=320, start=1.2, duration=0.4).data)
    assert seen.numbers == list(range(30, 40))
    assert seen.length_seconds == pytest.approx(0.4, abs=0.04)


def test_an_elementary_stream_will_do():
    data = file_of(name="a.h264", has_audio=False)
    assert see(make(data, width=320, start=1.2, duration=0.4).data).numbers == list(range(30, 40))


def test_a_start_counts_from_the_first_frame_shown():
    late = file_of(start_seconds=2, has_audio=False)
    hidden = file_of(start_seconds=-1, has_audio=False)
    assert see(make(late, width=320, start=1, duration=0.2).data).numbers == list(range(25, 30))
    assert see(make(hidden, width=320, start=1, duration=0.2).data).numbers == list(range(50, 55))
    assert see(make(hidden, width=320, duration=0.2).data).numbers == list(range(25, 30))


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
