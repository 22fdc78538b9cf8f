"""Opening an MP4 by our own index: the track that is meant, within limits, and what it tells."""

from dataclasses import dataclass

import av

from farm.engines import Source
from farm.engines.mp4 import Index, NotIndexedError, ReadAt, Samples, Track, open_index
from farm.engines.pyav_open import check_duration, check_size, check_streams
from farm.media import MediaFormat, MediaInfo, MediaKind
from farm.settings import Limits
from farm.sniff import HEAD_BYTES

# Decoders by their names in libavcodec, which has another one of AV1 for hardware only.
_CODECS = {
    "av01": "libdav1d",
    "avc1": "h264",
    "avc3": "h264",
    "hev1": "hevc",
    "hvc1": "hevc",
    "vp08": "vp8",
    "vp09": "vp9",
}
# Of the object types that an `mp4v` may have (ISO/IEC 14496-1, table 5).
_MP4V_CODECS = {0x20: "mpeg4", 0x6A: "mpeg1video"} | dict.fromkeys(range(0x60, 0x66), "mpeg2video")
_FORMATS = frozenset(("mov", "mp4"))


@dataclass(frozen=True, slots=True)
class Movie:
    """An open index, its chosen track, and the function that reads the file."""

    index: Index
    track: Track
    read_at: ReadAt
    decoder: str
    info: MediaInfo


def open_movie(source: Source, *, media_format: MediaFormat, limits: Limits) -> Movie | None:
    """Opens the source's best video track by its index; None where libavformat is to do it.

    Raises LimitError and EncryptedError; whatever else is wrong is left to libavformat to tell.
    """
    if media_format.name not in _FORMATS:
        return None
    try:
        index = open_index(
            source.read_at,
            source.size_bytes,
            name=source.name,
            head=source.head or source.read_at(0, HEAD_BYTES),
        )
        track = _choose(index)
        decoder = _decoder_of(track)
        samples = index.samples_near(track, 0)
        check_streams(len(index.movie.tracks), name=source.name, limits=limits)
        check_size(track.entries[0].size, name=source.name, limits=limits)
        info = _info(index, track, samples, decoder=decoder, format_name=media_format.name)
    except NotIndexedError:
        return None
    check_duration(info.duration_seconds, name=source.name, limits=limits)
    return Movie(index, track, source.read_at, decoder, info)


def _decoder_of(track: Track) -> str:
    """The name of the decoder for a track's samples; raises NotIndexedError for unknown ones.

    Several descriptions, and facts on light that libavformat hands to the decoder, are left to it.
    """
    if len(track.entries) != 1:
        raise NotIndexedError("not one description of the samples")
    (entry,) = track.entries
    is_mpeg = entry.fourcc == "mp4v"
    decoder = _MP4V_CODECS.get(entry.object_type) if is_mpeg else _CODECS.get(entry.fourcc)
    if decoder is None or decoder not in av.codecs_available:
        raise NotIndexedError(f"samples of the kind {entry.fourcc!r}")
    if entry.hdr.mastering or entry.hdr.light_level or entry.dolby_vision is not None:
        raise NotIndexedError("facts on HDR in the container")
    return decoder


def _choose(index: Index) -> Track:
    """The track that libavformat's rules would choose; raises NotIndexedError without any."""
    tracks = [track for track in index.movie.tracks if track.is_video and track.entries]
    if not tracks:
        raise NotIndexedError("no video track")
    return max(tracks, key=_worth)


def _worth(track: Track) -> tuple[bool, int, int]:
    size = track.entries[0].size
    return track.is_enabled, size.width * size.height, -track.number


def _info(
    index: Index, track: Track, samples: Samples, *, decoder: str, format_name: str
) -> MediaInfo:
    shown = samples.pts[~samples.is_discard]
    if not len(shown):
        raise NotIndexedError("no sample is shown")
    duration = float(index.duration(track) * track.time_base)
    return MediaInfo(
        kind=MediaKind.VIDEO,
        format=format_name,
        codec=av.Codec(decoder, "r").canonical_name,
        size=track.entries[0].size,
        orientation=track.orientation,
        pixel_aspect=float(track.pixel_aspect or 1),
        start_seconds=float(int(shown.min()) * track.time_base),
        duration_seconds=duration,
        average_fps=float(index.average_rate(track) or 0),
        frame_count=track.frame_count,
        warnings=() if duration else ("duration_unknown",),
    )
