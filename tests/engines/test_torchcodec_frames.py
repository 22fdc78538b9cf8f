"""What does not need torchcodec itself: surfaces, tags, views of a file, and doing without it."""

import importlib
import io
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from farm import engines
from farm.engines.torchcodec_file import CallbackFile, FileView
from farm.engines.torchcodec_frames import (
    check_layout,
    color_tags_of,
    orientation_of,
    planes_of,
    shift_of,
)
from farm.errors import (
    EngineUnavailableError,
    SourceUnavailableError,
    UnsupportedColorError,
    UnsupportedFormatError,
)
from farm.media import ColorTags, Matrix, MediaFormat, MediaKind, Primaries, Siting, Transfer


@dataclass
class Frame:
    """A torchcodec RawFrame made by hand."""

    pixel_format: str = "yuv420p"
    planes: tuple[torch.Tensor, ...] = ()
    bit_depth: int = 8
    storage_cuda: torch.Tensor | None = None
    color_space: str = "unknown"
    color_range: str = "unknown"
    color_primaries: str = "unknown"
    color_transfer_characteristic: str = "unknown"
    width: int = 640
    height: int = 480


@dataclass
class Header:
    """What torchcodec tells of a stream's header."""

    color_space: str | None = None
    color_primaries: str | None = None
    color_transfer_characteristic: str | None = None
    pixel_format: str | None = "yuv420p"


def surface(
    *, width: int, height: int, pitch: int, rows: int, kind: torch.dtype, before: int = 0
) -> tuple[Frame, torch.Tensor, torch.Tensor]:
    """An interleaved surface as NVDEC leaves it, its luma [H, W] and its chroma [h, w, 2].

    `pitch` counts samples, `rows` those of luma, `before` the samples cropped at the left.
    """
    generator = torch.Generator().manual_seed(1)
    size = torch.empty((), dtype=kind).element_size()
    storage = torch.randint(
        0, 256, (pitch * rows * 3 // 2 * size,), dtype=torch.uint8, generator=generator
    )
    samples = storage.view(kind)
    w, h = (width + 1) // 2, (height + 1) // 2
    y = samples.as_strided((height, width), (pitch, 1), before)
    chroma = pitch * rows + before
    u, v = (samples.as_strided((h, w), (pitch, 2), chroma + c) for c in (0, 1))
    bits = 8 if kind == torch.uint8 else 10
    name = "nv12" if bits == 8 else "p010le"
    frame = Frame(name, (y, u, v), bits, storage, width=width, height=height)
    return frame, y, torch.stack([u, v], dim=-1)


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("size", [(32, 16), (31, 15)])
@pytest.mark.parametrize("before", [0, 4])
def test_a_surface_is_viewed_without_a_copy(kind, size, before):
    frame, luma, chroma = surface(
        width=size[0], height=size[1], pitch=64, rows=32, kind=kind, before=before
    )
    (y, uv), shift = planes_of(frame)
    assert shift == (6 if kind == torch.uint16 else 0)
    assert y.shape == (1, *luma.shape)
    assert uv.shape == (1, *chroma.shape)
    assert y[0].equal(luma)
    assert uv[0].equal(chroma)
    for plane in (y, uv):
        assert plane.untyped_storage().data_ptr() == frame.storage_cuda.data_ptr()


def test_a_surface_of_full_chroma_is_three_planes():
    storage = torch.arange(3 * 8 * 16, dtype=torch.int16).to(torch.uint8)
    planes = tuple(storage.as_strided((6, 10), (16, 1), 128 * c) for c in range(3))
    found, shift = planes_of(Frame("yuv444p", planes, 8, storage))
    assert shift == 0
    assert [plane.shape for plane in found] == [(1, 6, 10)] * 3
    assert all(one[0].equal(other) for one, other in zip(found, planes, strict=True))


def test_planes_of_the_cpu_are_copied_out():
    buffer = torch.arange(256, dtype=torch.uint8)
    planes = (
        buffer.view(16, 16)[:4, :6],
        buffer.view(16, 16)[8:10, :3],
        buffer.view(16, 16)[12:14, :3],
    )
    wanted = [plane.clone() for plane in planes]
    found, shift = planes_of(Frame("yuv420p", planes))
    buffer.zero_()
    assert shift == 0
    assert all(one[0].equal(other) for one, other in zip(found, wanted, strict=True))
    assert all(one.is_contiguous() for one in found)


@pytest.mark.parametrize(
    ("name", "bits", "raw", "kind", "value"),
    [
        ("yuv420p10le", 10, 1023, torch.int16, 1023),
        ("yuv444p16le", 16, 65535, torch.int32, 65535),
        ("p010le", 10, 1023 << 6, torch.int16, 1023),
        ("p012le", 12, 4095 << 4, torch.int16, 4095),
        ("p016le", 16, 65535, torch.int32, 65535),
    ],
)
def test_deep_samples_lie_low_in_a_signed_type(name, bits, raw, kind, value):
    plane = torch.tensor([[raw] * 4] * 2, dtype=torch.int32).to(torch.uint16)
    planes, shift = planes_of(Frame(name, (plane,) * 3, bits))
    assert shift == 0
    for found in planes:
        assert found.dtype == kind
        assert found.shape == (1, 2, 4)
        assert (found == value).all()


def test_gray_gets_chroma_without_colour():
    plane = torch.full((4, 6), 700, dtype=torch.int32).to(torch.uint16)
    (y, u, v), _ = planes_of(Frame("gray10le", (plane,), 10))
    assert (y == 700).all()
    assert u.equal(v)
    assert (u == 512).all()


@pytest.mark.parametrize(
    "name", ["rgb24", "gbrp", "yuva420p", "yuyv422", "pal8", "yuv420p10be", "ya8"]
)
def test_other_samples_are_refused(name):
    with pytest.raises(UnsupportedFormatError, match=f"clip: its samples are {name}"):
        check_layout(name, name="clip")


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuvj422p", "yuv444p12le", "gray", "gray10le", "nv12", "p010le", "p416le"]
)
def test_these_samples_are_taken(name):
    check_layout(name, name="clip")


