"""What light a decoded libav frame stands for: transfer, primaries and peak, or an error."""

import struct
from typing import cast

from av.video.frame import VideoFrame

from farm.errors import UnsupportedColorError
from farm.media import Primaries, Transfer

# By libav's numbers, which are those of ITU-T H.273. BT.601's primaries (5 and 6) lie so near those
# of BT.709 that everybody, and so we, shows the ones as the others.
_TRANSFERS = {16: Transfer.PQ, 18: Transfer.HLG}
_PRIMARIES = {9: Primaries.BT2020, 12: Primaries.P3}
_UNSPECIFIED = frozenset((0, 2))
_BT2020_MATRICES = frozenset((9, 10))
_UNKNOWN_COLORS = {14: "ICtCp", 15: "IPTPQc2"}

NOMINAL_PEAK_NITS = 1000.0
_MOST_NITS = 10_000.0

# AVMasteringDisplayMetadata (libavutil/mastering_display_metadata.h): ten fractions, of which the
# last is the greatest luminance, then whether primaries and luminances are known.
_MASTERING = struct.Struct("=18i2i2i")
# AVContentLightMetadata: MaxCLL and MaxFALL in cd/m2, 0 where unknown.
_LIGHT_LEVEL = struct.Struct("=2I")
# AVDOVIMetadata (libavutil/dovi_meta.h) begins with the offset of its AVDOVIRpuDataHeader.
_DOVI = struct.Struct("@N")
_RPU_PROFILE, _RPU_FULL_RANGE = 4, 10


def transfer_of(frame: VideoFrame) -> Transfer:
    """The transfer, as far as it changes what must be done."""
    return _TRANSFERS.get(frame.color_trc, Transfer.SDR)


def primaries_of(frame: VideoFrame) -> Primaries:
    """The primaries; where HDR or BT.2020's matrix comes without any, those of BT.2020."""
    if frame.color_primaries in _UNSPECIFIED:
        wide = frame.color_trc in _TRANSFERS or frame.colorspace in _BT2020_MATRICES
        return Primaries.BT2020 if wide else Primaries.BT709
    return _PRIMARIES.get(frame.color_primaries, Primaries.BT709)


def peak_nits_of(frame: VideoFrame) -> float:
    """The brightest light in cd/m2 that a PQ picture was made for; HLG's nominal peak for HLG.

    It is the lesser of MaxCLL and of what the mastering display could show, as far as the frame
    tells; without either 1000, for which most films are graded (ITU-R BT.2408, 2).
    """
    if transfer_of(frame) is not Transfer.PQ:
        return NOMINAL_PEAK_NITS
    told = (_most_content(frame), _most_mastered(frame))
    return min((nits for nits in told if 0 < nits <= _MOST_NITS), default=NOMINAL_PEAK_NITS)


def check_colors(frame: VideoFrame, *, name: str) -> None:
    """Raises UnsupportedColorError where showing the samples as any YCbCr would give wrong colours.

    That is Dolby Vision whose base layer means nothing by itself (profile 5, and AV1's 10.0), and
    ICtCp. The former is known by the frame's own metadata, as libav itself guesses the profile.
    """
    unknown = _UNKNOWN_COLORS.get(frame.colorspace)
    if unknown is None and _is_dolby_vision_only(frame):
        unknown = "Dolby Vision without a base layer (such as profile 5)"
    if unknown:
        raise UnsupportedColorError(
            f"{name}: its colours are {unknown}, which nothing here can turn into RGB; "
            "expected YCbCr or RGB, of HDR10, HLG or SDR"
        )


def _side_data(frame: VideoFrame, name: str) -> bytes:
    data = frame.side_data.get(name)
    return b"" if data is None else bytes(cast("bytes", data))


def _most_content(frame: VideoFrame) -> float:
    """MaxCLL; 0 where unknown."""
    data = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    return float(_LIGHT_LEVEL.unpack_from(data)[0]) if len(data) >= _LIGHT_LEVEL.size else 0.0


def _most_mastered(frame: VideoFrame) -> float:
    """The greatest luminance of the mastering display; 0 where unknown."""
    data = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if len(data) < _MASTERING.size:
        return 0.0
    *_, above, below, _, is_known = _MASTERING.unpack_from(data)
    return above / below if is_known and below > 0 else 0.0


def _is_dolby_vision_only(frame: VideoFrame) -> bool:
    """Source: `ff_dovi_guess_profile_hevc` in libavcodec/dovi_rpu.c."""
    data = _side_data(frame, "DOVI_METADATA")
    if len(data) < _DOVI.size:
        return False
    (header,) = _DOVI.unpack_from(data)
    rpu = data[header : header + _RPU_FULL_RANGE + 1]
    return len(rpu) > _RPU_FULL_RANGE and rpu[_RPU_PROFILE] == 0 and rpu[_RPU_FULL_RANGE] == 1
