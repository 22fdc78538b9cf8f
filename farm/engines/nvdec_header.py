"""What a video engine that says nothing of its pictures leaves to be read in the stream itself."""

from collections.abc import Sequence
from functools import lru_cache

from av.video.frame import VideoFrame

from farm.engines.annexb import BitstreamError, Config, messages_of
from farm.engines.mp4 import Color
from farm.engines.pyav_frames import color_of
from farm.engines.sps import UNSPECIFIED, SequenceHeader, read_sequence
from farm.media import ColorTags

# Messages (SEI) that change what is shown, by their payload types (H.264, D.1; H.265, D.2).
_MESSAGES = {
    19: "film grain to be added",
    47: "an orientation of its own",
    147: "another transfer function",
}
_LAYOUTS = {1: "yuv420p", 3: "yuv444p"}
_DEPTHS = (8, 10, 12)
_PQ = 16
# Matrices of ITU-T H.273 that are no Y'CbCr: RGB, ICtCp and IPT-PQ-C2.
_NO_YCBCR = frozenset((0, 14, 15))
_LIMITED, _FULL = 1, 2


def header_of(config: Config, *samples: Sequence[bytes]) -> SequenceHeader:
    """What the parameter sets of the record and of samples agree on.

    Raises BitstreamError where there are none, or they describe different pictures.
    """
    syntax = config.syntax
    headers = {
        read_sequence(syntax, unit)
        for units in (config.units, *samples)
        for unit in units
        if syntax.kind_of(unit) == syntax.sequence
    }
    if len(headers) != 1:
        raise BitstreamError(f"expected one description of the pictures; received {len(headers)}")
    return headers.pop()


def check_start(units: Sequence[bytes], config: Config) -> None:
    """Raises BitstreamError for a keyframe that cannot be decoded and shown just by itself."""
    syntax = config.syntax
    kinds = [syntax.kind_of(unit) for unit in units]
    if syntax.starts.isdisjoint(kinds):
        raise BitstreamError("a keyframe with which decoders do not begin")
    if not syntax.enhancements.isdisjoint(kinds):
        raise BitstreamError("layers beside the plain pictures, such as Dolby Vision's")
    for unit in (*config.units, *units):
        if syntax.kind_of(unit) == syntax.message:
            for message in _MESSAGES.keys() & set(messages_of(unit, syntax)):
                raise BitstreamError(f"the stream tells of {_MESSAGES[message]}")


def check_header(header: SequenceHeader, *, codec: str, told: Color | None) -> None:
    """Raises BitstreamError for pictures that would not come out as they are to be shown.

    Colour tags that only the container tells are `told`.
    """
    if header.chroma not in _LAYOUTS or header.bits not in _DEPTHS:
        raise BitstreamError(
            f"chroma_format_idc {header.chroma} with {header.bits} bits; expected 4:2:0 or 4:4:4 "
            f"({', '.join(map(str, _LAYOUTS))}) with one of {', '.join(map(str, _DEPTHS))} bits"
        )
    if not header.is_progressive:
        raise BitstreamError("pictures that may be coded as two fields")
    if header.origin != (0, 0):
        raise BitstreamError(f"what is shown begins at {header.origin} of the coded picture")
    (_, transfer, matrix), _ = _tags(header, codec, told)
    if transfer == _PQ:
        raise BitstreamError("PQ, whose brightness only messages in the stream tell")
    if matrix in _NO_YCBCR:
        raise BitstreamError(f"samples that are no YCbCr (matrix {matrix})")


@lru_cache(maxsize=256)
def color_of_header(header: SequenceHeader, *, codec: str, told: Color | None) -> ColorTags:
    """The colour tags, by the very rules for libav's frames: of one that has these and no content.

    `told` are those of the container.
    """
    layout = _LAYOUTS[header.chroma] + (f"{header.bits}le" if header.bits > 8 else "")
    frame = VideoFrame(2, header.shown.height, layout)
    tags, full_range = _tags(header, codec, told)
    frame.color_primaries, frame.color_trc, frame.colorspace = tags
    frame.color_range = 0 if full_range is None else (_FULL if full_range else _LIMITED)
    return color_of(frame, codec)


def _tags(
    header: SequenceHeader, codec: str, told: Color | None
) -> tuple[tuple[int, int, int], bool | None]:
    """Primaries, transfer and matrix, and the range, as libavcodec's decoders take them.

    That of H.264 keeps the container's where the stream tells nothing, that of HEVC does not.
    """
    tags, full_range = header.signal.tags, header.signal.full_range
    if codec == "hevc" or told is None:
        return tags or (UNSPECIFIED,) * 3, bool(full_range) if codec == "hevc" else full_range
    return (
        tags or (told.primaries, told.transfer, told.matrix),
        told.full_range if full_range is None else full_range,
    )