def test_shifts():
    shifts = {"nv12": 0, "yuv420p10le": 0, "p010le": 6, "p210le": 6, "p012le": 4, "p016le": 0}
    assert {name: shift_of(name) for name in shifts} == shifts


def tags(frame: Frame, header: Header, codec: str = "h264", **side_data: bytes) -> ColorTags:
    return color_tags_of(frame, header, codec=codec, side_data=side_data, name="clip")


def test_tags_of_the_cpu_are_the_frame_s():
    other = Header("bt2020nc", "bt2020", "smpte2084", "yuvj420p")
    assert tags(Frame(), other).matrix is Matrix.BT601
    assert tags(Frame(height=720), other).matrix is Matrix.BT709
    assert tags(Frame(height=720), other, "vp8").matrix is Matrix.BT601
    assert not tags(Frame(), other).full_range
    assert tags(Frame(color_range="pc"), other).full_range
    assert tags(Frame("yuvj420p"), other).full_range
    assert tags(Frame(color_space="smpte240m"), other).matrix is Matrix.SMPTE240M
    assert tags(Frame(), other, "mpeg1video").siting is Siting.CENTER
    assert tags(Frame("yuv420p10le"), other).bits == 10
    hdr = tags(
        Frame("p010le", color_space="bt2020nc", color_transfer_characteristic="smpte2084"), other
    )
    assert (hdr.transfer, hdr.primaries, hdr.bits) == (Transfer.PQ, Primaries.BT2020, 10)
    assert hdr.siting is Siting.TOP_LEFT
    p3 = Frame(color_primaries="smpte432", color_transfer_characteristic="bt709")
    assert tags(p3, other).primaries is Primaries.P3
    hlg = Frame(color_primaries="bt2020", color_transfer_characteristic="arib-std-b67")
    assert tags(hlg, other).transfer is Transfer.HLG


def on_gpu(**values) -> Frame:
    return Frame("nv12", storage_cuda=torch.zeros(1, dtype=torch.uint8), **values)


def test_tags_of_nvdec_are_the_header_s_where_it_has_any():
    untagged = on_gpu(height=720, color_space="smpte170m", color_range="tv")
    assert tags(untagged, Header()).matrix is Matrix.BT709
    assert tags(untagged, Header("smpte170m")).matrix is Matrix.BT601
    assert tags(untagged, Header("fcc")).matrix is Matrix.FCC
    assert tags(untagged, Header(pixel_format="yuvj420p")).full_range
    assert not tags(untagged, Header()).full_range
    assert tags(on_gpu(color_space="bt709"), Header()).matrix is Matrix.BT709
    silent = on_gpu(color_primaries="reserved", color_transfer_characteristic="unknown")
    hdr = tags(silent, Header("bt2020nc", "bt2020", "smpte2084"))
    assert (hdr.transfer, hdr.primaries) == (Transfer.PQ, Primaries.BT2020)


