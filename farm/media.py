"""What is known of a media file: its kind, format, stream facts and colour tags."""

from dataclasses import dataclass, field
from enum import StrEnum

from farm.geometry import Size

# Names by which people know a format, and formats so near each other that people mix them up.
_FAMILIES = {
    "jpeg": ("jpg", "jpe", "jfif"),
    "tiff": ("tif",),
    "heic": ("heif",),
    "ppm": ("pbm", "pgm", "pnm", "pam"),
    "mp4": ("mov", "qt", "m4v", "3gp", "3g2"),
    "matroska": ("mkv", "webm"),
    "mpegts": ("ts", "mts", "m2ts"),
    "mpegps": ("mpg", "mpeg", "vob", "mpegvideo"),
    "asf": ("wmv",),
    "ogg": ("ogv",),
}
_FAMILY_OF = {name: family for family, names in _FAMILIES.items() for name in names}


class MediaKind(StrEnum):
    """What sort of thing a source is."""

    IMAGE = "image"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """A file format as its first bytes tell it; `name` is lower case: `jpeg`, `mp4`, `matroska`."""

    kind: MediaKind
    name: str

    def is_called(self, name: str) -> bool:
        """Whether people may mean this format by `name`, such as an extension of its family."""
        name = name.lower()
        return _FAMILY_OF.get(name, name) == _FAMILY_OF.get(self.name, self.name)


class Matrix(StrEnum):
    """The YCbCr matrix of a picture; `rgb` where the planes are R, G and B already."""

    BT601 = "bt601"
    BT709 = "bt709"
    BT2020 = "bt2020"
    SMPTE240M = "smpte240m"
    FCC = "fcc"
    YCGCO = "ycgco"
    RGB = "rgb"


class Transfer(StrEnum):
    """The transfer function, as far as it changes what must be done."""

    SDR = "sdr"
    PQ = "pq"
    HLG = "hlg"


class Primaries(StrEnum):
    """The primaries of a picture; those of BT.601 count as BT.709's, which they nearly are."""

    BT709 = "bt709"
    BT2020 = "bt2020"
    P3 = "p3"


class Siting(StrEnum):
    """Where a subsampled chroma sample lies among its luma samples."""

    LEFT = "left"
    CENTER = "center"
    TOP_LEFT = "top_left"


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How decoded planes become RGB. Tags come from the decoded frame, not from the container.

    `peak_nits` is the brightest light in cd/m2 that a picture of an HDR transfer was made for.
    """

    matrix: Matrix = Matrix.RGB
    full_range: bool = True
    transfer: Transfer = Transfer.SDR
    siting: Siting = Siting.LEFT
    bits: int = 8
    primaries: Primaries = Primaries.BT709
    peak_nits: float = 1000.0


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a probe tells of a source, without decoding.

    `size` is the coded size; `orientation` (Exif code 1 to 8) and `pixel_aspect` (width of a pixel
    over its height) turn it into the shown one. Video only: `start_seconds` is the pts of the first
    frame, `duration_seconds` the stream's length, both 0 where unknown; `average_fps` 0 likewise.
    """

    kind: MediaKind
    format: str
    codec: str
    size: Size
    orientation: int = 1
    pixel_aspect: float = 1.0
    start_seconds: float = 0.0
    duration_seconds: float = 0.0
    average_fps: float = 0.0
    frame_count: int = 1
    warnings: tuple[str, ...] = field(default=())

    @property
    def shown_size(self) -> Size:
        """The size as shown, with pixel aspect and orientation applied."""
        width, height = max(1, round(self.size.width * self.pixel_aspect)), self.size.height
        return Size(height, width) if self.orientation >= 5 else Size(width, height)
