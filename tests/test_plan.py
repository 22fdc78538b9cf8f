"""Plans: shots, keys, geometry, limits and fingerprints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import InvalidEntryError, LimitError
from farm.geometry import Size
from farm.media import MediaInfo, MediaKind
from farm.plan import Naming, Plan, fingerprint, make_plans, settle
from farm.settings import Limits
from farm.spec import Entry

LIMITS = Limits()
VIDEO = MediaInfo(
    MediaKind.VIDEO, "mp4", "h264", Size(1920, 1080), duration_seconds=100.0, average_fps=25.0
)
STILL = MediaInfo(MediaKind.IMAGE, "jpeg", "jpeg", Size(400, 300), orientation=6)


def entry(*outputs, **fields) -> Entry:
    return Entry.model_validate(
        {"source": "/data/clip.mp4", "id": "e", "destination": "/out", "outputs": outputs or ({},)}
        | fields
    )


def plans(made: Entry, info=VIDEO, *, row=1, limits=LIMITS) -> tuple[Plan, ...]:
    return make_plans(made, row, info, limits=limits)


def names(plan: Plan) -> list[str]:
    return [shot.key.rpartition("/")[2] for shot in plan.shots]


def test_outputs_become_plans_in_order():
    small, strip = plans(entry({"width": 320}, {"width": 64, "count": 3, "format": "png"}))
    assert (small.output, strip.output) == (0, 1)
    assert names(small) == ["e~clip-w320.jpg"]
    assert names(strip) == ["e~clip-w64-0001.png", "e~clip-w64-0002.png", "e~clip-w64-0003.png"]
    assert [shot.index for shot in strip.shots] == [1, 2, 3]
    assert [shot.target.seconds for shot in strip.shots] == pytest.approx([100 / 6, 50, 500 / 6])
    assert small.geometry.size == (320, 180)


def test_without_a_probe_keys_are_known_but_nothing_else():
    (plan,) = plans(entry({"count": 2}), None)
    assert names(plan) == ["e~clip-0001.jpg", "e~clip-0002.jpg"]
    assert [shot.target for shot in plan.shots] == [None, None]
    assert plan.geometry is None


def test_still_has_one_shot_and_its_orientation():
    (plan,) = plans(entry({"count": 3, "width": 30}), STILL)
    assert names(plan) == ["e~clip-w30-0001.jpg"]
    assert plan.geometry.size == (30, 40)


def test_warnings_of_the_sampling_are_kept():
    (plan,) = plans(entry({"position": 1000}))
    assert plan.warnings == ("position_past_end",)


def test_unknown_size_waits_for_the_first_frame():
    unknown = MediaInfo(MediaKind.VIDEO, "mpegts", "h264", Size(0, 0))
    (plan,) = plans(entry({"width": 100}), unknown)
    assert plan.geometry is None
    geometry = settle(
        plan, full_size=Size(720, 576), orientation=1, pixel_aspect=64 / 45, limits=LIMITS
    )
    assert geometry.size == (100, 56)


@pytest.mark.parametrize(
    "outputs",
    [
        ({"position": "10%"}, {"position": "20%"}),
        ({"filename": "A.jpg"}, {"filename": "a.JPG"}),
        ({"filename": "{id}-%d.jpg", "count": 2}, {"filename": "e-2.jpg"}),
    ],
)
def test_equal_names_are_refused(outputs):
    with pytest.raises(InvalidEntryError, match=r"outputs\[0\] and outputs\[1\]"):
        plans(entry(*outputs))


def test_too_many_pictures_are_refused_before_they_are_planned():
    with pytest.raises(LimitError, match=r"at most 10 .*outputs\[1\] ask for 100003"):
        plans(entry({"count": 3}, {"count": 100_000}), limits=Limits(outputs=10))


@pytest.mark.parametrize(
    ("limits", "output"),
    [
        (Limits(output_side_pixels=100), {"width": 101}),
        (Limits(output_pixels=9_999), {"width": 100, "height": 100, "fit": "pad"}),
        (Limits(output_side_pixels=1000), {}),
    ],
)
def test_too_large_pictures_are_refused(limits, output):
    with pytest.raises(LimitError, match="picture of at most"):
        plans(entry(output), limits=limits)
    (plan,) = plans(entry(output), None, limits=limits)
    with pytest.raises(LimitError, match="picture of at most"):
        settle(plan, full_size=VIDEO.size, orientation=1, pixel_aspect=1.0, limits=limits)


@given(st.integers(1, 60), st.integers(1, 60))
def test_every_picture_has_its_own_key(one, other):
    made = plans(entry({"count": one, "width": 10}, {"count": other, "width": 20}))
    keys = [shot.key.casefold() for plan in made for shot in plan.shots]
    assert len(set(keys)) == len(keys) == one + other


@pytest.mark.parametrize(
    "change",
    [
        {"source": "/data/other.mp4"},
        {"id": "f"},
        {"destination": "/elsewhere"},
        {"input_format": "mp4"},
        {"size": 5},
        {"mtime": 5.5},
        {"etag": "abc"},
        {"outputs": [{"width": 9}]},
        {"outputs": [{"quality": 81}]},
        {"outputs": [{"position": "16%"}]},
        {"outputs": [{"engine": "pyav"}]},
        {"outputs": [{}, {"width": 9}]},
    ],
)
def test_fingerprint_changes_with_what_decides_the_pictures(change):
    assert fingerprint(entry(**change)) != fingerprint(entry())


def test_fingerprint_is_stable():
    assert fingerprint(entry()) == fingerprint(entry())
    assert len(fingerprint(entry())) == 32
    assert fingerprint(entry(tag="a"), row=3) == fingerprint(entry())
    assert fingerprint(entry({"timeout": 5})) == fingerprint(entry())
    assert fingerprint(entry({"width": None})) == fingerprint(entry({}))
    assert fingerprint(entry({"damaged": "salvage"})) == fingerprint(entry({}))
    assert fingerprint(entry({"damaged": "fail"})) != fingerprint(entry({}))


def test_fingerprint_covers_tag_and_row_where_a_filename_uses_them():
    by_tag, by_row = {"filename": "{id}-{tag}"}, {"filename": "{row}"}
    assert fingerprint(entry(by_tag, tag="a")) != fingerprint(entry(by_tag, tag="b"))
    assert fingerprint(entry(by_row), row=1) != fingerprint(entry(by_row), row=2)
    assert fingerprint(entry(by_tag, tag="a"), row=1) == fingerprint(entry(by_tag, tag="a"), row=2)


BOARD = {"kind": "storyboard", "width": 160}


def test_a_storyboard_of_images_has_shots_with_keys_and_times():
    (plan,) = plans(entry(BOARD | {"interval": 40}))
    assert names(plan) == [f"e~clip-w160-storyboard-000{n}.jpg" for n in (1, 2, 3)]
    assert plan.vtt.endswith("/e~clip-w160-storyboard.vtt")
    assert plan.spans == ((0, 40), (40, 80), (80, 100))
    assert plan.geometry.size == (160, 90)


def test_tiles_have_no_keys_of_their_own():
    (plan,) = plans(entry(BOARD | {"count": 2, "sheets": True, "webvtt": False}))
    assert [(shot.index, shot.key) for shot in plan.shots] == [(1, None), (2, None)]
    assert plan.vtt is None


def test_without_a_probe_a_storyboard_knows_what_its_count_tells():
    shots = [
        len(plan.shots)
        for plan in plans(
            entry(
                BOARD | {"count": 3},
                BOARD | {"count": 3, "sheets": True, "width": 80},
                BOARD | {"interval": 1, "width": 40},
            ),
            None,
        )
    ]
    assert shots == [3, 1, 1]


def test_too_many_tiles_are_refused_before_they_are_planned():
    with pytest.raises(LimitError, match=r"at most 1000 .* ask for 100001"):
        plans(entry({}, BOARD | {"interval": 0.001}))


def test_webvtt_files_of_one_name_are_refused():
    with pytest.raises(InvalidEntryError, match=r"same name: '.*storyboard\.vtt'"):
        plans(entry(BOARD | {"interval": 5}, BOARD | {"interval": 5, "format": "png"}), None)


def test_naming_knows_which_files_there_can_be():
    outputs = (
        {"count": 2},
        BOARD | {"interval": 1},
        BOARD | {"count": 3, "webvtt": False, "width": 80},
        {"kind": "clip"},
    )
    naming = Naming(entry(*outputs), 1, Limits(outputs=20))
    known = [(output, index) for output in range(-1, 5) for index in range(-1, 30)]
    assert [file for file in known if file in naming] == [
        *((0, index) for index in (1, 2)),
        *((1, index) for index in range(21)),
        *((2, index) for index in (1, 2, 3)),
        (3, 1),
    ]
    assert "0" not in naming
    assert naming.most == 21
    assert naming.key(1, 0).endswith("-storyboard.vtt")


def test_fingerprints_of_thumbnails_are_as_old_as_they_were():
    """What earlier versions made stays made: no field may be added to what they hashed."""
    made = Entry(
        source="s3://b/x.mov",
        destination="s3://o",
        id="x",
        tag="t",
        outputs=(
            {"width": 320, "height": 180, "fit": "crop", "format": "webp", "lossless": True,
             "quality": 70},
            {"count": 4, "width": 100, "filename": "{id}-%d.jpg", "accuracy": "exact"},
        ),
    )  # fmt: skip
    assert fingerprint(made, row=3) == "3c8c5f71cafb9ebf15518631a9d585cb"


@pytest.mark.parametrize("change", [{"interval": 6}, {"sheets": True}, {"vtt": "{id}.vtt"}])
def test_fingerprints_cover_storyboards(change):
    made = BOARD | {"interval": 5}
    assert fingerprint(entry(made | change)) != fingerprint(entry(made))
    in_row = {"vtt": "{row}.vtt"}
    assert fingerprint(entry(made | in_row), row=1) != fingerprint(entry(made | in_row), row=2)
