import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from farm.engines.nvdec_caps import Capabilities, StreamKind
from farm.errors import EngineUnavailableError
from farm.geometry import Size

COMPILER = shutil.which("gcc") or shutil.which("cc")
# CUVIDDECODECAPS as cuviddec.h has it, and a driver that takes 4:2:0 of 8 bits, HEVC of 10 too.
DRIVER = """
typedef struct {
    int codec, chroma; unsigned depth, reserved1[3];
    unsigned char supported, engines; unsigned short surfaces;
    unsigned most_width, most_height, most_macroblocks;
    unsigned short least_width, least_height;
    unsigned char histogram, counter; unsigned short bins;
    unsigned reserved3[10];
} Caps;
int cuvidGetDecoderCaps(Caps *caps) {
    if (sizeof(Caps) != 88) return 999;
    if (caps->codec == 8 && caps->depth == 4) return 101;
    caps->supported = caps->chroma == 1 ? caps->depth == 0 || caps->codec == 8 : caps->chroma == 3;
    caps->engines = 7;
    caps->surfaces = 3;
    caps->most_width = 4096; caps->most_height = 2304; caps->most_macroblocks = 256 * 128;
    caps->least_width = 48; caps->least_height = 16;
    return 0;
}
"""
HD = StreamKind("h264", 1, 8, Size(1920, 1088), Size(1920, 1080))


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    source, library = folder / "driver.c", folder / "libnvcuvid.so.1"
    source.write_text(DRIVER)
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture
def capabilities(driver):
    return Capabilities(str(driver), enter=lambda: None)


@pytest.mark.parametrize(
    "kind",
    [
        HD,
        replace(HD, coded=Size(48, 16)),
        replace(HD, coded=Size(4096, 2048)),
        replace(HD, codec="hevc"),
        replace(HD, codec="hevc", bits=10),
    ],
    ids=str,
)
def test_what_is_decoded(capabilities, kind):
    assert capabilities.refusal(kind) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bits": 10}, "this GPU does not decode h264 4:2:0 of 10 bits"),
        ({"chroma": 2}, "this GPU does not decode h264 4:2:2 of 8 bits"),
        ({"chroma": 3}, "does not give the samples of h264 4:4:4 of 8 bits as they are"),
        ({"coded": Size(4112, 64)}, "4:2:0 of 8 bits in 4112x64 exceeds the 4096x2304"),
        ({"coded": Size(64, 2320)}, "64x2320 exceeds the 4096x2304"),
        ({"coded": Size(32, 64)}, "32x64 is below the 48x16"),
        ({"coded": Size(48, 8)}, "48x8 is below the 48x16"),
        ({"coded": Size(4096, 2304)}, "4096x2304 has more than the 32768 macroblocks"),
    ],
)
def test_what_is_refused(capabilities, change, words):
    assert words in capabilities.refusal(replace(HD, **change))


def test_the_driver_is_asked_once_for_each_sort(driver):
    asked = []
    capabilities = Capabilities(str(driver), enter=lambda: asked.append(1))
    for size in (Size(64, 64), Size(128, 64)):
        for codec in ("h264", "hevc"):
            capabilities.refusal(replace(HD, codec=codec, coded=size))
    assert len(asked) == 2


def test_an_error_of_the_driver(capabilities):
    kind = replace(HD, codec="hevc", bits=12)
    with pytest.raises(EngineUnavailableError, match="it answers 101"):
        capabilities.refusal(kind)


def test_no_driver():
    words = r"libno-such-driver\.so.*NVIDIA_DRIVER_CAPABILITIES must include video"
    with pytest.raises(EngineUnavailableError, match=words):
        Capabilities("libno-such-driver.so")


def test_another_library_is_no_driver():
    with pytest.raises(EngineUnavailableError, match="cuvidGetDecoderCaps"):
        Capabilities("libc.so.6")


@pytest.mark.needs_cuda
def test_every_gpu_decodes_plain_video():
    capabilities = Capabilities()
    for codec in ("h264", "hevc"):
        assert capabilities.refusal(replace(HD, codec=codec)) is None
    assert "exceeds" in capabilities.refusal(replace(HD, coded=Size(1 << 15, 1 << 15)))
