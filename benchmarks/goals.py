"""What is to be reached: how many times faster than each peer, and how near to the limit."""

from collections.abc import Mapping

SPEED: Mapping[str, Mapping[str, float]] = {
    "12mp": {"sharp": 1.2, "pyvips": 1.5, "pillow": 1.5, "vipsthumbnail": 1.8},
    "2mp-jpg": {"sharp": 2.0, "pyvips": 2.3},
    "2mp-png": {"sharp": 2.0, "pyvips": 2.3},
    "2mp-webp": {"sharp": 1.2, "pyvips": 1.5},
    "progressive": {"sharp": 5.0, "pyvips": 4.5},
    "png-source": {"sharp": 1.0, "pyvips": 1.0, "vipsthumbnail": 1.0, "pillow": 1.0, "opencv": 1.0},
    "webp-source": {"sharp": 1.0, "pyvips": 1.0, "vipsthumbnail": 1.0, "pillow": 1.0,
                    "opencv": 1.0},
    "one-key": {"ffmpeg9-key": 3.0, "ffmpeg-key": 3.0, "ffmpegthumbnailer": 3.0,
                "decord-key": 2.0},
    "one-key-20min": {"ffmpegthumbnailer": 8.0},
    "one-key-hevc": {"ffmpeg9-key": 1.5, "ffmpeg-key": 1.5},
    "ten-keys": {"ffmpegthumbnailer": 5.5, "ffmpeg9-key": 6.0, "ffmpeg-key": 6.0,
                 "pyav-key": 2.5},
    "storyboard": {"ffmpeg9-discard": 1.6, "ffmpeg-discard": 1.6, "ffmpeg9-skip": 3.0,
                   "ffmpeg-skip": 3.0, "decord-key": 1.5},
    "ten-exact": {"pyav-exact": 1.4, "torchcodec": 1.7, "ffmpeg9-exact": 2.0,
                  "ffmpeg-exact": 2.0, "decord-exact": 1.9},
}  # fmt: skip
"""By group, then peer: the least number of times that thumbfarm is faster."""

MOST_OVER_LIMIT = 1.35
"""How much CPU a thumbnail may cost, in times of its bare decoding."""

MOST_OVER_LIMIT_OF: Mapping[str, float] = {
    "one-key/h264-1080p-2s": 1.2,
    "one-key/h264-1080p-10s": 1.2,
    "12mp/12mp.jpg": 1.2,
}

MOST_REMOTE_EXTRA_BYTES = 64 * 1024
MOST_REMOTE_REQUESTS = 4
