import errno
import io
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image

from farm.engines import PassedOnError, Source, Wish, load
from farm.engines.frame import FrameBatch
from farm.errors import (
    FarmError,
    LimitError,
    MediaError,
    SourceUnavailableError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.pipeline import make_thumbnails
from farm.samples.broken import make_broken
from farm.samples.pictures import make_pictures
from farm.settings import Limits
from farm.spec import Entry, Fidelity
from tests.engines.contract import START, EngineContract, source_of
from tests.engines.jpegs import exif_of, noise
from tests.engines.test_pillow import (
    assert_near,
    profile_of,
    saved,
    scene,
    shown,
    swapped_primaries,
)

JPEG = MediaFormat(MediaKind.IMAGE, "jpeg")


class Counting(io.BytesIO):
    """A file that counts what is read of it, given in parts as by a socket."""

    bytes_read = 0

    def readinto(self, buffer: object, /) -> int:
        count = super().readinto(memoryview(buffer)[:10_000])
        self.bytes_read += count
        return count


def opened(data: bytes, *, engine: str = "turbojpeg", limits: Limits | None = None):
    return load(engine).open(source_of(data, "photo"), media_format=JPEG, limits=limits or Limits())


def decoded(data: bytes, *, at_least: Size | None = None, **options: object) -> FrameBatch:
    (batch,) = opened(data).frames([START], Wish(at_least=at_least, **options))
    return batch


def by_pillow(data: bytes, shrink: int = 1) -> Image.Image:
    """What Pillow makes of it at a scale."""
    picture = Image.open(io.BytesIO(data))
    picture.draft(None, (picture.width // shrink, picture.height // shrink))
    return picture.convert("RGB")


class TestContract(EngineContract):
    engine_name = "turbojpeg"
    media_format = JPEG
    size = Size(64, 48)

    @pytest.fixture
    def good(self):
        return saved(scene(), "JPEG", quality=90)


KINDS = {
    "4:2:0": {"subsampling": 2},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
    "progressive": {"progressive": True},
    "rgb": {"keep_rgb": True},
}


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", [*KINDS, "gray"])
def test_pixels_are_those_of_pillow(kind, shrink):
    picture = scene((253, 187)).convert("L" if kind == "gray" else "RGB")
    data = saved(picture, "JPEG", quality=85, **KINDS.get(kind, {}))
    decoder = opened(data)
    (batch,) = decoder.frames([START], Wish(at_least=Size(253 // shrink, 187 // shrink)))
    assert batch.full_size == (253, 187)
    assert decoder.notes["shrink"] == shrink
    assert_near(batch.planes[0][0], by_pillow(data, shrink), 0)


@pytest.mark.parametrize(
    ("least", "shrink"),
    [
        ((1, 1), 8),
        ((32, 24), 8),
        ((33, 24), 4),
        ((64, 47), 4),
        ((64, 48), 2),
        ((127, 94), 2),
        ((127, 95), 1),
        ((253, 187), 1),
    ],
)
def test_shrinks_to_the_smallest_power_of_two_that_serves(least, shrink):
    batch = decoded(saved(scene((253, 187)), "JPEG"), at_least=Size(*least))
    assert batch.planes[0].shape[1:3] == (-(-187 // shrink), -(-253 // shrink))


@pytest.mark.parametrize("color", ["YCbCr", "RGB"])
@pytest.mark.parametrize("ids", [b"\x01\x02\x03", b"RGB", b"\x05\x06\x07"])
@pytest.mark.parametrize("marked", [True, False])
def test_colours_are_guessed_as_pillow_does(color, ids, marked):
    data = saved(scene(), "JPEG", quality=95, subsampling=0, keep_rgb=color == "RGB")
    start = data.index(b"\xff\xc0") + 10
    before = data[start], data[start + 3], data[start + 6]
    scan = data.index(b"\xff\xda") + 5
    changed = bytearray(data)
    for place in (start, start + 3, start + 6):
        changed[place] = ids[before.index(changed[place])]
    for place in (scan, scan + 2, scan + 4):
        changed[place] = ids[before.index(changed[place])]
    if not marked:  # neither JFIF nor Adobe
        length = int.from_bytes(changed[4:6], "big")
        del changed[2 : 4 + length]
    assert_near(decoded(bytes(changed)).planes[0][0], by_pillow(bytes(changed)), 0)


def test_twice_from_one_decoder():
    decoder = opened(saved(scene((800, 600)), "JPEG"))
    shapes = []
    for least in (Size(100, 75), None):
        (batch,) = decoder.frames([START], Wish(at_least=least))
        shapes.append(tuple(batch.planes[0].shape[1:3]))
    assert shapes == [(75, 100), (600, 800)]


def test_the_source_is_read_once():
    data = saved(scene((800, 600)), "JPEG", comment=b"x" * 65_000, exif=b"Exif\0\0" + bytes(60_000))
    file = Counting(data)
    decoder = load("turbojpeg").open(
        Source(file, len(data), "photo"), media_format=JPEG, limits=Limits()
    )
    for _ in range(2):
        assert list(decoder.frames([START], Wish()))
    assert file.bytes_read == len(data)


@pytest.mark.parametrize("code", range(1, 9))
def test_orientation_is_told_and_not_applied(code):
    exif = Image.Exif()
    exif[0x112] = code
    data = saved(scene(), "JPEG", exif=exif)
    assert opened(data).info.orientation == decoded(data).orientation == code
    assert_near(decoded(data).planes[0][0], by_pillow(data), 0)


class TestColorProfile:
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_profile_is_applied(self, mode):
        picture = Image.new("RGB", (16, 16), (200, 30, 40)).convert(mode)
        data = saved(picture, "JPEG", quality=100, icc_profile=swapped_primaries())
        decoder = opened(data)
        (batch,) = decoder.frames([START], Wish())
        (wanted,) = opened(data, engine="pillow").frames([START], Wish())
        assert torch.equal(shown(batch), shown(wanted))
        assert decoder.warnings == ()
        if mode == "RGB":
            red, green, _ = shown(batch)[8, 8].tolist()
            assert green > 150 > 60 > red

    def test_srgb_changes_nothing(self):
        data = saved(scene(), "JPEG", icc_profile=profile_of("sRGB"))
        assert_near(decoded(data).planes[0][0], by_pillow(data), 0)

    @pytest.mark.parametrize("profile", [b"rubbish" * 40, profile_of("LAB")])
    def test_unusable_profile_is_ignored_with_a_warning(self, profile):
        data = saved(scene(), "JPEG", icc_profile=profile)
        decoder = opened(data)
        (batch,) = decoder.frames([START], Wish())
        assert_near(shown(batch), by_pillow(data), 0)
        assert decoder.warnings == ("icc_ignored",)


class TestWhatIsLeftToPillow:
    def test_cmyk_is_passed_on(self):
        data = saved(Image.new("CMYK", (16, 16)), "JPEG")
        with pytest.raises(PassedOnError, match="photo: has 4 components"):
            opened(data)

    @pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA])
    def test_lossless_and_arithmetic_coding_are_passed_on(self, marker):
        data = bytearray(saved(scene(), "JPEG"))
        data[data.index(b"\xff\xc0") + 1] = marker
        with pytest.raises(PassedOnError, match=f"photo: has a frame of kind {marker:#x}"):
            opened(bytes(data))

    def test_junk_between_segments_is_passed_on(self):
        data = saved(scene(), "JPEG")
        with pytest.raises(PassedOnError, match="no marker at byte 20; engine pillow opens it"):
            opened(data[:20] + b"junk" + data[20:])

    def test_other_formats_are_refused(self):
        with pytest.raises(UnsupportedFormatError, match=r"photo: is png; .* decodes jpeg only"):
            load("turbojpeg").open(
                source_of(b"x", "photo"),
                media_format=MediaFormat(MediaKind.IMAGE, "png"),
                limits=Limits(),
            )

    def test_extraneous_bytes_give_pillows_picture_and_a_warning(self):
        data = saved(scene(), "JPEG")
        data = data[:-2] + bytes(8) + data[-2:]
        decoder = opened(data)
        (batch,) = decoder.frames([START], Wish())
        assert_near(batch.planes[0][0], by_pillow(data), 0)
        assert decoder.notes["decoder"] == "pillow"
        (warning,) = decoder.warnings
        assert warning.startswith("decoder: Corrupt JPEG data: ")


class TestScans:
    @pytest.fixture(params=["4:2:0", "4:2:2", "4:4:4", "gray", "restarts"])
    def data(self, request):
        picture = noise((1100, 700)).convert("L" if request.param == "gray" else "RGB")
        return saved(picture, "JPEG", quality=88, progressive=True, **KINDS.get(request.param, {}))

    @pytest.mark.parametrize("shrink", [8, 4, 2, 1])
    def test_balanced_loses_nothing(self, data, shrink):
        least = Size(-(-1100 // shrink), -(-700 // shrink))
        whole, balanced = opened(data), opened(data)
        (wanted,) = whole.frames([START], Wish(at_least=least, fidelity=Fidelity.BEST))
        (batch,) = balanced.frames([START], Wish(at_least=least, fidelity=Fidelity.BALANCED))
        assert torch.equal(batch.planes[0], wanted.planes[0])
        assert "scans" not in whole.notes
        assert ("scans" in balanced.notes) == (shrink == 8)
        assert balanced.warnings == ()

    @pytest.mark.parametrize("shrink", [8, 4, 2, 1])
    def test_fast_is_near(self, data, shrink):
        least = Size(-(-1100 // shrink), -(-700 // shrink))
        decoder = opened(data)
        (batch,) = decoder.frames([START], Wish(at_least=least, fidelity=Fidelity.FAST))
        assert_near(batch.planes[0][0], by_pillow(data, shrink), 3 if shrink > 1 else 0.3)
        assert ("scans" in decoder.notes) == (shrink > 1)
        assert decoder.warnings == ()

    def test_fast_reads_the_first_scans_only(self):
        data = saved(Image.effect_noise((2400, 1800), 60), "JPEG", quality=95, progressive=True)
        source = Source(Counting(data), len(data), "photo")
        decoder = load("turbojpeg").open(source, media_format=JPEG, limits=Limits())
        (batch,) = decoder.frames([START], Wish(at_least=Size(300, 225), fidelity=Fidelity.FAST))
        assert batch.planes[0].shape[1:3] == (225, 300)
        assert source.file.bytes_read < len(data) / 2

    def test_notes_count_scans(self):
        data = saved(noise((800, 600)), "JPEG", progressive=True)
        decoder = opened(data)
        list(decoder.frames([START], Wish(at_least=Size(100, 75))))
        assert decoder.notes == {"frames_decoded": 1, "shrink": 8, "scans": "6 of 10"}

    def test_damage_in_a_needed_scan_has_pillows_verdict(self):
        data = bytearray(saved(noise((800, 600)), "JPEG", progressive=True))
        start = data.index(b"\xff\xda") + 2_000
        data[start : start + 2] = b"\xff\xd9"  # ends the picture in its first scan
        for fidelity in Fidelity:
            decoder = opened(bytes(data))
            (batch,) = decoder.frames([START], Wish(at_least=Size(100, 75), fidelity=fidelity))
            assert decoder.notes["decoder"] == "pillow"
            assert_near(batch.planes[0][0], by_pillow(bytes(data), 8), 0)


class TestPreviews:
    PREVIEW = (200, 20, 30)

    def file(self, preview=(160, 120), size=(800, 600), *, code=1, preview_code=None) -> bytes:
        """A gray picture with a red preview, or with these bytes for one."""
        if isinstance(preview, tuple):
            preview = saved(Image.new("RGB", preview, self.PREVIEW), "JPEG")
        exif = exif_of(preview, orientation=code, thumbnail_orientation=preview_code)
        return saved(Image.new("RGB", size, (99, 99, 99)), "JPEG", exif=exif)

    def is_preview(self, data: bytes, least=(80, 60), *, previews: bool = True) -> bool:
        decoder = opened(data)
        (batch,) = decoder.frames([START], Wish(at_least=least and Size(*least), previews=previews))
        assert batch.full_size == decoder.info.size
        red, green, _ = batch.planes[0][0, 3, 3].tolist()
        assert (red > 190 > 30 > green) == (decoder.notes.get("preview") == "exif")
        assert decoder.warnings == ()
        return "preview" in decoder.notes

    def test_it_is_taken_where_it_may_and_serves(self):
        assert self.is_preview(self.file())
        assert self.is_preview(self.file(), (160, 120))
        assert not self.is_preview(self.file(), previews=False)

    def test_it_is_shrunk_too(self):
        decoder = opened(self.file())
        (batch,) = decoder.frames([START], Wish(at_least=Size(40, 30), previews=True))
        assert batch.planes[0].shape[1:3] == (30, 40)
        assert batch.full_size == (800, 600)

    @pytest.mark.parametrize("least", [(161, 120), (160, 121), None])
    def test_it_is_too_small(self, least):
        assert not self.is_preview(self.file(), least)

    @pytest.mark.parametrize(("size", "alike"), [((800, 534), False), ((808, 600), True)])
    def test_its_aspect_must_agree(self, size, alike):
        assert self.is_preview(self.file(size=size)) is alike

    @pytest.mark.parametrize(
        ("code", "preview_code", "alike"), [(6, None, True), (6, 6, True), (6, 1, False)]
    )
    def test_its_orientation_must_agree(self, code, preview_code, alike):
        data = self.file(code=code, preview_code=preview_code)
        assert opened(data).info.orientation == code
        assert self.is_preview(data) is alike

    def test_it_may_not_be_larger_than_the_picture(self):
        assert not self.is_preview(self.file((1600, 1200)))

    def test_one_that_cannot_be_decoded_is_not_taken(self):
        preview = saved(noise((160, 120)), "JPEG")
        broken = [preview[: len(preview) // 2], preview[:60], b"\xff\xd8", b"\xff\xd8rubbish"]
        broken += [saved(Image.new(mode, (160, 120)), "JPEG") for mode in ("CMYK", "L")]
        for each in broken:
            assert not self.is_preview(self.file(each))

    def test_only_the_beginning_of_the_file_is_read(self):
        exif = exif_of(saved(Image.new("RGB", (160, 120), self.PREVIEW), "JPEG"))
        whole = Image.effect_noise((1600, 1200), 60).convert("RGB")
        data = saved(whole, "JPEG", exif=exif)
        source = Source(Counting(data), len(data), "photo")
        decoder = load("turbojpeg").open(source, media_format=JPEG, limits=Limits())
        list(decoder.frames([START], Wish(at_least=Size(160, 120), previews=True)))
        assert source.file.bytes_read < 100_000 < len(data)


class TestErrors:
    @pytest.mark.parametrize("fidelity", [Fidelity.BALANCED, Fidelity.BEST])
    @pytest.mark.parametrize("progressive", [False, True])
    def test_truncated(self, progressive, fidelity):
        data = saved(scene((200, 200)), "JPEG", progressive=progressive)
        for least in (None, Size(50, 50), Size(25, 25)):
            for end in (len(data) // 2, len(data) - 30):
                decoder = opened(data[:end])
                wish = Wish(at_least=least, fidelity=fidelity, salvage=False)
                with pytest.raises(TruncatedError, match="photo: Pillow cannot decode this jpeg"):
                    list(decoder.frames([START], wish))

    @pytest.mark.parametrize("length", [3, 30, 200])
    def test_a_header_that_ends_early_has_pillows_verdict(self, length):
        data = saved(scene(), "JPEG")[:length]
        with pytest.raises(FarmError) as wanted:
            opened(data, engine="pillow")
        with pytest.raises(type(wanted.value)) as told:
            opened(data)
        assert str(told.value) == str(wanted.value)

    def test_too_many_pixels(self):
        with pytest.raises(LimitError, match="photo: 64 x 48 pixels, more than the 3000 allow"):
            opened(saved(scene(), "JPEG"), limits=Limits(image_pixels=3000))

    def test_a_file_that_cannot_be_read_is_not_called_corrupt(self):
        class Failing(io.BytesIO):
            def readinto(self, _: object, /) -> int:
                raise OSError(errno.EIO, "broken disk")

        with pytest.raises(SourceUnavailableError, match=r"photo: .*broken disk"):
            load("turbojpeg").open(
                Source(Failing(), 100, "photo"), media_format=JPEG, limits=Limits()
            )


@pytest.mark.parametrize(("progressive", "seed"), [(False, 1), (True, 2)])
def test_damaged_files_are_as_by_pillow(progressive, seed):
    data = saved(noise((240, 160)), "JPEG", progressive=progressive)
    damage = np.random.default_rng(seed)
    for step in range(60):
        broken = bytearray(data if step % 3 else data[: damage.integers(4, len(data))])
        for at in damage.integers(3, len(broken), step % 4):
            broken[at] = damage.integers(256)
        is_as_by_pillow(bytes(broken))
        with suppress(MediaError):
            (batch,) = opened(bytes(broken)).frames(
                [START], Wish(at_least=Size(1, 1), fidelity=Fidelity.FAST, previews=True)
            )
            assert batch.planes[0].shape[3] == 3


class TestRecords:
    def made(self, data: bytes, **output: object):
        entry = Entry.model_validate(
            {"source": "s", "destination": "d", "outputs": [{"width": 32} | output]}
        )
        return make_thumbnails(entry, 0, source_of(data, "photo"), limits=Limits())

    def test_plain(self):
        result = self.made(saved(scene(), "JPEG"))
        assert (result.engine, result.fallback, result.warnings) == ("turbojpeg", None, ())

    def test_what_pillow_is_for_is_no_fallback(self):
        result = self.made(saved(scene().convert("CMYK"), "JPEG"))
        assert (result.engine, result.fallback) == ("pillow", None)

    def test_a_named_engine_does_not_pass_on(self):
        with pytest.raises(UnsupportedFormatError, match="has 4 components, which engine pillow"):
            self.made(saved(scene().convert("CMYK"), "JPEG"), engine="turbojpeg")

    def test_options_reach_the_decoder(self):
        data = saved(noise((800, 600)), "JPEG", progressive=True)
        assert self.made(data, fidelity="fast").notes["scans"] == "1 of 10"
        assert self.made(data, fidelity="balanced").notes["scans"] == "6 of 10"
        assert "scans" not in self.made(data, fidelity="best").notes
        exif = exif_of(saved(noise((160, 120)), "JPEG"))
        data = saved(noise((800, 600)), "JPEG", exif=exif)
        assert self.made(data, previews=True).notes["preview"] == "exif"
        assert "preview" not in self.made(data).notes


def outcome(engine: str, data: bytes, shrink: int):
    """A picture with its orientation and warnings, an error, or None for what was passed on."""
    try:
        decoder = opened(data, engine=engine)
        size = decoder.info.size
        least = Size(*(-(-side // shrink) for side in size))
        (batch,) = decoder.frames([START], Wish(at_least=least))
    except PassedOnError:
        return None
    except LimitError:
        return LimitError  # Pillow may only say how many pixels there are in all.
    except FarmError as error:
        return type(error), str(error)
    return batch


def is_as_by_pillow(data: bytes) -> bool:
    """Whether this engine takes it; then pixels, orientation and errors must be the same."""
    for shrink in (1, 8):
        ours, wanted = outcome("turbojpeg", data, shrink), outcome("pillow", data, shrink)
        if ours is None:
            return False
        if isinstance(ours, FrameBatch) and isinstance(wanted, FrameBatch):
            assert (ours.orientation, ours.full_size) == (wanted.orientation, wanted.full_size)
            # Pillow rounds the other way whether it can shrink.
            if ours.planes[0].shape == wanted.planes[0].shape:
                assert torch.equal(ours.planes[0], wanted.planes[0])
        else:
            assert ours == wanted
    return True


def test_samples_as_by_pillow():
    files = [data for _, data in (*make_pictures(), *make_broken()) if data[:3] == b"\xff\xd8\xff"]
    assert sum(is_as_by_pillow(data) for data in files) >= 15


@pytest.mark.needs_corpus
def test_corpus_as_by_pillow(corpus):
    taken = 0
    for path in sorted(corpus.rglob("*")):
        if path.is_file() and 3 < path.stat().st_size < 1_000_000:
            data = path.read_bytes()
            taken += data[:3] == b"\xff\xd8\xff" and is_as_by_pillow(data)
    assert taken >= 100
