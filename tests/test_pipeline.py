"""The pipeline: from bytes to thumbnails, on the synthetic engine and on fakes of every sort."""

import io
from dataclasses import dataclass, field, replace

import pytest
import torch
from PIL import Image

from farm import engines
from farm.engines import Source
from farm.engines.frame import FrameBatch
from farm.errors import (
    CorruptError,
    EmptyInputError,
    EngineUnavailableError,
    InvalidEntryError,
    LimitError,
    NoFrameError,
    TooManyPagesError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import ColorTags, Matrix, MediaInfo, MediaKind
from farm.pipeline import Result, make_thumbnails, probe, warm_up
from farm.settings import Limits
from farm.spec import Entry
from tests.bad_media import make_tiff

RECIPE = b'FARMSYN1 {"width": 320, "height": 240, "fps": 25, "seconds": 10, "seed": 1}\n'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
LIMITS = Limits()


def source(data=RECIPE, *, name="a.syn") -> Source:
    return Source(io.BytesIO(data), len(data), name)


def entry(*outputs, **fields) -> Entry:
    return Entry.model_validate(
        {"source": "/a.syn", "id": "e", "destination": "/out", "outputs": outputs or ({},)} | fields
    )


def make(*outputs, data=RECIPE, limits=LIMITS, **fields) -> Result:
    return make_thumbnails(entry(*outputs, **fields), 1, source(data), limits=limits)


def test_pictures_are_encoded_as_the_output_says():
    made = make(
        {"width": 32, "progressive": True, "subsampling": "4:4:4"},
        {"width": 32, "format": "webp", "lossless": True},
        {"width": 32, "format": "png"},
    )
    jpeg, webp, png = map(opened, made.files)
    assert "progressive" in jpeg.info
    assert [layer[1:3] for layer in jpeg.layer] == [(1, 1)] * 3
    assert webp.convert("RGB").tobytes() == png.tobytes()


def opened(thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail.data))


@dataclass
class FakeEngine:
    """An engine that gives the batches it was made with, and remembers what it was asked."""

    batches: list[FrameBatch] = field(default_factory=list)
    info: MediaInfo = MediaInfo(
        MediaKind.VIDEO, "fake", "fake", Size(8, 4), duration_seconds=10.0, average_fps=25.0
    )
    name: str = "fake"
    version: str = "18.1.0"
    kinds: frozenset = frozenset(MediaKind)
    device: str = "cpu"
    error: Exception | None = None
    notes: dict = field(default_factory=lambda: {"frames_decoded": 3})
    warnings: tuple = ("odd",)
    asked: list = field(default_factory=list)
    closed: int = 0

    def open(self, source, *, media_format, limits):
        assert source.file.tell() == 0
        return self

    def frames(self, targets, wish):
        self.asked.append((list(targets), wish.at_least))
        if self.error:
            raise self.error
        yield from self.batches

    def close(self):
        self.closed += 1


def rgb(*colors, answers=None, size=(8, 4), full_size=None, **fields) -> FrameBatch:
    """Flat pictures, one per colour; picture n answers target n."""
    width, height = size
    pixels = torch.tensor(colors, dtype=torch.uint8)[:, None, None].repeat(1, height, width, 1)
    return FrameBatch(
        planes=(pixels,),
        color=ColorTags(),
        full_size=Size(*(full_size or size)),
        answers=answers or tuple((n,) for n in range(len(colors))),
        pts_seconds=tuple(float(n) for n in range(len(colors))),
        **fields,
    )


@pytest.fixture
def registry(monkeypatch):
    """Replaces the engines by fakes, in order of preference."""

    def install(*fakes: FakeEngine, missing: tuple[str, ...] = ()):
        known = {fake.name: fake for fake in fakes}

        def load(name):
            if name not in known:
                raise EngineUnavailableError(f"engine {name} cannot be loaded")
            return known[name]

        names = (*missing, *known)
        monkeypatch.setattr(engines, "load", load)
        monkeypatch.setattr(engines, "candidates", lambda media_format, *, device: names)
        return fakes[0] if fakes else None

    return install


def test_a_scan_of_too_many_pages_reaches_no_engine(registry):
    fake = registry(FakeEngine())
    with pytest.raises(TooManyPagesError, match="more than the 2 pages allowed"):
        make(data=make_tiff(3), limits=Limits(pages=2))
    assert not fake.asked


