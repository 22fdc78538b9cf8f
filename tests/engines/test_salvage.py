"""What is left of damaged stills: the rows above the fault, where that is half of them or more."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

import kernels
from farm.engines import PassedOnError, Wish, candidates, load
from farm.engines.frame import FrameBatch
from farm.errors import CorruptError, FarmError, SourceUnavailableError, TruncatedError
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.sniff import HEAD_BYTES, sniff
from farm.spec import Accuracy
from tests.engines.clips import Clip, make
from tests.engines.contract import START, source_of
from tests.engines.test_pillow import saved

SIZE = Size(200, 160)
WHOLE = Wish(salvage=False)
MP4 = MediaFormat(MediaKind.VIDEO, "mp4")


def photo(mode: str = "RGB") -> Image.Image:
    """Noise on a ramp: each row is as costly as the next one, and none is uniform."""
    noise = np.random.default_rng(5).integers(0, 200, (SIZE.height, SIZE.width, 3))
    ramp = np.linspace(0, 55, SIZE.height)[:, None, None]
    picture = Image.fromarray((noise + ramp).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    return picture.convert(mode)


def decoded(data: bytes, wish: Wish) -> tuple[FrameBatch, tuple[str, ...], dict[str, object]]:
    """What the first engine that takes the file makes of it."""
    source = source_of(data, "photo")
    media_format = sniff(data[:HEAD_BYTES], name="photo")
    for name in candidates(media_format):
        try:
            decoder = load(name).open(source, media_format=media_format, limits=Limits())
            (batch,) = decoder.frames([START], wish)
        except PassedOnError:
            continue
        return batch, decoder.warnings, decoder.notes
    raise AssertionError("no engine takes it")


def rows_of(notes: dict[str, object]) -> tuple[int, int]:
    rows, height = str(notes["rows"]).split(" of ")
    return int(rows), int(height)


def rgb_of(batch: FrameBatch) -> torch.Tensor:
    """The picture [H, W, C] in RGB."""
    if len(batch.planes) == 1:
        return batch.planes[0][0]
    color, size = batch.color, batch.full_size
    (made,) = kernels.yuv_to_rgb(
        batch.planes,
        box=(0, 0, *size),
        height=size.height,
        width=size.width,
        matrix=color.matrix,
        full_range=color.full_range,
        siting=color.siting,
        bits=color.bits,
        orientation=1,
    )
    return made


def half_gone(data: bytes) -> bytes:
    return data[: len(data) // 3]


MAKERS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(photo(), "JPEG"),
    "gray jpeg": lambda: saved(photo("L"), "JPEG"),
    "cmyk jpeg": lambda: saved(photo("CMYK"), "JPEG"),
    "png": lambda: saved(photo(), "PNG"),
    "transparent png": lambda: saved(photo("RGBA"), "PNG"),
    "palette png": lambda: saved(photo("P"), "PNG"),
    "16-bit png": lambda: saved(photo("I;16"), "PNG"),
    "webp": lambda: saved(photo(), "WEBP"),
}


@pytest.mark.parametrize("kind", MAKERS)
class TestCut:
    def test_most_rows_are_shown_as_they_are(self, kind):
        data = MAKERS[kind]()
        whole, warnings, _ = decoded(data, Wish())
        assert "salvaged" not in warnings
        batch, warnings, notes = decoded(data[: len(data) * 4 // 5], Wish())
        assert "salvaged" in warnings
        assert batch.full_size == whole.full_size == SIZE
        rows, height = rows_of(notes)
        assert 0.6 * height <= rows < height == SIZE.height
        # The last blocks may be cut, and share their edge with what is missing.
        sound = rows - 32
        difference = rgb_of(batch)[:sound, :, :3].float() - rgb_of(whole)[:sound, :, :3].float()
        assert difference.abs().mean() < 0.5
        missing = rgb_of(batch)[rows + 2 :].float()
        assert (missing - missing[-1, -1]).abs().max() <= 8

    def test_too_little_is_truncated(self, kind):
        with pytest.raises(TruncatedError, match="photo: "):
            decoded(half_gone(MAKERS[kind]()), Wish())

    def test_whoever_wants_all_or_nothing_gets_nothing(self, kind):
        data = MAKERS[kind]()
        with pytest.raises(TruncatedError, match="photo: "):
            decoded(data[: len(data) * 4 // 5], WHOLE)


@pytest.mark.parametrize("least", [None, Size(100, 80), Size(25, 20)])
class TestJpeg:
    def test_without_an_end_marker_nothing_is_missing(self, least):
        data = saved(Image.new("RGB", SIZE, "white"), "JPEG")
        batch, warnings, notes = decoded(data[:-2], Wish(at_least=least))
        assert warnings[0] == "salvaged"
        rows, height = rows_of(notes)
        assert rows == height
        assert int(batch.planes[0].min()) >= 254

    def test_a_progressive_one_is_coarse_instead(self, least):
        data = saved(photo(), "JPEG", progressive=True)
        wish = Wish(at_least=least)
        whole, *_ = decoded(data, wish)
        batch, warnings, notes = decoded(data[: len(data) * 2 // 3], wish)
        assert ("salvaged" in warnings) == ("rows" in notes)
        assert (rgb_of(batch).float() - rgb_of(whole).float()).abs().mean() < 40

    def test_the_shrunk_picture_has_its_share_of_rows(self, least):
        data = saved(photo(), "JPEG")
        _, _, notes = decoded(data[: len(data) * 4 // 5], Wish(at_least=least))
        rows, height = rows_of(notes)
        assert 0.7 <= rows / height <= 0.85


def test_a_broken_stream_is_shown_down_to_the_fault():
    data = bytearray(saved(photo(), "PNG", compress_level=0))
    place = len(data) * 3 // 4
    data[place : place + 4000] = bytes(4000)
    with pytest.raises(CorruptError):
        decoded(bytes(data), WHOLE)
    _, warnings, notes = decoded(bytes(data), Wish())
    assert "salvaged" in warnings
    assert rows_of(notes)[0] >= SIZE.height // 2


def test_a_header_alone_is_no_picture():
    for format in ("JPEG", "PNG"):
        data = saved(photo(), format)
        for length in (20, 50, 100):
            with pytest.raises(FarmError):
                decoded(data[:length], Wish())


def test_a_failing_store_is_no_damage():
    class Failing(io.BytesIO):
        def readinto(self, _: object, /) -> int:
            raise OSError(5, "broken disk")

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 8192:
                raise OSError(5, "broken disk")
            return super().read(size)

    data = saved(photo(), "PNG")
    source = source_of(data, "photo")
    failing = type(source)(Failing(data), len(data), "photo")
    media_format = sniff(data[:HEAD_BYTES], name="photo")
    decoder = load("pillow").open(failing, media_format=media_format, limits=Limits())
    with pytest.raises(SourceUnavailableError):
        list(decoder.frames([START], Wish()))


def test_pillow_is_left_as_it_was():
    data = saved(photo(), "JPEG")
    decoded(data[: len(data) * 4 // 5], Wish())
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(data[: len(data) * 4 // 5])).load()


def test_a_video_shows_sound_frames_or_fails_as_asked():
    data = bytearray(make(Clip(count=50, gop=10)))
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) // 2
    data[middle : middle + 600] = bytes(600)
    targets = [Target(second, Accuracy.EXACT) for second in np.arange(0, 2, 0.04)]
    source = source_of(bytes(data), "clip")

    def frames(wish: Wish) -> tuple[int, tuple[str, ...]]:
        decoder = load("pyav").open(source, media_format=MP4, limits=Limits())
        count = sum(len(batch.answers[0]) for batch in decoder.frames(targets, wish))
        return count, decoder.warnings

    count, warnings = frames(Wish())
    assert count == len(targets)
    assert {"damaged", "salvaged"} & set(warnings)
    with pytest.raises(CorruptError, match="clip: is damaged: "):
        frames(WHOLE)
