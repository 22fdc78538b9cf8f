"""Light of decoded frames: transfers, primaries and peaks as files tell them; what is refused."""

import struct
from dataclasses import dataclass, field

import pytest

from farm.engines import Wish
from farm.engines.pyav_light import check_colors, peak_nits_of
from farm.errors import UnsupportedColorError, UnsupportedFormatError
from farm.media import Matrix, Primaries, Transfer
from farm.sampling import Target
from farm.spec import Accuracy
from tests.engines.clips import Clip, make, number_of
from tests.engines.test_pyav import open_clip, tags

PQ_NUMBER, HLG_NUMBER = 16, 18
MASTERED = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L({},1)"


@dataclass
class Frame:
    """As much of a frame as tells its light; nothing can be attached to a real one."""

    side_data: dict[str, bytes] = field(default_factory=dict)
    color_trc: int = PQ_NUMBER
    colorspace: int = 9
    color_primaries: int = 9


def mastering(above: int, below: int, is_known: int = 1) -> bytes:
    return struct.pack("=20i2i", *[0] * 18, above, below, 1, is_known)


def dolby_vision(profile: int, full_range: int, header: int = 24) -> bytes:
    """AVDOVIMetadata up to its header's tenth byte."""
    rpu = bytes([2, 0, 18, 0, profile, 0, 0, 0, 23, 1, full_range, 10, 10, 12])
    return struct.pack("@N", header).ljust(header, b"\0") + rpu


def hdr(*params: str, transfer: str = "smpte2084", **clip: object) -> bytes:
    words = ("log-level=none", "pools=1", "colorprim=bt2020", "colormatrix=bt2020nc", *params)
    x265 = ":".join((*words, f"transfer={transfer}"))
    values = {"count": 3, "pixels": "yuv420p10le", "options": {"x265-params": x265}} | clip
    return make(Clip("libx265", **values))


@pytest.mark.parametrize(
    ("params", "container", "peak"),
    [
        ((), "mp4", 1000),
        (("max-cll=650,200",), "mp4", 650),
        (("max-cll=0,0", MASTERED.format(40_000_000)), "mp4", 4000),
        (("max-cll=1200,300", MASTERED.format(10_000_000)), "matroska", 1000),
    ],
)
def test_a_pq_video_tells_its_peak(params, container: str, peak: float) -> None:
    decoder = open_clip(hdr(*params, container=container), container)
    (batch,) = decoder.frames([Target(0, Accuracy.KEYFRAME)], Wish())
    assert number_of(batch) == 0
    assert batch.color.matrix is Matrix.BT2020
    assert batch.color.primaries is Primaries.BT2020
    assert batch.color.transfer is Transfer.PQ
    assert batch.color.peak_nits == peak
    assert decoder.notes["tone_mapped"] == "pq"
    assert decoder.warnings == ()


def test_hlg_is_rendered_for_its_nominal_peak() -> None:
    data = hdr(MASTERED.format(40_000_000), transfer="arib-std-b67")
    decoder = open_clip(data)
    (batch,) = decoder.frames([Target(0, Accuracy.KEYFRAME)], Wish())
    assert batch.color.transfer is Transfer.HLG
    assert batch.color.peak_nits == 1000
    assert decoder.notes["tone_mapped"] == "hlg"


def test_sdr_of_wide_primaries_is_no_hdr() -> None:
    decoder = open_clip(hdr(transfer="bt2020-10"))
    (batch,) = decoder.frames([Target(0, Accuracy.KEYFRAME)], Wish())
    assert batch.color.transfer is Transfer.SDR
    assert batch.color.primaries is Primaries.BT2020
    assert "tone_mapped" not in decoder.notes


@pytest.mark.parametrize(
    ("numbers", "primaries"),
    [
        ({"color_primaries": 1, "colorspace": 9}, Primaries.BT709),
        ({"color_primaries": 9, "colorspace": 1}, Primaries.BT2020),
        ({"color_primaries": 12}, Primaries.P3),
        ({"color_primaries": 5}, Primaries.BT709),
        ({"color_primaries": 6}, Primaries.BT709),
        ({"color_primaries": 2, "colorspace": 9}, Primaries.BT2020),
        ({"color_primaries": 2, "color_trc": HLG_NUMBER}, Primaries.BT2020),
        ({"color_primaries": 2, "colorspace": 6}, Primaries.BT709),
        ({}, Primaries.BT709),
    ],
)
def test_primaries(numbers: dict[str, int], primaries: Primaries) -> None:
    assert tags(**numbers).primaries is primaries


@pytest.mark.parametrize("pixels", ["gbrp10le", "gbrap", "rgb24"])
def test_rgb_keeps_its_light(pixels: str) -> None:
    color = tags(pixels=pixels, colorspace=0, color_primaries=9, color_trc=PQ_NUMBER)
    assert (color.matrix, color.transfer) == (Matrix.RGB, Transfer.PQ)
    assert color.primaries is Primaries.BT2020


@pytest.mark.parametrize(
    ("side_data", "peak"),
    [
        ({"CONTENT_LIGHT_LEVEL": b""}, 1000),
        ({"CONTENT_LIGHT_LEVEL": struct.pack("=2I", 1, 0)[:7]}, 1000),
        ({"CONTENT_LIGHT_LEVEL": struct.pack("=2I", 4_000_000_000, 0)}, 1000),
        ({"MASTERING_DISPLAY_METADATA": mastering(600, 1)}, 600),
        ({"MASTERING_DISPLAY_METADATA": mastering(600, 1)[:-1]}, 1000),
        ({"MASTERING_DISPLAY_METADATA": mastering(600, 0)}, 1000),
        ({"MASTERING_DISPLAY_METADATA": mastering(-600, 1)}, 1000),
        ({"MASTERING_DISPLAY_METADATA": mastering(600, 1, is_known=0)}, 1000),
    ],
)
def test_what_makes_no_sense_tells_no_peak(side_data: dict[str, bytes], peak: float) -> None:
    assert peak_nits_of(Frame(side_data)) == peak  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (Frame({"DOVI_METADATA": dolby_vision(0, 1)}), "Dolby Vision without a base layer"),
        (Frame(colorspace=14), "ICtCp"),
        (Frame(colorspace=15), "IPTPQc2"),
    ],
)
def test_colours_that_would_be_wrong_are_refused(frame: Frame, words: str) -> None:
    with pytest.raises(UnsupportedColorError, match=rf"film\.mp4: its colours are {words}"):
        check_colors(frame, name="film.mp4")  # type: ignore[arg-type]
    assert issubclass(UnsupportedColorError, UnsupportedFormatError)


@pytest.mark.parametrize(
    "side_data",
    [
        {},
        {"DOVI_METADATA": dolby_vision(1, 0)},  # profiles 7 and 8
        {"DOVI_METADATA": dolby_vision(0, 0)},
        {"DOVI_METADATA": dolby_vision(0, 1)[:30]},
        {"DOVI_METADATA": dolby_vision(0, 1)[:3]},
        {"DOVI_METADATA": struct.pack("@N", 1 << 60)},
    ],
)
def test_dolby_vision_with_a_base_layer_is_shown_by_it(side_data: dict[str, bytes]) -> None:
    check_colors(Frame(side_data), name="film.mp4")  # type: ignore[arg-type]
