"""Simple lossy WebPs: libwebp's picture, unfiltered where nobody sees it; the rest is passed on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import kernels
from farm.engines import PassedOnError, Wish, load
from farm.engines.frame import FrameBatch
from farm.errors import LimitError
from farm.geometry import Size
from farm.media import Matrix, MediaFormat, MediaKind, Siting
from farm.samples.profile import WIDE, encode_icc
from farm.settings import Limits
from farm.spec import Fidelity
from tests.engines.contract import START, EngineContract, source_of
from tests.engines.test_pillow import profile_of, saved, scene

WEBP = MediaFormat(MediaKind.IMAGE, "webp")


def decoded(
    data: bytes,
    *,
    at_least: Size | None = None,
    fidelity: Fidelity = Fidelity.BALANCED,
    salvage: bool = True,
) -> tuple[FrameBatch, dict[str, object]]:
    decoder = load("fastwebp").open(source_of(data, "photo"), media_format=WEBP, limits=Limits())
    (batch,) = decoder.frames([START], Wish(at_least=at_least, fidelity=fidelity, salvage=salvage))
    return batch, decoder.notes


def shown(batch: FrameBatch, size: Size) -> torch.Tensor:
    """The picture [H, W, 3] at a size."""
    width, height = batch.full_size
    color = batch.color
    (picture,) = kernels.yuv_to_rgb(
        batch.planes,
        box=(0, 0, width, height),
        height=size.height,
        width=size.width,
        matrix=color.matrix,
        full_range=color.full_range,
        siting=color.siting,
        bits=color.bits,
        orientation=1,
    )
    return picture


def by_pillow(data: bytes, size: Size) -> torch.Tensor:
    decoder = load("pillow").open(source_of(data), media_format=WEBP, limits=Limits())
    (batch,) = decoder.frames([START], Wish())
    (picture,) = kernels.resize_crop(
        batch.planes[0], box=(0, 0, *batch.full_size), height=size.height, width=size.width
    )
    return picture


def photo(size: tuple[int, int]) -> Image.Image:
    """Colours that change slowly, with a little noise."""
    noise = np.random.default_rng(1).normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray((np.array(scene(size)) + noise).clip(0, 255).astype(np.uint8))


class TestContract(EngineContract):
    engine_name = "fastwebp"
    media_format = WEBP
    size = Size(64, 48)

    @pytest.fixture
    def good(self):
        return saved(scene(), "WEBP")


@pytest.mark.parametrize("size", [(640, 480), (333, 251), (1, 1), (2, 3), (1, 70)])
@pytest.mark.parametrize("quality", [30, 95])
def test_the_picture_is_libwebps(size, quality):
    data = saved(photo(size), "WEBP", quality=quality)
    batch, notes = decoded(data)
    half = ((size[1] + 1) // 2, (size[0] + 1) // 2)
    assert [tuple(plane.shape[1:]) for plane in batch.planes] == [size[::-1], half, half]
    assert "loop_filter" not in notes
    error = (shown(batch, Size(*size)).float() - by_pillow(data, Size(*size)).float()).abs()
    # Where a sample or two of chroma serve the whole picture, the ways to spread them differ.
    assert error.mean() < (1 if min(size) > 100 else 5)


def test_colours_are_tagged_as_libwebp_has_them():
    data = saved(photo((640, 480)), "WEBP", quality=95)
    batch, _ = decoded(data)
    assert batch.color.matrix is Matrix.BT601
    assert not batch.color.full_range
    wanted = by_pillow(data, Size(640, 480)).float()
    errors = {}
    for siting in Siting:
        other = replace(batch, color=replace(batch.color, siting=siting))
        errors[siting] = float((shown(other, Size(640, 480)).float() - wanted).abs().mean())
    assert batch.color.siting is min(errors, key=errors.__getitem__)


def test_luma_is_that_of_the_codec():
    """Gray has no chroma to upsample, so Pillow's RGB tells the luma: 16 to 235 as 0 to 255."""
    gray = photo((320, 240)).convert("L").convert("RGB")
    data = saved(gray, "WEBP", quality=90)
    batch, _ = decoded(data)
    pillows = np.array(Image.open(source_of(data).file).convert("RGB"))[..., 1]
    wanted = (batch.planes[0][0].float() - 16) * 255 / 219
    colorless = (batch.planes[1] == 128).all() and (batch.planes[2] == 128).all()
    assert colorless
    assert (wanted.clamp(0, 255) - torch.from_numpy(pillows.copy()).float()).abs().max() <= 1


