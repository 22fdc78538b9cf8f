"""nvImageCodec as an engine: here its CPU decoders, with a GPU that GPU's."""

import random
import struct
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from farm.engines import Device, PassedOnError, Wish, candidates, load, nvimgcodec_batch
from farm.engines.frame import FrameBatch
from farm.engines.nvimgcodec_batch import StillBatch, batch
from farm.errors import (
    CorruptError,
    EngineUnavailableError,
    FarmError,
    LimitError,
    MediaError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.pipeline import Result, make_thumbnails
from farm.settings import Limits
from farm.spec import Entry
from tests.engines.contract import START, EngineContract, source_of
from tests.engines.jpegs import noise
from tests.engines.test_pillow import assert_near, profile_of, saved, scene, swapped_primaries
from tests.engines.test_pillow import shown as shown_on_cpu

# GPUs round, and enlarge chroma, in ways of their own.
LOSSY = 6 if torch.cuda.is_available() else 1

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")


def format_of(name: str) -> MediaFormat:
    return MediaFormat(MediaKind.IMAGE, name.lower())


def opened(
    data: bytes,
    format: str = "JPEG",
    *,
    engine: str = "nvimgcodec",
    name: str = "photo",
    limits: Limits | None = None,
):
    return load(engine).open(
        source_of(data, name), media_format=format_of(format), limits=limits or Limits()
    )


def on_cpu(batch: FrameBatch) -> FrameBatch:
    if not batch.planes[0].is_cuda:
        return batch
    return replace(batch, planes=tuple(plane.cpu() for plane in batch.planes))


def decoded(
    data: bytes, format: str = "JPEG", *, salvage: bool = True, **options: Any
) -> FrameBatch:
    (batch,) = opened(data, format, **options).frames([START], Wish(salvage=salvage))
    return on_cpu(batch)


def by_pillow(data: bytes, format: str = "JPEG") -> FrameBatch:
    return decoded(data, format, engine="pillow")


def thumbnails(data: bytes, *, device: Device, **output: object) -> Result:
    """What the pipeline makes of a file in a lane of a device."""
    entry = Entry.model_validate(
        {"source": "s", "destination": "d", "outputs": [{"width": 32} | output]}
    )
    return make_thumbnails(entry, 0, source_of(data), limits=Limits(), device=device)


class TestContract(EngineContract):
    engine_name = "nvimgcodec"
    media_format = format_of("jpeg")
    size = Size(64, 48)
    format = "JPEG"

    @pytest.fixture
    def good(self):
        return saved(scene(), self.format)


class TestContractPng(TestContract):
    media_format, format = format_of("png"), "PNG"


class TestContractWebp(TestContract):
    media_format, format = format_of("webp"), "WEBP"


class TestContractTiff(TestContract):
    media_format, format = format_of("tiff"), "TIFF"


class TestContractBmp(TestContract):
    media_format, format = format_of("bmp"), "BMP"


class TestPixels:
    @pytest.mark.parametrize(
        ("format", "options", "tolerance"),
        [
            ("JPEG", {}, LOSSY),
            ("JPEG", {"subsampling": 0}, LOSSY),
            ("JPEG", {"subsampling": 1}, LOSSY),
            ("JPEG", {"progressive": True}, LOSSY),
            ("JPEG", {"restart_marker_blocks": 3}, LOSSY),
            ("PNG", {}, 0),
            ("WEBP", {}, 1),
            ("TIFF", {}, 0),
            ("TIFF", {"compression": "tiff_lzw"}, 0),
            ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
            ("TIFF", {"compression": "packbits"}, 0),
            ("BMP", {}, 0),
        ],
    )
    @pytest.mark.parametrize("size", [(253, 187), (1, 1), (17, 300)])
    def test_they_are_those_of_pillow(self, format, options, tolerance, size):
        data = saved(scene(size), format, **options)
        batch = decoded(data, format)
        assert batch.full_size == size
        wanted = by_pillow(data, format).planes[0][0]
        assert_near(batch.planes[0][0], Image.fromarray(wanted.numpy()), tolerance)

    @pytest.mark.parametrize("format", ["JPEG", "TIFF"])
    def test_gray_becomes_rgb(self, format):
        data = saved(scene().convert("L"), format)
        wanted = by_pillow(data, format).planes[0][0]
        assert_near(decoded(data, format).planes[0][0], Image.fromarray(wanted.numpy()), LOSSY)

    def test_alpha_is_kept_and_not_premultiplied(self):
        picture = scene()
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        assert_near(decoded(saved(picture, "PNG"), "PNG").planes[0][0], picture, 0)

    def test_opaque_alpha_is_dropped(self):
        batch = decoded(saved(scene().convert("RGBA"), "PNG"), "PNG")
        assert_near(batch.planes[0][0], scene(), 0)

    @pytest.mark.parametrize("code", range(1, 9))
    @pytest.mark.parametrize("format", ["JPEG", "TIFF"])
    def test_orientation_is_told_and_not_applied(self, format, code):
        exif = Image.Exif()
        exif[0x112] = code
        options = {"exif": exif} if format == "JPEG" else {"tiffinfo": {0x112: code}}
        data = saved(scene(), format, **options)
        assert opened(data, format).info.orientation == decoded(data, format).orientation == code
        assert_near(decoded(data, format).planes[0][0], scene(), 4 if format == "JPEG" else 0)

    @pytest.mark.parametrize("mode", ["RGB", "L"])
    @pytest.mark.parametrize("format", ["JPEG", "TIFF"])
    def test_profile_is_applied(self, format, mode):
        picture = Image.new("RGB", (16, 16), (200, 30, 40)).convert(mode)
        data = saved(picture, format, icc_profile=swapped_primaries())
        one, other = shown_on_cpu(decoded(data, format)), shown_on_cpu(by_pillow(data, format))
        assert (one.int() - other.int()).abs().max() <= 2

    def test_a_profile_of_no_use_is_told(self):
        decoder = opened(saved(scene(), "JPEG", icc_profile=profile_of("LAB")))
        assert list(decoder.frames([START], Wish()))
        assert decoder.warnings == ("icc_ignored",)

    def test_the_first_page(self):
        pages = [Image.new("RGB", (8, 8), color) for color in ("red", "green")]
        data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
        assert_near(decoded(data, "TIFF").planes[0][0], pages[0], 0)


class TestWhatIsPassedOn:
    @pytest.mark.parametrize(
        ("picture", "format", "options"),
        [
            (Image.new("CMYK", (16, 16)), "JPEG", {}),
            (scene(), "JPEG", {"keep_rgb": True}),
            (Image.new("I;16", (16, 16)), "PNG", {}),
            (scene().quantize(16), "PNG", {}),
            (scene().convert("RGBA"), "WEBP", {"lossless": True}),
            (Image.new("CMYK", (16, 16)), "TIFF", {}),
            (scene(), "TIFF", {"compression": "jpeg"}),
            (scene().quantize(16), "BMP", {}),
        ],
    )
    def test_odd_files_go_to_pillow(self, picture, format, options):
        with pytest.raises(PassedOnError, match=r"photo: .*, which engine pillow is for"):
            opened(saved(picture, format, **options), format)

    def test_other_formats(self):
        with pytest.raises(PassedOnError, match=r"photo: is gif; .* decodes jpeg, png, .* only"):
            opened(saved(scene(), "GIF"), "GIF")

    def test_it_is_for_the_lanes_of_a_gpu(self):
        jpeg = format_of("jpeg")
        assert "nvimgcodec" not in candidates(jpeg)
        assert candidates(jpeg, device="cuda").index("nvimgcodec") < candidates(
            jpeg, device="cuda"
        ).index("turbojpeg")

    def test_through_the_pipeline_an_odd_file_is_pillows_without_a_trace(self):
        data = saved(Image.new("CMYK", (64, 48)), "JPEG")
        result = thumbnails(data, device="cuda")
        assert (result.engine, result.fallback) == ("pillow", None)


class TestDamage:
    def test_a_marker_amid_the_data_has_pillows_verdict(self):
        data = bytearray(saved(noise((640, 480)), "JPEG", quality=95))
        start = len(data) // 2
        data[start : start + 2] = b"\xff\x67"
        with pytest.raises(CorruptError, match=r"^photo: "):
            decoded(bytes(data), salvage=False)

    def test_a_lost_restart_gives_pillows_picture_and_a_warning(self):
        data = saved(noise((640, 480)), "JPEG", restart_marker_blocks=40)
        data = data[: data.index(b"\xff\xd1")] + data[data.index(b"\xff\xd2") :]
        decoder = opened(data)
        (batch,) = decoder.frames([START], Wish())
        assert torch.equal(batch.planes[0], by_pillow(data).planes[0])
        assert decoder.notes["decoder"] == "pillow"
        (warning,) = decoder.warnings
        assert warning.startswith("decoder: lacks a restart marker before byte ")

    @pytest.mark.parametrize("format", FORMATS)
    def test_half_a_file_is_truncated(self, format):
        data = saved(scene((640, 480)), format)
        with pytest.raises(TruncatedError, match=r"^photo: "):
            decoded(data[: len(data) // 2], format, salvage=False)

    def test_a_damaged_png_has_pillows_verdict(self):
        data = bytearray(saved(noise((320, 240)), "PNG"))
        data[len(data) // 2] ^= 0xFF
        with pytest.raises(MediaError, match=r"^photo: "):
            decoded(bytes(data), "PNG", salvage=False)

    def test_no_pixels_are_made_beyond_the_limit(self):
        data = bytearray(saved(scene(), "JPEG"))
        at = data.index(b"\xff\xc0")
        struct.pack_into(">HH", data, at + 5, 60_000, 60_000)
        with pytest.raises(LimitError, match="60000 x 60000 pixels"):
            opened(bytes(data))


def card(number: int) -> Image.Image:
    """A picture that shows a number in 4 x 3 blocks of black and white, of a size of its own."""
    bits = np.array([number >> place & 1 for place in range(12)], np.uint8).reshape(3, 4) * 255
    blocks = bits.repeat(16, 0).repeat(16, 1)
    blocks = np.pad(blocks, ((0, number % 5 * 8), (0, number % 7 * 8)), constant_values=128)
    return Image.fromarray(blocks).convert("RGB")


def number_of(batch: FrameBatch) -> int:
    """What a card shows."""
    centres = batch.planes[0][0, 8:48:16, 8:64:16, 1].flatten().tolist()
    return sum((value > 127) << place for place, value in enumerate(centres))


def cut(data: bytes, format: str) -> bytes:
    return data[: len(data) // 2]


def garbage(data: bytes, format: str) -> bytes:
    kept = 26 if format == "BMP" else 40  # any bytes are pixels to a BMP
    return data[:kept] + random.Random(len(data)).randbytes(len(data))


def nothing(data: bytes, format: str) -> bytes:
    return b""


def lying(data: bytes, format: str) -> bytes:
    """A header that promises more than there is."""
    changed = bytearray(data)
    match format:
        case "JPEG":
            struct.pack_into(">HH", changed, data.index(b"\xff\xc0") + 5, 60_000, 60_000)
        case "PNG":
            struct.pack_into(">II", changed, 16, 400, 400)
            struct.pack_into(">I", changed, 29, zlib.crc32(changed[12:29]))
        case "WEBP":
            struct.pack_into("<I", changed, 4, 10 * len(data))
        case "TIFF":
            at = _tiff_entry(data, 273)
            struct.pack_into("<I", changed, at + 8, len(data) + 1000)
        case "BMP":
            struct.pack_into("<i", changed, 22, 4000)
    return bytes(changed)


def _tiff_entry(data: bytes, tag: int) -> int:
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    return next(at for at in places if struct.unpack_from("<H", data, at) == (tag,))


BREAKERS = (cut, garbage, nothing, lying)


class Gathering:
    """Decodes like the process's own batch; its first one waits until many more are asked."""

    def __init__(self, wait_for: int = 0, fault: Callable[..., Sequence[Any]] | None = None):
        self.real = batch()._decode_streams
        self.wait_for = wait_for
        self.fault = fault
        self.counts: list[int] = []
        self.made = StillBatch(self)

    def __call__(self, streams: Sequence[Any], params: Any) -> Sequence[Any]:
        until = time.monotonic() + 5
        while not self.counts and len(self.made._batcher._waiting) < self.wait_for:
            assert time.monotonic() < until
            time.sleep(0.001)
        self.counts.append(len(streams))
        if self.fault is not None:
            return self.fault(self.real, streams, params)
        return self.real(streams, params)


def outcome(data: bytes, format: str, name: str) -> int | FarmError:
    try:
        return number_of(decoded(data, format, name=name))
    except FarmError as error:
        return error


@pytest.mark.parametrize("seed", range(2))
def test_two_hundred_files_by_sixteen_threads(monkeypatch, seed):
    gathering = Gathering(wait_for=8)
    monkeypatch.setattr("farm.engines.nvimgcodec.batch", lambda: gathering.made)
    files = {}
    for number in range(200):
        format = FORMATS[number % 5]
        options = {"JPEG": {"quality": 90}, "WEBP": {"quality": 90}}.get(format, {})
        data = saved(card(1000 + number), format, **options)
        broken = BREAKERS[number // 50] if number % 50 >= 45 else None
        files[number] = (broken(data, format) if broken else data, format, broken)
    order = random.Random(seed).sample(sorted(files), len(files))
    gate = threading.Barrier(16)

    def ask(numbers: Sequence[int]) -> dict[int, int | FarmError]:
        gate.wait()
        return {number: outcome(*files[number][:2], f"file {number}.x") for number in numbers}

    found: dict[int, int | FarmError] = {}
    with ThreadPoolExecutor(16) as threads:
        for part in threads.map(ask, [order[start::16] for start in range(16)]):
            found |= part
    assert len(found) == 200
    assert sum(broken is not None for *_, broken in files.values()) == 20
    for number, (data, format, broken) in files.items():
        got = found[number]
        if broken is None:
            assert got == 1000 + number
            continue
        assert isinstance(got, MediaError), (number, format, broken)
        assert str(got).startswith(f"file {number}.x: ")
        with pytest.raises(type(got)):
            by_pillow(data, format)
    assert max(gathering.counts) >= 8


BAD = 7


def is_bad(stream: Any) -> bool:
    return (stream.width, stream.height) == card(BAD).size


def raises(decode, streams, params):
    if any(map(is_bad, streams)):
        raise RuntimeError("CUDA Runtime failure: '#700' at somewhere")
    return decode(streams, params)


def runs_out_of_memory(decode, streams, params):
    if any(map(is_bad, streams)):
        raise RuntimeError("CUDA Runtime failure: '#2' at somewhere")
    return decode(streams, params)


def runs_out_of_host_memory(decode, streams, params):
    if any(map(is_bad, streams)):
        raise MemoryError
    return decode(streams, params)


def loses_one(decode, streams, params):
    return [
        image
        for image, stream in zip(decode(streams, params), streams, strict=True)
        if not is_bad(stream)
    ]


def gives_none(decode, streams, params):
    made = decode(streams, params)
    return [None if is_bad(each) else image for each, image in zip(streams, made, strict=True)]


def gives_another(decode, streams, params):
    made = decode(streams, params)
    (other,) = decode([streams[0]], params) if not is_bad(streams[0]) else [None]
    return [other if is_bad(each) else image for each, image in zip(streams, made, strict=True)]


FAULTS = {
    raises: EngineUnavailableError,
    runs_out_of_memory: UnsupportedFormatError,
    runs_out_of_host_memory: UnsupportedFormatError,
    loses_one: EngineUnavailableError,
    gives_none: None,  # Pillow makes the picture
    gives_another: None,
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_the_library_costs_one_entry_only(monkeypatch, fault):
    gathering = Gathering(wait_for=10, fault=fault)
    monkeypatch.setattr("farm.engines.nvimgcodec.batch", lambda: gathering.made)
    numbers = [
        number for number in range(32) if number == BAD or card(number).size != card(BAD).size
    ]
    found: dict[int, int | FarmError] = {}
    notes: dict[int, dict[str, Any]] = {}

    def ask(number: int) -> None:
        decoder = opened(saved(card(number), "PNG"), "PNG", name=f"file {number}")
        try:
            (batch,) = decoder.frames([START], Wish())
            found[number] = number_of(on_cpu(batch))
        except FarmError as error:
            found[number] = error
        notes[number] = decoder.notes

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, numbers))
    bad, wanted = found.pop(BAD), FAULTS[fault]
    assert found == {number: number for number in found}
    assert len(found) == len(numbers) - 1
    assert not any("decoder" in notes[number] for number in found)
    if wanted is None:
        assert bad == BAD
        assert notes[BAD]["decoder"] == "pillow"
    else:
        assert isinstance(bad, wanted)
        assert str(bad).startswith(f"file {BAD}: ")
    assert max(gathering.counts) >= 10


def test_memory_that_ran_out_makes_later_batches_smaller(monkeypatch):
    gathering = Gathering(wait_for=10, fault=runs_out_of_memory)
    monkeypatch.setattr("farm.engines.nvimgcodec.batch", lambda: gathering.made)
    before = gathering.made._batcher._most_bytes
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: outcome(saved(card(n), "PNG"), "PNG", "x"), range(16)))
    after = gathering.made._batcher._most_bytes
    assert before is not None
    assert after is not None
    assert after < before


@pytest.mark.parametrize("fault", [raises, runs_out_of_memory])
def test_the_next_engine_takes_over_and_the_record_says_so(monkeypatch, fault):
    gathering = Gathering(fault=fault)
    monkeypatch.setattr("farm.engines.nvimgcodec.batch", lambda: gathering.made)
    result = thumbnails(saved(card(BAD), "JPEG"), device="cuda")
    assert result.engine == "turbojpeg"
    assert (result.fallback or "").startswith("nvimgcodec -> turbojpeg: folder/name.bin: ")


def test_a_corrupt_file_that_is_named_for_this_engine_is_corrupt():
    with pytest.raises((CorruptError, TruncatedError)):
        decoded(saved(scene(), "JPEG")[:26] + bytes(400))


def test_a_gpu_that_the_library_refuses_is_told(monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(EngineUnavailableError, match="cannot use this machine's GPU: "):
        nvimgcodec_batch._batch_of.__wrapped__(0)


def test_a_gpus_queued_work_is_waited_for_before_and_after_a_decode(monkeypatch):
    steps: list[object] = []

    class Stream:
        cuda_stream = 42

        def synchronize(self) -> None:
            steps.append("stream")

    class Decoder:
        def __init__(self, *, device_id: int, max_num_cpu_threads: int, backends: list[Any]):
            assert (device_id, max_num_cpu_threads > 0) == (0, True)
            steps.append([each.backend_kind.name for each in backends])

        def decode(self, streams: list[str], *, params: object, cuda_stream: int) -> list[str]:
            steps.append(f"decode on {cuda_stream}")
            return streams

    monkeypatch.setattr(nvimgcodec_batch.nvimgcodec, "Decoder", Decoder)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: steps.append("device"))
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    assert nvimgcodec_batch._on_gpu()(("a", "b"), None) == ["a", "b"]
    kinds = ["HW_GPU_ONLY", "GPU_ONLY", "HYBRID_CPU_GPU", "CPU_ONLY"]
    assert steps == [kinds, "device", "decode on 42", "stream"]


def test_one_batch_for_the_process_however_many_ask_first():
    with ThreadPoolExecutor(16) as threads:
        assert len({id(made) for made in threads.map(lambda _: batch(), range(64))}) == 1


@pytest.mark.needs_cuda
class TestOnTheGpu:
    @pytest.mark.parametrize(
        "options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}]
    )
    def test_pictures_stay_there_and_are_near_those_of_pillow(self, options):
        data = saved(noise((1200, 900)), "JPEG", quality=92, **options)
        (batch,) = opened(data).frames([START], Wish())
        assert batch.planes[0].is_cuda
        wanted = by_pillow(data).planes[0].double()
        error = (batch.planes[0].cpu().double() - wanted).square().mean()
        assert float(10 * torch.log10(255**2 / error)) > 30

    @pytest.mark.parametrize("format", FORMATS)
    def test_thumbnails_are_near_those_of_the_cpu(self, format):
        data = saved(noise((640, 480)), format)
        one, other = (
            thumbnails(data, device=device, width=160, format="png") for device in ("cuda", "cpu")
        )
        pictures = (
            decoded(made.files[0].data, "PNG", engine="pillow").planes[0].double()
            for made in (one, other)
        )
        error = (next(pictures) - next(pictures)).square().mean().clamp(min=1e-9)
        assert float(10 * torch.log10(255**2 / error)) > 35

    def test_a_picture_does_not_depend_on_its_neighbours(self):
        """Nor on the memory of pictures that others still work on."""
        sizes = [(800, 600), (640, 480), (1024, 768), (320, 240)]
        files = [saved(noise(size), "JPEG", quality=90) for size in sizes]
        wanted = [decoded(data).planes[0] for data in files]

        def ask(number: int) -> bool:
            (batch,) = opened(files[number % 4]).frames([START], Wish())
            picture = batch.planes[0]
            busy = picture.double().sqrt().square().round()  # is queued while others decode
            same = torch.equal(picture.cpu(), wanted[number % 4])
            return same and torch.equal(busy.cpu(), wanted[number % 4].double())

        with ThreadPoolExecutor(16) as threads:
            assert all(threads.map(ask, range(400)))
