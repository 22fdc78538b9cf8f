"""The formats by the names that requests have for them: extensions."""

from types import MappingProxyType

INPUT_FORMATS = MappingProxyType(
    {
        **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "jpeg"),
        **dict.fromkeys(("tiff", "tif"), "tiff"),
        **dict.fromkeys(("ppm", "pgm", "pbm", "pnm"), "ppm"),
        **{name: name for name in ("png", "gif", "webp", "bmp", "avif", "jp2", "j2k", "ico")},
        **{name: name for name in ("cur", "tga", "dds", "psd", "qoi", "icns", "pcx", "sgi")},
        **dict.fromkeys(("mp4", "m4v", "3gp", "3g2"), "mp4"),
        **dict.fromkeys(("mov", "qt"), "mov"),
        **dict.fromkeys(("ts", "mts", "m2ts"), "mpegts"),
        **dict.fromkeys(("mpg", "mpeg", "vob"), "mpegps"),
        **dict.fromkeys(("wmv", "asf"), "asf"),
        **dict.fromkeys(("ogv", "ogg"), "ogg"),
        **{name: name for name in ("webm", "avi", "flv", "mxf", "rm", "ivf", "y4m")},
        "mkv": "matroska",
        "m2v": "mpegvideo",
        "h264": "h264",
        "hevc": "hevc",
    }
)
"""Extension -> the format that `farm.sniff` tells, of those that are decoded here."""

OUTPUT_FORMATS = MappingProxyType({"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"})
"""Extension -> the farm's word."""


def unsupported(input_format: str | None, output_format: str) -> str:
    """What the API says of a conversion that it does not have."""
    return f"Converting {input_format or 'this file'} to {output_format} is not supported."
