"""The videos of the archive: one recipe for each way in which archives differ."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from farm.geometry import Size
from farm.media import Matrix, Transfer
from farm.samples.clip import Recipe, describe, make_clip
from farm.samples.sample import Sample
from farm.samples.yuv import Coding

FOLDER = "videos"

_X264 = {"preset": "superfast", "crf": "31"}
_X265 = {"preset": "ultrafast", "crf": "26", "x265-params": "log-level=none"}
# P3 with the white of D65, from 0.0001 to 1000 cd/m2, as x265 wants it.
_MASTERED = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
# What a display of 1000 cd/m2 leaves to highlights takes some light from what is nearly white.
_ROLLED_OFF = 18
_VPX = {"deadline": "realtime", "cpu-used": "-8"}
_SD = Coding(matrix=Matrix.BT601)
_SD_UNTAGGED = Coding(matrix=Matrix.BT601, is_tagged=False)
_WIDE = Coding("yuv420p10le", Matrix.BT2020)
_HDR10 = Coding("yuv420p10le", Matrix.BT2020, transfer=Transfer.PQ)
_HLG = Coding("yuv420p10le", Matrix.BT2020, transfer=Transfer.HLG)
_JPEG = Coding("yuvj420p", Matrix.BT601, full_range=True, is_tagged=False)

RECIPES = (
    Recipe(
        "h264-720p.mp4",
        "libx264",
        "B-frames, a keyframe every 2 s, an audio track",
        size=Size(1280, 720),
        frames=200,
        gop=50,
        b_frames=3,
        options=_X264,
        has_audio=True,
    ),
    Recipe(
        "h264-one-keyframe.mp4",
        "libx264",
        "10 s with a single keyframe",
        frames=250,
        gop=1000,
        b_frames=2,
        options=_X264,
        seed=1,
    ),
    Recipe(
        "h264-open-gop.mkv",
        "libx264",
        "open GOPs: frames before a keyframe need the GOP before it",
        frames=100,
        b_frames=3,
        options=_X264 | {"x264-params": "open-gop=1"},
        seed=2,
    ),
    Recipe(
        "h264-fragmented.mp4",
        "libx264",
        "fragments, no index at the front or the end",
        options=_X264,
        muxing={"movflags": "+frag_keyframe+empty_moov+default_base_moof"},
        seed=3,
    ),
    Recipe("hevc.mp4", "libx265", "H.265", options=_X265, codec_tag="hvc1", seed=4),
    Recipe(
        "hevc-10bit.mp4",
        "libx265",
        "H.265, 10 bits",
        frames=50,
        coding=Coding("yuv420p10le"),
        options=_X265,
        codec_tag="hvc1",
        seed=5,
    ),
    Recipe("vp9.webm", "libvpx-vp9", "VP9", options=_VPX, bit_rate=900_000, seed=6),
    Recipe(
        "vp8.webm",
        "libvpx",
        "VP8, which is always BT.601",
        size=Size(480, 360),
        coding=_SD_UNTAGGED,
        options=_VPX,
        bit_rate=700_000,
        tolerance=8,
        seed=7,
    ),
    Recipe(
        "vp8-live.webm",
        "libvpx",
        "a live recording: no duration and no index",
        size=Size(320, 240),
        coding=_SD_UNTAGGED,
        options=_VPX,
        muxing={"live": "1"},
        bit_rate=500_000,
        tolerance=8,
        seed=8,
    ),
    Recipe(
        "av1.mp4",
        "libsvtav1",
        "AV1",
        options={"preset": "9", "crf": "36"},  # the faster ones leave visible faults
        seed=9,
    ),
    Recipe(
        "mpeg2-pal-wide.ts",
        "mpeg2video",
        "MPEG-2 in a transport stream, PAL 16:9 with oblong pixels",
        size=Size(720, 576),
        gop=12,
        b_frames=2,
        coding=_SD,
        bit_rate=1_600_000,
        pixel_aspect=Fraction(64, 45),
        tolerance=6,
        seed=10,
    ),
    Recipe(
        "mpeg1.mpg",
        "mpeg1video",
        "MPEG-1 in a program stream",
        size=Size(352, 288),
        gop=12,
        coding=_SD_UNTAGGED,
        bit_rate=900_000,
        tolerance=8,
        seed=11,
    ),
    Recipe(
        "mpeg4.avi",
        "mpeg4",
        "MPEG-4 part 2, untagged: BT.601 for its size",
        size=Size(480, 360),
        coding=_SD_UNTAGGED,
        bit_rate=900_000,
        tolerance=8,
        seed=12,
    ),
    Recipe(
        "sorenson.flv",
        "flv",
        "Flash video",
        size=Size(320, 240),
        coding=_SD_UNTAGGED,
        bit_rate=600_000,
        tolerance=8,
        seed=13,
    ),
    Recipe(
        "h264-hdv.mp4",
        "libx264",
        "1440x1080 shown 16:9",
        size=Size(1440, 1080),
        frames=25,
        options=_X264,
        pixel_aspect=Fraction(4, 3),
        seed=14,
    ),
    *(
        Recipe(
            f"h264-rotated-{rotation}.mp4",
            "libx264",
            f"to be turned by {rotation} degrees, as telephones store it",
            frames=50,
            options=_X264,
            rotation=rotation,
            seed=15,
        )
        for rotation in (90, 180, 270)
    ),
    Recipe(
        "h264-variable-rate.mp4",
        "libx264",
        "variable frame rate",
        b_frames=2,
        options=_X264,
        cadence=(40, 40, 120, 20),
        seed=16,
    ),
    Recipe(
        "h264-full-range.mp4",
        "libx264",
        "full range",
        frames=50,
        coding=Coding(full_range=True),
        options=_X264,
        seed=17,
    ),
    Recipe(
        "h264-bt601.mp4",
        "libx264",
        "standard definition, tagged BT.601",
        size=Size(640, 480),
        frames=50,
        coding=_SD,
        options=_X264,
        seed=18,
    ),
    Recipe(
        "h264-odd-444.mp4",
        "libx264",
        "odd size, chroma at full resolution",
        size=Size(333, 251),
        frames=50,
        coding=Coding("yuv444p"),
        options=_X264,
        seed=19,
    ),
    Recipe(
        "vp9-odd.webm",
        "libvpx-vp9",
        "odd size with halved chroma",
        size=Size(333, 251),
        frames=50,
        options=_VPX,
        bit_rate=600_000,
        seed=20,
    ),
    Recipe(
        "h264-late-start.mp4",
        "libx264",
        "the first frame is shown at 2 s",
        b_frames=2,
        options=_X264,
        start_seconds=2,
        seed=21,
    ),
    Recipe(
        "h264-edit-list.mp4",
        "libx264",
        "an edit list hides the first second",
        gop=50,
        b_frames=2,
        options=_X264,
        start_seconds=-1,
        seed=22,
    ),
    Recipe("h264-one-frame.mp4", "libx264", "a single frame", frames=1, options=_X264, seed=23),
    Recipe(
        "mjpeg.mov",
        "mjpeg",
        "motion JPEG",
        size=Size(480, 270),
        frames=25,
        coding=_JPEG,
        bit_rate=2_500_000,
        tolerance=6,
        seed=24,
    ),
    Recipe(
        "prores.mov",
        "prores_ks",
        "ProRes, 10 bits, 4:2:2",
        frames=12,
        coding=Coding("yuv422p10le"),
        options={"profile": "0"},
        seed=25,
    ),
    Recipe(
        "hevc-bt2020.mp4",
        "libx265",
        "the primaries of BT.2020, not HDR",
        frames=25,
        coding=_WIDE,
        options=_X265,
        codec_tag="hvc1",
        seed=26,
    ),
    Recipe(
        "hevc-hdr10.mp4",
        "libx265",
        "HDR10: PQ, graded at 1000 cd/m2; white lies at 203",
        frames=25,
        coding=_HDR10,
        options=_X265 | {"x265-params": f"{_X265['x265-params']}:{_MASTERED}:max-cll=1000,203"},
        codec_tag="hvc1",
        tolerance=_ROLLED_OFF,
        seed=27,
    ),
    Recipe(
        "hevc-hlg.mp4",
        "libx265",
        "HDR as broadcast: HLG; white lies at 203 cd/m2",
        frames=25,
        coding=_HLG,
        options=_X265,
        codec_tag="hvc1",
        tolerance=_ROLLED_OFF,
        seed=28,
    ),
)


def make_videos() -> Iterator[tuple[Sample, bytes]]:
    """Yields each video: what it is, and its bytes."""
    # The encoder of AV1 would chat on standard error.
    os.environ.setdefault("SVT_LOG", "1")
    with ThreadPoolExecutor() as pool:
        for recipe, data in zip(RECIPES, pool.map(make_clip, RECIPES), strict=True):
            yield describe(recipe, FOLDER), data
