"""Clips show the right frames for the right time, in files that every browser plays."""

import gc
import io
from fractions import Fraction

import av
import pytest

from tests.clip.clips import FAST, file_of, make, see


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


def test_frames_are_freed_while_a_clip_is_made(monkeypatch):
    frame_bytes = 640 * 360 * 3 // 2
    monkeypatch.setattr("farm.clip.footage._MOST_UNSWEPT_BYTES", 10 * frame_bytes)
    gc.collect()
    gc.disable()
    try:
        make(file_of(), width=160, audio=False)
        left = sum(type(each) is av.VideoFrame for each in gc.get_objects())
    finally:
        gc.enable()
    assert left <= 20
