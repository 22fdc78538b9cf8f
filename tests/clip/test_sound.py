"""The sound of a clip: with its pictures, as long as they are, silent where there is none."""

from itertools import pairwise

import numpy as np
import pytest

from tests.clip.clips import clicking, file_of, hear, make, see

CLICKS = (0.4, 1.0, 2.2)


def clicks_in(sound: np.ndarray) -> list[float]:
    """When something is heard, in seconds."""
    loud = np.flatnonzero(np.abs(sound) > 0.3) / 48_000
    starts = [
        loud[0],
        *(one for before, one in pairwise(loud) if one > before + 0.1),
    ]
    return [float(np.mean(loud[(loud >= start) & (loud < start + 0.1)])) for start in starts]


def flashes_in(data: bytes) -> list[float]:
    seen = see(data)
    means = [np.asarray(picture.convert("L")).mean() for picture in seen.pictures]
    return [second for second, mean in zip(seen.seconds, means, strict=True) if mean > 128]


@pytest.mark.parametrize(
    ("container", "codec", "rate", "layout"),
    [
        ("mp4", "aac", 48_000, "stereo"),
        ("mp4", "aac", 44_100, "mono"),
        ("mp4", "aac", 48_000, "5.1"),
        ("mov", "pcm_s16le", 44_100, "stereo"),
        ("matroska", "flac", 48_000, "stereo"),
        ("matroska", "libopus", 48_000, "stereo"),
        ("mpegts", "mp2", 48_000, "stereo"),
        ("mpegts", "aac", 44_100, "stereo"),
        ("flv", "libmp3lame", 44_100, "stereo"),
    ],
)
@pytest.mark.parametrize("start", [0, 0.7])
def test_clicks_stay_with_their_flashes(container, codec, rate, layout, start):
    data = clicking(container, clicks=CLICKS, codec=codec, rate=rate, layout=layout)
    clip = make(data, start=start, duration=1.8)
    sound, length = hear(clip.data)
    expected = [click - start for click in CLICKS if 0 <= click - start < 1.8]
    assert flashes_in(clip.data) == pytest.approx(expected, abs=0.021)
    assert clicks_in(sound) == pytest.approx(expected, abs=0.004)
    assert length == pytest.approx(1.8, abs=0.022)
    assert clip.warnings == ()


def test_sound_that_begins_late_and_ends_early_is_filled_with_silence():
    data = clicking("mp4", clicks=(1.0,), sound_from=0.6, sound_to=1.4)
    sound, length = hear(make(data, duration=2).data)
    assert clicks_in(sound) == pytest.approx([1.0], abs=0.004)
    assert length == pytest.approx(2.0, abs=0.022)
    assert np.abs(sound[: 48_000 // 2]).max() < 0.01
    assert np.abs(sound[48_000 * 3 // 2 :]).max() < 0.01


def test_sound_that_is_over_before_the_clip_begins_is_silence():
    data = clicking("mp4", clicks=(0.4,), sound_to=0.8)
    sound, length = hear(make(data, start=1.5, duration=1).data)
    assert length == pytest.approx(1.0, abs=0.022)
    assert np.abs(sound).max() < 0.01


def test_sound_can_be_left_out():
    assert hear(make(file_of(), width=160, audio=False).data)[0] is None


def test_a_source_without_sound_gives_a_clip_without():
    assert hear(make(file_of(has_audio=False), width=160).data)[0] is None


def test_a_framerate_leaves_the_sound_alone():
    data = clicking("mp4", clicks=CLICKS)
    clip = make(data, start=0.2, framerate=5)
    assert clicks_in(hear(clip.data)[0]) == pytest.approx([0.2, 0.8, 2.0], abs=0.004)


def test_a_tone_goes_on_without_a_break():
    sound, _ = hear(make(file_of(), width=160, start=0.5, duration=2).data)
    steps = np.abs(np.diff(sound[4800:-4800]))
    # 440 Hz of amplitude 0.1 changes by 0.0058 from one sample to the next at most.
    assert steps.max() < 0.009


def test_sound_that_cannot_be_decoded_is_silence_with_a_warning():
    data = bytearray(clicking("matroska", clicks=CLICKS, codec="flac"))
    where = 0
    while (where := data.find(b"\xff\xf8", where + 1)) > 0:
        data[where : where + 12] = b"\xff" * 12
    clip = make(bytes(data))
    assert "audio_damaged" in clip.warnings
    assert hear(clip.data)[1] == pytest.approx(3.0, abs=0.022)