def test_light_comes_from_pyav_s_side_data():
    frame = Frame("yuv420p10le", color_transfer_characteristic="smpte2084")
    assert tags(frame, Header()).peak_nits == 1000
    level = (400).to_bytes(4, sys.byteorder) + bytes(4)
    assert tags(frame, Header(), CONTENT_LIGHT_LEVEL=level).peak_nits == 400


def test_colours_that_nothing_shows_are_refused():
    with pytest.raises(UnsupportedColorError, match="clip: its colours are ICtCp"):
        tags(Frame("yuv420p10le", color_space="ictcp"), Header(), "hevc")


def test_orientations():
    found = {turn: orientation_of(turn) for turn in (0.0, 90.0, -90.0, 180.0, -180.0, 270.0, 88.0)}
    assert found == {0.0: 1, 90.0: 8, -90.0: 6, 180.0: 3, -180.0: 3, 270.0: 6, 88.0: 8}


def test_views_of_a_file_do_not_move_each_other():
    file = io.BytesIO(bytes(range(100)))
    one, other = FileView(file), io.BufferedReader(FileView(file), 8)
    assert one.read(4) == bytes(range(4))
    assert other.seek(-10, io.SEEK_END) == 90
    assert other.read(3) == bytes((90, 91, 92))
    assert one.seek(2, io.SEEK_CUR) == 6
    assert one.read(2) == bytes((6, 7))
    assert other.tell() == 93
    assert (one.tell(), one.read(1000)) == (8, bytes(range(8, 100)))
    assert one.read(10) == b""
    one.close()
    other.close()
    assert not file.closed


class Failing(io.BytesIO):
    """A file whose reads fail after some."""

    good_reads = 1
    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > self.good_reads:
            raise SourceUnavailableError("the store is gone")
        return b"x" * (size or 0)


def test_no_exception_passes_through_c_code():
    file = CallbackFile(Failing())
    assert file.read(3) == b"xxx"
    file.check()
    assert file.read(3) == b""
    assert file.read(3) == b""
    for _ in range(2):
        with pytest.raises(SourceUnavailableError, match="the store is gone"):
            file.check()


def test_a_seek_before_the_start_is_no_failure():
    file = CallbackFile(io.BytesIO(b"abc"))
    assert file.seek(-5, io.SEEK_SET) == -1
    file.check()
    assert file.seek(1, io.SEEK_SET) == 1
    assert file.read(10) == b"bc"


@pytest.mark.parametrize("found", [None, SimpleNamespace(ffmpeg_major_version=None)])
def test_without_it_the_engine_says_what_to_install(monkeypatch, found):
    monkeypatch.setitem(sys.modules, "torchcodec", found)
    monkeypatch.delitem(sys.modules, "farm.engines.torchcodec", raising=False)
    monkeypatch.setattr(engines, "load", engines.load.__wrapped__)
    with pytest.raises(EngineUnavailableError, match="torchcodec cannot be loaded") as caught:
        engines.load("torchcodec")
    assert "pip install 'torchcodec" in str(caught.value)
    assert "torchcodec cannot be loaded" in engines.available()["torchcodec"]
    monkeypatch.delitem(sys.modules, "farm.engines.torchcodec", raising=False)


def test_the_message_names_ffmpeg(monkeypatch):
    # Its decoders are there without FFmpeg too: those of stills need none.
    blocks = ("Demuxer", "VideoDecoder", "VideoPacketDecoder", "VideoStream", "Packet", "RawFrame")
    decoders = SimpleNamespace(**dict.fromkeys((*blocks, "VideoStreamHeaderMetadata"), object))
    monkeypatch.setitem(sys.modules, "torchcodec", SimpleNamespace(ffmpeg_major_version=None))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    for name in ("", "_play", "_stream"):
        monkeypatch.delitem(sys.modules, f"farm.engines.torchcodec{name}", raising=False)
    with pytest.raises(ImportError, match=r"FFmpeg 4 to 9.*the package ffmpeg"):
        importlib.import_module("farm.engines.torchcodec")
    for name in ("_play", "_stream"):
        sys.modules.pop(f"farm.engines.torchcodec{name}", None)


def test_a_default_in_lanes_of_a_gpu_only():
    video = MediaFormat(MediaKind.VIDEO, "mp4")
    assert "torchcodec" not in engines.candidates(video)
    names = engines.candidates(video, device="cuda")
    assert names.index("torchcodec") < names.index("pyav")
    assert "torchcodec" not in engines.candidates(
        MediaFormat(MediaKind.IMAGE, "jpeg"), device="cuda"
    )
