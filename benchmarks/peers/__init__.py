"""The other tools, each used in its best documented way; imported in child processes only."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module


class Way(StrEnum):
    """How a peer uses all cores: on its own, or as so many threads or processes as there are."""

    THREADS = "threads"
    PROCESSES = "processes"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Request:
    """What a peer is asked: `units` times all pictures of one file.

    `source` is a path or an address, `moments` are in seconds, `size` the box to fit in; `workers`
    is the number of cores, `scratch` an empty folder.
    """

    work: str
    source: str
    moments: tuple[float, ...]
    width: int
    height: int
    format: str
    quality: int
    units: int
    workers: int
    scratch: str


@dataclass(frozen=True, slots=True)
class Done:
    """What one unit gave; `frames` and `seconds` where the peer itself counts them."""

    pictures: int
    frames: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool: `prepare` turns a request into the function for one unit, by its number."""

    version: str
    way: Way
    prepare: Callable[[Request], Callable[[int], Done]]


_PEERS = {
    "sharp": "still_tools:sharp",
    "vipsthumbnail": "still_tools:vipsthumbnail",
    "pyvips": "still_libraries:pyvips_thumbnail",
    "pillow": "still_libraries:pillow_draft",
    "opencv": "still_libraries:opencv_reduced",
    "ffmpeg-key": "ffmpeg:system_key",
    "ffmpeg9-key": "ffmpeg:bundled_key",
    "ffmpeg-exact": "ffmpeg:system_exact",
    "ffmpeg9-exact": "ffmpeg:bundled_exact",
    "ffmpeg-skip": "ffmpeg:system_skip",
    "ffmpeg9-skip": "ffmpeg:bundled_skip",
    "ffmpeg-discard": "ffmpeg:system_discard",
    "ffmpeg9-discard": "ffmpeg:bundled_discard",
    "ffmpegthumbnailer": "ffmpeg:thumbnailer",
    "pyav-key": "pyav:keyframes",
    "pyav-exact": "pyav:exact",
    "decord-key": "decord:keyframes",
    "decord-exact": "decord:exact",
    "torchcodec": "torchcodec:approximate",
    "bare": "bare:decode",
}


def names() -> tuple[str, ...]:
    """All peers, present or not."""
    return tuple(_PEERS)


def load(name: str) -> Peer:
    """The peer of that name; raises ImportError or FileNotFoundError where it is absent."""
    module, _, function = _PEERS[name].partition(":")
    make: Callable[[], Peer] = getattr(import_module(f"{__name__}.{module}"), function)
    return make()
