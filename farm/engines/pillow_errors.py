"""Says what an error of Pillow's plug-ins means."""

import errno
import re
import struct
import zlib

from PIL import Image

from farm.engines import Source
from farm.errors import (
    CorruptError,
    FarmError,
    LimitError,
    SourceUnavailableError,
    TooManyPixelsError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.settings import Limits

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

PLUGIN_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    *BOMBS,
)
"""All that plug-ins raise at broken files, apart from MemoryError."""

_CUT = re.compile(
    r"truncat|not enough|unexpected end|too short|incomplete|\bEOF\b|end of (?:file|data)", re.I
)
_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|not implemented|unimplemented|not available|cannot handle",
    re.I,
)


def translated(
    error: Exception, source: Source, *, format_name: str, limits: Limits
) -> FarmError | MemoryError:
    """The farm's error for a plug-in's, which often tells its cause by its text only."""
    name, text = source.name, _text(error)
    if isinstance(error, BOMBS):
        pixels = re.search(r"\d+", text)
        return _too_large(source, f"{pixels[0] if pixels else 'too many'} pixels", limits=limits)
    # EINVAL comes from an offset in the file that points nowhere.
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return SourceUnavailableError(f"{name}: cannot be read: {text}")
    if "too large for PngImagePlugin" in text:
        return LimitError(f"{name}: {text.partition(' for ')[0]} for a text or colour profile")
    if "out of memory" in text:
        return MemoryError(f"{name}: {text}")
    return _kind(error, source, format_name)(
        f"{name}: Pillow cannot decode this {format_name}: {text[:300]}"
    )


def check_pixels(source: Source, size: Size, *, limits: Limits) -> None:
    """Raises TooManyPixelsError for a picture of more pixels than allowed."""
    if size.width * size.height > limits.image_pixels:
        raise _too_large(source, f"{size.width} x {size.height} pixels", limits=limits)


def _too_large(source: Source, what: str, *, limits: Limits) -> TooManyPixelsError:
    return TooManyPixelsError(
        f"{source.name}: {what}, more than the {limits.image_pixels} allowed for a picture"
    )


def _text(error: Exception) -> str:
    text = str(error).strip()
    if text == "not identified by this driver":
        return "the header gives no size or no kind of pixels"
    # A plug-in's error of these kinds carries a bare key or number; Pillow wraps it in SyntaxError.
    root = error.__cause__ or error
    return f"{type(root).__name__} {text}" if isinstance(root, LookupError) or not text else text


def _kind(error: Exception, source: Source, format_name: str) -> type[FarmError]:
    text = str(error)
    if isinstance(error, EOFError) or _CUT.search(text) or _is_cut(source, format_name):
        return TruncatedError
    if isinstance(error, NotImplementedError) or _UNKNOWN.search(text):
        return UnsupportedFormatError
    return CorruptError


def _is_cut(source: Source, format_name: str) -> bool:
    """Whether a RIFF or an ISO base media file ends before it says it does."""
    try:
        if format_name == "webp":
            source.file.seek(4)
            return 8 + int.from_bytes(source.file.read(4), "little") > source.size_bytes
        return format_name == "avif" and _boxes_end(source) > source.size_bytes
    except OSError:
        return False


def _boxes_end(source: Source) -> int:
    end = 0
    while True:
        source.file.seek(end)
        head = source.file.read(8)
        size = int.from_bytes(head[:4], "big")
        if len(head) < 8 or size < 8:
            return end
        end += size
