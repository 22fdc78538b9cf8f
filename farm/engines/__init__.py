"""Engines: one file each, and the registry that loads them on first use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, Protocol, cast

from farm.errors import EngineUnavailableError, InvalidEntryError, UnsupportedFormatError
from farm.geometry import Box, Size
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.range_file import ReadAt, read_beyond
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Fidelity

if TYPE_CHECKING:
    from farm.engines.frame import FrameBatch


Device = Literal["cpu", "cuda"]
"""What a lane has to work with; a lane of a GPU has one, the first that it sees."""


class PassedOnError(UnsupportedFormatError):
    """An engine that takes only the plain files of a format leaves this one to the next.

    That is how the two share the work, not a fallback.
    """


@dataclass(frozen=True, slots=True)
class Source:
    """One entry's bytes inside a lane: a seekable binary file, its size, its name for messages.

    `file` is for readers that hop about and go on from there: of a remote source it reads more than
    it is asked for. `head` are the first bytes, where they are known already.
    """

    file: BinaryIO
    size_bytes: int
    name: str
    head: bytes = b""
    ranges: ReadAt | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, fewer only at the end, by one read or one request beyond the head.

        Where `file` stands afterwards is undefined.
        """
        return read_beyond(self.head, self.ranges or self._read_file, offset, length)

    def _read_file(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(length)


@dataclass(frozen=True, slots=True)
class Wish:
    """What all pictures of a source need of their frames; a decoder may give more.

    `at_least` is the smallest coded size that serves: a decoder may shrink on load down to it.
    `fidelity` and `previews` permit what the output fields of these names say. `region` is the part
    of the coded picture, in its pixels before it is turned, outside of which nothing is looked at:
    a decoder may leave the rest out. None stands for all of it, or for what only frames can tell.
    `salvage` permits what is left of a damaged picture, with a warning.
    """

    at_least: Size | None = None
    fidelity: Fidelity = Fidelity.BALANCED
    previews: bool = False
    region: Box | None = None
    salvage: bool = True


class Decoder(Protocol):
    """One opened source."""

    @property
    def info(self) -> MediaInfo:
        """What the probe tells; decodes nothing."""

    @property
    def notes(self) -> dict[str, int | float | str]:
        """Facts for the record, such as `packets_fed` or `frames_decoded`, up to now."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the result, up to now, such as `position_past_end`."""

    def frames(self, targets: Sequence[Target], wish: Wish) -> "Iterator[FrameBatch]":
        """Yields the pictures for the targets, each target answered exactly once, in any order.

        A decoder that knows none of the shortcuts that the wish permits ignores it. Raises a
        MediaError where a target cannot be answered.
        """

    def close(self) -> None:
        """Frees what the decoder holds; the source's file stays open."""


class Engine(Protocol):
    """One way to decode."""

    name: ClassVar[str]
    kinds: ClassVar[frozenset[MediaKind]]
    device: ClassVar[str]

    @property
    def version(self) -> str:
        """The version of the library behind it."""

    def open(self, source: Source, *, media_format: MediaFormat, limits: Limits) -> Decoder:
        """Opens a source; raises a MediaError where it is none of the engine's formats."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    kinds: frozenset[MediaKind]
    hint: str
    formats: frozenset[str] | None = None  # None: any format of its kinds
    device: Device = "cpu"  # where it is worth choosing; by name it serves anywhere

    def takes(self, media_format: MediaFormat, device: Device) -> bool:
        if self.device != "cpu" and self.device != device:
            return False
        known = self.formats is None or media_format.name in self.formats
        return known and media_format.kind in self.kinds


_IMAGE = frozenset({MediaKind.IMAGE})
_VIDEO = frozenset({MediaKind.VIDEO})

# In order of preference. `synthetic` serves only its own format.
_ENGINES = {
    # By default only what the library decodes on the GPU itself.
    "nvimgcodec": _Entry(
        "farm.engines.nvimgcodec:NvImageCodecEngine",
        _IMAGE,
        "pip install 'nvidia-nvimgcodec-cu13[all]>=0.9'",
        formats=frozenset({"jpeg", "tiff"}),
        device="cuda",
    ),
    "nvdec": _Entry(
        "farm.engines.nvdec:NvdecEngine",
        _VIDEO,
        "pip install 'pynvvideocodec>=2.2', and a driver of NVIDIA's that includes video",
        formats=frozenset({"mov", "mp4"}),
        device="cuda",
    ),
    "turbojpeg": _Entry(
        "farm.engines.turbojpeg:TurboJpegEngine",
        _IMAGE,
        "pip install 'simplejpeg>=1.8'",
        formats=frozenset({"jpeg"}),
    ),
    "fastpng": _Entry(
        "farm.engines.fastpng:FastPngEngine",
        _IMAGE,
        "pip install 'isal>=1.7' 'av>=16'",
        formats=frozenset({"png"}),
    ),
    "fastwebp": _Entry(
        "farm.engines.fastwebp:FastWebpEngine",
        _IMAGE,
        "pip install 'av>=16'",
        formats=frozenset({"webp"}),
    ),
    "pillow": _Entry("farm.engines.pillow:PillowEngine", _IMAGE, "pip install 'pillow>=12'"),
    "torchcodec": _Entry(
        "farm.engines.torchcodec:TorchcodecEngine",
        _VIDEO,
        "pip install 'torchcodec>=0.17', and FFmpeg 4 to 9 with its shared libraries",
        device="cuda",
    ),
    "dali": _Entry(
        "farm.engines.dali:DaliEngine",
        _IMAGE | _VIDEO,
        "pip install 'nvidia-dali-cuda130>=2.4', which has wheels for Linux on x86-64 only",
        formats=frozenset({"jpeg", "jp2", "j2k", "tiff", "avi", "matroska", "mov", "mp4", "webm"}),
        device="cuda",
    ),
    "pyav": _Entry("farm.engines.pyav:PyAVEngine", _VIDEO, "pip install 'av>=16'"),
    "decord": _Entry(
        "farm.engines.decord:DecordEngine",
        _VIDEO,
        "pip install 'decord>=0.6', which has wheels for Linux on x86-64 only",
    ),
    "synthetic": _Entry(
        "farm.engines.synthetic:SyntheticEngine", frozenset(), "it comes with thumbfarm"
    ),
}


def names() -> tuple[str, ...]:
    """All engines, whether they can be loaded or not, in order of preference."""
    return tuple(_ENGINES)


@cache
def load(name: str) -> Engine:
    """The engine of that name, imported on first use and kept.

    Raises InvalidEntryError for a name that is unknown everywhere, and EngineUnavailableError where
    this machine cannot import the engine's library.
    """
    if name not in _ENGINES:
        raise InvalidEntryError(
            f"expected engine to be one of {', '.join(_ENGINES)}; received {name!r}"
        )
    entry = _ENGINES[name]
    module, _, attribute = entry.path.partition(":")
    try:
        engine = getattr(import_module(module), attribute)()
    # OSError and RuntimeError: a native library that is missing or refuses this machine.
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailableError(
            f"engine {name} cannot be loaded: {error}; to install: {entry.hint}"
        ) from error
    return cast(Engine, engine)


def candidates(media_format: MediaFormat, *, device: Device = "cpu") -> tuple[str, ...]:
    """The engines to try for a format where the caller named none, best first.

    A lane of a GPU has those of the CPU behind its own.
    """
    if media_format.name == "synthetic":
        return ("synthetic",)
    return tuple(name for name, entry in _ENGINES.items() if entry.takes(media_format, device))


def available() -> dict[str, str]:
    """Each engine's version, or the reason why it cannot be loaded."""
    found = {}
    for name in _ENGINES:
        try:
            found[name] = load(name).version
        except EngineUnavailableError as error:
            found[name] = str(error)
    return found
