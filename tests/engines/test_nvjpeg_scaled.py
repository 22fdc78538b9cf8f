"""The binding to nvJPEG's scaled decoding: its calls to a stand-in, and the real thing on a GPU."""

import ctypes
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from farm.engines import Wish, load, nvjpeg_scaled
from farm.engines.nvjpeg_scaled import (
    Ask,
    ScaledDecoder,
    ScaleError,
    find,
    load_library,
    open_decoder,
    shrink,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from tests.engines.contract import START, source_of
from tests.engines.jpegs import noise
from tests.engines.test_pillow import saved, scene

BAD, POISON = 255, 13
SHOWN = 50, 6, 0  # what becomes of a real JPEG

OPENING = (
    "nvjpegCreateEx",
    "nvjpegGetHardwareDecoderInfo",
    "nvjpegJpegStateCreate",
    "nvjpegJpegStreamCreate",
    "nvjpegDecodeParamsCreate",
    "nvjpegDecodeParamsSetOutputFormat",
    "nvjpegDecodeParamsSetScaleFactor",
)
DECODING = (
    "nvjpegJpegStreamParseHeader",
    "nvjpegDecodeBatchedSupportedEx",
    "nvjpegDecodeBatchedInitialize",
    "nvjpegDecodeBatchedEx",
)


class StandIn:
    """nvJPEG's functions for files of three bytes: a shade, the rows to fill, if it is refused.

    The shade `BAD` has no header, and `POISON` spoils its whole batch. Of a real JPEG, six rows are
    filled.
    """

    def __init__(self, *, failing: str = "", status: int = 6, engines: int = 7) -> None:
        self.failing, self.status, self.engines = failing, status, engines
        self.calls = Counter[str]()
        self.refuses = 0

    def __getattr__(self, name: str):
        def function(*arguments: object) -> int:
            self.calls[name] += 1
            if name == self.failing:
                return self.status
            special = getattr(type(self), f"_{name}", None)
            return special(self, *arguments) if special else 0

        return function

    def _read(self, address: int) -> tuple[int, int, int]:
        shade, rows, refuses = ctypes.string_at(address, 3)
        return SHOWN if (shade, rows) == (0xFF, 0xD8) else (shade, rows, refuses)

    def _nvjpegGetHardwareDecoderInfo(self, handle, engines, cores) -> int:
        engines._obj.value = self.engines
        return 0

    def _nvjpegJpegStreamParseHeader(self, handle, data, length, stream) -> int:
        shade, _, self.refuses = self._read(data.value)
        return 3 if shade == BAD else 0

    def _nvjpegDecodeBatchedSupportedEx(self, handle, stream, params, is_unsupported) -> int:
        is_unsupported._obj.value = self.refuses
        return 0

    def _nvjpegDecodeBatchedEx(self, handle, state, data, lengths, images, params, stream) -> int:
        files = [self._read(address) for address in data]
        if any(shade == POISON for shade, *_ in files):
            return 6
        for (shade, rows, _), image in zip(files, images, strict=True):
            ctypes.memset(image.channel[0], shade, image.pitch[0] * rows)
        return 0


def ask(shade: int, *, refused: bool = False, factor: int = 8) -> Ask:
    rows = 24 // factor
    return Ask(memoryview(bytes((shade, rows, refused))), Size(32, 24), factor)


@pytest.mark.parametrize(
    ("size", "least", "factor"),
    [
        ((800, 600), (100, 75), 8),
        ((800, 600), (101, 75), 4),
        ((800, 600), (100, 76), 4),
        ((800, 600), (400, 300), 2),
        ((800, 600), (401, 300), 1),
        ((804, 604), (10, 10), 4),
        ((801, 600), (10, 10), 1),
        ((8, 8), (1, 1), 8),
    ],
)
def test_it_shrinks_as_far_as_divides_and_serves(size, least, factor):
    assert shrink(Size(*size), Size(*least)) == factor


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_picture_has_the_shrunk_size(factor):
    picture = ScaledDecoder(StandIn(), device="cpu").decode(ask(77, factor=factor))
    assert picture.shape == (24 // factor, 32 // factor, 3)
    assert picture.unique().tolist() == [77]


@pytest.mark.parametrize("name", OPENING)
def test_a_status_while_opening_is_an_error_and_frees_the_handle(name):
    library = StandIn(failing=name)
    with pytest.raises(ScaleError, match=f"{name}: execution failed"):
        ScaledDecoder(library, device="cpu")
    assert library.calls["nvjpegDestroy"] == (name != "nvjpegCreateEx")


@pytest.mark.parametrize("name", DECODING)
def test_a_status_while_decoding_is_an_error(name):
    decoder = ScaledDecoder(StandIn(failing=name, status=10), device="cpu")
    with pytest.raises(ScaleError, match=f"{name}: incomplete bitstream"):
        decoder.decode(ask(1))


def test_an_unknown_status_is_told_by_its_number():
    with pytest.raises(ScaleError, match="nvjpegCreateEx: status 99"):
        ScaledDecoder(StandIn(failing="nvjpegCreateEx", status=99), device="cpu")


def test_a_gpu_without_jpeg_engines_has_no_decoder():
    with pytest.raises(ScaleError, match="no JPEG engine"):
        ScaledDecoder(StandIn(engines=0), device="cpu")


def test_refused_and_poisonous_files_cost_themselves_only():
    decoder = ScaledDecoder(StandIn(), device="cpu")

    def outcome(number: int) -> int | str:
        shade = {7: BAD, 20: POISON}.get(number, 20 + number)
        try:
            picture = decoder.decode(ask(shade, refused=number == 31))
        except ScaleError as error:
            return str(error)
        (found,) = picture.unique().tolist()
        return int(found)

    with ThreadPoolExecutor(16) as threads:
        found = dict(enumerate(threads.map(outcome, range(64))))
    assert "bad JPEG" in found.pop(7)
    assert "execution failed" in found.pop(20)
    assert "do not take it" in found.pop(31)
    assert found == {number: 20 + number for number in found}


def test_the_library_has_every_function():
    library = load_library()
    assert [
        name for name in (*OPENING, *DECODING, "nvjpegDestroy") if not hasattr(library, name)
    ] == []


def test_without_a_gpu_there_is_none_and_nothing_breaks():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ScaleError, match="no GPU"):
        open_decoder()
    assert find() is None


def test_the_library_itself_refuses_a_machine_without_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code = (
        "from farm.engines.nvjpeg_scaled import ScaledDecoder, ScaleError, load_library\n"
        "try: ScaledDecoder(load_library())\n"
        "except ScaleError as error: print(error)\n"
    )
    # In a process of its own: what a library does without a driver is not known before.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nvjpeg")


class TestInTheEngine:
    def batch_of(self, data: bytes, least: Size):
        decoder = load("nvimgcodec").open(
            source_of(data), media_format=MediaFormat(MediaKind.IMAGE, "jpeg"), limits=Limits()
        )
        (batch,) = decoder.frames([START], Wish(at_least=least))
        return batch, decoder.notes

    @pytest.fixture
    def library(self, monkeypatch):
        library = StandIn()
        decoder = ScaledDecoder(library, device="cpu")
        monkeypatch.setattr(nvjpeg_scaled, "find", lambda: decoder)
        return library

    def test_it_is_asked_where_a_smaller_picture_serves(self, library):
        data = saved(scene((64, 48)), "JPEG")
        batch, notes = self.batch_of(data, Size(8, 6))
        assert batch.planes[0].shape == (1, 6, 8, 3)
        assert batch.full_size == (64, 48)
        assert notes == {"frames_decoded": 1, "shrink": 8}

    def test_a_refusal_leads_to_the_ordinary_way(self, library):
        library.failing = "nvjpegDecodeBatchedEx"
        batch, notes = self.batch_of(saved(scene((64, 48)), "JPEG"), Size(8, 6))
        assert batch.planes[0].shape == (1, 48, 64, 3)
        assert notes == {"frames_decoded": 1}

    @pytest.mark.parametrize("options", [{"progressive": True}, {"mode": "L"}])
    def test_what_hardware_cannot_is_not_asked(self, library, options):
        picture = scene((64, 48)).convert(options.pop("mode", "RGB"))
        batch, _ = self.batch_of(saved(picture, "JPEG", **options), Size(8, 6))
        assert batch.planes[0].shape == (1, 48, 64, 3)
        assert library.calls["nvjpegDecodeBatchedEx"] == 0

    def test_the_full_size_is_not_asked(self, library):
        self.batch_of(saved(scene((64, 48)), "JPEG"), Size(64, 48))
        assert library.calls["nvjpegDecodeBatchedEx"] == 0

    @pytest.mark.needs_cuda
    @pytest.mark.parametrize("factor", [2, 4, 8])
    @pytest.mark.parametrize("subsampling", [0, 1, 2])
    def test_it_is_near_the_mean_of_the_full_decode(self, factor, subsampling):
        if find() is None:
            pytest.skip("this GPU has no JPEG engine that scales")
        data = saved(noise((1600, 1200)), "JPEG", quality=90, subsampling=subsampling)
        full, _ = self.batch_of(data, Size(1600, 1200))
        small, notes = self.batch_of(data, Size(1600 // factor, 1200 // factor))
        assert notes["shrink"] == factor
        whole = full.planes[0].permute(0, 3, 1, 2).double()
        wanted = torch.nn.functional.avg_pool2d(whole, factor).permute(0, 2, 3, 1)
        error = (small.planes[0].double() - wanted).square().mean()
        assert float(10 * torch.log10(255**2 / error)) > 30

    @pytest.mark.needs_cuda
    def test_files_of_one_batch_are_shrunk_each_by_its_own_factor(self):
        if (decoder := find()) is None:
            pytest.skip("this GPU has no JPEG engine that scales")
        data = memoryview(saved(noise((800, 600)), "JPEG", quality=90))
        asks = [Ask(data, Size(800, 600), factor) for factor in (8, 2, 4)]
        alone = [decoder.decode(each) for each in asks]
        together = decoder._decode_all(asks)
        for one, other in zip(alone, together, strict=True):
            assert torch.equal(one, other)