def test_small_pictures_do_without_the_loop_filter():
    data = saved(photo((960, 720)), "WEBP", quality=60)
    small = Size(80, 60)
    full, _ = decoded(data, at_least=small, fidelity=Fidelity.BEST)
    quick, notes = decoded(data, at_least=Size(120, 90))
    assert notes["loop_filter"] == "skipped"
    assert not torch.equal(full.planes[0], quick.planes[0])
    error = (shown(full, small).float() - shown(quick, small).float()).square().mean()
    assert error < 255**2 / 10**5  # 50 dB
    assert "loop_filter" not in decoded(data, at_least=Size(480, 360))[1]


def odd_files() -> dict[str, bytes]:
    picture, clear = scene(), scene()
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "lossless": saved(picture, "WEBP", lossless=True),
        "clear": saved(clear, "WEBP"),
        "profile": saved(picture, "WEBP", icc_profile=profile_of("XYZ")),
        "turned": saved(picture, "WEBP", exif=exif),
        "film": saved(picture, "WEBP", save_all=True, append_images=[picture.rotate(90)]),
    }


@pytest.mark.parametrize("data", odd_files().values(), ids=odd_files())
def test_other_files_are_passed_on(data):
    why = r"photo: (begins with a chunk b'VP8L'|is extended|has a profile of no use)"
    with pytest.raises(PassedOnError, match=why):
        decoded(data)


def test_a_profile_is_handed_on_for_the_small_picture():
    wide = encode_icc(WIDE)
    batch, _ = decoded(saved(photo((320, 240)), "WEBP", icc_profile=wide))
    plain, _ = decoded(saved(photo((320, 240)), "WEBP"))
    assert (batch.profile, plain.profile) == (wide, None)
    assert all(map(torch.equal, batch.planes, plain.planes))
    srgb = saved(photo((320, 240)), "WEBP", icc_profile=profile_of("sRGB"))
    assert decoded(srgb)[0].profile is None


@pytest.mark.parametrize("place", [24, -1])
def test_odd_extended_files_are_passed_on(place):
    """A canvas that the picture does not fill, and chunks beyond the picture."""
    data = bytearray(saved(scene(), "WEBP", icc_profile=encode_icc(WIDE)))
    if place < 0:
        data += b"TEXT" + bytes(4)
        data[4:8] = (len(data) - 8).to_bytes(4, "little")
    else:
        data[place] += 1
    with pytest.raises(PassedOnError, match=r"photo: has (the chunks|a picture)"):
        decoded(bytes(data))


@pytest.mark.parametrize("cut", [0, 11, 29, 60, -1])
def test_cut_files_are_passed_on(cut):
    with pytest.raises(PassedOnError, match="photo: "):
        decoded(saved(scene(), "WEBP")[:cut], salvage=False)


@pytest.mark.parametrize(
    ("place", "value"), [(20, 0x01), (23, 0), (27, 0x40), (26, 0)], ids=["key", "code", "up", "0"]
)
def test_odd_frames_are_passed_on(place, value):
    data = bytearray(saved(scene(), "WEBP"))
    data[place] = data[place] | value if value else 0
    with pytest.raises(PassedOnError, match="photo: "):
        decoded(bytes(data))


def test_too_many_pixels_are_refused_by_the_header_alone():
    engine, data = load("fastwebp"), saved(scene(), "WEBP")
    with pytest.raises(LimitError, match="64 x 48 pixels"):
        engine.open(source_of(data), media_format=WEBP, limits=Limits(image_pixels=99))
