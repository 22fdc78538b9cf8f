import errno
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin

from farm.engines import Source, Wish, available, candidates, load
from farm.engines.frame import FrameBatch
from farm.engines.profile import apply_profile
from farm.errors import (
    CorruptError,
    EngineUnavailableError,
    InvalidEntryError,
    LimitError,
    MediaError,
    SourceUnavailableError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from farm.sniff import HEAD_BYTES, sniff
from tests.engines.contract import START, EngineContract, source_of

RED = (200, 30, 40)


def scene(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A ramp, smooth enough to survive lossy coding, with four distinct corners."""
    width, height = size
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(255, 0, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack((across, down, (across + down) / 2), -1).astype(np.uint8))


def saved(picture: Image.Image, format: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, format, **options)
    return target.getvalue()


def opened(data: bytes, *, name: str = "photo", limits: Limits | None = None):
    source = source_of(data, name)
    media_format = sniff(data[:HEAD_BYTES], name=name)
    return load("pillow").open(source, media_format=media_format, limits=limits or Limits())


def decoded(data: bytes, *, at_least: Size | None = None, name: str = "photo") -> FrameBatch:
    (batch,) = opened(data, name=name).frames([START], Wish(at_least=at_least))
    return batch


def pixels(data: bytes, *, name: str = "photo") -> torch.Tensor:
    return shown(decoded(data, name=name))


def shown(batch: FrameBatch) -> torch.Tensor:
    """The first picture of a batch in sRGB."""
    (pictures,) = batch.planes
    return (apply_profile(pictures, batch.profile) if batch.profile else pictures)[0]


def assert_near(plane: torch.Tensor, picture: Image.Image, tolerance: float) -> None:
    wanted = torch.from_numpy(np.array(picture))
    assert plane.shape == wanted.shape
    assert (plane.float() - wanted.float()).abs().mean() <= tolerance


class TestContract(EngineContract):
    engine_name = "pillow"
    media_format = MediaFormat(MediaKind.IMAGE, "jpeg")
    size = Size(64, 48)

    @pytest.fixture
    def good(self):
        return saved(scene(), "JPEG", quality=90)


FORMATS = [
    ("JPEG", 2.0),
    ("PNG", 0),
    ("WEBP", 4.0),
    ("TIFF", 0),
    ("BMP", 0),
    ("AVIF", 4.0),
    ("JPEG2000", 0),
    ("PPM", 0),
    ("TGA", 0),
    ("PCX", 0),
    ("SGI", 0),
    ("DDS", 0),
    ("GIF", 12.0),
    ("QOI", 0),
]


@pytest.mark.parametrize(("format", "tolerance"), FORMATS)
def test_formats(format, tolerance):
    assert_near(pixels(saved(scene(), format), name=f"x.{format.lower()}"), scene(), tolerance)


def test_icon_gives_its_largest_picture():
    data = saved(scene((64, 64)), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    assert_near(pixels(data), scene((64, 64)), 0)


@pytest.mark.parametrize("format", [format for format, _ in FORMATS])
def test_damaged_files_give_a_media_error_that_names_them(format):
    data = saved(scene(), format)
    name = f"folder/x.{format.lower()}"
    damage = np.random.default_rng(7)
    for step in range(40):
        broken = bytearray(data[: len(data) * (step % 20 + 1) // 20])
        for at in damage.integers(0, len(broken), step // 20 * 6):
            broken[at] = damage.integers(256)
        try:
            assert decoded(bytes(broken), name=name).planes[0].shape[3] in (3, 4)
        except MediaError as error:
            told = str(error)
        else:
            told = name
        assert told.startswith(name)


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_told_and_not_applied(format, code):
    exif = Image.Exif()
    exif[0x112] = code
    data = saved(scene(), format, exif=exif, quality=95)
    batch = decoded(data)
    assert batch.orientation == code
    assert opened(data).info.orientation == code
    assert batch.full_size == (64, 48)
    assert_near(batch.planes[0][0], scene(), 4)


def test_orientation_behind_the_pixels_of_a_png_is_found_by_decoding():
    exif = Image.Exif()
    exif[0x112] = 6
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(bytes(3))), (b"eXIf", exif.tobytes()[6:]), (b"IEND", b"")]
    decoder = opened(png_of(chunks))
    assert decoder.info.orientation == 1
    (batch,) = decoder.frames([START], Wish())
    assert batch.orientation == 6


def test_tiff_orientation_is_applied_by_pillow():
    data = saved(scene(), "TIFF", tiffinfo={0x112: 6})
    batch = decoded(data)
    assert opened(data).info.size == batch.full_size == (48, 64)
    assert batch.orientation == opened(data).info.orientation == 1
    assert_near(batch.planes[0][0], scene().transpose(Image.Transpose.ROTATE_270), 0)


@pytest.mark.parametrize("code", [0, 9, 99])
def test_invalid_orientation_counts_as_upright(code):
    exif = Image.Exif()
    exif[0x112] = code
    assert decoded(saved(scene(), "JPEG", exif=exif)).orientation == 1


def test_garbage_exif_is_ignored():
    data = saved(scene(), "JPEG", exif=b"Exif\0\0" + bytes(range(255, 100, -1)))
    assert decoded(data).orientation == 1


class TestShrinkOnLoad:
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    def test_down_to_what_serves(self, mode):
        big = scene((1001, 803)).convert(mode)
        data = saved(big, "JPEG", quality=95)
        batch = decoded(data, at_least=Size(200, 150))
        assert batch.full_size == (1001, 803)
        assert tuple(batch.planes[0].shape[1:3]) == (201, 251)

    def test_twice_from_one_decoder(self):
        decoder = opened(saved(scene((800, 600)), "JPEG"))
        sizes = []
        for least in (Size(100, 75), None):
            (batch,) = decoder.frames([START], Wish(at_least=least))
            sizes.append((batch.full_size, tuple(batch.planes[0].shape[1:3])))
        assert sizes == [((800, 600), (75, 100)), ((800, 600), (600, 800))]

    def test_a_jpeg_that_cannot_shrink_is_decoded_in_full(self, monkeypatch):
        # As a lossless JPEG does, which nothing here can write.
        load_file = JpegImagePlugin.JpegImageFile.load

        def load_full_only(picture: JpegImagePlugin.JpegImageFile):
            if picture.width < 800:
                raise OSError("broken data stream when reading image file")
            return load_file(picture)

        monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", load_full_only)
        batch = decoded(saved(scene((800, 600)), "JPEG"), at_least=Size(10, 10))
        assert batch.planes[0].shape[1:3] == (600, 800)

    def test_only_jpeg(self):
        batch = decoded(saved(scene((800, 600)), "PNG"), at_least=Size(10, 10))
        assert batch.planes[0].shape[1:3] == (600, 800)


class TestModes:
    def test_gray_becomes_rgb(self):
        gray = scene().convert("L")
        assert_near(pixels(saved(gray, "PNG")), gray.convert("RGB"), 0)

    def test_one_bit(self):
        bits = scene().convert("1")
        assert_near(pixels(saved(bits, "PNG")), bits.convert("RGB"), 0)

    def test_palette(self):
        palette = scene().quantize(16)
        assert_near(pixels(saved(palette, "PNG")), palette.convert("RGB"), 0)

    def test_rgba_is_not_premultiplied(self):
        picture = scene()
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        assert_near(pixels(saved(picture, "PNG")), picture, 0)

    def test_opaque_alpha_is_dropped(self):
        assert pixels(saved(scene().convert("RGBA"), "PNG")).shape[2] == 3

    def test_gray_with_alpha(self):
        picture = Image.new("LA", (4, 4), (100, 50))
        assert pixels(saved(picture, "PNG"))[0, 0].tolist() == [100, 100, 100, 50]

    def test_palette_with_transparency(self):
        picture = Image.new("P", (4, 4), 1)
        picture.putpalette([0, 0, 0, *RED])
        data = saved(picture, "PNG", transparency=b"\xff\x40")
        assert pixels(data)[0, 0].tolist() == [*RED, 64]

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_key_colour(self, mode):
        key = 7 if mode == "L" else RED
        picture = Image.new(mode, (4, 4), key)
        picture.putpixel((0, 0), 90 if mode == "L" else (1, 2, 3))
        plane = pixels(saved(picture, "PNG", transparency=key))
        assert plane[..., 3].tolist() == [[255, 0, 0, 0], *[[0] * 4] * 3]

    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_sixteen_bit_gray_is_scaled(self, format):
        values = np.array([[0, 256, 257, 32_768, 65_535]], np.uint16)
        plane = pixels(saved(Image.fromarray(values), format))
        assert plane[0, :, 0].tolist() == [0, 1, 1, 128, 255]

    def test_sixteen_bit_gray_key_colour(self):
        rows = b"\0" + struct.pack(">3H", 0, 1000, 65_535)
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 16, 0, 0, 0, 0))]
        chunks += [(b"tRNS", struct.pack(">H", 1000))]
        chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        plane = pixels(png_of(chunks))
        assert plane[0].tolist() == [[0, 0, 0, 255], [4, 4, 4, 0], [255, 255, 255, 255]]

    def test_sixteen_bit_rgb_key_colour(self):
        rows = b"\0" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0xFFFF, 0, 0)
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))]
        chunks += [(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC))]
        chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        assert pixels(png_of(chunks))[0].tolist() == [[0x12, 0x56, 0x9A, 0], [255, 0, 0, 255]]

    @pytest.mark.parametrize("white", [1.0, 255.0, 65_535.0, 1e6])
    def test_floats_are_scaled_to_their_white(self, white):
        values = np.array([[0, white * 0.6, white, -1, np.nan]], np.float32)
        plane = pixels(saved(Image.fromarray(values), "TIFF"))
        assert plane[0, :, 0].tolist() == [0, 153, 255, 0, 0]

    @pytest.mark.parametrize("adobe", [True, False])
    def test_cmyk_jpeg(self, adobe):
        data = saved(Image.new("CMYK", (16, 16), (0, 200, 200, 10)), "JPEG", quality=100)
        if not adobe:
            # Without Adobe's marker the same samples mean the inverse.
            start = data.index(b"\xff\xee")
            length = int.from_bytes(data[start + 2 : start + 4], "big")
            data = data[:start] + data[start + 2 + length :]
        red, green, blue = pixels(data)[8, 8].tolist()
        assert (red > 200 > 100 > green) if adobe else (red < 20 and green < 20)
        assert abs(green - blue) < 5

    def test_lab_tiff(self):
        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        lab = ImageCms.applyTransform(scene(), to_lab)
        assert_near(pixels(saved(lab, "TIFF")), scene(), 3)

    def test_first_frame_of_many(self):
        frames = [Image.new("RGB", (8, 8), color) for color in (RED, (0, 255, 0))]
        for format in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
            options = {"lossless": True} if format == "WEBP" else {}
            data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
            assert_near(pixels(data), frames[0], 3)


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def profile_of(color_space: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(color_space)).tobytes()


def swapped_primaries() -> bytes:
    """An sRGB profile with red and green exchanged and another name: its effect is unmistakable."""
    profile = profile_of("sRGB").replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ")
    profile = profile.replace(b"tmp!", b"gXYZ")
    return profile.replace("sRGB built-in".encode("utf-16-be"), "swap built-in".encode("utf-16-be"))


class TestColorProfile:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
    def test_profile_is_applied_and_alpha_kept(self, mode):
        picture = Image.new("RGBA", (4, 4), (*RED, 77)) if mode == "RGBA" else None
        picture = picture or Image.new("RGB", (4, 4), RED).convert(mode)
        decoder = opened(saved(picture, "PNG", icc_profile=swapped_primaries()))
        (batch,) = decoder.frames([START], Wish())
        red, green, _, *alpha = shown(batch)[0, 0].tolist()
        assert green > 150 > 60 > red
        assert alpha == ([77] if mode == "RGBA" else [])
        assert decoder.warnings == ()

    def test_srgb_changes_nothing(self):
        data = saved(scene(), "PNG", icc_profile=profile_of("sRGB"))
        assert decoded(data).profile is None
        assert_near(pixels(data), scene(), 0)

    @pytest.mark.parametrize("profile", [b"rubbish" * 40, profile_of("LAB")])
    def test_unusable_profile_is_ignored_with_a_warning(self, profile):
        decoder = opened(saved(scene(), "PNG", icc_profile=profile))
        (batch,) = decoder.frames([START], Wish())
        assert_near(shown(batch), scene(), 0)
        assert decoder.warnings == ("icc_ignored",)

    def test_gray_picture_with_rgb_profile(self):
        data = saved(Image.new("L", (4, 4), 99), "PNG", icc_profile=swapped_primaries())
        assert pixels(data)[0, 0].float().sub(99).abs().max() <= 2


class TestErrors:
    def test_truncated(self):
        for format in ("JPEG", "PNG", "WEBP", "AVIF"):
            data = saved(scene((200, 200)), format)
            with pytest.raises(TruncatedError, match="photo: Pillow cannot decode"):
                decoded(data[: len(data) // 2])

    def test_damaged_data(self):
        data = bytearray(saved(scene(), "PNG"))
        data[data.index(b"IDAT") + 4] ^= 0xFF
        with pytest.raises(CorruptError, match="broken data stream"):
            decoded(bytes(data))

    def test_header_without_size(self):
        header = (b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0))
        with pytest.raises(CorruptError, match=r"photo: .* no size"):
            decoded(png_of([header, (b"IDAT", b"")]))

    @pytest.mark.parametrize("side", [11_000, 20_000, 2**31 - 1])
    def test_bomb_is_refused_by_its_header(self, side):
        header = (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        with pytest.raises(LimitError, match=f"{side * side} pixels, more than the 100000000"):
            opened(png_of([header, (b"IDAT", b"")]))

    def test_limit_is_ours_not_pillows(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert decoded(saved(scene(), "PNG")).full_size == (64, 48)
        assert Image.MAX_IMAGE_PIXELS == 10
        with pytest.raises(LimitError, match="3072 pixels, more than the 3000 allowed"):
            opened(saved(scene(), "PNG"), limits=Limits(image_pixels=3000))
        assert Image.MAX_IMAGE_PIXELS == 10

    def test_text_bomb(self):
        text = PngImagePlugin.PngInfo()
        text.add_text("a", "b" * 2_000_000, zip=True)
        with pytest.raises(LimitError, match="too large for a text"):
            decoded(saved(scene(), "PNG", pnginfo=text))

    @pytest.mark.parametrize("name", ["heic", "jxl", "exr", "eps", "cr3"])
    def test_formats_without_a_decoder(self, name):
        media_format = MediaFormat(MediaKind.IMAGE, name)
        with pytest.raises(UnsupportedFormatError, match=rf"photo: is {name}, which Pillow"):
            load("pillow").open(
                source_of(b"x", "photo"), media_format=media_format, limits=Limits()
            )

    def test_only_the_sniffed_decoder_is_tried(self):
        with pytest.raises(CorruptError):
            load("pillow").open(
                source_of(saved(scene(), "PNG")),
                media_format=MediaFormat(MediaKind.IMAGE, "jpeg"),
                limits=Limits(),
            )

    @pytest.mark.parametrize(
        ("number", "kind"), [(errno.EIO, SourceUnavailableError), (errno.EINVAL, CorruptError)]
    )
    def test_a_file_that_cannot_be_read_is_not_called_corrupt(self, number, kind):
        class Failing(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError(number, "broken disk")

        source = Source(Failing(saved(scene(), "PNG")), 100, "photo")
        with pytest.raises(kind, match=r"photo: .*broken disk"):
            load("pillow").open(
                source, media_format=MediaFormat(MediaKind.IMAGE, "png"), limits=Limits()
            )

    def test_memory_error_passes(self, monkeypatch):
        def starve(*_: object) -> None:
            raise MemoryError

        decoder = opened(saved(scene(), "PNG"))
        monkeypatch.setattr("farm.engines.pillow.to_pixels", starve)
        with pytest.raises(MemoryError):
            list(decoder.frames([START], Wish()))


def test_warnings_of_pillow_are_told_not_raised():
    data = saved(scene(), "PNG", save_all=True, append_images=[scene().rotate(90)])
    count = data.index(b"acTL") + 4
    body = b"acTL" + struct.pack(">II", 0x7FFF_FFFF + 2, 0)
    data = data[: count - 4] + body + struct.pack(">I", zlib.crc32(body)) + data[count + 12 :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoder = opened(data)
    assert decoder.warnings == ("decoder: Invalid APNG, will use default PNG image if possible",)


def test_notes():
    decoder = opened(saved(scene((800, 600)), "JPEG"))
    assert decoder.notes == {}
    list(decoder.frames([START], Wish(at_least=Size(100, 75))))
    assert decoder.notes == {"frames_decoded": 1, "mode": "RGB", "shrink": 8}


class TestRegistry:
    def test_candidates(self):
        assert candidates(MediaFormat(MediaKind.IMAGE, "png")) == ("fastpng", "pillow")
        assert candidates(MediaFormat(MediaKind.IMAGE, "jpeg")) == ("turbojpeg", "pillow")
        assert candidates(MediaFormat(MediaKind.VIDEO, "mp4")) == ("pyav", "decord")
        assert candidates(MediaFormat(MediaKind.VIDEO, "synthetic")) == ("synthetic",)

    def test_loading_is_done_once(self):
        assert load("pillow") is load("pillow")

    def test_unknown_name(self):
        with pytest.raises(
            InvalidEntryError,
            match=r"turbojpeg, fastpng, fastwebp, pillow, .*; received 'nonesuch'",
        ):
            load("nonesuch")

    def test_a_library_that_cannot_be_imported(self, monkeypatch):
        def fail(_: str) -> None:
            raise OSError("libavcodec.so: cannot open shared object file")

        load.cache_clear()
        monkeypatch.setattr("farm.engines.import_module", fail)
        with pytest.raises(
            EngineUnavailableError, match=r"decord .*libavcodec.*pip install 'decord"
        ):
            load("decord")
        assert "cannot be loaded" in available()["pyav"]

    def test_available(self):
        assert available()["synthetic"] == "1"
