"""PyNvVideoCodec itself, on a driver made here that decodes nothing and tells what it is asked."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMPILER = shutil.which("gcc") or shutil.which("cc")
NOTHING = "#define NOTHING(name) int name() { return 0; }\n"
# The memory of its device is that of the host.
CUDA = """
#include <stdlib.h>
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)1; return 0; }
int cuCtxGetDevice(int *d) { *d = 0; return 0; }
int cuCtxPopCurrent_v2(void **c) { if (c) *c = (void *)1; return 0; }
int cuEventCreate(void **e, unsigned f) { *e = (void *)1; return 0; }
int cuGetErrorName(int e, const char **s) { *s = "?"; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "?"; return 0; }
int cuMemAlloc_v2(void **p, size_t n) { *p = calloc(1, n); return 0; }
int cuPointerGetAttribute(void *d, int a, void *p) { *(unsigned *)d = 2; return 0; }
NOTHING(cuInit) NOTHING(cuCtxCreate_v2) NOTHING(cuCtxDestroy_v2) NOTHING(cuCtxPushCurrent_v2)
NOTHING(cuDevicePrimaryCtxRelease_v2) NOTHING(cuEventDestroy_v2) NOTHING(cuEventRecord)
NOTHING(cuEventSynchronize) NOTHING(cuMemAllocAsync) NOTHING(cuMemAllocPitch_v2)
NOTHING(cuMemFreeAsync) NOTHING(cuMemFree_v2) NOTHING(cuMemcpy2DAsync_v2) NOTHING(cuMemcpy2D_v2)
NOTHING(cuMemcpyDtoHAsync_v2) NOTHING(cuMemcpyDtoH_v2) NOTHING(cuMemcpyHtoD_v2)
NOTHING(cuStreamCreate) NOTHING(cuStreamDestroy_v2) NOTHING(cuStreamGetCtx)
NOTHING(cuStreamSynchronize) NOTHING(cuStreamWaitEvent)
"""
ENCODE = "int NvEncodeAPIGetMaxSupportedVersion(unsigned *v) { *v = 13 * 16; return 0; }\n"
# Structures are those of nvcuvid.h and cuviddec.h. Packets are shown at once, at their own times,
# but for those that begin with a 9, which are shown at the end of the stream.
CUVID = """
#include <stdio.h>
#include <stdlib.h>
typedef struct {
    int codec, chroma; unsigned depth, reserved1[3];
    unsigned char supported, engines; unsigned short surfaces;
    unsigned most_width, most_height, most_macroblocks;
    unsigned short least_width, least_height;
    unsigned char histogram, counter; unsigned short bins; unsigned reserved3[10];
} Caps;
typedef struct {
    int codec; unsigned surfaces, clock, threshold, delay, bits, reserved[4];
    void *user;
    int (*sequence)(void *, void *), (*decode)(void *, void *), (*display)(void *, void *);
} Params;
typedef struct {
    int codec; unsigned numerator, denominator;
    unsigned char progressive, luma, chroma_bits, surfaces;
    unsigned width, height; int left, top, right, bottom, chroma;
} Format;
typedef struct { Params params; int count, width, height; long long late; } Parser;
typedef struct { unsigned long flags, size; const unsigned char *data; long long time; } Packet;
typedef struct { int index, progressive, top_first, repeat; long long time; } Shown;
static int number(const char *name) { return atoi(getenv(name)); }
int cuvidGetDecoderCaps(Caps *caps) {
    caps->supported = 1; caps->surfaces = 15;
    caps->most_width = caps->most_height = 8192; caps->most_macroblocks = 1 << 20;
    return 0;
}
int cuvidCreateVideoParser(void **made, Params *params) {
    Parser *parser = calloc(1, sizeof *parser);
    parser->params = *params;
    *made = parser;
    return 0;
}
static void show(Parser *parser, long long time) {
    Shown shown = {0, 1, 1, 0, time};
    if (parser->params.display) parser->params.display(parser->params.user, &shown);
}
int cuvidParseVideoData(Parser *parser, Packet *packet) {
    Params *params = &parser->params;
    fprintf(stderr, "[%lu, %lu, %lld]\\n", packet->flags, packet->size, packet->time);
    if (!packet->size) { if (parser->late) show(parser, parser->late); parser->late = 0; return 0; }
    if (!parser->count) {
        Format *format = calloc(1, 4096);
        format->codec = params->codec; format->numerator = 25; format->denominator = 1;
        format->progressive = 1; format->luma = format->chroma_bits = number("STUB_BITS") - 8;
        format->surfaces = 4; format->chroma = 1;
        format->width = 64; format->height = 48; format->right = 64; format->bottom = 36;
        params->sequence(params->user, format);
    }
    int *picture = calloc(1, 16384);
    picture[2] = parser->count++ % 4;
    params->decode(params->user, picture);
    if (packet->data[0] == '9') parser->late = packet->time; else show(parser, packet->time);
    return 0;
}
int cuvidCreateDecoder(void **made, void *info) { *made = (void *)1; return 0; }
int cuvidMapVideoFrame64(void *d, int i, unsigned long long *p, unsigned *pitch, void *v) {
    static char memory[1 << 20];
    *p = (unsigned long long)memory; *pitch = 256;
    return 0;
}
NOTHING(cuvidUnmapVideoFrame64) NOTHING(cuvidDestroyVideoParser) NOTHING(cuvidDestroyDecoder)
NOTHING(cuvidDecodePicture) NOTHING(cuvidGetDecodeStatus) NOTHING(cuvidReconfigureDecoder)
NOTHING(cuvidCreateVideoSource) NOTHING(cuvidDestroyVideoSource) NOTHING(cuvidCtxLock)
NOTHING(cuvidSetVideoSourceState) NOTHING(cuvidGetVideoSourceState) NOTHING(cuvidCtxUnlock)
NOTHING(cuvidGetSourceVideoFormat) NOTHING(cuvidGetSourceAudioFormat)
NOTHING(cuvidCtxLockCreate) NOTHING(cuvidCtxLockDestroy) NOTHING(cuvidCreateVideoSourceW)
"""
LIBRARIES = {
    "libcuda.so.1": NOTHING + CUDA,
    "libnvcuvid.so.1": NOTHING + CUVID,
    "libnvidia-encode.so.1": ENCODE,
}
SCRIPT = """
import json, os
import torch
from farm.engines import nvdec_session
from farm.engines.nvdec_caps import StreamKind
from farm.geometry import Size

