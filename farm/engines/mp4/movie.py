"""What a movie header tells of its tracks, as plain values."""

from dataclasses import dataclass
from fractions import Fraction

from farm.geometry import Box, Size


@dataclass(frozen=True, slots=True)
class Color:
    """Colour tags by the numbers of ITU-T H.273, and the ICC profile; 2 is unspecified."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool | None = None
    icc: bytes = b""


@dataclass(frozen=True, slots=True)
class Hdr:
    """The contents of the boxes `mdcv` (or `SmDm`) and `clli` (or `CoLL`), empty where absent."""

    mastering: bytes = b""
    light_level: bytes = b""


@dataclass(frozen=True, slots=True)
class DolbyVision:
    """Dolby Vision's configuration record.

    `compatibility` tells as what the base layer may be shown by itself: 1 HDR10, 2 SDR, 4 HLG,
    0 as nothing at all.
    """

    profile: int
    level: int
    compatibility: int


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One description of samples (`stsd`).

    `fourcc` is that of the coded data: `avc1` also where the box is `encv`. `extradata` is what
    libavcodec wants: the content of avcC, hvcC, av1C, vpcC, or MPEG-4's DecoderSpecificInfo.
    `protection` is the scheme of encrypted samples, such as `cenc`, empty for clear ones.
    `clean_aperture` is the part that is shown, in pixels of the coded picture.
    """

    fourcc: str
    size: Size
    extradata: bytes = b""
    bits: int = 0
    data_reference: int = 1
    object_type: int = 0
    pixel_aspect: Fraction | None = None
    clean_aperture: Box | None = None
    color: Color | None = None
    hdr: Hdr = Hdr()
    dolby_vision: DolbyVision | None = None
    protection: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """One track, the `number`-th of the file; times are ticks of 1 / `timescale` seconds.

    `duration` is what is shown: the media's, or what the edit list leaves of it; 0 is unknown.
    `frame_count` samples last `media_duration`; both are 0 where samples stand in fragments only.
    `matrix` is the display matrix, row-major 16.16 (2.30 in the third column), and `orientation`
    the Exif code next to it. `pixel_aspect` is the container's, None where it has none.
    `is_picture` tells thumbnails of chapters from a video. `entries` are read for video only.
    """

    number: int
    id: int
    handler: str
    is_enabled: bool
    size: Size
    matrix: tuple[int, ...]
    orientation: int
    pixel_aspect: Fraction | None
    timescale: int
    duration: int
    media_duration: int
    frame_count: int
    is_picture: bool
    entries: tuple[SampleEntry, ...]

    @property
    def time_base(self) -> Fraction:
        """Seconds of one tick."""
        return Fraction(1, self.timescale)

    @property
    def average_rate(self) -> Fraction | None:
        """Frames a second; None where unknown."""
        if not self.media_duration:
            return None
        return Fraction(self.frame_count * self.timescale, self.media_duration)

    @property
    def is_video(self) -> bool:
        """Whether the samples are pictures of a video."""
        return self.handler == "vide" and not self.is_picture

    @property
    def protection(self) -> str:
        """The scheme that encrypts samples of any description; empty for none."""
        return next((entry.protection for entry in self.entries if entry.protection), "")


@dataclass(frozen=True, slots=True)
class Movie:
    """All tracks, in the order of the file."""

    tracks: tuple[Track, ...]
    major_brand: str
    is_fragmented: bool
