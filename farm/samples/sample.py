"""What is known of one file of the archive: enough to tell a right thumbnail from a wrong one."""

from dataclasses import dataclass
from enum import StrEnum


class Patches(StrEnum):
    """Which flat colours the card of a sample shows after a right decode."""

    COLOR = "color"
    GRAY = "gray"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file: `path` below the archive's folder, and what a reader must find in it.

    `width` and `height` are the coded size; `orientation` (an Exif code) and `pixel_aspect` turn it
    into `shown_width` and `shown_height`. `first_number` is the number on the frame that is shown
    at `start_seconds`, None where the picture carries none; the frames after it count up by one.
    `patch_tolerance` bounds the error of a channel, 0 to 255. `error` is the code that the file
    must fail with; where it is empty the file must succeed. `start_seconds` is None where the
    container decides it; `frame_seconds` lists the times of frames that are not evenly spaced.
    """

    path: str
    kind: str
    codec: str = ""
    width: int = 0
    height: int = 0
    shown_width: int = 0
    shown_height: int = 0
    orientation: int = 1
    pixel_aspect: float = 1.0
    first_number: int | None = None
    patches: Patches = Patches.NONE
    patch_tolerance: int = 0
    start_seconds: float | None = 0.0
    duration_seconds: float = 0.0
    fps: float = 0.0
    frame_count: int = 1
    frame_seconds: tuple[float, ...] = ()
    error: str = ""
    note: str = ""