bits = int(os.environ["STUB_BITS"])
kind = StreamKind("hevc", 1, bits, Size(64, 48), Size(64, 36))
dtype = torch.uint8 if bits == 8 else torch.uint16
# torch cannot take memory of a device where it has none.
nvdec_session.from_dlpack = lambda frame: torch.zeros(tuple(frame.shape), dtype=dtype)
torch.cuda.current_device = lambda: 0
session = nvdec_session.Session(kind, nvdec_session.NvdecFeeder(kind))
found = []
for packets in ([b"12", b"345"], [b"98", b"1"]):
    pictures = session.pictures(packets, {0, 1})
    found.append({n: [list(p.shape) for p in planes] for n, planes in sorted(pictures.items())})
print(json.dumps(found))
"""
# TIMESTAMP with DISCONTINUITY and ENDOFPICTURE, with the latter, and with ENDOFSTREAM.
BEGINS, GOES_ON, ENDS = 2 + 4 + 8, 2 + 8, 2 + 1


@pytest.fixture(scope="module")
def drivers(tmp_path_factory) -> Path:
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    if importlib.util.find_spec("PyNvVideoCodec") is None:
        pytest.skip("needs PyNvVideoCodec")
    folder = tmp_path_factory.mktemp("drivers")
    for name, code in LIBRARIES.items():
        source = folder / f"{name}.c"
        source.write_text(code)
        options = ["-w", "-shared", "-fPIC", f"-Wl,-soname,{name}"]
        subprocess.run([COMPILER, *options, "-o", folder / name, source], check=True)
    return folder


@pytest.mark.parametrize("bits", [8, 10])
def test_flags_and_times_go_through(drivers, bits):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(drivers), "STUB_BITS": str(bits)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shapes = [[1, 36, 64], [1, 18, 32, 2]]
    assert json.loads(done.stdout) == [{"0": shapes, "1": shapes}] * 2
    packets = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    assert [flags for flags, _, _ in packets] == [BEGINS, GOES_ON, ENDS] * 2
    assert [size for _, size, _ in packets] == [2, 3, 0, 2, 1, 0]
    assert [time for _, size, time in packets if size] == [1, 2, 3, 4]
