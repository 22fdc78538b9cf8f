"""Regions: of wide and tall pictures, nvImageCodec decodes only the part that will be seen."""

import numpy as np
import pytest
import torch
from PIL import Image

from farm.engines import Wish, nvjpeg_scaled
from farm.engines.frame import FrameBatch
from farm.engines.nvimgcodec_batch import StillBatch
from farm.engines.nvimgcodec_batch import batch as batch_of_process
from farm.engines.nvjpeg_scaled import ScaledDecoder
from farm.geometry import Box, Size
from farm.picture import finish, wish_for
from farm.pipeline import make_thumbnails
from farm.plan import Plan, make_plans
from farm.settings import Limits
from farm.spec import Entry
from tests.engines.contract import START, source_of
from tests.engines.jpegs import noise
from tests.engines.test_nvimgcodec import LOSSY, on_cpu, opened
from tests.engines.test_nvjpeg_scaled import StandIn
from tests.engines.test_pillow import saved

WIDE, TALL = Size(1203, 161), Size(149, 1001)

FILES = {
    "4:2:0": ("JPEG", {"subsampling": 2}),
    "4:2:2": ("JPEG", {"subsampling": 1}),
    "4:4:4": ("JPEG", {"subsampling": 0}),
    "progressive": ("JPEG", {"progressive": True}),
    "with restarts": ("JPEG", {"restart_marker_blocks": 3}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "tiff": ("TIFF", {}),
    "tiff in strips": ("TIFF", {"compression": "tiff_lzw", "strip_size": 16000}),
    "bmp": ("BMP", {}),
}
SQUARE = {"width": 60, "height": 60, "fit": "crop", "format": "png"}


def entry_of(*outputs: dict[str, object]) -> Entry:
    asked = [{"filename": f"{n}.png", **output} for n, output in enumerate(outputs or (SQUARE,))]
    return Entry.model_validate({"source": "s", "destination": "d", "outputs": asked})


def plans_of(decoder, *outputs: dict[str, object]) -> list[Plan]:
    plans = make_plans(entry_of(*outputs), 0, decoder.info, limits=Limits())
    return [plan for plan in plans if isinstance(plan, Plan)]


def pictures(batch: FrameBatch, plans: list[Plan]) -> list[torch.Tensor]:
    return [
        finish(batch, (0,), geometry=plan.geometry, spec=plan.spec)
        for plan in plans
        if plan.geometry is not None
    ]


def both(data: bytes, format: str, *outputs: dict[str, object]) -> FrameBatch:
    """The batch by the pipeline's wish, whose pictures are those of the whole decode."""
    decoder = opened(data, format)
    plans = plans_of(decoder, *outputs)
    wish = wish_for(plans, decoder.info.size)
    (batch,) = decoder.frames([START], wish)
    (whole,) = opened(data, format).frames([START], Wish())
    assert whole.region is None
    for one, other in zip(pictures(batch, plans), pictures(whole, plans), strict=True):
        assert one.shape == other.shape
        assert (one.int() - other.int()).abs().max() <= (LOSSY if format == "JPEG" else 0)
    return on_cpu(batch)


def oriented(code: int, format: str) -> dict[str, object]:
    exif = Image.Exif()
    exif[0x112] = code
    return {"exif": exif} if format == "JPEG" else {"tiffinfo": {0x112: code}}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("size", [WIDE, TALL])
def test_a_cropped_panorama_is_as_of_the_whole(kind, size):
    format, options = FILES[kind]
    batch = both(saved(noise(size), format, **options), format)
    assert batch.region is not None
    assert batch.full_size == size
    assert batch.planes[0].numel() < 0.6 * 3 * size.width * size.height


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
@pytest.mark.parametrize("size", [WIDE, TALL])
def test_turned_and_mirrored(format, code, size):
    batch = both(saved(noise(size), format, **oriented(code, format)), format)
    assert batch.region is not None
    assert batch.orientation == code


@pytest.mark.parametrize("width", [20, 150, 400])
def test_reduced_kept_and_enlarged(width):
    batch = both(saved(noise(WIDE), "JPEG"), "JPEG", SQUARE | {"width": width, "height": width})
    assert batch.region is not None


def test_gray_and_transparent_pictures():
    assert both(saved(noise(WIDE).convert("L"), "JPEG"), "JPEG").region is not None
    picture = noise(WIDE)
    picture.putalpha(Image.linear_gradient("L").resize(WIDE))
    batch = both(saved(picture, "PNG"), "PNG")
    assert batch.region is not None
    assert batch.planes[0].shape[3] == 4


def test_the_region_is_that_of_all_outputs():
    data = saved(noise(WIDE), "JPEG")
    narrow = both(data, "JPEG", SQUARE | {"width": 30}).region
    wide = both(data, "JPEG", SQUARE | {"width": 30}, SQUARE | {"width": 120}).region
    assert narrow is not None
    assert wide is not None
    assert wide.left < narrow.left < narrow.right < wide.right
    assert both(data, "JPEG", SQUARE, {"width": 60}).region is None


def test_a_region_of_nearly_all_is_not_worth_it():
    data = saved(noise((256, 192)), "JPEG")
    (batch,) = opened(data).frames([START], Wish(region=Box(20, 20, 236, 172)))
    assert batch.region is None


def test_blocks_are_whole_but_at_the_edges():
    (batch,) = opened(saved(noise(WIDE), "JPEG")).frames(
        [START], Wish(region=Box(1000.5, 3, 1203, 161))
    )
    assert batch.region == (992, 0, 1203, 161)
    (batch,) = opened(saved(noise(WIDE), "JPEG")).frames(
        [START], Wish(region=Box(32, 33.5, 46, 47))
    )
    assert batch.region == (16, 16, 48, 64)


def test_what_is_shrunk_on_load_comes_whole(monkeypatch):
    decoder = ScaledDecoder(StandIn(), device="cpu")
    monkeypatch.setattr(nvjpeg_scaled, "find", lambda: decoder)
    opening = opened(saved(noise((1600, 160)), "JPEG"))
    plans = plans_of(opening, SQUARE | {"width": 20, "height": 20})
    (batch,) = opening.frames([START], wish_for(plans, opening.info.size))
    assert batch.region is None
    assert opening.notes == {"frames_decoded": 1, "shrink": 4}
    assert tuple(batch.planes[0].shape) == (1, 40, 400, 3)


def test_a_library_that_has_no_regions_of_a_codec_decodes_all(monkeypatch):
    real = batch_of_process()._decode_streams

    def decode(streams, params):
        whole = [stream for stream in streams if stream.view is None]
        made = iter(real(whole, params) if whole else [])
        return [next(made) if stream.view is None else None for stream in streams]

    monkeypatch.setattr("farm.engines.nvimgcodec.batch", lambda: StillBatch(decode))
    batch = both(saved(noise(WIDE), "JPEG"), "JPEG")
    assert batch.region is None


def test_the_record_tells_the_region():
    data = saved(noise(WIDE), "JPEG")
    entry = entry_of(SQUARE | {"engine": "nvimgcodec"})
    result = make_thumbnails(entry, 0, source_of(data), limits=Limits())
    assert result.engine == "nvimgcodec"
    assert result.notes["region"] == "240x161+480+0"


def test_pillow_shows_all_of_what_looks_damaged():
    data = bytearray(saved(noise(WIDE), "JPEG", restart_marker_blocks=3))
    marker = data.index(b"\xff\xd1", data.index(b"\xff\xda"))
    data[marker + 1] = 0xD2
    decoder = opened(bytes(data))
    (batch,) = decoder.frames([START], Wish(region=Box(500, 0, 600, 161)))
    assert decoder.notes["decoder"] == "pillow"
    assert batch.region is None
    assert tuple(np.shape(batch.planes[0])) == (1, 161, 1203, 3)
