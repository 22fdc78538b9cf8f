"""Which stills the `dali` engine takes, by their headers: opaque ones of 8 bits, gray or RGB."""

import io

from PIL import Image

from farm.engines import still_header
from farm.engines.pillow_errors import PLUGIN_ERRORS
from farm.engines.prefix import Prefix
from farm.engines.profile import ProfileError, needed_profile
from farm.engines.still import OddError
from farm.engines.still_header import StillHeader
from farm.geometry import Size

# Formats whose headers Pillow's plug-ins read. No PPM: of values up to another maximum than 255,
# DALI makes wrong pixels.
_PLUGINS = {"j2k": "JPEG2000", "jp2": "JPEG2000"}

FORMATS = frozenset({*still_header.FORMATS, *_PLUGINS})
"""The formats that are taken, as they are sniffed."""


def read_header(data: Prefix, *, format_name: str) -> StillHeader:
    """The header of a still; raises OddError for what DALI would show wrong, or not at all."""
    if plugin := _PLUGINS.get(format_name):
        return _by_pillow(data, plugin)
    header = still_header.read_header(data, format_name=format_name)
    if header.has_alpha:
        raise OddError("has transparency, which DALI drops")
    return header


def _by_pillow(data: Prefix, plugin: str) -> StillHeader:
    try:
        # The plug-in itself: `Image.open` would heed settings that all threads share.
        picture = Image.OPEN[plugin][0](io.BytesIO(data.all()), "")
        size, mode, info = Size(*picture.size), picture.mode, picture.info
    except PLUGIN_ERRORS as error:
        raise OddError(f"has a header that Pillow cannot read: {error}") from error
    if mode not in ("L", "RGB"):
        raise OddError(f"has pixels of the kind {mode}")
    try:
        profile = needed_profile(info.get("icc_profile"), mode)
    except ProfileError as error:
        raise OddError("has a profile of no use") from error
    return StillHeader(size, lambda _: None, profile=profile)
