"""Opening a video with libavformat: by a known demuxer, fast where that is safe, within limits."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NoReturn, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from farm.engines import Source
from farm.engines.mp4_matrix import track_orientation
from farm.engines.pyav_errors import heard
from farm.errors import (
    NoVideoStreamError,
    RefusedFormatError,
    TooLongError,
    TooManyPixelsError,
    TooManyStreamsError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.settings import Limits

_DEMUXERS = {
    "asf": "asf",
    "avi": "avi",
    "flv": "flv",
    "h264": "h264",
    "hevc": "hevc",
    "ivf": "ivf",
    "matroska": "matroska",
    "mov": "mov",
    "mp4": "mov",
    "mpegps": "mpeg",
    "mpegts": "mpegts",
    "mpegvideo": "mpegvideo",
    "mxf": "mxf",
    "ogg": "ogg",
    "rm": "rm",
    "webm": "matroska",
    "y4m": "yuv4mpegpipe",
}
# A transport stream needs its programme table, which these packets nearly always hold; other
# formats tell their streams in their header.
_FAST_PROBE_BYTES = {
    "mov": 32,
    "matroska": 32,
    "avi": 32,
    "flv": 1_000_000,
    "mpegts": 188 * 2000,
}
# Their headers tell all that decoders could. VP9's decodes a frame whatever it is told, and Flash's
# streams are found too late to be told anything.
_WITHOUT_DECODERS = frozenset(("flv", "matroska"))
_PLAIN_PROBE = {"probesize": "5000000", "analyzeduration": "5000000"}
# Measured from 32 to 512 KiB: the time of a local thumbnail is the same, a transport stream takes
# ever fewer reads (413, 225, 130, 84, 57), and a small MP4 ever more bytes.
_BUFFER_BYTES = 128 << 10
# How long the cause of a failure may take to be told, where other threads open files meanwhile.
_LOG_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Opened:
    """An open container and its chosen video stream."""

    container: InputContainer
    stream: VideoStream
    demuxer: str
    fast: bool


def open_video(source: Source, *, media_format: MediaFormat, limits: Limits) -> Opened:
    """Opens the source's best video stream, decoding nothing.

    libavformat's own probing decodes frames; where the header says all, it is kept from that. What
    such an open leaves unknown sends the file through a plain, bounded one.
    """
    demuxer = _DEMUXERS.get(media_format.name)
    if demuxer is None:
        raise UnsupportedFormatError(
            f"{source.name}: expected one of {', '.join(sorted(_DEMUXERS))}; "
            f"received {media_format.name}"
        )
    opened = _open_heard(source, demuxer, limits)
    _check(opened, source.name, limits)
    for stream in opened.container.streams:
        stream.discard = Discard.default if stream is opened.stream else Discard.all
    return opened


def _open_heard(source: Source, demuxer: str, limits: Limits) -> Opened:
    """Opens it; where that fails, what libav logged tells why, and is waited for if need be."""
    with heard() as is_heard:
        try:
            return _open_any(source, demuxer, limits)
        except FFmpegError:
            if is_heard:
                raise
    with heard(patience_seconds=_LOG_SECONDS):
        return _open_any(source, demuxer, limits)


def _open_any(source: Source, demuxer: str, limits: Limits) -> Opened:
    opened = _open_fast(source, demuxer, limits)
    if opened is not None:
        return opened
    container = _open(source, demuxer, _PLAIN_PROBE, streams=0)
    return Opened(container, _choose(container, source.name), demuxer, fast=False)


def _open_fast(source: Source, demuxer: str, limits: Limits) -> Opened | None:
    probe_bytes = _FAST_PROBE_BYTES.get(demuxer)
    if probe_bytes is None:
        return None
    options = {"probesize": str(probe_bytes), "analyzeduration": "0"}
    streams = limits.streams
    if demuxer in _WITHOUT_DECODERS:
        options["codec_whitelist"], streams = "none", 0
    try:
        # The number of streams is not known yet, and options beyond it do no harm.
        container = _open(source, demuxer, options, streams=streams)
    except ValueError:
        return None
    candidates = _candidates(container)
    if candidates:
        stream = max(candidates, key=_worth)
        timed = stream.duration is not None or container.duration is not None
        if timed and stream.codec_context is not None and stream.codec_context.width > 0:
            return Opened(container, stream, demuxer, fast=True)
    container.close()
    return None


def _open(source: Source, demuxer: str, options: dict[str, str], *, streams: int) -> InputContainer:
    source.file.seek(0)
    # Without its name, the file is nothing but bytes to libavformat. The white lists hold for the
    # demuxers that a demuxer opens for embedded text.
    # A read that ends early, as `read1` may, is no more than libavformat has to know by then.
    read = source.file.read1  # type: ignore[attr-defined]  # buffered files have it
    file = SimpleNamespace(read=read, seek=_seeker(source), tell=source.file.tell)
    guards = {"format_whitelist": av.ContainerFormat(demuxer, "r").name, "protocol_whitelist": ""}
    container: InputContainer = av.open(
        file,
        mode="r",
        format=demuxer,
        container_options=options | guards,
        # PyAV takes a list of dicts here, whatever its stubs say.
        stream_options=cast("list[str]", [{"skip_frame": "all"}] * streams),
        buffer_size=_BUFFER_BYTES,
        metadata_errors="replace",
        io_open=_refuse(source.name),
    )
    return container


def _seeker(source: Source) -> Callable[[int, int], int]:
    def seek(offset: int, whence: int) -> int:
        # Demuxers of damaged files go before the start, for Python an exception.
        try:
            return source.file.seek(offset, whence)
        except ValueError:
            return -errno.EINVAL
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL

    return seek


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
        raise RefusedFormatError(f"{name}: the file asks for another one, {url[:100]!r}")

    return refuse


def _candidates(container: InputContainer) -> list[VideoStream]:
    """The video streams that are not pictures attached to something else, such as cover art."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & pictures]


