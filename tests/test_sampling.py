"""Sampling: every way to name a moment, and what holds for all of them."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farm.geometry import Size
from farm.media import MediaInfo, MediaKind
from farm.sampling import (
    ALWAYS_SECONDS,
    DURATION_UNKNOWN,
    POSITION_BEFORE_START,
    POSITION_PAST_END,
    Target,
    count_moments,
    make_spans,
    make_targets,
)
from farm.spec import Accuracy, StoryboardSpec, ThumbnailSpec


def video(duration=10.0, *, start=0.0, fps=25.0, frames=0) -> MediaInfo:
    return MediaInfo(
        MediaKind.VIDEO,
        "mp4",
        "h264",
        Size(320, 240),
        start_seconds=start,
        duration_seconds=duration,
        average_fps=fps,
        frame_count=frames,
    )


STILL = MediaInfo(MediaKind.IMAGE, "jpeg", "jpeg", Size(320, 240))


def moments(info, **fields):
    targets, warnings = make_targets(ThumbnailSpec.model_validate(fields), info)
    return [target.seconds for target in targets], warnings


@pytest.mark.parametrize(
    ("position", "seconds", "warnings"),
    [
        (None, 1.5, ()),
        (0, 0.0, ()),
        (2.5, 2.5, ()),
        ("00:00:07.25", 7.25, ()),
        ("-2", 8.0, ()),
        ("25%", 2.5, ()),
        ("-25%", 7.5, ()),
        ("1/4", 2.5, ()),
        ("100%", 9.98, ()),
        ("-0", 9.98, ()),
        (10, 9.98, ()),
        (10.001, 9.98, (POSITION_PAST_END,)),
        (1e9, 9.98, (POSITION_PAST_END,)),
        ("-10.5", 0.0, (POSITION_BEFORE_START,)),
        ("-100%", 0.0, ()),
    ],
)
def test_position(position, seconds, warnings):
    found, said = moments(video(), position=position)
    assert found == [pytest.approx(seconds)]
    assert said == warnings


def test_seconds_are_pts():
    assert moments(video(start=1.4), position=2)[0] == [pytest.approx(3.4)]
    assert moments(video(start=1.4), position="-2")[0] == [pytest.approx(9.4)]
    assert moments(video(start=-0.04), position=0)[0] == [pytest.approx(-0.04)]


def test_count_takes_the_middle_of_equal_parts():
    assert moments(video(), count=4) == ([1.25, 3.75, 6.25, 8.75], ())


@pytest.mark.parametrize(
    ("position", "frame", "estimate"),
    [
        ("frame:0", 0, 0.0),
        ("frame:50", 50, 2.0),
        ("frame:-1", -1, 9.96),
        ("frame:-250", -250, 0.0),
        ("frame:9999", 9999, 9.98),
        ("frame:-9999", -9999, 0.0),
    ],
)
def test_frame_numbers_are_left_to_the_decoder(position, frame, estimate):
    spec = ThumbnailSpec.model_validate({"position": position})
    (target,), warnings = make_targets(spec, video())
    assert target == Target(pytest.approx(estimate), Accuracy.EXACT, frame)
    assert warnings == ()


def test_frame_zero_from_the_end_is_the_last_one_with_a_warning():
    targets, warnings = make_targets(
        ThumbnailSpec.model_validate({"position": "frame:-0"}), video()
    )
    assert targets[0].frame == -1
    assert warnings == (POSITION_PAST_END,)


@pytest.mark.parametrize("asked", [{}, {"position": 7}, {"position": "-1"}, {"count": 5}])
def test_still_has_one_moment(asked):
    assert moments(STILL, **asked) == ([0.0], ())


@pytest.mark.parametrize("asked", [{}, {"position": "50%"}, {"position": "-3"}, {"count": 9}])
def test_unknown_duration_gives_the_first_moment(asked):
    info = video(0.0, start=3.0, fps=0.0)
    assert moments(info, **asked) == ([3.0], (DURATION_UNKNOWN,))


def test_unknown_duration_keeps_seconds_from_the_start():
    assert moments(video(0.0, start=3.0), position=4) == ([7.0], ())


def test_unknown_duration_follows_from_the_frame_count():
    assert moments(video(0.0, frames=250), position="50%") == ([5.0], ())


def test_video_shorter_than_half_a_frame():
    (seconds,), _ = moments(video(0.01, fps=25.0), position="100%")
    assert 0 < seconds < 0.01


positions = st.one_of(
    st.floats(0, 1e6).map(lambda value: f"{value:.6f}"),
    st.floats(0, 1e6).map(lambda value: f"-{value:.6f}"),
    st.floats(0, 100).map(lambda value: f"{value:.6f}%"),
    st.floats(0, 100).map(lambda value: f"-{value:.6f}%"),
    st.integers(0, 10**6).map(lambda number: f"frame:{number}"),
    st.integers(0, 10**6).map(lambda number: f"frame:-{number}"),
)
videos = st.builds(
    video,
    st.floats(0.001, 1e5),
    start=st.floats(-10, 1e5),
    fps=st.just(0.0) | st.floats(0.1, 240),
    frames=st.integers(0, 10**6),
)


def inside(seconds: float, info: MediaInfo) -> bool:
    return info.start_seconds <= seconds < info.start_seconds + info.duration_seconds


@given(videos, positions)
def test_every_position_is_a_moment_of_the_video(info, position):
    (seconds,), _ = moments(info, position=position)
    assert inside(seconds, info)


@given(videos, st.integers(1, 500))
def test_count_gives_that_many_ascending_moments(info, count):
    seconds, warnings = moments(info, count=count)
    assert len(seconds) == count
    assert seconds == sorted(seconds)
    assert all(inside(moment, info) for moment in seconds)
    assert warnings == ()


@given(videos, st.integers(2, 100))
def test_moments_of_a_count_are_evenly_placed(info, count):
    assume(info.duration_seconds > 1)
    seconds, _ = moments(info, count=count)
    step = info.duration_seconds / count
    assert seconds[0] - info.start_seconds == pytest.approx(step / 2, abs=1e-6)
    for before, after in pairwise(seconds):
        assert after - before == pytest.approx(step, abs=1e-6)


def test_the_drift_allowed_goes_with_every_keyframe() -> None:
    for fields in ({"position": 3}, {"count": 4}):
        targets, _ = make_targets(ThumbnailSpec.model_validate(fields | {"max_drift": 2}), video())
        assert {target.max_drift_seconds for target in targets} == {2.0}
    targets, _ = make_targets(ThumbnailSpec.model_validate({"position": "frame:3"}), video())
    assert targets[0].max_drift_seconds is None


def board(info, **fields):
    made = StoryboardSpec.model_validate({"kind": "storyboard"} | fields)
    targets, spans, warnings = make_spans(made, info)
    assert len(targets) == len(spans) == count_moments(made, info)
    return [target.seconds for target in targets], spans, warnings


def test_an_interval_begins_with_the_video_and_ends_with_it():
    seconds, spans, warnings = board(video(10.0, start=2.0), interval=4)
    assert seconds == [2, 6, 10]
    assert spans == ((0, 4), (4, 8), (8, 10))
    assert warnings == ()


def test_an_interval_that_the_length_is_a_multiple_of_has_no_moment_at_the_end():
    assert board(video(10.0), interval=5)[0] == [0, 5]
    # 100 * 0.29 is a little less than 29.
    assert len(board(video(29.0), interval=0.29)[0]) == 100
    assert board(video(1.0), interval=60)[1] == ((0, 1),)


def test_a_count_of_a_storyboard_takes_the_middles():
    seconds, spans, _ = board(video(10.0, start=1.0), count=4)
    assert seconds == [2.25, 4.75, 7.25, 9.75]
    assert spans == ((0, 2.5), (2.5, 5), (5, 7.5), (7.5, 10))


def test_a_storyboard_of_what_has_no_length_is_one_picture():
    always = ((0.0, ALWAYS_SECONDS),)
    assert board(STILL, count=5) == ([0.0], always, ())
    assert board(video(0.0, start=3.0, fps=0), interval=1) == ([3.0], always, (DURATION_UNKNOWN,))


def test_a_storyboard_keeps_accuracy_and_drift():
    made = StoryboardSpec(kind="storyboard", count=1, max_drift=2.0)
    (target,), _, _ = make_spans(made, video())
    assert target == Target(5.0, Accuracy.KEYFRAME, max_drift_seconds=2.0)
