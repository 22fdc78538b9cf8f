"""The ffmpeg command, of the system and of a Python wheel, and ffmpegthumbnailer."""

import re
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.peers.command import count_pictures, first_line, run

_QUIET = ["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
# About what quality 80 is to others.
_QUALITY = ["-q:v", "4"]
_Words = Callable[[Request, float], list[str]]


def _system() -> str:
    if (found := shutil.which("ffmpeg")) is None:
        raise FileNotFoundError("no command ffmpeg")
    return found


def _bundled() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _version(program: str) -> str:
    found = re.search(r"version n?(\S+)", first_line([program, "-version"]))
    return found[1] if found else "unknown"


def _passthrough(program: str) -> list[str]:
    is_old = _version(program).partition(".")[0] in ("4", "5")
    return ["-vsync", "0"] if is_old else ["-fps_mode", "passthrough"]


def _scale(request: Request) -> list[str]:
    box = f"{request.width}:{request.height}"
    return ["-vf", f"scale={box}:force_original_aspect_ratio=decrease"]


def _one_each(program: str, before: list[str], after: list[str]) -> Peer:
    """One command for each moment."""

    def unit(request: Request, _: int) -> Done:
        out = Path(request.scratch) / f"{threading.get_ident()}.jpg"
        pictures = 0
        for moment in request.moments:
            where = [*before, "-ss", f"{moment:.3f}", "-i", request.source, "-frames:v", "1"]
            run([program, *_QUIET, *where, *after, *_scale(request), *_QUALITY, str(out)])
            pictures += count_pictures([out])
        return Done(pictures)

    return Peer(_version(program), Way.THREADS, lambda request: partial(unit, request))


def _key(program: str) -> Peer:
    before = ["-skip_frame", "nokey", "-noaccurate_seek", "-threads", "1"]
    return _one_each(program, before, _passthrough(program))


def _board(program: str, before: list[str]) -> Peer:
    """One command for all moments, which lie evenly."""

    def unit(request: Request, number: int) -> Done:
        folder = Path(request.scratch) / str(number)
        folder.mkdir()
        step = request.moments[1] - request.moments[0]
        box = f"{request.width}:{request.height}"
        filters = [
            "-vf",
            f"fps=1/{step:g}:round=up,scale={box}:force_original_aspect_ratio=decrease",
        ]
        out = ["-frames:v", str(len(request.moments)), str(folder / "%04d.jpg")]
        run([program, *_QUIET, *before, "-threads", "1", "-i", request.source, *filters,
             *_QUALITY, *out])  # fmt: skip
        pictures = count_pictures(sorted(folder.iterdir()))
        folder.rmdir()
        return Done(pictures)

    return Peer(_version(program), Way.THREADS, lambda request: partial(unit, request))


_SKIP = ["-skip_frame", "nokey"]
_DISCARD = ["-discard", "nokey", "-skip_frame", "nokey"]


def system_key() -> Peer:
    """Keyframes by the system's ffmpeg."""
    return _key(_system())


def bundled_key() -> Peer:
    """Keyframes by the newer ffmpeg of a wheel."""
    return _key(_bundled())


def system_exact() -> Peer:
    """Exact frames by the system's ffmpeg."""
    return _one_each(_system(), ["-threads", "1"], [])


def bundled_exact() -> Peer:
    """Exact frames by the newer ffmpeg."""
    return _one_each(_bundled(), ["-threads", "1"], [])


def system_skip() -> Peer:
    """All keyframes in one command, the others read and skipped."""
    return _board(_system(), _SKIP)


def bundled_skip() -> Peer:
    """The same by the newer ffmpeg."""
    return _board(_bundled(), _SKIP)


def system_discard() -> Peer:
    """All keyframes in one command, the others discarded by the demuxer."""
    return _board(_system(), _DISCARD)


def bundled_discard() -> Peer:
    """The same by the newer ffmpeg."""
    return _board(_bundled(), _DISCARD)


def thumbnailer() -> Peer:
    """ffmpegthumbnailer, which takes keyframes near a moment."""
    program = shutil.which("ffmpegthumbnailer")
    if program is None:
        raise FileNotFoundError("no command ffmpegthumbnailer")

    def unit(request: Request, _: int) -> Done:
        out = Path(request.scratch) / f"{threading.get_ident()}.jpg"
        pictures = 0
        for moment in request.moments:
            minutes, seconds = divmod(int(moment), 60)
            clock = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
            size = str(max(request.width, request.height))
            run([program, "-i", request.source, "-o", str(out), "-s", size, "-t", clock, "-q", "8",
                 "-c", "jpeg"])  # fmt: skip
            pictures += count_pictures([out])
        return Done(pictures)

    version = first_line([program, "-v"]).rpartition(" ")[2]
    return Peer(version, Way.THREADS, lambda request: partial(unit, request))