def _worth(stream: VideoStream) -> tuple[bool, bool, int, int]:
    codec = stream.codec_context
    pixels = codec.width * codec.height if codec is not None else 0
    default = bool(stream.disposition & Disposition.default)
    return codec is not None, default, pixels, -stream.index


def _choose(container: InputContainer, name: str) -> VideoStream:
    candidates = _candidates(container)
    if candidates:
        return max(candidates, key=_worth)
    kinds = sorted({stream.type for stream in container.streams})
    container.close()
    found = f"only {', '.join(kinds)}" if kinds else "no stream at all"
    raise NoVideoStreamError(f"{name}: no video stream, {found}")


def _check(opened: Opened, name: str, limits: Limits) -> None:
    codec = opened.stream.codec_context
    check_streams(len(opened.container.streams), name=name, limits=limits)
    if codec is None:
        raise UnsupportedFormatError(f"{name}: no decoder for the codec of its video stream")
    check_size(Size(codec.width, codec.height), name=name, limits=limits)


def check_streams(count: int, *, name: str, limits: Limits) -> None:
    """Raises TooManyStreamsError for too many streams."""
    if count > limits.streams:
        raise TooManyStreamsError(
            f"{name}: {count} streams, more than the {limits.streams} allowed"
        )


def check_size(size: Size, *, name: str, limits: Limits) -> None:
    """Raises TooManyPixelsError for frames of too many pixels."""
    pixels = size.width * size.height
    if pixels > limits.frame_pixels:
        raise TooManyPixelsError(
            f"{name}: frames of {size.width}x{size.height} = {pixels} pixels, "
            f"more than the {limits.frame_pixels} allowed"
        )


def check_duration(seconds: float, *, name: str, limits: Limits) -> None:
    """Raises TooLongError for a video that is too long."""
    if seconds > limits.duration_seconds:
        raise TooLongError(
            f"{name}: a video of {seconds:.0f} s, longer than the "
            f"{limits.duration_seconds:.0f} s allowed"
        )


def media_info(opened: Opened, source: Source, *, format_name: str, limits: Limits) -> MediaInfo:
    """What the container tells of the stream; raises TooLongError where it is too long."""
    stream, codec = opened.stream, opened.stream.codec_context
    start, duration = _seconds(opened)
    check_duration(duration, name=source.name, limits=limits)
    orientation, warnings = 1, []
    if opened.demuxer == "mov":
        orientation = track_orientation(source.file, source.size_bytes, stream.id)
    if not duration:
        warnings.append("duration_unknown")
    return MediaInfo(
        kind=MediaKind.VIDEO,
        format=format_name,
        codec=codec.codec.canonical_name,
        size=Size(codec.width, codec.height),
        orientation=orientation,
        pixel_aspect=pixel_aspect(opened),
        start_seconds=start,
        duration_seconds=duration,
        average_fps=float(stream.average_rate or 0),
        frame_count=stream.frames,
        warnings=tuple(warnings),
    )


def pixel_aspect(opened: Opened) -> float:
    """The container's sample aspect ratio, else the codec's, which decoding may have brought."""
    stream = opened.stream
    return float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)


def _seconds(opened: Opened) -> tuple[float, float]:
    """Start and duration of the stream in seconds, 0 where unknown."""
    stream, container, base = opened.stream, opened.container, opened.stream.time_base
    start = duration = 0.0
    if base is not None and stream.start_time is not None:
        start = float(stream.start_time * base)
    elif container.start_time is not None:
        start = container.start_time / av.time_base
    if base is not None and stream.duration is not None:
        duration = float(stream.duration * base)
    elif container.duration is not None:
        duration = container.duration / av.time_base
    return start, max(0.0, duration)