def test_default_thumbnail():
    result = make()
    (thumbnail,) = result.files
    assert thumbnail.key.endswith("/e~a.jpg")
    assert (thumbnail.width, thumbnail.height, thumbnail.format) == (320, 240, "jpg")
    assert (thumbnail.output, thumbnail.index) == (0, 1)
    assert opened(thumbnail).format == "JPEG"
    assert opened(thumbnail).size == (320, 240)
    # 15% of 10 s is frame 37; its keyframe is number 36.
    assert thumbnail.pts_seconds == pytest.approx(36 / 25)
    assert (result.engine, result.fallback, result.warnings) == ("synthetic", None, ())
    assert result.info.size == (320, 240)


@pytest.mark.parametrize(
    ("output", "size"),
    [
        ({"width": 160}, (160, 120)),
        ({"width": 100, "height": 100}, (100, 75)),
        ({"width": 100, "height": 100, "fit": "crop"}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "scale"}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "pad"}, (100, 100)),
        ({"width": 640, "fit": "scale", "format": "webp"}, (640, 480)),
        ({"height": 60, "format": "png"}, (80, 60)),
    ],
)
def test_every_fit_and_format(output, size):
    (thumbnail,) = make(output).files
    assert opened(thumbnail).size == (thumbnail.width, thumbnail.height) == size


def test_thumbnails_come_in_order_of_output_and_index():
    result = make({"count": 3, "width": 32}, {"width": 16}, {"count": 2, "width": 64})
    places = [(thumbnail.output, thumbnail.index) for thumbnail in result.files]
    assert places == [(0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (2, 2)]
    assert len({thumbnail.key for thumbnail in result.files}) == 6


def test_equal_bytes_every_time():
    outputs = ({"width": 99, "format": "webp"}, {"count": 2, "width": 50, "accuracy": "exact"})
    first, second = make(*outputs), make(*outputs)
    assert [one.data for one in first.files] == [other.data for other in second.files]


def test_timings_cover_every_step():
    timings = make({"width": 100}).timings_ms
    assert set(timings) == {"open", "decode", "resize", "encode"}
    assert all(spent > 0 for spent in timings.values())


def test_outputs_share_one_pass_over_merged_targets(registry):
    fake = registry(FakeEngine([rgb((9, 9, 9), (99, 99, 99))]))
    make({"position": "50%", "width": 4}, {"position": 5, "width": 2}, {"position": 8, "width": 1})
    ((targets, at_least),) = fake.asked
    assert [target.seconds for target in targets] == [5.0, 8.0]
    assert at_least == (5, 3)
    assert fake.closed == 1


def test_at_least_is_open_where_the_probe_knows_no_size(registry):
    fake = registry(FakeEngine([rgb((9, 9, 9))]))
    fake.info = replace(fake.info, size=Size(0, 0))
    make({"width": 4})
    assert fake.asked[0][1] is None


def test_one_picture_serves_several_moments(registry):
    batch = rgb((200, 10, 10), answers=((0, 1, 2),))
    registry(FakeEngine([batch]))
    thumbnails = make({"count": 3}).files
    assert [thumbnail.index for thumbnail in thumbnails] == [1, 2, 3]
    assert len({thumbnail.data for thumbnail in thumbnails}) == 1


def test_batches_in_any_order_reach_their_shots(registry):
    late, early = rgb((0, 0, 255), answers=((1,),)), rgb((255, 0, 0), answers=((0,),))
    registry(FakeEngine([late, early]))
    pixels = [
        opened(thumbnail).getpixel((0, 0))
        for thumbnail in make({"count": 2, "format": "png"}).files
    ]
    assert pixels == [(255, 0, 0), (0, 0, 255)]


def test_an_unanswered_moment_is_an_error(registry):
    fake = registry(FakeEngine([rgb((0, 0, 0))]))
    with pytest.raises(NoFrameError, match=r"engine fake has no frame at 7.5 s"):
        make({"count": 2})
    assert fake.closed == 1


def test_the_frame_has_the_last_word_on_the_size(registry):
    registry(FakeEngine([rgb((0, 0, 0), size=(6, 6), orientation=6, pixel_aspect=2.0)]))
    (thumbnail,) = make({}).files
    assert (thumbnail.width, thumbnail.height) == (6, 12)
    assert opened(thumbnail).size == (6, 12)


def test_shrunk_planes_are_cut_where_the_full_picture_would_be(registry):
    batch = rgb((0, 0, 0), size=(40, 10), full_size=(400, 100))
    batch.planes[0][:, :, 15:25] = 255
    registry(FakeEngine([batch]))
    output = {"width": 10, "height": 10, "fit": "crop", "format": "png"}
    (thumbnail,) = make(output).files
    assert opened(thumbnail).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("bits", [8, 10])
def test_yuv_planes_become_rgb(registry, bits):
    # Limited-range BT.709 red: Y = 63, Cb = 102, Cr = 240 (ITU-R BT.709, 8 bits).
    kind = torch.uint8 if bits == 8 else torch.int16
    planes = tuple(
        torch.full((1, *shape), value << (bits - 8), dtype=kind)
        for value, shape in ((63, (4, 8)), (102, (2, 4)), (240, (2, 4)))
    )
    tags = ColorTags(matrix=Matrix.BT709, full_range=False, bits=bits)
    registry(FakeEngine([FrameBatch(planes, tags, Size(8, 4), ((0,),), (0.0,))]))
    (thumbnail,) = make({"width": 4, "format": "png"}).files
    assert opened(thumbnail).size == (4, 2)
    red, green, blue = opened(thumbnail).getpixel((2, 1))
    assert red >= 253
    assert max(green, blue) <= 2


def first_pixel(**output) -> tuple[int, ...]:
    (thumbnail,) = make(output).files
    return opened(thumbnail).getpixel((0, 0))


def test_transparency(registry):
    registry(FakeEngine([rgb((255, 0, 0, 0))]))
    assert first_pixel(format="png")[3] == 0
    assert first_pixel(format="png", background="#0000ff") == (0, 0, 255)
    assert min(first_pixel(format="jpg")) >= 254
    red, green, blue = first_pixel(format="jpg", background="#00ff00")
    assert green > 250
    assert max(red, blue) < 5


def test_padding(registry):
    square = {"width": 8, "height": 8, "fit": "pad", "format": "png"}
    registry(FakeEngine([rgb((200, 100, 50))]))
    assert first_pixel(**square) == (0, 0, 0)
    assert first_pixel(**square, background="#102030") == (16, 32, 48)
    (thumbnail,) = make(square).files
    assert opened(thumbnail).getpixel((4, 4)) == (200, 100, 50)
    registry(FakeEngine([rgb((200, 100, 50, 128))]))
    assert first_pixel(**square) == (0, 0, 0, 255)


def test_a_still_has_no_pts(registry):
    still = MediaInfo(MediaKind.IMAGE, "png", "png", Size(8, 4))
    registry(FakeEngine([rgb((1, 2, 3))], info=still))
    (thumbnail,) = make({"count": 5}, data=PNG).files
    assert thumbnail.pts_seconds is None


def test_warnings_and_notes_are_gathered_once(registry):
    fake = registry(FakeEngine([rgb((0, 0, 0))]))
    fake.info = replace(fake.info, warnings=("odd", "strange"))
    result = make({"position": 99})
    assert result.warnings == ("odd", "strange", "position_past_end")
    assert result.notes == {"frames_decoded": 3}


@pytest.mark.parametrize(
    ("named", "warned"), [("png", False), ("PNG", False), ("jpg", True), (None, False)]
)
def test_input_format_is_checked_and_content_wins(registry, named, warned):
    still = MediaInfo(MediaKind.IMAGE, "png", "png", Size(8, 4))
    registry(FakeEngine([rgb((1, 2, 3))], info=still))
    result = make(data=PNG, input_format=named)
    assert ("format_mismatch" in result.warnings) is warned


@pytest.mark.parametrize("named", ["jpg", "jpeg", "JPG"])
def test_a_family_name_is_no_mismatch(registry, named):
    registry(FakeEngine([rgb((1, 2, 3))]))
    jpeg = b"\xff\xd8\xff\xe0" + bytes(32)
    assert "format_mismatch" not in make(data=jpeg, input_format=named).warnings


def test_a_missing_engine_falls_back_and_says_so(registry):
    registry(FakeEngine([rgb((0, 0, 0))]), missing=("gone",))
    result = make()
    assert result.engine == "fake"
    assert result.fallback == "gone -> fake: engine gone cannot be loaded"


def test_an_engine_that_does_not_know_the_codec_falls_back(registry):
    first = FakeEngine(name="first", error=UnsupportedFormatError("no AV1"))
    registry(first, FakeEngine([rgb((0, 0, 0))], name="second", version="2"))
    result = make()
    assert (result.engine, result.engine_version) == ("second", "2")
    assert result.fallback == "first -> second: no AV1"
    assert first.closed == 1


def test_where_all_engines_give_up_the_first_one_explains(registry):
    failing = [FakeEngine(name=name, error=UnsupportedFormatError(name)) for name in "ab"]
    registry(*failing)
    with pytest.raises(UnsupportedFormatError, match=r"^a$"):
        make()


def test_no_engine_for_the_format(registry):
    registry()
    with pytest.raises(UnsupportedFormatError, match="no engine here decodes synthetic"):
        make()


def test_corrupt_data_is_not_tried_elsewhere(registry):
    second = FakeEngine([rgb((0, 0, 0))], name="second")
    registry(FakeEngine(name="first", error=CorruptError("bad")), second)
    with pytest.raises(CorruptError):
        make()
    assert second.asked == []


def test_a_named_engine_never_falls_back(registry):
    registry(
        FakeEngine(name="first", error=UnsupportedFormatError("no")), FakeEngine(name="second")
    )
    with pytest.raises(UnsupportedFormatError, match="no"):
        make({"engine": "first"})
    with pytest.raises(EngineUnavailableError, match="gone"):
        make({"engine": "gone"})


def test_a_named_engine_of_the_wrong_kind(registry):
    registry(FakeEngine(kinds=frozenset({MediaKind.IMAGE})))
    with pytest.raises(UnsupportedFormatError, match="decodes image only; this is synthetic"):
        make({"engine": "fake"})


@pytest.mark.parametrize(
    ("asked", "fits"),
    [("18", True), ("18.1", True), ("18.1.0", True), ("18.10", False), ("1", False)],
)
def test_engine_version(registry, asked, fits):
    registry(FakeEngine([rgb((0, 0, 0))]))
    if fits:
        assert make({"engine": "fake", "engine_version": asked}).engine_version == "18.1.0"
    else:
        with pytest.raises(
            EngineUnavailableError, match=f"in version {asked}; installed is 18.1.0"
        ):
            make({"engine": "fake", "engine_version": asked})


def test_outputs_with_different_engines(registry):
    one = FakeEngine([rgb((255, 0, 0))], name="one")
    two = FakeEngine([rgb((0, 0, 255))], name="two", version="2")
    registry(one, two)
    result = make(
        {"engine": "two", "width": 4, "format": "png"},
        {"engine": "one", "width": 2, "format": "png"},
    )
    assert [opened(made).getpixel((0, 0)) for made in result.files] == [
        (0, 0, 255),
        (255, 0, 0),
    ]
    assert (result.engine, result.engine_version) == ("two, one", "2, 18.1.0")
    assert len(one.asked) == len(two.asked) == 1


def test_errors_come_through():
    with pytest.raises(EmptyInputError):
        make(data=b"")
    with pytest.raises(CorruptError):
        make(data=b'FARMSYN1 {"fault": "error"}')
    with pytest.raises(LimitError, match="picture of at most"):
        make({"width": 5000, "fit": "scale"}, limits=Limits(output_side_pixels=1000))
    with pytest.raises(InvalidEntryError, match="same name"):
        make({}, {})


def test_probe_plans_without_decoding(registry):
    fake = registry(FakeEngine())
    info, plans = probe(entry({"width": 4}, {"count": 2}), 1, source(), limits=LIMITS)
    assert info is fake.info
    assert [len(plan.shots) for plan in plans] == [1, 2]
    assert plans[0].geometry.size == (4, 2)
    assert (fake.asked, fake.closed) == ([], 1)


def test_probe_and_pictures_agree():
    asked = entry({"width": 77, "height": 50, "fit": "crop"}, {"height": 31, "count": 3})
    _, plans = probe(asked, 1, source(), limits=LIMITS)
    result = make_thumbnails(asked, 1, source(), limits=LIMITS)
    planned = [(s.key, p.geometry.canvas) for p in plans for s in p.shots]
    assert planned == [(made.key, (made.width, made.height)) for made in result.files]


def test_warm_up_survives_missing_engines(registry):
    registry()
    warm_up()
